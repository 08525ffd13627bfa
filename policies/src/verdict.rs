//! What a judgement yields: a [`Permit`](crate::Permit), or a [`Refusal`] with one reason.

use std::borrow::Cow;
use std::fmt;

use certs::http_signature::Diagnosis;

use crate::quota::Exceeded;
use crate::reason::Reason;

/// A request that may not pass, and why. Made only on the refusing path, where strings are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The one reason.
    pub reason: Reason,
    /// What is particular to this request; empty where the reason says it all.
    pub detail: Detail,
    retry_after_seconds: Option<u32>,
    allow: Option<Cow<'static, str>>,
    successor: Option<String>,
    diagnosis: Option<Box<Diagnosis>>,
    exceeded: Option<Box<Exceeded>>,
    oauth_error: Option<&'static str>,
}

/// One sentence about this very request. Never a token, key, IBAN or name of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail(Cow<'static, str>);

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Refusal {
    /// Refused for `reason`.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        Self::because(reason, "")
    }

    /// Refused for `reason`, with a sentence about this request.
    #[must_use]
    pub fn because(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            detail: Detail(detail.into()),
            retry_after_seconds: reason.retry_after_seconds(),
            allow: None,
            successor: None,
            diagnosis: None,
            exceeded: None,
            oauth_error: None,
        }
    }

    /// With the seconds after which the quota has room again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds.max(1));
        self
    }

    /// With the methods that the path accepts.
    #[must_use]
    pub fn allowing(mut self, methods: impl Into<Cow<'static, str>>) -> Self {
        self.allow = Some(methods.into());
        self
    }

    /// With the path or URL that replaces what was asked for.
    #[must_use]
    pub fn succeeded_by(mut self, successor: String) -> Self {
        self.successor = Some(successor);
        self
    }

    /// With what is wrong with the request's signature, for its sender alone.
    #[must_use]
    pub fn diagnosed(mut self, diagnosis: Diagnosis) -> Self {
        self.diagnosis = Some(Box::new(diagnosis));
        self
    }

    /// What is wrong with the request's signature. For the answer only, never for a record.
    #[must_use]
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        self.diagnosis.as_deref()
    }

    /// With the limit that refused.
    #[must_use]
    pub fn exceeding(mut self, exceeded: Exceeded) -> Self {
        self.exceeded = Some(Box::new(exceeded));
        self
    }

    /// The limit that refused, where one did.
    #[must_use]
    pub fn exceeded(&self) -> Option<&Exceeded> {
        self.exceeded.as_deref()
    }

    /// With an `error` that says more than the reason's own, where a standard has a word for it.
    #[must_use]
    pub fn in_oauth(mut self, error: &'static str) -> Self {
        self.oauth_error = Some(error);
        self
    }

    /// The `error` of RFC 6749 §5.2, or of RFC 7591 §3.2.2.
    #[must_use]
    pub fn oauth_error(&self) -> &'static str {
        self.oauth_error.unwrap_or(self.reason.oauth_error())
    }

    /// `Retry-After`.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.retry_after_seconds
    }

    /// `Allow`.
    #[must_use]
    pub fn allow_method(&self) -> Option<&str> {
        self.allow.as_deref()
    }

    /// `Link: rel="successor-version"`.
    #[must_use]
    pub fn successor(&self) -> Option<&str> {
        self.successor.as_deref()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.0.is_empty() {
            write!(f, "{}: {}", self.reason, self.reason.sentence())
        } else {
            write!(f, "{}: {}", self.reason, self.detail)
        }
    }
}
