//! The parameters of a request: each at most once (RFC 6749 §3.1, §3.2), empty ones as if they were
//! not there.

use std::collections::BTreeMap;

use policies::{Reason, Refusal};
use url::form_urlencoded;

/// Parameters of a request. Far more than any has.
const PARAMETERS_MAX: usize = 32;
/// Characters of a parameter's name that an error repeats.
const NAME_CHARACTERS_SHOWN: usize = 40;

/// Parameters by name. They hold secrets, so there is no `Debug`.
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// It is no form, or a parameter stands twice.
    pub(super) fn body(content_type: Option<&[u8]>, body: &[u8]) -> Result<Self, Refusal> {
        const FORM: &[u8] = b"application/x-www-form-urlencoded";
        let media = content_type.and_then(|value| value.split(|byte| *byte == b';').next());
        if !media.is_some_and(|media| media.trim_ascii().eq_ignore_ascii_case(FORM)) {
            return Err(invalid("the body must be application/x-www-form-urlencoded"));
        }
        Self::read(body)
    }

    /// Reads a query, or a body that was found to be a form.
    ///
    /// # Errors
    /// A parameter stands twice, or is not UTF-8.
    pub(super) fn read(text: &[u8]) -> Result<Self, Refusal> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text) {
            let shown = || quoted(&name);
            if value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(invalid(format!("the parameter {} is not UTF-8", shown())));
            }
            if parameters.len() == PARAMETERS_MAX {
                return Err(invalid(format!("there are more than {PARAMETERS_MAX} parameters")));
            }
            if parameters.contains_key(&*name) {
                return Err(invalid(format!("the parameter {} stands twice", shown())));
            }
            parameters.insert(name.into_owned(), value.into_owned());
        }
        parameters.retain(|_, value| !value.is_empty());
        Ok(Self(parameters))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that must be there.
    pub(super) fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| invalid(format!("the parameter {name} is missing")))
    }

    /// A parameter that must not be there, and why.
    pub(super) fn absent(&self, name: &'static str, why: &'static str) -> Result<(), Refusal> {
        match self.get(name) {
            Some(_) => Err(invalid(why)),
            None => Ok(()),
        }
    }
}

/// `oauth_request_invalid`, with what to mend.
pub(super) fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::because(Reason::OauthRequestInvalid, detail)
}

/// A name as an error may show it: RFC 6749 §5.2 keeps `error_description` to printable ASCII.
fn quoted(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() && c != '"' && c != '\\' { c } else { '?' };
    let shown: String = name.chars().take(NAME_CHARACTERS_SHOWN).map(plain).collect();
    format!("'{shown}'")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_parameter_that_stands_twice_is_refused_even_with_one_value() {
        for text in ["a=1&a=1", "a=1&a=", "a=&a=1", "%61=1&a=2"] {
            assert!(Form::read(text.as_bytes()).is_err(), "{text}");
        }
        let form = Form::read(b"a=1&b=&c=%C3%A9").unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1"), None, Some("é")));
    }

    #[test]
    fn only_a_form_is_a_form() {
        for media in ["application/json", "", "text/plain; application/x-www-form-urlencoded"] {
            assert!(Form::body(Some(media.as_bytes()), b"a=1").is_err(), "{media}");
        }
        let form = b"Application/X-WWW-form-urlencoded ; charset=utf-8".as_slice();
        assert!(Form::body(Some(form), b"a=1").is_ok());
        assert!(Form::body(None, b"a=1").is_err());
    }

    proptest! {
        #[test]
        fn any_octets_are_a_form_or_refused(text in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = Form::read(&text);
        }
    }
}
