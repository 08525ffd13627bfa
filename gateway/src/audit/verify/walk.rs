//! One file, from its header to its end.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::super::chain::{Checkpoint, VerifyingKeys};
use super::super::lines::{End, Lines};
use super::super::members::members;
use super::super::record::REQUEST;
use super::super::shelf::LogFile;
use super::claims::{Claim, Source};
use super::fault::{Fault, FaultKind, Faults, Note};
use super::trace::{Judged, Odd, Step, Trace};

/// Hashes of the last lines that are kept for the checkpoints behind them.
const HASHES_KEPT: usize = 64;
/// Progress is told after so many octets.
const TELL_BYTES: u64 = 4 * 1024 * 1024;

/// The first line of a file.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Header {
    #[serde(rename = "event.action")]
    pub(super) action: String,
    #[serde(rename = "octroi.file", default)]
    pub(super) file: String,
    #[serde(rename = "octroi.format", default)]
    pub(super) format: u64,
    #[serde(rename = "octroi.public_key", default)]
    pub(super) public_key: String,
    #[serde(rename = "octroi.previous", default)]
    pub(super) previous: Option<Previous>,
}

/// Where the file before it stood.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Previous {
    pub(super) file: String,
    pub(super) sequence: u64,
    pub(super) hash: String,
}

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

    fn header(&mut self, at: (u64, u64), bytes: &[u8]) {
        let header = match serde_json::from_slice::<Header>(bytes) {
            Ok(header) if header.action == "audit_opened" => header,
            _ => {
                let detail = "a file begins with audit_opened; this one does not".to_owned();
                self.fault(at, bytes, FaultKind::Forged, detail);
                return;
            }
        };
        if header.file != self.name {
            let written = header.file.escape_debug();
            let detail = format!("it was written as {written} and has the name of another file");
            self.fault(at, bytes, FaultKind::Renamed, detail);
        }
        if header.format != 1 {
            let detail = format!("its format is {}, and this program reads 1", header.format);
            self.fault(at, bytes, FaultKind::Unreadable, detail);
        }
        if !self.keys.knows_base64(&header.public_key) {
            let detail = "its key is none of those that were given: whoever wrote it is not the \
                          gateway that you trust"
                .to_owned();
            self.fault(at, bytes, FaultKind::Forged, detail);
        }
    }

    fn checkpoint(&mut self, at: (u64, u64), bytes: &[u8], number: u64) {
        let checkpoint: Checkpoint = match serde_json::from_slice(bytes) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                let detail = format!("it is called a checkpoint and is none: {error}");
                self.fault(at, bytes, FaultKind::Forged, detail);
                return;
            }
        };
        if checkpoint.file != self.name {
            let written = checkpoint.file.escape_debug();
            let detail = format!("this checkpoint was made for {written}");
            self.fault(at, bytes, FaultKind::Forged, detail);
            return;
        }
        if let Err(fault) = self.keys.verify(&checkpoint) {
            let detail = format!("the checkpoint over number {}: {fault}", checkpoint.sequence);
            self.fault(at, bytes, FaultKind::Forged, detail);
            return;
        }
        let covered = self.hashes.iter().rev().find(|(number, _)| *number == checkpoint.sequence);
        let Some((_, hash)) = covered.copied().filter(|_| checkpoint.sequence < number) else {
            let detail = format!(
                "this checkpoint is over number {}, which does not stand before it",
                checkpoint.sequence
            );
            self.fault(at, bytes, FaultKind::Forged, detail);
            return;
        };
        if hex::encode(hash) != checkpoint.hash {
            let what = format!("this checkpoint, of {}", checkpoint.time);
            self.broken_claim(at, bytes, checkpoint.sequence, &what);
            return;
        }
        self.walk.checkpoints += 1;
        self.held_until = self.held_until.max(Some(checkpoint.sequence));
        self.sworn = self.sworn.max(Some(checkpoint.sequence));
        let known = self.claims.partition_point(|claim| claim.number < checkpoint.sequence);
        let mut known = self.claims.get(known..).unwrap_or_default().iter();
        let same = |claim: &&Claim| claim.number == checkpoint.sequence;
        if !known.by_ref().take_while(same).any(Claim::is_listed) {
            let (count, lowest) = self.walk.unlisted.unwrap_or((0, checkpoint.sequence));
            self.walk.unlisted = Some((count + 1, lowest.min(checkpoint.sequence)));
        }
        if self.ending == Ending::Closing(checkpoint.sequence) {
            self.ending = Ending::Closed;
        }
    }

    fn hold_against_claims(&mut self, at: (u64, u64), number: u64, hash: [u8; 32]) {
        while let Some(claim) = self.claims.get(self.claim) {
            if claim.number > number {
                return;
            }
            self.claim += 1;
            if claim.number < number {
                continue;
            }
            if claim.hash == hash {
                self.held_until = self.held_until.max(Some(number));
                if claim.is_signed() {
                    self.sworn = self.sworn.max(Some(number));
                }
            } else {
                self.broken_claim(at, b"", number, &claim.source.to_string());
            }
        }
    }

    /// What was sworn to is not what stands there. Each later claim must fail as well: they are told
    /// together.
    fn broken_claim(&mut self, at: (u64, u64), bytes: &[u8], number: u64, source: &str) {
        if let Some((_, more)) = &mut self.broken_claims {
            *more += 1;
            return;
        }
        let from = self.held_until.map_or(0, |held| held + 1);
        let detail = format!(
            "{source} has another hash for number {number}: the lines fit each other and are not those \
             that were signed; what was changed has a number from {from} to {number}"
        );
        let fault = Fault::of_line(&self.name, at, bytes, FaultKind::Rewritten, detail);
        self.broken_claims = Some((fault, 0));
    }

    fn torn(&mut self, trace: &mut Trace, line: u64, offset: u64, bytes: &[u8]) {
        let at = (line, offset);
        let whole = trace.expected();
        if let Step::Fits(number, hash) = trace.step(line, offset, bytes) {
            self.walk.lines += 1;
            self.good(at, bytes, (number, hash));
            let detail = "its last line lacks its line feed".to_owned();
            match self.ending {
                Ending::Closed => self.fault(at, bytes, FaultKind::Torn, detail),
                _ => self.note(detail + ": a crash while it was written"),
            }
            return;
        }
        let _ = trace.judge();
        self.torn_at = Some(whole);
        if self.ending == Ending::Closed {
            let detail = "the file was closed before it".to_owned();
            self.fault(at, bytes, FaultKind::Added, detail);
        } else if memchr::memmem::find(bytes, b"\"octroi.hash\":\"").is_some_and(|seal| {
            bytes.get(seal..).is_some_and(|rest| rest.len() > "\"octroi.hash\":\"\"}".len() + 64)
        }) {
            let detail = "something stands behind the end of the last line".to_owned();
            self.fault(at, bytes, FaultKind::Changed, detail);
        } else {
            self.note(format!(
                "its last line is torn after {} octets, at byte {offset}: a crash while it was \
                 written",
                bytes.len()
            ));
        }
    }

    fn end(&mut self, trace: &Trace) {
        let sworn = self.removals.drain(..).filter(|(number, _)| Some(*number) <= self.sworn);
        self.walk.removed.extend(sworn.map(|(_, name)| name));
        for (from, to, fault) in self.missing.drain(..) {
            // Whatever of them stands elsewhere was told there.
            let still = trace.gaps().iter().any(|(first, last)| *first <= to && from <= *last);
            if let Some(fault) = self.walk.faults.kept.get_mut(fault).filter(|_| !still) {
                fault.kind = FaultKind::ReOrdered;
                fault.detail = match to - from {
                    0 => format!("number {from} was written before it, and stands elsewhere"),
                    _ => format!(
                        "numbers {from} to {to} were written before it, and stand elsewhere"
                    ),
                };
            }
        }
        if let Some((mut fault, more)) = self.broken_claims.take() {
            if more > 0 {
                fault.detail.push_str(&format!("; {more} later checkpoints do not hold either"));
            }
            self.walk.faults.add(fault);
        }
        // A torn line is not there, whatever number can still be read in it.
        let next = self.torn_at.map_or(trace.expected(), |torn| torn.min(trace.expected()));
        let beyond = self.claims.iter().rev().find(|claim| claim.number >= next);
        if let Some(claim) = beyond {
            let detail = format!(
                "it ends before number {next}, and {} names number {}: its tail was cut off, or never \
                 reached the disk",
                claim.source, claim.number
            );
            self.walk.faults.add(Fault::of_file(&self.name, FaultKind::Truncated, detail));
        }
        if self.sworn.is_none() && next > 0 {
            self.unsigned(next);
        }
        if next == 0 && beyond.is_none() {
            let detail = "no line of the log stands in it".to_owned();
            self.walk.faults.add(Fault::of_file(&self.name, FaultKind::Truncated, detail));
        }
        match self.ending {
            Ending::Closing(number) => {
                let detail = format!(
                    "it was closed with number {number}, and the checkpoint over that is missing"
                );
                self.walk.faults.add(Fault::of_file(&self.name, FaultKind::Truncated, detail));
            }
            Ending::Open => {
                self.note(
                    "it was not closed: it is being written, or its writer crashed".to_owned(),
                );
            }
            Ending::Closed => {}
        }
        if self.ending != Ending::Closed {
            self.walk.unsworn = next.saturating_sub(self.sworn.map_or(0, |sworn| sworn + 1));
        }
    }

    /// The gateway signs the first line of a file in the same write.
    fn unsigned(&mut self, lines: u64) {
        if lines == 1 {
            self.note("its first line is not signed: a crash while it was begun".to_owned());
            return;
        }
        let detail =
            "no line of it is signed, and the gateway signs the first one at once: it did not \
                      write this file"
                .to_owned();
        self.walk.faults.add(Fault::of_file(&self.name, FaultKind::Forged, detail));
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

/// The first line of `file`, as far as it is one.
pub(super) fn header(file: &LogFile) -> Option<Header> {
    let mut lines = Lines::open(file).ok()?;
    let read = lines.next_line().ok()??;
    serde_json::from_slice(read.line).ok()
}

impl Previous {
    /// As a claim of the file whose header it stands in.
    pub(super) fn claim(&self, of: &str) -> Option<Claim> {
        let mut hash = [0; 32];
        hex::decode_to_slice(&self.hash, &mut hash).ok()?;
        Some(Claim { number: self.sequence, hash, source: Source::Link(of.to_owned()) })
    }

    /// The number of the file that is meant.
    pub(super) fn number(&self) -> Option<u64> {
        LogFile::of(Path::new(&self.file)).map(|file| file.number)
    }
}
