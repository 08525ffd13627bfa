//! No TLS session ever outlives its connection: none is issued, and one that a client offers anyway
//! leads to a full handshake, with the certificate and all its checks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::gateway::{Gateway, HOST};
use openssl::ssl::{
    Ssl, SslContext, SslFiletype, SslMethod, SslSession, SslSessionCacheMode, SslStream, SslVersion,
};

struct Tpp {
    context: SslContext,
    issued: Arc<AtomicUsize>,
}

fn tpp(gateway: &Gateway, version: SslVersion) -> Tpp {
    let issued = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&issued);
    let tpp = gateway.place().file("tpp/funds-co");
    let mut builder = SslContext::builder(SslMethod::tls_client()).unwrap();
    builder.set_min_proto_version(Some(version)).unwrap();
    builder.set_max_proto_version(Some(version)).unwrap();
    builder.set_certificate_chain_file(tpp.join("qwac.pem")).unwrap();
    builder.set_private_key_file(tpp.join("qwac.key"), SslFiletype::PEM).unwrap();
    builder.set_session_cache_mode(SslSessionCacheMode::CLIENT);
    builder.set_new_session_callback(move |_, session| {
        // TLS 1.2 reports each handshake; what can be resumed has an id.
        counter.fetch_add(usize::from(!session.id().is_empty()), Ordering::Relaxed);
    });
    Tpp { context: builder.build(), issued }
}

impl Tpp {
    /// One request on a new connection; the answer's status line, and the connection.
    fn ask(&self, gateway: &Gateway, offer: Option<&SslSession>) -> (String, SslStream<TcpStream>) {
        let mut ssl = Ssl::new(&self.context).unwrap();
        ssl.set_hostname(HOST).unwrap();
        if let Some(session) = offer {
            #[allow(unsafe_code)]
            // SAFETY: the session was made by a connection of this same context.
            unsafe {
                ssl.set_session(session).unwrap();
            }
        }
        let socket = TcpStream::connect(gateway.addresses.tpp).unwrap();
        let mut stream = SslStream::new(ssl, socket).unwrap();
        stream.connect().unwrap();
        let request = format!("POST /x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 64];
        let read = stream.read(&mut answer).unwrap();
        (String::from_utf8_lossy(&answer[..read]).into_owned(), stream)
    }
}

#[test]
fn no_session_is_issued_and_one_that_is_offered_is_not_resumed() {
    let gateway = Gateway::sandbox();
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let tpp = tpp(&gateway, version);
        let (answer, first) = tpp.ask(&gateway, None);
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}: judged, by path_unknown");
        let session = first.ssl().session().unwrap().to_owned();
        assert!(session.id().is_empty(), "{version:?}: a session id was issued");
        assert_eq!(session.max_early_data(), 0, "{version:?}: 0-RTT");
        assert!(!first.ssl().session_reused());

        let (answer, second) = tpp.ask(&gateway, Some(&session));
        assert!(answer.starts_with("HTTP/1.1 404"), "{version:?}: {answer}");
        assert!(!second.ssl().session_reused(), "{version:?}");
        assert_eq!(tpp.issued.load(Ordering::Relaxed), 0, "{version:?}: a ticket was issued");
    }
}
