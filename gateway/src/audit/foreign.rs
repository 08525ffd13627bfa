//! What a stranger wrote, as a record may hold it. Somebody puts a token into his path, or an account number
//! into his host name: the record says that one stood there and which, to whoever has the key, and not
//! what it was.

use std::fmt;
use std::ops::Range;

use iban::Iban;
use percent_encoding::percent_decode_str;
use uuid::{Uuid, Variant};

use super::pseudonyms::Pseudonyms;

/// What a word is called that is not shown: this, and the first digits of its HMAC.
const HIDDEN: &str = "hidden-";
const HIDDEN_BYTES: usize = 8;
/// The shortest and the longest account number (ISO 13616: Norway; the bound of the standard).
const IBAN_CHARS: (usize, usize) = (15, 34);
/// Whoever makes tokens makes none that could be guessed: letters of both cases and digits, or many.
const TOKEN_CHARS_MIN: usize = 20;
const PLAIN_TOKEN_CHARS_MIN: usize = 32;
const TOKEN_DIGITS_MIN: usize = 2;

/// A text of a stranger. Shown as it is, but for the words that may be a secret.
#[derive(Clone, Copy)]
pub(super) struct Foreign<'a> {
    pub(super) text: &'a str,
    /// Nothing where the text is one of the configuration: nobody hides what was agreed upon.
    pub(super) people: Option<&'a Pseudonyms>,
}

impl fmt::Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(people) = self.people else { return plain_text(f, self.text) };
        let mut shown = 0;
        for word in words(self.text) {
            let Some(text) = self.text.get(word.clone()) else { continue };
            for hidden in secrets(text) {
                let hidden = word.start + hidden.start..word.start + hidden.end;
                let before = self.text.get(shown..hidden.start).unwrap_or_default();
                let secret = self.text.get(hidden.clone()).unwrap_or_default();
                let hmac = people.of(secret);
                let digits = hex::encode(hmac.get(..HIDDEN_BYTES).unwrap_or_default());
                plain_text(f, before)?;
                write!(f, "{HIDDEN}{digits}")?;
                shown = hidden.end;
            }
        }
        plain_text(f, self.text.get(shown..).unwrap_or_default())
    }
}

/// What moves a cursor or turns the direction of writing does so wherever the log is read, and JSON does not
/// escape it.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn plain_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unseen(*c)) {
        f.write_str(rest.get(..at).unwrap_or_default())?;
        f.write_str("\u{fffd}")?;
        rest = rest.get(at + c.len_utf8()..).unwrap_or_default();
    }
    f.write_str(rest)
}

/// What stands between the delimiters of paths, hosts and header values, as far as it is long enough to
/// hide anything.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"%_~+.-".contains(&byte);
    runs(text.as_bytes(), is_word).filter(|word| word.len() >= IBAN_CHARS.0)
}

fn runs(bytes: &[u8], is_in: impl Fn(u8) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes.get(at..)?.iter().position(|byte| is_in(*byte))?;
        let length = bytes.get(start..)?.iter().position(|byte| !is_in(*byte));
        at = length.map_or(bytes.len(), |length| start + length);
        Some(start..at)
    })
}

/// The parts of a word that are not shown. One that is written with percent signs or in groups is hidden
/// whole.
fn secrets(word: &str) -> Vec<Range<usize>> {
    if word.bytes().filter(u8::is_ascii_digit).count() < TOKEN_DIGITS_MIN {
        return Vec::new();
    }
    let decoded = percent_decode_str(word).decode_utf8_lossy();
    let compact: Vec<u8> = decoded.bytes().filter(u8::is_ascii_alphanumeric).collect();
    let in_groups = compact.len() <= IBAN_CHARS.1 && is_iban(&compact);
    if in_groups || decoded != word && !plain(&decoded).is_empty() {
        return std::iter::once(0..word.len()).collect();
    }
    plain(word)
}

/// Tokens, and account numbers wherever they stand in other letters and digits.
fn plain(word: &str) -> Vec<Range<usize>> {
    let bytes = word.as_bytes();
    let mut found = Vec::new();
    for run in runs(bytes, |byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        let text = word.get(run.clone()).unwrap_or_default();
        if is_token(text) || holds_iban(text.as_bytes()) {
            found.push(run);
        }
    }
    found
}

fn is_token(text: &str) -> bool {
    let count = |is: fn(&u8) -> bool| text.bytes().filter(is).count();
    let (upper, lower) = (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    if text.len() < TOKEN_CHARS_MIN || count(u8::is_ascii_digit) < TOKEN_DIGITS_MIN {
        return false;
    }
    let looks = match upper > 0 && lower > 0 {
        true => true,
        false => text.len() >= PLAIN_TOKEN_CHARS_MIN && upper + lower >= TOKEN_DIGITS_MIN,
    };
    looks && !is_id(text)
}

/// A UUID, with or without its hyphens: what requests and resources are called.
fn is_id(text: &str) -> bool {
    let id = Uuid::try_parse(text);
    id.is_ok_and(|id| id.get_version().is_some() && id.get_variant() == Variant::RFC4122)
}

fn holds_iban(text: &[u8]) -> bool {
    let (shortest, longest) = IBAN_CHARS;
    text.windows(shortest).enumerate().any(|(at, window)| {
        let begins = matches!(window, [a, b, c, d, ..]
            if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_digit() && d.is_ascii_digit());
        begins && (shortest..=longest).any(|length| text.get(at..at + length).is_some_and(is_iban))
    })
}

fn is_iban(text: &[u8]) -> bool {
    if text.len() < IBAN_CHARS.0 || !text.iter().all(u8::is_ascii_alphanumeric) {
        return false;
    }
    let capital = text.to_ascii_uppercase();
    std::str::from_utf8(&capital).is_ok_and(|text| text.parse::<Iban>().is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IBAN: &str = "FR7617515000920440878790811";
    const TOKEN: &str = "octa_480CxDD2juJbJChGV28n_xcBDsqskVcxiF9WdQ1ID4H";

    fn shown(text: &str) -> String {
        let people = Pseudonyms::new(&[1; 32]).unwrap();
        Foreign { text, people: Some(&people) }.to_string()
    }

    #[test]
    fn what_is_no_secret_is_shown_as_it_is() {
        for text in [
            "",
            "GET",
            "/stet/psd2/v1.6.2/funds-confirmations",
            "/v1/accounts/01a1fcac-2788-7342-b7d5-145123543671/balances",
            "01a1fcac27887342b7d5145123543671",
            "www.17515.oba-bad-me-live-api.89c3.com:8443",
            "www.17515.sandbox.api.localhost:38985",
            "req-2026-11-22-000042",
            "/a\"},{\"event.action\":\"request",
            "/äöü%2e%2e/…",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn tokens_and_account_numbers_are_hidden_wherever_they_stand() {
        let grouped = "FR76%201751%205000%209204%204087%208790%20811";
        let dotted = "FR76.1751.5000.9204.4087.8790.811";
        let encoded = format!("FR%37{}", &IBAN[3..]);
        let hex = "0123456789abcdef0123456789abcdef01234567";
        for secret in [IBAN, &IBAN.to_lowercase(), TOKEN, grouped, dotted, &encoded, hex] {
            for around in ["", "/accounts/", "access_token=", "{\"id\":\""] {
                for behind in ["", "/balances", ";", "\"}"] {
                    let shown = shown(&format!("{around}{secret}{behind}"));
                    assert!(!shown.contains(secret) && shown.contains(HIDDEN), "{shown}");
                    assert!(shown.starts_with(around) && shown.ends_with(behind), "{shown}");
                }
            }
        }
        for secret in [IBAN, TOKEN] {
            let shown = shown(&format!("{secret}.sandbox.api.localhost:8443"));
            assert!(shown.ends_with(".sandbox.api.localhost:8443"), "{shown}");
            assert!(!shown.contains(secret), "{shown}");
        }
        assert_eq!(shown(&format!("/a/{IBAN}/b")), shown(&format!("/a/{IBAN}/b")));
        assert_ne!(shown(IBAN), shown(TOKEN));
    }

    #[test]
    fn nothing_that_is_shown_moves_a_cursor_or_turns_the_writing() {
        assert_eq!(shown("a\u{9b}2J\u{202e}b"), "a\u{fffd}2J\u{fffd}b");
        assert_eq!(shown(&format!("\u{feff}{IBAN}\u{2066}")).matches('\u{fffd}').count(), 2);
    }

    proptest! {
        #[test]
        fn no_account_number_stands_in_what_is_shown(before in ".{0,12}", behind in ".{0,12}") {
            for secret in [IBAN, TOKEN] {
                let shown = shown(&format!("{before}{secret}{behind}"));
                prop_assert!(!shown.contains(secret), "{}", shown);
            }
        }
    }
}
