//! An origin that may be asked (RFC 6454 §4): scheme, host, port.

use std::fmt;

use reqwest::Url;

use super::key::Key;
use super::reading::Reading;

/// Scheme, host and port of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// Reads `http://host`, `https://host:port`.
    ///
    /// # Errors
    /// Anything else, as a sentence that follows the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none();
        if !bare || url.fragment().is_some() || !url.username().is_empty() {
            return Err("holds more than scheme, host and port".to_owned());
        }
        Self::of(&url).ok_or_else(|| "is not http or https".to_owned())
    }

    /// The origin of an http or https URL without a password.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        let known = matches!(url.scheme(), "http" | "https");
        let anonymous = url.username().is_empty() && url.password().is_none();
        (known && anonymous).then_some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.to_ascii_lowercase(),
            port: url.port_or_known_default()?,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// Each text as an origin.
pub(super) fn origins(
    texts: &[String],
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Vec<Origin>> {
    let origins = texts.iter().enumerate().map(|(index, text)| {
        Origin::parse(text).map_err(|why| {
            let mend = "write scheme and host, for example \"http://crl.qtsp.example\"";
            reading.refuse(&key.item(index), why, mend);
        })
    });
    origins.collect::<Vec<_>>().into_iter().collect::<Result<_, ()>>().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_more() {
        let origin = Origin::parse("HTTP://CRL.Example").unwrap();
        assert_eq!(origin, Origin::parse("http://crl.example:80/").unwrap());
        assert_eq!(origin.to_string(), "http://crl.example:80");
        for text in [
            "crl.example",
            "ftp://crl.example",
            "http://crl.example/x",
            "http://u@crl.example",
            "http://crl.example?x",
            "",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }
}
