//! How a server of the store is spoken to: the settings of the URL, with TLS and users, for an
//! address that the configuration, a sentinel or a cluster tells.

use openssl::pkey::PKey;
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisError, TlsCertificates,
};

use crate::config::{RedisServers, RedisTopology, Secret};
use crate::store::StoreError;

/// `host:port` of a server, or the path of its socket.
pub(super) type Address = String;

/// Makes a client for any server of one store.
pub(super) struct Dialler {
    info: ConnectionInfo,
    certificates: Option<TlsCertificates>,
    sentinel: RedisConnectionInfo,
}

impl Dialler {
    pub(super) fn new(servers: &RedisServers) -> Result<Self, StoreError> {
        let unusable = |error: RedisError| StoreError::Address(error.to_string());
        let url = String::from_utf8_lossy(servers.url.expose()).into_owned();
        let info = url.into_connection_info().map_err(unusable)?;
        let mut sentinel = RedisConnectionInfo::default();
        if let RedisTopology::Sentinel { user, password, .. } = &servers.topology {
            if let Some(user) = user {
                sentinel = sentinel.set_username(user);
            }
            if let Some(password) = password.as_ref().and_then(|told| told.expose_text().ok()) {
                sentinel = sentinel.set_password(password);
            }
        }
        let client_tls = match &servers.client {
            Some(pair) => Some(ClientTlsConfig {
                client_cert: pair.certificate_pem.clone(),
                client_key: pkcs8(&pair.key_pem)?,
            }),
            None => None,
        };
        let root_cert = servers.ca_pem.clone();
        let any = client_tls.is_some() || root_cert.is_some();
        let certificates = any.then_some(TlsCertificates { client_tls, root_cert });
        let dialler = Dialler { info, certificates, sentinel };
        // What is wrong with the certificates is said at the start and not in the first request.
        dialler.client(dialler.info.clone()).map_err(unusable)?;
        Ok(dialler)
    }

    /// The host and port of the URL, or its socket.
    pub(super) fn address(&self) -> Address {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                address(host, *port)
            }
            other => other.to_string(),
        }
    }

    /// The host of the URL: with sentinels, the name of the service.
    pub(super) fn host(&self) -> &str {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
            _ => "",
        }
    }

    /// A client for the server at an address.
    pub(super) fn server(&self, address: &str) -> Result<Client, RedisError> {
        self.client(self.at(address))
    }

    /// A client for the sentinel at an address.
    pub(super) fn sentinel(&self, address: &str) -> Result<Client, RedisError> {
        self.client(self.at(address).set_redis_settings(self.sentinel.clone()))
    }

    fn at(&self, address: &str) -> ConnectionInfo {
        let addr = match (self.info.addr(), split(address)) {
            (ConnectionAddr::Tcp(..), Some((host, port))) => ConnectionAddr::Tcp(host, port),
            (ConnectionAddr::TcpTls { insecure, tls_params, .. }, Some((host, port))) => {
                let (insecure, tls_params) = (*insecure, tls_params.clone());
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            (other, _) => other.clone(),
        };
        self.info.clone().set_addr(addr)
    }

    fn client(&self, info: ConnectionInfo) -> Result<Client, RedisError> {
        match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }
}

/// The same server and the same credentials by the protocol that has pushes.
pub(super) fn in_resp3(client: &Client) -> Result<Client, RedisError> {
    let info = client.get_connection_info().clone();
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Client::open(info.set_redis_settings(settings))
}

pub(super) fn address(host: &str, port: u16) -> Address {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn split(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}

/// The TLS library of the client reads no other form of private key.
fn pkcs8(pem: &Secret) -> Result<Vec<u8>, StoreError> {
    let unusable = |error: openssl::error::ErrorStack| StoreError::Address(error.to_string());
    let key = PKey::private_key_from_pem(pem.expose()).map_err(unusable)?;
    key.private_key_to_pem_pkcs8().map_err(unusable)
}
