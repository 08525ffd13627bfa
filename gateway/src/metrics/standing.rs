//! What the gateway judges by, how old it is and when it ends: brought up to date when it is scraped.

use jiff::Timestamp;
use policies::freshness::Step;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

/// What is kept in memory and becomes old. The names are metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ladder {
    /// The registers of TPPs: as of the oldest file.
    Register,
    /// The trusted lists: as of the last import in which no list was refused.
    TrustLists,
    /// Revocation lists: as of the oldest.
    Crl,
    /// OCSP answers: as of the oldest.
    Ocsp,
    /// Published QSEALCs: as of the last time that all were asked for and answered.
    Seals,
    /// The keys of JWTs: as of the last time that they were fetched.
    Jwks,
    /// Tokens and limits in Redis: as of the moment since which it has not answered.
    Store,
}

impl Ladder {
    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::TrustLists => "trust_lists",
            Self::Crl => "crl",
            Self::Ocsp => "ocsp",
            Self::Seals => "seals",
            Self::Jwks => "jwks",
            Self::Store => "store",
        }
    }
}

/// The age and the step of each ladder. What is not configured has no series.
#[derive(Clone)]
pub struct Freshness {
    as_of: IntGaugeVec,
    step: IntGaugeVec,
}

impl Freshness {
    /// What was true at `as_of` stands on `step`.
    pub fn show(&self, ladder: Ladder, as_of: Option<Timestamp>, step: Step) {
        if let Some(as_of) = as_of {
            self.as_of.with_label_values(&[ladder.label()]).set(as_of.as_second());
        }
        self.step.with_label_values(&[ladder.label()]).set(number(step));
    }
}

/// As series count it.
const fn number(step: Step) -> i64 {
    match step {
        Step::Fresh => 0,
        Step::Tolerated => 1,
        Step::Expired => 2,
    }
}

/// Whose certificates a series is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issued {
    /// A CA that is believed.
    Anchor,
    /// A QSEALC that is known.
    Seal,
}

/// What the gateway judges by.
pub struct StandingMetrics {
    /// How old it is.
    pub freshness: Freshness,
    /// CAs that are believed.
    pub anchors: IntGauge,
    /// Organisation ids that the registers know.
    pub organisations: IntGauge,
    /// Token records in memory.
    pub tokens_in_memory: IntGauge,
    /// Counters of limits in memory.
    pub buckets_in_memory: IntGauge,
    ends: IntGaugeVec,
}

impl StandingMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauges = |name: &str, help: &str, label: &str| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(gauges.clone()))?;
            Ok::<_, prometheus::Error>(gauges)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            freshness: Freshness {
                as_of: gauges(
                    "octroi_freshness_as_of_timestamp_seconds",
                    "When what the gateway judges by was true, Unix time",
                    "source",
                )?,
                step: gauges(
                    "octroi_freshness_step",
                    "What the gateway judges by: 0 fresh, 1 tolerated, 2 expired",
                    "source",
                )?,
            },
            anchors: gauge("octroi_trust_anchors", "CAs that are believed")?,
            organisations: gauge(
                "octroi_register_organisations",
                "Organisation ids that the registers know",
            )?,
            tokens_in_memory: gauge("octroi_store_tokens", "Token records in memory")?,
            buckets_in_memory: gauge("octroi_store_buckets", "Counters of limits in memory")?,
            ends: gauges(
                "octroi_certificate_next_end_timestamp_seconds",
                "When the next of the CAs that are believed, and of the QSEALCs that are known, ends",
                "kind",
            )?,
        })
    }

    /// The next to end of `ends`: one that has ended counts no more.
    pub fn ends(&self, kind: Issued, ends: impl Iterator<Item = Timestamp>, now: Timestamp) {
        let label = match kind {
            Issued::Anchor => "anchor",
            Issued::Seal => "seal",
        };
        match ends.filter(|end| *end > now).min() {
            Some(end) => self.ends.with_label_values(&[label]).set(end.as_second()),
            None => {
                let _ = self.ends.remove_label_values(&[label]);
            }
        }
    }
}
