//! One service of a trust service provider, over time (TS 119 612 §5.5, §5.6).

use jiff::Timestamp;

/// For what a CA issues qualified certificates (§5.5.9.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)]
pub enum Use {
    /// ForWebSiteAuthentication: QWACs.
    Web,
    /// ForeSeals: QSEALCs.
    Seals,
}

/// What a service was, from an instant on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServicePeriod {
    /// StatusStartingTime.
    pub since: Timestamp,
    /// A CA for qualified certificates (`Svctype/CA/QC`).
    pub is_qualified_ca: bool,
    /// ServiceStatus is `granted`.
    pub granted: bool,
    /// AdditionalServiceInformation.
    pub uses: Vec<Use>,
    /// A critical extension that we do not understand: then nothing may be concluded (§5.5.9).
    pub opaque: bool,
    /// Qualifications say of some of its certificates that they are not what they claim.
    pub downgrades: bool,
}

/// A service with its CAs and its history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// TSPName.
    pub provider: String,
    /// ServiceName.
    pub name: String,
    /// ServiceDigitalIdentity: the certificates of the CA, in DER; several where it was renewed.
    pub certificates: Vec<Vec<u8>>,
    /// What it is and was, the newest first.
    pub periods: Vec<ServicePeriod>,
}

impl Service {
    /// What it was at `at`.
    pub fn at(&self, at: Timestamp) -> Option<&ServicePeriod> {
        self.periods.iter().filter(|period| period.since <= at).max_by_key(|period| period.since)
    }

    /// Whether its CAs issued qualified certificates for `wanted` at `at`.
    pub fn issues(&self, wanted: Use, at: Timestamp) -> bool {
        self.at(at).is_some_and(|period| period.issues(wanted))
    }
}

impl ServicePeriod {
    /// Whether qualified certificates for `wanted` were issued in it.
    pub fn issues(&self, wanted: Use) -> bool {
        self.is_qualified_ca && self.granted && !self.opaque && self.uses.contains(&wanted)
    }
}
