//! Keeps the world's seals current, beside the requests: fetches QSEALCs from where their TPPs publish
//! them, takes in those of enrolled applications, and judges all of them anew when the trusted lists change.

mod enrolled;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use certs::Anchors;
use certs::http_signature::{Seal, SealError};
use http::HeaderValue;
use policies::Seals;
use policies::freshness::Step;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock;
use crate::config::{SealFetch, SignatureSettings};
use crate::fetch::{FetchBounds, FetchFault, Fetched, Fetcher};
use crate::metrics::{Freshness, Ladder};
use crate::world::PublishedSeals;

pub use enrolled::Enrolled;

/// Bounds of one question for one certificate with the CAs above it.
const BOUNDS: FetchBounds = FetchBounds { time: Duration::from_secs(10), bytes_max: 64 * 1024 };
/// The pause after a round in which somebody did not answer.
const RETRY: Duration = Duration::from_secs(60);

/// Why seals cannot be kept current.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealsError {
    /// The HTTP client.
    #[error("signature.fetch: {0}")]
    Client(#[from] reqwest::Error),
    /// A metric registered twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Why an address gave no seal.
#[derive(Debug, thiserror::Error)]
enum SealFault {
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("it is another certificate than its address names")]
    Another,
}

impl SealFault {
    const fn label(&self) -> &'static str {
        match self {
            Self::Fetch(fault) => fault.label(),
            Self::Seal(_) => "unreadable",
            Self::Another => "other_certificate",
        }
    }
}

/// Keeps seals current.
pub struct SealKeeper {
    settings: SignatureSettings,
    explains: bool,
    source: Option<(SealFetch, Fetcher, PublishedSeals)>,
    fetched: BTreeMap<String, (Option<HeaderValue>, Seal)>,
    fetches: IntCounterVec,
    known: IntGauge,
    freshness: Freshness,
}

impl SealKeeper {
    /// From what the configuration names and what was fetched before.
    ///
    /// # Errors
    /// The HTTP client or the metrics cannot be set up.
    pub fn new(
        settings: SignatureSettings,
        explains: bool,
        (registry, freshness): (&Registry, Freshness),
    ) -> Result<Self, SealsError> {
        let source = match settings.fetch.clone() {
            Some(fetch) => {
                let fetcher = Fetcher::new(fetch.allow.clone())?;
                let kept = PublishedSeals::new(&fetch.directory);
                Some((fetch, fetcher, kept))
            }
            None => None,
        };
        let mut fetched = BTreeMap::new();
        if let Some((fetch, _, kept)) = &source {
            for url in &fetch.urls {
                if let Some(seal) = kept.get(url) {
                    fetched.insert(url.clone(), (None, seal));
                }
            }
        }
        let opts = Opts::new(
            "octroi_seal_fetches_total",
            "Questions for QSEALCs where TPPs publish them, by how they ended",
        );
        let fetches = IntCounterVec::new(opts, &["outcome"])?;
        let known = IntGauge::new("octroi_seals", "QSEALCs that are known")?;
        registry.register(Box::new(fetches.clone()))?;
        registry.register(Box::new(known.clone()))?;
        Ok(Self { settings, explains, source, fetched, fetches, known, freshness })
    }

    /// Works until `closing`; `publish` is called with each new judgement.
    pub async fn run(
        mut self,
        mut anchors: watch::Receiver<Arc<Anchors>>,
        mut enrolled: watch::Receiver<Vec<Seal>>,
        publish: impl Fn(Arc<Seals>),
        mut closing: watch::Receiver<bool>,
    ) {
        let mut ask_at = Instant::now();
        let (mut trust_lives, mut enrolment_lives) = (true, true);
        loop {
            let known = enrolled.borrow_and_update().clone();
            let seals = self.judge(known, &anchors.borrow_and_update().clone());
            self.known.set(i64::try_from(seals.len()).unwrap_or(i64::MAX));
            publish(Arc::new(seals));
            loop {
                tokio::select! {
                    changed = anchors.changed(), if trust_lives => {
                        // Without trusted lists nobody ever changes the anchors.
                        trust_lives = changed.is_ok();
                        if trust_lives {
                            break;
                        }
                    }
                    changed = enrolled.changed(), if enrolment_lives => {
                        // Nor is anybody enrolled without an authorization server.
                        enrolment_lives = changed.is_ok();
                        if enrolment_lives {
                            break;
                        }
                    }
                    () = tokio::time::sleep_until(ask_at), if self.source.is_some() => {
                        let (changed, pause) = self.ask_all().await;
                        ask_at = Instant::now() + pause.mul_f64(rand::random_range(0.9..=1.0));
                        if changed {
                            break;
                        }
                    }
                    _ = closing.changed() => return,
                }
            }
        }
    }

    /// What is known now, judged by whom we believe.
    #[must_use]
    pub fn judge(&self, enrolled: Vec<Seal>, anchors: &Anchors) -> Seals {
        let published = self.fetched.values().map(|(_, seal)| seal.clone());
        let ours = self.settings.seals.iter().cloned().chain(published);
        // Of one certificate that comes twice, what the bank's own people gave counts.
        let seals = enrolled.into_iter().chain(ours).collect();
        let policy = self.settings.policy.clone();
        Seals::judge(seals, anchors, policy, self.explains, clock::now())
    }

    /// Asks every address once: whether anything is new, and the pause until the next time.
    async fn ask_all(&mut self) -> (bool, Duration) {
        let Some((fetch, fetcher, kept)) = &self.source else { return (false, RETRY) };
        let (asked_at, mut changed, mut whole) = (clock::now(), false, true);
        for url in &fetch.urls {
            let tag = self.fetched.get(url).and_then(|(tag, _)| tag.as_ref());
            let outcome = match ask(fetcher, url, tag).await {
                Ok(Some((seal, tag, bytes))) => {
                    if let Err(error) = kept.keep(url, &bytes) {
                        tracing::warn!(%error, "a QSEALC could not be kept for the next start");
                    }
                    let before = self.fetched.insert(url.clone(), (tag, seal.clone()));
                    let same = |(_, old): &(_, Seal)| {
                        old.certificate().fingerprint() == seal.certificate().fingerprint()
                    };
                    changed |= !before.as_ref().is_some_and(same);
                    "ok"
                }
                Ok(None) => "ok",
                Err(fault) => {
                    whole = false;
                    tracing::warn!(url, %fault, "a QSEALC was not fetched; the one known stays");
                    fault.label()
                }
            };
            self.fetches.with_label_values(&[outcome]).inc();
        }
        let (as_of, step) =
            if whole { (Some(asked_at), Step::Fresh) } else { (None, Step::Tolerated) };
        self.freshness.show(Ladder::Seals, as_of, step);
        (changed, if whole { fetch.every } else { RETRY.min(fetch.every) })
    }
}

type New = (Seal, Option<HeaderValue>, Vec<u8>);

async fn ask(
    fetcher: &Fetcher,
    url: &str,
    tag: Option<&HeaderValue>,
) -> Result<Option<New>, SealFault> {
    let (bytes, tag) = match fetcher.get(url, tag, BOUNDS).await? {
        Fetched::Unchanged => return Ok(None),
        Fetched::Body(bytes, tag) => (bytes, tag),
    };
    let seal = Seal::read(&bytes)?;
    if seal.is_named_by(url) { Ok(Some((seal, tag, bytes))) } else { Err(SealFault::Another) }
}
