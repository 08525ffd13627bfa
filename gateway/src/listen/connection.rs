//! What is known of one TPP connection: who it is (read once, in the handshake) and what it is
//! doing now (read by its watchdog).

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certs::Identity;
use http::HeaderValue;
use pingora::proxy::Session;

use crate::audit::{Client, Hold};

/// What a connection is doing, as its watchdog must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Open, nothing asked.
    Idle = 0,
    /// A request head has begun and not ended (HTTP/1.1).
    Head = 1,
    /// At least one request is being judged or served.
    Active = 2,
}

/// One TPP connection after its handshake.
pub struct Connection {
    identity: Identity,
    client: Arc<Client>,
    sni: Option<Box<str>>,
    client_cert: Option<HeaderValue>,
    roles: Option<HeaderValue>,
    opened: Instant,
    phase: AtomicU8,
    phase_since_ms: AtomicU64,
    active: AtomicU32,
    heads: AtomicU32,
    requests: AtomicU32,
    hold: Arc<Hold>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.client.address)
            .field("sni", &self.sni)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection whose client proved possession of the key of `leaf_der`.
    #[must_use]
    pub fn new(
        identity: Identity,
        leaf_der: &[u8],
        sni: Option<&str>,
        peer: SocketAddr,
        tls_version: &'static str,
    ) -> Self {
        let client = Client {
            address: peer,
            tls_version,
            certificate_sha256: hex::encode(identity.fingerprint()),
            certificate_serial: identity.serial_hex().to_owned(),
            server_name: sni.map(Box::from),
            organisation_id: identity.profile().ok().map(|qwac| qwac.organisation_id.clone()),
        };
        let roles = identity.profile().ok().map(|qwac| qwac.roles.to_string());
        let roles = roles.and_then(|roles| HeaderValue::try_from(roles).ok());
        Self {
            identity,
            client: Arc::new(client),
            sni: sni.map(Box::from),
            client_cert: client_cert(leaf_der),
            roles,
            opened: Instant::now(),
            phase: AtomicU8::new(Phase::Idle as u8),
            phase_since_ms: AtomicU64::new(0),
            active: AtomicU32::new(0),
            heads: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            hold: Arc::default(),
        }
    }

    /// The connection behind a session, if it came in through the TPP listener.
    #[must_use]
    pub fn of(session: &Session) -> Option<&Arc<Connection>> {
        let digest = session.digest()?.ssl_digest.as_ref()?;
        digest.extension.get::<Handle>().map(|handle| &handle.0)
    }

    /// Who the client is, with every fault of its certificate.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The host name of the TLS handshake.
    #[must_use]
    pub fn sni(&self) -> Option<&str> {
        self.sni.as_deref()
    }

    /// The client's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.client.address
    }

    /// Who the client is, as the access log keeps it.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The roles of the certificate, as adapters read them.
    #[must_use]
    pub fn roles(&self) -> Option<&HeaderValue> {
        self.roles.as_ref()
    }

    /// The leaf as the value of RFC 9440 `Client-Cert`.
    #[must_use]
    pub fn client_cert(&self) -> Option<&HeaderValue> {
        self.client_cert.as_ref()
    }

    /// What keeps its answers from leaving before their records are written.
    #[must_use]
    pub fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }

    /// The phase and how long it has lasted, in milliseconds.
    #[must_use]
    pub fn phase(&self) -> (Phase, u64) {
        let since = self.phase_since_ms.load(Ordering::Acquire);
        let phase = match self.phase.load(Ordering::Acquire) {
            0 => Phase::Idle,
            1 => Phase::Head,
            _ => Phase::Active,
        };
        (phase, self.age_ms().saturating_sub(since))
    }

    /// The first byte of a request head has come.
    pub fn head_begins(&self) {
        self.enter(Phase::Head);
    }

    /// A whole head passed the framing gate and goes on to Pingora.
    pub fn head_passed(&self) {
        self.heads.fetch_add(1, Ordering::Relaxed);
        self.enter(Phase::Active);
    }

    /// A request has reached our hooks.
    pub fn request_begins(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.active.fetch_add(1, Ordering::Relaxed);
        self.enter(Phase::Active);
    }

    /// A request is over, answered or not; the next bytes of HTTP/1.1 are a new head.
    pub fn request_ends(&self) {
        if self.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.enter(Phase::Idle);
        }
    }

    /// Whether a head passed the gate that reached none of our hooks: Pingora refuses it, or has. Each is
    /// told of once.
    #[must_use]
    pub fn take_head_without_request(&self) -> bool {
        let is_without = self.heads.load(Ordering::Relaxed) > self.requests.load(Ordering::Relaxed);
        if is_without {
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
        is_without
    }

    fn enter(&self, phase: Phase) {
        self.phase_since_ms.store(self.age_ms(), Ordering::Release);
        self.phase.store(phase as u8, Ordering::Release);
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// How a [`Connection`] travels in Pingora's TLS digest, which finds its content by this very type.
pub(super) struct Handle(pub Arc<Connection>);

/// RFC 9440 §2.1: the DER as a structured-field byte sequence.
fn client_cert(leaf_der: &[u8]) -> Option<HeaderValue> {
    let mut value = String::with_capacity(leaf_der.len().div_ceil(3) * 4 + 2);
    value.push(':');
    STANDARD.encode_string(leaf_der, &mut value);
    value.push(':');
    HeaderValue::from_maybe_shared(bytes::Bytes::from(value)).ok()
}
