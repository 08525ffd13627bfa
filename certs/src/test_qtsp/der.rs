//! Values put together octet by octet where OpenSSL offers no way to make them wrong.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use x509_parser::asn1_rs::{
    Any, BitString, Class, Enumerated, GeneralizedTime, Header, Integer, Length, Oid, Sequence,
    Set, Tag, ToDer, UtcTime, Utf8String,
};

use super::QtspError;

pub(super) fn der(value: &impl ToDer) -> Result<Vec<u8>, QtspError> {
    value.to_der_vec().map_err(|_| QtspError::Encoding("a value"))
}

pub(super) fn sequence(parts: &[Vec<u8>]) -> Result<Vec<u8>, QtspError> {
    der(&Sequence::new(Cow::Owned(parts.concat())))
}

pub(super) fn set(parts: &[Vec<u8>]) -> Result<Vec<u8>, QtspError> {
    der(&Set::new(Cow::Owned(parts.concat())))
}

pub(super) fn oid(dotted: &str) -> Result<Vec<u8>, QtspError> {
    let arcs: Option<Vec<u64>> = dotted.split('.').map(|arc| arc.parse().ok()).collect();
    let arcs = arcs.ok_or(QtspError::Encoding("an OID"))?;
    der(&Oid::from(&arcs).map_err(|_| QtspError::Encoding("an OID"))?)
}

pub(super) fn text(text: &str) -> Result<Vec<u8>, QtspError> {
    der(&Utf8String::new(text))
}

pub(super) fn octets(content: &[u8]) -> Result<Vec<u8>, QtspError> {
    tagged(Class::Universal, false, Tag::OctetString, content)
}

pub(super) fn bits(content: &[u8]) -> Result<Vec<u8>, QtspError> {
    der(&BitString::new(0, content))
}

/// Content octets as they are: with a leading zero or a sign that nobody wants.
pub(super) fn integer(content: &[u8]) -> Result<Vec<u8>, QtspError> {
    der(&Integer::new(content))
}

pub(super) fn enumerated(value: u32) -> Result<Vec<u8>, QtspError> {
    der(&Enumerated::new(value))
}

pub(super) fn boolean(value: bool) -> Result<Vec<u8>, QtspError> {
    der(&value)
}

pub(super) fn null() -> Result<Vec<u8>, QtspError> {
    der(&())
}

/// `[number]` around a value, or in its place.
pub(super) fn context(
    number: u32,
    constructed: bool,
    content: &[u8],
) -> Result<Vec<u8>, QtspError> {
    tagged(Class::ContextSpecific, constructed, Tag(number), content)
}

pub(super) fn universal(tag: u32, content: &[u8]) -> Result<Vec<u8>, QtspError> {
    tagged(Class::Universal, false, Tag(tag), content)
}

fn tagged(class: Class, constructed: bool, tag: Tag, content: &[u8]) -> Result<Vec<u8>, QtspError> {
    let header = Header::new(class, constructed, tag, Length::Definite(content.len()));
    der(&Any::new(header, content))
}

/// UTCTime until 2049, GeneralizedTime from then on (RFC 5280 §4.1.2.5).
pub(super) fn time(instant: Timestamp) -> Result<Vec<u8>, QtspError> {
    let mut at = moment(instant)?;
    if at.year >= 2050 {
        return der(&GeneralizedTime::new(at));
    }
    // The encoder writes the year as it is.
    at.year %= 100;
    der(&UtcTime::new(at))
}

pub(super) fn generalized_time(instant: Timestamp) -> Result<Vec<u8>, QtspError> {
    der(&GeneralizedTime::new(moment(instant)?))
}

fn moment(instant: Timestamp) -> Result<x509_parser::asn1_rs::ASN1DateTime, QtspError> {
    use x509_parser::asn1_rs::{ASN1DateTime, ASN1TimeZone};

    let at = instant.to_zoned(TimeZone::UTC);
    let part = |value: i8| u8::try_from(value).map_err(|_| QtspError::Instant(instant));
    let year = u32::try_from(at.year()).map_err(|_| QtspError::Instant(instant))?;
    Ok(ASN1DateTime::new(
        year,
        part(at.month())?,
        part(at.day())?,
        part(at.hour())?,
        part(at.minute())?,
        part(at.second())?,
        None,
        ASN1TimeZone::Z,
    ))
}
