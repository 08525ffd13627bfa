//! An HTTP/2 client that says what no library would say for it.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use openssl::ssl::{SslConnector, SslFiletype, SslMethod};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

/// A TPP that offers HTTP/2 alone.
pub struct Http2 {
    connector: SslConnector,
}

impl Http2 {
    pub fn new(server_ca: &Path, identity: &Path) -> Self {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
        builder.set_ca_file(server_ca).unwrap();
        builder.set_certificate_chain_file(identity.join("qwac.pem")).unwrap();
        builder.set_private_key_file(identity.join("qwac.key"), SslFiletype::PEM).unwrap();
        builder.set_alpn_protos(b"\x02h2").unwrap();
        Self { connector: builder.build() }
    }

    /// Sends requests; its other half must be polled for anything to happen, and comes back when the
    /// connection is over.
    pub async fn connect(
        &self,
        address: SocketAddr,
        host: &str,
    ) -> Result<(SendRequest<Bytes>, Connection<SslStream<TcpStream>>), String> {
        let connect = async {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            let ssl = self.connector.configure()?.verify_hostname(false).into_ssl(host)?;
            let mut stream = SslStream::new(ssl, socket)?;
            Pin::new(&mut stream).connect().await.map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = connect.await.map_err(|error| format!("connect: {error}"))?;
        h2::client::handshake(stream).await.map_err(|error| format!("handshake: {error}"))
    }
}
