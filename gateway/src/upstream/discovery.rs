//! Names of adapters to addresses, off the request path; a failed look-up keeps what is known.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use pingora::lb::Backend;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::{Error, ErrorType, Result};

/// The `host:port` list of one adapter.
pub(super) struct Addresses(Vec<String>);

impl Addresses {
    pub(super) fn new(addresses: Vec<String>) -> Self {
        Self(addresses)
    }
}

#[async_trait]
impl ServiceDiscovery for Addresses {
    async fn discover(&self) -> Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let mut found = BTreeSet::new();
        for address in &self.0 {
            let resolved = tokio::net::lookup_host(address).await.map_err(|error| {
                Error::because(
                    ErrorType::ConnectError,
                    format!("{address} does not resolve"),
                    error,
                )
            })?;
            for socket in resolved {
                found.insert(Backend::new(&socket.to_string())?);
            }
        }
        Ok((found, HashMap::new()))
    }
}
