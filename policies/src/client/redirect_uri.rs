//! Where a customer may be sent with a code: redirect URIs, enrolled once and compared octet for
//! octet ever after (RFC 6749 §3.1.2, RFC 9700 §2.1 and §4.1.3, RFC 3986 §6.2).
//!
//! Comparing octets is only safe when one place has one spelling. So a text that a browser would
//! read as another text is refused at enrolment, with what to write instead.

mod fault;
mod host;
mod path;
#[cfg(test)]
mod tests;

use std::fmt;

use url::{Url, form_urlencoded};

pub use fault::RedirectUriFault;

use super::Setting;
use crate::limits::REDIRECT_URI_BYTES_MAX;

/// A redirect URI, exactly as it was enrolled.
///
/// # Examples
/// ```
/// use policies::client::{RedirectUri, Setting};
///
/// let uri = RedirectUri::enrol("https://tpp.example/cb", Setting::Production)?;
/// assert!(uri.matches("https://tpp.example/cb"));
/// assert!(!uri.matches("https://tpp.example/cb/"));
/// assert_eq!(uri.origin(), "https://tpp.example");
/// # Ok::<(), policies::client::RedirectUriFault>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RedirectUri(Box<str>);

impl RedirectUri {
    /// Takes `text` as it is, or says what to write instead.
    ///
    /// # Errors
    /// Anything that is not an absolute `https` URI in its one normal spelling, or that leads to a
    /// place where `setting` sends nobody.
    pub fn enrol(text: &str, setting: Setting) -> Result<Self, RedirectUriFault> {
        if text.is_empty() {
            return Err(RedirectUriFault::Empty);
        }
        if text.len() > REDIRECT_URI_BYTES_MAX {
            return Err(RedirectUriFault::TooLong { bytes: text.len() });
        }
        characters(text)?;
        let rest = after_scheme(text, setting)?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(RedirectUriFault::UserInfo);
        }
        host::spelled(authority)?;
        let url = Url::parse(text).map_err(|error| RedirectUriFault::Unreadable { error })?;
        host::place(&url, authority, setting)?;
        path::spelled(text, tail, &url)?;
        // The last word has the parser that browsers share: whatever it would write differently.
        if url.as_str() != text {
            return Err(RedirectUriFault::spelling(text, &url));
        }
        Ok(Self(text.into()))
    }

    /// Whether `sent` is this URI, octet for octet (RFC 9700 §2.1).
    #[must_use]
    pub fn matches(&self, sent: &str) -> bool {
        *self.0 == *sent
    }

    /// The text as it was enrolled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Scheme, host and port where there is one: what a `Content-Security-Policy` names.
    #[must_use]
    pub fn origin(&self) -> &str {
        let authority = self.0.find("://").map_or(0, |at| at + 3);
        let path = self.0.get(authority..).and_then(|rest| rest.find('/'));
        path.and_then(|path| self.0.get(..authority + path)).unwrap_or(&self.0)
    }

    /// This URI with `pairs` added to its query, what stands there kept as it is (RFC 6749 §3.1.2
    /// and §4.1.2).
    #[must_use]
    pub fn with_query(&self, pairs: &[(&str, &str)]) -> String {
        if pairs.is_empty() {
            return self.0.to_string();
        }
        // An enrolled URI has no fragment, so its end is the end of its query.
        let separator = if self.0.contains('?') { '&' } else { '?' };
        let added = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        format!("{}{separator}{added}", self.0)
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedirectUri({:?})", &*self.0)
    }
}

/// Only characters of RFC 3986, and of those not the ones that readers disagree about.
pub(super) fn characters(text: &str) -> Result<(), RedirectUriFault> {
    for (position, character) in text.char_indices() {
        match character {
            '\\' => return Err(RedirectUriFault::Backslash { position }),
            '#' => return Err(RedirectUriFault::Fragment),
            '*' => return Err(RedirectUriFault::Wildcard),
            '!' | '$'..=';' | '=' | '?'..='[' | ']' | '_' | 'a'..='z' | '~' => {}
            '!'..='~' => return Err(RedirectUriFault::Character { position }),
            '\0'..=' ' | '\u{7f}' => return Err(RedirectUriFault::Space { position }),
            _ => return Err(RedirectUriFault::NotAscii { position }),
        }
    }
    Ok(())
}

/// What follows `https://`.
fn after_scheme(text: &str, setting: Setting) -> Result<&str, RedirectUriFault> {
    let (scheme, rest) = text.split_once(':').ok_or(RedirectUriFault::NotAbsolute)?;
    // Parsers of browsers take `https:host`, `https:/host` and `https:////host` for `https://host`.
    let rest = rest.strip_prefix("//").filter(|rest| !rest.starts_with('/'));
    let rest = rest.ok_or(RedirectUriFault::NotAbsolute)?;
    match scheme {
        "https" => Ok(rest),
        "http" if setting == Setting::Sandbox => Ok(rest),
        _ if scheme.eq_ignore_ascii_case("https") => Err(RedirectUriFault::SchemeCase),
        _ => Err(RedirectUriFault::Scheme),
    }
}
