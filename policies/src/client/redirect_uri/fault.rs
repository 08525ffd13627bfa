//! Why a text is no redirect URI, and what to write instead.

use thiserror::Error;
use url::Url;

use crate::limits::REDIRECT_URI_BYTES_MAX;

/// Why a text cannot be enrolled as a redirect URI.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RedirectUriFault {
    /// Nothing.
    #[error("it is empty; write an address such as https://tpp.example/callback")]
    Empty,
    /// Over the bound.
    #[error("it has {bytes} bytes; write at most {REDIRECT_URI_BYTES_MAX}")]
    TooLong {
        /// Bytes found.
        bytes: usize,
    },
    /// A control character or a space; parsers strip some of them silently.
    #[error("it has a space or a control character at byte {position}; write %20 or leave it out")]
    Space {
        /// From 0.
        position: usize,
    },
    /// A letter outside ASCII.
    #[error(
        "it has a character outside ASCII at byte {position}; write the host in punycode (xn--…) \
         and anything else percent-encoded"
    )]
    NotAscii {
        /// From 0.
        position: usize,
    },
    /// A character that no URI has (RFC 3986 §2).
    #[error("the character at byte {position} cannot stand in a URI; write it percent-encoded")]
    Character {
        /// From 0.
        position: usize,
    },
    /// Browsers read it as a slash, other readers do not.
    #[error("it has a backslash at byte {position}; write /")]
    Backslash {
        /// From 0.
        position: usize,
    },
    /// RFC 6749 §3.1.2: no fragment component, not even an empty one.
    #[error("it has a fragment; leave out # and what follows")]
    Fragment,
    /// A pattern; redirect URIs are compared whole.
    #[error("it has a *, and redirect URIs are no patterns; write each address out")]
    Wildcard,
    /// Relative, or with fewer or more than two slashes.
    #[error("it is not an absolute address; write https:// and then the host")]
    NotAbsolute,
    /// Another scheme.
    #[error(
        "its scheme is not https; write an https:// address (http:// only in the sandbox, for \
         localhost, *.localhost, 127.0.0.1 or [::1])"
    )]
    Scheme,
    /// `HTTPS://`.
    #[error("its scheme is in capitals; write https in lower case")]
    SchemeCase,
    /// `user@`, `user:password@`, `@`.
    #[error("it has user information before an @; write the host alone")]
    UserInfo,
    /// `https://:443/`.
    #[error("it has no host; write one after https://")]
    HostMissing,
    /// `tpp%2eexample`.
    #[error("its host is percent-encoded; write the host name itself")]
    HostEncoded,
    /// `tpp.example.`
    #[error("its host ends with a dot; leave the dot out")]
    HostDot,
    /// `TPP.example`.
    #[error("its host has capitals; write it in lower case")]
    HostCase,
    /// No host name of RFC 1123 §2.1.
    #[error(
        "its host is no host name: labels of 1 to 63 letters, digits and inner hyphens, separated \
         by dots, 253 bytes at most"
    )]
    HostName,
    /// `0x7f.1`, `2130706433`, `[0:0::1]`.
    #[error("its host is an IP address in another form than the usual one; write {instead}")]
    AddressForm {
        /// The address as everybody writes it.
        instead: String,
    },
    /// A place that only the sender's own network knows.
    #[error(
        "its host is not reachable for customers on the internet; write a public host name (local \
         ones can be enrolled in the sandbox)"
    )]
    NotPublic,
    /// `:443` with https, or `:`.
    #[error("it names the default port or an empty one; leave out the colon and the port")]
    PortDefault,
    /// `:0443`, `:0`, `:x`.
    #[error("its port is not a number from 1 to 65535 without leading zeros")]
    Port,
    /// `https://tpp.example`.
    #[error("it has no path; write / after the host")]
    PathMissing,
    /// `/a/../b`, `/a/%2e%2e/b`.
    #[error("its path has a . or .. segment; write the path that it leads to")]
    DotSegment,
    /// `/a//b`.
    #[error("its path has an empty segment (//); write a single slash")]
    EmptySegment,
    /// `%zz`.
    #[error(
        "the % at byte {position} is not followed by two hexadecimal digits, letters among them in \
         capitals; write them so, such as %2B"
    )]
    PercentEncoding {
        /// From 0.
        position: usize,
    },
    /// `%61`.
    #[error("it has {letter} percent-encoded; write it as it is (RFC 3986 §6.2.2.2)")]
    EncodedUnreserved {
        /// The letter, digit or `-._~`.
        letter: char,
    },
    /// `%0D%0A`.
    #[error("it has a percent-encoded control character; leave it out")]
    EncodedControl,
    /// `%2F`, `%5C`, `%25` in the path: one server decodes it, another does not.
    #[error("its path has a percent-encoded slash, backslash or percent sign; choose another path")]
    EncodedSeparator,
    /// `?`
    #[error("its query is empty; leave out the ?")]
    QueryEmpty,
    /// `?code=`: whoever reads the answer could read the wrong one.
    #[error(
        "its query has a parameter that answers of this server have (code, state, iss, error, \
         scope and the like); leave it out"
    )]
    QueryReserved,
    /// The parser that browsers share gives up.
    #[error("it cannot be read as a URL: {error}")]
    Unreadable {
        /// What the parser says; never a part of the text.
        error: url::ParseError,
    },
    /// The parser that browsers share writes it otherwise.
    #[error("browsers write it otherwise from byte {position} on; write {instead} there")]
    Spelling {
        /// From 0.
        position: usize,
        /// How that form goes on, a few characters of it.
        instead: String,
    },
}

impl RedirectUriFault {
    pub(super) fn spelling(text: &str, url: &Url) -> Self {
        let same = text.bytes().zip(url.as_str().bytes()).take_while(|(a, b)| a == b).count();
        let instead = url.as_str().chars().skip(same).take("%00".len()).collect();
        Self::Spelling { position: same, instead }
    }
}
