//! The evidence: the lines of the log as they were sealed, what covers them, and what they looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::BufRead as _;
use std::path::Path;

use memchr::memmem::Finder;

use super::case::{Case, Counts};
use super::{DossierError, Folder};
use crate::audit::Entry;
use crate::audit::chain::{Chain, Checkpoint, split};
use crate::audit::shelf::LogFile;
use crate::replay::stream::{self, Piece};
use crate::replay::{Certificates, Span};
use crate::world::Past;

/// Lines that one dossier holds at most; all are counted.
const LINES_MAX: usize = 100_000;
/// The columns of the index.
const INDEX: &str = "file,line,sequence,hash,hash_before,intact,time,request_id,reason\n";

/// What to look for, and where.
pub struct Gathering<'a> {
    /// The directory of the log.
    pub directory: &'a Path,
    /// Which of its records.
    pub span: Span,
    /// Whom it is about.
    pub organisation_id: &'a str,
    /// Threads that read.
    pub threads: usize,
}

/// A line that is about the TPP.
struct Found {
    file: usize,
    line: u64,
    text: Vec<u8>,
    before: Option<[u8; 32]>,
}

/// What was found.
#[derive(Default)]
pub struct Evidence {
    /// The lines, byte for byte.
    records: Vec<u8>,
    /// Where each stands, and what it takes to verify it.
    index: String,
    /// The last line of each file that is evidence, by the name of the file.
    last: BTreeMap<String, u64>,
    certificates: BTreeSet<String>,
    /// The worlds that refused, oldest first.
    worlds: BTreeSet<u64>,
    lines: usize,
}

impl Gathering<'_> {
    /// Reads the log; `read` is told of bytes that are done.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn run(&self, read: &(dyn Fn(u64) + Sync)) -> Result<(Case, Evidence), DossierError> {
        let files = stream::files(self.directory, self.span)?;
        let finder = Finder::new(self.organisation_id);
        let (mut evidence, mut counts) = (Evidence::default(), Counts::default());
        let mut case = Case {
            organisation_id: self.organisation_id.to_owned(),
            from: self.span.from,
            to: self.span.to,
            ..Case::default()
        };
        let work = |_: &mut (), piece: &Piece| about(piece, &finder);
        let take = |found: Vec<Found>| {
            for one in found {
                self.take(&one, &files, &mut case, &mut counts, &mut evidence);
            }
        };
        stream::run(&files, self.threads, || (), work, take, read)?;
        case.by_day = counts.into();
        Ok((case, evidence))
    }

    fn take(
        &self,
        found: &Found,
        files: &[LogFile],
        case: &mut Case,
        counts: &mut Counts,
        evidence: &mut Evidence,
    ) {
        let Ok(entry) = Entry::read(&found.text) else { return };
        if !self.span.holds(entry.time) {
            return;
        }
        let file = files.get(found.file).map(LogFile::name).unwrap_or_default();
        if !entry.is_request() {
            // Decisions about it: an override, a suspension.
            if entry.subject.as_deref() == Some(self.organisation_id) {
                evidence.add(found, &file, &entry, case);
            }
            return;
        }
        if entry.organisation_id.as_deref() != Some(self.organisation_id) {
            return;
        }
        let refused = entry.outcome == "refused" || entry.checks.iter().any(|one| !one.passed);
        let reason = entry.reason.as_deref().filter(|_| refused);
        if case.call(entry.time, reason, counts) {
            evidence.add(found, &file, &entry, case);
            evidence.worlds.extend(entry.world);
        }
        if let Some(sha256) = entry.certificate_sha256.as_deref() {
            evidence.certificates.insert(sha256.to_owned());
        }
    }
}

/// The lines that hold the name, each with the hash of the one before it.
fn about(piece: &Piece, finder: &Finder<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    // Most pieces hold nothing of it.
    if finder.find(&piece.text).is_none() {
        return found;
    }
    let mut before = piece.before;
    for (line, text) in piece.lines() {
        if finder.find(text).is_some() {
            found.push(Found { file: piece.file, line, text: text.to_vec(), before });
        }
        before = split(text).map(|(_, _, hash)| hash);
    }
    found
}

impl Evidence {
    /// How many lines it holds.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.lines
    }

    fn add(&mut self, found: &Found, file: &str, entry: &Entry<'_>, case: &mut Case) {
        let (sequence, hash) =
            split(&found.text).map_or((0, [0; 32]), |(_, sequence, hash)| (sequence, hash));
        let before = sequence.checked_sub(1).zip(found.before);
        let mut chain =
            before.map_or_else(Chain::default, |(last, before)| Chain::after(last, before));
        let intact = chain.check(&found.text).is_ok();
        case.not_intact += u64::from(!intact);
        let last = self.last.entry(file.to_owned()).or_default();
        *last = (*last).max(sequence);
        if self.lines == LINES_MAX {
            return;
        }
        self.lines += 1;
        self.records.extend_from_slice(&found.text);
        self.records.push(b'\n');
        // Memory takes every text.
        let _ = writeln!(
            self.index,
            "{file},{},{sequence},{},{},{},{},{},{}",
            found.line,
            hex::encode(hash),
            found.before.map(hex::encode).unwrap_or_default(),
            if intact { "yes" } else { "NO" },
            entry.time,
            entry.request_id.as_deref().unwrap_or_default(),
            entry.reason.as_deref().unwrap_or(&entry.action),
        );
    }

    /// Writes everything into `folder`.
    ///
    /// # Errors
    /// The file system's.
    pub fn freeze(
        &self,
        folder: &mut Folder,
        directory: &Path,
        past: &Past,
        organisation_id: &str,
    ) -> Result<(), DossierError> {
        folder.add("evidence/records.jsonl", &self.records)?;
        folder.add("evidence/records.csv", format!("{INDEX}{}", self.index).as_bytes())?;
        folder.add("evidence/checkpoints.jsonl", &self.checkpoints(directory)?)?;
        let certificates = Certificates::of(directory);
        for sha256 in &self.certificates {
            if let Ok(pem) = std::fs::read(certificates.path(sha256)) {
                folder.add(&format!("evidence/certificates/{sha256}.pem"), &pem)?;
            }
        }
        let mut snapshots = BTreeSet::new();
        for number in [self.worlds.first(), self.worlds.last()].into_iter().flatten() {
            let Some(line) = past.line(*number) else { continue };
            folder.add_json(&format!("evidence/worlds/{number}.json"), line)?;
            if snapshots.insert(&line.register)
                && let Ok(snapshot) = past.snapshot(&line.register)
            {
                let name = format!("evidence/registers/then-{}.json", line.register);
                let said = super::drafts::said(&line.register, &snapshot, organisation_id);
                folder.add_json(&name, &said)?;
            }
        }
        Ok(())
    }

    /// For each file the first checkpoint that covers all of its lines, as signed.
    fn checkpoints(&self, directory: &Path) -> Result<Vec<u8>, DossierError> {
        let path = directory.join("checkpoints.jsonl");
        let failed = |error| DossierError::File { file: path.clone(), error };
        let file = match std::fs::File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file.map_err(failed)?,
        };
        let mut covering: BTreeMap<String, (u64, String)> = BTreeMap::new();
        for line in std::io::BufReader::new(file).lines() {
            let line = line.map_err(failed)?;
            let Ok(checkpoint) = serde_json::from_str::<Checkpoint>(&line) else { continue };
            let wanted = self.last.get(&checkpoint.file).copied();
            if wanted.is_none_or(|last| checkpoint.sequence < last) {
                continue;
            }
            let first = covering.get(&checkpoint.file);
            if first.is_none_or(|(sequence, _)| checkpoint.sequence < *sequence) {
                covering.insert(checkpoint.file, (checkpoint.sequence, line));
            }
        }
        let lines = covering.into_values().map(|(_, line)| line + "\n");
        Ok(lines.collect::<String>().into_bytes())
    }
}
