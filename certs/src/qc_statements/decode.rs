//! From octets to [`QcStatements`] (RFC 3739 §3.2.6: `SEQUENCE OF SEQUENCE { OID, ANY OPTIONAL }`).

use x509_parser::asn1_rs::{Any, FromDer, Oid, Tag, oid};

use super::{Psd2Statement, QcFault, QcStatements, QcType};
use crate::der;
use crate::limits::{QC_STATEMENTS_BYTES_MAX, QC_STATEMENTS_MAX};

const QC_COMPLIANCE: Oid<'static> = oid!(0.4.0.1862.1.1);
const QC_SSCD: Oid<'static> = oid!(0.4.0.1862.1.4);
const QC_TYPE: Oid<'static> = oid!(0.4.0.1862.1.6);
const QC_TYPE_ESIGN: Oid<'static> = oid!(0.4.0.1862.1.6.1);
const QC_TYPE_ESEAL: Oid<'static> = oid!(0.4.0.1862.1.6.2);
const QC_TYPE_WEB: Oid<'static> = oid!(0.4.0.1862.1.6.3);
const QC_CC_LEGISLATION: Oid<'static> = oid!(0.4.0.1862.1.7);
const PSD2: Oid<'static> = oid!(0.4.0.19495.2);

/// Most countries or types in one statement.
const VALUES_MAX: usize = 16;

pub(super) fn decode(bytes: &[u8]) -> Result<QcStatements, QcFault> {
    if bytes.len() > QC_STATEMENTS_BYTES_MAX {
        return Err(QcFault::TooLong { bytes: bytes.len() });
    }
    if !der::is_strict(bytes) {
        return Err(QcFault::NotStrictDer);
    }
    let (rest, list) = Any::from_der(bytes).map_err(|_| QcFault::NotStrictDer)?;
    if !rest.is_empty() {
        return Err(QcFault::NotStrictDer);
    }
    let list = der::elements(&list, QC_STATEMENTS_MAX).ok_or(QcFault::NotAList)?;
    match list.first() {
        None => return Err(QcFault::NotAList),
        Some(first) if first.tag() == Tag::Oid => return Err(QcFault::BareStatement),
        Some(_) => {}
    }
    let mut statements = QcStatements::default();
    for (index, statement) in list.iter().enumerate() {
        let fault = || QcFault::NotAStatement { position: index + 1 };
        let parts = der::elements(statement, 2).ok_or_else(fault)?;
        let id = parts.first().and_then(der::oid).ok_or_else(fault)?;
        let oid = id.to_id_string();
        if statements.present.contains(&oid) {
            return Err(QcFault::Duplicate { oid });
        }
        read_statement(&mut statements, &id, parts.get(1))?;
        statements.present.push(oid);
    }
    Ok(statements)
}

fn read_statement(
    statements: &mut QcStatements,
    id: &Oid<'_>,
    info: Option<&Any<'_>>,
) -> Result<(), QcFault> {
    if *id == QC_COMPLIANCE {
        statements.compliance = true;
        statements.has_stray_value |= info.is_some();
    } else if *id == QC_SSCD {
        statements.sscd = true;
        statements.has_stray_value |= info.is_some();
    } else if *id == QC_TYPE {
        statements.types = values(info, "QcType", |any| der::oid(any).map(|oid| qc_type(&oid)))?;
    } else if *id == QC_CC_LEGISLATION {
        statements.legislation = values(info, "QcCClegislation", country)?;
    } else if *id == PSD2 {
        statements.psd2 = Some(Psd2Statement::read(info)?);
    }
    Ok(())
}

fn values<T>(
    info: Option<&Any<'_>>,
    name: &'static str,
    read: impl Fn(&Any<'_>) -> Option<T>,
) -> Result<Vec<T>, QcFault> {
    let fault = QcFault::Malformed { name };
    let Some(list) = info.and_then(|any| der::elements(any, VALUES_MAX)) else { return Err(fault) };
    let values: Option<Vec<T>> = list.iter().map(read).collect();
    values.filter(|values| !values.is_empty()).ok_or(fault)
}

fn qc_type(oid: &Oid<'_>) -> QcType {
    if *oid == QC_TYPE_ESIGN {
        QcType::Esign
    } else if *oid == QC_TYPE_ESEAL {
        QcType::Eseal
    } else if *oid == QC_TYPE_WEB {
        QcType::Web
    } else {
        QcType::Other(oid.to_id_string())
    }
}

/// `CountryName ::= PrintableString (SIZE (2))`.
fn country(any: &Any<'_>) -> Option<String> {
    let text = der::text(any).filter(|_| any.tag() == Tag::PrintableString)?;
    (text.len() == 2).then(|| text.to_owned())
}
