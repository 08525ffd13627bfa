//! `[[codetab]]`: the banks and the way to their core-banking adapters.

use std::time::Duration;

use http::uri::Authority;
use policies::Codetab;

use super::key::Key;
use super::key_pair::{self, KeyPair};
use super::limits::PEM_BYTES_MAX;
use super::problem::quoted;
use super::reading::Reading;
use super::safety::is_loopback;
use super::wire;

/// A bank and its adapter.
#[derive(Clone, Debug)]
pub struct CodetabSettings {
    /// The bank.
    pub codetab: Codetab,
    /// Its core-banking adapter.
    pub upstream: Upstream,
    /// Where its customers are served.
    pub customer_interface: Option<Upstream>,
}

/// A core-banking adapter.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Where it is.
    pub address: UpstreamAddress,
    /// TLS to it; `None`: plain.
    pub tls: Option<UpstreamTls>,
    /// How long a connection may take to be there, TLS included.
    pub connect_timeout: Duration,
    /// How long the whole answer may take.
    pub response_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How often an instance is looked at.
    pub health_interval: Duration,
}

/// Where an adapter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAddress {
    /// Its instances, each `host:port`.
    Sockets(Vec<String>),
    /// The sandbox bank of this process.
    SandboxBank,
}

/// TLS, or mutual TLS, to an adapter.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// The name that its certificate must carry; never empty.
    pub name: String,
    /// The CA of its certificate, PEM.
    pub ca_pem: Vec<u8>,
    /// The gateway's client certificate and its key, PEM.
    pub client: Option<KeyPair>,
}

pub(super) fn read(
    wire: &[wire::Codetab],
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Vec<CodetabSettings>> {
    let banks = wire.iter().enumerate();
    let banks = banks.map(|(index, wire)| codetab(wire, &key.item(index), reading));
    // Every bank is read before the first failure counts.
    banks.collect::<Vec<_>>().into_iter().collect()
}

fn codetab(wire: &wire::Codetab, key: &Key, reading: &mut Reading<'_>) -> Option<CodetabSettings> {
    let code = wire.code.clone().filter(|code| {
        let five_digits = code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_digit());
        if !five_digits {
            let what = format!("is {}: not a bank code", quoted(code));
            reading.refuse(&key.child("code"), what, "write exactly 5 digits, in quotes");
        }
        five_digits
    });
    let name = wire.name.clone();
    let place = key.child("upstream");
    let adapter = wire.upstream.as_ref().and_then(|wire| {
        let upstream = upstream(wire, &place, reading)?;
        if let Some(socket) = in_clear(&upstream) {
            let what = format!("the way to {} is not encrypted: add `tls`", quoted(socket));
            reading.warn(&place, what);
        }
        Some(upstream)
    });
    let place = key.child("customer_interface");
    let customer_interface = match &wire.customer_interface {
        Some(wire) => Some(customer_interface(wire, &place, reading)?),
        None => None,
    };
    let codetab = Codetab { code: code?, name: name? };
    Some(CodetabSettings { codetab, upstream: adapter?, customer_interface })
}

/// Customers' passwords pass here.
fn customer_interface(
    wire: &wire::Upstream,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Upstream> {
    let upstream = upstream(wire, key, reading)?;
    if let Some(socket) = in_clear(&upstream) {
        let what = format!("the way to {} is not encrypted", quoted(socket));
        reading.refuse(key, what, "add `tls`: the credentials of customers pass here");
        return None;
    }
    Some(upstream)
}

/// An address on another machine that is spoken to without TLS.
fn in_clear(upstream: &Upstream) -> Option<&str> {
    match (&upstream.tls, &upstream.address) {
        (None, UpstreamAddress::Sockets(sockets)) => {
            sockets.iter().find(|socket| !is_near(socket)).map(String::as_str)
        }
        _ => None,
    }
}

fn upstream(wire: &wire::Upstream, key: &Key, reading: &mut Reading<'_>) -> Option<Upstream> {
    let mut duration = |name, text| reading.duration(&key.child(name), text);
    let connect_timeout = duration("connect_timeout", &wire.connect_timeout);
    let response_timeout = duration("response_timeout", &wire.response_timeout);
    let idle_timeout = duration("idle_timeout", &wire.idle_timeout);
    let health_interval = duration("health_interval", &wire.health_interval);
    let address = address(wire, key, reading);
    let tls = match &wire.tls {
        Some(wire) => Some(tls(wire, &key.child("tls"), reading)?),
        None => None,
    };
    Some(Upstream {
        address: address?,
        tls,
        connect_timeout: connect_timeout?,
        response_timeout: response_timeout?,
        idle_timeout: idle_timeout?,
        health_interval: health_interval?,
    })
}

fn address(wire: &wire::Upstream, key: &Key, reading: &mut Reading<'_>) -> Option<UpstreamAddress> {
    match (&wire.addresses, wire.sandbox_bank) {
        (None, true) => Some(UpstreamAddress::SandboxBank),
        (Some(addresses), false) if !addresses.is_empty() => {
            let key = key.child("addresses");
            let sockets = addresses.iter().enumerate();
            let sockets = sockets.map(|(index, text)| socket(text, &key.item(index), reading));
            let sockets = sockets.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
            Some(UpstreamAddress::Sockets(sockets))
        }
        _ => {
            reading.refuse(
                key,
                "needs exactly one of `addresses` (not empty) and `sandbox_bank = true`",
                "write the adapter's instances, for example `addresses = [\"10.1.2.3:8080\"]`",
            );
            None
        }
    }
}

/// `host:port`, as written.
pub(super) fn socket(text: &str, key: &Key, reading: &mut Reading<'_>) -> Option<String> {
    let authority = text.parse::<Authority>().ok().filter(|authority| {
        let port = authority.port_u16().is_some_and(|port| port > 0);
        port && !authority.host().is_empty() && !text.contains('@')
    });
    if authority.is_none() {
        let what = format!("is {}: not a host and port", quoted(text));
        reading.refuse(key, what, "write both, for example \"10.1.2.3:8080\"");
    }
    authority.map(|_| text.to_owned())
}

fn tls(wire: &wire::UpstreamTls, key: &Key, reading: &mut Reading<'_>) -> Option<UpstreamTls> {
    let name = wire.name.clone().filter(|name| {
        let is_host = name.parse::<Authority>().is_ok_and(|host| host.as_str() == host.host());
        if !is_host {
            reading.refuse(
                &key.child("name"),
                format!("is {}: nothing that a certificate could be held against", quoted(name)),
                "write the DNS name in the adapter's certificate",
            );
        }
        is_host
    });
    let place = key.child("ca");
    let ca_pem = wire.ca.as_deref().and_then(|path| reading.file(&place, path, PEM_BYTES_MAX));
    let ca_pem = ca_pem.filter(|pem| key_pair::is_certificates(pem, &place, reading));
    let pair = (wire.client_certificate.as_deref(), wire.client_key_file.as_deref());
    let client = key_pair::read_optional(pair, key, reading);
    Some(UpstreamTls { name: name?, ca_pem: ca_pem?, client: client? })
}

/// Is this `host:port` on this machine?
pub(super) fn is_near(socket: &str) -> bool {
    socket.parse::<Authority>().is_ok_and(|authority| is_loopback(authority.host()))
}
