//! The report, in both forms.

use std::io::Write;

use certs::{Finding, Leaf, ProfileFault};
use jiff::Timestamp;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Report {
    /// As what it is judged: `QWAC` or `QSEALC`.
    kind: &'static str,
    subject: String,
    organisation: Option<String>,
    issuer: String,
    serial: String,
    sha256: String,
    organisation_ids: Vec<String>,
    roles: Vec<String>,
    /// OIDs of roles that we do not know; they grant nothing.
    unknown_roles: Vec<String>,
    authority_name: Option<String>,
    authority_id: Option<String>,
    qualified: bool,
    qc_types: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    /// Whole days until it ends; negative when it has ended.
    days_left: i64,
    key: String,
    key_usage: Vec<&'static str>,
    signature: String,
    crl_urls: Vec<String>,
    ocsp_urls: Vec<String>,
    issuer_urls: Vec<String>,
    /// Why it is not what it is judged as, if it is not.
    profile_fault: Option<String>,
    refusals: Vec<Remark>,
    warnings: Vec<Remark>,
    /// Only with a configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<Acceptance>,
}

#[derive(Serialize)]
struct Remark {
    lint: &'static str,
    clause: &'static str,
    detail: String,
}

/// What the gateway of a configuration would make of the certificate.
#[derive(Serialize)]
pub(super) struct Acceptance {
    pub(super) accepted: bool,
    /// The QTSP that it leads to.
    pub(super) anchor: Option<String>,
    /// The subjects above it, up to the anchor.
    pub(super) path: Vec<String>,
    pub(super) revocation: Option<String>,
    pub(super) fault: Option<String>,
}

impl Remark {
    fn of(finding: Finding) -> Self {
        Self { lint: finding.lint.code(), clause: finding.lint.clause(), detail: finding.detail }
    }
}

impl Report {
    pub(super) fn of(
        leaf: &Leaf,
        (kind, fault): (&'static str, Option<ProfileFault>),
        now: Timestamp,
        accepted: Option<Acceptance>,
    ) -> Self {
        let statements = leaf.qc().ok();
        let psd2 = statements.and_then(|statements| statements.psd2.as_ref());
        let ids = leaf.organisation_ids().iter().map(|id| match &id.text {
            Some(text) => text.chars().flat_map(shown).collect(),
            None => format!("(unreadable {})", id.string_type),
        });
        Self {
            kind,
            subject: leaf.subject().to_owned(),
            organisation: leaf.subject_organisation().map(str::to_owned),
            issuer: leaf.issuer().to_owned(),
            serial: leaf.serial_hex().to_owned(),
            sha256: hex::encode(leaf.fingerprint()),
            organisation_ids: ids.collect(),
            roles: psd2.map_or_else(Vec::new, |psd2| {
                psd2.roles.iter().map(|role| role.code().to_owned()).collect()
            }),
            unknown_roles: psd2.map_or_else(Vec::new, |psd2| psd2.unknown_roles.clone()),
            authority_name: psd2.map(|psd2| psd2.authority_name.clone()),
            authority_id: psd2.map(|psd2| psd2.authority_id.clone()),
            qualified: statements.is_some_and(|statements| statements.compliance),
            qc_types: statements.map_or_else(Vec::new, |statements| {
                statements.types.iter().map(ToString::to_string).collect()
            }),
            not_before: leaf.not_before(),
            not_after: leaf.not_after(),
            days_left: leaf.not_after().duration_since(now).as_hours().div_euclid(24),
            key: leaf.key().to_string(),
            key_usage: leaf.key_usage().map_or_else(Vec::new, |usage| usage.names().collect()),
            signature: leaf.signature_algorithm().to_string(),
            crl_urls: leaf.crl_urls().to_vec(),
            ocsp_urls: leaf.ocsp_urls().to_vec(),
            issuer_urls: leaf.ca_issuer_urls().to_vec(),
            profile_fault: fault.as_ref().map(ToString::to_string),
            refusals: fault.iter().map(|fault| Remark::of(Finding::of_fault(fault))).collect(),
            warnings: Finding::warnings(leaf).into_iter().map(Remark::of).collect(),
            accepted,
        }
    }

    /// What the exit code says.
    pub(super) fn is_good(&self) -> bool {
        match &self.accepted {
            Some(acceptance) => acceptance.accepted,
            None => self.profile_fault.is_none(),
        }
    }

    pub(super) fn write_text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let or_none = |list: &[String]| {
            if list.is_empty() { "none".to_owned() } else { list.join(", ") }
        };
        let authority = match (&self.authority_name, &self.authority_id) {
            (Some(name), Some(id)) => format!("{name} ({id})"),
            _ => "none".to_owned(),
        };
        let life = match self.days_left {
            days @ 0.. => format!("{days} days left"),
            days => format!("ended {} days ago", -days),
        };
        for (name, value) in [
            ("organisation id", or_none(&self.organisation_ids)),
            ("roles", or_none(&self.roles)),
            ("unknown roles", or_none(&self.unknown_roles)),
            ("authority", authority),
            ("subject", self.subject.clone()),
            ("issuer", self.issuer.clone()),
            ("valid", format!("{} to {} ({life})", self.not_before, self.not_after)),
            ("qualified", if self.qualified { "yes".to_owned() } else { "no".to_owned() }),
            ("QcType", or_none(&self.qc_types)),
            ("key", self.key.clone()),
            ("signed with", self.signature.clone()),
            ("serial", self.serial.clone()),
            ("SHA-256", self.sha256.clone()),
            ("CRL", or_none(&self.crl_urls)),
            ("OCSP", or_none(&self.ocsp_urls)),
        ] {
            writeln!(out, "{name:<16} {value}")?;
        }
        match &self.profile_fault {
            Some(fault) => writeln!(out, "{:<16} no: {fault}", self.kind)?,
            None => writeln!(out, "{:<16} yes", self.kind)?,
        }
        for (severity, remarks) in [("refused by", &self.refusals), ("remark", &self.warnings)] {
            for Remark { lint, clause, detail } in remarks {
                writeln!(out, "{severity:<16} {lint}: {detail} [{clause}]")?;
            }
        }
        let Some(acceptance) = &self.accepted else { return Ok(()) };
        if acceptance.anchor.is_some() {
            writeln!(out, "{:<16} {}", "path", acceptance.path.join("  <-  "))?;
        }
        if let Some(revocation) = &acceptance.revocation {
            writeln!(out, "{:<16} {revocation}", "revocation")?;
        }
        match &acceptance.fault {
            Some(fault) => writeln!(out, "{:<16} no: {fault}", "accepted here"),
            None => writeln!(out, "{:<16} yes", "accepted here"),
        }
    }
}

/// A character as a person may be shown it: what is outside printable ASCII by its number.
fn shown(character: char) -> Vec<char> {
    if character == ' ' || character.is_ascii_graphic() {
        vec![character]
    } else {
        format!("<U+{:04X}>", u32::from(character)).chars().collect()
    }
}
