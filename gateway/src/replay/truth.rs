//! Every record of a log, judged once more in the world that judged it: what comes out must be what
//! stands there.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use policies::{CheckName, Trail};
use serde::Serialize;

use super::again::{Asked, Recorded, Stage};
use super::certificates::Certificates;
use super::stream::{self, Piece, Span, StreamError};
use crate::audit::{Entry, shelf::LogFile};
use crate::world::{IN_FORCE, Past, Recalled};

/// Why a record cannot be judged once more. Never counted as equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It was refused before anything of it was judged: malformed, or the log had no room.
    NeverJudged,
    /// The file of its certificate is missing, or holds another one.
    CertificateNotKept,
    /// The record names no world, or one that was not written down.
    WorldNotKept,
    /// A part of its world is missing or was changed.
    WorldUnfit,
    /// No line of an access log.
    Unreadable,
}

impl Cause {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NeverJudged => "never judged: malformed, or refused before the first check",
            Self::CertificateNotKept => "the certificate is not in `certificates`",
            Self::WorldNotKept => "its world was not written down in `worlds`",
            Self::WorldUnfit => "a part of its world is missing, or was changed",
            Self::Unreadable => "no line of an access log",
        }
    }

    /// Whether there was a verdict of ours and what it was made of is not there, or not as it was.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        match self {
            Self::NeverJudged => false,
            Self::CertificateNotKept | Self::WorldNotKept | Self::WorldUnfit | Self::Unreadable => {
                true
            }
        }
    }
}

/// A verdict that comes out differently.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// Whose.
    pub request_id: Option<String>,
    /// When.
    pub time: Timestamp,
    /// The check at which they part, or `world` where what was looked at is something else.
    pub check: &'static str,
    /// What stands there.
    pub recorded: String,
    /// What comes out.
    pub replayed: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Replayed {
    /// Records of requests.
    pub records: u64,
    /// Came out as they stand there.
    pub equal: u64,
    /// Of these: refused after the token, which counts as recorded.
    pub later_as_recorded: u64,
    /// Did not.
    pub different: u64,
    /// The first of those.
    pub differences: Vec<Difference>,
    /// Could not be judged once more.
    pub not_replayed: BTreeMap<Cause, u64>,
    /// The first sentence about each part of a world that cannot be had.
    pub unfit: Vec<String>,
}

/// How to replay a log.
pub struct Replay<'a> {
    /// The directory of the log.
    pub directory: &'a Path,
    /// Which of its records.
    pub span: Span,
    /// Its worlds.
    pub past: &'a Past,
    /// Threads that judge.
    pub threads: usize,
    /// Differences that are told at most.
    pub told_max: usize,
}

/// What one thread holds on to.
#[derive(Default)]
struct Held(Option<(u64, Result<Recalled, Cause>)>);

impl Replay<'_> {
    /// Replays; `read` is told of bytes that are done.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn run(&self, read: &(dyn Fn(u64) + Sync)) -> Result<Replayed, StreamError> {
        let files = stream::files(self.directory, self.span)?;
        let certificates = Certificates::of(self.directory);
        let mut all = Replayed::default();
        let work = |held: &mut Held, piece: &Piece| self.piece(held, piece, &files, &certificates);
        let take = |part: Replayed| all.add(part, self.told_max);
        stream::run(&files, self.threads, Held::default, work, take, read)?;
        Ok(all)
    }

    fn piece(
        &self,
        held: &mut Held,
        piece: &Piece,
        files: &[LogFile],
        certificates: &Certificates,
    ) -> Replayed {
        let mut found = Replayed::default();
        let name = files.get(piece.file).map(LogFile::name).unwrap_or_default();
        for (line, text) in piece.lines() {
            let Ok(entry) = Entry::read(text) else {
                found.not(Cause::Unreadable);
                continue;
            };
            if !self.span.holds(entry.time) {
                continue;
            }
            if !entry.is_request() {
                self.event(&entry, (&name, line), &mut found);
                continue;
            }
            found.records += 1;
            match self.record(held, &entry, certificates, &mut found) {
                Err(cause) => found.not(cause),
                Ok(None) => found.equal += 1,
                Ok(Some((check, recorded, replayed))) => {
                    let difference = Difference {
                        file: name.clone(),
                        line,
                        request_id: entry.request_id.as_deref().map(str::to_owned),
                        time: entry.time,
                        check,
                        recorded,
                        replayed,
                    };
                    found.differs(difference, self.told_max);
                }
            }
        }
        found
    }

    /// What the sealed log says of a world must be what stands in `worlds`.
    fn event(&self, entry: &Entry<'_>, (file, line): (&str, u64), found: &mut Replayed) {
        if entry.action != IN_FORCE {
            return;
        }
        let told = entry.subject.as_deref().and_then(|subject| subject.split_once(' '));
        let told = told.and_then(|(number, hash)| Some((number.parse().ok()?, hash)));
        let Some((number, hash)) = told else { return };
        let kept = self.past.hash(number);
        if kept.as_deref() == Some(hash) {
            return;
        }
        let difference = Difference {
            file: file.to_owned(),
            line,
            request_id: None,
            time: entry.time,
            check: "world",
            recorded: format!("world {number} with hash {hash}"),
            replayed: kept
                .map_or_else(|| "it is not in `worlds`".to_owned(), |kept| format!("hash {kept}")),
        };
        found.differs(difference, self.told_max);
    }

    fn record(
        &self,
        held: &mut Held,
        entry: &Entry<'_>,
        certificates: &Certificates,
        found: &mut Replayed,
    ) -> Result<Option<(&'static str, String, String)>, Cause> {
        if entry.checks.is_empty() {
            return Err(Cause::NeverJudged);
        }
        let recalled = held.world(self.past, entry.world.ok_or(Cause::WorldNotKept)?, found)?;
        let stage = Stage::of(entry, recalled.offices());
        let recorded = Recorded::of(entry, stage).ok_or(Cause::Unreadable)?;
        let sha256 = entry.certificate_sha256.as_deref().ok_or(Cause::CertificateNotKept)?;
        let world = &recalled.world;
        let identity = certificates.identity(sha256, world, entry.time);
        let identity = identity.ok_or(Cause::CertificateNotKept)?;
        // A query is not kept. No path has one, so whoever was refused for the path may have sent one.
        // Of the fallback, whose paths may have one, the record holds none that a query would change.
        let queried = matches!(&recorded.failed, Some((CheckName::Path, _)));
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
        let _ = asked.judge(world, entry.time, &mut trail);
        let replayed = Recorded::from_trail(&trail, stage);
        if recorded.failed == replayed.failed && recorded.warned == replayed.warned {
            let elsewhere = elsewhere(entry, &trail, stage);
            if elsewhere.is_none() {
                found.later_as_recorded += u64::from(recorded.later);
            }
            return Ok(elsewhere);
        }
        let first = [&recorded, &replayed].map(|one| {
            let failed = one.failed.iter().map(|(check, _)| *check);
            failed.chain(one.warned.iter().map(|(check, _)| *check)).min_by_key(|c| *c as u8)
        });
        let check = first.into_iter().flatten().min_by_key(|check| *check as u8);
        let check = check.map_or("verdict", CheckName::code);
        Ok(Some((check, words(&recorded), words(&replayed))))
    }
}

fn words(recorded: &Recorded) -> String {
    let warned = recorded.warned.iter().map(|(_, reason)| format!(", warned: {reason}"));
    recorded.words() + &warned.collect::<String>()
}

/// The check that came to the same by looking at something else than was recorded.
fn elsewhere(
    entry: &Entry<'_>,
    trail: &Trail,
    stage: Stage,
) -> Option<(&'static str, String, String)> {
    for check in trail.iter().filter(|check| stage.judges(check.name)) {
        let looked = entry.checks.iter().find(|looked| looked.check == check.name.code());
        let Some(looked) = looked else { continue };
        let evidence = check.looked_at;
        let version = (evidence.version != 0).then(|| format!("{:016x}", evidence.version));
        let same = looked.source == evidence.source.code()
            && looked.version.as_deref() == version.as_deref()
            && looked.as_of == evidence.as_of;
        if !same {
            let told = |source: &str, version: Option<&str>, as_of: Option<Timestamp>| {
                let as_of = as_of.map_or_else(|| "-".to_owned(), |as_of| as_of.to_string());
                format!("looked at {source} {} of {as_of}", version.unwrap_or("-"))
            };
            return Some((
                check.name.code(),
                told(&looked.source, looked.version.as_deref(), looked.as_of),
                told(evidence.source.code(), version.as_deref(), evidence.as_of),
            ));
        }
    }
    None
}

impl Held {
    fn world(
        &mut self,
        past: &Past,
        number: u64,
        found: &mut Replayed,
    ) -> Result<&Recalled, Cause> {
        if self.0.as_ref().is_none_or(|(held, _)| *held != number) {
            let recalled = past.recall(number).map_err(|error| {
                let known = past.line(number).is_some();
                if known && found.unfit.is_empty() {
                    found.unfit.push(error.to_string());
                }
                if known { Cause::WorldUnfit } else { Cause::WorldNotKept }
            });
            self.0 = Some((number, recalled));
        }
        match &self.0 {
            Some((_, Ok(recalled))) => Ok(recalled),
            Some((_, Err(cause))) => Err(*cause),
            None => Err(Cause::WorldNotKept),
        }
    }
}

impl Replayed {
    /// Records whose verdict can be neither confirmed nor denied.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.not_replayed.iter().filter(|(cause, _)| cause.is_loss()).map(|(_, count)| count).sum()
    }

    /// Whether everything that could be judged came out as it stands there.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.different == 0
    }

    fn not(&mut self, cause: Cause) {
        *self.not_replayed.entry(cause).or_default() += 1;
    }

    fn differs(&mut self, difference: Difference, told_max: usize) {
        self.different += 1;
        if self.differences.len() < told_max {
            self.differences.push(difference);
        }
    }

    fn add(&mut self, part: Self, told_max: usize) {
        self.records += part.records;
        self.equal += part.equal;
        self.later_as_recorded += part.later_as_recorded;
        self.different += part.different;
        let room = told_max.saturating_sub(self.differences.len());
        self.differences.extend(part.differences.into_iter().take(room));
        for (cause, count) in part.not_replayed {
            *self.not_replayed.entry(cause).or_default() += count;
        }
        for why in part.unfit {
            if !self.unfit.contains(&why) {
                self.unfit.push(why);
            }
        }
    }
}
