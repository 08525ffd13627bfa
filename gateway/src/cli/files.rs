//! Files that a person names on the command line, read with a bound; `-` is standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::Failure;

/// A chain of certificates, a request body, a token record: nothing that is named here is larger.
pub(super) const INPUT_BYTES_MAX: u64 = 1024 * 1024;

/// The whole file, or standard input for `-`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = if path == Path::new("-") {
        bounded(io::stdin().lock())
    } else {
        File::open(path).and_then(bounded)
    };
    bytes.map_err(|error| Failure::Cannot(format!("{}: {error}", path.display())))
}

fn bounded(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {INPUT_BYTES_MAX} bytes"),
        ));
    }
    Ok(bytes)
}
