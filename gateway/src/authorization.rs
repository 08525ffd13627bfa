//! The authorization server (RFC 6749): consents, codes, tokens and their end.
//!
//! TPPs reach it through the line, as they reach every API: who calls is known before a parameter is
//! read, and the QWAC is the client's only authentication (RFC 8705 §2.1). Browsers reach it through
//! the pages. What is remembered, and what always holds of it, is [`policies::ledger`]'s.

mod answer;
mod attempts;
mod client_store;
mod conclusion;
mod consent;
mod form;
mod interaction;
mod listing;
mod metadata;
mod metrics;
mod pushed;
mod registration;
mod request;
mod revocation;
mod secret;
mod tokens;

use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use certs::http_signature::{HttpRequest, SignaturePolicy};
use certs::{Anchors, Leaf, Trusted};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::Timestamp;
use policies::limits::{CLIENT_ID_BYTES_MAX, REGISTRATION_BYTES_MAX};
use policies::{Approached, Reason, Refusal, Trail};
use tokio::sync::watch;

use crate::audit::{Audit, Event};
use crate::config::{AuthorizationSettings, TppPaths};
use crate::store::{Store, StoreError};

pub use answer::Answer;
pub use attempts::Lock;
pub use client_store::EnrolFault;
pub use conclusion::{FinishFault, Finished};
pub use consent::{Acceptance, Begun, DecideFault};
pub use interaction::{Interaction, Progress, Shown};
pub use listing::{ListedApplication, ListedCertificate, ListedTpp, listed};
pub use metadata::PATH as METADATA_PATH;
pub use metrics::AuthorizationMetrics;
pub use registration::named;
pub use request::{AuthorizationRequest, RequestFault};

/// The client id under which a TPP that has none yet asks for the token of the enrolment.
pub const REGISTERING_CLIENT: &str = "PSD2_TPPRegister";
/// The scope of that token.
pub const REGISTRATION_SCOPE: &str = "manageRegistration";
/// Consents begun in a second at one gateway.
const BEGINS_PER_SECOND_MAX: NonZeroU32 = NonZeroU32::new(200).unwrap();
/// Bytes of a form.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// What a TPP may ask of the authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Tokens.
    Token,
    /// A pushed authorization request.
    Pushed,
    /// The end of a token.
    Revocation,
    /// What a token is.
    Introspection,
    /// What this server is.
    Metadata,
    /// The enrolment of an application.
    Registration,
    /// The enrolled application of this client id.
    Application(Box<str>),
}

impl Endpoint {
    /// The metric label.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Pushed => "par",
            Self::Revocation => "revoke",
            Self::Introspection => "introspect",
            Self::Metadata => "metadata",
            Self::Registration => "register",
            Self::Application(_) => "register_client",
        }
    }

    /// The endpoint at `target`, if there is one.
    #[must_use]
    pub fn at(target: &str, paths: &TppPaths) -> Option<Self> {
        match target {
            metadata::PATH => Some(Self::Metadata),
            path if path == paths.token => Some(Self::Token),
            path if path == paths.par => Some(Self::Pushed),
            path if path == paths.revoke => Some(Self::Revocation),
            path if path == paths.introspect => Some(Self::Introspection),
            path if path == paths.register => Some(Self::Registration),
            path => {
                let client_id = path.strip_prefix(&paths.register)?.strip_prefix('/')?;
                is_segment(client_id).then(|| Self::Application(client_id.into()))
            }
        }
    }

    /// As `Allow` lists them.
    #[must_use]
    pub const fn methods(&self) -> &'static str {
        match self {
            Self::Metadata => "GET",
            Self::Application(_) => "GET, PUT, DELETE",
            _ => "POST",
        }
    }

    /// Bytes of a request's body.
    #[must_use]
    pub const fn body_bytes_max(&self) -> usize {
        match self {
            Self::Registration | Self::Application(_) => REGISTRATION_BYTES_MAX,
            _ => FORM_BYTES_MAX,
        }
    }
}

/// A request of a TPP that is known.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Who calls, and where.
    pub approached: Approached<'a>,
    /// SHA-256 of its certificate.
    pub certificate: &'a [u8; 32],
    /// The one `Content-Type`.
    pub content_type: Option<&'a [u8]>,
    /// The one `Authorization`.
    pub authorization: Option<&'a [u8]>,
    /// The body.
    pub body: &'a Bytes,
    /// All of it, as its signature is verified over.
    pub request: &'a HttpRequest<'a>,
    /// When.
    pub now: Timestamp,
}

/// By what QSEALCs are judged that an enrolment brings.
#[allow(clippy::exhaustive_structs)]
pub struct Sealers {
    /// Who is believed to issue them.
    pub anchors: watch::Receiver<Arc<Anchors>>,
    /// What the bank asks of signatures.
    pub policy: SignaturePolicy,
    /// Whether the sender of a signature that does not hold may be told our signing string.
    pub explains: bool,
}

/// Is shown certificates whose revocation should be asked about.
type Met = Box<dyn Fn(&Leaf, &Trusted) + Send + Sync>;

/// The authorization server of one process; its state is in the store.
pub struct AuthorizationServer {
    settings: AuthorizationSettings,
    sealers: Sealers,
    met: OnceLock<Met>,
    changed: watch::Sender<()>,
    store: Arc<dyn Store>,
    audit: Arc<Audit>,
    metrics: AuthorizationMetrics,
    /// Anybody may send browsers here, and each leaves a record: more than a bank's customers ever do
    /// at once is a flood.
    begins: DefaultDirectRateLimiter,
}

impl AuthorizationServer {
    /// Over `store`, telling `audit` of consents and enrolments.
    #[must_use]
    pub fn new(
        settings: AuthorizationSettings,
        sealers: Sealers,
        store: Arc<dyn Store>,
        audit: Arc<Audit>,
        metrics: AuthorizationMetrics,
    ) -> Self {
        let (met, changed) = (OnceLock::new(), watch::Sender::new(()));
        let begins = RateLimiter::direct(Quota::per_second(BEGINS_PER_SECOND_MAX));
        Self { settings, sealers, met, changed, store, audit, metrics, begins }
    }

    /// Shows `met` each certificate of an enrolment before its revocation is judged. Only the first
    /// one counts.
    pub fn on_certificate(&self, met: impl Fn(&Leaf, &Trusted) + Send + Sync + 'static) {
        let _ = self.met.set(Box::new(met));
    }

    /// Changes whenever this process enrols, changes or removes an application.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// How it is configured.
    #[must_use]
    pub fn settings(&self) -> &AuthorizationSettings {
        &self.settings
    }

    /// What lies at `target` on the TPP listener, if it is of this server.
    #[must_use]
    pub fn endpoint(&self, target: &str) -> Option<Endpoint> {
        Endpoint::at(target, &self.settings.paths)
    }

    /// Answers a TPP.
    ///
    /// # Errors
    /// Why it gets nothing; `trail` holds the checks that were made.
    pub async fn answer(
        &self,
        endpoint: &Endpoint,
        call: Call<'_>,
        trail: &mut Trail,
    ) -> Result<Answer, Refusal> {
        let answered = match endpoint {
            Endpoint::Token => self.token(call, trail).await,
            Endpoint::Pushed => self.push(call, trail).await,
            Endpoint::Revocation => self.revoke(call).await,
            Endpoint::Introspection => self.introspect(call).await,
            Endpoint::Metadata => Ok(self.metadata(&call.approached.codetab().code)),
            Endpoint::Registration => self.register(call, trail).await,
            Endpoint::Application(client_id) => self.application(client_id, call, trail).await,
        };
        self.metrics.answered(endpoint, answered.as_ref().err().map(|refusal| refusal.reason));
        answered
    }

    /// Tells the log of something that is no request.
    fn tell(&self, now: Timestamp, event: &'static str, subject: &str, detail: String) {
        let subject = Some(subject.to_owned());
        self.audit.event(Event { time: now, event, subject, detail, by: Vec::new() });
    }
}

/// Whether this is one segment of a path that stands for itself: a client id (RFC 6749 appendix A.1)
/// of which nothing is encoded and after which nothing follows.
fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"/%?#".contains(&byte);
    (1..=CLIENT_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// What a store that fails means for a TPP. The store has said more in the log.
fn unavailable(error: &StoreError) -> Refusal {
    tracing::error!(%error, "the authorization server cannot do its work");
    Refusal::because(Reason::StateUnavailable, "what is remembered cannot be read or changed now")
}
