//! The traffic of before against another world: what would have been refused, or would have come further.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use policies::quota::BucketId;
use policies::{CheckName, Trail, World};
use serde::Serialize;

use super::again::{Asked, Recorded, Stage};
use super::certificates::Certificates;
use super::limits::{LimitOutcome, Limits, Taking};
use super::stream::{self, Piece, Span, StreamError};
use super::truth::Cause;
use crate::audit::Entry;
use crate::audit::shelf::{self, Line, LogFile};
use crate::config::TppPaths;

/// What would become of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was let pass, and would be refused.
    WouldBeRefused,
    /// It was refused before the token, and would come to it: whether the token, the limits and the body
    /// would let it pass is not known.
    WouldComeFurther,
    /// It was refused, and would be for another reason.
    OtherReason,
}

impl Change {
    /// All, in the order of reports.
    pub const ALL: [Self; 3] = [Self::WouldBeRefused, Self::WouldComeFurther, Self::OtherReason];

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::WouldBeRefused => "allowed, and would be refused",
            Self::WouldComeFurther => "refused, and would come to its token",
            Self::OtherReason => "refused, and would be for another reason",
        }
    }
}

/// One call of a group.
#[derive(Clone, Debug, Serialize)]
pub struct Example {
    /// Its request id.
    pub request_id: Option<String>,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub organisation_id: Option<String>,
    /// What was asked.
    pub path: String,
    /// What it was answered with.
    pub recorded: String,
    /// What it would be answered with.
    pub rehearsed: String,
    /// The sentence that the TPP would read.
    pub detail: String,
}

/// All calls of one change.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Group {
    /// How many.
    pub calls: u64,
    /// By reason; where it was refused before, `old → new`.
    pub by_reason: BTreeMap<String, u64>,
    /// By TPP.
    pub by_tpp: BTreeMap<String, u64>,
    /// By bank.
    pub by_codetab: BTreeMap<String, u64>,
    /// The first ones.
    pub examples: Vec<Example>,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rehearsed {
    /// Records of requests.
    pub records: u64,
    /// Judged in the other world.
    pub judged: u64,
    /// With the same end.
    pub unchanged: u64,
    /// The others.
    pub changes: BTreeMap<Change, Group>,
    /// What each new or changed limit would have done.
    pub limits: BTreeMap<String, LimitOutcome>,
    /// Changed limits that are not simulated, with why.
    pub limits_left_out: BTreeMap<String, &'static str>,
    /// Could not be judged.
    pub not_judged: BTreeMap<Cause, u64>,
    /// Instant of the first and of the last record.
    pub span: Option<(Timestamp, Timestamp)>,
}

/// How to rehearse.
pub struct Rehearsal<'a> {
    /// The directory of the log.
    pub directory: &'a Path,
    /// Which of its records.
    pub span: Span,
    /// The other world.
    pub world: &'a Arc<World>,
    /// The paths of its authorization server.
    pub offices: Option<&'a TppPaths>,
    /// The world of then, where it is known: it tells who had sent a query, which is not kept.
    pub before: Option<&'a World>,
    /// As of when it judges.
    pub at: Timestamp,
    /// The limits that are simulated.
    pub limits: Limits,
    /// Threads that judge.
    pub threads: usize,
    /// Examples of each change at most.
    pub examples_max: usize,
}

/// What a piece of the log comes to.
#[derive(Default)]
struct Part {
    found: Rehearsed,
    takings: Vec<(Taking, BucketId)>,
}

/// Where a call stands, and where it would.
struct Compared {
    change: Option<Change>,
    reason: String,
    recorded: String,
    rehearsed: String,
    detail: String,
}

impl Rehearsal<'_> {
    /// Rehearses; `read` is told of bytes that are done.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn run(&self, read: &(dyn Fn(u64) + Sync)) -> Result<Rehearsed, StreamError> {
        let files = stream::files(self.directory, self.span)?;
        let certificates = Certificates::of(self.directory);
        let (mut all, mut takings) = (Rehearsed::default(), Vec::new());
        let mut buckets: HashMap<BucketId, u32> = HashMap::new();
        let work = |_: &mut (), piece: &Piece| self.piece(piece, &certificates);
        let take = |part: Part| {
            all.add(part.found, self.examples_max);
            for (taking, bucket) in part.takings {
                let next = u32::try_from(buckets.len()).unwrap_or(u32::MAX);
                let bucket = *buckets.entry(bucket).or_insert(next);
                takings.push(Taking { bucket, ..taking });
            }
        };
        stream::run(&files, self.threads, || (), work, take, read)?;
        takings.sort_by_key(|taking| taking.time);
        self.count(&files, &takings, &mut all)?;
        for (name, why) in self.limits.left_out() {
            all.limits_left_out.insert(name.clone(), why);
        }
        Ok(all)
    }

    fn piece(&self, piece: &Piece, certificates: &Certificates) -> Part {
        let mut part = Part::default();
        for (line, text) in piece.lines() {
            let Ok(entry) = Entry::read(text) else {
                part.found.not(Cause::Unreadable);
                continue;
            };
            if !entry.is_request() || !self.span.holds(entry.time) {
                continue;
            }
            part.found.records += 1;
            let (first, last) = part.found.span.unwrap_or((entry.time, entry.time));
            part.found.span = Some((first.min(entry.time), last.max(entry.time)));
            match self.record(&entry, certificates, (piece.file, line), &mut part.takings) {
                Err(cause) => part.found.not(cause),
                Ok(compared) => part.found.tell(&entry, compared, self.examples_max),
            }
        }
        part
    }

    fn record(
        &self,
        entry: &Entry<'_>,
        certificates: &Certificates,
        (file, line): (usize, u64),
        takings: &mut Vec<(Taking, BucketId)>,
    ) -> Result<Compared, Cause> {
        if entry.checks.is_empty() {
            return Err(Cause::NeverJudged);
        }
        let stage = Stage::of(entry, self.offices);
        let recorded = Recorded::of(entry, stage).ok_or(Cause::Unreadable)?;
        let sha256 = entry.certificate_sha256.as_deref().ok_or(Cause::CertificateNotKept)?;
        let identity = certificates.identity(sha256, self.world, self.at);
        let identity = identity.ok_or(Cause::CertificateNotKept)?;
        let was_known = |world: &World| world.routes.locate("", &entry.path).1.is_some();
        let queried = matches!(&recorded.failed, Some((CheckName::Path, _)))
            && self.before.is_some_and(was_known);
        let path = if queried { format!("{}?", entry.path) } else { String::new() };
        let asked = Asked {
            identity: &identity,
            sni: entry.server_name.as_deref(),
            host: &entry.host,
            method: &entry.method,
            path: if queried { &path } else { &entry.path },
            stage,
        };
        let mut trail = Trail::new();
        let judged = asked.judge(self.world, self.at, &mut trail);
        if let Ok(Some(admitted)) = &judged
            && !self.limits.is_empty()
            && reached_limits(entry)
        {
            let passed = entry.outcome != "refused";
            for (limit, bucket) in self.limits.charges(admitted) {
                let taking = Taking {
                    time: entry.time.as_microsecond(),
                    bucket: 0,
                    limit,
                    passed,
                    file: u32::try_from(file).unwrap_or(u32::MAX),
                    line: u32::try_from(line).unwrap_or(u32::MAX),
                };
                takings.push((taking, bucket));
            }
        }
        // Whoever left before the answer was refused all the same.
        let refused =
            entry.outcome == "refused" || entry.checks.iter().any(|looked| !looked.passed);
        let before = entry.reason.as_deref().filter(|_| refused);
        Ok(match (judged.err(), before) {
            (Some(refusal), before) => {
                let code = refusal.reason.code();
                let change = match before {
                    None => Some(Change::WouldBeRefused),
                    Some(before) => (before != code).then_some(Change::OtherReason),
                };
                let reason =
                    before.map_or_else(|| code.to_owned(), |old| format!("{old} → {code}"));
                Compared {
                    change,
                    reason,
                    recorded: before.unwrap_or(&entry.outcome).to_owned(),
                    rehearsed: code.to_owned(),
                    detail: refusal.to_string(),
                }
            }
            (None, None) if let Some(code) = self.enforced(entry, stage) => Compared {
                change: Some(Change::WouldBeRefused),
                recorded: entry.outcome.to_string(),
                rehearsed: code.clone(),
                detail: "the check is only observed in the log".to_owned(),
                reason: code,
            },
            (None, before) => Compared {
                change: recorded.failed.is_some().then_some(Change::WouldComeFurther),
                reason: before.unwrap_or_default().to_owned(),
                recorded: before.unwrap_or(&entry.outcome).to_owned(),
                rehearsed: match stage {
                    Stage::Fallback => "would come to an open or closed fallback".to_owned(),
                    _ => "would come to its token".to_owned(),
                },
                detail: String::new(),
            },
        })
    }

    /// The reason of a check after the token that failed and was only observed then, and is enforced in the
    /// other world.
    fn enforced(&self, entry: &Entry<'_>, stage: Stage) -> Option<String> {
        let failed = entry.checks.iter().find_map(|looked| {
            let reason = looked.warning.as_deref()?;
            let name = CheckName::ALL.iter().find(|name| name.code() == looked.check)?;
            let observable = name.cannot_be_observed().is_none();
            let enforced = observable && !self.world.observed.contains(*name);
            (enforced && !stage.judges(*name)).then(|| reason.to_owned())
        });
        failed.filter(|_| stage == Stage::Api)
    }

    /// What the limits would have done, with the records of the first calls that they would refuse.
    fn count(
        &self,
        files: &[LogFile],
        takings: &[Taking],
        all: &mut Rehearsed,
    ) -> Result<(), StreamError> {
        let mut wanted: BTreeMap<u32, BTreeMap<u32, String>> = BTreeMap::new();
        let outcomes = self.limits.count(takings, |taking, name| {
            wanted.entry(taking.file).or_default().entry(taking.line).or_insert(name.to_owned());
        });
        all.limits.extend(outcomes);
        for (place, lines) in wanted {
            let Some(file) = usize::try_from(place).ok().and_then(|place| files.get(place)) else {
                continue;
            };
            let failed = |error| StreamError::File { file: file.path.clone(), error };
            let mut reader = file.open().map_err(failed)?;
            let (mut text, mut number) = (Vec::new(), 0_u32);
            let last = lines.keys().next_back().copied().unwrap_or_default();
            while number < last
                && shelf::read_line(&mut *reader, &mut text).map_err(failed)? == Line::Whole
            {
                number += 1;
                let Some(limit) = lines.get(&number) else { continue };
                let Ok(entry) = Entry::read(&text) else { continue };
                all.unchanged = all.unchanged.saturating_sub(1);
                all.judged = all.judged.saturating_sub(1);
                let compared = Compared {
                    change: Some(Change::WouldBeRefused),
                    reason: "quota_exceeded".to_owned(),
                    recorded: entry.outcome.to_string(),
                    rehearsed: "quota_exceeded".to_owned(),
                    detail: format!("the limit {limit:?} has no room left"),
                };
                all.tell(&entry, compared, self.examples_max);
            }
        }
        Ok(())
    }
}

/// Whether the limits of then were asked about it: it was let pass, or refused by them or after them.
fn reached_limits(entry: &Entry<'_>) -> bool {
    let failed = entry.checks.iter().find(|looked| !looked.passed);
    let place = |code: &str| CheckName::ALL.iter().find(|name| name.code() == code);
    failed.is_none_or(|looked| {
        place(&looked.check).is_some_and(|name| *name as u8 >= CheckName::Quota as u8)
    })
}

impl Rehearsed {
    /// Calls of one change.
    #[must_use]
    pub fn calls(&self, change: Change) -> u64 {
        self.changes.get(&change).map_or(0, |group| group.calls)
    }

    fn not(&mut self, cause: Cause) {
        *self.not_judged.entry(cause).or_default() += 1;
    }

    fn tell(&mut self, entry: &Entry<'_>, compared: Compared, examples_max: usize) {
        self.judged += 1;
        let Some(change) = compared.change else {
            self.unchanged += 1;
            return;
        };
        let group = self.changes.entry(change).or_default();
        group.calls += 1;
        let none = || "-".to_owned();
        let tpp = entry.organisation_id.as_deref().map_or_else(none, str::to_owned);
        let codetab = entry.codetab.as_deref().map_or_else(none, str::to_owned);
        *group.by_reason.entry(compared.reason).or_default() += 1;
        *group.by_tpp.entry(tpp).or_default() += 1;
        *group.by_codetab.entry(codetab).or_default() += 1;
        if group.examples.len() < examples_max {
            group.examples.push(Example {
                request_id: entry.request_id.as_deref().map(str::to_owned),
                time: entry.time,
                organisation_id: entry.organisation_id.as_deref().map(str::to_owned),
                path: entry.path.to_string(),
                recorded: compared.recorded,
                rehearsed: compared.rehearsed,
                detail: compared.detail,
            });
        }
    }

    fn add(&mut self, part: Self, examples_max: usize) {
        self.records += part.records;
        self.judged += part.judged;
        self.unchanged += part.unchanged;
        for (cause, count) in part.not_judged {
            *self.not_judged.entry(cause).or_default() += count;
        }
        for (change, part) in part.changes {
            let group = self.changes.entry(change).or_default();
            group.calls += part.calls;
            for (ours, theirs) in [
                (&mut group.by_reason, part.by_reason),
                (&mut group.by_tpp, part.by_tpp),
                (&mut group.by_codetab, part.by_codetab),
            ] {
                for (name, count) in theirs {
                    *ours.entry(name).or_default() += count;
                }
            }
            let room = examples_max.saturating_sub(group.examples.len());
            group.examples.extend(part.examples.into_iter().take(room));
        }
        self.span = match (self.span, part.span) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (ours, theirs) => ours.or(theirs),
        };
    }
}
