//! The qcStatements extension, encoded (EN 319 412-5, TS 119 495 annex A).

use std::borrow::Cow;

use x509_parser::asn1_rs::{Oid, Sequence, ToDer, Utf8String, oid};

use super::QtspError;
use super::recipe::{Defect, Kind, Recipe};
use crate::role::PspRole;

const COMPLIANCE: Oid<'static> = oid!(0.4.0.1862.1.1);
const TYPE: Oid<'static> = oid!(0.4.0.1862.1.6);
const TYPE_ESEAL: Oid<'static> = oid!(0.4.0.1862.1.6.2);
const TYPE_WEB: Oid<'static> = oid!(0.4.0.1862.1.6.3);
const PSD2: Oid<'static> = oid!(0.4.0.19495.2);
/// An arc of no state: what a reader must keep and not understand.
const FOREIGN_ROLE: Oid<'static> = oid!(0.4.0.19495.9.1);

/// `None` when the certificate has no qcStatements.
pub(super) fn encode(recipe: &Recipe) -> Result<Option<Vec<u8>>, QtspError> {
    let kind = match recipe.kind {
        Kind::Qwac if recipe.has(Defect::SealType) => TYPE_ESEAL,
        Kind::Qwac => TYPE_WEB,
        Kind::Qsealc => TYPE_ESEAL,
        Kind::TlsClient | Kind::TlsServer { .. } => return Ok(None),
    };
    if recipe.has(Defect::NoStatements) {
        return Ok(None);
    }
    let mut statements = Vec::new();
    if !recipe.has(Defect::NoCompliance) {
        statements.push(sequence(&[der(&COMPLIANCE)?])?);
    }
    if !recipe.has(Defect::NoType) {
        statements.push(sequence(&[der(&TYPE)?, sequence(&[der(&kind)?])?])?);
    }
    let copies = if recipe.has(Defect::TwoPsd2) { 2 } else { 1 };
    for _ in 0..copies {
        if !recipe.has(Defect::NoPsd2) {
            statements.push(sequence(&[der(&PSD2)?, psd2(recipe)?])?);
        }
    }
    sequence(&statements).map(Some)
}

fn psd2(recipe: &Recipe) -> Result<Vec<u8>, QtspError> {
    let mut roles = Vec::new();
    if recipe.has(Defect::UnknownRole) {
        roles.push(sequence(&[der(&FOREIGN_ROLE)?, text("PSP_XX")?])?);
    }
    for role in &recipe.roles {
        roles.push(sequence(&[der(&role_oid(*role)?)?, text(role.code())?])?);
    }
    let mut parts = vec![sequence(&roles)?, text(&recipe.authority_name)?];
    if !recipe.has(Defect::MalformedPsd2) {
        parts.push(text(&recipe.authority_id)?);
    }
    sequence(&parts)
}

fn role_oid(role: PspRole) -> Result<Oid<'static>, QtspError> {
    Oid::from(&[0, 4, 0, 19495, 1, role.oid_arc()]).map_err(|_| QtspError::Encoding("a role"))
}

fn text(text: &str) -> Result<Vec<u8>, QtspError> {
    der(&Utf8String::new(text))
}

fn sequence(parts: &[Vec<u8>]) -> Result<Vec<u8>, QtspError> {
    der(&Sequence::new(Cow::Owned(parts.concat())))
}

fn der(value: &impl ToDer) -> Result<Vec<u8>, QtspError> {
    value.to_der_vec().map_err(|_| QtspError::Encoding("a statement"))
}
