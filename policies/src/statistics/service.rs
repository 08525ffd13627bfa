//! The services that the figures of EBA/GL/2018/07, Guideline 2.3, are kept apart by.

use certs::PspRole;

use crate::scope::Scope;

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums)]
pub enum Service {
    /// Payment initiation: Guideline 2.3(a).
    Pis,
    /// Account information: Guideline 2.3(b).
    Ais,
    /// Confirmation of funds: Guideline 2.3(c).
    Cbpii,
    /// It cannot be told.
    Other,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 4] = [Self::Pis, Self::Ais, Self::Cbpii, Self::Other];

    /// As the files have it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pis => "PIS",
            Self::Ais => "AIS",
            Self::Cbpii => "CBPII",
            Self::Other => "other",
        }
    }

    /// The service with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.code() == code)
    }

    /// The service of this role.
    #[must_use]
    pub const fn of_role(role: PspRole) -> Self {
        match role {
            PspRole::PaymentInitiation => Self::Pis,
            PspRole::AccountInformation => Self::Ais,
            PspRole::CardBasedInstruments => Self::Cbpii,
            PspRole::Unspecified
            | PspRole::AccountServicing
            | PspRole::CentralBank
            | PspRole::PublicAuthority
            | PspRole::VopRequesting
            | PspRole::VopResponding => Self::Other,
        }
    }

    /// The service of an API that asks for these scopes, where they are of one service.
    #[must_use]
    pub fn of_scopes<'a>(scopes: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut found = None;
        for scope in scopes {
            let service = match (Scope::from_name(scope), scope) {
                (Some(scope), _) => Self::of_role(scope.role()),
                (None, "pisp") => Self::Pis,
                (None, _) => continue,
            };
            if found.is_some_and(|found| found != service) {
                return None;
            }
            found = Some(service);
        }
        found
    }
}
