//! The host of a redirect URI: in one spelling, and one that customers can reach (RFC 1123 §2.1,
//! RFC 3986 §3.2.2, RFC 6761, RFC 6890).

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::super::Setting;
use super::fault::RedirectUriFault;
use crate::limits::HOST_BYTES_MAX;

const LABEL_BYTES_MAX: usize = 63;

/// Names that the internet's DNS does not have (RFC 6761, 6762, 7686, 8375, and `.internal`, which
/// ICANN set aside in 2024). A customer's own network may, and whoever runs it would get the code.
const PRIVATE_DOMAINS: [&str; 7] =
    ["localhost", "local", "internal", "test", "invalid", "onion", "home.arpa"];

/// Faults that parsers would hide by mending them.
pub(super) fn spelled(authority: &str) -> Result<(), RedirectUriFault> {
    let (host, port) = split(authority);
    if host.is_empty() {
        return Err(RedirectUriFault::HostMissing);
    }
    if host.contains('%') {
        return Err(RedirectUriFault::HostEncoded);
    }
    if host.ends_with('.') {
        return Err(RedirectUriFault::HostDot);
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(RedirectUriFault::HostCase);
    }
    match port {
        None => Ok(()),
        Some("") => Err(RedirectUriFault::PortDefault),
        Some(port) => match port.parse::<u16>() {
            Ok(number) if number > 0 && number.to_string() == port => Ok(()),
            _ => Err(RedirectUriFault::Port),
        },
    }
}

/// Whether the host is a place where `setting` sends customers.
pub(super) fn place(url: &Url, authority: &str, setting: Setting) -> Result<(), RedirectUriFault> {
    let (written, port) = split(authority);
    if port.is_some() && url.port().is_none() {
        return Err(RedirectUriFault::PortDefault);
    }
    let (own, public) = match url.host().ok_or(RedirectUriFault::HostMissing)? {
        Host::Domain(domain) => {
            named(domain)?;
            let own = domain == "localhost" || domain.ends_with(".localhost");
            (own, is_public_name(domain))
        }
        Host::Ipv4(address) => {
            in_usual_form(written, &address.to_string())?;
            (address == Ipv4Addr::LOCALHOST, is_global_v4(address))
        }
        Host::Ipv6(address) => {
            in_usual_form(written, url.host_str().unwrap_or_default())?;
            (address == Ipv6Addr::LOCALHOST, is_global_v6(address))
        }
    };
    if url.scheme() != "https" && !own {
        return Err(RedirectUriFault::Scheme);
    }
    if setting == Setting::Production && !public {
        return Err(RedirectUriFault::NotPublic);
    }
    Ok(())
}

/// Host and port as they are written; an IPv6 address keeps its brackets.
fn split(authority: &str) -> (&str, Option<&str>) {
    let after_address = authority.rfind(']').map_or(0, |at| at + 1);
    match authority.get(after_address..).and_then(|rest| rest.find(':')) {
        Some(colon) => {
            let (host, port) = authority.split_at(after_address + colon);
            (host, port.get(1..))
        }
        None => (authority, None),
    }
}

fn in_usual_form(written: &str, usual: &str) -> Result<(), RedirectUriFault> {
    if written == usual {
        Ok(())
    } else {
        Err(RedirectUriFault::AddressForm { instead: usual.to_owned() })
    }
}

fn named(domain: &str) -> Result<(), RedirectUriFault> {
    let label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if domain.len() <= HOST_BYTES_MAX && domain.split('.').all(label) {
        Ok(())
    } else {
        Err(RedirectUriFault::HostName)
    }
}

fn is_public_name(domain: &str) -> bool {
    let within = |parent: &str| {
        domain.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    domain.contains('.') && !PRIVATE_DOMAINS.into_iter().any(within)
}

/// IANA's registry of special-purpose addresses (RFC 6890): what is in it is not for customers.
fn is_global_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..=127).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..=19).contains(&b))
        // Multicast, the reserved block and the broadcast address.
        || a >= 224;
    !special
}

/// Global unicast (2000::/3) without what is set aside in it. Every form that has an IPv4 address in
/// it (mapped, NAT64, 6to4, Teredo) is outside or set aside.
fn is_global_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let special = match a {
        0x2001 => b < 0x200 || b == 0xdb8,
        0x2002 => true,
        0x3fff => b < 0x1000,
        _ => false,
    };
    a & 0xe000 == 0x2000 && !special
}
