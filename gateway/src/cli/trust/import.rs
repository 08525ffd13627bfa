//! `octroi trust import`.

use std::io::Write;
use std::path::PathBuf;

use certs::Anchors;
use jiff::Timestamp;

use super::{Place, cannot, certificates, short};
use crate::cli::{Answer, Failure, run};
use crate::config::Origin;
use crate::fetch::Fetcher;
use crate::trust::{Import, Source};

const EXAMPLE: &str = "Example:
  octroi trust import --dir trust --signer lotl-signers.pem \\
    --lotl https://ec.europa.eu/tools/lotl/eu-lotl.xml --allow https://ec.europa.eu \\
    --territory FR --allow https://cyber.gouv.fr
  octroi trust import --dir trust --signer fr-signer.pem fr-list.xml

Each list is verified: its XML signature by xmlsec1, its signer by the list of lists. A list that is
refused keeps the old one of its territory. Exit code 0: all lists are in, 1: some were refused, 3:
nothing changed.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The EU's list of lists: a file, or a URL of an allowed origin
    #[arg(long, value_name = "FILE|URL")]
    lotl: Option<String>,
    /// Certificates (PEM or DER) that may sign the list of lists; without --lotl, the lists
    #[arg(long = "signer", value_name = "FILE", required = true)]
    signers: Vec<PathBuf>,
    /// Only the lists of these territories, such as FR; once for each
    #[arg(long = "territory", value_name = "CC")]
    territories: Vec<String>,
    /// An origin that may be asked, such as https://ec.europa.eu; once for each
    #[arg(long, value_name = "ORIGIN", value_parser = Origin::parse)]
    allow: Vec<Origin>,
    /// The instant as of which the lists are judged, RFC 3339 [default: now]
    #[arg(long, value_name = "INSTANT")]
    at: Option<Timestamp>,
    /// Tell what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// National lists: files, or URLs of allowed origins. With --lotl these are taken instead of
    /// what it points at, and only these
    #[arg(value_name = "LIST")]
    lists: Vec<String>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    if args.lotl.is_none() && args.lists.is_empty() {
        return Err(Failure::Usage("name --lotl, or at least one list".to_owned()));
    }
    let store = args.place.store()?;
    let at = args.at.unwrap_or_else(Timestamp::now);
    let import = Import {
        list_of_lists: args.lotl.as_deref().map(Source::of),
        lists: args.lists.iter().map(|list| Source::of(list)).collect(),
        signers: certificates(&args.signers)?,
        territories: args.territories.clone(),
        fetcher: Fetcher::new(args.allow.clone()).map_err(Failure::cannot)?,
    };
    let imported = run::runtime(1)?
        .block_on(import.run(&store, at))
        .map_err(|error| Failure::Cannot(format!("{error}; nothing changed")))?;
    let mut refused = 0;
    for told in &imported.told {
        match &told.fault {
            None => writeln!(out, "{:<8} verified", told.list)?,
            Some(fault) => {
                refused += 1;
                let kept = if told.kept { "; the list that is there stays" } else { "" };
                writeln!(out, "{:<8} refused: {fault}{kept}", told.list)?;
            }
        }
    }
    let snapshot = &imported.snapshot;
    if snapshot.lists.is_empty() {
        return Err(Failure::Cannot("no list could be verified; nothing changed".to_owned()));
    }
    let current = store.current().ok();
    if let Some((_, older)) = &current {
        let mut anchors = Anchors::default();
        snapshot.add_anchors(&mut anchors, certs::Use::Web, at);
        let known = args.place.known_tpps(&anchors);
        for change in snapshot.changes_since(older, at, &known) {
            super::show::write_change(&change, out)?;
        }
    }
    let cas = snapshot.cas(at);
    let web = cas.iter().filter(|ca| ca.web).count();
    let seals = cas.iter().filter(|ca| ca.seals).count();
    let count = snapshot.lists.len();
    writeln!(out, "{count} lists, {web} CAs for QWACs, {seals} for QSEALCs")?;
    let same = |(_, older): &(_, crate::trust::Snapshot)| {
        older.lists == snapshot.lists && older.services == snapshot.services
    };
    if args.dry_run {
        writeln!(out, "nothing was changed")?;
    } else if let Some((name, _)) = current.filter(same) {
        writeln!(out, "current  {} (as before)", short(&name))?;
    } else {
        let name = store.put(snapshot).map_err(|error| cannot(&error))?;
        writeln!(out, "current  {}", short(&name))?;
    }
    Ok(if refused == 0 { Answer::Good } else { Answer::No })
}
