//! The TPPs that ask most, by name: the only place where an organisation id is a label. Who they are is
//! kept by a space-saving sketch (Metwally, Agrawal, El Abbadi 2005), so that memory and series are
//! bounded however many TPPs there are. Only those come here whom the registers list.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use certs::OrganisationId;
use policies::Quota;
use policies::quota::{Left, Measure};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use crate::audit::Outcome;

/// TPPs with series of their own, at most.
pub const TOP_TPPS_MAX: usize = 50;
/// Who is among them is decided anew so often: series begin and end no faster, whoever comes.
const CHOSEN_EVERY: Duration = Duration::from_secs(60);
/// After so long a request counts half when they are chosen.
const HALVED_EVERY: Duration = Duration::from_secs(600);
/// So many are remembered for each that is shown: what a sketch gets wrong lies below them.
const REMEMBERED_PER_SHOWN: usize = 4;
/// Limits shown of one TPP.
const QUOTAS_MAX: usize = 8;

const REQUESTS: &str = "octroi_tpp_requests_total";
const REQUESTS_HELP: &str =
    "Requests of the TPPs that ask most; counted since a TPP was last remembered";
const USED: &str = "octroi_tpp_quota_used_ratio";
const USED_HELP: &str = "How much of a limit a TPP that asks most has used now: 0 nothing, 1 all";

/// The TPPs that ask most.
#[derive(Clone)]
pub(super) struct Tpps {
    shown: usize,
    sketch: Arc<Mutex<Sketch>>,
    descriptions: Arc<[Desc; 2]>,
}

struct Sketch {
    entries: Vec<Entry>,
    places: HashMap<OrganisationId, usize>,
    chosen: HashSet<OrganisationId>,
    chosen_at: Option<Instant>,
    halved_at: Instant,
}

struct Entry {
    id: OrganisationId,
    /// What the sketch believes: never too little, and too much by what the one before had.
    weight: u64,
    /// What was really counted here.
    outcomes: [u64; Outcome::ALL.len()],
    quotas: ArrayVec<Used, QUOTAS_MAX>,
}

struct Used {
    quota: Arc<Quota>,
    left: Left,
    at: Instant,
}

impl Used {
    /// What was used comes back evenly until the limit is full again.
    fn ratio(&self, now: Instant) -> f64 {
        let all = match self.quota.measure {
            // No more than a burst is ever left, however much a period allows.
            Measure::Rate { burst, .. } => burst,
            Measure::Window { requests, .. } | Measure::Concurrent(requests) => requests,
        };
        let all = f64::from(all.get());
        let used = (1.0 - f64::from(self.left.requests) / all).clamp(0.0, 1.0);
        let waits = self.left.full_in.as_secs_f64();
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        if waits <= 0.0 { 0.0 } else { used * (1.0 - passed / waits).max(0.0) }
    }
}

impl Tpps {
    /// Shows at most `shown`; none at 0.
    pub(super) fn new(shown: usize) -> prometheus::Result<Self> {
        let desc = |name: &str, help: &str, label: &str| {
            let labels = vec!["organisation_id".to_owned(), label.to_owned()];
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        };
        let sketch = Sketch {
            entries: Vec::new(),
            places: HashMap::new(),
            chosen: HashSet::new(),
            chosen_at: None,
            halved_at: Instant::now(),
        };
        Ok(Self {
            shown: shown.min(TOP_TPPS_MAX),
            sketch: Arc::new(Mutex::new(sketch)),
            descriptions: Arc::new([
                desc(REQUESTS, REQUESTS_HELP, "outcome")?,
                desc(USED, USED_HELP, "quota")?,
            ]),
        })
    }

    /// Counts a request of a TPP that the registers list, with what is left of its limits.
    pub(super) fn count<'a>(
        &self,
        id: &OrganisationId,
        outcome: Outcome,
        counted: impl Iterator<Item = (&'a Arc<Quota>, Left)>,
    ) {
        if self.shown == 0 {
            return;
        }
        let now = Instant::now();
        let mut sketch = self.sketch();
        let remembered_max = self.shown * REMEMBERED_PER_SHOWN;
        let Some(entry) = sketch.entry(id, remembered_max) else { return };
        entry.weight = entry.weight.saturating_add(1);
        if let Some(count) = entry.outcomes.get_mut(outcome as usize) {
            *count = count.saturating_add(1);
        }
        for (quota, left) in counted {
            // Another TPP's share of a limit that is not its own says nothing about it.
            if !quota.per.tpp || quota.per.account {
                continue;
            }
            let known = entry.quotas.iter_mut().find(|known| known.quota.name == quota.name);
            match known {
                Some(known) => {
                    // What is left is left of the limit as it is now: a reload may have changed it.
                    if !Arc::ptr_eq(&known.quota, quota) {
                        known.quota = Arc::clone(quota);
                    }
                    (known.left, known.at) = (left, now);
                }
                None => {
                    // One of which nothing is used makes room: it may be gone from the configuration.
                    if entry.quotas.is_full() {
                        entry.quotas.retain(|known| known.ratio(now) > 0.0);
                    }
                    let used = Used { quota: Arc::clone(quota), left, at: now };
                    let _ = entry.quotas.try_push(used);
                }
            }
        }
    }

    fn sketch(&self) -> MutexGuard<'_, Sketch> {
        self.sketch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sketch {
    /// The place of a TPP; where all are taken, that of whoever asked least.
    fn entry(&mut self, id: &OrganisationId, remembered_max: usize) -> Option<&mut Entry> {
        let place = match self.places.get(id) {
            Some(place) => *place,
            None if self.entries.len() < remembered_max => {
                self.entries.push(Entry::new(id.clone(), 0));
                self.places.insert(id.clone(), self.entries.len() - 1);
                self.entries.len() - 1
            }
            None => {
                let by_weight = |(_, entry): &(usize, &Entry)| entry.weight;
                let (place, least) = self.entries.iter().enumerate().min_by_key(by_weight)?;
                let weight = least.weight;
                self.places.remove(&least.id.clone());
                *self.entries.get_mut(place)? = Entry::new(id.clone(), weight);
                self.places.insert(id.clone(), place);
                place
            }
        };
        self.entries.get_mut(place)
    }

    /// Chooses who is shown, if that is due.
    fn choose(&mut self, shown: usize, now: Instant) {
        let due = |at: Instant| now.saturating_duration_since(at) >= CHOSEN_EVERY;
        // While there is room, whoever comes is shown at once.
        let room = self.chosen.len() < shown && self.entries.len() > self.chosen.len();
        if !room && !self.chosen_at.is_none_or(due) {
            return;
        }
        self.chosen_at = Some(now);
        let halvings =
            now.saturating_duration_since(self.halved_at).as_secs() / HALVED_EVERY.as_secs();
        if halvings > 0 {
            self.halved_at = now;
            let shift = u32::try_from(halvings).unwrap_or(u32::MAX).min(u64::BITS - 1);
            for entry in &mut self.entries {
                entry.weight >>= shift;
            }
        }
        let mut order: Vec<&Entry> = self.entries.iter().collect();
        order.sort_by(|one, other| {
            other.weight.cmp(&one.weight).then_with(|| one.id.as_str().cmp(other.id.as_str()))
        });
        self.chosen = order.into_iter().take(shown).map(|entry| entry.id.clone()).collect();
    }
}

impl Entry {
    fn new(id: OrganisationId, weight: u64) -> Self {
        Self { id, weight, outcomes: Default::default(), quotas: ArrayVec::new() }
    }
}

impl Collector for Tpps {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = Instant::now();
        let mut sketch = self.sketch();
        sketch.choose(self.shown, now);
        let (mut requests, mut used) = (Vec::new(), Vec::new());
        for entry in sketch.entries.iter().filter(|entry| sketch.chosen.contains(&entry.id)) {
            for (outcome, count) in Outcome::ALL.iter().zip(entry.outcomes) {
                let mut metric = labelled(&entry.id, "outcome", outcome.label());
                let mut counter = Counter::default();
                #[expect(clippy::cast_precision_loss, reason = "series are floating point")]
                counter.set_value(count as f64);
                metric.set_counter(counter);
                requests.push(metric);
            }
            for quota in &entry.quotas {
                let mut metric = labelled(&entry.id, "quota", &quota.quota.name);
                let mut gauge = Gauge::default();
                gauge.set_value(quota.ratio(now));
                metric.set_gauge(gauge);
                used.push(metric);
            }
        }
        drop(sketch);
        vec![
            family(REQUESTS, REQUESTS_HELP, MetricType::COUNTER, requests),
            family(USED, USED_HELP, MetricType::GAUGE, used),
        ]
    }
}

fn labelled(id: &OrganisationId, name: &str, value: &str) -> Metric {
    let pair = |name: &str, value: &str| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    let mut labels = vec![pair("organisation_id", id.as_str()), pair(name, value)];
    labels.sort_by(|one, other| one.name().cmp(other.name()));
    Metric::from_label(labels)
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use certs::RoleSet;
    use policies::quota::{Attendance, Per};

    use super::*;

    fn id(number: usize) -> OrganisationId {
        OrganisationId::new(&format!("PSDFR-ACPR-{number}")).unwrap()
    }

    fn shown(tpps: &Tpps) -> HashSet<String> {
        let [requests, _] = <[MetricFamily; 2]>::try_from(tpps.collect()).ok().unwrap();
        let ids = requests.get_metric().iter().map(|metric| {
            let label = metric.get_label().iter().find(|pair| pair.name() == "organisation_id");
            label.unwrap().value().to_owned()
        });
        ids.collect()
    }

    #[test]
    fn ten_thousand_tpps_take_no_more_room_than_the_few_that_are_shown() {
        let tpps = Tpps::new(5).unwrap();
        for number in 0..10_000 {
            tpps.count(&id(number), Outcome::Allowed, std::iter::empty());
            // Five of them ask again and again.
            for busy in 0..5 {
                tpps.count(&id(busy), Outcome::Allowed, std::iter::empty());
            }
        }
        let busy: HashSet<String> = (0..5).map(|number| id(number).as_str().to_owned()).collect();
        assert_eq!(shown(&tpps), busy);
        let series: usize = tpps.collect().iter().map(|family| family.get_metric().len()).sum();
        assert_eq!(series, 5 * Outcome::ALL.len());
        assert_eq!(tpps.sketch().entries.len(), 5 * REMEMBERED_PER_SHOWN);
    }

    #[test]
    fn who_is_shown_does_not_change_with_every_newcomer() {
        let tpps = Tpps::new(2).unwrap();
        for number in 0..2 {
            tpps.count(&id(number), Outcome::Allowed, std::iter::empty());
        }
        let before = shown(&tpps);
        for _ in 0..100 {
            tpps.count(&id(7), Outcome::Allowed, std::iter::empty());
        }
        assert_eq!(shown(&tpps), before);
        tpps.sketch().chosen_at = Instant::now().checked_sub(CHOSEN_EVERY);
        assert!(shown(&tpps).contains(id(7).as_str()), "a minute later it is");
    }

    fn quota(name: &str, requests: u32) -> Arc<Quota> {
        Arc::new(Quota {
            name: name.to_owned(),
            measure: Measure::Window {
                requests: NonZeroU32::new(requests).unwrap(),
                period: Duration::from_secs(3600),
            },
            per: Per { tpp: true, ..Per::default() },
            counts: Attendance::All,
            roles: RoleSet::default(),
        })
    }

    fn used(tpps: &Tpps) -> Vec<(String, f64)> {
        let [_, used] = <[MetricFamily; 2]>::try_from(tpps.collect()).ok().unwrap();
        let of = |metric: &Metric| {
            let label = metric.get_label().iter().find(|pair| pair.name() == "quota").unwrap();
            (label.value().to_owned(), metric.get_gauge().get_value())
        };
        used.get_metric().iter().map(of).collect()
    }

    #[test]
    fn what_is_used_of_a_limit_is_told_of_the_limit_as_a_reload_has_made_it() {
        let tpps = Tpps::new(1).unwrap();
        let left = |requests| Left { requests, full_in: Duration::from_secs(3600) };
        let ask = |quota: &Arc<Quota>, requests| {
            tpps.count(&id(1), Outcome::Allowed, [(quota, left(requests))].into_iter());
        };
        ask(&quota("hourly", 100), 50);
        ask(&quota("hourly", 1000), 250);
        let [(name, ratio)] = <[_; 1]>::try_from(used(&tpps)).unwrap();
        assert!(name == "hourly" && (0.74..=0.75).contains(&ratio), "{ratio}");
        // Names that came and went with reloads hide no limit for ever.
        for number in 0..QUOTAS_MAX {
            let gone =
                [(&quota(&format!("gone-{number}"), 100), Left { requests: 100, ..left(0) })];
            tpps.count(&id(1), Outcome::Allowed, gone.into_iter());
        }
        ask(&quota("new", 100), 10);
        assert!(used(&tpps).iter().any(|(name, _)| name == "new"), "{:?}", used(&tpps));
        assert!(used(&tpps).iter().any(|(name, _)| name == "hourly"));
    }

    #[test]
    fn of_a_rate_with_a_small_burst_the_burst_is_what_is_used() {
        let tpps = Tpps::new(1).unwrap();
        let [requests, burst] = [3600, 10].map(|count| NonZeroU32::new(count).unwrap());
        let period = Duration::from_secs(3600);
        let measure = Measure::Rate { requests, period, burst, lease: None };
        let quota = Arc::new(Quota { measure, ..Quota::clone(&quota("hourly", 1)) });
        let left = Left { requests: 9, full_in: Duration::from_secs(60) };
        tpps.count(&id(1), Outcome::Allowed, [(&quota, left)].into_iter());
        let [(_, ratio)] = <[_; 1]>::try_from(used(&tpps)).unwrap();
        assert!((0.09..=0.1).contains(&ratio), "{ratio}");
    }

    #[test]
    fn nobody_is_shown_where_none_is_wanted_and_never_more_than_fifty() {
        let none = Tpps::new(0).unwrap();
        none.count(&id(1), Outcome::Refused, std::iter::empty());
        assert!(shown(&none).is_empty());
        let many = Tpps::new(1000).unwrap();
        for number in 0..200 {
            many.count(&id(number), Outcome::Refused, std::iter::empty());
        }
        assert_eq!(shown(&many).len(), TOP_TPPS_MAX);
    }
}
