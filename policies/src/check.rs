//! What was looked at on the way to a verdict, in order: kept in place, without allocating.

use jiff::Timestamp;

use crate::reason::Reason;

macro_rules! names {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(clippy::exhaustive_enums)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every one, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// As records, metrics and `octroi explain` write it.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }
        }
    };
}

names! {
    /// The checks, in the order in which they are made.
    CheckName {
        /// The certificate chains to an anchor.
        Trust = "trust",
        /// The whole path is within its validity.
        Validity = "validity",
        /// Nothing on the path is revoked.
        Revocation = "revocation",
        /// It is a QWAC with a PSD2 statement, fit for a TLS client.
        Profile = "profile",
        /// It names exactly one organisation.
        OrganisationId = "organisation_id",
        /// SNI and Host agree and name a codetab.
        Host = "host",
        /// The path names an API version.
        Path = "path",
        /// That version is alive.
        Version = "version",
        /// The method fits.
        Method = "method",
        /// The QWAC carries a role that the API needs.
        Role = "role",
        /// The registers list the organisation with a service that the API needs.
        Register = "register",
        /// The registers list that service for the bank's country.
        Passport = "passport",
        /// The fallback is open, where the call is one of it.
        Fallback = "fallback",
        /// The bank has not suspended the organisation, where no token tells it: on the fallback.
        Standing = "standing",
        /// The Authorization header is one bearer token.
        TokenForm = "token_form",
        /// The token is live and belongs to this TPP and bank.
        Token = "token",
        /// It carries a scope that the API needs.
        Scope = "scope",
        /// The customer's strong authentication is recent enough.
        Consent = "consent",
        /// There is quota left.
        Quota = "quota",
        /// The request was signed with the caller's QSEALC, where the API asks for it.
        Signature = "signature",
        /// The body is a request of this version.
        Body = "body",
        /// There is quota left for the account, where a limit counts by accounts.
        AccountQuota = "account_quota",
        /// What was asked about the account before does not add up to a search for its balance.
        BalanceProbing = "balance_probing",
        /// There is a place among the requests under way, where a limit counts those.
        InFlight = "in_flight",
    }
}

impl CheckName {
    /// Why a check cannot be observed only: later stages need what it finds. Nothing where it can.
    #[must_use]
    pub const fn cannot_be_observed(self) -> Option<&'static str> {
        match self {
            Self::Trust => Some("without a path to an anchor nobody has said who calls"),
            Self::Profile | Self::OrganisationId => {
                Some("everything after it asks who the caller is, and it finds that out")
            }
            Self::Host => Some("it finds the bank that is asked"),
            Self::Path => Some("it finds the API that is asked for"),
            Self::Method => Some("the adapter is never asked with another method than the API's"),
            Self::TokenForm | Self::Token | Self::Scope => {
                Some("it finds what the customer has agreed to, and the adapter is told")
            }
            Self::Fallback => Some("it has a key of its own: `fallback.when`"),
            Self::Standing => Some("the bank's own people have suspended the TPP"),
            Self::Body => Some("it finds what is asked, and the adapter is told"),
            Self::BalanceProbing => Some("it has a key of its own: `balance_guard.mode`"),
            Self::Validity
            | Self::Revocation
            | Self::Version
            | Self::Role
            | Self::Register
            | Self::Passport
            | Self::Consent
            | Self::Quota
            | Self::Signature
            | Self::AccountQuota
            | Self::InFlight => None,
        }
    }
}

/// A set of checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckSet(u32);

const _: () = assert!(CheckName::COUNT <= 32);

impl CheckSet {
    /// No check.
    pub const NONE: Self = Self(0);

    /// With `check`.
    #[must_use]
    pub const fn with(self, check: CheckName) -> Self {
        Self(self.0 | 1 << check as u32)
    }

    /// Whether `check` is in it.
    #[must_use]
    pub const fn contains(self, check: CheckName) -> bool {
        self.0 & (1 << check as u32) != 0
    }

    /// Whether none is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

names! {
    /// Where a check looked.
    Source {
        /// The client certificate itself.
        Certificate = "certificate",
        /// The trust anchors.
        Anchors = "anchors",
        /// The revocation lists.
        Crl = "crl",
        /// An answer of an OCSP responder.
        Ocsp = "ocsp",
        /// The configured hosts, APIs and versions.
        Routes = "routes",
        /// The EBA register.
        EbaRegister = "eba_register",
        /// The EBA's register of credit institutions.
        EbaCreditRegister = "eba_credit_register",
        /// REGAFI.
        RegafiRegister = "regafi_register",
        /// A dated decision of the bank's own people that stands above the registers.
        RegisterOverride = "register_override",
        /// The token store, just now.
        TokenStore = "token_store",
        /// The token store, some moments ago.
        TokenCache = "token_cache",
        /// The token itself, which the bank's authorization server signed.
        TokenSigner = "token_signer",
        /// The quota counters.
        Quota = "quota",
        /// What the TPP asked about the account before.
        Questions = "questions",
        /// What became of the last requests to the bank's dedicated interface.
        DedicatedInterface = "dedicated_interface",
        /// The request.
        Request = "request",
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum CheckOutcome {
    /// It holds.
    Passed,
    /// It does not, and the configuration lets it pass all the same.
    Warned(Reason),
    /// It does not; nothing after it was looked at.
    Failed(Reason),
}

/// What a check looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Where.
    pub source: Source,
    /// A short content hash of it, 0 where there is none.
    pub version: u64,
    /// When it was true; its age is the time of the judgement less this.
    pub as_of: Option<Timestamp>,
}

impl Evidence {
    /// Something without version or age of its own.
    #[must_use]
    pub const fn of(source: Source) -> Self {
        Self { source, version: 0, as_of: None }
    }
}

/// One check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Which.
    pub name: CheckName,
    /// Its end.
    pub outcome: CheckOutcome,
    /// What it looked at.
    pub looked_at: Evidence,
}

/// The checks made, in order.
#[derive(Clone, Debug)]
pub struct Trail {
    checks: [Option<Check>; CheckName::COUNT],
    length: usize,
}

impl Default for Trail {
    fn default() -> Self {
        Self::new()
    }
}

impl Trail {
    /// No check yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { checks: [None; CheckName::COUNT], length: 0 }
    }

    /// Adds the next check. Each is made once, so there is always room.
    pub fn push(&mut self, check: Check) {
        if let Some(place) = self.checks.get_mut(self.length) {
            *place = Some(check);
            self.length += 1;
        }
    }

    /// The checks, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().flatten()
    }

    /// The one that failed, if one did: always the last.
    #[must_use]
    pub fn failed(&self) -> Option<&Check> {
        self.iter().find(|check| matches!(check.outcome, CheckOutcome::Failed(_)))
    }
}
