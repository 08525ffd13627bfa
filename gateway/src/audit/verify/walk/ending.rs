//! How a file ends: torn, closed, cut off, or still written to.

use super::super::fault::{Fault, FaultKind};
use super::super::trace::{Step, Trace};
use super::{Ending, Walker};

impl Walker<'_> {
    pub(super) fn torn(&mut self, trace: &mut Trace, line: u64, offset: u64, bytes: &[u8]) {
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

    pub(super) fn end(&mut self, trace: &Trace) {
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
}
