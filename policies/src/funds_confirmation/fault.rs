//! What can be wrong with a body, and where.

use thiserror::Error;

use crate::limits::FUNDS_REQUEST_BYTES_MAX;
use crate::reason::Reason;
use crate::verdict::Refusal;

/// The members that a body may have, by their place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Member {
    /// The body itself.
    Body,
    /// `paymentCoverageRequestId`
    RequestId,
    /// `payee`
    Payee,
    /// `instructedAmount`
    InstructedAmount,
    /// `instructedAmount.currency`
    Currency,
    /// `instructedAmount.amount`
    Amount,
    /// `accountId`
    AccountId,
    /// `accountId.iban`
    Iban,
    /// `accountId.currency`
    AccountCurrency,
}

impl Member {
    /// For people.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Body => "the body",
            Self::RequestId => "paymentCoverageRequestId",
            Self::Payee => "payee",
            Self::InstructedAmount => "instructedAmount",
            Self::Currency => "instructedAmount.currency",
            Self::Amount => "instructedAmount.amount",
            Self::AccountId => "accountId",
            Self::Iban => "accountId.iban",
            Self::AccountCurrency => "accountId.currency",
        }
    }

    /// As it is written inside its object.
    pub(super) fn name(self) -> &'static str {
        let path = self.path();
        path.rsplit_once('.').map_or(path, |(_, name)| name)
    }
}

/// What is wrong with one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[allow(clippy::exhaustive_enums)]
pub enum Wrong {
    /// Another JSON type.
    #[error("must be a JSON object")]
    NotObject,
    /// Another JSON type.
    #[error("must be a JSON string")]
    NotString,
    /// A name that this version does not have.
    #[error("has a member that this API version does not know")]
    UnknownMember,
    /// One name twice.
    #[error("stands twice")]
    Duplicate,
    /// Too long, or empty.
    #[error("must have {min} to {max} characters, none of them a control character")]
    Length {
        /// Characters.
        min: usize,
        /// Characters.
        max: usize,
    },
    /// No ISO 4217 code.
    #[error("must be three capital letters (ISO 4217)")]
    Currency,
    /// No amount as STET writes it.
    #[error(
        "must be a decimal as this API version writes it: 1 to 13 digits, at most 5 more after a \
         point, no sign, no exponent"
    )]
    Amount,
}

/// What is wrong with a body. Says where, never what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BodyFault {
    /// Over the bound.
    #[error("the body is larger than the {FUNDS_REQUEST_BYTES_MAX} bytes accepted here")]
    TooLarge,
    /// Not JSON.
    #[error("the body is not JSON: wrong at line {line}, column {column}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
    },
    /// A member that must be there is not.
    #[error("{} is missing", .0.path())]
    Missing(Member),
    /// A member is not what it must be.
    #[error("{} (line {line}, column {column}) {wrong}", .member.path())]
    Wrong {
        /// Which.
        member: Member,
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
        /// How.
        wrong: Wrong,
    },
    /// A currency other than the euro.
    #[error("{} is not EUR, the only currency here", .0.path())]
    NotEuro(Member),
    /// Its form or check digits are wrong.
    #[error("accountId.iban is not an IBAN in its electronic form, or its check digits are wrong")]
    Iban,
}

impl BodyFault {
    /// The reason that stands for it.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::TooLarge => Reason::BodyTooLarge,
            Self::Json { .. } | Self::Missing(_) | Self::Wrong { .. } => Reason::BodyInvalid,
            Self::NotEuro(_) => Reason::CurrencyUnsupported,
            Self::Iban => Reason::IbanInvalid,
        }
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        Self::because(fault.reason(), fault.to_string())
    }
}
