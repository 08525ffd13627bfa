//! `octroi trust`: trusted lists as data.

mod import;
mod show;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use certs::{Anchors, Revocations};
use jiff::Timestamp;

use super::{Answer, Failure};
use crate::archive::ArchiveError;
use crate::config::Config;
use crate::trust::Store;
use crate::world::{self, Kept};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Verify trusted lists and make them current
    Import(import::Args),
    /// Tell which CAs the current lists name, or which snapshots there are
    List(show::ListArgs),
    /// Tell what changed between two snapshots
    Diff(show::DiffArgs),
    /// Make an older snapshot current
    Rollback(show::RollbackArgs),
}

pub(super) fn run(args: Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    match args.verb {
        Verb::Import(args) => import::run(&args, out),
        Verb::List(args) => show::list(&args, out),
        Verb::Diff(args) => show::diff(&args, out),
        Verb::Rollback(args) => show::rollback(&args, out),
    }
}

/// Which snapshots are meant.
#[derive(Debug, clap::Args)]
struct Place {
    /// The directory of the snapshots
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    dir: Option<PathBuf>,
    /// A configuration: its `trust.lists.directory`, and the TPPs that it has seen
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    fn store(&self) -> Result<Store, Failure> {
        let configured = || {
            let config = self.config.as_deref()?;
            let config = Config::load(config).map_err(Failure::cannot);
            Some(config.and_then(|config| {
                let lists = config.trust.lists.ok_or_else(|| {
                    Failure::Cannot("the configuration has no [trust.lists]".to_owned())
                })?;
                Ok(Store::new(lists.directory))
            }))
        };
        match &self.dir {
            Some(dir) => Ok(Store::new(dir)),
            None => configured()
                .unwrap_or_else(|| Err(Failure::Usage("name --dir or --config".to_owned()))),
        }
    }

    /// How many TPPs came over which anchor, by its SHA-256: of those that a gateway with this
    /// configuration has seen.
    fn known_tpps(&self, further: &Anchors) -> BTreeMap<String, usize> {
        let mut known = BTreeMap::new();
        let Some(config) = self.config.as_deref().and_then(|file| Config::load(file).ok()) else {
            return known;
        };
        let Some(settings) = &config.trust.revocation else { return known };
        let mut count = |anchors: &Anchors| {
            let kept = Kept::new(&settings.directory);
            for path in kept.load(anchors, &mut Revocations::empty(), Timestamp::now()) {
                if let Some(anchor) = path.certificates.last() {
                    *known.entry(hex::encode(anchor.fingerprint())).or_insert(0) += 1;
                }
            }
        };
        count(further);
        if let Ok(world) = world::load(&config) {
            count(&world.anchors);
        }
        known
    }
}

fn cannot(error: &ArchiveError) -> Failure {
    Failure::Cannot(error.to_string())
}

/// The first twelve digits are enough for a person.
fn short(name: &str) -> &str {
    name.get(..12).unwrap_or(name)
}

/// Reads the certificates of PEM files, or of one DER file.
fn certificates(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, Failure> {
    let mut all = Vec::new();
    for file in files {
        let bytes = super::files::read(file)?;
        all.extend(read_certificates(file, &bytes)?);
    }
    Ok(all)
}

fn read_certificates(file: &Path, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
    if bytes.starts_with(&[0x30]) {
        return Ok(vec![bytes.to_vec()]);
    }
    certs::Leaf::ders_of_pem(bytes)
        .map_err(|error| Failure::Cannot(format!("{}: {error}", file.display())))
}
