//! The lines of a file of the log, each with its place, in bounded memory.

use std::collections::VecDeque;
use std::io;

use memchr::memchr;

use super::octets::{Filled, Octets};
use super::shelf::{LINE_BYTES_MAX, LogFile};

/// Reads a file line by line.
pub struct Lines {
    octets: Octets,
    /// `buffer[start..]` was not given out yet, `buffer[start..scanned]` holds no line feed.
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    /// Where `buffer[start]` stands in the decompressed file.
    offset: u64,
    /// The line that is being read is too long: its beginning was thrown away.
    cut: bool,
    /// Where frames begin: in the decompressed file, and in the file.
    frames: VecDeque<(u64, u64)>,
    ended: bool,
}

/// One line, without its line feed.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// Its octets; the last ones of a line that is too long.
    pub line: &'a [u8],
    /// Where it begins in the decompressed file.
    pub offset: u64,
    /// Where it can be read again.
    pub place: Place,
    /// How it ends.
    pub end: End,
}

/// From where a line can be read again without what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// An offset in the file: of the line itself, or of the frame in which it begins.
    pub at: u64,
    /// Decompressed octets between there and the line.
    pub skip: u64,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its line feed.
    Whole,
    /// With the file.
    Torn,
    /// Beyond [`LINE_BYTES_MAX`]: nothing that the gateway wrote.
    TooLong,
}

impl Lines {
    /// The lines of `file`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(file: &LogFile) -> io::Result<Self> {
        Ok(Self::of(Octets::open(&file.path, file.compressed, 0)?))
    }

    /// The lines of what is left of `octets`, which stand at a beginning.
    #[must_use]
    pub fn of(octets: Octets) -> Self {
        Self {
            octets,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            offset: 0,
            cut: false,
            frames: VecDeque::new(),
            ended: false,
        }
    }

    /// How far the file was read.
    #[must_use]
    pub const fn read(&self) -> u64 {
        self.octets.offset()
    }

    /// Where the next line begins in the decompressed file.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// The operating system's; what cannot be decompressed. [`Lines::skip_damage`] goes on behind it.
    pub fn next_line(&mut self) -> io::Result<Option<Read<'_>>> {
        let (length, end) = loop {
            let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
            if let Some(at) = memchr(b'\n', unseen) {
                let length = self.scanned + at - self.start;
                break (length, if self.cut { End::TooLong } else { End::Whole });
            }
            self.scanned = self.buffer.len();
            let left = self.buffer.len() - self.start;
            if self.ended {
                if left == 0 && !self.cut {
                    return Ok(None);
                }
                break (left, if self.cut { End::TooLong } else { End::Torn });
            }
            if left > LINE_BYTES_MAX {
                self.cut = true;
                self.offset += left as u64;
                self.start = self.buffer.len();
            }
            self.fill()?;
        };
        let (start, offset) = (self.start, self.offset);
        self.cut = false;
        let feed = usize::from(start + length < self.buffer.len());
        self.start = start + length + feed;
        self.scanned = self.start;
        self.offset += (length + feed) as u64;
        let place = self.place(offset);
        let line = self.buffer.get(start..start + length).unwrap_or_default();
        Ok(Some(Read { line, offset, place, end }))
    }

    /// After an error of [`Lines::next_line`]: throws away what it was in the midst of, and goes on where
    /// the file can be read again. `false` where it cannot.
    ///
    /// # Errors
    /// The operating system's.
    pub fn skip_damage(&mut self) -> io::Result<bool> {
        self.offset += (self.buffer.len() - self.start) as u64;
        self.buffer.clear();
        (self.start, self.scanned, self.cut) = (0, 0, false);
        let more = self.octets.skip_frame()?;
        self.ended = !more;
        Ok(more)
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start.., 0);
            self.buffer.truncate(self.buffer.len() - self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        let end = self.offset + self.buffer.len() as u64;
        match self.octets.fill(&mut self.buffer)? {
            Filled::End => self.ended = true,
            Filled::Some(_, Some(frame)) => self.frames.push_back((end, frame)),
            Filled::Some(_, None) => {}
        }
        Ok(())
    }

    fn place(&mut self, offset: u64) -> Place {
        while self.frames.get(1).is_some_and(|(begins, _)| *begins <= offset) {
            self.frames.pop_front();
        }
        match self.frames.front() {
            Some((begins, frame)) => Place { at: *frame, skip: offset.saturating_sub(*begins) },
            None => Place { at: 0, skip: offset },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> Lines {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Lines::of(Octets::open(file.path(), false, 0).unwrap())
    }

    #[test]
    fn lines_come_with_their_places_and_a_torn_one_is_told() {
        let mut lines = written(b"a\n\nbcd\nxy");
        let mut seen = Vec::new();
        while let Some(read) = lines.next_line().unwrap() {
            seen.push((read.line.to_vec(), read.offset, read.place.skip, read.end));
        }
        let expected = [
            (b"a".to_vec(), 0, 0, End::Whole),
            (Vec::new(), 2, 2, End::Whole),
            (b"bcd".to_vec(), 3, 3, End::Whole),
            (b"xy".to_vec(), 7, 7, End::Torn),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_line_without_end_costs_no_memory_and_the_next_one_is_read() {
        let mut text = vec![b'x'; 5 * LINE_BYTES_MAX];
        text.extend_from_slice(b"\nnext\n");
        let mut lines = written(&text);
        assert_eq!(lines.next_line().unwrap().unwrap().end, End::TooLong);
        assert!(lines.buffer.capacity() < 3 * LINE_BYTES_MAX, "{}", lines.buffer.capacity());
        let next = lines.next_line().unwrap().unwrap();
        assert_eq!((next.line, next.offset), (b"next".as_slice(), 5 * LINE_BYTES_MAX as u64 + 1));
        assert!(lines.next_line().unwrap().is_none());
    }

    #[test]
    fn in_a_compressed_file_a_line_is_found_again_from_the_frame_in_which_it_begins() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let frames = [b"one\ntwo\nth".as_slice(), b"ree\nfour\n"];
        let frames = frames.map(|part| zstd::encode_all(part, 1).unwrap());
        std::fs::write(file.path(), frames.concat()).unwrap();
        let mut lines = Lines::of(Octets::open(file.path(), true, 0).unwrap());
        let mut places = Vec::new();
        while let Some(read) = lines.next_line().unwrap() {
            places.push(read.place);
        }
        let second = frames[0].len() as u64;
        let place = |at, skip| Place { at, skip };
        assert_eq!(places, [place(0, 0), place(0, 4), place(0, 8), place(second, 4)]);
    }
}
