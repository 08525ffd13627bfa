//! A log that cannot be written: whoever waits is told, the last reserve of the disk says so in the
//! log itself, and it goes on alone when there is room again.

use std::fs::OpenOptions;
use std::io;
use std::io::Write;

use jiff::Timestamp;

use super::{Entry, Writer};
use crate::audit::record::Event;
use crate::clock;

/// Given up when the disk is full, so that the log can still say so.
const RESERVE: &str = "reserve";
const RESERVE_BYTES: usize = 16 * 1024;
const FULL: &str = "audit_full";
const RECOVERED: &str = "audit_recovered";

/// What began when a write failed.
pub(super) struct Trouble {
    since: Timestamp,
    lost_before: u64,
    is_full: bool,
}

/// Whether a write failed for a reason that passes when files are removed.
pub(super) fn is_want_of_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Writer {
    /// Keeps some blocks of the disk for the day on which there are no others.
    pub(super) fn keep_reserve(&self) -> bool {
        let path = self.settings.directory.join(RESERVE);
        if path.metadata().is_ok_and(|known| known.len() == RESERVE_BYTES as u64) {
            return true;
        }
        let options = OpenOptions::new().create(true).truncate(true).write(true).clone();
        let kept = options.open(&path).and_then(|mut file| {
            // Written, not only made longer: a hole takes no room.
            file.write_all(&[0; RESERVE_BYTES])?;
            file.sync_data()
        });
        if let Err(error) = &kept {
            let _ = std::fs::remove_file(&path);
            tracing::debug!(%error, "no reserve for the access log yet");
        }
        kept.is_ok()
    }

    /// Whether it is worth trying to write. A disk that was full must have room for a reserve first: what
    /// giving it up has freed is soon full again.
    pub(super) fn has_room(&self) -> bool {
        !self.trouble.as_ref().is_some_and(|trouble| trouble.is_full) || self.keep_reserve()
    }

    /// The batch is not written: nobody waits for it any longer, and no request gets a slot.
    pub(super) fn failed(&mut self, error: &io::Error, batch: &mut [Entry]) {
        let (state, loose) = (&self.shared.state, self.shared.state.is_loose());
        let first = state.fails();
        batch.iter_mut().for_each(|entry| entry.give_up(loose));
        self.shared.queue().iter_mut().for_each(|entry| entry.give_up(loose));
        if !first {
            return;
        }
        let (since, is_full) = (clock::now(), is_want_of_room(error));
        self.trouble = Some(Trouble { since, lost_before: self.metrics.lost.get(), is_full });
        let consequence = consequence(loose);
        tracing::error!(%error, "the access log cannot be written; {consequence}");
        if is_full && std::fs::remove_file(self.settings.directory.join(RESERVE)).is_ok() {
            let told = Event {
                time: since,
                event: FULL,
                subject: None,
                detail: format!("the disk of the access log is full; {consequence}"),
                by: Vec::new(),
            };
            if let Err(error) = self.attempt(&[Entry::Event(told)]) {
                tracing::warn!(%error, "the reserve was not enough to say so in the access log");
            }
        }
    }

    /// All that waited is written. After trouble the log says how long it was and what it cost.
    pub(super) fn recovered(&mut self) {
        if self.has_given_up {
            return;
        }
        let Some(trouble) = self.trouble.take() else { return };
        let (unrecorded, lost) = (
            self.shared.state.take_unrecorded(),
            self.metrics.lost.get().saturating_sub(trouble.lost_before),
        );
        let detail = format!(
            "the access log could not be written since {}; {unrecorded} requests were refused \
             without a record, {lost} records were lost",
            trouble.since
        );
        let told =
            Event { time: clock::now(), event: RECOVERED, subject: None, detail, by: Vec::new() };
        if let Err(error) = self.attempt(&[Entry::Event(told)]) {
            tracing::warn!(%error, "the access log fails again");
            self.trouble = Some(trouble);
            return;
        }
        self.shared.state.works_again();
        let _ = self.keep_reserve();
        tracing::warn!(since = %trouble.since, unrecorded, lost, "the access log can be written again");
    }
}

const fn consequence(loose: bool) -> &'static str {
    if loose {
        "requests go on, and records that find no room are lost"
    } else {
        "requests are refused until it can"
    }
}
