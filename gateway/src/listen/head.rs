//! The framing gate: what a request head must look like before anything else looks at it.
//!
//! Two parsers that disagree about one message are how requests are smuggled (RFC 9112 §11.2), so
//! whatever is ambiguous is refused here, on the raw bytes: Pingora alone accepts bare LF, strips
//! `Content-Length` beside `Transfer-Encoding`, accepts a missing `Host` and escapes odd targets.

use httparse::{EMPTY_HEADER, Error as ParseError, Request, Status};
use memchr::memmem;

use super::limits::FIELDS_MAX;
use crate::config::Limits;

/// Why a head is refused. Each says what was seen and how to mend it, and echoes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadFault {
    /// RFC 9112 §2.2 lets a recipient accept it; a gateway must not.
    #[error("a line ends in a bare LF; end each line with CRLF")]
    BareLineFeed,
    /// RFC 9112 §2.2.
    #[error("a bare CR stands inside a line; only CRLF may end a line")]
    BareCarriageReturn,
    /// A NUL or another control byte.
    #[error("the head holds a control byte; remove it")]
    ControlByte,
    /// The request line or a field does not parse.
    #[error("the request line or a header field is not well-formed HTTP/1.1")]
    Syntax,
    /// Only HTTP/1.1 (and HTTP/2 by ALPN) is spoken.
    #[error("only HTTP/1.1 and HTTP/2 are spoken here")]
    Version,
    /// More than the configured bytes.
    #[error("the request head is larger than this gateway accepts")]
    TooLarge,
    /// More than the configured fields.
    #[error("the request has more header fields than this gateway accepts")]
    TooManyFields,
    /// TRACE and CONNECT are never proxied.
    #[error("this method is never accepted here")]
    Method,
    /// RFC 9112 §3.2.1: only origin-form.
    #[error("the request target must be a path that starts with \"/\" (origin-form)")]
    TargetForm,
    /// Bytes outside visible ASCII.
    #[error("the request target holds bytes that are not visible ASCII; percent-encode them")]
    TargetBytes,
    /// Spellings that two parsers read differently.
    #[error(
        "the path holds an empty or dot segment, \";\", \"\\\" or an encoded separator; send the \
         path exactly as documented"
    )]
    TargetAmbiguous,
    /// RFC 9112 §3.2.
    #[error("exactly one Host header is needed")]
    Host,
    /// RFC 9112 §6.3: a smuggling attempt or a broken client.
    #[error("Content-Length and Transfer-Encoding stand together; send one of them")]
    LengthAndEncoding,
    /// Not a plain number.
    #[error("Content-Length must be one plain decimal number")]
    Length,
    /// Only `chunked`.
    #[error("the only Transfer-Encoding accepted is \"chunked\", once")]
    Encoding,
    /// A field that must be single came twice; the name is one of ours.
    #[error("the header {0} was sent more than once; send it once")]
    Duplicate(&'static str),
    /// HTTP/2 says it apart from the connection (RFC 9113 §8.3.1).
    #[error("the :scheme must be https")]
    Scheme,
    /// No protocol switches.
    #[error("protocol upgrades are not accepted")]
    Upgrade,
    /// RFC 9110 §10.1.1.
    #[error("the only expectation accepted is \"100-continue\"")]
    Expectation,
}

/// Fields that decide identity, framing or integrity: two of one is two readings of the request.
pub const SINGLE_FIELDS: [&str; 11] = [
    "host",
    "authorization",
    "content-length",
    "content-type",
    "transfer-encoding",
    "x-request-id",
    "digest",
    "signature",
    "date",
    "expect",
    policies::Lane::HEADER,
];

/// How much a head may be.
#[derive(Clone, Copy, Debug)]
pub struct HeadBounds {
    /// Bytes of the request line and all fields.
    pub bytes_max: usize,
    /// Fields, at most [`FIELDS_MAX`].
    pub fields_max: usize,
}

impl HeadBounds {
    /// As configured.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        Self { bytes_max: limits.head_bytes_max, fields_max: limits.fields_max }
    }
}

/// What the bytes read so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// No empty line yet.
    Incomplete,
    /// A whole head that passed.
    Whole,
}

/// Looks at the bytes of a request head.
///
/// `seen` is how many of them an earlier call has already searched for the end; the search then
/// stays linear however slowly they arrive.
///
/// # Errors
/// The first fault, as soon as it can be told.
pub fn inspect(bytes: &[u8], seen: usize, bounds: HeadBounds) -> Result<Head, HeadFault> {
    let from = seen.saturating_sub(3);
    let end = bytes.get(from..).and_then(|tail| memmem::find(tail, b"\r\n\r\n"));
    let Some(end) = end.map(|at| from + at + 4) else {
        line_ends(bytes, seen)?;
        return if bytes.len() > bounds.bytes_max {
            Err(HeadFault::TooLarge)
        } else {
            Ok(Head::Incomplete)
        };
    };
    if end > bounds.bytes_max {
        return Err(HeadFault::TooLarge);
    }
    let head = bytes.get(..end).unwrap_or(bytes);
    line_ends(head, seen)?;
    whole(head, bounds.fields_max)?;
    Ok(Head::Whole)
}

fn line_ends(bytes: &[u8], seen: usize) -> Result<(), HeadFault> {
    let from = seen.saturating_sub(1);
    let Some(fresh) = bytes.get(from..) else { return Ok(()) };
    for at in memchr::memchr2_iter(b'\n', b'\r', fresh) {
        let position = from + at;
        let byte = bytes.get(position);
        if byte == Some(&b'\n') {
            if position == 0 || bytes.get(position - 1) != Some(&b'\r') {
                return Err(HeadFault::BareLineFeed);
            }
        } else if let Some(next) = bytes.get(position + 1)
            && *next != b'\n'
        {
            return Err(HeadFault::BareCarriageReturn);
        }
    }
    if memchr::memchr(0, fresh).is_some() {
        return Err(HeadFault::ControlByte);
    }
    Ok(())
}

fn whole(head: &[u8], fields_max: usize) -> Result<(), HeadFault> {
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    let mut request = Request::new(&mut fields);
    match request.parse(head) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(HeadFault::Syntax),
        Err(ParseError::TooManyHeaders) => return Err(HeadFault::TooManyFields),
        Err(ParseError::Version) => return Err(HeadFault::Version),
        Err(_) => return Err(HeadFault::Syntax),
    }
    if request.headers.len() > fields_max {
        return Err(HeadFault::TooManyFields);
    }
    if request.version != Some(1) {
        return Err(HeadFault::Version);
    }
    method(request.method.unwrap_or_default())?;
    target(request.path.unwrap_or_default())?;
    self::fields(request.headers.iter().map(|field| (field.name, field.value)), true)
}

/// Refuses the methods that are never proxied.
///
/// # Errors
/// [`HeadFault::Method`].
pub fn method(method: &str) -> Result<(), HeadFault> {
    let never = ["TRACE", "CONNECT", "TRACK"];
    if never.iter().any(|name| name.eq_ignore_ascii_case(method)) {
        return Err(HeadFault::Method);
    }
    Ok(())
}

/// Refuses targets that two parsers could read differently; whether a path exists is decided later,
/// by exact comparison.
///
/// # Errors
/// A fault of the target.
pub fn target(target: &str) -> Result<(), HeadFault> {
    if !target.starts_with('/') {
        return Err(HeadFault::TargetForm);
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(HeadFault::TargetBytes);
    }
    let path = target.split('?').next().unwrap_or_default();
    let ambiguous_byte = path.bytes().any(|byte| matches!(byte, b';' | b'\\' | b'#'));
    let mut segments = path.split('/').skip(1).peekable();
    let mut ambiguous_segment = false;
    while let Some(segment) = segments.next() {
        let inner_empty = segment.is_empty() && segments.peek().is_some();
        ambiguous_segment |= inner_empty || segment == "." || segment == "..";
    }
    // %25 would be decoded into one of the others by a second decoder behind us.
    const SEPARATORS: [&str; 7] = ["2e", "2f", "5c", "3b", "25", "00", "23"];
    let encoded = path.match_indices('%').any(|(at, _)| {
        path.get(at + 1..at + 3)
            .is_none_or(|hex| SEPARATORS.iter().any(|known| known.eq_ignore_ascii_case(hex)))
    });
    if ambiguous_byte || ambiguous_segment || encoded {
        return Err(HeadFault::TargetAmbiguous);
    }
    Ok(())
}

/// Refuses fields that make the framing or the identity of a request ambiguous.
///
/// `raw` says that these are the fields of an HTTP/1.1 head as sent; HTTP/2 has no `Host` to count.
///
/// # Errors
/// The first fault.
pub fn fields<'a>(
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    raw: bool,
) -> Result<(), HeadFault> {
    let mut count = [0_u8; SINGLE_FIELDS.len()];
    for (name, value) in fields {
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(HeadFault::ControlByte);
        }
        let single = SINGLE_FIELDS
            .iter()
            .zip(&mut count)
            .find(|(known, _)| name.eq_ignore_ascii_case(known));
        if let Some((known, count)) = single {
            *count = count.saturating_add(1);
            if *count > 1 {
                return Err(HeadFault::Duplicate(known));
            }
            match *known {
                "host" if value.is_empty() => return Err(HeadFault::Host),
                "content-length" if !is_length(value) => return Err(HeadFault::Length),
                "transfer-encoding" if !value.eq_ignore_ascii_case(b"chunked") => {
                    return Err(HeadFault::Encoding);
                }
                "expect" if !value.eq_ignore_ascii_case(b"100-continue") => {
                    return Err(HeadFault::Expectation);
                }
                _ => {}
            }
        } else if name.eq_ignore_ascii_case("upgrade") {
            return Err(HeadFault::Upgrade);
        }
    }
    let [host, _, length, _, encoding, ..] = count;
    if raw && host == 0 {
        return Err(HeadFault::Host);
    }
    if length > 0 && encoding > 0 {
        return Err(HeadFault::LengthAndEncoding);
    }
    Ok(())
}

/// 1*19DIGIT: what fits in a u64 without a thought about overflow.
fn is_length(value: &[u8]) -> bool {
    (1..=19).contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests;
