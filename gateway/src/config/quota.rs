//! `[quota.<name>]`: the limits that APIs name.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use policies::Quota;
use policies::limits::{QUOTAS_PER_API_MAX, WINDOW_REQUESTS_MAX};
use policies::quota::{Attendance, Measure, Per};

use super::key::Key;
use super::limits::{LEASE_MAX, QUOTA_NAME_CHARACTERS_MAX};
use super::problem::quoted;
use super::reading::Reading;
use super::routes;
use super::wire;

/// The limits by name. One that could not be read is there without a value, so that an API which
/// names it is not blamed as well.
pub(super) type Quotas = BTreeMap<String, Option<Arc<Quota>>>;

pub(super) fn read(
    wire: &BTreeMap<String, wire::Quota>,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Quotas {
    let quota = |(name, wire): (&String, &wire::Quota)| {
        let key = key.child(name);
        let quota = quota(name, wire, &key, reading).filter(|_| is_name(name, &key, reading));
        (name.clone(), quota.map(Arc::new))
    };
    wire.iter().map(quota).collect()
}

/// The limits that an API names.
pub(super) fn named(
    names: &[String],
    quotas: &Quotas,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Vec<Arc<Quota>>> {
    let mut found: Vec<Arc<Quota>> = Vec::new();
    let mut sound = true;
    for name in names {
        match quotas.get(name) {
            Some(Some(quota)) if found.contains(quota) => {
                let what = format!("names {} twice", quoted(name));
                reading.refuse(key, what, "name each limit once");
                sound = false;
            }
            Some(Some(quota)) => found.push(Arc::clone(quota)),
            Some(None) => sound = false,
            None => {
                let what = format!("is {}: there is no such rule", quoted(name));
                let known = quotas.keys().cloned().collect::<Vec<_>>().join(", ");
                let mend = match known.as_str() {
                    "" => format!("add `[quota.{name}]` with `requests` and `period`"),
                    known => format!("name one of {known}, or add `[quota.{name}]`"),
                };
                reading.refuse(key, what, mend);
                sound = false;
            }
        }
    }
    if found.len() > QUOTAS_PER_API_MAX {
        let what = format!("names more than {QUOTAS_PER_API_MAX} limits");
        reading.refuse(key, what, "keep those that matter");
        return None;
    }
    if sound && !bounds_everybody(&found) {
        let what = "names no limit on requests in a period that counts every request: a TPP could ask \
                    without end";
        let mend = "name one with `requests` and `period`, without `roles`, that counts all, or one for \
                    attended and one for unattended requests";
        reading.refuse(key, what, mend);
        return None;
    }
    sound.then_some(found)
}

/// Requests at once bound nobody who asks quickly, one after the other; and a TPP chooses in which role it
/// asks, and whether it says that the customer is present.
fn bounds_everybody(quotas: &[Arc<Quota>]) -> bool {
    let counts = |attendance| {
        quotas.iter().any(|quota| {
            quota.period().is_some() && quota.roles.is_empty() && quota.counts == attendance
        })
    };
    counts(Attendance::All) || (counts(Attendance::Attended) && counts(Attendance::Unattended))
}

fn quota(name: &str, wire: &wire::Quota, key: &Key, reading: &mut Reading<'_>) -> Option<Quota> {
    let measure = match wire.concurrent {
        Some(places) => at_once(wire, places, key, reading),
        None => in_a_period(wire, key, reading),
    };
    let roles = routes::roles(&wire.roles, &key.child("roles"), reading);
    let per = wire.per.as_deref().map_or_else(|| usual(wire), dimensions);
    let quota = Quota {
        name: name.to_owned(),
        measure: measure?,
        per,
        counts: match wire.counts {
            wire::Counts::All => Attendance::All,
            wire::Counts::Attended => Attendance::Attended,
            wire::Counts::Unattended => Attendance::Unattended,
        },
        roles: roles?,
    };
    warn_of_a_busy_key(&quota, key, reading);
    Some(quota)
}

fn at_once(
    wire: &wire::Quota,
    places: u64,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Measure> {
    let others = [
        ("requests", wire.requests.is_some()),
        ("period", wire.period.is_some()),
        ("burst", wire.burst.is_some()),
        ("exact", wire.exact),
        ("lease", wire.lease.is_some()),
    ];
    if let Some((other, _)) = others.iter().find(|(_, set)| *set) {
        let what = "counts requests at once: it has no other measure";
        reading.refuse(&key.child(other), what, "remove it, or `concurrent`");
        return None;
    }
    count(Some(places)).map(Measure::Concurrent)
}

fn in_a_period(wire: &wire::Quota, key: &Key, reading: &mut Reading<'_>) -> Option<Measure> {
    for (missing, there) in
        [("requests", wire.requests.is_some()), ("period", wire.period.is_some())]
    {
        let key = key.child(missing);
        if !there && !reading.has_refused(&key) {
            let mend = "write `requests = 600` and `period = \"1m\"`, or `concurrent = 50` alone";
            reading.refuse(&key, "is missing", mend);
        }
    }
    let period = wire.period.as_ref().and_then(|text| reading.duration(&key.child("period"), text));
    let lease = match &wire.lease {
        Some(text) => Some(reading.duration(&key.child("lease"), text)?),
        None => None,
    };
    let (requests, period) = (count(wire.requests)?, period?);
    if wire.exact {
        return exact(wire, (requests, period), key, reading);
    }
    let burst = wire.burst.map_or(Some(requests), |burst| count(Some(burst)))?;
    if let Some(lease) = lease {
        is_sound(lease, (requests, period, burst), &key.child("lease"), reading).then_some(())?;
    }
    Some(Measure::Rate { requests, period, burst, lease })
}

fn exact(
    wire: &wire::Quota,
    (requests, period): (NonZeroU32, Duration),
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Measure> {
    for (other, set) in [("burst", wire.burst.is_some()), ("lease", wire.lease.is_some())] {
        if set {
            let what = "has no meaning where every request is remembered";
            reading.refuse(&key.child(other), what, "remove it, or `exact`");
            return None;
        }
    }
    if requests.get() > WINDOW_REQUESTS_MAX {
        let what = format!(
            "is {requests}: of an exact limit at most {WINDOW_REQUESTS_MAX} are remembered"
        );
        reading.refuse(&key.child("requests"), what, "write fewer, or remove `exact`");
        return None;
    }
    Some(Measure::Window { requests, period })
}

/// What is taken in advance is taken off what may come at once: at least half of that must be left,
/// and there must be something to take.
fn is_sound(
    lease: Duration,
    (requests, period, burst): (NonZeroU32, Duration, NonZeroU32),
    key: &Key,
    reading: &mut Reading<'_>,
) -> bool {
    let cell = period / requests.get();
    let longest = (cell.saturating_mul(burst.get()) / 4).min(LEASE_MAX);
    let shortest = cell.saturating_mul(2);
    if (shortest..=longest).contains(&lease) {
        return true;
    }
    if shortest > longest {
        let what = "is for limits of which many requests may come at once";
        reading.refuse(key, what, "remove it, or raise `burst`");
    } else {
        let what = format!("is {lease:?}: not within what this limit allows");
        reading.refuse(key, what, format!("write between {shortest:?} and {longest:?}"));
    }
    false
}

/// Requests a second of all TPPs together above which one key of Redis is asked too often.
const BUSY_KEY_REQUESTS_PER_SECOND: u128 = 100;

fn warn_of_a_busy_key(quota: &Quota, key: &Key, reading: &mut Reading<'_>) {
    let Measure::Rate { requests, period, lease: None, .. } = quota.measure else { return };
    let per_second = u128::from(requests.get()) * 1_000 / period.as_millis().max(1);
    if !quota.per.tpp && per_second > BUSY_KEY_REQUESTS_PER_SECOND {
        let what =
            "all TPPs share it, and each of their requests asks one key of Redis: add `lease`";
        reading.warn(key, what);
    }
}

fn usual(wire: &wire::Quota) -> Per {
    if wire.concurrent.is_some() {
        Per { codetab: true, ..Per::default() }
    } else {
        Per { tpp: true, api: true, ..Per::default() }
    }
}

fn dimensions(names: &[wire::Dimension]) -> Per {
    let mut per = Per::default();
    for name in names {
        match name {
            wire::Dimension::Tpp => per.tpp = true,
            wire::Dimension::Api => per.api = true,
            wire::Dimension::Role => per.role = true,
            wire::Dimension::Codetab => per.codetab = true,
            wire::Dimension::Account => per.account = true,
        }
    }
    per
}

/// The name stands in response headers (RFC 9651 strings) and in records.
fn is_name(name: &str, key: &Key, reading: &mut Reading<'_>) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let named = (1..=QUOTA_NAME_CHARACTERS_MAX).contains(&name.len()) && name.bytes().all(plain);
    if !named {
        let what = format!("is named {}: TPPs are told this name", quoted(name));
        let mend = format!("use up to {QUOTA_NAME_CHARACTERS_MAX} letters, digits, `-` and `_`");
        reading.refuse(key, what, mend);
    }
    named
}

fn count(number: Option<u64>) -> Option<NonZeroU32> {
    number.and_then(|number| u32::try_from(number).ok()).and_then(NonZeroU32::new)
}
