//! What a TPP says about its own trace (W3C Trace Context). It becomes a link, never a parent: a stranger
//! chooses neither our trace ids nor what we keep.

/// A `traceparent` that is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Its trace.
    pub trace_id: [u8; 16],
    /// Its span.
    pub span_id: [u8; 8],
}

impl Incoming {
    /// Reads `00-<32 hex>-<16 hex>-<2 hex>` in lower case, with neither id zero (§3.2.2); nothing else.
    #[must_use]
    pub fn read(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let lower = |text: &str| text.bytes().all(|byte| !byte.is_ascii_uppercase());
        if version != "00" || parts.next().is_some() || flags.len() != 2 || !lower(text) {
            return None;
        }
        hex::decode(flags).ok()?;
        let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
        hex::decode_to_slice(trace, &mut trace_id).ok()?;
        hex::decode_to_slice(span, &mut span_id).ok()?;
        (trace_id != [0; 16] && span_id != [0; 8]).then_some(Self { trace_id, span_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_traceparent_of_version_00_is_read() {
        let good = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(Incoming::read(good).unwrap().span_id[0], 0xb7);
        let bad: [&[u8]; 8] = [
            b"",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            b"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            b"00-00000000000000000000000000000000-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            b"00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-zz",
        ];
        for value in bad {
            assert_eq!(Incoming::read(value), None, "{}", String::from_utf8_lossy(value));
        }
    }
}
