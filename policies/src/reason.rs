//! The one table of reasons: what the response, the audit line, the metric, `octroi explain` and
//! the docs page of a refusal all say.

use std::fmt;

/// Who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The caller.
    Tpp,
    /// The bank, or this gateway.
    Bank,
    /// It cannot be told from here.
    Either,
}

impl Blame {
    /// As the docs write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Tpp => "TPP",
            Self::Bank => "bank",
            Self::Either => "either",
        }
    }
}

struct Row {
    code: &'static str,
    status: u16,
    title: &'static str,
    sentence: &'static str,
    mend: &'static str,
    blame: Blame,
    clause: &'static str,
}

macro_rules! reasons {
    ($($variant:ident $code:literal $status:literal $blame:ident
        $title:literal $sentence:literal $mend:literal $clause:literal;)+) => {
        /// Why a request is refused. The codes are a public contract: they may grow, never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(clippy::exhaustive_enums)]
        pub enum Reason {
            $(#[doc = $title] $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of [`Reason::index`].
            pub const ALL: &[Reason] = &[$(Reason::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            pub(super) const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        code: $code, status: $status, title: $title, sentence: $sentence,
                        mend: $mend, blame: Blame::$blame, clause: $clause,
                    },)+
                }
            }
        }
    };
}

mod table;

pub use table::Reason;

impl Reason {
    /// The code: in the response, the audit line, the metric label, the docs page.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// The reason with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }

    /// Its place in [`Reason::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The HTTP status, always 4xx or 5xx.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// A heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// One sentence for the TPP, at most 140 characters (STET ErrorModel `message`).
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        self.row().sentence
    }

    /// What to do about it.
    #[must_use]
    pub const fn mend(self) -> &'static str {
        self.row().mend
    }

    /// Who can do it.
    #[must_use]
    pub const fn blame(self) -> Blame {
        self.row().blame
    }

    /// The standards and clauses behind it.
    #[must_use]
    pub const fn clause(self) -> &'static str {
        self.row().clause
    }

    /// The RFC 6750 §3 challenge that goes with it: `None` for no challenge, `Some("")` for one
    /// without an error code, as a request without any token deserves.
    #[must_use]
    pub const fn bearer_error(self) -> Option<&'static str> {
        match self {
            Self::TokenMissing => Some(""),
            Self::TokenMalformed => Some("invalid_request"),
            Self::TokenUnknown
            | Self::TokenExpired
            | Self::TokenOtherTpp
            | Self::TokenOtherCertificate
            | Self::ConsentExpired => Some("invalid_token"),
            Self::TokenScope => Some("insufficient_scope"),
            _ => None,
        }
    }

    /// The `error` of RFC 6749 §5.2 (on registrations of RFC 7591 §3.2.2) that goes with it.
    #[must_use]
    pub const fn oauth_error(self) -> &'static str {
        match self {
            Self::CertificateMissing
            | Self::CertificateUntrusted
            | Self::CertificateExpired
            | Self::CertificateNotYetValid
            | Self::CertificateRevoked
            | Self::CertificateNotQwac
            | Self::CertificatePurpose
            | Self::OrganisationIdMissing
            | Self::OrganisationIdAmbiguous
            | Self::ClientUnknown
            | Self::ClientOtherTpp => "invalid_client",
            Self::RoleMissing
            | Self::RegisterUnknown
            | Self::RegisterWithdrawn
            | Self::RegisterUndetermined
            | Self::RegisterRoleMissing
            | Self::RegisterPassportMissing
            | Self::TppSuspended => "unauthorized_client",
            Self::GrantInvalid => "invalid_grant",
            Self::GrantTypeUnsupported => "unsupported_grant_type",
            Self::ScopeInvalid => "invalid_scope",
            Self::RedirectUriInvalid => "invalid_redirect_uri",
            Self::RegistrationInvalid => "invalid_client_metadata",
            Self::TokenUnknown
            | Self::TokenExpired
            | Self::TokenOtherTpp
            | Self::TokenOtherCertificate => "invalid_token",
            Self::TokenScope => "insufficient_scope",
            Self::StateUnavailable
            | Self::RevocationUnknown
            | Self::RegisterStale
            | Self::QuotaExceeded
            | Self::BalanceProbing => "temporarily_unavailable",
            Self::InternalFault => "server_error",
            _ => "invalid_request",
        }
    }

    /// Whether a signed request would mend it: then the challenge is the `Signature` scheme
    /// (draft-cavage-http-signatures-12 §3.1).
    #[must_use]
    pub const fn asks_for_signature(self) -> bool {
        matches!(
            self,
            Self::SignatureMissing
                | Self::SignatureInvalid
                | Self::SignatureExpired
                | Self::SignatureKeyUnknown
                | Self::DigestMismatch
        )
    }

    /// Seconds after which trying again makes sense, where the reason alone tells: every 503.
    #[must_use]
    pub const fn retry_after_seconds(self) -> Option<u32> {
        match self {
            Self::StateUnavailable | Self::UpstreamUnavailable => Some(5),
            Self::RevocationUnknown | Self::RegisterStale => Some(300),
            Self::QuotaExceeded | Self::UpstreamBusy => Some(1),
            Self::BalanceProbing => Some(60),
            _ => None,
        }
    }

    /// Whether an adapter may name it in its answer.
    #[must_use]
    pub const fn is_upstream_reportable(self) -> bool {
        matches!(
            self,
            Self::AccountUnknown
                | Self::CurrencyUnsupported
                | Self::IbanInvalid
                | Self::BodyInvalid
                | Self::UpstreamUnavailable
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_refuses_and_is_told_apart() {
        let codes: HashSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::COUNT);
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert_eq!(Reason::from_code(reason.code()), Some(*reason));
            assert!((400..600).contains(&reason.status()), "{reason} must refuse");
            assert!(reason.sentence().chars().count() <= 140, "{reason}: STET allows 140");
            assert!(!reason.mend().is_empty() && !reason.clause().is_empty());
        }
    }

    #[test]
    fn every_401_challenges_and_every_429_and_503_says_when_to_come_back() {
        for reason in Reason::ALL {
            let challenges = reason.bearer_error().is_some() || reason.asks_for_signature();
            assert!(reason.status() != 401 || challenges, "{reason}");
            if matches!(reason.status(), 429 | 503) {
                assert!(reason.retry_after_seconds().is_some(), "{reason}");
            }
        }
    }
}
