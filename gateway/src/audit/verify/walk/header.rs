//! The first line of a file: what it is called, who writes it, and where the file before it stood.

use std::path::Path;

use serde::Deserialize;

use super::super::claims::{Claim, Source};
use super::super::fault::FaultKind;
use super::Walker;
use crate::audit::lines::Lines;
use crate::audit::shelf::LogFile;

/// The first line of a file.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::audit::verify) struct Header {
    #[serde(rename = "event.action")]
    pub(in crate::audit::verify) action: String,
    #[serde(rename = "octroi.file", default)]
    pub(in crate::audit::verify) file: String,
    #[serde(rename = "octroi.format", default)]
    pub(in crate::audit::verify) format: u64,
    #[serde(rename = "octroi.public_key", default)]
    pub(in crate::audit::verify) public_key: String,
    #[serde(rename = "octroi.previous", default)]
    pub(in crate::audit::verify) previous: Option<Previous>,
}

/// Where the file before it stood.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::audit::verify) struct Previous {
    pub(in crate::audit::verify) file: String,
    pub(in crate::audit::verify) sequence: u64,
    pub(in crate::audit::verify) hash: String,
}

impl Walker<'_> {
    pub(super) fn header(&mut self, at: (u64, u64), bytes: &[u8]) {
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
}

/// The first line of `file`, as far as it is one.
pub(in crate::audit::verify) fn header(file: &LogFile) -> Option<Header> {
    let mut lines = Lines::open(file).ok()?;
    let read = lines.next_line().ok()??;
    serde_json::from_slice(read.line).ok()
}

impl Previous {
    /// As a claim of the file whose header it stands in.
    pub(in crate::audit::verify) fn claim(&self, of: &str) -> Option<Claim> {
        let mut hash = [0; 32];
        hex::decode_to_slice(&self.hash, &mut hash).ok()?;
        Some(Claim { number: self.sequence, hash, source: Source::Link(of.to_owned()) })
    }

    /// The number of the file that is meant.
    pub(in crate::audit::verify) fn number(&self) -> Option<u64> {
        LogFile::of(Path::new(&self.file)).map(|file| file.number)
    }
}
