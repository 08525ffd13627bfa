//! The subject: who the certificate names (RFC 5280 §4.1.2.6, EN 319 412-3 §4.2.1).

use std::fmt;

use x509_parser::asn1_rs::{Any, Oid, Tag, oid};
use x509_parser::x509::X509Name;

use super::LeafError;
use crate::der;
use crate::limits::{NAME_ATTRIBUTES_MAX, ORGANISATION_ID_BYTES_MAX};

/// `id-at-organizationIdentifier` (X.520).
const ORGANISATION_IDENTIFIER: Oid<'static> = oid!(2.5.4.97);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) display: Box<str>,
    pub(super) organisation: Option<Box<str>>,
    pub(super) common_name: Option<Box<str>>,
    pub(super) country: Option<Box<str>>,
    pub(super) organisation_ids: Vec<OrganisationIdValue>,
}

impl Subject {
    pub(super) fn read(name: &X509Name<'_>) -> Result<Self, LeafError> {
        let organisation_ids = name
            .iter_by_oid(&ORGANISATION_IDENTIFIER)
            .map(|attribute| OrganisationIdValue::read(attribute.attr_value()))
            .collect();
        let organisation = name.iter_organization().next().and_then(|a| der::text(a.attr_value()));
        let common_name = name.iter_common_name().next().and_then(|a| der::text(a.attr_value()));
        let country = name.iter_country().next().and_then(|a| der::text(a.attr_value()));
        Ok(Self {
            display: display(name)?,
            organisation: organisation.map(Into::into),
            common_name: common_name.map(Into::into),
            country: country.map(Into::into),
            organisation_ids,
        })
    }
}

/// A name for a person to read. Values that are no text come out as hexadecimal.
pub(super) fn display(name: &X509Name<'_>) -> Result<Box<str>, LeafError> {
    if name.iter_attributes().nth(NAME_ATTRIBUTES_MAX).is_some() {
        return Err(LeafError::TooManyNameAttributes);
    }
    let text = name.to_string_with_registry(x509_parser::objects::oid_registry());
    let text = text.map_err(|_| LeafError::Malformed { what: "a name" })?;
    Ok(text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
}

/// One organizationIdentifier of a subject, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganisationIdValue {
    /// The text; `None` when its type is not accepted, its octets are not of that type, or it is
    /// longer than any id.
    pub text: Option<Box<str>>,
    /// In which ASN.1 string type it was written.
    pub string_type: StringType,
    /// Octets of the value.
    pub bytes: usize,
}

impl OrganisationIdValue {
    fn read(any: &Any<'_>) -> Self {
        let text = der::text(any).filter(|text| text.len() <= ORGANISATION_ID_BYTES_MAX);
        Self { text: text.map(Into::into), string_type: StringType::of(any), bytes: any.data.len() }
    }
}

/// The ASN.1 string types of a directory name (X.520 `DirectoryString` and its neighbours).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StringType {
    /// UTF8String: accepted.
    Utf8,
    /// PrintableString: accepted.
    Printable,
    /// BMPString.
    Bmp,
    /// TeletexString, also called T61String.
    Teletex,
    /// UniversalString.
    Universal,
    /// IA5String.
    Ia5,
    /// Another type.
    Other,
}

impl StringType {
    fn of(any: &Any<'_>) -> Self {
        match any.tag() {
            Tag::Utf8String => Self::Utf8,
            Tag::PrintableString => Self::Printable,
            Tag::BmpString => Self::Bmp,
            Tag::TeletexString => Self::Teletex,
            Tag::UniversalString => Self::Universal,
            Tag::Ia5String => Self::Ia5,
            _ => Self::Other,
        }
    }

    /// Whether an organisation id may be written in it.
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::Utf8 | Self::Printable)
    }
}

impl fmt::Display for StringType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "UTF8String",
            Self::Printable => "PrintableString",
            Self::Bmp => "BMPString",
            Self::Teletex => "TeletexString",
            Self::Universal => "UniversalString",
            Self::Ia5 => "IA5String",
            Self::Other => "no string type",
        })
    }
}
