//! `octroi cert issue`: test certificates of the sandbox's QTSP, which no production configuration
//! trusts.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use certs::test_qtsp::{Authority, Kind, Recipe};
use certs::{OrganisationId, PspRole};
use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};

use super::corpus;
use crate::cli::{Answer, Failure, files};
use crate::sandbox::DIRECTORY_DEFAULT;

const EXAMPLE: &str = "Example:
  octroi cert issue --organisation-id PSDFR-ACPR-12345 --role PSP_IC --out my-tpp

  octroi cert issue --corpus corpus

Writes my-tpp.pem (leaf, then issuing CA) and my-tpp.key; with --corpus, a directory of certificates
and chains, good and bad, with a manifest of the verdict that each is owed. Files that are there stay.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The sandbox whose QTSP issues it
    #[arg(long, value_name = "DIR", default_value = DIRECTORY_DEFAULT)]
    dir: PathBuf,
    /// What it is for
    #[arg(long, value_enum, default_value_t = CertificateKind::Qwac)]
    kind: CertificateKind,
    /// The organizationIdentifier, such as PSDFR-ACPR-12345
    #[arg(long, value_name = "ID", value_parser = organisation_id, required_unless_present = "corpus")]
    organisation_id: Option<OrganisationId>,
    /// A role, such as PSP_IC; once for each
    #[arg(long = "role", value_name = "ROLE", value_parser = role)]
    roles: Vec<PspRole>,
    /// The organisation's name
    #[arg(long, value_name = "NAME", default_value = "Test TPP")]
    organisation: String,
    /// Days that it is valid for
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=730))]
    days: u16,
    /// Where to write: OUT.pem and OUT.key
    #[arg(long, value_name = "OUT", required_unless_present = "corpus")]
    out: Option<PathBuf>,
    /// Make the whole corpus in this new directory instead
    #[arg(long, value_name = "DIR", conflicts_with_all = ["organisation_id", "out", "roles"])]
    corpus: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CertificateKind {
    /// For TLS
    Qwac,
    /// For signatures
    Qsealc,
}

fn organisation_id(text: &str) -> Result<OrganisationId, String> {
    OrganisationId::new(text).map_err(|error| error.to_string())
}

fn role(text: &str) -> Result<PspRole, String> {
    PspRole::from_code(text).ok_or_else(|| {
        let codes: Vec<_> = PspRole::ALL.iter().map(|role| role.code()).collect();
        format!("no such role; write one of {}", codes.join(", "))
    })
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    match (&args.corpus, &args.organisation_id, &args.out) {
        (Some(dir), ..) => corpus::run(dir, out),
        (None, Some(id), Some(stem)) => one(args, id, stem, out),
        _ => Err(Failure::Cannot("--organisation-id and --out, or --corpus".to_owned())),
    }
}

fn one(
    args: &Args,
    organisation_id: &OrganisationId,
    stem: &Path,
    out: &mut dyn Write,
) -> Result<Answer, Failure> {
    let qtsp = args.dir.join("qtsp/qtsp.pem");
    if !qtsp.exists() {
        return Err(Failure::Cannot(format!(
            "{}: there is no sandbox QTSP. To mend: run `octroi sandbox --dir {}` once",
            qtsp.display(),
            args.dir.display()
        )));
    }
    let authority = Authority::from_pem(&files::read(&qtsp)?)
        .map_err(|error| Failure::Cannot(format!("{}: {error}", qtsp.display())))?;
    let now = Timestamp::now();
    let id = organisation_id.as_str();
    let mut recipe = Recipe::qwac(&args.organisation, id, &args.roles, now);
    if let Some(psd) = organisation_id.psd() {
        recipe.country = psd.country.to_owned();
        recipe.authority_id = format!("{}-{}", psd.country, psd.authority);
        recipe.authority_name = recipe.authority_id.clone();
    }
    recipe.kind = match args.kind {
        CertificateKind::Qwac => Kind::Qwac,
        CertificateKind::Qsealc => Kind::Qsealc,
    };
    recipe.not_after = now
        .checked_add(SignedDuration::from_hours(24 * i64::from(args.days)))
        .map_err(Failure::cannot)?;
    let issued = authority.issue(&recipe).map_err(Failure::cannot)?;
    let (certificate, key) = (with(stem, "pem"), with(stem, "key"));
    write(&key, &issued.key_pem().map_err(Failure::cannot)?, 0o600)?;
    write(&certificate, &issued.chain_pem().map_err(Failure::cannot)?, 0o644)?;
    writeln!(out, "{}\n{}", certificate.display(), key.display())?;
    Ok(Answer::Good)
}

fn with(out: &Path, extension: &str) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let failed = |error| Failure::Cannot(format!("{}: {error}", path.display()));
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file: File| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(failed)
}
