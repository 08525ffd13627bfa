//! By which of a bank's two interfaces a request wants to go.

use crate::reason::Reason;
use crate::verdict::Refusal;

/// The dedicated interface, or the way to the interface of the bank's customers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Lane {
    /// The APIs (RTS (EU) 2018/389 art. 31).
    #[default]
    Dedicated,
    /// The fallback (art. 33(4)).
    Fallback,
}

impl Lane {
    /// The header field by which a TPP asks for the fallback.
    pub const HEADER: &str = "fallback";

    /// As records write it; the dedicated interface goes without saying.
    #[must_use]
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::Dedicated => None,
            Self::Fallback => Some("fallback"),
        }
    }

    /// The lane that the value of the one [`Lane::HEADER`] asks for.
    ///
    /// # Errors
    /// `request_malformed`: anything but `1` could be meant either way.
    pub fn asked(header: Option<&[u8]>) -> Result<Self, Refusal> {
        match header {
            None => Ok(Self::Dedicated),
            Some(b"1") => Ok(Self::Fallback),
            Some(_) => Err(Refusal::because(
                Reason::RequestMalformed,
                "the header fallback takes the value 1 only; leave it out to call an API",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_value_1_asks_for_the_fallback_and_whatever_else_stands_there_is_refused() {
        assert_eq!(Lane::asked(None), Ok(Lane::Dedicated));
        assert_eq!(Lane::asked(Some(b"1")), Ok(Lane::Fallback));
        for value in ["", "0", "true", "01", "1,1", "1 ", "one"] {
            let refused = Lane::asked(Some(value.as_bytes())).unwrap_err();
            assert_eq!(refused.reason, Reason::RequestMalformed, "{value:?}");
        }
    }
}
