//! The octets of a file of the log as they were before compression, with the places in the file where
//! reading can begin again: the frames of zstd.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use memchr::memmem;
use zstd::stream::raw::{Decoder, Operation};

/// What every frame begins with (RFC 8878 §3.1.1).
const FRAME_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
const INPUT_BYTES: usize = 128 * 1024;
const OUTPUT_BYTES: usize = 256 * 1024;

/// Reads a file, plain or compressed.
pub struct Octets {
    file: File,
    decoder: Option<Decoder<'static>>,
    /// What was read and not decoded yet: `input[at..end]`, whose first octet stands at `offset` in the file.
    input: Vec<u8>,
    at: usize,
    end: usize,
    offset: u64,
    /// Where the frame that is being read begins in the file.
    frame: u64,
    /// The decoder stands between two frames.
    between: bool,
}

/// What [`Octets::fill`] added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// So many octets; where they are the first of a frame, the offset of that frame in the file.
    Some(usize, Option<u64>),
    /// There is no more.
    End,
}

impl Octets {
    /// Opens `path`, of which `compressed` says what is in it, at `offset`: the beginning of a frame, or
    /// any octet of a plain file.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(path: &Path, compressed: bool, offset: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        }
        let decoder = match compressed {
            true => Some(Decoder::new()?),
            false => None,
        };
        let input = if compressed { vec![0; INPUT_BYTES] } else { Vec::new() };
        Ok(Self { file, decoder, input, at: 0, end: 0, offset, frame: offset, between: true })
    }

    /// How far the file was read.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Appends the next octets to `out`, never those of two frames at once.
    ///
    /// # Errors
    /// The operating system's; what stands there cannot be decompressed, or ends within a frame.
    pub fn fill(&mut self, out: &mut Vec<u8>) -> io::Result<Filled> {
        let before = out.len();
        let Some(decoder) = &mut self.decoder else {
            let first = self.between.then_some(self.frame);
            self.between = false;
            out.resize(before + OUTPUT_BYTES, 0);
            let read = self.file.read(out.get_mut(before..).unwrap_or_default());
            out.truncate(before + read.as_ref().copied().unwrap_or_default());
            let read = read?;
            self.offset += read as u64;
            return Ok(if read == 0 { Filled::End } else { Filled::Some(read, first) });
        };
        let mut first = self.between.then_some(self.offset);
        loop {
            if self.at == self.end {
                self.end = self.file.read(&mut self.input)?;
                self.at = 0;
                if self.end == 0 && self.between {
                    return Ok(Filled::End);
                }
            }
            let input = self.input.get(self.at..self.end).unwrap_or_default();
            let ended = input.is_empty();
            if self.between {
                self.frame = self.offset;
                first = Some(self.frame);
                self.between = false;
            }
            out.resize(before + OUTPUT_BYTES, 0);
            let room = out.get_mut(before..).unwrap_or_default();
            let status = decoder.run_on_buffers(input, room);
            out.truncate(before + status.as_ref().map_or(0, |status| status.bytes_written));
            let status = status?;
            self.at += status.bytes_read;
            self.offset += status.bytes_read as u64;
            if status.remaining == 0 {
                self.between = true;
                decoder.reinit()?;
            }
            if status.bytes_written > 0 {
                return Ok(Filled::Some(status.bytes_written, first));
            }
            if ended && !self.between {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the file ends in the middle of a compressed part",
                ));
            }
        }
    }

    /// After a frame that cannot be decompressed: goes to where the next one begins. `false` where there
    /// is none.
    ///
    /// # Errors
    /// The operating system's.
    pub fn skip_frame(&mut self) -> io::Result<bool> {
        let Some(decoder) = &mut self.decoder else { return Ok(false) };
        decoder.reinit()?;
        let mut offset = self.frame + 1;
        self.file.seek(SeekFrom::Start(offset))?;
        let (mut window, mut kept) = (vec![0; INPUT_BYTES], 0);
        loop {
            let read = self.file.read(window.get_mut(kept..).unwrap_or_default())?;
            let seen = kept + read;
            let found = memmem::find(window.get(..seen).unwrap_or_default(), &FRAME_MAGIC);
            if let Some(at) = found {
                self.offset = offset + at as u64;
                self.frame = self.offset;
                self.file.seek(SeekFrom::Start(self.offset))?;
                (self.at, self.end, self.between) = (0, 0, true);
                return Ok(true);
            }
            if read == 0 {
                return Ok(false);
            }
            // A magic number may lie across what was read and what comes.
            kept = seen.min(FRAME_MAGIC.len() - 1);
            window.copy_within(seen - kept..seen, 0);
            offset += (seen - kept) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn compressed(parts: &[&[u8]]) -> (tempfile::NamedTempFile, Vec<u64>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let (mut starts, mut at) = (Vec::new(), 0);
        for part in parts {
            starts.push(at);
            let frame = zstd::encode_all(*part, 3).unwrap();
            at += frame.len() as u64;
            file.write_all(&frame).unwrap();
        }
        file.flush().unwrap();
        (file, starts)
    }

    fn all(octets: &mut Octets) -> io::Result<(Vec<u8>, Vec<u64>)> {
        let (mut out, mut frames) = (Vec::new(), Vec::new());
        while let Filled::Some(_, first) = octets.fill(&mut out)? {
            frames.extend(first);
        }
        Ok((out, frames))
    }

    #[test]
    fn frames_are_told_and_each_can_be_read_by_itself() {
        let large = vec![b'x'; 3 * OUTPUT_BYTES + 7];
        let (file, starts) = compressed(&[b"one\n", b"", &large, b"two\n"]);
        let (out, frames) = all(&mut Octets::open(file.path(), true, 0).unwrap()).unwrap();
        assert_eq!(out, [b"one\n".as_slice(), &large, b"two\n"].concat());
        assert_eq!(frames, [starts[0], starts[2], starts[3]], "an empty one has no first octet");
        let (out, _) = all(&mut Octets::open(file.path(), true, starts[3]).unwrap()).unwrap();
        assert_eq!(out, b"two\n");
    }

    #[test]
    fn behind_a_broken_frame_reading_goes_on_with_the_next() {
        let (file, starts) = compressed(&[b"one\n", &[b'x'; 5000], b"two\n"]);
        let mut bytes = std::fs::read(file.path()).unwrap();
        bytes[starts[1] as usize + 4] ^= 0x08;
        std::fs::write(file.path(), &bytes).unwrap();
        let mut octets = Octets::open(file.path(), true, 0).unwrap();
        let mut out = Vec::new();
        let mut broken = 0;
        loop {
            match octets.fill(&mut out) {
                Ok(Filled::End) => break,
                Ok(Filled::Some(..)) => {}
                Err(_) => {
                    broken += 1;
                    if !octets.skip_frame().unwrap() {
                        break;
                    }
                }
            }
        }
        assert_eq!(broken, 1);
        assert!(out.starts_with(b"one\n") && out.ends_with(b"two\n"));
    }

    #[test]
    fn a_file_that_ends_within_a_frame_says_so() {
        let (file, _) = compressed(&[&[b'x'; 5000]]);
        let bytes = std::fs::read(file.path()).unwrap();
        std::fs::write(file.path(), &bytes[..bytes.len() - 3]).unwrap();
        assert!(all(&mut Octets::open(file.path(), true, 0).unwrap()).is_err());
    }
}
