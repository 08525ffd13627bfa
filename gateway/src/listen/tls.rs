//! The TLS side of the listeners: what we offer, and how a client introduces itself.
//!
//! OpenSSL proves that the client holds the key of the certificate that it shows; whether that
//! certificate means anything is `certs`' judgement alone, so that there is one judge and so that a
//! client with the wrong certificate can be told why (`refusal = "explain"`).

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use certs::Identity;
use certs::limits::SENT_CERTIFICATES_MAX;
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    self, AlpnError, NameType, SslAcceptor, SslAcceptorBuilder, SslMethod, SslMode, SslOptions,
    SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use pingora::listeners::TlsAccept;
use pingora::protocols::tls::server::{handshake, handshake_with_callback};
use pingora::protocols::tls::{SslStream, TlsRef};
use policies::World;

use super::connection::{Connection, Handle};
use super::socket::Socket;
use crate::clock;
use crate::metrics::HandshakeFault;

/// TLS for TPPs: a client certificate is required, sessions never resume.
///
/// A resumed session would carry an identity past the check that made it (the CVE-2025-23419
/// class), so no ticket and no session is ever issued.
///
/// # Errors
/// OpenSSL's, when the certificate or the key does not load or they do not belong together.
pub fn tpp_acceptor(certificate_pem: &[u8], key_pem: &[u8]) -> Result<SslAcceptor, ErrorStack> {
    let mut builder = builder(certificate_pem, key_pem)?;
    builder
        .set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, |_, _| {
            true
        });
    Ok(builder.build())
}

/// TLS for browsers: no client certificate is ever asked for.
///
/// # Errors
/// As [`tpp_acceptor`].
pub fn psu_acceptor(certificate_pem: &[u8], key_pem: &[u8]) -> Result<SslAcceptor, ErrorStack> {
    let mut builder = builder(certificate_pem, key_pem)?;
    builder.set_verify(SslVerifyMode::NONE);
    Ok(builder.build())
}

fn builder(certificate_pem: &[u8], key_pem: &[u8]) -> Result<SslAcceptorBuilder, ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_options(SslOptions::NO_TICKET | SslOptions::NO_RENEGOTIATION);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_num_tickets(0)?;
    builder.set_mode(SslMode::RELEASE_BUFFERS);
    let mut chain = X509::stack_from_pem(certificate_pem)?.into_iter();
    if let Some(leaf) = chain.next() {
        builder.set_certificate(&leaf)?;
    }
    for issuer in chain {
        builder.add_extra_chain_cert(issuer)?;
    }
    builder.set_private_key(&*PKey::private_key_from_pem(key_pem)?)?;
    builder.check_private_key()?;
    builder.set_alpn_select_callback(|_, offered| {
        ssl::select_next_proto(b"\x02h2\x08http/1.1", offered).ok_or(AlpnError::ALERT_FATAL)
    });
    Ok(builder)
}

/// Is shown each client certificate: who it is, the leaf, and what was sent with it (DER).
pub type Seen = dyn Fn(&Identity, &[u8], &[Vec<u8>]) + Send + Sync;

/// Lets a TPP introduce itself, within `limit` for the whole handshake.
///
/// # Errors
/// Why there is no connection.
pub(super) async fn introduce(
    acceptor: &SslAcceptor,
    socket: Socket,
    peer: SocketAddr,
    (world, seen): (&World, &Seen),
    limit: Duration,
) -> Result<(SslStream<Socket>, Arc<Connection>), HandshakeFault> {
    let reception = Reception { world, seen, peer };
    let tls = tokio::time::timeout(limit, handshake_with_callback(acceptor, socket, &reception))
        .await
        .map_err(|_| HandshakeFault::Timeout)?
        .map_err(|error| fault(&error))?;
    let connection = tls
        .ssl_digest()
        .and_then(|digest| digest.extension.get::<Handle>().map(|handle| Arc::clone(&handle.0)))
        .ok_or(HandshakeFault::CertificateMissing)?;
    Ok((tls, connection))
}

/// Greets a browser, within `limit` for the whole handshake.
///
/// # Errors
/// Why there is no connection.
pub(super) async fn greet(
    acceptor: &SslAcceptor,
    socket: Socket,
    limit: Duration,
) -> Result<SslStream<Socket>, HandshakeFault> {
    tokio::time::timeout(limit, handshake(acceptor, socket))
        .await
        .map_err(|_| HandshakeFault::Timeout)?
        .map_err(|_| HandshakeFault::Failed)
}

/// Pingora keeps of OpenSSL's error only its text.
fn fault(error: &pingora::Error) -> HandshakeFault {
    if error.to_string().contains("peer did not return a certificate") {
        HandshakeFault::CertificateMissing
    } else {
        HandshakeFault::Failed
    }
}

/// Reads who the client is, once, at the end of the handshake.
struct Reception<'a> {
    world: &'a World,
    seen: &'a Seen,
    peer: SocketAddr,
}

#[async_trait]
impl TlsAccept for Reception<'_> {
    async fn handshake_complete_callback(
        &self,
        ssl: &TlsRef,
    ) -> Option<Arc<dyn Any + Send + Sync>> {
        let leaf = ssl.peer_certificate()?.to_der().ok()?;
        let sent: Vec<Vec<u8>> = ssl
            .peer_cert_chain()
            .map(|chain| {
                // One too many is enough for the judgement "too many".
                let read = chain.iter().take(SENT_CERTIFICATES_MAX + 1);
                read.filter_map(|certificate| certificate.to_der().ok()).collect()
            })
            .unwrap_or_default();
        let identity = Identity::establish(
            &leaf,
            &sent,
            &self.world.anchors,
            &self.world.profile,
            clock::now(),
        );
        (self.seen)(&identity, &leaf, &sent);
        let sni = ssl.servername(NameType::HOST_NAME);
        let connection = Connection::new(identity, &leaf, sni, self.peer, ssl.version_str());
        Some(Arc::new(Handle(Arc::new(connection))))
    }
}
