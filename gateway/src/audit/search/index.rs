//! What stands where in a file, so that most of it need not be read: for each block of some thousand
//! lines, from where it can be read, which time it spans, and which values of each [`Field`] it holds.

use std::collections::HashMap;
use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::lines::{End, Lines, Place};
use super::super::members::members;
use super::super::shelf::LogFile;
use super::query::{Field, Filter, Query, is_shown};

/// Lines of a block, at most.
pub(super) const BLOCK_LINES: u32 = 4096;
/// Octets of a block after which it ends.
const BLOCK_BYTES: u64 = 8 * 1024 * 1024;
/// Lines after which a block ends where a compressed frame does, so that it can be read by itself.
const FRAME_LINES: u32 = BLOCK_LINES / 2;
/// Different values of a field in one file; with more, blocks are not told apart by it.
const VALUES_MAX: usize = 50_000;

/// The index of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    /// In the order of the file.
    pub(super) blocks: Vec<Block>,
    /// For each field the values in the file, as JSON has them; a block names them by their place.
    values: Vec<Values>,
    /// What could not be read, for people.
    pub(super) damage: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Values {
    all: Vec<String>,
    /// There are more: what is not in `all` may be there all the same.
    more: bool,
}

/// Some thousand lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Block {
    /// From where it can be read: see [`Place`].
    pub(super) at: u64,
    /// Decompressed octets between there and its first line.
    pub(super) skip: u64,
    /// Its length, decompressed.
    pub(super) bytes: u64,
    /// The number of its first line in the file, from 0.
    pub(super) line: u64,
    /// How many lines.
    pub(super) lines: u32,
    /// The earliest and the latest time in it, in microseconds.
    pub(super) span: Option<(i64, i64)>,
    /// A line in it is not as the gateway writes them.
    pub(super) odd: bool,
    /// For each field, which values it holds, and in how many of the lines that are shown unasked.
    held: Vec<Vec<(u32, u32)>>,
    /// Lines that are shown unasked.
    pub(super) shown: u32,
}

impl Index {
    /// Reads all of `file`. `progress` is told of octets that were read from disk.
    ///
    /// # Errors
    /// The operating system's. What is damaged is left out, and told.
    pub(super) fn of(file: &LogFile, progress: &dyn Fn(u64)) -> io::Result<Self> {
        let mut lines = Lines::open(file)?;
        let mut making = Making::new();
        let (mut number, mut told) = (0, 0);
        loop {
            match lines.next_line() {
                Ok(Some(read)) => {
                    // What is being written now is no line yet.
                    if read.end == End::Torn {
                        break;
                    }
                    making.line(read.line, read.offset, read.place, number);
                    number += 1;
                }
                Ok(None) => break,
                Err(error) => {
                    making.end_block(lines.offset());
                    making.damaged(lines.offset(), &error);
                    if !lines.skip_damage()? {
                        break;
                    }
                }
            }
            if lines.read() > told {
                progress(lines.read() - told);
                told = lines.read();
            }
        }
        making.end_block(making.offset);
        Ok(making.index())
    }

    /// Whether a line that `query` looks for may stand in `block`.
    #[must_use]
    pub(super) fn may_hold(&self, block: &Block, wanted: &Wanted) -> bool {
        block.odd
            || wanted.0.iter().all(|(field, ids)| match ids {
                None => true,
                Some(ids) => block
                    .held
                    .get(*field as usize)
                    .is_none_or(|held| held.iter().any(|(id, _)| ids.binary_search(id).is_ok())),
            })
    }

    /// The places of the values that `query` looks for, once for all blocks.
    #[must_use]
    pub(super) fn wanted(&self, query: &Query) -> Wanted {
        let of = |filter: &Filter| {
            let values = self.values.get(filter.field() as usize)?;
            if !filter.field().is_indexed() || values.more {
                return None;
            }
            let holds = |(_, value): &(usize, &String)| filter.holds(value.as_bytes());
            let ids = values.all.iter().enumerate().filter(holds);
            Some(ids.filter_map(|(id, _)| u32::try_from(id).ok()).collect())
        };
        Wanted(query.filters().iter().map(|filter| (filter.field(), of(filter))).collect())
    }

    /// How many shown lines of `block` have each value of `field`; nothing where the index does not know.
    #[must_use]
    pub(super) fn counts(&self, block: &Block, field: Field) -> Option<Vec<(&str, u64)>> {
        let values = self.values.get(field as usize)?;
        if block.odd || values.more || !field.is_indexed() {
            return None;
        }
        let held = block.held.get(field as usize)?;
        held.iter()
            .filter(|(_, count)| *count > 0)
            .map(|(id, count)| Some((values.all.get(*id as usize)?.as_str(), u64::from(*count))))
            .collect()
    }
}

/// For each condition of a query its field and the values that satisfy it, in order; nothing where the
/// index cannot tell.
#[derive(Clone, Debug)]
pub(super) struct Wanted(Vec<(Field, Option<Vec<u32>>)>);

struct Making {
    index: Index,
    known: Vec<HashMap<String, u32>>,
    block: Option<Block>,
    /// The values of the block, by their place among all.
    held: Vec<HashMap<u32, u32>>,
    /// Behind the last line.
    offset: u64,
    begins: u64,
}

impl Making {
    fn new() -> Self {
        Self {
            index: Index { values: vec![Values::default(); Field::COUNT], ..Index::default() },
            known: vec![HashMap::new(); Field::COUNT],
            block: None,
            held: vec![HashMap::new(); Field::COUNT],
            offset: 0,
            begins: 0,
        }
    }

    fn line(&mut self, line: &[u8], offset: u64, place: Place, number: u64) {
        let full = self.block.as_ref().is_some_and(|block| {
            block.lines >= BLOCK_LINES
                || offset.saturating_sub(self.begins) >= BLOCK_BYTES
                || block.lines >= FRAME_LINES && place.at != block.at && place.skip == 0
        });
        if full {
            self.end_block(offset);
        }
        if self.block.is_none() {
            self.begins = offset;
        }
        let block = self.block.get_or_insert_with(|| Block {
            at: place.at,
            skip: place.skip,
            bytes: 0,
            line: number,
            lines: 0,
            span: None,
            odd: false,
            held: Vec::new(),
            shown: 0,
        });
        block.lines += 1;
        self.offset = offset + line.len() as u64 + 1;
        let mut all = members(line);
        let (mut time, mut shown) = (None, true);
        let mut seen: [Option<u32>; Field::COUNT] = [None; Field::COUNT];
        for (name, value) in all.by_ref() {
            if name == b"@timestamp" {
                let text = value.get(1..value.len() - 1).unwrap_or_default();
                let text = std::str::from_utf8(text).ok();
                time = text.and_then(|text| text.parse::<Timestamp>().ok());
                continue;
            }
            let Some(field) = Field::of_member(name).filter(|field| field.is_indexed()) else {
                continue;
            };
            if field == Field::Event {
                shown = is_shown(value);
            }
            let id = id(&mut self.known, &mut self.index.values, field, value);
            block.odd |= id.is_none();
            if let Some(place) = seen.get_mut(field as usize) {
                // Twice the same member: only another program writes that.
                block.odd |= place.is_some();
                *place = id;
            }
        }
        block.odd |= all.is_broken() || time.is_none();
        block.shown += u32::from(shown);
        for (held, id) in self.held.iter_mut().zip(seen) {
            if let Some(id) = id.filter(|id| *id != u32::MAX) {
                *held.entry(id).or_default() += u32::from(shown);
            }
        }
        if let Some(time) = time.map(Timestamp::as_microsecond) {
            let (first, last) = block.span.unwrap_or((time, time));
            block.span = Some((first.min(time), last.max(time)));
        }
    }

    fn end_block(&mut self, offset: u64) {
        let Some(mut block) = self.block.take() else { return };
        block.bytes = offset.saturating_sub(self.begins);
        for held in &mut self.held {
            let mut held: Vec<(u32, u32)> = held.drain().collect();
            held.sort_unstable();
            block.held.push(held);
        }
        self.index.blocks.push(block);
    }

    fn damaged(&mut self, offset: u64, error: &io::Error) {
        self.index.damage.push(format!("cannot be read behind byte {offset}: {error}"));
    }

    fn index(self) -> Index {
        self.index
    }
}

/// The place of `value`; `u32::MAX` where there are too many to tell, nothing where it is no text.
fn id(
    known: &mut [HashMap<String, u32>],
    values: &mut [Values],
    field: Field,
    value: &[u8],
) -> Option<u32> {
    let value = std::str::from_utf8(value).ok()?;
    let (known, values) = (known.get_mut(field as usize)?, values.get_mut(field as usize)?);
    if let Some(id) = known.get(value) {
        return Some(*id);
    }
    if values.all.len() >= VALUES_MAX {
        values.more = true;
        return Some(u32::MAX);
    }
    let id = u32::try_from(values.all.len()).ok()?;
    known.insert(value.to_owned(), id);
    values.all.push(value.to_owned());
    Some(id)
}
