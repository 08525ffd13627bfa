//! Host names to codetabs, without case and without allocating.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Domain, Seat};
use crate::limits::HOST_BYTES_MAX;

/// What a host name is, today.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums)]
pub(crate) enum HostMatch<'a> {
    /// Served: the codetab's.
    Open(&'a Arc<Seat>),
    /// Closed since that day; `successor` is the same codetab's open host, if there is one.
    Retired {
        /// The first day without it.
        since: Date,
        /// Where to go instead.
        successor: Option<&'a str>,
    },
    /// None of ours.
    Unknown,
}

#[derive(Debug)]
struct Entry {
    seat: Arc<Seat>,
    closed: Option<Date>,
    successor: Option<Box<str>>,
}

/// Every host of every codetab.
#[derive(Debug)]
pub(super) struct Hosts(HashMap<Box<[u8]>, Entry>);

impl Hosts {
    /// Fails with the first host that two domains or codetabs share.
    pub(super) fn build(domains: &[Domain], seats: &[Arc<Seat>]) -> Result<Self, String> {
        let mut hosts = HashMap::new();
        for seat in seats {
            let code = &seat.codetab.code;
            let open = domains.iter().find(|domain| domain.closed.is_none());
            for domain in domains {
                let host = domain.host(code);
                let successor = match domain.closed {
                    Some(_) => open.map(|open| open.host(code).into_boxed_str()),
                    None => None,
                };
                let entry = Entry { seat: seat.clone(), closed: domain.closed, successor };
                if hosts.insert(host.clone().into_bytes().into_boxed_slice(), entry).is_some() {
                    return Err(host);
                }
            }
        }
        Ok(Self(hosts))
    }

    pub(super) fn find(&self, host: &str, now: Timestamp) -> HostMatch<'_> {
        let Some(entry) = self.entry(host) else { return HostMatch::Unknown };
        match entry.closed {
            Some(since) if now.to_zoned(TimeZone::UTC).date() >= since => {
                HostMatch::Retired { since, successor: entry.successor.as_deref() }
            }
            _ => HostMatch::Open(&entry.seat),
        }
    }

    pub(super) fn codetab(&self, host: &str) -> Option<usize> {
        self.entry(host).map(|entry| entry.seat.index)
    }

    fn entry(&self, host: &str) -> Option<&Entry> {
        let mut lower = [0_u8; HOST_BYTES_MAX];
        let lower = lower.get_mut(..host.len())?;
        lower.copy_from_slice(host.as_bytes());
        lower.make_ascii_lowercase();
        self.0.get(&*lower)
    }
}

/// The host without its port. A name is not otherwise touched: no trailing dot, no user, no space.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            name
        }
        _ => host,
    }
}
