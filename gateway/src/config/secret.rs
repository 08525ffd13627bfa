//! A value that is used but never shown.

use std::fmt;
use std::str::Utf8Error;

use zeroize::Zeroizing;

/// A key, a password or a URL that holds one. It is wiped when dropped, and neither `Debug` nor any
/// serialisation shows it; [`Secret::expose`] is the only way in, and easy to search for.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; the caller keeps no copy.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes, for the one call that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, for the one call that needs them.
    pub fn expose_text(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let secret = Secret::new("correct horse battery staple");
        assert_eq!(
            format!("{secret:?} {:#?}", Some(&secret)),
            "[redacted] Some(\n    [redacted],\n)"
        );
        assert_eq!(secret.expose_text(), Ok("correct horse battery staple"));
    }
}
