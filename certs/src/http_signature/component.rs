//! The request, as it was received.

use super::SignatureFault;

/// A request: what both forms build their signing strings from.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct HttpRequest<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// The request target in origin form: path and query, as sent.
    pub target: &'a str,
    /// The Host header or `:authority`, as sent.
    pub authority: &'a str,
    /// All header fields in the order received: names in lower case, values as sent.
    pub fields: Vec<(&'a str, &'a [u8])>,
    /// The body, octet for octet.
    pub body: &'a [u8],
}

impl HttpRequest<'_> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| *known == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| *name)
    }

    /// The value of a field: several lines are joined with a comma (RFC 9421 §2.1, draft §2.3).
    pub(super) fn value(&self, name: &str) -> Result<String, SignatureFault> {
        let missing = || SignatureFault::NotThere(name.to_owned());
        let mut lines = Vec::new();
        for (_, value) in self.fields.iter().filter(|(known, _)| *known == name) {
            let text = std::str::from_utf8(value).map_err(|_| missing())?;
            lines.push(text.trim_matches([' ', '\t']));
        }
        if lines.is_empty() { Err(missing()) } else { Ok(lines.join(", ")) }
    }

    /// The value of a field that stands once.
    pub(super) fn only(&self, name: &'static str) -> Result<String, SignatureFault> {
        if self.fields.iter().filter(|(known, _)| *known == name).count() > 1 {
            return Err(SignatureFault::Several);
        }
        self.value(name)
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// With its question mark, which stands even where there is no query (RFC 9421 §2.2.7).
    pub(super) fn query(&self) -> String {
        format!("?{}", self.target.split_once('?').map_or("", |(_, query)| query))
    }
}
