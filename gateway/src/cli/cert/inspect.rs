//! `octroi cert inspect`: what a certificate says, for a person or as JSON.

use std::io::Write;
use std::path::PathBuf;

use certs::{Leaf, ProfilePolicy, Qwac};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::{Answer, Failure, Output, files};
use crate::config::Config;
use crate::world;

const EXAMPLE: &str = "Example:
  octroi cert inspect qwac.pem
  octroi cert inspect --config octroi.toml --output json - < qwac.pem

Exit code 0: a QWAC (with --config: one that the gateway would accept now), 1: it is not, 3: the
file holds no certificate.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The certificate in PEM (the first one is looked at) or DER; `-`: standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Judge it with the anchors, revocation lists and profile of this configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Serialize)]
struct Report {
    subject: String,
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
    key: String,
    signature: String,
    crl_urls: Vec<String>,
    ocsp_urls: Vec<String>,
    /// Why it is no QWAC, if it is none.
    profile_fault: Option<String>,
    /// Only with a configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<Acceptance>,
}

/// What the gateway of a configuration would make of the certificate.
#[derive(Serialize)]
struct Acceptance {
    accepted: bool,
    /// The QTSP that it leads to.
    anchor: Option<String>,
    fault: Option<String>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let bytes = files::read(&args.file)?;
    let read = if bytes.starts_with(&[0x30]) {
        Leaf::from_der(&bytes).map(|leaf| (leaf, Vec::new()))
    } else {
        Leaf::from_pem(&bytes)
    };
    let (leaf, sent) =
        read.map_err(|error| Failure::Cannot(format!("{}: {error}", args.file.display())))?;
    let accepted = match &args.config {
        Some(file) => {
            Some(acceptance(&Config::load(file).map_err(Failure::cannot)?, &leaf, &sent)?)
        }
        None => None,
    };
    let policy = ProfilePolicy { client_auth_eku: certs::ClientAuthEku::Require };
    let report = Report::of(&leaf, &policy, accepted);
    match args.output {
        Output::Text => report.write_text(out)?,
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
    }
    let good = match &report.accepted {
        Some(acceptance) => acceptance.accepted,
        None => report.profile_fault.is_none(),
    };
    Ok(if good { Answer::Good } else { Answer::No })
}

fn acceptance(config: &Config, leaf: &Leaf, sent: &[Vec<u8>]) -> Result<Acceptance, Failure> {
    let world = world::load(config).map_err(Failure::cannot)?;
    let now = Timestamp::now();
    let trusted = world.anchors.find_path(leaf, sent, now);
    let fault = match &trusted {
        Err(fault) => Some(fault.to_string()),
        Ok(trusted) if now < trusted.not_before() => {
            Some(format!("it is valid from {}", trusted.not_before()))
        }
        Ok(trusted) if now > trusted.not_after() => {
            Some(format!("it was valid until {}", trusted.not_after()))
        }
        Ok(trusted) => match world.revocations.status(trusted, now) {
            certs::RevocationStatus::Good { .. } => None,
            certs::RevocationStatus::Revoked { since } => Some(format!("revoked since {since}")),
            certs::RevocationStatus::Unknown(_) if world.revocation_unchecked => None,
            certs::RevocationStatus::Unknown(why) => Some(why.to_string()),
        },
    };
    let fault =
        fault.or_else(|| Qwac::read(leaf, &world.profile).err().map(|fault| fault.to_string()));
    Ok(Acceptance {
        accepted: fault.is_none(),
        anchor: trusted.ok().map(|trusted| trusted.anchor_subject().to_owned()),
        fault,
    })
}

impl Report {
    fn of(leaf: &Leaf, policy: &ProfilePolicy, accepted: Option<Acceptance>) -> Self {
        let statements = leaf.qc().ok();
        let psd2 = statements.and_then(|statements| statements.psd2.as_ref());
        let ids = leaf.organisation_ids().iter().map(|id| match &id.text {
            Some(text) => text.to_string(),
            None => format!("(unreadable {})", id.string_type),
        });
        Self {
            subject: leaf.subject().to_owned(),
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
            key: leaf.key().to_string(),
            signature: leaf.signature_algorithm().to_string(),
            crl_urls: leaf.crl_urls().to_vec(),
            ocsp_urls: leaf.ocsp_urls().to_vec(),
            profile_fault: Qwac::read(leaf, policy).err().map(|fault| fault.to_string()),
            accepted,
        }
    }

    fn write_text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let or_none = |list: &[String]| {
            if list.is_empty() { "none".to_owned() } else { list.join(", ") }
        };
        let authority = match (&self.authority_name, &self.authority_id) {
            (Some(name), Some(id)) => format!("{name} ({id})"),
            _ => "none".to_owned(),
        };
        for (name, value) in [
            ("organisation id", or_none(&self.organisation_ids)),
            ("roles", or_none(&self.roles)),
            ("unknown roles", or_none(&self.unknown_roles)),
            ("authority", authority),
            ("subject", self.subject.clone()),
            ("issuer", self.issuer.clone()),
            ("valid", format!("{} to {}", self.not_before, self.not_after)),
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
            Some(fault) => writeln!(out, "{:<16} no: {fault}", "QWAC")?,
            None => writeln!(out, "{:<16} yes", "QWAC")?,
        }
        if let Some(acceptance) = &self.accepted {
            if let Some(anchor) = &acceptance.anchor {
                writeln!(out, "{:<16} {anchor}", "trusted by")?;
            }
            match &acceptance.fault {
                Some(fault) => writeln!(out, "{:<16} no: {fault}", "accepted here")?,
                None => writeln!(out, "{:<16} yes", "accepted here")?,
            }
        }
        Ok(())
    }
}
