//! The files of a log, in the order in which they were begun, open or compressed.
//!
//! A file is named `access-<UTC date>.<number>.jsonl`; when it is closed it may become
//! `access-<UTC date>.<number>.jsonl.zst`. The number counts the files of a directory and never comes
//! back, so that names in order are files in order.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use jiff::civil::Date;

const PREFIX: &str = "access-";
const PLAIN: &str = ".jsonl";
const COMPRESSED: &str = ".jsonl.zst";

/// How hard zstd tries.
const LEVEL: i32 = 3;

/// How a line is read at most: longer ones are no records of ours.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;

/// One file of a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogFile {
    /// Counts the files of the directory.
    pub number: u64,
    /// The UTC day on which it was begun.
    pub day: Date,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is compressed (zstd, one frame after another).
    pub compressed: bool,
}

impl LogFile {
    /// What `path` is called says what it is.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let rest = name.strip_prefix(PREFIX)?;
        let compressed = rest.ends_with(COMPRESSED);
        let rest = rest.strip_suffix(COMPRESSED).or_else(|| rest.strip_suffix(PLAIN))?;
        let (day, number) = rest.split_once('.')?;
        let (day, number) = (day.parse().ok()?, number.parse().ok()?);
        let file = Self { number, day, path: path.to_owned(), compressed };
        // Another way to write the same name would be another file that is called the same.
        let plain = name.strip_suffix(COMPRESSED).map(|name| format!("{name}{PLAIN}"));
        (file.name() == plain.as_deref().unwrap_or(name)).then_some(file)
    }

    /// The name of file `number`, begun on `day`, as checkpoints and later files call it.
    #[must_use]
    pub fn name_of(day: Date, number: u64) -> String {
        format!("{PREFIX}{day}.{number:06}{PLAIN}")
    }

    /// [`LogFile::name_of`] this file, compressed or not.
    #[must_use]
    pub fn name(&self) -> String {
        Self::name_of(self.day, self.number)
    }

    /// Its lines.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(&self) -> io::Result<Box<dyn BufRead>> {
        let file = File::open(&self.path)?;
        Ok(match self.compressed {
            true => Box::new(BufReader::new(zstd::Decoder::new(file)?)),
            false => Box::new(BufReader::with_capacity(1 << 16, file)),
        })
    }
}

/// One frame of a compressed file, with a checksum: damage shows where it is unpacked.
///
/// # Errors
/// The compressor's.
pub fn packed(lines: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    compressor.compress(lines)
}

/// The files of the log in `directory`, oldest first. Of a file that is both plain and compressed, as after a
/// crash in the midst of compressing, the plain one counts. What is no regular file is none of the log: a
/// pipe would never end.
///
/// # Errors
/// The operating system's.
pub fn files(directory: &Path) -> io::Result<Vec<LogFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.extend(LogFile::of(&entry.path()));
        }
    }
    files.sort_by_key(|file: &LogFile| (file.number, file.day, file.compressed));
    files.dedup_by_key(|file| (file.number, file.day));
    Ok(files)
}

/// Reads one line into `line`, without its line feed. `false` at the end; a last line without a line feed
/// is torn, and [`Line::Torn`].
///
/// # Errors
/// The operating system's; a line of more than [`LINE_BYTES_MAX`].
pub fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut bounded = io::Read::take(reader, LINE_BYTES_MAX as u64 + 1);
    bounded.read_until(b'\n', line)?;
    match line.last() {
        None => Ok(Line::End),
        Some(b'\n') => {
            line.pop();
            Ok(Line::Whole)
        }
        Some(_) if line.len() > LINE_BYTES_MAX => {
            Err(io::Error::other(format!("a line of more than {LINE_BYTES_MAX} bytes")))
        }
        Some(_) => Ok(Line::Torn),
    }
}

/// What [`read_line`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line with its line feed.
    Whole,
    /// The end of the file came before the line feed: a write that was cut short.
    Torn,
    /// There is no more.
    End,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_order_are_files_in_order_and_others_are_none() {
        let directory = tempfile::tempdir().unwrap();
        let day = jiff::civil::date(2026, 11, 22);
        for name in [
            LogFile::name_of(day, 11),
            LogFile::name_of(day, 2) + ".zst",
            LogFile::name_of(day, 11) + ".zst",
            "checkpoints.jsonl".to_owned(),
            "access-2026-11-22.jsonl".to_owned(),
        ] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let found = files(directory.path()).unwrap();
        let numbers: Vec<_> = found.iter().map(|file| (file.number, file.compressed)).collect();
        assert_eq!(numbers, [(2, true), (11, false)]);
    }

    #[test]
    fn a_file_has_one_name_and_is_a_file() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "access-2026-11-22.3.jsonl",
            "access-2026-11-22.+00003.jsonl",
            "access-2026-11-22.0000003.jsonl",
            "access-20261122.000003.jsonl",
            "access-2026-11-22T00.000003.jsonl.zst",
        ] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let day = jiff::civil::date(2026, 11, 22);
        std::fs::create_dir(directory.path().join(LogFile::name_of(day, 4))).unwrap();
        let endless = directory.path().join(LogFile::name_of(day, 5));
        std::os::unix::fs::symlink("/dev/zero", endless).unwrap();
        assert_eq!(files(directory.path()).unwrap(), []);
    }

    #[test]
    fn two_files_of_one_number_are_both_there() {
        let directory = tempfile::tempdir().unwrap();
        for day in [22, 23] {
            let name = LogFile::name_of(jiff::civil::date(2026, 11, day), 3);
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(files(directory.path()).unwrap().len(), 2);
    }

    #[test]
    fn a_line_without_its_end_is_torn() {
        let (mut text, mut line) = (b"{}\n{".as_slice(), Vec::new());
        assert_eq!(read_line(&mut text, &mut line).unwrap(), Line::Whole);
        assert_eq!(line, b"{}");
        assert_eq!(read_line(&mut text, &mut line).unwrap(), Line::Torn);
        assert_eq!(read_line(&mut text, &mut line).unwrap(), Line::End);
    }
}
