//! The access log as anybody may check it: with SHA-256, and nothing of ours.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// How a frame of zstd begins (RFC 8878 §3.1.1).
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The whole lines of a file, compressed or not. What is read while it is written may end in half a
/// line.
pub fn text(file: &Path) -> String {
    // Between being listed and being read it may have been compressed.
    let octets = fs::read(file).or_else(|_| fs::read(file.with_extension("jsonl.zst"))).unwrap();
    let plain = match octets.starts_with(ZSTD) {
        true => zstd::decode_all(&octets[..]).unwrap(),
        false => octets,
    };
    let whole = plain.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
    String::from_utf8(plain[..whole].to_vec()).unwrap()
}

/// The lines of a file whose chain holds from the first to the last.
#[track_caller]
pub fn chained(file: &Path) -> Vec<Value> {
    let (mut before, mut lines) = ([0; 32], Vec::new());
    for (number, line) in text(file).lines().enumerate() {
        let read: Value = serde_json::from_str(line).unwrap();
        let hash = read["octroi.hash"].as_str().unwrap().to_owned();
        let content = line.strip_suffix(&format!(",\"octroi.hash\":\"{hash}\"}}")).unwrap();
        let mut sha = openssl::sha::Sha256::new();
        sha.update(&before);
        sha.update(content.as_bytes());
        before = sha.finish();
        assert_eq!(hex::encode(before), hash, "{}: line {number}", file.display());
        assert_eq!(read["event.sequence"], number, "{}", file.display());
        lines.push(read);
    }
    lines
}
