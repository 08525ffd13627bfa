//! The extensions that we rely on (RFC 5280 §4.2). Each at most once, each strict.

use std::net::IpAddr;

use x509_parser::asn1_rs::{Any, FromDer, Oid};
use x509_parser::extensions::{
    AuthorityInfoAccess, BasicConstraints, CRLDistributionPoints, DistributionPointName,
    ExtendedKeyUsage, GeneralName, KeyUsage as ParsedKeyUsage, NameConstraints,
    SubjectAlternativeName, X509Extension,
};
use x509_parser::nom;
use x509_parser::oid_registry as known;

use super::LeafError;
use crate::der;
use crate::limits::{EXTENSIONS_MAX, NAMES_MAX, URL_BYTES_MAX};
use crate::qc_statements::{QcFault, QcStatements};

/// What must be critical in a CA (RFC 5280 §4.2.1.10, §4.2.1.11, §4.2.1.14).
const CONSTRAINTS: [Oid<'static>; 3] = [
    known::OID_X509_EXT_NAME_CONSTRAINTS,
    known::OID_X509_EXT_POLICY_CONSTRAINTS,
    known::OID_X509_EXT_INHIBIT_ANY_POLICY,
];

/// `id-pe-qcStatements` (RFC 3739 §3.2.6).
const QC_STATEMENTS: Oid<'static> = x509_parser::asn1_rs::oid!(1.3.6.1.5.5.7.1.3);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extensions {
    pub(super) is_ca: bool,
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) ext_key_usage: Option<ExtKeyUsage>,
    pub(super) alternative_names: Vec<AlternativeName>,
    pub(super) crl_urls: Vec<String>,
    pub(super) ocsp_urls: Vec<String>,
    pub(super) ca_issuer_urls: Vec<String>,
    pub(super) policies: Vec<String>,
    /// It has nameConstraints.
    pub(super) constrains_names: bool,
    /// They exclude names.
    pub(super) excludes_names: bool,
    /// Constraints for CAs below it that are not critical: some readers would look away.
    pub(super) lax: bool,
    pub(super) qc: Result<QcStatements, QcFault>,
}

impl Extensions {
    pub(super) fn read(list: &[X509Extension<'_>]) -> Result<Self, LeafError> {
        if list.len() > EXTENSIONS_MAX {
            return Err(LeafError::TooManyExtensions);
        }
        let mut extensions = Self {
            is_ca: false,
            key_usage: None,
            ext_key_usage: None,
            alternative_names: Vec::new(),
            crl_urls: Vec::new(),
            ocsp_urls: Vec::new(),
            ca_issuer_urls: Vec::new(),
            policies: Vec::new(),
            constrains_names: false,
            excludes_names: false,
            lax: false,
            qc: Err(QcFault::Absent),
        };
        for (index, extension) in list.iter().enumerate() {
            if list.iter().take(index).any(|earlier| earlier.oid == extension.oid) {
                return Err(LeafError::DuplicateExtension { oid: extension.oid.to_id_string() });
            }
            if CONSTRAINTS.contains(&extension.oid) {
                extensions.lax |= !extension.critical;
            }
            extensions.read_one(&extension.oid, extension.value)?;
        }
        Ok(extensions)
    }

    fn read_one(&mut self, oid: &Oid<'_>, value: &[u8]) -> Result<(), LeafError> {
        if *oid == QC_STATEMENTS {
            self.qc = QcStatements::from_der(value);
        } else if *oid == known::OID_X509_EXT_BASIC_CONSTRAINTS {
            self.is_ca = whole(value, "basicConstraints", BasicConstraints::from_der)?.ca;
        } else if *oid == known::OID_X509_EXT_KEY_USAGE {
            let usage = whole(value, "keyUsage", ParsedKeyUsage::from_der)?;
            self.key_usage = Some(KeyUsage(usage.flags));
        } else if *oid == known::OID_X509_EXT_EXTENDED_KEY_USAGE {
            let usage = whole(value, "extKeyUsage", ExtendedKeyUsage::from_der)?;
            self.ext_key_usage = Some(ExtKeyUsage::read(&usage)?);
        } else if *oid == known::OID_X509_EXT_SUBJECT_ALT_NAME {
            let names = whole(value, "subjectAltName", SubjectAlternativeName::from_der)?;
            bounded(names.general_names.len(), "subjectAltName")?;
            self.alternative_names =
                names.general_names.iter().filter_map(AlternativeName::read).collect();
        } else if *oid == known::OID_X509_EXT_CRL_DISTRIBUTION_POINTS {
            let name = "cRLDistributionPoints";
            let points = whole(value, name, CRLDistributionPoints::from_der)?;
            bounded(points.len(), name)?;
            for point in points.iter() {
                if let Some(DistributionPointName::FullName(names)) = &point.distribution_point {
                    bounded(names.len(), name)?;
                    self.crl_urls.extend(names.iter().filter_map(url));
                }
            }
        } else if *oid == known::OID_PKIX_AUTHORITY_INFO_ACCESS {
            let name = "authorityInfoAccess";
            let access = whole(value, name, AuthorityInfoAccess::from_der)?;
            bounded(access.accessdescs.len(), name)?;
            for description in access.iter() {
                let Some(location) = url(&description.access_location) else { continue };
                if description.access_method == known::OID_PKIX_ACCESS_DESCRIPTOR_OCSP {
                    self.ocsp_urls.push(location);
                } else if description.access_method == known::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS
                {
                    self.ca_issuer_urls.push(location);
                }
            }
        } else if *oid == known::OID_X509_EXT_NAME_CONSTRAINTS {
            let name = "nameConstraints";
            let constraints = whole(value, name, NameConstraints::from_der)?;
            if !names_are_constrained(&constraints) {
                return Err(LeafError::Extension { name });
            }
            self.constrains_names = true;
            let excluded = constraints.excluded_subtrees;
            self.excludes_names = excluded.is_some_and(|subtrees| !subtrees.is_empty());
        } else if *oid == known::OID_X509_EXT_CERTIFICATE_POLICIES {
            let name = "certificatePolicies";
            self.policies = policies(value).ok_or(LeafError::Extension { name })?;
        }
        Ok(())
    }
}

/// At least one subtree, and host names as RFC 5280 §4.2.1.10 writes them: no leading period.
fn names_are_constrained(constraints: &NameConstraints<'_>) -> bool {
    let lists = [&constraints.permitted_subtrees, &constraints.excluded_subtrees];
    let mut subtrees = lists.into_iter().flatten().flatten().peekable();
    subtrees.peek().is_some()
        && subtrees.all(
            |subtree| !matches!(subtree.base, GeneralName::DNSName(name) if name.starts_with('.')),
        )
}

/// `SEQUENCE OF PolicyInformation`, of which only the identifier matters to us (§4.2.1.4).
fn policies(value: &[u8]) -> Option<Vec<String>> {
    let (rest, list) = Any::from_der(value).ok()?;
    if !rest.is_empty() || !der::is_strict(value) {
        return None;
    }
    let policy = |any: &Any<'_>| {
        let parts = der::elements(any, 2)?;
        parts.first().and_then(der::oid).map(|oid| oid.to_id_string())
    };
    der::elements(&list, NAMES_MAX)?.iter().map(policy).collect()
}

/// Decodes all of `value`: what is malformed, or followed by anything, is refused.
fn whole<'a, T, E>(
    value: &'a [u8],
    name: &'static str,
    decode: impl FnOnce(&'a [u8]) -> nom::IResult<&'a [u8], T, E>,
) -> Result<T, LeafError> {
    match decode(value) {
        Ok(([], decoded)) if der::is_strict(value) => Ok(decoded),
        _ => Err(LeafError::Extension { name }),
    }
}

fn bounded(count: usize, name: &'static str) -> Result<(), LeafError> {
    if count <= NAMES_MAX { Ok(()) } else { Err(LeafError::Extension { name }) }
}

fn url(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::URI(url) if url.len() <= URL_BYTES_MAX => Some((*url).to_owned()),
        _ => None,
    }
}

/// What the key may be used for (RFC 5280 §4.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage(u16);

impl KeyUsage {
    const NAMES: [&'static str; 9] = [
        "digitalSignature",
        "contentCommitment",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ];

    /// digitalSignature: what a TLS client proves its key with.
    pub const fn digital_signature(self) -> bool {
        self.0 & 1 != 0
    }

    /// contentCommitment, once called nonRepudiation: seals.
    pub const fn content_commitment(self) -> bool {
        self.0 >> 1 & 1 != 0
    }

    /// keyEncipherment or dataEncipherment: what only RSA can do.
    pub const fn encipherment(self) -> bool {
        self.0 >> 2 & 0b11 != 0
    }

    /// keyCertSign: only for CAs.
    pub const fn key_cert_sign(self) -> bool {
        self.0 >> 5 & 1 != 0
    }

    /// cRLSign: who may sign revocation lists.
    pub const fn crl_sign(self) -> bool {
        self.0 >> 6 & 1 != 0
    }

    /// The usages by their names in RFC 5280.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let bit = move |index: &usize| self.0 >> *index & 1 != 0;
        Self::NAMES.into_iter().enumerate().filter(move |(index, _)| bit(index)).map(|(_, n)| n)
    }
}

/// For what the certificate may be presented (RFC 5280 §4.2.1.12).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtKeyUsage {
    /// id-kp-clientAuth.
    pub client_auth: bool,
    /// id-kp-serverAuth.
    pub server_auth: bool,
    /// anyExtendedKeyUsage. It does not stand for clientAuth.
    pub any: bool,
    /// OIDs or names of the other purposes.
    pub other: Vec<String>,
}

impl ExtKeyUsage {
    fn read(usage: &ExtendedKeyUsage<'_>) -> Result<Self, LeafError> {
        bounded(usage.other.len(), "extKeyUsage")?;
        let named = [
            (usage.code_signing, "codeSigning"),
            (usage.email_protection, "emailProtection"),
            (usage.time_stamping, "timeStamping"),
            (usage.ocsp_signing, "OCSPSigning"),
        ];
        let named = named.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned());
        Ok(Self {
            client_auth: usage.client_auth,
            server_auth: usage.server_auth,
            any: usage.any,
            other: named.chain(usage.other.iter().map(Oid::to_id_string)).collect(),
        })
    }
}

/// One subjectAltName that we can show (RFC 5280 §4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlternativeName {
    /// A host name.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A mail address.
    Email(String),
    /// A URI.
    Uri(String),
}

impl AlternativeName {
    fn read(name: &GeneralName<'_>) -> Option<Self> {
        match name {
            GeneralName::DNSName(name) => Some(Self::Dns((*name).to_owned())),
            GeneralName::RFC822Name(name) => Some(Self::Email((*name).to_owned())),
            GeneralName::URI(name) => Some(Self::Uri((*name).to_owned())),
            GeneralName::IPAddress(octets) => {
                let four = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
                let sixteen = || <[u8; 16]>::try_from(*octets).map(IpAddr::from);
                four.or_else(|_| sixteen()).ok().map(Self::Ip)
            }
            _ => None,
        }
    }
}
