//! `octroi cert inspect`: what a certificate says, for a person or as JSON.

mod report;

use std::io::Write;
use std::path::{Path, PathBuf};

use certs::{
    ClientAuthEku, Leaf, ProfileFault, ProfilePolicy, QcType, Qsealc, Qwac, RevocationSource,
    RevocationStatus,
};
use jiff::Timestamp;

use self::report::{Acceptance, Report};
use crate::cli::{Answer, Failure, Output, files};
use crate::config::Config;
use crate::world;

const EXAMPLE: &str = "Example:
  octroi cert inspect qwac.pem
  octroi cert inspect --config octroi.toml --output json - < qwac.pem

Exit code 0: a QWAC or QSEALC (with --config: a QWAC that the gateway would accept now), 1: it is
not, 3: the file holds no certificate.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The certificate in PEM (the first one is looked at) or DER; `-`: standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Judge it with the anchors, revocation lists and profile of this configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As what it is judged; by default a seal as a seal, everything else as a QWAC
    #[arg(long = "as", value_enum, value_name = "KIND")]
    judge_as: Option<Kind>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// For TLS
    Qwac,
    /// For signatures
    Qsealc,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    if is_url(&args.file) {
        return Err(Failure::Cannot(format!(
            "{} is a URL, and nothing is fetched here. To mend: fetch it yourself, for example \
             with `openssl s_client -connect HOST:443 </dev/null | octroi cert inspect -`",
            args.file.display()
        )));
    }
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
    let report = Report::of(&leaf, judged(&leaf, args.judge_as), Timestamp::now(), accepted);
    match args.output {
        Output::Text => report.write_text(out)?,
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(if report.is_good() { Answer::Good } else { Answer::No })
}

fn is_url(file: &Path) -> bool {
    file.to_str().is_some_and(|text| text.contains("://"))
}

fn acceptance(config: &Config, leaf: &Leaf, sent: &[Vec<u8>]) -> Result<Acceptance, Failure> {
    let world = world::load(config).map_err(Failure::cannot)?;
    let now = Timestamp::now();
    let trusted = world.anchors.find_path(leaf, sent, now);
    let (mut revocation, mut path) = (None, Vec::new());
    let fault = match &trusted {
        Err(fault) => Some(fault.to_string()),
        Ok(trusted) => {
            let above = trusted.links().iter().map(|link| link.issuer_certificate.subject());
            path = above.map(str::to_owned).collect();
            let status = world.revocations.status(trusted, now);
            let (told, fault) = told(status, world.revocation_unchecked);
            revocation = Some(told);
            if now < trusted.not_before() {
                Some(format!("it is valid from {}", trusted.not_before()))
            } else if now > trusted.not_after() {
                Some(format!("it was valid until {}", trusted.not_after()))
            } else {
                fault
            }
        }
    };
    let profile = || Qwac::read(leaf, &world.profile).err().map(|fault| fault.to_string());
    let fault = fault.or_else(profile);
    Ok(Acceptance {
        accepted: fault.is_none(),
        anchor: trusted.ok().map(|trusted| trusted.anchor_subject().to_owned()),
        path,
        revocation,
        fault,
    })
}

/// What is known, and why that is too little.
fn told(status: RevocationStatus, unchecked: bool) -> (String, Option<String>) {
    match status {
        RevocationStatus::Good { as_of, source } => {
            let source = match source {
                RevocationSource::Crl => "CRL",
                RevocationSource::Ocsp => "OCSP",
            };
            (format!("good as of {as_of} ({source})"), None)
        }
        RevocationStatus::Revoked { since } => {
            let told = format!("revoked since {since}");
            (told.clone(), Some(told))
        }
        RevocationStatus::Unknown(why) => {
            let told = format!("unknown: {why}");
            (told, (!unchecked).then(|| why.to_string()))
        }
    }
}

/// The kind, and why the certificate is not of it.
fn judged(leaf: &Leaf, kind: Option<Kind>) -> (&'static str, Option<ProfileFault>) {
    let seals = || leaf.qc().is_ok_and(|statements| statements.types == [QcType::Eseal]);
    match kind.unwrap_or_else(|| if seals() { Kind::Qsealc } else { Kind::Qwac }) {
        Kind::Qsealc => ("QSEALC", Qsealc::read(leaf).err()),
        Kind::Qwac => {
            let policy = ProfilePolicy { client_auth_eku: ClientAuthEku::Require };
            ("QWAC", Qwac::read(leaf, &policy).err())
        }
    }
}
