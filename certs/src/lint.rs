//! What an expert would remark about a certificate: what refuses it, and what is odd but harmless.
//!
//! Refusals are [`ProfileFault`]s seen from outside: each has one lint, so that a QTSP can be told
//! by name what to mend. Warnings refuse nobody.

#[cfg(test)]
mod tests;
mod warnings;

use std::fmt;

use crate::leaf::{Leaf, StringType};
use crate::organisation::OrganisationIdError;
use crate::profile::{NameFault, NotQwac, ProfileFault, Purpose};
use crate::qc_statements::QcFault;

/// Whether a lint keeps a certificate out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Severity {
    /// The certificate cannot be used.
    Refuses,
    /// It can, but its issuer should mend it, or its holder should know.
    Warns,
}

macro_rules! lints {
    ($($variant:ident $code:literal $severity:ident $sentence:literal $clause:literal;)+) => {
        /// One remark. The codes are a public contract: they may grow, never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Lint {
            $(#[doc = $sentence] $variant,)+
        }

        impl Lint {
            /// Every lint, refusals first.
            pub const ALL: &[Lint] = &[$(Lint::$variant,)+];

            /// Its name in reports.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// Whether it keeps the certificate out.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// What is remarked, in general.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }

            /// The rule and where it stands.
            pub const fn clause(self) -> &'static str {
                match self { $(Self::$variant => $clause,)+ }
            }
        }
    };
}

lints! {
    StatementsAbsent "qc_statements_absent" Refuses
        "There is no qcStatements extension." "EN 319 412-5 §4";
    StatementsMalformed "qc_statements_malformed" Refuses
        "The qcStatements extension cannot be read." "RFC 3739 §3.2.6";
    StatementTwice "qc_statement_twice" Refuses
        "A statement of the qcStatements extension stands in it twice." "EN 319 412-5 §4";
    Psd2Malformed "psd2_statement_malformed" Refuses
        "The PSD2 statement cannot be read." "TS 119 495 annex A";
    ComplianceMissing "qc_compliance_missing" Refuses
        "Nothing says that the certificate is qualified (QcCompliance)." "EN 319 412-5 §4.2.1";
    OtherLegislation "qc_legislation_other" Refuses
        "It is qualified under the law of another territory (QcCClegislation)." "EN 319 412-5 §4.2.4";
    TypeNotWeb "qc_type_not_web" Refuses
        "QcType is not web authentication, which a QWAC has." "EN 319 412-5 §4.2.3";
    TypeNotSeal "qc_type_not_seal" Refuses
        "QcType is not electronic seal, which a QSEALC has." "EN 319 412-5 §4.2.3";
    Psd2Missing "psd2_statement_missing" Refuses
        "There is no PSD2 statement with payment roles." "TS 119 495 §5.1";
    VersionNot3 "version_not_3" Refuses
        "It is no X.509 version 3 certificate." "RFC 5280 §4.1.2.1";
    Ca "ca_certificate" Refuses
        "It is a certificate of a CA (cA = TRUE)." "RFC 5280 §4.2.1.9";
    KeyUsage "key_usage" Refuses
        "keyUsage does not allow digitalSignature." "RFC 5280 §4.2.1.3; EN 319 412-4 §4.2";
    SealKeyUsage "seal_key_usage" Refuses
        "keyUsage allows neither contentCommitment nor digitalSignature." "EN 319 412-2 §4.3.2";
    ClientAuth "client_auth_missing" Refuses
        "extKeyUsage does not allow clientAuth." "RFC 5280 §4.2.1.12";
    KeyWeak "key_weak" Refuses
        "The key is weak or of a kind that is not accepted." "TS 119 312 §6";
    SignatureWeak "signature_weak" Refuses
        "The issuer signed with an algorithm that is not accepted." "TS 119 312 §5";
    OrganisationIdMissing "organisation_id_missing" Refuses
        "The subject has no organizationIdentifier (2.5.4.97)." "TS 119 495 §5.2.1";
    OrganisationIdTwice "organisation_id_twice" Refuses
        "The subject has more than one organizationIdentifier." "TS 119 495 §5.2.1";
    OrganisationIdBmp "organisation_id_bmp" Refuses
        "The organizationIdentifier is a BMPString." "RFC 5280 §4.1.2.4";
    OrganisationIdTeletex "organisation_id_teletex" Refuses
        "The organizationIdentifier is a TeletexString." "RFC 5280 §4.1.2.4";
    OrganisationIdUniversal "organisation_id_universal" Refuses
        "The organizationIdentifier is a UniversalString." "RFC 5280 §4.1.2.4";
    OrganisationIdIa5 "organisation_id_ia5" Refuses
        "The organizationIdentifier is an IA5String." "X.520 §6.4.3";
    OrganisationIdType "organisation_id_type" Refuses
        "The organizationIdentifier is of no string type." "X.520 §6.4.3";
    OrganisationIdOctets "organisation_id_octets" Refuses
        "The organizationIdentifier's octets are not of its string type, or too many." "X.690 §8.23";
    OrganisationIdNul "organisation_id_nul" Refuses
        "The organizationIdentifier has a NUL in it." "TS 119 495 §5.2.1";
    OrganisationIdControl "organisation_id_control" Refuses
        "The organizationIdentifier has a control character in it." "TS 119 495 §5.2.1";
    OrganisationIdEmpty "organisation_id_empty" Refuses
        "The organizationIdentifier is empty." "TS 119 495 §5.2.1";
    OrganisationIdWhiteSpace "organisation_id_white_space" Refuses
        "The organizationIdentifier has white space that nobody sees." "TS 119 495 §5.2.1";
    OrganisationIdDash "organisation_id_dash" Refuses
        "A dash of the organizationIdentifier only looks like the hyphen." "EN 319 412-1 §5.1.4";
    OrganisationIdNotAscii "organisation_id_not_ascii" Refuses
        "The organizationIdentifier has a character outside ASCII." "EN 319 412-1 §5.1.4";
    OrganisationIdCase "organisation_id_case" Refuses
        "The organizationIdentifier's PSD form is not in capitals." "EN 319 412-1 §5.1.4";
    OrganisationIdForm "organisation_id_form" Refuses
        "The organizationIdentifier begins with PSD and is not of that form." "TS 119 495 §5.2.1";
    OrganisationIdCountry "organisation_id_country" Refuses
        "The organizationIdentifier's country has no competent authority." "TS 119 495 §5.2.1";
    OrganisationIdAuthority "organisation_id_authority" Refuses
        "The organizationIdentifier and nCAId name two authorities." "TS 119 495 §5.2.3";
    SubjectCountry "subject_country_other" Refuses
        "The subject's countryName is not the organizationIdentifier's country." "EN 319 412-3 §4.2.1";

    StatementValue "qc_statement_value" Warns
        "QcCompliance or QcSSCD carries a value, which the standard does not know." "EN 319 412-5 §4.2.1, §4.2.2";
    SscdForWeb "qc_sscd_for_web" Warns
        "A QWAC says that its key is in a signature creation device (QcSSCD)." "EN 319 412-5 §5 QCS-5-01";
    RoleName "role_name" Warns
        "A role's name is not the one of its OID; the OID counts." "TS 119 495 REG-5.2.2-5";
    RoleUnknown "role_unknown" Warns
        "A role's OID is not one of the standard; it grants nothing." "TS 119 495 GEN-5.2.2-4";
    RolesEmpty "roles_empty" Warns
        "No role of the statement grants anything." "TS 119 495 §5.2.2";
    AuthorityIdForm "authority_id_form" Warns
        "nCAId is not CC-AUTHORITY." "TS 119 495 §5.2.3";
    AuthorityNameLatin "authority_name_not_latin" Warns
        "nCAName is not written in Latin letters." "TS 119 495 GEN-5.2.3-1";
    AuthorityNa "authority_na" Warns
        "nCAId is NA beside roles that an authority grants, or the reverse." "TS 119 495 §5.2.3";
    OrganisationIdOther "organisation_id_other_form" Warns
        "The organizationIdentifier is not of the PSD form: the bank needs a mapping." "TS 119 495 GEN-5.2.1-4";
    OrganisationIdSpace "organisation_id_space" Warns
        "The organizationIdentifier's reference has a space in it." "TS 119 495 §5.2.1";
    SubjectCountryMissing "subject_country_missing" Warns
        "The subject has no countryName." "EN 319 412-3 §4.2.1";
    SubjectOrganisationMissing "subject_organisation_missing" Warns
        "The subject has no organizationName." "EN 319 412-3 §4.2.1";
    SubjectCommonNameMissing "subject_common_name_missing" Warns
        "The subject has no commonName." "EN 319 412-3 §4.2.1";
    AlternativeNameMissing "alternative_name_missing" Warns
        "A QWAC without a host name in subjectAltName." "EN 319 412-4 §4.1";
    KeyUsageMissing "key_usage_missing" Warns
        "There is no keyUsage." "EN 319 412-2 §4.3.2";
    KeyUsageForEc "key_usage_for_ec" Warns
        "keyUsage allows encipherment, which a key of an elliptic curve cannot do." "RFC 8813 §3";
    ExtKeyUsageMissing "ext_key_usage_missing" Warns
        "A QWAC without extKeyUsage: it may be used for anything." "EN 319 412-4 §4.2";
    ExtKeyUsageAny "ext_key_usage_any" Warns
        "extKeyUsage holds anyExtendedKeyUsage." "RFC 5280 §4.2.1.12";
    RevocationSourceMissing "revocation_source_missing" Warns
        "Neither a CRL nor an OCSP responder is named: nobody can ask whether it is revoked." "EN 319 412-2 §4.3.11, §4.4.1";
    IssuerUrlMissing "issuer_url_missing" Warns
        "The issuer's certificate is not named (id-ad-caIssuers)." "EN 319 412-2 §4.4.1";
    ValidityLong "validity_long" Warns
        "It is valid for more than 825 days." "TS 119 495 §6; CA/B BR §6.3.2";
    SerialShort "serial_short" Warns
        "The serial number has fewer than 64 bits." "CA/B BR §7.1";
    SerialForm "serial_form" Warns
        "The serial number is zero, negative or longer than 20 octets." "RFC 5280 §4.1.2.2";
}

/// A lint with what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Which.
    pub lint: Lint,
    /// What was seen in this certificate.
    pub detail: String,
}

impl Finding {
    /// The refusal of a profile, as a finding.
    pub fn of_fault(fault: &ProfileFault) -> Self {
        Self { lint: Lint::of_fault(fault), detail: fault.to_string() }
    }

    /// Everything that is odd and harmless about `leaf`.
    pub fn warnings(leaf: &Leaf) -> Vec<Self> {
        warnings::of(leaf)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.lint.code(), self.detail)
    }
}

impl Lint {
    /// The lint of a refusal.
    pub fn of_fault(fault: &ProfileFault) -> Self {
        match fault {
            ProfileFault::NotQwac(fault) | ProfileFault::NotQsealc(fault) => Self::of_kind(fault),
            ProfileFault::Purpose(purpose) => match purpose {
                Purpose::Version(_) => Self::VersionNot3,
                Purpose::Ca => Self::Ca,
                Purpose::KeyUsage => Self::KeyUsage,
                Purpose::SealKeyUsage => Self::SealKeyUsage,
                Purpose::ClientAuth => Self::ClientAuth,
                Purpose::Key { .. } => Self::KeyWeak,
                Purpose::Signature(_) => Self::SignatureWeak,
            },
            ProfileFault::OrganisationIdMissing => Self::OrganisationIdMissing,
            ProfileFault::OrganisationIdAmbiguous => Self::OrganisationIdTwice,
            ProfileFault::OrganisationIdMalformed(fault) => Self::of_name(fault),
        }
    }

    fn of_kind(fault: &NotQwac) -> Self {
        match fault {
            NotQwac::Statements(QcFault::Absent) => Self::StatementsAbsent,
            NotQwac::Statements(QcFault::Duplicate { .. }) => Self::StatementTwice,
            NotQwac::Statements(QcFault::Psd2(_)) => Self::Psd2Malformed,
            NotQwac::Statements(_) => Self::StatementsMalformed,
            NotQwac::NoCompliance => Self::ComplianceMissing,
            NotQwac::OtherLegislation => Self::OtherLegislation,
            NotQwac::NotWeb => Self::TypeNotWeb,
            NotQwac::NotSeal => Self::TypeNotSeal,
            NotQwac::NoPsd2 => Self::Psd2Missing,
        }
    }

    fn of_name(fault: &NameFault) -> Self {
        match fault {
            NameFault::StringType(StringType::Bmp) => Self::OrganisationIdBmp,
            NameFault::StringType(StringType::Teletex) => Self::OrganisationIdTeletex,
            NameFault::StringType(StringType::Universal) => Self::OrganisationIdUniversal,
            NameFault::StringType(StringType::Ia5) => Self::OrganisationIdIa5,
            NameFault::StringType(_) => Self::OrganisationIdType,
            NameFault::Octets | NameFault::Text(OrganisationIdError::TooLong { .. }) => {
                Self::OrganisationIdOctets
            }
            NameFault::Nul { .. } => Self::OrganisationIdNul,
            NameFault::Text(OrganisationIdError::ControlCharacter { .. }) => {
                Self::OrganisationIdControl
            }
            NameFault::Text(OrganisationIdError::Empty) => Self::OrganisationIdEmpty,
            NameFault::WhiteSpace { .. }
            | NameFault::Text(OrganisationIdError::WhiteSpaceAtEnd) => {
                Self::OrganisationIdWhiteSpace
            }
            NameFault::Dash { .. } => Self::OrganisationIdDash,
            NameFault::NotAscii { .. } => Self::OrganisationIdNotAscii,
            NameFault::Case => Self::OrganisationIdCase,
            NameFault::PsdForm => Self::OrganisationIdForm,
            NameFault::Country { .. } => Self::OrganisationIdCountry,
            NameFault::Authority { .. } => Self::OrganisationIdAuthority,
            NameFault::SubjectCountry { .. } => Self::SubjectCountry,
        }
    }
}
