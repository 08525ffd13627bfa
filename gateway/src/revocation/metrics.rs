//! The series of the revocation watch.

use certs::Revocations;
use jiff::Timestamp;
use prometheus::{GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

pub(super) struct RevocationMetrics {
    fetches: IntCounterVec,
    sources: IntGaugeVec,
    ends_in: GaugeVec,
    watched: IntGauge,
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
        };
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
