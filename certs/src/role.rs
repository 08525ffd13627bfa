//! The roles that a PSD2 statement grants (ETSI TS 119 495 §5.2.2 and annex A).

use std::fmt;

/// A role of a payment service provider. The OID is the authority, the name beside it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PspRole {
    /// 0.4.0.19495.1.0: the authority did not say; it grants nothing.
    Unspecified,
    /// 0.4.0.19495.1.1, ASPSP.
    AccountServicing,
    /// 0.4.0.19495.1.2, PISP.
    PaymentInitiation,
    /// 0.4.0.19495.1.3, AISP.
    AccountInformation,
    /// 0.4.0.19495.1.4, CBPII (PIISP in older STET texts): may ask for funds confirmation.
    CardBasedInstruments,
    /// 0.4.0.19495.1.5, central bank (since V1.8.1).
    CentralBank,
    /// 0.4.0.19495.1.6, public authority (since V1.8.1).
    PublicAuthority,
    /// 0.4.0.19495.1.51, requests the verification of a payee.
    VopRequesting,
    /// 0.4.0.19495.1.52, answers the verification of a payee.
    VopResponding,
}

impl PspRole {
    /// Every role, in the order of its OID.
    pub const ALL: [Self; 9] = [
        Self::Unspecified,
        Self::AccountServicing,
        Self::PaymentInitiation,
        Self::AccountInformation,
        Self::CardBasedInstruments,
        Self::CentralBank,
        Self::PublicAuthority,
        Self::VopRequesting,
        Self::VopResponding,
    ];

    /// The role's name as TS 119 495 writes it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unspecified => "Unspecified",
            Self::AccountServicing => "PSP_AS",
            Self::PaymentInitiation => "PSP_PI",
            Self::AccountInformation => "PSP_AI",
            Self::CardBasedInstruments => "PSP_IC",
            Self::CentralBank => "PSP_CB",
            Self::PublicAuthority => "PSP_PA",
            Self::VopRequesting => "VOP_RS",
            Self::VopResponding => "VOP_VS",
        }
    }

    /// The role named `code`, which is compared exactly.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.code() == code)
    }

    /// The last arc of the role's OID, under 0.4.0.19495.1.
    pub const fn oid_arc(self) -> u64 {
        match self {
            Self::Unspecified => 0,
            Self::AccountServicing => 1,
            Self::PaymentInitiation => 2,
            Self::AccountInformation => 3,
            Self::CardBasedInstruments => 4,
            Self::CentralBank => 5,
            Self::PublicAuthority => 6,
            Self::VopRequesting => 51,
            Self::VopResponding => 52,
        }
    }

    /// The role whose OID is 0.4.0.19495.1.`arc`.
    pub fn from_oid_arc(arc: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.oid_arc() == arc)
    }

    /// The role of the OID `oid` in dotted form.
    pub fn from_oid(oid: &str) -> Option<Self> {
        Self::from_oid_arc(oid.strip_prefix("0.4.0.19495.1.")?.parse().ok()?)
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for PspRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A set of roles. The default is empty, which grants nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RoleSet(u16);

impl RoleSet {
    /// No role.
    pub const EMPTY: Self = Self(0);

    /// Whether `role` is in the set.
    pub const fn contains(self, role: PspRole) -> bool {
        self.0 & role.bit() != 0
    }

    /// Adds `role`.
    pub const fn insert(&mut self, role: PspRole) {
        self.0 |= role.bit();
    }

    /// Whether the set grants nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many roles are in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The roles that stand in both sets.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The roles, in the order of their OIDs.
    pub fn iter(self) -> impl Iterator<Item = PspRole> {
        PspRole::ALL.into_iter().filter(move |role| self.contains(*role))
    }
}

impl FromIterator<PspRole> for RoleSet {
    fn from_iter<I: IntoIterator<Item = PspRole>>(roles: I) -> Self {
        let mut set = Self::EMPTY;
        roles.into_iter().for_each(|role| set.insert(role));
        set
    }
}

impl fmt::Display for RoleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, role) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(role.code())?;
        }
        Ok(())
    }
}

impl fmt::Debug for RoleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoleSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_oid_each_lead_back_to_their_role() {
        for role in PspRole::ALL {
            assert_eq!(PspRole::from_code(role.code()), Some(role));
            assert_eq!(PspRole::from_oid_arc(role.oid_arc()), Some(role));
        }
        assert_eq!(PspRole::from_code("psp_ic"), None);
        assert_eq!(PspRole::from_oid_arc(7), None);
    }

    #[test]
    fn a_set_holds_exactly_what_was_put_in_and_prints_in_oid_order() {
        let set: RoleSet =
            [PspRole::CardBasedInstruments, PspRole::PaymentInitiation].into_iter().collect();
        assert_eq!(set.to_string(), "PSP_PI PSP_IC");
        assert_eq!(set.len(), 2);
        assert!(!set.contains(PspRole::AccountInformation));
        assert!(RoleSet::default().is_empty());
        assert_eq!(PspRole::ALL.into_iter().collect::<RoleSet>().len(), PspRole::ALL.len());
    }
}
