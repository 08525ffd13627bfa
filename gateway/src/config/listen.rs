//! `[listen.*]`: the three addresses of the gateway.

use std::net::SocketAddr;

use http::Uri;

use super::insecure::Insecure;
use super::key::Key;
use super::key_pair::{self, KeyPair};
use super::limits::{ADMIN_KEY_CHARS_MIN, SECRET_BYTES_MAX};
use super::problem::quoted;
use super::reading::Reading;
use super::safety;
use super::secret::Secret;
use super::wire;

/// The three listeners.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where TPPs call, with their QWAC.
    pub tpp: TppListener,
    /// Where browsers of PSUs come, without any client certificate.
    pub psu: PsuListener,
    /// Metrics, health and administration.
    pub admin: AdminListener,
}

/// The TPP listener. That a client certificate is required is not a setting of it.
#[derive(Clone, Debug)]
pub struct TppListener {
    /// Where it listens.
    pub address: SocketAddr,
    /// The server certificate with its key.
    pub certificate: KeyPair,
    /// What a TPP with a bad certificate learns.
    pub refusal: RefusalMode,
}

/// How a certificate that is refused is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalMode {
    /// With a problem body that says why.
    Explain,
    /// With a problem body where the certificate chains to an anchor, else in the handshake.
    ExplainTrusted,
    /// In the handshake.
    Handshake,
}

impl RefusalMode {
    /// Whether anybody is told what is wrong.
    #[must_use]
    pub fn explains(self) -> bool {
        self != Self::Handshake
    }

    /// As the file writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Explain => "explain",
            Self::ExplainTrusted => "explain-trusted",
            Self::Handshake => "handshake",
        }
    }
}

impl From<wire::Refusal> for RefusalMode {
    fn from(wire: wire::Refusal) -> Self {
        match wire {
            wire::Refusal::Explain => Self::Explain,
            wire::Refusal::ExplainTrusted => Self::ExplainTrusted,
            wire::Refusal::Handshake => Self::Handshake,
        }
    }
}

/// The PSU listener.
#[derive(Clone, Debug)]
pub struct PsuListener {
    /// Where it listens.
    pub address: SocketAddr,
    /// The server certificate with its key.
    pub certificate: KeyPair,
    /// The `https` URL under which browsers reach it, without a slash at the end.
    pub public_url: String,
}

/// The admin listener.
#[derive(Clone, Debug)]
pub struct AdminListener {
    /// Where it listens.
    pub address: SocketAddr,
    /// The bearer key of the routes that change state; `None`: they do not exist.
    pub key: Option<Secret>,
}

impl Listen {
    pub(super) fn read(
        wire: &wire::Listen,
        insecure: Insecure,
        key: &Key,
        reading: &mut Reading<'_>,
    ) -> Option<Self> {
        let tpp = wire.tpp.as_ref().and_then(|wire| tpp(wire, &key.child("tpp"), reading));
        let psu = wire.psu.as_ref().and_then(|wire| psu(wire, &key.child("psu"), reading));
        let place = key.child("admin");
        let admin = wire.admin.as_ref().and_then(|wire| admin(wire, insecure, &place, reading));
        Some(Self { tpp: tpp?, psu: psu?, admin: admin? })
    }
}

fn tpp(wire: &wire::Tpp, key: &Key, reading: &mut Reading<'_>) -> Option<TppListener> {
    let address = address(wire.address.as_deref(), &key.child("address"), reading);
    let pair = key_pair::read(
        (&key.child("certificate"), wire.certificate.as_deref()),
        (&key.child("key_file"), wire.key_file.as_deref()),
        reading,
    );
    let required = safety::client_certificate_is_required(
        wire.client_certificate.as_deref(),
        &key.child("client_certificate"),
        reading,
    );
    let (address, pair) = (address?, pair?);
    required.then(|| TppListener { address, certificate: pair, refusal: wire.refusal.into() })
}

fn psu(wire: &wire::Psu, key: &Key, reading: &mut Reading<'_>) -> Option<PsuListener> {
    let address = address(wire.address.as_deref(), &key.child("address"), reading);
    let pair = key_pair::read(
        (&key.child("certificate"), wire.certificate.as_deref()),
        (&key.child("key_file"), wire.key_file.as_deref()),
        reading,
    );
    let place = key.child("public_url");
    let public_url = wire.public_url.as_deref().and_then(|text| https_url(text, &place, reading));
    Some(PsuListener { address: address?, certificate: pair?, public_url: public_url? })
}

pub(super) fn admin(
    wire: &wire::Admin,
    insecure: Insecure,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<AdminListener> {
    let place = key.child("address");
    let address = address(wire.address.as_deref(), &place, reading);
    let private =
        address.is_none_or(|address| safety::admin_is_private(address, insecure, &place, reading));
    let key = match &wire.key_file {
        Some(path) => Some(admin_key(path, &key.child("key_file"), reading)?),
        None => None,
    };
    let address = address?;
    private.then_some(AdminListener { address, key })
}

fn admin_key(path: &str, key: &Key, reading: &mut Reading<'_>) -> Option<Secret> {
    let secret = reading.secret_file(key, path, SECRET_BYTES_MAX)?;
    let text = secret.expose().trim_ascii();
    if text.len() < ADMIN_KEY_CHARS_MIN || !text.iter().all(u8::is_ascii_graphic) {
        reading.refuse(
            key,
            "holds no key that can be sent as a bearer token and not be guessed",
            format!(
                "write at least {ADMIN_KEY_CHARS_MIN} random printable characters, for example \
                 with `openssl rand -hex 32`"
            ),
        );
        return None;
    }
    Some(Secret::new(text))
}

fn address(text: Option<&str>, key: &Key, reading: &mut Reading<'_>) -> Option<SocketAddr> {
    let text = text?;
    let address = text.parse().ok();
    if address.is_none() {
        reading.refuse(
            key,
            format!("is {}: not an IP address and port", quoted(text)),
            "write both, for example \"0.0.0.0:8443\" or \"[::]:8443\"",
        );
    }
    address
}

/// An `https` URL with a host, without query and without the slash at its end.
pub(super) fn https_url(text: &str, key: &Key, reading: &mut Reading<'_>) -> Option<String> {
    let uri = text.parse::<Uri>().ok().filter(|uri| {
        uri.scheme_str() == Some("https") && uri.host().is_some() && uri.query().is_none()
    });
    if uri.is_none() || text.contains(['@', '#']) {
        reading.refuse(
            key,
            format!("is {}: not an https URL", quoted(text)),
            "write scheme, host and, if need be, port, for example \"https://psd2.example.fr\"",
        );
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}
