//! Strict DER (ITU-T X.690 §10): one encoding for one value, nothing left over.

use x509_parser::asn1_rs::{Any, FromDer, Oid, Tag, ToDer};

/// Deepest nesting that is followed. A certificate needs about ten levels.
const DEPTH_MAX: usize = 24;

/// Longest encoded object identifier that is kept as text.
const OID_BYTES_MAX: usize = 64;

/// Whether `bytes` is a row of DER values with shortest lengths and no odd octet, at every depth.
///
/// The parser underneath accepts long-form lengths where DER wants the short form; two encodings
/// of one statement would mean two readings of it.
pub(crate) fn is_strict(bytes: &[u8]) -> bool {
    is_strict_at(bytes, 0)
}

fn is_strict_at(mut bytes: &[u8], depth: usize) -> bool {
    if depth > DEPTH_MAX {
        return false;
    }
    while !bytes.is_empty() {
        let Ok((rest, any)) = Any::from_der(bytes) else { return false };
        let header_bytes = bytes.len() - rest.len() - any.data.len();
        if any.header.to_der_len() != Ok(header_bytes) {
            return false;
        }
        if any.header.is_constructed() && !is_strict_at(any.data, depth + 1) {
            return false;
        }
        bytes = rest;
    }
    true
}

/// The elements of a SEQUENCE, or `None` when `any` is something else or has more than `max`.
pub(crate) fn elements<'a>(any: &Any<'a>, max: usize) -> Option<Vec<Any<'a>>> {
    if any.tag() != Tag::Sequence || !any.header.is_constructed() {
        return None;
    }
    let mut rest = any.data;
    let mut elements = Vec::new();
    while !rest.is_empty() {
        let (after, element) = Any::from_der(rest).ok()?;
        if elements.len() == max {
            return None;
        }
        elements.push(element);
        rest = after;
    }
    Some(elements)
}

/// The object identifier that `any` holds.
pub(crate) fn oid<'a>(any: &Any<'a>) -> Option<Oid<'a>> {
    let well_formed = any.tag() == Tag::Oid
        && !any.header.is_constructed()
        && (1..=OID_BYTES_MAX).contains(&any.data.len())
        && any.data.last().is_some_and(|octet| octet & 0x80 == 0);
    if well_formed { Oid::try_from(any).ok() } else { None }
}

/// The text of a UTF8String or a PrintableString.
pub(crate) fn text<'a>(any: &Any<'a>) -> Option<&'a str> {
    if any.header.is_constructed() {
        return None;
    }
    match any.tag() {
        Tag::Utf8String => std::str::from_utf8(any.data).ok(),
        Tag::PrintableString if any.data.iter().all(|octet| is_printable(*octet)) => {
            std::str::from_utf8(any.data).ok()
        }
        _ => None,
    }
}

/// The repertoire of PrintableString (X.680 §41.4).
fn is_printable(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&octet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_lengths_and_odd_octets_are_not_strict() {
        assert!(is_strict(&[0x30, 0x03, 0x02, 0x01, 0x05]));
        assert!(!is_strict(&[0x30, 0x81, 0x03, 0x02, 0x01, 0x05]), "long form of a short length");
        assert!(!is_strict(&[0x30, 0x04, 0x02, 0x81, 0x01, 0x05]), "the same, one level down");
        assert!(!is_strict(&[0x30, 0x80, 0x02, 0x01, 0x05, 0x00, 0x00]), "indefinite length");
        assert!(!is_strict(&[0x30, 0x03, 0x02, 0x01, 0x05, 0x00]), "an octet left over");
    }

    #[test]
    fn nesting_beyond_the_bound_is_refused_without_a_deep_stack() {
        let mut bytes = vec![0x05, 0x00];
        for _ in 0..60 {
            let mut outer = vec![0x30, u8::try_from(bytes.len()).unwrap()];
            outer.append(&mut bytes);
            bytes = outer;
        }
        assert!(!is_strict(&bytes));
    }

    proptest! {
        #[test]
        fn any_octets_are_judged_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            is_strict(&bytes);
            if let Ok((_, any)) = Any::from_der(&bytes) {
                if let Some(found) = oid(&any) {
                    found.to_id_string();
                }
                text(&any);
                elements(&any, 4);
            }
        }
    }
}
