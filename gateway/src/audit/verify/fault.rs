//! What `verify` tells.

use jiff::Timestamp;
use serde::Serialize;

use super::super::members::members;

/// Faults that are kept; more are only counted.
pub const FAULTS_MAX: usize = 1000;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A line is not what was written.
    Changed,
    /// Lines are missing.
    Removed,
    /// A line that the gateway did not write there.
    Added,
    /// A line that was written elsewhere.
    ReOrdered,
    /// A line ends in its middle, where no crash explains it.
    Torn,
    /// A file ends too early.
    Truncated,
    /// A checkpoint, a key or a head that is not what it claims to be.
    Forged,
    /// What was signed is not what stands there, although the lines fit each other: they were made anew.
    Rewritten,
    /// It cannot be decompressed or read.
    Unreadable,
    /// A file that stood here is gone.
    Missing,
    /// A file has the name of another.
    Renamed,
}

impl FaultKind {
    /// As it is printed.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Added => "added",
            Self::ReOrdered => "re-ordered",
            Self::Torn => "torn",
            Self::Truncated => "truncated",
            Self::Forged => "forged",
            Self::Rewritten => "rewritten",
            Self::Unreadable => "unreadable",
            Self::Missing => "missing",
            Self::Renamed => "renamed",
        }
    }
}

/// One fault.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// The file, without a directory.
    pub file: String,
    /// The line, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Where it begins, in octets of the decompressed file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// Which kind.
    pub kind: FaultKind,
    /// The request that the line is about, as far as it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The time in the line, as far as it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// A sentence.
    pub detail: String,
}

/// Something that is no fault by itself and that a reader should know.
#[derive(Clone, Debug, Serialize)]
pub struct Note {
    /// The file, without a directory.
    pub file: String,
    /// A sentence.
    pub detail: String,
}

/// Faults, some of them only counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) kept: Vec<Fault>,
    pub(super) count: u64,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.count += 1;
        if self.kept.len() < FAULTS_MAX {
            self.kept.push(fault);
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.count += other.count;
        let room = FAULTS_MAX - self.kept.len();
        self.kept.extend(other.kept.into_iter().take(room));
    }
}

impl Fault {
    /// About a whole file.
    pub(super) fn of_file(file: &str, kind: FaultKind, detail: String) -> Self {
        let file = file.to_owned();
        Self { file, line: None, byte: None, kind, request_id: None, time: None, detail }
    }

    /// About line `line`, counted from 0, which says `bytes`.
    pub(super) fn of_line(
        file: &str,
        (line, byte): (u64, u64),
        bytes: &[u8],
        kind: FaultKind,
        detail: String,
    ) -> Self {
        let (mut request_id, mut time) = (None, None);
        for (name, value) in members(bytes) {
            let text = || std::str::from_utf8(value.get(1..value.len() - 1)?).ok();
            match name {
                b"http.request.id" => request_id = text().and_then(readable),
                b"@timestamp" => time = text().and_then(|text| text.parse().ok()),
                _ => {}
            }
        }
        let file = file.to_owned();
        Self { file, line: Some(line + 1), byte: Some(byte), kind, request_id, time, detail }
    }
}

/// A changed line must not write on the reader's terminal what it wants.
fn readable(text: &str) -> Option<String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (text.len() <= 64 && text.chars().all(fine)).then(|| text.to_owned())
}
