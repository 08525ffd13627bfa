//! The series of the revocation watch.

use std::collections::HashSet;

use certs::Revocations;
use jiff::Timestamp;
use prometheus::{GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::tpps::{self, Shown};

/// TPPs that have a series of their own: those whose certificates end first.
const TPPS_MAX: usize = 20;
/// A TPP whose last certificate ended longer ago has left, and makes room.
const ENDED_DAYS_MAX: i64 = 30;

pub(super) struct RevocationMetrics {
    fetches: IntCounterVec,
    sources: IntGaugeVec,
    ends_in: GaugeVec,
    watched: IntGauge,
    tpp_ends: IntGaugeVec,
    tpp_purpose: IntGaugeVec,
    /// The labels that have a series now.
    tpps: HashSet<Vec<String>>,
    purposes: HashSet<Vec<String>>,
}

impl RevocationMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            fetches: IntCounterVec::new(
                Opts::new(
                    "octroi_revocation_fetches_total",
                    "Questions to CRLs and OCSP responders, by how they ended",
                ),
                &["source", "outcome"],
            )?,
            sources: IntGaugeVec::new(
                Opts::new(
                    "octroi_revocation_answers",
                    "Revocation lists and OCSP answers that count (fresh) or have ended",
                ),
                &["source", "state"],
            )?,
            ends_in: GaugeVec::new(
                Opts::new(
                    "octroi_revocation_ends_in_seconds",
                    "Until the first revocation list or OCSP answer ends; negative: since",
                ),
                &["source"],
            )?,
            watched: IntGauge::new(
                "octroi_revocation_watched",
                "Certificates of TPPs whose revocation is watched",
            )?,
            tpp_ends: IntGaugeVec::new(
                Opts::new(
                    "octroi_tpp_certificate_ends_timestamp_seconds",
                    "When a TPP's last certificate ends: of the twenty for whom that is soonest",
                ),
                &["organisation_id", "kind"],
            )?,
            tpp_purpose: IntGaugeVec::new(
                Opts::new(
                    "octroi_tpp_certificate_purpose",
                    "1 for a lint about extKeyUsage in such a certificate",
                ),
                &["organisation_id", "lint"],
            )?,
            tpps: HashSet::new(),
            purposes: HashSet::new(),
        };
        registry.register(Box::new(metrics.tpp_ends.clone()))?;
        registry.register(Box::new(metrics.tpp_purpose.clone()))?;
        registry.register(Box::new(metrics.fetches.clone()))?;
        registry.register(Box::new(metrics.sources.clone()))?;
        registry.register(Box::new(metrics.ends_in.clone()))?;
        registry.register(Box::new(metrics.watched.clone()))?;
        Ok(metrics)
    }

    pub(super) fn count(&self, source: &'static str, outcome: &'static str) {
        self.fetches.with_label_values(&[source, outcome]).inc();
    }

    pub(super) fn show(&self, revocations: &Revocations, watched: usize, now: Timestamp) {
        self.watched.set(i64::try_from(watched).unwrap_or(i64::MAX));
        let lists = revocations.lists().map(|list| list.next_update());
        self.source("crl", lists, now);
        self.source("ocsp", revocations.answers().map(|answer| answer.until), now);
    }

    /// Shows the TPPs whose certificates end first.
    pub(super) fn show_tpps<'a>(&mut self, shown: impl Iterator<Item = &'a Shown>, now: Timestamp) {
        let here = shown.filter(|one| one.days_left(now) >= -ENDED_DAYS_MAX);
        let (mut tpps, mut purposes) = (HashSet::new(), HashSet::new());
        for one in tpps::lasting(here).into_iter().take(TPPS_MAX) {
            let organisation = one.organisation_id.as_str();
            let labels = [organisation, one.kind.code()];
            self.tpp_ends.with_label_values(&labels).set(one.not_after.as_second());
            tpps.insert(labels.map(str::to_owned).to_vec());
            for lint in &one.purpose {
                let labels = [organisation, lint.code()];
                self.tpp_purpose.with_label_values(&labels).set(1);
                purposes.insert(labels.map(str::to_owned).to_vec());
            }
        }
        for (series, before, after) in [
            (&self.tpp_ends, &mut self.tpps, tpps),
            (&self.tpp_purpose, &mut self.purposes, purposes),
        ] {
            for gone in before.difference(&after) {
                let _ = series.remove_label_values(gone);
            }
            *before = after;
        }
    }

    fn source(&self, source: &'static str, ends: impl Iterator<Item = Timestamp>, now: Timestamp) {
        let (mut fresh, mut ended, mut first) = (0, 0, None::<Timestamp>);
        for end in ends {
            *if end >= now { &mut fresh } else { &mut ended } += 1;
            first = Some(first.map_or(end, |first| first.min(end)));
        }
        self.sources.with_label_values(&[source, "fresh"]).set(fresh);
        self.sources.with_label_values(&[source, "ended"]).set(ended);
        if let Some(first) = first {
            let seconds = first.duration_since(now).as_secs_f64();
            self.ends_in.with_label_values(&[source]).set(seconds);
        }
    }
}
