//! Places of requests that are under way, where a limit counts those.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use dashmap::DashMap;
use policies::QuotaFact;
use policies::limits::QUOTAS_PER_API_MAX;
use policies::quota::{AllLeft, BucketId, Charge, Left};

/// When a request that found no place may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The requests under way in this gateway, by bucket. A bucket without any is not kept.
#[derive(Debug, Default)]
pub struct InFlight(DashMap<BucketId, u32>);

/// The places of one request. They are free again when it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Places {
    owner: Arc<InFlight>,
    taken: ArrayVec<BucketId, QUOTAS_PER_API_MAX>,
}

impl InFlight {
    /// Takes a place for each charge, or none where one limit has no more; tells the decision which.
    pub fn enter(self: &Arc<Self>, charges: &[Charge<'_>]) -> (QuotaFact, Places) {
        let mut places = Places { owner: Arc::clone(self), taken: ArrayVec::new() };
        let mut all = AllLeft::new();
        for (charge, number) in charges.iter().zip(0..) {
            let Some(left) = self.take(charge.bucket, charge.quota.requests()) else {
                places.leave();
                return (QuotaFact::Exhausted { charge: number, retry_after: RETRY_AFTER }, places);
            };
            if places.taken.try_push(charge.bucket).is_err() {
                return (QuotaFact::Unavailable, places);
            }
            all.push(Left { requests: left, full_in: Duration::ZERO });
        }
        (QuotaFact::Granted(all), places)
    }

    fn take(&self, bucket: BucketId, places: NonZeroU32) -> Option<u32> {
        let mut taken = self.0.entry(bucket).or_insert(0);
        let left = places.get().checked_sub(*taken + 1)?;
        *taken += 1;
        Some(left)
    }

    fn free(&self, bucket: &BucketId) {
        self.0.remove_if_mut(bucket, |_, taken| {
            *taken = taken.saturating_sub(1);
            *taken == 0
        });
    }
}

impl Places {
    fn leave(&mut self) {
        for bucket in std::mem::take(&mut self.taken) {
            self.owner.free(&bucket);
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use certs::{OrganisationId, RoleSet};
    use policies::Quota;
    use policies::quota::{Attendance, Caller, Measure, Per};

    use super::*;

    fn limit(name: &str, places: u32, per: Per) -> Arc<Quota> {
        Arc::new(Quota {
            name: name.to_owned(),
            measure: Measure::Concurrent(NonZeroU32::new(places).unwrap()),
            per,
            counts: Attendance::All,
            roles: RoleSet::EMPTY,
        })
    }

    fn granted(entered: &(QuotaFact, Places)) -> bool {
        matches!(entered.0, QuotaFact::Granted(_))
    }

    #[test]
    fn a_place_is_taken_until_its_request_ends_and_a_refused_request_takes_none() {
        let id = OrganisationId::new("PSDIE-CBI-C1").unwrap();
        let caller = |codetab: &'static str| Caller {
            organisation_id: &id,
            api: "a",
            role: None,
            roles: RoleSet::EMPTY,
            codetab,
            account: None,
            attended: false,
        };
        let bank = limit("bank", 2, Per { codetab: true, ..Per::default() });
        let all = limit("all", 3, Per::default());
        let charges = |codetab| -> [Charge<'_>; 2] {
            [&bank, &all].map(|quota| Charge::of(quota, &caller(codetab)))
        };
        let in_flight = Arc::new(InFlight::default());
        let first = in_flight.enter(&charges("1"));
        let second = in_flight.enter(&charges("1"));
        assert!(granted(&first) && granted(&second));
        let third = in_flight.enter(&charges("1"));
        let retry_after = RETRY_AFTER;
        assert_eq!(third.0, QuotaFact::Exhausted { charge: 0, retry_after });
        let elsewhere = in_flight.enter(&charges("2"));
        assert!(granted(&elsewhere), "the refused one took no place of the other limit");
        let full = in_flight.enter(&charges("2"));
        assert_eq!(full.0, QuotaFact::Exhausted { charge: 1, retry_after });
        drop(first);
        let again = in_flight.enter(&charges("2"));
        assert!(granted(&again));
        drop((second, third, elsewhere, full, again));
        assert!(in_flight.0.is_empty(), "nothing is kept of what has ended");
    }

    #[test]
    fn many_threads_never_hold_more_places_than_there_are() {
        let id = OrganisationId::new("PSDIE-CBI-C1").unwrap();
        let caller = Caller {
            organisation_id: &id,
            api: "a",
            role: None,
            roles: RoleSet::EMPTY,
            codetab: "1",
            account: None,
            attended: false,
        };
        let quota = limit("bank", 3, Per::default());
        let in_flight = Arc::new(InFlight::default());
        let held = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let entered = in_flight.enter(&[Charge::of(&quota, &caller)]);
                        if granted(&entered) {
                            let others = held.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            assert!(others < 3);
                            held.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        }
                        drop(entered);
                    }
                });
            }
        });
        assert!(in_flight.0.is_empty());
    }
}
