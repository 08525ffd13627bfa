//! What a customer can consent to: the scopes of STET, each with the payment role behind it.

use certs::PspRole;

use crate::register::{ServiceCode, ServiceSet};

/// A scope of the authorization server (STET PSD2 part 1 §3.4). One consent has one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums)]
pub enum Scope {
    /// Confirmation of funds, for an issuer of card-based payment instruments.
    Cbpii,
    /// Account information.
    Aisp,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 2] = [Self::Cbpii, Self::Aisp];

    /// As tokens carry it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cbpii => "cbpii",
            Self::Aisp => "aisp",
        }
    }

    /// The scope of this name; `piisp` is what STET 1.4 called `cbpii`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "cbpii" | "piisp" => Some(Self::Cbpii),
            "aisp" => Some(Self::Aisp),
            _ => None,
        }
    }

    /// The role that the certificate must carry.
    #[must_use]
    pub const fn role(self) -> PspRole {
        match self {
            Self::Cbpii => PspRole::CardBasedInstruments,
            Self::Aisp => PspRole::AccountInformation,
        }
    }

    /// The services of which the registers must list one.
    #[must_use]
    pub fn services(self) -> ServiceSet {
        ServiceCode::of_role(self.role()).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_is_found_by_its_name_and_asks_for_a_service() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.name()), Some(scope));
            assert!(!scope.services().is_empty());
        }
        assert_eq!(Scope::from_name("piisp"), Some(Scope::Cbpii));
        for other in ["", "CBPII", "cbpii ", "openid", "pisp"] {
            assert_eq!(Scope::from_name(other), None, "{other}");
        }
    }
}
