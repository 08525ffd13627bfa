//! Payment services as the EBA's register codes them (annex I of directive (EU) 2015/2366).

use std::fmt;

use certs::PspRole;
use serde::{Deserialize, Serialize};

macro_rules! services {
    ($($(#[$doc:meta])* $variant:ident = $code:literal,)+) => {
        /// One payment service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(clippy::exhaustive_enums)]
        pub enum ServiceCode { $($(#[$doc])* $variant,)+ }

        impl ServiceCode {
            /// Every one, in the order of annex I.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As the register writes it.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }
        }
    };
}

services! {
    /// Issuing of electronic money.
    ElectronicMoney = "ES_010",
    /// Cash placed on an account.
    CashIn = "PS_010",
    /// Cash withdrawn from an account.
    CashOut = "PS_020",
    /// Direct debits.
    DirectDebits = "PS_03A",
    /// Transactions through a card or similar device.
    CardTransactions = "PS_03B",
    /// Credit transfers.
    CreditTransfers = "PS_03C",
    /// Direct debits covered by a credit line.
    CreditDirectDebits = "PS_04A",
    /// Card transactions covered by a credit line.
    CreditCardTransactions = "PS_04B",
    /// Credit transfers covered by a credit line.
    CreditCreditTransfers = "PS_04C",
    /// Issuing of payment instruments: what lets a CBPII ask whether funds are there.
    IssuingInstruments = "PS_05A",
    /// Acquiring of payment transactions.
    Acquiring = "PS_05B",
    /// Money remittance.
    Remittance = "PS_060",
    /// Payment initiation.
    PaymentInitiation = "PS_070",
    /// Account information.
    AccountInformation = "PS_080",
}

impl ServiceCode {
    /// The service of this code, byte for byte.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|service| service.code() == code)
    }

    /// The service that a provider must be authorised for to act in `role`; account servicing and
    /// the roles outside annex I have none.
    #[must_use]
    pub const fn of_role(role: PspRole) -> Option<Self> {
        match role {
            PspRole::PaymentInitiation => Some(Self::PaymentInitiation),
            PspRole::AccountInformation => Some(Self::AccountInformation),
            PspRole::CardBasedInstruments => Some(Self::IssuingInstruments),
            _ => None,
        }
    }
}

impl fmt::Display for ServiceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A set of payment services; as text their codes, apart by spaces.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceSet(u16);

impl ServiceSet {
    /// No service.
    pub const EMPTY: Self = Self(0);

    /// All of annex I: what a credit institution may do (directive 2013/36/EU, annex I point 4).
    #[must_use]
    pub fn all() -> Self {
        ServiceCode::ALL.iter().copied().collect()
    }

    /// Adds `service`.
    pub const fn insert(&mut self, service: ServiceCode) {
        self.0 |= 1 << service as u8;
    }

    /// Whether `service` is in it.
    #[must_use]
    pub const fn contains(self, service: ServiceCode) -> bool {
        self.0 & 1 << service as u8 != 0
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in one of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether anything is in both.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The services, in the order of annex I.
    pub fn iter(self) -> impl Iterator<Item = ServiceCode> {
        ServiceCode::ALL.iter().copied().filter(move |service| self.contains(*service))
    }
}

impl TryFrom<String> for ServiceSet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let code =
            |code| ServiceCode::from_code(code).ok_or(format!("{code:?} is no service code"));
        text.split_ascii_whitespace().map(code).collect()
    }
}

impl From<ServiceSet> for String {
    fn from(set: ServiceSet) -> Self {
        set.to_string()
    }
}

impl fmt::Display for ServiceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, service) in self.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            f.write_str(service.code())?;
        }
        Ok(())
    }
}

impl FromIterator<ServiceCode> for ServiceSet {
    fn from_iter<I: IntoIterator<Item = ServiceCode>>(services: I) -> Self {
        let mut set = Self::EMPTY;
        services.into_iter().for_each(|service| set.insert(service));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_back_and_nothing_like_them() {
        for service in ServiceCode::ALL {
            assert_eq!(ServiceCode::from_code(service.code()), Some(*service));
        }
        for other in ["PS_050", "ps_05a", "PS_05A ", ""] {
            assert_eq!(ServiceCode::from_code(other), None);
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set: ServiceSet = [ServiceCode::AccountInformation, ServiceCode::IssuingInstruments]
            .into_iter()
            .collect();
        assert!(set.contains(ServiceCode::IssuingInstruments));
        assert!(!set.contains(ServiceCode::Acquiring), "acquiring is not issuing");
        assert_eq!(set.iter().map(ServiceCode::code).collect::<Vec<_>>(), ["PS_05A", "PS_080"]);
        assert_eq!(ServiceSet::all().iter().count(), ServiceCode::ALL.len());
    }
}
