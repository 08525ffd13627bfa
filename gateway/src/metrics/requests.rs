//! Rate, errors and duration of requests, for each route and reason. Each child is looked up once and
//! then only counted: no hash, no label formatting on the path of a request.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use policies::{Reason, Routes};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use uuid::Uuid;

use super::latency::{Exemplar, Exemplars, Latency, Timed};
use crate::audit::{Outcome, Timing};

/// The label for a host or path that names nothing of ours.
pub const NONE: &str = "none";
/// Where the time of a request goes: the values of `part`.
const PARTS: [&str; 4] = ["gateway", "store", "audit", "upstream"];

/// One finished request, as metrics count it.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// The codetab that its host names and the version of an API that its path names, as they are
    /// counted in the routes.
    pub route: (Option<usize>, Option<usize>),
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// Where its time went.
    pub timing: Timing,
    /// Its trace.
    pub trace_id: Uuid,
    /// When it began.
    pub at: Timestamp,
}

/// The series of requests, whatever the routes are.
#[derive(Clone)]
pub(super) struct RequestFamilies {
    counters: IntCounterVec,
    durations: Latency,
    parts: Latency,
}

/// The series of requests to the routes of one configuration.
pub struct RequestSeries {
    families: RequestFamilies,
    codetabs: Vec<String>,
    versions: Vec<(String, String)>,
    counted: Box<[OnceLock<IntCounter>]>,
    timed: Box<[OnceLock<Timed>]>,
    parted: Box<[OnceLock<[Timed; PARTS.len()]>]>,
}

impl RequestFamilies {
    pub(super) fn new(exemplars: &Exemplars) -> prometheus::Result<Self> {
        Ok(Self {
            counters: IntCounterVec::new(
                Opts::new("octroi_requests_total", "Requests, by what became of them"),
                &["codetab", "api", "version", "outcome", "reason"],
            )?,
            durations: Latency::new(
                "octroi_request_duration_seconds",
                "From the request head to the last byte of the answer",
                &["codetab", "api", "version", "outcome"],
                exemplars.clone(),
            )?,
            parts: Latency::new(
                "octroi_request_part_duration_seconds",
                "Where the time of permitted requests went: gateway, store, audit, upstream",
                &["codetab", "part"],
                exemplars.clone(),
            )?,
        })
    }

    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.counters.clone()))?;
        registry.register(self.durations.collector())?;
        registry.register(self.parts.collector())
    }
}

impl RequestSeries {
    const OUTCOMES: usize = Outcome::ALL.len();
    const REASONS: usize = Reason::COUNT + 1;

    pub(super) fn new(families: RequestFamilies, routes: &Routes) -> Self {
        let mut codetabs: Vec<String> =
            routes.codetabs().map(|codetab| codetab.code.to_string()).collect();
        codetabs.push(NONE.to_owned());
        let mut versions: Vec<(String, String)> = routes
            .versions()
            .map(|(api, version)| (api.name.to_string(), version.name.to_string()))
            .collect();
        versions.push((NONE.to_owned(), NONE.to_owned()));
        let places = codetabs.len() * versions.len() * Self::OUTCOMES;
        Self {
            families,
            counted: cells(places * Self::REASONS),
            timed: cells(places),
            parted: cells(codetabs.len()),
            codetabs,
            versions,
        }
    }

    /// Counts one finished request.
    pub fn count(&self, request: &Finished) {
        let Finished { route, outcome, reason, timing, trace_id, at } = *request;
        let codetab = route.0.unwrap_or(self.codetabs.len() - 1);
        let version = route.1.unwrap_or(self.versions.len() - 1);
        let place = (codetab * self.versions.len() + version) * Self::OUTCOMES + outcome as usize;
        let reason_index = reason.map_or(Reason::COUNT, Reason::index);
        let (Some(counted), Some(timed), Some(parted), Some(codetab), Some((api, version))) = (
            self.counted.get(place * Self::REASONS + reason_index),
            self.timed.get(place),
            self.parted.get(codetab),
            self.codetabs.get(codetab),
            self.versions.get(version),
        ) else {
            return;
        };
        let (outcome_label, reason) = (outcome.label(), reason.map_or("", Reason::code));
        counted
            .get_or_init(|| {
                let labels = [codetab, api, version, outcome_label, reason];
                self.families.counters.with_label_values(&labels)
            })
            .inc();
        let exemplar = |micros: u64| Exemplar { trace_id, value: seconds(micros), at };
        timed
            .get_or_init(|| self.families.durations.with(&[codetab, api, version, outcome_label]))
            .observe(exemplar(timing.total_us));
        // Of a request that was refused before it went anywhere, all was the gateway's.
        if timing.upstream_us > 0 {
            let parts =
                parted.get_or_init(|| PARTS.map(|part| self.families.parts.with(&[codetab, part])));
            let Timing { gateway_us, store_us, audit_us, upstream_us, .. } = timing;
            for (part, micros) in parts.iter().zip([gateway_us, store_us, audit_us, upstream_us]) {
                part.observe(exemplar(micros));
            }
        }
    }

    /// Drops the series of codetabs and versions that `newer` does not have: what is gone counts no
    /// more, and names that come and go with reloads do not pile up.
    pub fn give_way_to(&self, newer: &Self) {
        for (index, codetab) in self.codetabs.iter().enumerate() {
            let stays = newer.codetabs.contains(codetab);
            if !stays && self.parted.get(index).is_some_and(|parts| parts.get().is_some()) {
                PARTS.iter().for_each(|part| self.families.parts.remove(&[codetab, part]));
            }
        }
        let used = self.timed.iter().enumerate().filter(|(_, timed)| timed.get().is_some());
        for (place, _) in used {
            let (route, outcome) = (place / Self::OUTCOMES, place % Self::OUTCOMES);
            let (codetab, version) = (route / self.versions.len(), route % self.versions.len());
            let (Some(codetab), Some(named), Some(outcome)) =
                (self.codetabs.get(codetab), self.versions.get(version), Outcome::ALL.get(outcome))
            else {
                continue;
            };
            if newer.codetabs.contains(codetab) && newer.versions.contains(named) {
                continue;
            }
            let labels = [codetab.as_str(), &named.0, &named.1, outcome.label()];
            self.families.durations.remove(&labels);
            let reasons = Reason::ALL.iter().map(|reason| reason.code()).chain([""]);
            for reason in reasons {
                let [codetab, api, version, outcome] = labels;
                let labels = [codetab, api, version, outcome, reason];
                let _ = self.families.counters.remove_label_values(&labels);
            }
        }
    }
}

fn cells<T>(count: usize) -> Box<[OnceLock<T>]> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Exposition;

    fn series(families: &RequestFamilies, codetabs: &[&str]) -> RequestSeries {
        let mut codetabs: Vec<String> = codetabs.iter().map(|code| (*code).to_owned()).collect();
        codetabs.push(NONE.to_owned());
        let versions =
            vec![("cbpii".to_owned(), "v1".to_owned()), (NONE.to_owned(), NONE.to_owned())];
        let places = codetabs.len() * versions.len() * RequestSeries::OUTCOMES;
        RequestSeries {
            families: families.clone(),
            counted: cells(places * RequestSeries::REASONS),
            timed: cells(places),
            parted: cells(codetabs.len()),
            codetabs,
            versions,
        }
    }

    #[test]
    fn the_series_of_a_bank_go_with_it_and_those_of_the_others_stay() {
        let (registry, exemplars) = (Registry::new(), Exemplars::default());
        let families = RequestFamilies::new(&exemplars).unwrap();
        families.register(&registry).unwrap();
        let before = series(&families, &["11111", "22222"]);
        let mut timing = Timing { store_us: 100, upstream_us: 300, ..Timing::default() };
        timing.end(900);
        for codetab in [Some(0), Some(1), None] {
            before.count(&Finished {
                route: (codetab, Some(0)),
                outcome: Outcome::Allowed,
                reason: None,
                timing,
                trace_id: Uuid::from_u128(1),
                at: Timestamp::UNIX_EPOCH,
            });
        }
        let text = || {
            let text = Exposition::Prometheus.write(&registry.gather(), &exemplars).unwrap();
            String::from_utf8(text).unwrap()
        };
        let own =
            "octroi_request_part_duration_seconds_sum{codetab=\"11111\",part=\"gateway\"} 0.0005";
        assert!(text().contains(own), "{}", text());
        assert!(text().contains("22222"));
        before.give_way_to(&series(&families, &["11111"]));
        assert!(text().contains("11111") && text().contains(NONE) && !text().contains("22222"));
    }
}
