//! Texts of a client. Some are shown to customers, so none may look like another or like nothing.

use thiserror::Error;
use url::{Host, Url};

use super::redirect_uri::characters;
use crate::limits::{CLIENT_ID_BYTES_MAX, KEY_ID_BYTES_MAX, REDIRECT_URI_BYTES_MAX};

const EMAIL_BYTES_MAX: usize = 254;
const PHONE_BYTES_MAX: usize = 32;

/// What is wrong with a text. Says how it must be, never what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TextFault {
    /// Empty or too long.
    #[error("must have 1 to {max} characters")]
    Length {
        /// Characters.
        max: usize,
    },
    /// A character that is not seen, or that turns the text around (Unicode TR36 §2, TR9).
    #[error(
        "has a character that cannot be seen (a control, zero-width, direction or private one, or \
         another space than U+0020) at character {position}"
    )]
    Unseen {
        /// Characters, from 0.
        position: usize,
    },
    /// A space at an end, or nothing but marks.
    #[error("must not begin or end with a space, and must have a letter or a digit")]
    Blank,
    /// No URI of a page.
    #[error(
        "must be an https:// address without user information, of at most {REDIRECT_URI_BYTES_MAX} bytes, percent-encoded where needed"
    )]
    Page,
    /// No address of a mailbox.
    #[error("must be an e-mail address")]
    Email,
    /// No telephone number.
    #[error("must be a telephone number: digits, spaces and + ( ) . - only")]
    Phone,
    /// No agent.
    #[error("must begin with AGT, as the ids of agents do, and have printable ASCII only")]
    Agent,
}

/// A text that a customer may read on one line.
pub(super) fn shown(text: &str, max: usize) -> Result<(), TextFault> {
    if text.is_empty() || text.chars().nth(max).is_some() {
        return Err(TextFault::Length { max });
    }
    if let Some(position) = text.chars().position(is_unseen) {
        return Err(TextFault::Unseen { position });
    }
    if text.trim() != text || !text.chars().any(char::is_alphanumeric) {
        return Err(TextFault::Blank);
    }
    Ok(())
}

/// An address that is handed on and never fetched.
pub(super) fn page(text: &str) -> Result<(), TextFault> {
    let fits = text.len() <= REDIRECT_URI_BYTES_MAX && characters_of_page(text);
    let authority = text.strip_prefix("https://").and_then(|rest| rest.split(['/', '?']).next());
    let named = authority.is_some_and(|authority| !authority.contains('@'));
    let host = Url::parse(text).ok().is_some_and(|url| {
        url.host().is_some_and(|host| !matches!(host, Host::Domain(name) if name.is_empty()))
    });
    if fits && named && host { Ok(()) } else { Err(TextFault::Page) }
}

/// A page may have a fragment, which leads to a paragraph of it.
fn characters_of_page(text: &str) -> bool {
    let (page, fragment) = text.split_once('#').unwrap_or((text, ""));
    characters(page).is_ok() && characters(fragment).is_ok()
}

pub(super) fn email(text: &str) -> Result<(), TextFault> {
    let parts = text
        .split_once('@')
        .filter(|(mailbox, host)| !mailbox.is_empty() && !host.is_empty() && !host.contains('@'));
    let plain = |c: char| !c.is_whitespace() && !is_unseen(c) && !matches!(c, '<' | '>' | '"');
    let fits = text.len() <= EMAIL_BYTES_MAX && text.chars().all(plain);
    if fits && parts.is_some() { Ok(()) } else { Err(TextFault::Email) }
}

pub(super) fn phone(text: &str) -> Result<(), TextFault> {
    let plain = |byte: u8| byte.is_ascii_digit() || b" +().-/".contains(&byte);
    let digits = text.bytes().any(|byte| byte.is_ascii_digit());
    if digits && text.len() <= PHONE_BYTES_MAX && text.bytes().all(plain) {
        Ok(())
    } else {
        Err(TextFault::Phone)
    }
}

pub(super) fn agent(text: &str) -> Result<(), TextFault> {
    let named = text.strip_prefix("AGT").is_some_and(|rest| !rest.is_empty());
    if named && is_client_id(text) { Ok(()) } else { Err(TextFault::Agent) }
}

/// RFC 6749 appendix A.1, without spaces at the ends.
pub(super) fn is_client_id(text: &str) -> bool {
    (1..=CLIENT_ID_BYTES_MAX).contains(&text.len()) && is_visible(text)
}

/// What can stand in a quoted parameter of a Signature header as it is.
pub(super) fn is_key_id(text: &str) -> bool {
    (1..=KEY_ID_BYTES_MAX).contains(&text.len())
        && is_visible(text)
        && !text.contains(['"', '\\', ' '])
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text
}

/// Default-ignorable characters (Unicode DerivedCoreProperties), controls, private use,
/// non-characters, tags, and every space but the plain one.
fn is_unseen(c: char) -> bool {
    let code = u32::from(c);
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(code,
            0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x2800 | 0x3164
            | 0xe000..=0xf8ff | 0xfdd0..=0xfdef | 0xfe00..=0xfe0f | 0xfeff | 0xffa0
            | 0xfff0..=0xffff | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0x10ffff)
        || code & 0xfffe == 0xfffe
}
