//! Keys, CAs and their lists.

use jiff::{SignedDuration, Timestamp};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};

use crate::anchors::TEST_QTSP_ORGANISATION;
use crate::test_qtsp::QtspError;
use crate::test_qtsp::der::{
    bits, context, generalized_time, integer, octets, oid, sequence, time, universal,
};
use crate::test_qtsp::draft::{
    Algorithm, Attribute, BASIC_CONSTRAINTS, COMMON_NAME, COUNTRY, Draft, Extension, KEY_USAGE,
    ORGANISATION, attribute, basic_constraints, key_usage, name,
};

/// A CA that signs members.
#[derive(Clone)]
pub(super) struct Ca {
    pub(super) subject: Vec<Vec<Attribute>>,
    pub(super) key: PKey<Private>,
    pub(super) der: Vec<u8>,
    pub(super) algorithm: Algorithm,
}

impl Ca {
    pub(super) fn name(&self) -> Result<Vec<u8>, QtspError> {
        name(&self.subject)
    }
}

pub(super) fn p256() -> Result<PKey<Private>, QtspError> {
    curve(Nid::X9_62_PRIME256V1)
}

pub(super) fn curve(curve: Nid) -> Result<PKey<Private>, QtspError> {
    Ok(PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(curve)?)?)?)
}

pub(super) fn serial() -> Result<Vec<u8>, QtspError> {
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::ONE, false)?;
    Ok(serial.to_vec())
}

pub(super) fn pem(label: &str, ders: &[&[u8]]) -> Vec<u8> {
    let blocks = ders.iter().map(|der| {
        let text = openssl::base64::encode_block(der);
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    });
    blocks.collect::<String>().into_bytes()
}

pub(super) fn ca_draft(
    common_name: &str,
    key: &PKey<Private>,
    algorithm: Algorithm,
    now: Timestamp,
) -> Result<Draft, QtspError> {
    let at = |hours| {
        now.checked_add(SignedDuration::from_hours(hours)).map_err(|_| QtspError::Instant(now))
    };
    let extension = |oid: &'static str, value| Extension { oid: oid.into(), critical: true, value };
    Ok(Draft {
        version: Some(2),
        serial: serial()?,
        not_before: at(-24 * 365 * 5)?,
        not_after: at(24 * 365 * 8)?,
        subject: vec![
            vec![attribute(COUNTRY, "IE")],
            vec![attribute(ORGANISATION, TEST_QTSP_ORGANISATION)],
            vec![attribute(COMMON_NAME, common_name)],
        ],
        key: key.public_key_to_der()?,
        extensions: vec![
            extension(BASIC_CONSTRAINTS, basic_constraints(true, None)?),
            extension(KEY_USAGE, key_usage(&[5, 6])?),
        ],
        identified: true,
        algorithm,
        inner_algorithm: None,
    })
}

pub(super) fn self_signed(
    common_name: &str,
    key: PKey<Private>,
    algorithm: Algorithm,
    now: Timestamp,
) -> Result<Ca, QtspError> {
    let draft = ca_draft(common_name, &key, algorithm, now)?;
    let der = draft.sign(&name(&draft.subject)?, &key)?;
    Ok(Ca { subject: draft.subject, key, der, algorithm })
}

pub(super) fn below(
    parent: &Ca,
    common_name: &str,
    key: PKey<Private>,
    algorithm: Algorithm,
    now: Timestamp,
) -> Result<Ca, QtspError> {
    let draft = ca_draft(common_name, &key, parent.algorithm, now)?;
    let der = draft.sign(&parent.name()?, &parent.key)?;
    Ok(Ca { subject: draft.subject, key, der, algorithm })
}

/// A complete list (RFC 5280 §5.1); each entry since an hour before it.
pub(super) fn crl(
    ca: &Ca,
    revoked: &[Vec<u8>],
    this_update: Timestamp,
    next_update: Timestamp,
) -> Result<Vec<u8>, QtspError> {
    let since = this_update.checked_sub(SignedDuration::from_hours(1));
    let since = since.map_err(|_| QtspError::Instant(this_update))?;
    let hold = sequence(&[oid("2.5.29.21")?, octets(&universal(10, &[6])?)?])?;
    let entry = |(index, serial): (usize, &Vec<u8>)| {
        // Every second is on hold only, which is as good as revoked.
        let reason =
            if index % 2 == 1 { sequence(std::slice::from_ref(&hold))? } else { Vec::new() };
        sequence(&[integer(serial)?, time(since)?, reason])
    };
    let entries = revoked.iter().enumerate().map(entry).collect::<Result<Vec<_>, QtspError>>()?;
    let entries = if entries.is_empty() { Vec::new() } else { sequence(&entries)? };
    let number = sequence(&[oid("2.5.29.20")?, octets(&integer(&[1])?)?])?;
    let signed = sequence(&[
        integer(&[1])?,
        ca.algorithm.identifier()?,
        ca.name()?,
        time(this_update)?,
        if next_update < this_update { generalized_time(next_update)? } else { time(next_update)? },
        entries,
        context(0, true, &sequence(&[number])?)?,
    ])?;
    let signature = ca.algorithm.sign(&ca.key, &signed)?;
    sequence(&[signed, ca.algorithm.identifier()?, bits(&signature)?])
}
