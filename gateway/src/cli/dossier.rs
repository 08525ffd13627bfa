//! `octroi dossier`.

use std::io::Write;
use std::path::{Path, PathBuf};

use certs::OrganisationId;
use jiff::Timestamp;
use policies::register::Snapshot;

use super::{Answer, Failure, Output, printable, progress};
use crate::audit::chain::SigningKey;
use crate::config::Config;
use crate::dossier::{self, Case, Earlier, Folder, Gathering, Language};
use crate::replay::{self, Span};
use crate::world::{self, Past};

const EXAMPLE: &str = "Example:
  octroi dossier PSDFR-ACPR-99901 --config octroi.toml --to dossiers/99901
  octroi dossier PSDFR-ACPR-99901 --config octroi.toml --from 2026-11-01T00:00:00Z --to d --language fr
  octroi dossier PSDFR-ACPR-99901 --config octroi.toml --close dossiers/99901 --to dossiers/99901-end

The records that refused this TPP as such (withdrawn, suspended, revoked, not registered, …), as sealed, with
what they looked at; drafts of the notification that the law asks for (Directive (EU) 2015/2366 art. 68(6)) and
of the note to customers; a manifest with every hash, signed with the gateway's key. What a person must fill in
stands between « and ». Run it again later with --close and the first dossier: once the reason has ended, it
drafts the note that says so.
Exit code 0: it is refused, or was, 1: the log holds no such refusal of it; with --close: it has not ended.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The TPP, by its organisation id
    #[arg(value_name = "OID")]
    id: String,
    /// The configuration of the gateway
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The directory of the log [default: that of the configuration]
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// A directory for the dossier, new or empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The dossier that was made while it was refused: note that the reason has ended
    #[arg(long, value_name = "DIR")]
    close: Option<PathBuf>,
    /// Only records from this instant on, RFC 3339
    #[arg(long, value_name = "INSTANT")]
    from: Option<Timestamp>,
    /// Only records before this instant
    #[arg(long, value_name = "INSTANT")]
    until: Option<Timestamp>,
    /// The language of the drafts
    #[arg(long, value_enum, default_value_t)]
    language: Language,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = Config::load(&args.config).map_err(Failure::cannot)?;
    let id = OrganisationId::new(&args.id).map_err(Failure::cannot)?;
    let directory = args.log.as_deref().unwrap_or(&config.audit.directory);
    let register = config.register.directory.as_deref();
    let past = Past::open(directory, register).map_err(Failure::cannot)?;
    let span = Span { from: args.from, to: args.until };
    let bar = progress::bar(replay::bytes(directory, span).map_err(Failure::cannot)?, "reading");
    let gathering = Gathering { directory, span, organisation_id: id.as_str(), threads: 2 };
    let gathered = gathering.run(&|bytes| bar.inc(bytes)).map_err(Failure::cannot)?;
    bar.finish_and_clear();
    let (mut case, evidence) = gathered;
    if case.since.is_none() {
        writeln!(out, "the log holds no refusal of {} as such", id.as_str())?;
        writeln!(out, "  {} calls, {} of them let pass", case.calls, case.allowed)?;
        return Ok(Answer::No);
    }
    let now = Timestamp::now();
    let said = stand(&mut case, &config, &id, now)?;
    if let Some(earlier) = &args.close {
        let earlier = Earlier::read(earlier).map_err(Failure::cannot)?;
        if !case.continues(&earlier) {
            let what = "it is about another refusal than the last one of this log";
            let close = args.close.as_deref().unwrap_or(&args.to).display();
            return Err(Failure::Usage(format!("--close {close}: {what}")));
        }
        if case.is_refused() {
            writeln!(
                out,
                "the refusal of {} has not ended: nothing was let pass since",
                id.as_str()
            )?;
            let standing = case.standing.as_deref().unwrap_or("-");
            return Ok(writeln!(out, "  now: {standing}").map(|()| Answer::No)?);
        }
        case.closes = Some(earlier);
    }
    let mut folder = Folder::new(&args.to).map_err(Failure::cannot)?;
    let frozen = evidence.freeze(&mut folder, directory, &past, id.as_str());
    frozen.map_err(Failure::cannot)?;
    if let Some((name, snapshot)) = &said {
        dossier::add_register(&mut folder, name, snapshot, id.as_str()).map_err(Failure::cannot)?;
    }
    dossier::add_drafts(&mut folder, &case, args.language, now).map_err(Failure::cannot)?;
    let key = signing_key(&config, directory)?;
    folder.close(&case, now, key.as_ref()).map_err(Failure::cannot)?;
    tell(&case, evidence.lines(), key.is_some(), args, out)?;
    Ok(Answer::Good)
}

/// What the registers and the bank's own decisions say now, and the snapshot that says so.
fn stand(
    case: &mut Case,
    config: &Config,
    id: &OrganisationId,
    now: Timestamp,
) -> Result<Option<(String, Snapshot)>, Failure> {
    let register = world::register(config, None).map_err(Failure::cannot)?;
    let (standing, evidence) = register.standing(id, now);
    let as_of = evidence.as_of.map_or_else(String::new, |as_of| format!(", {as_of:.0}"));
    case.standing = Some(format!("{} ({}{as_of})", standing.code(), evidence.source.code()));
    let Some(kept) = register.kept() else { return Ok(None) };
    let directory = config.register.directory.as_ref().map(crate::register::Directory::new);
    let read = directory.and_then(|directory| directory.archive().read(&kept.snapshot).ok());
    let Some(snapshot) = read else { return Ok(None) };
    case.name = snapshot.about(id.as_str()).next().map(|record| record.name.to_string());
    Ok(Some((kept.snapshot.clone(), snapshot)))
}

/// The gateway's own, as the log is signed with.
fn signing_key(config: &Config, directory: &Path) -> Result<Option<SigningKey>, Failure> {
    let own = std::fs::read(directory.join("signing-key.pem")).ok();
    let pem = config.audit.signing_key.as_ref().map(|key| key.expose().to_vec()).or(own);
    pem.map(|pem| SigningKey::from_pem(&pem)).transpose().map_err(Failure::cannot)
}

fn tell(
    case: &Case,
    lines: usize,
    signed: bool,
    args: &Args,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if args.output == Output::Json {
        serde_json::to_writer_pretty(&mut *out, case).map_err(std::io::Error::from)?;
        return Ok(writeln!(out)?);
    }
    let name = printable(case.name.as_deref().unwrap_or("no register lists it"));
    writeln!(out, "{} ({name})", case.organisation_id)?;
    let told = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |t| format!("{t:.0}"));
    writeln!(out, "  refused since {}, last on {}", told(case.since), told(case.last_refused))?;
    match case.ended {
        Some(ended) => writeln!(out, "  ended on {ended:.0}: it was let pass again")?,
        None => writeln!(out, "  it has not been let pass since")?,
    }
    if let Some(earlier) = &case.closes {
        writeln!(out, "  closes the dossier of {:.0}", earlier.made)?;
    }
    for (reason, calls) in case.reasons() {
        writeln!(out, "  {calls} calls: {}", printable(reason))?;
    }
    if let Some(standing) = &case.standing {
        writeln!(out, "  now: {standing}")?;
    }
    if case.not_intact > 0 {
        let count = case.not_intact;
        writeln!(
            out,
            "  {count} records were changed, or what stood before them: `octroi audit verify`"
        )?;
    }
    let how = if signed { "manifest.json, signed" } else { "manifest.json, not signed" };
    writeln!(out, "  {lines} sealed lines in {} ({how})", args.to.display())?;
    Ok(writeln!(out, "  to be completed by a person: {}/drafts", args.to.display())?)
}
