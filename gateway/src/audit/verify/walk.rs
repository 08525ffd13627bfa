//! One file, from its header to its end.

mod ending;
mod header;
mod sworn;

use std::io;

use jiff::Timestamp;
use serde::Deserialize;

use super::super::chain::VerifyingKeys;
use super::super::lines::{End, Lines};
use super::super::members::members;
use super::super::record::REQUEST;
use super::super::shelf::LogFile;
use super::claims::Claim;
use super::fault::{Fault, FaultKind, Faults, Note};
use super::trace::{Judged, Odd, Step, Trace};

pub(super) use header::{Header, header};

/// Hashes of the last lines that are kept for the checkpoints behind them.
const HASHES_KEPT: usize = 64;
/// Progress is told after so many octets.
const TELL_BYTES: u64 = 4 * 1024 * 1024;

/// An `audit_removed` event.
#[derive(Deserialize)]
struct Removal {
    #[serde(rename = "octroi.subject")]
    subject: String,
}

/// What was found in a file.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) requests: u64,
    pub(super) span: Option<(Timestamp, Timestamp)>,
    /// Checkpoints in the file that hold.
    pub(super) checkpoints: u64,
    /// Files that this one says were removed, in lines that a checkpoint covers: anybody can add others.
    pub(super) removed: Vec<String>,
    /// Numbers covered by checkpoints that `checkpoints.jsonl` does not know: how many, and the lowest.
    pub(super) unlisted: Option<(u64, u64)>,
    /// The highest number that `checkpoints.jsonl` knows.
    pub(super) listed_until: Option<u64>,
    /// Lines behind the last checkpoint that holds.
    pub(super) unsworn: u64,
    pub(super) faults: Faults,
    pub(super) notes: Vec<Note>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Open,
    /// `audit_closed` stood at this number.
    Closing(u64),
    Closed,
}

struct Walker<'a> {
    name: String,
    keys: &'a VerifyingKeys,
    claims: &'a [Claim],
    /// The first claim that is not behind us.
    claim: usize,
    /// The number of the last claim that held.
    held_until: Option<u64>,
    /// The fault that tells of claims that do not hold, and how many there are.
    broken_claims: Option<(Fault, u64)>,
    hashes: Vec<(u64, [u8; 32])>,
    /// Runs of numbers that were missing when they should have come, and the places of the faults that
    /// tell so.
    missing: Vec<(u64, u64, usize)>,
    ending: Ending,
    /// The number that the torn last line would have had.
    torn_at: Option<u64>,
    sworn: Option<u64>,
    /// Files that a line with this number says were removed.
    removals: Vec<(u64, String)>,
    walk: Walk,
}

pub(super) fn walk(
    file: &LogFile,
    claims: &[Claim],
    keys: &VerifyingKeys,
    progress: &(dyn Fn(u64) + Sync),
) -> Walk {
    let mut walker = Walker {
        name: file.name(),
        keys,
        claims,
        claim: 0,
        held_until: None,
        broken_claims: None,
        hashes: Vec::new(),
        missing: Vec::new(),
        ending: Ending::Open,
        torn_at: None,
        sworn: None,
        removals: Vec::new(),
        walk: Walk::default(),
    };
    let listed = claims.iter().rev().find(|claim| claim.is_listed());
    walker.walk.listed_until = listed.map(|claim| claim.number);
    let mut trace = Trace::new();
    match Lines::open(file) {
        Ok(mut lines) => walker.all(&mut lines, &mut trace, progress),
        Err(error) => walker.unreadable(0, &error),
    }
    walker.end(&trace);
    walker.walk
}

impl Walker<'_> {
    fn all(&mut self, lines: &mut Lines, trace: &mut Trace, progress: &(dyn Fn(u64) + Sync)) {
        let mut told = 0;
        loop {
            let read = match lines.next_line() {
                Ok(Some(read)) => read,
                Ok(None) => break,
                Err(error) => {
                    let offset = lines.offset();
                    self.unreadable(offset, &error);
                    self.settle(trace);
                    trace.lose();
                    if lines.skip_damage().unwrap_or(false) {
                        continue;
                    }
                    break;
                }
            };
            let (line, offset, bytes) = (self.walk.lines, read.offset, read.line);
            self.walk.bytes = offset + bytes.len() as u64 + 1;
            match read.end {
                End::Whole => self.line(trace, line, offset, bytes),
                End::TooLong => {
                    let detail = "it is longer than any line of the gateway".to_owned();
                    self.fault((line, offset), bytes, FaultKind::Added, detail);
                }
                End::Torn => {
                    self.settle(trace);
                    self.torn(trace, line, offset, bytes);
                    continue;
                }
            }
            self.walk.lines += 1;
            let read = lines.read();
            if read - told >= TELL_BYTES {
                progress(read - told);
                told = read;
            }
        }
        self.settle(trace);
        progress(lines.read() - told);
    }

    fn line(&mut self, trace: &mut Trace, line: u64, offset: u64, bytes: &[u8]) {
        match trace.step(line, offset, bytes) {
            Step::Fits(number, hash) => self.good((line, offset), bytes, (number, hash)),
            Step::Held => {}
            Step::Settled => self.settle(trace),
        }
    }

    fn settle(&mut self, trace: &mut Trace) {
        for judged in trace.judge() {
            self.judged(&judged);
        }
    }

    fn judged(&mut self, judged: &Judged) {
        let at = (judged.line, judged.offset);
        if let Some((from, to)) = judged.missing {
            let detail = match to - from {
                0 => format!("the line with number {from} is missing before this one"),
                more => format!(
                    "{} lines are missing before this one: numbers {from} to {to}",
                    more + 1
                ),
            };
            self.missing.push((from, to, self.walk.faults.kept.len()));
            self.fault(at, &judged.bytes, FaultKind::Removed, detail);
        }
        let number = judged.written.map(|(number, _)| number);
        let (kind, detail) = match (judged.odd, number) {
            (None, _) => {
                if let Some(written) = judged.written {
                    self.good(at, &judged.bytes, written);
                }
                return;
            }
            (Some(Odd::Changed), _) => (
                FaultKind::Changed,
                "what it says is not what its hash was made of; or the line before it was written \
                 anew with its hash"
                    .to_owned(),
            ),
            (Some(Odd::HashChanged), _) => (
                FaultKind::Changed,
                "its hash was changed; the next line follows from what it says".to_owned(),
            ),
            (Some(Odd::SealLost), _) => {
                (FaultKind::Changed, "its number and hash are lost, or part of it".to_owned())
            }
            (Some(Odd::Moved), number) => (
                FaultKind::ReOrdered,
                format!("it is number {} and was written elsewhere", number.unwrap_or_default()),
            ),
            (Some(Odd::Added), Some(number)) => {
                (FaultKind::Added, format!("there is another line with its number {number}"))
            }
            (Some(Odd::Added), None) => {
                (FaultKind::Added, "the lines around it fit each other without it".to_owned())
            }
        };
        self.fault(at, &judged.bytes, kind, detail);
        if let Some((number, hash)) = judged.written.filter(|_| judged.odd != Some(Odd::Added)) {
            self.hold_against_claims(at, number, hash);
            self.remember(number, hash);
        }
    }

    /// A line that stands as it was written, as far as its neighbours tell.
    fn good(&mut self, at: (u64, u64), bytes: &[u8], (number, hash): (u64, [u8; 32])) {
        if self.ending == Ending::Closed {
            let detail = "the file was closed before it".to_owned();
            self.fault(at, bytes, FaultKind::Added, detail);
        }
        self.hold_against_claims(at, number, hash);
        let (mut time, mut action) = (None, None);
        for (name, value) in members(bytes) {
            match name {
                b"@timestamp" => time = Some(value),
                b"event.action" => action = Some(value),
                _ => {}
            }
            if time.is_some() && action.is_some() {
                break;
            }
        }
        let bare = |value: &'_ [u8]| value.get(1..value.len() - 1).map(<[u8]>::to_vec);
        let time = time.and_then(bare).and_then(|time| String::from_utf8(time).ok());
        if let Some(time) = time.and_then(|time| time.parse::<Timestamp>().ok()) {
            let (first, last) = self.walk.span.unwrap_or((time, time));
            self.walk.span = Some((first.min(time), last.max(time)));
        }
        let action = action.and_then(|value| value.get(1..value.len() - 1)).unwrap_or_default();
        if number == 0 {
            self.header(at, bytes);
        }
        match action {
            action if action == REQUEST.as_bytes() => self.walk.requests += 1,
            b"audit_opened" if number != 0 => {
                let detail = "a file is opened in its first line only".to_owned();
                self.fault(at, bytes, FaultKind::Added, detail);
            }
            b"audit_checkpoint" => self.checkpoint(at, bytes, number),
            b"audit_closed" => self.ending = Ending::Closing(number),
            b"audit_removed" => {
                let removal = serde_json::from_slice::<Removal>(bytes);
                self.removals.extend(removal.map(|removal| (number, removal.subject)));
            }
            _ => {}
        }
        self.remember(number, hash);
    }

    fn remember(&mut self, number: u64, hash: [u8; 32]) {
        if self.hashes.len() >= 2 * HASHES_KEPT {
            self.hashes.drain(..HASHES_KEPT);
        }
        self.hashes.push((number, hash));
    }

    fn unreadable(&mut self, offset: u64, error: &io::Error) {
        let detail = format!("behind byte {offset}: {error}");
        self.walk.faults.add(Fault::of_file(&self.name, FaultKind::Unreadable, detail));
    }

    fn fault(&mut self, at: (u64, u64), bytes: &[u8], kind: FaultKind, detail: String) {
        self.walk.faults.add(Fault::of_line(&self.name, at, bytes, kind, detail));
    }

    fn note(&mut self, detail: String) {
        self.walk.notes.push(Note { file: self.name.clone(), detail });
    }
}
