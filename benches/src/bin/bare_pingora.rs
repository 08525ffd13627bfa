//! The floor: a stock Pingora that asks for a client certificate and passes everything on.
//!
//! `bare-pingora LISTEN SERVER_CERTIFICATE SERVER_KEY CLIENT_CA UPSTREAM [CONFIGURATION [--upgrade]]`
//!
//! The configuration is Pingora's own; with `--upgrade` it takes the listening sockets of the one that runs.

use std::error::Error;

use async_trait::async_trait;
use openssl::ssl::SslVerifyMode;
use openssl::x509::verify::X509VerifyFlags;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::Opt;
use pingora::upstreams::peer::HttpPeer;

struct Bare {
    upstream: String,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    // Octroi leaves Pingora's compression module out as well.
    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(&*self.upstream, false, String::new())))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("five arguments at least are needed: see the source");
    let (listen, certificate, key, client_ca) = (next()?, next()?, next()?, next()?);
    let upstream = next()?;
    let conf = arguments.next();
    let upgrade = arguments.next().is_some_and(|argument| argument == "--upgrade");
    let mut server = Server::new(Some(Opt { upgrade, conf, ..Opt::default() }))?;
    server.bootstrap();
    let mut proxy = http_proxy_service(&server.configuration, Bare { upstream });
    let mut tls = TlsSettings::intermediate(&certificate, &key)?;
    tls.enable_h2();
    tls.set_ca_file(&client_ca)?;
    tls.verify_param_mut().set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    tls.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    proxy.add_tls_with_settings(&listen, None, tls);
    server.add_service(proxy);
    server.run_forever()
}
