//! One file of the log, read once from front to back.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use policies::statistics::{Closing, Fate, Reply, RequestId, Service, Stretch};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::calendar::Calendar;
use crate::audit::chain::{self, Chain};
use crate::audit::shelf::{Line, LogFile, read_line};
use crate::audit::{PROBE, REQUEST};

const OPENED: &str = "audit_opened";
const PERMITTED: &str = "request_permitted";
/// `octroi.lane` of a call of the fallback (RTS art. 33): not the dedicated interface.
const FALLBACK: &str = "fallback";
/// Hosts under it are a sandbox's.
const LOCALHOST: &str = ".localhost";
/// A permit so shortly before the end of a log that is still written may be answered yet.
const IN_FLIGHT_MS: i64 = 120_000;

/// What a request is counted under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kind {
    /// The bank.
    pub codetab: String,
    /// The API.
    pub api: String,
    /// Its version.
    pub version: String,
    /// By the role that it used.
    #[serde(with = "service")]
    pub service: Service,
    /// Its host lies under `.localhost`.
    pub sandbox: bool,
}

/// The code of a service in JSON.
mod service {
    use policies::statistics::Service;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(service: &Service, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(service.code())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Service, D::Error> {
        let code = String::deserialize(from)?;
        Service::from_code(&code).ok_or_else(|| de::Error::custom("no such service"))
    }
}

/// What a file, a directory or several of them say about a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The requests.
    pub kinds: BTreeMap<Kind, Stretch>,
    /// The gateway's own probes, by bank; a failure took its time, too.
    pub probes: BTreeMap<String, Vec<Reply>>,
    /// Requests that were sent to the fallback, by bank.
    pub fallback: BTreeMap<String, u64>,
}

impl Heard {
    /// Adds what another one has heard of the same day.
    pub fn merge(&mut self, other: Self) {
        for (kind, stretch) in other.kinds {
            self.kinds.entry(kind).or_default().merge(stretch);
        }
        for (codetab, probes) in other.probes {
            self.probes.entry(codetab).or_default().extend(probes);
        }
        for (codetab, count) in other.fallback {
            *self.fallback.entry(codetab).or_default() += count;
        }
    }

    /// Brings everything into the order of receipt.
    pub fn settle(&mut self) {
        self.kinds.values_mut().for_each(Stretch::settle);
        self.probes.values_mut().for_each(|probes| probes.sort());
    }
}

/// A file as it was when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenFile {
    /// Its name, without a directory and without `.zst`.
    pub name: String,
    /// The number of its last line.
    pub sequence: u64,
    /// The hash of that line: with the number, what the whole file was.
    pub hash: String,
    /// When its first record was received.
    pub from: Option<Timestamp>,
    /// When its last record was complete.
    pub to: Option<Timestamp>,
    /// Lines that are no lines of a log; `octroi audit verify` says more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unreadable: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}, line {line}: {source}", path.display())]
pub struct LineFault {
    /// Which.
    pub path: PathBuf,
    /// From 1.
    pub line: u64,
    /// The operating system's reason.
    pub source: io::Error,
}

/// What a file says, by the index of the day.
#[derive(Debug, Default)]
pub(super) struct FileRead {
    pub(super) days: BTreeMap<usize, Heard>,
    /// Permits whose record does not stand in this file.
    pub(super) cut_off: BTreeMap<RequestId, (Timestamp, Kind)>,
    /// Records whose permit may stand in an earlier file.
    pub(super) begun_before: BTreeSet<RequestId>,
    pub(super) seen: SeenFile,
    pub(super) gateway: Option<String>,
    /// The hash of the line that was asked for, computed; nothing where the chain is broken before it.
    pub(super) hash_at: Option<String>,
}

/// The members that count. Everything else of a line is skipped.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(rename = "@timestamp")]
    time: Timestamp,
    #[serde(rename = "event.action", borrow)]
    action: Cow<'a, str>,
    #[serde(rename = "event.sequence", default)]
    sequence: u64,
    #[serde(rename = "event.duration", default)]
    duration: u64,
    #[serde(rename = "event.outcome", borrow, default)]
    ecs_outcome: Cow<'a, str>,
    #[serde(rename = "http.request.id", borrow, default)]
    id: Cow<'a, str>,
    #[serde(rename = "octroi.codetab", borrow, default)]
    codetab: Cow<'a, str>,
    #[serde(rename = "octroi.api", borrow, default)]
    api: Cow<'a, str>,
    #[serde(rename = "octroi.version", borrow, default)]
    version: Cow<'a, str>,
    #[serde(rename = "octroi.role", borrow, default)]
    role: Cow<'a, str>,
    #[serde(rename = "octroi.lane", borrow, default)]
    lane: Cow<'a, str>,
    #[serde(rename = "octroi.interface", borrow, default)]
    interface: Cow<'a, str>,
    #[serde(rename = "octroi.outcome", borrow, default)]
    outcome: Cow<'a, str>,
    #[serde(rename = "event.reason", borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(rename = "http.response.status_code", default)]
    status: u16,
    #[serde(rename = "server.address", borrow, default)]
    upstream: Option<Cow<'a, str>>,
    #[serde(rename = "url.domain", borrow, default)]
    host: Cow<'a, str>,
    #[serde(rename = "octroi.gateway", default)]
    gateway: Option<serde_json::Value>,
}

impl Row<'_> {
    fn id(&self) -> RequestId {
        Uuid::try_parse(&self.id).map(|id| id.as_u128()).unwrap_or_default()
    }

    fn ended(&self) -> Timestamp {
        let took = jiff::SignedDuration::from_nanos(i64::try_from(self.duration).unwrap_or(0));
        self.time.saturating_add(took).unwrap_or(self.time)
    }

    fn service(&self) -> Service {
        certs::PspRole::from_code(&self.role).map_or(Service::Other, Service::of_role)
    }

    fn is_sandbox(&self) -> bool {
        let host = self.host.rsplit_once(':').map_or(&*self.host, |(host, _)| host);
        let tail = host.len().checked_sub(LOCALHOST.len()).and_then(|at| host.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(LOCALHOST))
    }
}

/// Reads `file`. `wanted` asks for the hash of a line, by its number; `is_live` says that it may still be
/// written.
pub(super) fn read(
    file: &LogFile,
    calendar: &Calendar,
    (wanted, is_live): (Option<u64>, bool),
    progress: &dyn Fn(u64),
) -> Result<FileRead, LineFault> {
    let mut number = 0;
    let fault = |line, source| LineFault { path: file.path.clone(), line, source };
    let mut reader = file.open().map_err(|source| fault(0, source))?;
    let mut reading = Reading::new(file, calendar);
    let mut chain = wanted.map(|_| Chain::default());
    let (mut line, mut last) = (Vec::new(), Vec::new());
    loop {
        number += 1;
        match read_line(&mut *reader, &mut line).map_err(|source| fault(number, source))? {
            Line::End | Line::Torn => break,
            Line::Whole => {}
        }
        progress(line.len() as u64 + 1);
        // Where a line does not fit, nothing behind it is what it was.
        if chain.as_mut().is_some_and(|chain| chain.check(&line).is_err()) {
            chain = None;
        }
        match serde_json::from_slice::<Row<'_>>(&line) {
            Ok(row) => {
                if wanted == Some(row.sequence) {
                    reading.read.hash_at = chain.as_ref().map(|chain| hex::encode(chain.hash()));
                }
                reading.hear(&row);
            }
            Err(_) => reading.read.seen.unreadable += 1,
        }
        std::mem::swap(&mut line, &mut last);
    }
    Ok(reading.finish(&last, is_live))
}

struct Reading<'c> {
    calendar: &'c Calendar,
    read: FileRead,
    /// What was counted last is likely to be counted next.
    slots: Vec<(Kind, BTreeMap<usize, Stretch>)>,
    last_slot: usize,
    permits: BTreeMap<RequestId, (Timestamp, Kind)>,
    opened: Option<Timestamp>,
}

impl<'c> Reading<'c> {
    fn new(file: &LogFile, calendar: &'c Calendar) -> Self {
        let seen = SeenFile { name: file.name(), ..SeenFile::default() };
        Self {
            calendar,
            read: FileRead { seen, ..FileRead::default() },
            slots: Vec::new(),
            last_slot: 0,
            permits: BTreeMap::new(),
            opened: None,
        }
    }

    fn hear(&mut self, row: &Row<'_>) {
        let seen = &mut self.read.seen;
        seen.from = Some(seen.from.map_or(row.time, |from| from.min(row.time)));
        let ended = row.ended();
        seen.to = Some(seen.to.map_or(ended, |to| to.max(ended)));
        match &*row.action {
            REQUEST => self.request(row),
            PERMITTED if row.lane != FALLBACK => {
                let kind = self.kind(row);
                self.permits.insert(row.id(), (row.time, kind));
            }
            PROBE if row.interface != FALLBACK => self.probe(row),
            OPENED => {
                self.opened = Some(row.time);
                self.read.gateway = row.gateway.as_ref().map(named);
            }
            _ => {}
        }
    }

    fn request(&mut self, row: &Row<'_>) {
        let id = row.id();
        let had_permit = self.permits.remove(&id).is_some();
        // A call of the fallback has no API.
        let counts = row.lane == FALLBACK || !row.api.is_empty();
        if row.codetab.is_empty() || !counts {
            return;
        }
        if !had_permit && self.opened.is_some_and(|opened| row.time < opened) {
            self.read.begun_before.insert(id);
        }
        let Some((day, at_ms)) = self.calendar.place(row.time) else { return };
        if row.lane == FALLBACK {
            let heard = self.read.days.entry(day).or_default();
            *heard.fallback.entry(row.codetab.clone().into_owned()).or_default() += 1;
            return;
        }
        let took_us = row.duration / 1000;
        let fate = Fate::of(&Closing {
            is_whole: row.outcome != "aborted",
            is_permitted: had_permit || row.upstream.is_some() || row.outcome == "allowed",
            reason: row.reason.as_deref(),
            status: row.status,
            took_ms: u32::try_from(took_us / 1000).unwrap_or(u32::MAX),
        });
        let slot = self.slot(row);
        slot.entry(day).or_default().note(fate, at_ms, took_us, id);
    }

    fn probe(&mut self, row: &Row<'_>) {
        let Some((day, at_ms)) = self.calendar.place(row.time) else { return };
        let took_ms = u32::try_from(row.duration / 1_000_000).unwrap_or(u32::MAX);
        let probe = Reply::new(at_ms, took_ms, row.ecs_outcome == "success");
        let heard = self.read.days.entry(day).or_default();
        heard.probes.entry(row.codetab.clone().into_owned()).or_default().push(probe);
    }

    fn kind(&self, row: &Row<'_>) -> Kind {
        Kind {
            codetab: row.codetab.clone().into_owned(),
            api: row.api.clone().into_owned(),
            version: row.version.clone().into_owned(),
            service: row.service(),
            sandbox: row.is_sandbox(),
        }
    }

    fn slot(&mut self, row: &Row<'_>) -> &mut BTreeMap<usize, Stretch> {
        let (service, sandbox) = (row.service(), row.is_sandbox());
        let is_it = |kind: &Kind| {
            kind.codetab == row.codetab
                && kind.api == row.api
                && kind.version == row.version
                && kind.service == service
                && kind.sandbox == sandbox
        };
        let same = self.slots.get(self.last_slot).is_some_and(|(kind, _)| is_it(kind));
        if !same {
            let found = self.slots.iter().position(|(kind, _)| is_it(kind));
            self.last_slot = found.unwrap_or(self.slots.len());
            if found.is_none() {
                self.slots.push((self.kind(row), BTreeMap::new()));
            }
        }
        // It is there: found, or pushed above.
        &mut self.slots[self.last_slot].1
    }

    fn finish(mut self, last: &[u8], is_live: bool) -> FileRead {
        if let Some((_, sequence, hash)) = chain::split(last) {
            self.read.seen.sequence = sequence;
            self.read.seen.hash = hex::encode(hash);
        }
        let written_to = self.read.seen.to.unwrap_or(Timestamp::MIN).as_millisecond();
        for (id, (time, mut kind)) in std::mem::take(&mut self.permits) {
            let may_go_on = is_live && written_to - time.as_millisecond() < IN_FLIGHT_MS;
            self.complete(&mut kind);
            if !may_go_on {
                self.read.cut_off.insert(id, (time, kind));
            }
        }
        for (kind, days) in self.slots {
            for (day, stretch) in days {
                let heard = self.read.days.entry(day).or_default();
                heard.kinds.entry(kind.clone()).or_default().merge(stretch);
            }
        }
        self.read
    }

    /// A permit knows neither role nor host: those of the records beside it.
    fn complete(&self, kind: &mut Kind) {
        let beside = |other: &&(Kind, _)| {
            other.0.codetab == kind.codetab
                && other.0.api == kind.api
                && other.0.version == kind.version
                && other.0.service != Service::Other
        };
        if let Some((other, _)) = self.slots.iter().find(beside) {
            *kind = other.clone();
        } else if let Some((other, _)) = self.slots.first() {
            kind.sandbox = other.sandbox;
        }
    }
}

fn named(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(name) => name.clone(),
        serde_json::Value::Object(parts) => {
            parts.values().filter_map(|part| part.as_str()).collect::<Vec<_>>().join("-")
        }
        _ => String::new(),
    }
}
