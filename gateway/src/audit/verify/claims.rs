//! What is known of a file from elsewhere: `checkpoints.jsonl`, the header of the next file, and
//! checkpoints that an auditor kept.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use super::super::chain::{Checkpoint, VerifyingKeys};
use super::super::lines::{End, Lines};
use super::super::octets::Octets;
use super::fault::{Fault, FaultKind, Faults, Note};

/// The name of the file of checkpoints in the directory of a log.
pub const CHECKPOINTS: &str = "checkpoints.jsonl";

/// Line `number` of a file had this hash.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) number: u64,
    pub(super) hash: [u8; 32],
    pub(super) source: Source,
}

/// Who says so.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// This line of `checkpoints.jsonl`, counted from 1; signed.
    Listed(u64),
    /// A checkpoint that was kept elsewhere; signed.
    Head(String),
    /// The header of this file.
    Link(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(line) => write!(f, "line {line} of {CHECKPOINTS}"),
            Self::Head(file) => write!(f, "the head {file}"),
            Self::Link(file) => write!(f, "octroi.previous of {file}"),
        }
    }
}

impl Claim {
    pub(super) const fn is_listed(&self) -> bool {
        matches!(self.source, Source::Listed(_))
    }

    pub(super) const fn is_signed(&self) -> bool {
        !matches!(self.source, Source::Link(_))
    }

    /// A signed one, if its hash is one.
    pub(super) fn of(checkpoint: &Checkpoint, source: Source) -> Option<Self> {
        let mut hash = [0; 32];
        hex::decode_to_slice(&checkpoint.hash, &mut hash).ok()?;
        Some(Self { number: checkpoint.sequence, hash, source })
    }
}

/// Claims by the name of the file that they are about.
#[derive(Default)]
pub(super) struct Claims(BTreeMap<String, Vec<Claim>>);

impl Claims {
    pub(super) fn add(&mut self, file: &str, claim: Claim) {
        self.0.entry(file.to_owned()).or_default().push(claim);
    }

    pub(super) fn sort(&mut self) {
        self.0.values_mut().for_each(|claims| claims.sort_by_key(|claim| claim.number));
    }

    pub(super) fn of(&self, file: &str) -> &[Claim] {
        self.0.get(file).map(Vec::as_slice).unwrap_or_default()
    }

    /// The files that signed claims are about, with one of them.
    pub(super) fn signed(&self) -> impl Iterator<Item = (&str, &Claim)> {
        self.0.iter().filter_map(|(file, claims)| {
            Some((file.as_str(), claims.iter().rev().find(|claim| claim.is_signed())?))
        })
    }
}

/// What `checkpoints.jsonl` says.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) good: u64,
    pub(super) faults: Faults,
    pub(super) notes: Vec<Note>,
}

impl Listed {
    /// Reads `path` into `claims`; a line that is not signed by `keys` is a fault and no claim.
    pub(super) fn read(path: &Path, keys: &VerifyingKeys, claims: &mut Claims) -> io::Result<Self> {
        let mut listed = Self::default();
        let mut lines = Lines::of(Octets::open(path, false, 0)?);
        let mut highest: BTreeMap<String, u64> = BTreeMap::new();
        let mut line = 0;
        while let Some(read) = lines.next_line()? {
            line += 1;
            let at = (line - 1, read.offset);
            if read.end == End::Torn {
                let detail = "its last line is torn: a crash while it was written".to_owned();
                listed.notes.push(Note { file: CHECKPOINTS.to_owned(), detail });
                break;
            }
            let mut fault = |kind, detail| {
                listed.faults.add(Fault::of_line(CHECKPOINTS, at, read.line, kind, detail));
            };
            let checkpoint: Checkpoint = match serde_json::from_slice(read.line) {
                Ok(checkpoint) => checkpoint,
                Err(error) => {
                    fault(FaultKind::Forged, format!("it is no checkpoint: {error}"));
                    continue;
                }
            };
            let over =
                format!("number {} of {}", checkpoint.sequence, checkpoint.file.escape_debug());
            if let Err(error) = keys.verify(&checkpoint) {
                fault(FaultKind::Forged, format!("the checkpoint over {over}: {error}"));
                continue;
            }
            let before = highest.insert(checkpoint.file.clone(), checkpoint.sequence);
            match before.map(|before| before.cmp(&checkpoint.sequence)) {
                Some(std::cmp::Ordering::Equal) => {
                    fault(
                        FaultKind::Added,
                        format!("the checkpoint over {over} stands there twice"),
                    );
                }
                Some(std::cmp::Ordering::Greater) => {
                    let detail = format!("the checkpoint over {over} stands behind a later one");
                    fault(FaultKind::ReOrdered, detail);
                }
                _ => {}
            }
            listed.good += 1;
            if let Some(claim) = Claim::of(&checkpoint, Source::Listed(line)) {
                claims.add(&checkpoint.file, claim);
            }
        }
        Ok(listed)
    }
}
