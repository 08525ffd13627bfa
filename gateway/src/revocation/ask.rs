//! One question to one source: a CRL or an OCSP responder that a certificate names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use certs::limits::{CRL_BYTES_MAX, OCSP_BYTES_MAX};
use certs::{CrlError, Leaf, OcspAnswer, OcspFault, RevocationList, ocsp_request};
use jiff::Timestamp;
use reqwest::header::HeaderValue;

use crate::clock;
use crate::fetch::{FetchBounds, FetchFault, Fetched, Fetcher};

/// A list may be large and its server far away.
const LIST: FetchBounds = FetchBounds { time: Duration::from_secs(30), bytes_max: CRL_BYTES_MAX };
/// An answer is small, and the one after it is soon.
const ANSWER: FetchBounds = FetchBounds { time: Duration::from_secs(2), bytes_max: OCSP_BYTES_MAX };

/// A certificate that is asked about, or that issued one.
type Subject = Arc<Leaf>;

/// What to ask, and whom.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// The list of `issuer`, at the URLs that `subject` names.
    List { subject: Subject, issuer: Subject },
    /// The status of `subject`, which `issuer` issued.
    Status { subject: Subject, issuer: Subject },
}

/// What one question is, whoever asks it: several certificates share their issuer's list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    List([u8; 32], Vec<String>),
    Status([u8; 32]),
}

impl Question {
    /// Everything that can be asked about `subject`.
    pub(super) fn about(subject: &Subject, issuer: &Subject) -> Vec<Self> {
        let (subject, issuer) = (Arc::clone(subject), Arc::clone(issuer));
        let mut questions = Vec::new();
        if !subject.ocsp_urls().is_empty() {
            let (subject, issuer) = (Arc::clone(&subject), Arc::clone(&issuer));
            questions.push(Self::Status { subject, issuer });
        }
        if !subject.crl_urls().is_empty() {
            questions.push(Self::List { subject, issuer });
        }
        questions
    }

    pub(super) fn key(&self) -> Key {
        match self {
            Self::List { subject, issuer } => {
                Key::List(*issuer.fingerprint(), subject.crl_urls().to_vec())
            }
            Self::Status { subject, .. } => Key::Status(*subject.fingerprint()),
        }
    }

    /// The metric label.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::List { .. } => "crl",
            Self::Status { .. } => "ocsp",
        }
    }

    pub(super) fn subject(&self) -> &Leaf {
        match self {
            Self::List { subject, .. } | Self::Status { subject, .. } => subject,
        }
    }

    pub(super) fn issuer(&self) -> &Leaf {
        match self {
            Self::List { issuer, .. } | Self::Status { issuer, .. } => issuer,
        }
    }

    /// Whether nobody but `leaf` needs the answer.
    pub(super) fn is_answered_about(&self, leaf: &Leaf) -> bool {
        matches!(self, Self::Status { subject, .. } if subject.fingerprint() == leaf.fingerprint())
    }
}

/// What a source said, with its octets.
pub(super) enum Answer {
    List(RevocationList, Vec<u8>),
    Status(OcspAnswer, Vec<u8>),
    /// The list that we have; it ends then.
    Unchanged(Timestamp),
}

impl Answer {
    pub(super) fn end(&self) -> Timestamp {
        match self {
            Self::List(list, _) => list.next_update(),
            Self::Status(answer, _) => answer.until,
            Self::Unchanged(end) => *end,
        }
    }
}

/// Why a source gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskFault {
    #[error("{0}")]
    Fetch(#[from] FetchFault),
    #[error("{0}")]
    List(#[from] CrlError),
    #[error("{0}")]
    Answer(#[from] OcspFault),
    #[error("the list ended on {0}")]
    Ended(Timestamp),
}

impl AskFault {
    /// The metric label.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Fetch(fault) => fault.label(),
            Self::Answer(OcspFault::Refused(_)) => "refused",
            Self::Answer(OcspFault::Stale { .. }) | Self::Ended(_) => "stale",
            Self::Answer(OcspFault::Future { .. }) => "future",
            Self::Answer(OcspFault::NotSigned(_)) | Self::List(CrlError::NotSigned { .. }) => {
                "not_signed"
            }
            Self::List(_) | Self::Answer(_) => "invalid",
        }
    }
}

pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) result: Result<Answer, AskFault>,
}

pub(super) struct Asker {
    fetcher: Fetcher,
    /// Entity tags of the lists that we have, with their ends.
    tags: Mutex<HashMap<Key, (HeaderValue, Timestamp)>>,
}

impl Asker {
    pub(super) fn new(fetcher: Fetcher) -> Self {
        Self { fetcher, tags: Mutex::new(HashMap::new()) }
    }

    pub(super) async fn ask(&self, question: Question) -> Asked {
        let result = match &question {
            Question::List { subject, issuer } => {
                self.list(&question.key(), subject.crl_urls(), issuer).await
            }
            Question::Status { subject, issuer } => self.status(subject, issuer).await,
        };
        Asked { question, result }
    }

    /// Of several URLs the first that answers counts (RFC 5280 §4.2.1.13).
    async fn list(&self, key: &Key, urls: &[String], issuer: &Subject) -> Result<Answer, AskFault> {
        let mut last = AskFault::Fetch(FetchFault::Unreachable);
        for url in urls {
            match self.list_at(key, url, issuer).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn list_at(&self, key: &Key, url: &str, issuer: &Subject) -> Result<Answer, AskFault> {
        let tags = || self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tags().get(key).cloned();
        let tag = known.as_ref().map(|(tag, _)| tag);
        let (bytes, tag) = match self.fetcher.get(url, tag, LIST).await? {
            Fetched::Body(bytes, tag) => (bytes, tag),
            Fetched::Unchanged => {
                let end = known.map(|(_, end)| end).unwrap_or_default();
                return Ok(Answer::Unchanged(end));
            }
        };
        let issuer = Arc::clone(issuer);
        let read = tokio::task::spawn_blocking(move || {
            let list = RevocationList::read("the list", &bytes, std::iter::once(&issuer));
            list.map(|list| (list, bytes))
        });
        let (list, bytes) = read.await.map_err(|_| FetchFault::Unreachable)??;
        if list.next_update() < clock::now() {
            return Err(AskFault::Ended(list.next_update()));
        }
        match tag {
            Some(tag) => tags().insert(key.clone(), (tag, list.next_update())),
            None => tags().remove(key),
        };
        Ok(Answer::List(list, bytes))
    }

    async fn status(&self, subject: &Subject, issuer: &Subject) -> Result<Answer, AskFault> {
        let question = ocsp_request(subject, issuer)?;
        let mut last = AskFault::Fetch(FetchFault::Unreachable);
        for url in subject.ocsp_urls() {
            match self.status_at(url, question.clone(), subject, issuer).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn status_at(
        &self,
        url: &str,
        question: Vec<u8>,
        subject: &Leaf,
        issuer: &Leaf,
    ) -> Result<Answer, AskFault> {
        let types = ("application/ocsp-request", "application/ocsp-response");
        let bytes = self.fetcher.post(url, types, question, ANSWER).await?;
        let answer = OcspAnswer::read(&bytes, subject, issuer, clock::now())?;
        Ok(Answer::Status(answer, bytes))
    }
}
