//! Reads the blocks that may hold what is looked for, several at once, and tells what was found in the
//! order of time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use memchr::memchr_iter;

use super::super::octets::{Filled, Octets};
use super::super::shelf::LogFile;
use super::index::Block;
use super::query::{Query, Sieve};

/// Lines that go from a reader to the one who tells in one parcel.
const PARCEL_HITS: usize = 256;
/// Parcels of one unit that may wait.
const PARCELS_WAITING: usize = 4;

/// A line that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// When it was written.
    pub time: Timestamp,
    /// Which file, as it was counted.
    pub file: usize,
    /// Which line of it, from 0.
    pub line: u64,
    /// The line, without its line feed.
    pub bytes: Vec<u8>,
}

/// Blocks that are read in one go: they begin in the same frame.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) file: usize,
    pub(super) at: u64,
    pub(super) blocks: Vec<Block>,
    /// The earliest time in it, in microseconds.
    pub(super) from: i64,
}

type Parcel = io::Result<Vec<Hit>>;
type Work<'u> = VecDeque<(&'u Unit, SyncSender<Parcel>)>;

/// Reads `units`, which are in the order of `from`, with `threads` readers, and tells each hit in the order
/// of time; `false` from `tell` ends it. Gives back what could not be read.
pub(super) fn run(
    files: &[LogFile],
    units: &[Unit],
    query: &Query,
    threads: usize,
    read: &(dyn Fn(&Unit) + Sync),
    tell: &mut dyn FnMut(Hit) -> io::Result<bool>,
) -> io::Result<Vec<String>> {
    let mut work = VecDeque::with_capacity(units.len());
    let mut parcels: VecDeque<Receiver<Parcel>> = VecDeque::with_capacity(units.len());
    for unit in units {
        let (sender, receiver) = sync_channel(PARCELS_WAITING);
        work.push_back((unit, sender));
        parcels.push_back(receiver);
    }
    let work = Mutex::new(work);
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, units.len().max(1)) {
            scope.spawn(|| reader(files, &work, query, read));
        }
        let told = collect(files, units, parcels, tell);
        // Readers that wait for nobody any more find nothing to do.
        work.lock().unwrap_or_else(PoisonError::into_inner).clear();
        told
    })
}

fn collect(
    files: &[LogFile],
    units: &[Unit],
    mut parcels: VecDeque<Receiver<Parcel>>,
    tell: &mut dyn FnMut(Hit) -> io::Result<bool>,
) -> io::Result<Vec<String>> {
    let mut troubles = Vec::new();
    let mut waiting: BinaryHeap<Reverse<Hit>> = BinaryHeap::new();
    for unit in units {
        // What stands in this unit and those behind it is not earlier.
        while waiting.peek().is_some_and(|Reverse(hit)| hit.time.as_microsecond() < unit.from) {
            if let Some(Reverse(hit)) = waiting.pop()
                && !tell(hit)?
            {
                return Ok(troubles);
            }
        }
        let Some(receiver) = parcels.pop_front() else { break };
        for parcel in receiver {
            match parcel {
                Ok(hits) => waiting.extend(hits.into_iter().map(Reverse)),
                Err(error) => {
                    let name = files.get(unit.file).map(LogFile::name).unwrap_or_default();
                    troubles.push(format!("{name}: {error}"));
                }
            }
        }
    }
    while let Some(Reverse(hit)) = waiting.pop() {
        if !tell(hit)? {
            break;
        }
    }
    Ok(troubles)
}

fn reader(files: &[LogFile], work: &Mutex<Work<'_>>, query: &Query, read: &(dyn Fn(&Unit) + Sync)) {
    let sieve = Sieve::new(query);
    let mut buffer = Vec::new();
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((unit, sender)) = next else { return };
        let Some(file) = files.get(unit.file) else { continue };
        if let Err(error) = search(file, unit, &sieve, &mut buffer, &sender) {
            // Nobody waits: nobody wants to know.
            let _ = sender.send(Err(error));
        }
        read(unit);
    }
}

fn search(
    file: &LogFile,
    unit: &Unit,
    sieve: &Sieve<'_>,
    buffer: &mut Vec<u8>,
    sender: &SyncSender<Parcel>,
) -> io::Result<()> {
    let mut octets = Octets::open(&file.path, file.compressed, unit.at)?;
    buffer.clear();
    // Where `buffer` begins, counted from the beginning of the frame.
    let mut begins = 0;
    for block in &unit.blocks {
        while begins < block.skip {
            if buffer.is_empty() && octets.fill(buffer)? == Filled::End {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let drop = usize::try_from(block.skip - begins).unwrap_or(usize::MAX).min(buffer.len());
            buffer.drain(..drop);
            begins += drop as u64;
        }
        let length = usize::try_from(block.bytes).unwrap_or(usize::MAX);
        while buffer.len() < length {
            if octets.fill(buffer)? == Filled::End {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let text = buffer.get(..length).unwrap_or_default();
        let mut hits = Vec::new();
        let (mut counted, mut line, mut wanted) = (0, block.line, true);
        sieve.lines(text, |start, bytes, time| {
            line += memchr_iter(b'\n', text.get(counted..start).unwrap_or_default()).count() as u64;
            counted = start;
            hits.push(Hit { time, file: unit.file, line, bytes: bytes.to_owned() });
            if hits.len() >= PARCEL_HITS {
                wanted = sender.send(Ok(std::mem::take(&mut hits))).is_ok();
            }
            wanted
        });
        if !wanted || !hits.is_empty() && sender.send(Ok(hits)).is_err() {
            return Ok(());
        }
        begins += length as u64;
        buffer.drain(..length);
    }
    Ok(())
}
