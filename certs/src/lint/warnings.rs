//! The remarks that refuse nobody.

use jiff::SignedDuration;

use super::{Finding, Lint};
use crate::leaf::{AlternativeName, Leaf};
use crate::organisation::OrganisationId;
use crate::qc_statements::{Psd2Statement, QcType};
use crate::role::PspRole;

/// What stands for the authority where there is none (TS 119 495 §5.2.3).
const NO_AUTHORITY: &str = "NA";
/// CA/B Baseline Requirements §6.3.2 when the first QWACs were issued; shorter since.
const VALIDITY_DAYS_MAX: i64 = 825;
/// Entropy that makes a serial number unguessable (CA/B BR §7.1).
const SERIAL_BYTES_MIN: usize = 8;
const SERIAL_BYTES_MAX: usize = 20;

pub(super) fn of(leaf: &Leaf) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut remark = |lint, detail: String| findings.push(Finding { lint, detail });
    let statements = leaf.qc().ok();
    if let Some(psd2) = statements.and_then(|statements| statements.psd2.as_ref()) {
        roles(psd2, &mut remark);
        authority(psd2, &mut remark);
    }
    if statements.is_some_and(|statements| statements.has_stray_value) {
        remark(Lint::StatementValue, "it is said by being there".to_owned());
    }
    subject(leaf, &mut remark);
    if statements.is_some_and(|statements| statements.types == [QcType::Web]) {
        web(leaf, &mut remark);
    }
    key_usage(leaf, &mut remark);
    if leaf.crl_urls().is_empty() && leaf.ocsp_urls().is_empty() {
        remark(Lint::RevocationSourceMissing, "the bank needs its issuer's CRL".to_owned());
    }
    if leaf.ca_issuer_urls().is_empty() {
        remark(Lint::IssuerUrlMissing, "send the issuing CA in the handshake".to_owned());
    }
    let valid = leaf.not_before().duration_until(leaf.not_after());
    if valid > SignedDuration::from_hours(24 * VALIDITY_DAYS_MAX) {
        remark(Lint::ValidityLong, format!("{} days", valid.as_hours() / 24));
    }
    serial(leaf.serial(), &mut remark);
    findings
}

fn roles(psd2: &Psd2Statement, remark: &mut impl FnMut(Lint, String)) {
    for (oid, name) in &psd2.role_names {
        match PspRole::from_oid(oid) {
            Some(role) if role.code() != name => {
                remark(Lint::RoleName, format!("{oid} is {}, named {name:?}", role.code()));
            }
            Some(_) => {}
            None => remark(Lint::RoleUnknown, format!("{oid}, named {name:?}")),
        }
    }
    if psd2.roles.iter().all(|role| role == PspRole::Unspecified) {
        remark(Lint::RolesEmpty, "no API opens for it".to_owned());
    }
}

fn authority(psd2: &Psd2Statement, remark: &mut impl FnMut(Lint, String)) {
    let public = |role| matches!(role, PspRole::CentralBank | PspRole::PublicAuthority);
    let is_public = !psd2.roles.is_empty() && psd2.roles.iter().all(public);
    let (name, id) = (psd2.authority_name.as_str(), psd2.authority_id.as_str());
    if [name, id].iter().any(|text| (*text == NO_AUTHORITY) != is_public) {
        remark(Lint::AuthorityNa, format!("nCAName {name:?}, nCAId {id:?}"));
    }
    if !name.chars().all(is_latin) {
        remark(Lint::AuthorityNameLatin, format!("it is {name:?}"));
    }
    let well_formed = id.split_once('-').is_some_and(|(country, code)| {
        let capitals = |text: &str| text.bytes().all(|octet| octet.is_ascii_uppercase());
        country.len() == 2 && capitals(country) && (2..=8).contains(&code.len()) && capitals(code)
    });
    if !well_formed && id != NO_AUTHORITY {
        remark(Lint::AuthorityIdForm, format!("it is {id:?}"));
    }
}

/// Letters of the Latin blocks of Unicode (up to Latin Extended-B, and Extended Additional); what is
/// no letter belongs to every script.
fn is_latin(character: char) -> bool {
    !character.is_alphabetic() || matches!(character, '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
}

fn subject(leaf: &Leaf, remark: &mut impl FnMut(Lint, String)) {
    for (value, lint) in [
        (leaf.subject_country(), Lint::SubjectCountryMissing),
        (leaf.subject_organisation(), Lint::SubjectOrganisationMissing),
        (leaf.subject_common_name(), Lint::SubjectCommonNameMissing),
    ] {
        if value.is_none() {
            remark(lint, format!("the subject is {}", leaf.subject()));
        }
    }
    let texts = leaf.organisation_ids().iter().filter_map(|value| value.text.as_deref());
    for id in texts.filter_map(|text| OrganisationId::new(text).ok()) {
        match id.psd() {
            Some(psd) if psd.reference.contains(' ') => {
                remark(Lint::OrganisationIdSpace, format!("it is {id}"));
            }
            Some(_) => {}
            None => remark(Lint::OrganisationIdOther, format!("it is {id}")),
        }
    }
}

fn web(leaf: &Leaf, remark: &mut impl FnMut(Lint, String)) {
    let named = |name: &AlternativeName| matches!(name, AlternativeName::Dns(_));
    if !leaf.alternative_names().iter().any(named) {
        remark(Lint::AlternativeNameMissing, "no dNSName".to_owned());
    }
    if leaf.qc().is_ok_and(|statements| statements.sscd) {
        remark(Lint::SscdForWeb, "that is for signatures and seals".to_owned());
    }
    match leaf.ext_key_usage() {
        None => remark(Lint::ExtKeyUsageMissing, "serverAuth and clientAuth are usual".to_owned()),
        Some(usage) if usage.any => {
            remark(Lint::ExtKeyUsageAny, "it does not stand for clientAuth".to_owned());
        }
        Some(_) => {}
    }
}

fn key_usage(leaf: &Leaf, remark: &mut impl FnMut(Lint, String)) {
    match leaf.key_usage() {
        None => remark(Lint::KeyUsageMissing, "it may be used for anything".to_owned()),
        Some(usage) if usage.encipherment() && leaf.key().is_elliptic() => {
            remark(Lint::KeyUsageForEc, format!("the key is {}", leaf.key()));
        }
        Some(_) => {}
    }
}

fn serial(octets: &[u8], remark: &mut impl FnMut(Lint, String)) {
    let significant: usize = octets.len() - octets.iter().take_while(|octet| **octet == 0).count();
    let negative = octets.first().is_some_and(|octet| octet & 0x80 != 0);
    if significant == 0 || negative || significant > SERIAL_BYTES_MAX {
        remark(Lint::SerialForm, format!("it is {}", hex::encode(octets)));
    } else if significant < SERIAL_BYTES_MIN {
        remark(Lint::SerialShort, format!("it is {}", hex::encode(octets)));
    }
}
