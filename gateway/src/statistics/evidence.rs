//! Where the proof of a downtime stands: the file of each of the five records, and the record of the
//! reply that ended it, which the roll-ups do not name.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use policies::statistics::{Day, Downtime};
use uuid::Uuid;

use super::books::Books;
use super::counting::Counted;
use super::figures::{Bank, DowntimeFigures, Proof, rounded};
use crate::audit::shelf::{self, Line, LogFile, read_line};
use crate::audit::{Entry, Outcome};

/// A reply by its bank, its receipt and its end.
type ReplyKey = (String, i64, i64);

/// What is looked for, and found.
#[derive(Default)]
struct Search {
    ids: BTreeMap<u128, Option<String>>,
    replies: BTreeMap<ReplyKey, Option<(Uuid, String)>>,
}

/// Puts the downtimes that touch `within` on the banks, with their proof as far as the logs are still there.
/// A log that cannot be read proves nothing.
#[must_use]
pub(super) fn prove(
    counted: Vec<Counted>,
    books: &[Books],
    days: &[Day],
    until_ms: i64,
) -> Vec<Bank> {
    let Some(begins_ms) = days.first().map(Day::begins_ms) else {
        return counted.into_iter().map(|counted| counted.bank).collect();
    };
    let end = |downtime: &Downtime| downtime.ended.map_or(until_ms, |ended| ended.replied_ms);
    let touches = |one: &&Downtime| one.from_ms < until_ms && end(one) > begins_ms;
    let mut search = Search::default();
    let mut spans = Vec::new();
    for Counted { bank, downtimes } in &counted {
        for downtime in downtimes.iter().filter(touches) {
            search.ids.extend(downtime.five.iter().map(|id| (*id, None)));
            if let Some(ended) = downtime.ended {
                let key = (bank.codetab.clone(), ended.received_ms, ended.replied_ms);
                search.replies.insert(key, None);
            }
            // Records are written when a request ends; a hanging one ends long after its receipt.
            spans.push((downtime.from_ms, downtime.fifth_ms));
            spans.extend(downtime.ended.map(|ended| (ended.received_ms, ended.replied_ms)));
        }
    }
    if !spans.is_empty() {
        books.iter().for_each(|books| search.look(books, &spans));
    }
    let prove = |Counted { mut bank, downtimes }: Counted| {
        for downtime in downtimes.iter().filter(touches) {
            let seconds = end(downtime).min(until_ms) - downtime.from_ms.max(begins_ms);
            let proof = |id: &u128| Proof {
                request_id: (*id != 0).then(|| Uuid::from_u128(*id).to_string()),
                file: search.ids.get(id).cloned().flatten(),
            };
            bank.downtimes.push(DowntimeFigures {
                from: instant(downtime.from_ms),
                until: downtime.ended.map(|ended| instant(ended.replied_ms)),
                seconds: rounded(seconds as f64 / 1000.0, 3),
                unanswered: downtime.five.iter().map(proof).collect(),
                ended_by: downtime.ended.map(|ended| {
                    let key = (bank.codetab.clone(), ended.received_ms, ended.replied_ms);
                    let found = search.replies.get(&key).cloned().flatten();
                    Proof {
                        request_id: found.as_ref().map(|(id, _)| id.to_string()),
                        file: found.map(|(_, file)| file),
                    }
                }),
            });
        }
        bank
    };
    counted.into_iter().map(prove).collect()
}

impl Search {
    fn look(&mut self, books: &Books, spans: &[(i64, i64)]) {
        let mut wanted = BTreeSet::new();
        for (_, rollup) in books.days.values() {
            for file in &rollup.files {
                let (Some(from), Some(to)) = (file.from, file.to) else { continue };
                let (from, to) = (from.as_millisecond(), to.as_millisecond());
                if spans.iter().any(|(begin, end)| *begin <= to && from <= *end) {
                    wanted.insert(file.name.clone());
                }
            }
        }
        for file in shelf::files(&books.directory).unwrap_or_default() {
            if wanted.contains(&file.name()) {
                let _ = self.read(&file);
            }
        }
    }

    fn read(&mut self, file: &LogFile) -> std::io::Result<()> {
        let (mut reader, mut line) = (file.open()?, Vec::new());
        while read_line(&mut *reader, &mut line)? == Line::Whole {
            let Ok(entry) = Entry::read(&line) else { continue };
            let Some(id) = entry.request_id.as_deref().and_then(|id| Uuid::try_parse(id).ok())
            else {
                continue;
            };
            if let Some(place) = self.ids.get_mut(&id.as_u128()) {
                *place = Some(file.name());
            }
            let (true, Some(codetab)) = (entry.is_request(), &entry.codetab) else { continue };
            let is_answer = entry.outcome == Outcome::Allowed.label() || entry.upstream.is_some();
            if !is_answer || entry.outcome == Outcome::Aborted.label() || entry.status >= 500 {
                continue;
            }
            let received_ms = entry.time.as_millisecond();
            let took_ms = i64::try_from(entry.duration / 1_000_000).unwrap_or(i64::MAX);
            let key =
                (codetab.clone().into_owned(), received_ms, received_ms.saturating_add(took_ms));
            if let Some(place) = self.replies.get_mut(&key) {
                // Of several in one millisecond, the same one every time.
                if place.as_ref().is_none_or(|(other, _)| id < *other) {
                    *place = Some((id, file.name()));
                }
            }
        }
        Ok(())
    }
}

fn instant(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MIN)
}
