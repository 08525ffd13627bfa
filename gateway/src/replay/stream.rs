//! The lines of a log, read by one thread, worked on by several, and taken in order by the one that
//! asked.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::audit::chain::split;
use crate::audit::shelf::{self, LINE_BYTES_MAX, LogFile};

/// Lines go to the workers in pieces of about this size.
const PIECE_BYTES: usize = 1 << 20;

/// What is received before midnight may be answered, and recorded, after it: never later than this.
const RECORDED_WITHIN: SignedDuration = SignedDuration::from_mins(30);

/// Which records of a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// From then on.
    pub from: Option<Timestamp>,
    /// Before then.
    pub to: Option<Timestamp>,
}

impl Span {
    /// Whether it holds `time`.
    #[must_use]
    pub fn holds(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to)
    }

    /// Files begun on a later day hold nothing of it. Of earlier ones nobody knows how late they end.
    fn may_lie_in(&self, file: &LogFile) -> bool {
        let recorded = |to: Timestamp| to.saturating_add(RECORDED_WITHIN).unwrap_or(Timestamp::MAX);
        self.to.is_none_or(|to| file.day <= recorded(to).to_zoned(jiff::tz::TimeZone::UTC).date())
    }
}

/// The log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The directory.
    #[error("{directory}: {error}; name the directory of an access log (`audit.directory`)", directory = directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file.
    #[error("{file}: {error}", file = file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Nothing to read.
    #[error("{directory}: holds no access log of that time", directory = .0.display())]
    Nothing(PathBuf),
}

/// Some whole lines of one file.
pub(crate) struct Piece {
    /// Which file: its place among those that are read.
    pub(crate) file: usize,
    /// The number of the first line, from 1.
    pub(crate) line: u64,
    /// The lines, with their line feeds.
    pub(crate) text: Vec<u8>,
    /// The hash of the line before the first; none where it cannot be told.
    pub(crate) before: Option<[u8; 32]>,
}

impl Piece {
    /// Each line with its number, without its line feed.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        // An empty one counts as well: it is none of the gateway's, and moves no other's number.
        let lines = (self.line..).zip(self.text.split(|byte| *byte == b'\n'));
        lines.filter(|(_, line)| !line.is_empty())
    }
}

/// The files of the log in `directory` that may hold something of `span`.
///
/// # Errors
/// There are none.
pub(crate) fn files(directory: &std::path::Path, span: Span) -> Result<Vec<LogFile>, StreamError> {
    let files = shelf::files(directory)
        .map_err(|error| StreamError::Directory { directory: directory.to_owned(), error })?;
    let files: Vec<_> = files.into_iter().filter(|file| span.may_lie_in(file)).collect();
    if files.is_empty() {
        return Err(StreamError::Nothing(directory.to_owned()));
    }
    Ok(files)
}

/// The bytes of these files on disk, for a progress bar.
///
/// # Errors
/// There are none.
pub fn bytes(directory: &std::path::Path, span: Span) -> Result<u64, StreamError> {
    let size = |file: &LogFile| std::fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
    Ok(files(directory, span)?.iter().map(size).sum())
}

/// Runs `work` over every piece of `files` in `threads` threads, each with its own state of `begin`; `take`
/// gets the results in the order of the log. `read` is told the bytes of each file that is done.
pub(crate) fn run<S, T: Send>(
    files: &[LogFile],
    threads: usize,
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &Piece) -> T + Sync,
    mut take: impl FnMut(T),
    read: &(dyn Fn(u64) + Sync),
) -> Result<(), StreamError> {
    let (pieces, todo) = sync_channel::<(u64, Piece)>(threads * 2);
    let (results, done) = sync_channel::<(u64, T)>(threads * 2);
    let todo = Mutex::new(todo);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || cut(files, &pieces, read));
        for _ in 0..threads.max(1) {
            let (results, todo, begin, work) = (results.clone(), &todo, &begin, &work);
            scope.spawn(move || {
                let mut state = begin();
                while let Some((number, piece)) = next(todo) {
                    if results.send((number, work(&mut state, &piece))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        let (mut early, mut expected) = (BTreeMap::new(), 0);
        for (number, result) in done {
            early.insert(number, result);
            while let Some(result) = early.remove(&expected) {
                take(result);
                expected += 1;
            }
        }
        reader.join().unwrap_or_else(|_| {
            Err(StreamError::File {
                file: PathBuf::new(),
                error: io::Error::other("the reader stopped"),
            })
        })
    })
}

fn next(todo: &Mutex<Receiver<(u64, Piece)>>) -> Option<(u64, Piece)> {
    todo.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Cuts the files into pieces. A last line without its end is a write that was cut short: nobody was
/// answered by it.
fn cut(
    files: &[LogFile],
    pieces: &SyncSender<(u64, Piece)>,
    read: &(dyn Fn(u64) + Sync),
) -> Result<(), StreamError> {
    let mut number = 0;
    for (place, file) in files.iter().enumerate() {
        let failed = |error| StreamError::File { file: file.path.clone(), error };
        let mut source = file.open().map_err(failed)?;
        let size = std::fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
        let (mut line, mut told, mut text) = (1, 0_u64, Vec::with_capacity(PIECE_BYTES));
        let mut hash_before = Some([0; 32]);
        loop {
            let held = text.len();
            let room = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
            let count = source.by_ref().take(room).read_to_end(&mut text).map_err(failed)?;
            if count == 0 {
                break;
            }
            let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            if end == 0 && held > LINE_BYTES_MAX {
                let why = format!("line {line}: more than {LINE_BYTES_MAX} bytes: no access log");
                return Err(failed(io::Error::other(why)));
            }
            let mut rest = Vec::with_capacity(PIECE_BYTES + text.len() - end);
            rest.extend_from_slice(text.get(end..).unwrap_or_default());
            text.truncate(end);
            if !text.is_empty() {
                let lines = memchr::memchr_iter(b'\n', &text).count();
                let text = std::mem::replace(&mut text, rest);
                let last = text.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
                let hash = last.and_then(split).map(|(_, _, hash)| hash);
                let piece = Piece { file: place, line, text, before: hash_before };
                hash_before = hash;
                line += u64::try_from(lines).unwrap_or(u64::MAX);
                if pieces.send((number, piece)).is_err() {
                    return Ok(());
                }
                number += 1;
            } else {
                text = rest;
            }
            if !file.compressed {
                let bytes = u64::try_from(count).unwrap_or_default();
                told += bytes;
                read(bytes);
            }
        }
        read(size.saturating_sub(told));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_whole_line_comes_once_in_order_with_its_number() {
        let directory = tempfile::tempdir().unwrap();
        let day = jiff::civil::date(2026, 11, 22);
        let mut wanted = Vec::new();
        for (number, lines) in [(0, 70_000), (1, 3)] {
            let mut text = String::new();
            for line in 0..lines {
                text.push_str(&format!("{{\"n\":{line},\"file\":{number}}}\n"));
                wanted.push((number, line + 1 + u64::from(line > 2)));
                if line == 2 {
                    text.push('\n');
                }
            }
            text.push_str("{\"torn\":");
            let name = LogFile::name_of(day, number);
            match number {
                0 => std::fs::write(directory.path().join(name), text).unwrap(),
                _ => {
                    let text = zstd::encode_all(text.as_bytes(), 1).unwrap();
                    std::fs::write(directory.path().join(name + ".zst"), text).unwrap();
                }
            }
        }
        let files = files(directory.path(), Span::default()).unwrap();
        let mut found = Vec::new();
        let work = |(): &mut (), piece: &Piece| -> Vec<(u64, u64)> {
            let file = u64::try_from(piece.file).unwrap();
            piece.lines().map(|(line, _)| (file, line)).collect()
        };
        run(&files, 3, || (), work, |lines| found.extend(lines), &|_| {}).unwrap();
        assert_eq!(found, wanted);
        let to = "2026-11-21T23:50:00Z".parse().ok();
        let shortly = Span { from: None, to };
        assert_eq!(super::files(directory.path(), shortly).unwrap().len(), 2, "recorded later");
        let to = "2026-11-21T00:00:00Z".parse().ok();
        let before = Span { from: None, to };
        assert!(matches!(super::files(directory.path(), before), Err(StreamError::Nothing(_))));
    }
}
