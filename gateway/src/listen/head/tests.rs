use proptest::prelude::*;

use super::*;

const MAX: HeadBounds = HeadBounds { bytes_max: 16 * 1024, fields_max: 100 };

fn judge(head: &str) -> Result<Head, HeadFault> {
    inspect(head.as_bytes(), 0, MAX)
}

fn with(line: &str, fields: &str) -> String {
    format!("{line}\r\nHost: www.17515.sandbox.api.localhost\r\n{fields}\r\n")
}

const LINE: &str = "POST /stet/psd2/v1.6.2/funds-confirmations HTTP/1.1";

#[test]
fn a_plain_request_passes() {
    let fields =
        "Authorization: Bearer abc\r\nContent-Type: application/json\r\nContent-Length: 2\r\n";
    assert_eq!(judge(&with(LINE, fields)), Ok(Head::Whole));
}

#[test]
fn every_ambiguous_framing_is_refused_by_name() {
    let cases = [
        (
            with(LINE, "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"),
            HeadFault::LengthAndEncoding,
        ),
        (
            with(LINE, "Content-Length: 2\r\nContent-Length: 2\r\n"),
            HeadFault::Duplicate("content-length"),
        ),
        (with(LINE, "Content-Length: 5, 5\r\n"), HeadFault::Length),
        (with(LINE, "Content-Length: +5\r\n"), HeadFault::Length),
        (with(LINE, "Transfer-Encoding: chunked, identity\r\n"), HeadFault::Encoding),
        (with(LINE, "Transfer-Encoding: xchunked\r\n"), HeadFault::Encoding),
        (
            with(LINE, "Authorization: Bearer a\r\nauthorization: Bearer b\r\n"),
            HeadFault::Duplicate("authorization"),
        ),
        (with(LINE, "host: other\r\n"), HeadFault::Duplicate("host")),
        (with(LINE, "Upgrade: h2c\r\n"), HeadFault::Upgrade),
        (with(LINE, "Expect: 200-ok\r\n"), HeadFault::Expectation),
        (with(LINE, "X-A : b\r\n"), HeadFault::Syntax),
        (with(LINE, "X-A: b\r\n folded\r\n"), HeadFault::Syntax),
        (with(LINE, "X-A: b\nX-B: c\r\n"), HeadFault::BareLineFeed),
        (with(LINE, "X-A: b\rX-B: c\r\n"), HeadFault::BareCarriageReturn),
        (with(LINE, "X-A: \0\r\n"), HeadFault::ControlByte),
        (format!("{LINE}\r\nX: y\r\n\r\n"), HeadFault::Host),
        (format!("{LINE}\r\nHost:\r\n\r\n"), HeadFault::Host),
        (with("POST /a HTTP/1.0", ""), HeadFault::Version),
        (with("TRACE /a HTTP/1.1", ""), HeadFault::Method),
        (with("CONNECT /a HTTP/1.1", ""), HeadFault::Method),
        (with("GET http://x/a HTTP/1.1", ""), HeadFault::TargetForm),
        (with("GET * HTTP/1.1", ""), HeadFault::TargetForm),
    ];
    for (head, fault) in cases {
        assert_eq!(judge(&head), Err(fault), "{head:?}");
    }
}

#[test]
fn every_ambiguous_path_is_refused() {
    for path in [
        "/a/%2e%2e/b",
        "/a/%2E/b",
        "/a%2fb",
        "/a//b",
        "//a",
        "/a;x",
        "/a\\b",
        "/a/../b",
        "/a/.",
        "/..",
        "/a%252e",
        "/a%00",
        "/a%5cb",
        "/a#b",
        "/a%",
        "/a%2",
    ] {
        assert_eq!(target(path), Err(HeadFault::TargetAmbiguous), "{path}");
    }
    for path in ["/", "/v1/funds-confirmations", "/a/", "/a?b=//;%2e", "/a%20b"] {
        assert_eq!(target(path), Ok(()), "{path}");
    }
}

#[test]
fn a_head_in_two_pieces_is_judged_as_one() {
    let head = with(LINE, "X: y\r\n");
    for cut in 1..head.len() {
        let (first, _) = head.as_bytes().split_at(cut);
        assert_eq!(inspect(first, 0, MAX), Ok(Head::Incomplete), "cut at {cut}");
        assert_eq!(inspect(head.as_bytes(), cut, MAX), Ok(Head::Whole), "cut at {cut}");
    }
}

#[test]
fn a_head_over_the_limit_is_refused_before_it_ends() {
    let long = format!("{LINE}\r\nX: {}", "y".repeat(MAX.bytes_max));
    assert_eq!(judge(&long), Err(HeadFault::TooLarge));
    let many = with(LINE, &"A: b\r\n".repeat(MAX.fields_max));
    assert_eq!(judge(&many), Err(HeadFault::TooManyFields));
}

proptest! {
    #[test]
    fn no_bytes_make_the_gate_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), cut in 0_usize..600) {
        let cut = cut.min(bytes.len());
        let _ = inspect(&bytes, 0, MAX);
        let _ = inspect(&bytes, cut, MAX);
    }

    #[test]
    fn a_second_content_length_never_passes(first in 0_u32..100, second in 0_u32..100, upper in any::<bool>()) {
        let name = if upper { "CONTENT-LENGTH" } else { "content-length" };
        let head = with(LINE, &format!("Content-Length: {first}\r\n{name}: {second}\r\n"));
        prop_assert!(judge(&head).is_err());
    }
}
