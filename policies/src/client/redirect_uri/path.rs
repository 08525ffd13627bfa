//! Path and query of a redirect URI, in one spelling (RFC 3986 §6.2.2).

use url::Url;

use super::fault::RedirectUriFault;

/// Parameters of authorization responses (RFC 6749 §4.1.2, RFC 9207 §2, JARM, OpenID Connect). One
/// that is enrolled already would stand before ours, and some clients read the first.
const ANSWERS: [&str; 12] = [
    "code",
    "state",
    "iss",
    "error",
    "error_description",
    "error_uri",
    "response",
    "session_state",
    "scope",
    "access_token",
    "id_token",
    "token_type",
];

/// Judges `tail`, which is what follows the host in `text`.
pub(super) fn spelled(text: &str, tail: &str, url: &Url) -> Result<(), RedirectUriFault> {
    if !tail.starts_with('/') {
        return Err(RedirectUriFault::PathMissing);
    }
    let (path, query) = match tail.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (tail, None),
    };
    let tail_at = text.len() - tail.len();
    // RFC 3986 §3.2.2: brackets stand around an address and nowhere else.
    if let Some(position) = tail.find(['[', ']']) {
        return Err(RedirectUriFault::Character { position: tail_at + position });
    }
    encoded(text, tail_at, tail_at + path.len())?;
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => return Err(RedirectUriFault::DotSegment),
            "" if segments.peek().is_some() => return Err(RedirectUriFault::EmptySegment),
            _ => {}
        }
    }
    if query.is_some_and(str::is_empty) {
        return Err(RedirectUriFault::QueryEmpty);
    }
    let reserved = |name: &str| ANSWERS.iter().any(|answer| name.eq_ignore_ascii_case(answer));
    if url.query_pairs().any(|(name, _)| reserved(&name)) {
        return Err(RedirectUriFault::QueryReserved);
    }
    Ok(())
}

/// Every percent-encoded octet: needed, in capitals, and harmless once decoded.
fn encoded(text: &str, path_at: usize, path_end: usize) -> Result<(), RedirectUriFault> {
    for (position, _) in text.match_indices('%').filter(|(position, _)| *position >= path_at) {
        let digits = text.get(position + 1..position + 3).unwrap_or_default();
        let capital = |byte: u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
        let octet = u8::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(capital));
        let in_path = position < path_end;
        match octet.ok_or(RedirectUriFault::PercentEncoding { position })? {
            // Before dot segments: an encoded dot is told as what it is.
            octet @ (b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~') => {
                return Err(RedirectUriFault::EncodedUnreserved { letter: octet.into() });
            }
            0..=0x1f | 0x7f => return Err(RedirectUriFault::EncodedControl),
            b'/' | b'\\' | b'%' if in_path => return Err(RedirectUriFault::EncodedSeparator),
            _ => {}
        }
    }
    Ok(())
}
