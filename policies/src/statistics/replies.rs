//! Replies, eight bytes each in memory and two or three in a file.

/// A request that was replied to. Orders by receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reply(u64);

const AT_SHIFT: u32 = 33;
const TOOK_MASK: u64 = 0xffff_ffff;

// A day of 25 hours fits.
const _: () = assert!(25 * 3_600_000 < 1_u64 << (64 - AT_SHIFT));

impl Reply {
    /// Received `at_ms` after the day began, replied to `took_ms` later; `successful` unless it was an error
    /// of the bank's side.
    #[must_use]
    pub fn new(at_ms: u32, took_ms: u32, successful: bool) -> Self {
        Self(u64::from(at_ms) << AT_SHIFT | u64::from(took_ms) << 1 | u64::from(!successful))
    }

    /// Milliseconds from the beginning of the day to its receipt.
    #[must_use]
    pub const fn at_ms(self) -> u32 {
        (self.0 >> AT_SHIFT) as u32
    }

    /// Milliseconds from its receipt to its reply.
    #[must_use]
    pub const fn took_ms(self) -> u32 {
        (self.0 >> 1 & TOOK_MASK) as u32
    }

    /// It was no error of the bank's side.
    #[must_use]
    pub const fn is_successful(self) -> bool {
        self.0 & 1 == 0
    }
}

/// What was to be read are no replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no list of replies: it ends in the midst of one, or holds what cannot be")]
pub struct RepliesFault;

/// Sorted replies as bytes: for each, the distance to the one before, then how long it took and whether it
/// failed, both LEB128.
#[must_use]
pub fn encode(replies: &[Reply]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(replies.len() * 3);
    let mut before = 0;
    for reply in replies {
        push(&mut bytes, u64::from(reply.at_ms().wrapping_sub(before)));
        push(&mut bytes, reply.0 & (TOOK_MASK << 1 | 1));
        before = reply.at_ms();
    }
    bytes
}

/// What [`encode`] wrote.
///
/// # Errors
/// It did not write that.
pub fn decode(mut bytes: &[u8]) -> Result<Vec<Reply>, RepliesFault> {
    let mut replies = Vec::new();
    let mut before = 0_u64;
    while !bytes.is_empty() {
        let at = before.checked_add(pull(&mut bytes)?).ok_or(RepliesFault)?;
        let rest = pull(&mut bytes)?;
        if at >> (64 - AT_SHIFT) != 0 || rest >> AT_SHIFT != 0 {
            return Err(RepliesFault);
        }
        replies.push(Reply(at << AT_SHIFT | rest));
        before = at;
    }
    Ok(replies)
}

fn push(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn pull(bytes: &mut &[u8]) -> Result<u64, RepliesFault> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(RepliesFault)?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(RepliesFault)
}
