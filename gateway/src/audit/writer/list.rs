//! The file of all checkpoints, which every process of the directory appends to: whole lines, or nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

const MODE: u32 = 0o640;
/// What a crash may have left of a line.
const TORN_BYTES_MAX: u64 = 64 * 1024;
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// Appends whole `lines`. What a crash, or a full disk, left of a line before them is cut off; `keep` has
/// the disk keep them.
///
/// # Errors
/// The operating system's; another process is at it. Then nothing was appended.
pub(super) fn append(path: &Path, lines: &[u8], keep: bool) -> io::Result<()> {
    let options =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(MODE).clone();
    let mut file = options.open(path)?;
    lock(&file)?;
    let end = whole(&mut file)?;
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    let written = file.write_all(lines).and_then(|()| if keep { file.sync_data() } else { Ok(()) });
    if written.is_err() {
        // Tried again later, all of it: none of it may stand there twice.
        file.set_len(end)?;
    }
    written
}

/// Waited for as long as another process needs to append, and no longer: whoever may read the file may
/// lock it.
fn lock(file: &File) -> io::Result<()> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Where the last whole line ends.
fn whole(file: &mut File) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(TORN_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TORN_BYTES_MAX).read_to_end(&mut tail)?;
    match tail.iter().rposition(|byte| *byte == b'\n') {
        Some(feed) => Ok(from + feed as u64 + 1),
        None if from == 0 => Ok(0),
        // No line of ours is so long: what stands there is left to those who verify.
        None => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_left_of_a_line_is_cut_off_and_the_rest_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("list");
        append(&path, b"one\n", true).unwrap();
        let mut torn = OpenOptions::new().append(true).open(&path).unwrap();
        torn.write_all(b"tw").unwrap();
        append(&path, b"two\nthree\n", false).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_list_that_somebody_locked_is_not_waited_for_and_gets_no_part_of_a_line() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("list");
        append(&path, b"one\n", false).unwrap();
        let other = File::open(&path).unwrap();
        other.lock().unwrap();
        assert_eq!(append(&path, b"two\n", false).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(other);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
    }
}
