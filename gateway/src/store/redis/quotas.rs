//! Limits in Redis: one script for all of a TPP's limits that a request is counted by, and none for
//! those of which enough was taken in advance.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use jiff::Timestamp;
use policies::QuotaFact;
use policies::limits::QUOTAS_PER_API_MAX;
use policies::quota::{AllLeft, Charge, Left, Measure};
use prometheus::core::Collector;
use redis::{ErrorKind, Value};

use super::leases::{Given, Known, Leases};
use super::link::{Fault, Link};
use super::presence::{MILLION, Mode, Presence, Silent};
use super::quota_metrics::QuotaMetrics;
use super::scripts::{self, Bucket, Count, Settle, Take};
use crate::store::Instance;
use crate::store::flight::Flights;
use crate::store::limits::LEASE_ATTEMPTS_MAX;
use crate::store::quota::Limit;

/// All that counts limits in one gateway.
#[derive(Debug)]
pub(super) struct Quotas {
    link: Arc<Link>,
    presence: Presence,
    leases: Leases,
    flights: Flights<Asked>,
    metrics: QuotaMetrics,
}

/// What was found out about each charge so far.
type Found = ArrayVec<Option<Left>, QUOTAS_PER_API_MAX>;

/// Why a request is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Exhausted { charge: usize, retry_after: Duration },
    Unavailable,
}

impl From<Stop> for QuotaFact {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Exhausted { charge, retry_after } => Self::Exhausted { charge, retry_after },
            Stop::Unavailable => Self::Unavailable,
        }
    }
}

/// How one question to Redis ended.
#[derive(Debug, Clone, Copy)]
enum Asked {
    /// What it gave, or denied, is known here now.
    Learnt,
    Away,
    Refused,
}

impl Quotas {
    pub(super) fn new(
        link: Arc<Link>,
        gateway: (Duration, Option<Instance>),
        metrics: QuotaMetrics,
    ) -> Self {
        Quotas {
            presence: Presence::new(Arc::clone(&link), gateway, metrics.clone()),
            metrics,
            link,
            leases: Leases::new(),
            flights: Flights::new(),
        }
    }

    /// Begins to be one of the gateways that share the limits.
    pub(super) fn start(&self) {
        self.presence.start();
    }

    /// Answers by what is known here, if that is enough.
    pub(super) fn charge_now(&self, charges: &[Charge<'_>]) -> Option<QuotaFact> {
        let now = Instant::now();
        let found = match self.known(charges, now) {
            Ok(found) => found,
            Err(stop) => return Some(stop.into()),
        };
        if let Some(all) = found.iter().copied().collect::<Option<AllLeft>>() {
            return Some(QuotaFact::Granted(all));
        }
        self.put_back(charges, &found, now);
        None
    }

    /// Answers, and asks Redis for what is not known here.
    pub(super) async fn charge(&self, charges: &[Charge<'_>], now: Timestamp) -> QuotaFact {
        self.presence.start();
        let begun = Instant::now();
        let mut mode = self.presence.mode(begun);
        if mode == Mode::Unknown {
            self.presence.known().await;
            mode = self.presence.mode(Instant::now());
        }
        let Mode::Among(silent) = mode else { return self.alone(charges, now) };
        let mut found = match self.known(charges, begun) {
            Ok(found) => found,
            Err(stop) => return stop.into(),
        };
        // Several questions, to several slots or one after the other, are together no longer than one.
        let asking = self.ask_for_missing(charges, &mut found, silent);
        let asked = tokio::time::timeout(self.link.timeout(), asking).await;
        let asked = asked.unwrap_or(Err(Stop::Unavailable));
        match asked {
            Ok(()) => match found.iter().copied().collect::<Option<AllLeft>>() {
                Some(all) => QuotaFact::Granted(all),
                None => QuotaFact::Unavailable,
            },
            Err(stop) => {
                self.put_back(charges, &found, begun);
                // While the question was on its way this gateway may have become one on its own.
                if stop == Stop::Unavailable { self.alone(charges, now) } else { stop.into() }
            }
        }
    }

    /// Gives back what was taken in advance, and says good-bye.
    pub(super) async fn leave(&self) {
        for rest in self.leases.drain(Instant::now()) {
            let settle = Settle::give_back(&rest);
            if scripts::run(&self.link, &settle, self.link.deadline()).await.is_err() {
                break;
            }
        }
        self.presence.leave().await;
    }

    pub(super) fn sweep(&self) {
        self.leases.sweep(Instant::now());
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 3] {
        self.metrics.collectors()
    }

    /// The gateways that share the limits, if this one ever heard of them.
    pub(super) fn gateways(&self) -> Option<NonZeroU32> {
        self.presence.gateways(Instant::now())
    }

    /// Buckets of this gateway's own share.
    pub(super) fn buckets(&self) -> usize {
        self.presence.buckets()
    }

    fn alone(&self, charges: &[Charge<'_>], now: Timestamp) -> QuotaFact {
        self.presence
            .alone(Instant::now(), |share, all, since| share.charge(charges, all, since, now))
    }

    /// What is known here of each charge; nothing of those that Redis must be asked about.
    fn known(&self, charges: &[Charge<'_>], now: Instant) -> Result<Found, Stop> {
        let mut found = Found::new();
        for (charge, place) in charges.iter().zip(0..) {
            let known = self.take_here(charge, now);
            match known {
                Known::Taken(left) => found.push(Some(left)),
                Known::Ask(_) => found.push(None),
                Known::Wait(retry_after) => {
                    self.put_back(charges, &found, now);
                    return Err(Stop::Exhausted { charge: place, retry_after });
                }
            }
        }
        Ok(found)
    }

    fn take_here(&self, charge: &Charge<'_>, now: Instant) -> Known {
        match charge.quota.measure {
            Measure::Rate { lease, .. } => match Limit::of(charge.quota) {
                Some(limit) => self.leases.take(&charge.bucket, limit, lease, now),
                None => Known::Ask(1),
            },
            Measure::Window { .. } | Measure::Concurrent(_) => Known::Ask(1),
        }
    }

    fn put_back(&self, charges: &[Charge<'_>], found: &Found, taken: Instant) {
        for (charge, found) in charges.iter().zip(found) {
            if found.is_some() && lease(charge).is_some() {
                self.leases.put_back(&charge.bucket, taken);
            }
        }
    }

    /// First what can be taken in advance, then the rest, slot by slot.
    async fn ask_for_missing(
        &self,
        charges: &[Charge<'_>],
        found: &mut Found,
        silent: Silent,
    ) -> Result<(), Stop> {
        for (place, charge) in charges.iter().enumerate() {
            if let (Some(found @ None), Some(lease)) = (found.get_mut(place), lease(charge)) {
                *found = Some(self.leased(charge, lease, place, silent).await?);
            }
        }
        while let Some(first) = found.iter().position(Option::is_none) {
            let slot = charges.get(first).map(|charge| charge.partition);
            let same = |(place, charge): (usize, &Charge<'_>)| {
                let asked = found.get(place).is_some_and(Option::is_none);
                (asked && Some(charge.partition) == slot).then_some(place)
            };
            let places: ArrayVec<usize, QUOTAS_PER_API_MAX> =
                charges.iter().enumerate().filter_map(same).collect();
            let wanted: ArrayVec<(&Charge<'_>, u32), QUOTAS_PER_API_MAX> =
                places.iter().filter_map(|place| Some((charges.get(*place)?, 1))).collect();
            match self.take(&wanted, silent).await {
                Ok(Taken::Given { each, .. }) if each.len() == places.len() => {
                    for (place, (_, left)) in places.iter().zip(each) {
                        if let Some(found) = found.get_mut(*place) {
                            *found = Some(left);
                        }
                    }
                }
                Ok(Taken::Wait { place, wait, asked }) => {
                    let Some((charge, place)) =
                        places.get(place).and_then(|place| Some((charges.get(*place)?, *place)))
                    else {
                        return Err(Stop::Unavailable);
                    };
                    if let Some(limit) = Limit::of(charge.quota) {
                        self.leases.deny(&charge.bucket, limit, None, (wait, asked));
                    }
                    return Err(Stop::Exhausted { charge: place, retry_after: wait });
                }
                Ok(Taken::Given { .. }) | Err(_) => return Err(Stop::Unavailable),
            }
        }
        Ok(())
    }

    /// One request out of what is taken in advance for everybody who waits for it.
    async fn leased(
        &self,
        charge: &Charge<'_>,
        lease: Duration,
        place: usize,
        silent: Silent,
    ) -> Result<Left, Stop> {
        for _ in 0..LEASE_ATTEMPTS_MAX {
            let wanted = match self.take_here(charge, Instant::now()) {
                Known::Taken(left) => return Ok(left),
                Known::Wait(retry_after) => {
                    return Err(Stop::Exhausted { charge: place, retry_after });
                }
                Known::Ask(wanted) => wanted,
            };
            let ask = self.take_lease(charge, lease, wanted, silent);
            match self.flights.join(charge.bucket.digest(), ask).await {
                Asked::Learnt => (),
                Asked::Away | Asked::Refused => return Err(Stop::Unavailable),
            }
        }
        // Others were faster each time: there is more to do than the limit allows.
        Err(Stop::Exhausted { charge: place, retry_after: lease / 4 })
    }

    async fn take_lease(
        &self,
        charge: &Charge<'_>,
        lease: Duration,
        wanted: u32,
        silent: Silent,
    ) -> Asked {
        let Some(limit) = Limit::of(charge.quota) else { return Asked::Refused };
        match self.take(&[(charge, wanted)], silent).await {
            Ok(Taken::Given { each, asked, shown }) => {
                let Some((cells, left)) = each.first().copied() else { return Asked::Refused };
                let given = Given { cells, wanted, left, taken_at: shown, asked };
                self.leases.keep((&charge.bucket, key(charge)), limit, lease, given);
                Asked::Learnt
            }
            Ok(Taken::Wait { wait, asked, .. }) => {
                self.leases.deny(&charge.bucket, limit, Some(lease), (wait, asked));
                Asked::Learnt
            }
            Err(Fault::Refused(_)) => Asked::Refused,
            Err(Fault::CircuitOpen | Fault::TimedOut | Fault::Away(_)) => Asked::Away,
        }
    }

    /// One script: all of `wanted` lie in one slot.
    async fn take(&self, wanted: &[(&Charge<'_>, u32)], silent: Silent) -> Result<Taken, Fault> {
        let buckets = wanted.iter().map(|(charge, wanted)| bucket(charge, *wanted, silent));
        // Nothing is left beside what silent gateways may grant.
        let Some(buckets) = buckets.collect() else { return Err(Fault::CircuitOpen) };
        let take = Take { buckets };
        let asked = Instant::now();
        self.metrics.asked();
        let reply = scripts::run(&self.link, &take, self.link.deadline()).await;
        let reply = reply.inspect_err(|fault| {
            if let Fault::Refused(_) = fault {
                tracing::error!(%fault, "a limit cannot be counted in Redis: refused");
            }
        })?;
        Taken::read(&reply, asked).ok_or_else(|| {
            tracing::error!("the quota script gave an answer of another shape: refused");
            let what = "the quota script gave an answer of another shape";
            Fault::Refused((ErrorKind::UnexpectedReturnType, what).into())
        })
    }
}

/// What a script took.
enum Taken {
    Given { each: Vec<(u32, Left)>, asked: Instant, shown: u64 },
    Wait { place: usize, wait: Duration, asked: Instant },
}

impl Taken {
    fn read(reply: &Value, asked: Instant) -> Option<Self> {
        let Value::Array(parts) = reply else { return None };
        let number = |part: &Value| match part {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        match parts.as_slice() {
            [Value::Int(0), _, place, wait] => {
                let place = usize::try_from(number(place)?).ok()?;
                Some(Taken::Wait { place, wait: Duration::from_micros(number(wait)?), asked })
            }
            [Value::Int(1), shown, rest @ ..] => {
                let mut each = Vec::with_capacity(rest.len() / 3);
                for taken in rest.chunks(3) {
                    let [given, left, ahead] = taken else { return None };
                    let requests = u32::try_from(number(left)?).ok()?;
                    let full_in = Duration::from_micros(number(ahead)?);
                    let given = u32::try_from(number(given)?).ok()?;
                    each.push((given, Left { requests, full_in }));
                }
                Some(Taken::Given { each, asked, shown: number(shown)? })
            }
            _ => None,
        }
    }
}

fn lease(charge: &Charge<'_>) -> Option<Duration> {
    match charge.quota.measure {
        Measure::Rate { lease, .. } => lease,
        Measure::Window { .. } | Measure::Concurrent(_) => None,
    }
}

/// What the script is told of a charge. A gateway that is silent may grant its share of a rate: it is
/// taken off here.
fn bucket(charge: &Charge<'_>, wanted: u32, silent: Silent) -> Option<Bucket> {
    let count = match charge.quota.measure {
        Measure::Rate { lease, .. } => {
            let limit = Limit::of(charge.quota)?;
            let shared = NonZeroU32::new(silent.least).and_then(|least| limit.share(least));
            let cell = match (shared, MILLION.checked_sub(silent.millionths)) {
                (None, _) => limit.cell,
                (Some(_), None | Some(0)) => return None,
                (Some(_), Some(left)) => {
                    limit.cell.saturating_mul(MILLION) / left + Duration::from_micros(1)
                }
            };
            let leased = lease.unwrap_or_default().saturating_mul(2);
            Count::Rate { cell, full: limit.refill().saturating_sub(leased), wanted }
        }
        Measure::Window { requests, period } => Count::Window { requests, period },
        Measure::Concurrent(_) => return None,
    };
    Some(Bucket { key: key(charge), count })
}

/// The braces make one slot of a TPP's buckets in a cluster. The limit's name is there for people; the
/// digest tells buckets apart.
pub(super) fn key(charge: &Charge<'_>) -> String {
    let Charge { quota, bucket, partition } = charge;
    format!(
        "octroi:quota:{{{}}}:{}:{}",
        partition.as_str(),
        quota.name,
        hex::encode(bucket.digest())
    )
}
