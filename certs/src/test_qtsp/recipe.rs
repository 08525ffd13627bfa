//! What a certificate of the test QTSP is made from.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use crate::role::PspRole;

/// What kind of certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Kind {
    /// Website authentication: how a TPP is known in TLS.
    Qwac,
    /// Electronic seal: with what a TPP signs its requests.
    Qsealc,
    /// A TLS client without qcStatements.
    TlsClient,
    /// A TLS server under these names and addresses.
    TlsServer {
        /// Host names.
        names: Vec<String>,
        /// Addresses.
        ips: Vec<IpAddr>,
    },
}

/// The key of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum KeyKind {
    /// ECDSA on P-256.
    P256,
    /// RSA with so many bits.
    Rsa(u32),
}

/// What is made wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Defect {
    /// A second organizationIdentifier.
    TwoOrganisationIds,
    /// The organizationIdentifier as BMPString.
    BmpOrganisationId,
    /// No qcStatements.
    NoStatements,
    /// No QcCompliance among them.
    NoCompliance,
    /// No PSD2 statement among them.
    NoPsd2,
    /// A PSD2 statement that ends early.
    MalformedPsd2,
    /// Two PSD2 statements.
    TwoPsd2,
    /// No QcType.
    NoType,
    /// A seal's QcType on a QWAC.
    SealType,
    /// A role of another state before the real ones.
    UnknownRole,
    /// cA = TRUE.
    Ca,
    /// extKeyUsage for servers only.
    ServerOnly,
    /// keyUsage without digitalSignature.
    NoDigitalSignature,
    /// Signed with SHA-1.
    Sha1,
}

/// A certificate to be issued.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Recipe {
    /// Its kind.
    pub kind: Kind,
    /// commonName.
    pub common_name: String,
    /// organizationName.
    pub organisation: String,
    /// countryName, two letters.
    pub country: String,
    /// organizationIdentifier.
    pub organisation_id: Option<String>,
    /// Roles of the PSD2 statement, in this order.
    pub roles: Vec<PspRole>,
    /// nCAName.
    pub authority_name: String,
    /// nCAId.
    pub authority_id: String,
    /// Where its issuer's list stands, if the certificate says so.
    pub crl_url: Option<String>,
    /// Where its issuer's OCSP responder stands, if the certificate says so.
    pub ocsp_url: Option<String>,
    /// Its key.
    pub key: KeyKind,
    /// First instant.
    pub not_before: Timestamp,
    /// Last instant.
    pub not_after: Timestamp,
    /// What is wrong with it.
    pub defects: Vec<Defect>,
}

impl Recipe {
    /// A good QWAC for `organisation_id`, valid for a year from an hour before `now`.
    pub fn qwac(
        organisation: &str,
        organisation_id: &str,
        roles: &[PspRole],
        now: Timestamp,
    ) -> Self {
        let country = organisation_id.get(3..5).unwrap_or("FR").to_owned();
        let authority = organisation_id.split('-').nth(1).unwrap_or("ACPR");
        let shifted = |hours| now.checked_add(SignedDuration::from_hours(hours)).unwrap_or(now);
        Self {
            kind: Kind::Qwac,
            common_name: "tpp.example".to_owned(),
            organisation: organisation.to_owned(),
            authority_id: format!("{country}-{authority}"),
            authority_name: format!("{authority} of {country}"),
            country,
            organisation_id: Some(organisation_id.to_owned()),
            roles: roles.to_vec(),
            crl_url: None,
            ocsp_url: None,
            key: KeyKind::P256,
            not_before: shifted(-1),
            not_after: shifted(365 * 24),
            defects: Vec::new(),
        }
    }

    /// The same with a defect.
    #[must_use]
    pub fn with(mut self, defect: Defect) -> Self {
        self.defects.push(defect);
        self
    }

    pub(super) fn has(&self, defect: Defect) -> bool {
        self.defects.contains(&defect)
    }
}
