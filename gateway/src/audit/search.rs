//! Searches a log of many millions of lines in seconds: an index of each file tells which blocks need not
//! be read, and what is read is looked through before any JSON is parsed.

mod index;
mod kept;
mod query;
mod run;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::shelf::LogFile;
use index::{Block, Index};
use jiff::{SignedDuration, Timestamp};
use run::Unit;

pub use kept::{Kept, is_index};
pub use query::{Field, Filter, Query, Sieve};
pub use run::Hit;

/// What is written about a request lies around the time in its id.
const AROUND: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(10), SignedDuration::from_secs(120));
/// Lines about one request, at most.
const HITS_MAX: usize = 64;

/// What a search cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Blocks that were read.
    pub blocks_read: u64,
    /// Blocks that need not be.
    pub blocks_skipped: u64,
    /// Octets of them, decompressed.
    pub bytes_read: u64,
    /// Octets that need not be read.
    pub bytes_skipped: u64,
    /// Files of which an index was made.
    pub indexed: u64,
}

/// A log that is searched.
#[derive(Debug)]
pub struct Search<'a> {
    /// Its files.
    pub files: &'a [LogFile],
    /// Where indexes are kept, if anywhere.
    pub kept: Option<&'a Kept>,
    /// At once.
    pub threads: usize,
}

/// Told of octets that were read and of how many there are in all, from several threads.
pub trait Progress: Sync {
    /// So many more octets will be read.
    fn more(&self, bytes: u64);
    /// So many were.
    fn read(&self, bytes: u64);
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What it cost.
    pub cost: Cost,
    /// What could not be read: the answer may lack lines.
    pub troubles: Vec<String>,
}

/// Blocks of one file that are to be read, and what is known without reading.
#[derive(Default)]
struct Plan {
    units: Vec<Unit>,
    counts: BTreeMap<String, u64>,
    cost: Cost,
    troubles: Vec<String>,
}

impl Search<'_> {
    /// Tells every line that `query` looks for, in the order of time; `false` from `tell` ends it.
    ///
    /// # Errors
    /// Those of `tell`.
    pub fn find(
        &self,
        query: &Query,
        progress: &dyn Progress,
        tell: &mut dyn FnMut(Hit) -> io::Result<bool>,
    ) -> io::Result<Outcome> {
        self.read(self.plan(query, None, progress), query, progress, tell)
    }

    /// Counts the lines that `query` looks for, by the values of `by` as JSON has them; those without one,
    /// and all where no field is named, under the empty text.
    ///
    /// # Errors
    /// None of its own.
    pub fn count(
        &self,
        query: &Query,
        by: Option<Field>,
        progress: &dyn Progress,
    ) -> io::Result<(BTreeMap<String, u64>, Outcome)> {
        let mut plan = self.plan(query, Some(by), progress);
        let mut counts = std::mem::take(&mut plan.counts);
        let mut count = |hit: Hit| {
            let value = by.and_then(|by| value(&hit.bytes, by)).unwrap_or_default();
            *counts.entry(value).or_default() += 1;
            Ok(true)
        };
        let outcome = self.read(plan, query, progress, &mut count)?;
        Ok((counts, outcome))
    }

    /// The lines about request `id`. The id of a request usually tells `when` it came: then only what
    /// lies around that is looked through at first.
    ///
    /// # Errors
    /// None of its own.
    pub fn request(
        &self,
        id: &str,
        when: Option<Timestamp>,
        progress: &dyn Progress,
    ) -> io::Result<(Vec<Hit>, Vec<String>)> {
        for span in [Some(AROUND), None] {
            let around = match span {
                Some((before, after)) => match when {
                    Some(when) => (when.checked_sub(before).ok(), when.checked_add(after).ok()),
                    None => continue,
                },
                None => (None, None),
            };
            let mut query = Query::within(around.0, around.1);
            query.quiet = true;
            query.add(Filter::new(Field::RequestId, id, false));
            let mut hits = Vec::new();
            let outcome = self.find(&query, progress, &mut |hit| {
                hits.push(hit);
                Ok(hits.len() < HITS_MAX)
            })?;
            if !hits.is_empty() || span.is_none() {
                return Ok((hits, outcome.troubles));
            }
        }
        Ok((Vec::new(), Vec::new()))
    }

    fn read(
        &self,
        plan: Plan,
        query: &Query,
        progress: &dyn Progress,
        tell: &mut dyn FnMut(Hit) -> io::Result<bool>,
    ) -> io::Result<Outcome> {
        let Plan { mut units, mut cost, mut troubles, .. } = plan;
        units.sort_by_key(|unit| (unit.from, unit.file));
        let bytes = |unit: &Unit| unit.blocks.iter().map(|block| block.bytes).sum::<u64>();
        progress.more(units.iter().map(bytes).sum());
        let (blocks, octets) = (AtomicU64::new(0), AtomicU64::new(0));
        let read = |unit: &Unit| {
            blocks.fetch_add(unit.blocks.len() as u64, Ordering::Relaxed);
            octets.fetch_add(bytes(unit), Ordering::Relaxed);
            progress.read(bytes(unit));
        };
        troubles.extend(run::run(self.files, &units, query, self.threads, &read, tell)?);
        cost.blocks_read = blocks.into_inner();
        cost.bytes_read = octets.into_inner();
        Ok(Outcome { cost, troubles })
    }

    fn plan(&self, query: &Query, count: Option<Option<Field>>, progress: &dyn Progress) -> Plan {
        let next = AtomicUsize::new(0);
        let all: Mutex<Plan> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..self.threads.clamp(1, self.files.len().max(1)) {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(file) = self.files.get(at) else { return };
                        let one = self.plan_file(at, file, query, count, progress);
                        all.lock().unwrap_or_else(PoisonError::into_inner).add(one);
                    }
                });
            }
        });
        all.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan_file(
        &self,
        at: usize,
        file: &LogFile,
        query: &Query,
        count: Option<Option<Field>>,
        progress: &dyn Progress,
    ) -> Plan {
        let mut plan = Plan::default();
        let index = match self.index(at, file, progress, &mut plan.cost) {
            Ok(index) => index,
            // A file that was just removed or compressed: the one in its place is read.
            Err(error) => {
                plan.troubles.push(format!("{}: {error}", file.path.display()));
                return plan;
            }
        };
        let damage = |damage: &String| format!("{}: {damage}", file.name());
        plan.troubles.extend(index.damage.iter().map(damage));
        let wanted = index.wanted(query);
        for block in &index.blocks {
            let timely = match block.span {
                Some((first, last)) => query.may_lie_within(first, last) || block.odd,
                None => block.odd,
            };
            let known = count.is_some_and(|by| plan.count(&index, block, query, by));
            if !timely || known || !index.may_hold(block, &wanted) {
                plan.cost.blocks_skipped += 1;
                plan.cost.bytes_skipped += block.bytes;
                continue;
            }
            let from = block.span.map_or(i64::MIN, |(first, _)| first);
            match plan.units.last_mut().filter(|unit| file.compressed && unit.at == block.at) {
                Some(unit) => {
                    unit.from = unit.from.min(from);
                    unit.blocks.push(block.clone());
                }
                None => {
                    let blocks = vec![block.clone()];
                    plan.units.push(Unit { file: at, at: block.at, blocks, from });
                }
            }
        }
        plan
    }

    fn index(
        &self,
        at: usize,
        file: &LogFile,
        progress: &dyn Progress,
        cost: &mut Cost,
    ) -> io::Result<Index> {
        if let Some(index) = self.kept.and_then(|kept| kept.read(file)) {
            return Ok(index);
        }
        let before = kept::Stamp::of(file);
        progress.more(file.path.metadata()?.len());
        let index = Index::of(file, &|bytes| progress.read(bytes))?;
        cost.indexed += 1;
        // The last file may be growing.
        if let (Some(kept), Ok(stamp)) = (self.kept, before)
            && (file.compressed || at + 1 < self.files.len())
        {
            kept.write(file, &stamp, &index);
        }
        Ok(index)
    }
}

impl Plan {
    fn add(&mut self, other: Self) {
        self.units.extend(other.units);
        self.troubles.extend(other.troubles);
        self.cost.blocks_skipped += other.cost.blocks_skipped;
        self.cost.bytes_skipped += other.cost.bytes_skipped;
        self.cost.indexed += other.cost.indexed;
        for (value, count) in other.counts {
            *self.counts.entry(value).or_default() += count;
        }
    }

    /// Counts `block` by its index alone, where that can tell: all of it is within the span, and no two
    /// members have to be looked at together.
    fn count(&mut self, index: &Index, block: &Block, query: &Query, by: Option<Field>) -> bool {
        let Some((first, last)) = block.span else { return false };
        let within = query.from.is_none_or(|from| from.as_microsecond() < first)
            && query.to.is_none_or(|to| to.as_microsecond() > last);
        if !within || block.odd || query.names_events() {
            return false;
        }
        match (query.filters(), by) {
            ([], None) => {
                *self.counts.entry(String::new()).or_default() += u64::from(block.shown);
                true
            }
            ([], Some(by)) => {
                let Some(counts) = index.counts(block, by) else { return false };
                let mut rest = u64::from(block.shown);
                for (value, count) in counts {
                    *self.counts.entry(value.to_owned()).or_default() += count;
                    rest = rest.saturating_sub(count);
                }
                if rest > 0 {
                    *self.counts.entry(String::new()).or_default() += rest;
                }
                true
            }
            ([one], by) if by.is_none_or(|by| by == one.field()) => {
                let Some(counts) = index.counts(block, one.field()) else { return false };
                for (value, count) in counts {
                    if one.holds(value.as_bytes()) {
                        let value = by.map_or_else(String::new, |_| value.to_owned());
                        *self.counts.entry(value).or_default() += count;
                    }
                }
                true
            }
            _ => false,
        }
    }
}

fn value(line: &[u8], field: Field) -> Option<String> {
    let member = field.member().as_bytes();
    let (_, value) = super::members::members(line).find(|(name, _)| *name == member)?;
    Some(String::from_utf8_lossy(value).into_owned())
}
