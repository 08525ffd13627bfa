//! Getting what others publish, without being sent anywhere: allow-listed origins, no redirects, no
//! private addresses, everything bounded in octets and time.

mod begun;

use std::error::Error as _;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use reqwest::{Client, Response, StatusCode, Url};

use self::begun::Begun;
use crate::config::Origin;

/// Why nothing came back. The names are metric labels.
#[derive(Debug, thiserror::Error)]
pub enum FetchFault {
    /// Not on the allow-list, or no URL at all.
    #[error("{0} is not on the allow-list")]
    NotAllowed(String),
    /// Its name leads into our own network.
    #[error("its name resolves to a private address")]
    PrivateAddress,
    /// It took too long.
    #[error("it did not answer in time")]
    TimedOut,
    /// It sent too much.
    #[error("it sent more than {0} octets")]
    TooLarge(usize),
    /// It answered with an error, or with a redirect, which is not followed.
    #[error("it answered {0}")]
    Status(u16),
    /// No connection, or one that broke.
    #[error("it cannot be reached, or the connection broke")]
    Unreachable,
    /// What it sent cannot be kept.
    #[error("it cannot be written to disk: {0}")]
    File(io::Error),
}

impl FetchFault {
    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NotAllowed(_) => "not_allowed",
            Self::PrivateAddress => "private_address",
            Self::TimedOut => "timeout",
            Self::TooLarge(_) => "too_large",
            Self::Status(_) => "http_error",
            Self::Unreachable => "unreachable",
            Self::File(_) => "file",
        }
    }
}

/// What was published, or that it has not changed.
#[derive(Debug)]
pub enum Fetched {
    /// A new body, with its entity tag.
    Body(Vec<u8>, Option<HeaderValue>),
    /// What the entity tag of the question named is still current.
    Unchanged,
}

/// What became of a download.
#[derive(Debug)]
pub enum Downloaded {
    /// The file is whole, with its entity tag.
    File(Option<HeaderValue>),
    /// What the entity tag of the question named is still current.
    Unchanged,
}

/// Bounds of one question.
#[derive(Clone, Copy, Debug)]
pub struct FetchBounds {
    /// From the question to the last octet of the answer.
    pub time: Duration,
    /// Octets of the answer.
    pub bytes_max: usize,
}

/// Asks allow-listed origins.
pub struct Fetcher {
    client: Client,
    allow: Vec<Origin>,
}

impl Fetcher {
    /// Asks only who is in `allow`.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(allow: Vec<Origin>) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("octroi/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .pool_max_idle_per_host(1)
            .dns_resolver(Arc::new(PublicOnly))
            .build()?;
        Ok(Self { client, allow })
    }

    /// Whether `url` may be asked at all.
    ///
    /// # Errors
    /// It is none, or its origin is not on the list.
    pub fn allowed(&self, url: &str) -> Result<Url, FetchFault> {
        let refused = || FetchFault::NotAllowed(shown(url));
        let url = Url::parse(url).map_err(|_| refused())?;
        let origin = Origin::of(&url).ok_or_else(refused)?;
        if self.allow.contains(&origin) { Ok(url) } else { Err(refused()) }
    }

    /// Gets `url`, unless it still has `tag`.
    ///
    /// # Errors
    /// It may not be asked, or does not answer within `bounds`.
    pub async fn get(
        &self,
        url: &str,
        tag: Option<&HeaderValue>,
        bounds: FetchBounds,
    ) -> Result<Fetched, FetchFault> {
        let mut request = self.client.get(self.allowed(url)?);
        if let Some(tag) = tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        timed(bounds, async {
            let response = request.send().await.map_err(|error| fault(&error))?;
            if response.status() == StatusCode::NOT_MODIFIED && tag.is_some() {
                return Ok(Fetched::Unchanged);
            }
            let tag = response.headers().get(ETAG).cloned();
            Ok(Fetched::Body(body(response, bounds.bytes_max).await?, tag))
        })
        .await
    }

    /// Gets `url` into the file `part`, unless it still has `tag`. What an earlier attempt left there is
    /// gone on with, where the server says that it is still the beginning of the same.
    ///
    /// # Errors
    /// It may not be asked, does not answer within `bounds`, or the file cannot be written.
    pub async fn download(
        &self,
        url: &str,
        tag: Option<&HeaderValue>,
        part: &Path,
        bounds: FetchBounds,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> Result<Downloaded, FetchFault> {
        let mut request = self.client.get(self.allowed(url)?);
        let begun = Begun::of(part);
        if let Some(begun) = &begun {
            request = request.header(RANGE, format!("bytes={}-", begun.octets));
            request = request.header(IF_RANGE, &begun.tag);
        } else if let Some(tag) = tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        timed(bounds, async {
            let mut response = request.send().await.map_err(|error| fault(&error))?;
            let mut octets = match (response.status(), &begun) {
                (StatusCode::NOT_MODIFIED, None) if tag.is_some() => {
                    return Ok(Downloaded::Unchanged);
                }
                (StatusCode::PARTIAL_CONTENT, Some(begun)) if begun.goes_on_with(&response) => {
                    begun.octets
                }
                (StatusCode::OK, _) => 0,
                (status, _) => {
                    // A range that is no more is asked for whole the next time.
                    let _ = std::fs::remove_file(part);
                    return Err(FetchFault::Status(status.as_u16()));
                }
            };
            let most = u64::try_from(bounds.bytes_max).unwrap_or(u64::MAX);
            let total = response.content_length().map(|length| length + octets);
            if total.is_some_and(|total| total > most) {
                return Err(FetchFault::TooLarge(bounds.bytes_max));
            }
            let tag = response.headers().get(ETAG).cloned();
            let mut file = Begun::open(part, octets, tag.as_ref())?;
            while let Some(chunk) = response.chunk().await.map_err(|error| fault(&error))? {
                octets += chunk.len() as u64;
                if octets > most {
                    drop(file);
                    let _ = std::fs::remove_file(part);
                    return Err(FetchFault::TooLarge(bounds.bytes_max));
                }
                file.write_all(&chunk).map_err(FetchFault::File)?;
                progress(octets, total);
            }
            file.sync_data().map_err(FetchFault::File)?;
            let _ = std::fs::remove_file(Begun::tag_file(part));
            Ok(Downloaded::File(tag))
        })
        .await
    }

    /// Posts `question` of `media_type` to `url`; `accept` is the type of the answer.
    ///
    /// # Errors
    /// As [`Fetcher::get`].
    pub async fn post(
        &self,
        url: &str,
        (media_type, accept): (&'static str, &'static str),
        question: Vec<u8>,
        bounds: FetchBounds,
    ) -> Result<Vec<u8>, FetchFault> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let request = self.client.post(self.allowed(url)?).headers(headers).body(question);
        timed(bounds, async {
            let response = request.send().await.map_err(|error| fault(&error))?;
            body(response, bounds.bytes_max).await
        })
        .await
    }
}

async fn timed<T>(
    bounds: FetchBounds,
    exchange: impl Future<Output = Result<T, FetchFault>>,
) -> Result<T, FetchFault> {
    tokio::time::timeout(bounds.time, exchange).await.unwrap_or(Err(FetchFault::TimedOut))
}

async fn body(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, FetchFault> {
    if response.status() != StatusCode::OK {
        return Err(FetchFault::Status(response.status().as_u16()));
    }
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > bytes_max) {
        return Err(FetchFault::TooLarge(bytes_max));
    }
    let mut body = Vec::with_capacity(announced.unwrap_or_default());
    while let Some(chunk) = response.chunk().await.map_err(|error| fault(&error))? {
        if body.len() + chunk.len() > bytes_max {
            return Err(FetchFault::TooLarge(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn fault(error: &reqwest::Error) -> FetchFault {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<Private>() {
            return FetchFault::PrivateAddress;
        }
        source = cause.source();
    }
    if error.is_timeout() { FetchFault::TimedOut } else { FetchFault::Unreachable }
}

/// A URL as an error may show it: without what follows the path.
fn shown(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    bare.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Resolves names to public addresses only, so that a name on the allow-list cannot be turned on
/// our own network (DNS rebinding). What is written as an address was meant as that address.
struct PublicOnly;

#[derive(Debug, thiserror::Error)]
#[error("the name resolves to a private address")]
struct Private;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(Private.into());
            }
            let addresses: Addrs = Box::new(public.into_iter());
            Ok(addresses)
        })
    }
}

/// Neither this machine, nor its network, nor one of the special blocks (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b)))
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            !(v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || (first == 0x2001 && second == 0x0db8)
                // Addresses within which an IPv4 address is carried (NAT64, 6to4).
                || (first == 0x0064 && second == 0xff9b)
                || first == 0x2002)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetcher(allow: &[&str]) -> Fetcher {
        Fetcher::new(allow.iter().map(|text| Origin::parse(text).unwrap()).collect()).unwrap()
    }

    #[test]
    fn only_allow_listed_origins_are_asked() {
        let fetcher = fetcher(&["http://crl.example", "http://127.0.0.1:8080"]);
        assert!(fetcher.allowed("http://crl.example/1.crl?x=y").is_ok());
        assert!(fetcher.allowed("http://127.0.0.1:8080/ocsp").is_ok());
        for url in [
            "https://crl.example/1.crl",
            "http://crl.example:81/1.crl",
            "http://crl.example@evil.example/1.crl",
            "http://crl.example.evil.example/1.crl",
            "http://user:password@crl.example/1.crl",
            "http://127.0.0.1/1.crl",
            "http://[::ffff:127.0.0.1]:8080/ocsp",
            "ldap://crl.example/cn=x",
            "file:///etc/passwd",
            "",
        ] {
            assert!(matches!(fetcher.allowed(url), Err(FetchFault::NotAllowed(_))), "{url}");
        }
    }

    #[test]
    fn our_own_network_is_not_public() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "193.0.0.1", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_asked() {
        let fetcher = fetcher(&["http://localhost:9"]);
        let bounds = FetchBounds { time: Duration::from_secs(5), bytes_max: 10 };
        let answer = fetcher.get("http://localhost:9/x", None, bounds).await;
        assert!(matches!(answer, Err(FetchFault::PrivateAddress)), "{answer:?}");
    }
}
