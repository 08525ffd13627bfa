//! Keeps the world's anchors what the current snapshot says: takes in what `octroi trust` made
//! current, drops lists that have ended, and imports anew on a schedule.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use certs::{Anchors, Use};
use jiff::Timestamp;
use policies::freshness::Step;
use prometheus::{GaugeVec, IntCounterVec, IntGauge, Opts, Registry};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::Store;
use super::import::Import;
use super::snapshot::Snapshot;
use crate::archive::Stamp;
use crate::clock;
use crate::metrics::{Freshness, Ladder};

/// How often the directory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often the snapshot is read although nothing changed.
const READ_EVERY: Duration = Duration::from_secs(30);
/// The pause after an import that failed.
const RETRY: Duration = Duration::from_secs(300);

/// What the anchors are made of besides the lists.
pub type OtherAnchors = Box<dyn Fn() -> Anchors + Send + Sync>;

/// Keeps anchors current.
pub struct Refresh {
    store: Store,
    import: Option<(Import, Duration)>,
    others: OtherAnchors,
    metrics: TrustMetrics,
    /// The name of the snapshot in force, and the anchors that it gave for QWACs and QSEALCs.
    known: (Option<String>, [Vec<[u8; 32]>; 2]),
    /// What was read last, and when.
    seen: Option<(Stamp, Instant)>,
}

impl Refresh {
    /// From what is current in `store`; `import` says what to import, and how often.
    ///
    /// # Errors
    /// A metric registered twice.
    pub fn new(
        store: Store,
        import: Option<(Import, Duration)>,
        others: OtherAnchors,
        (registry, freshness): (&Registry, Freshness),
    ) -> prometheus::Result<Self> {
        let metrics = TrustMetrics::new(registry, freshness)?;
        Ok(Self { store, import, others, metrics, known: (None, Default::default()), seen: None })
    }

    /// Works until `closing`; `publish` is called with each new set of anchors: those for QWACs, and
    /// those for QSEALCs.
    pub async fn run(
        mut self,
        publish: impl Fn(Arc<Anchors>, Arc<Anchors>) + Send + 'static,
        mut closing: watch::Receiver<bool>,
    ) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut import_at = Instant::now();
        loop {
            tokio::select! {
                _ = look.tick() => {}
                _ = closing.changed() => return,
            }
            if self.import.is_some() && Instant::now() >= import_at {
                let pause = self.import().await;
                import_at = Instant::now() + pause.mul_f64(rand::random_range(0.9..=1.0));
            }
            tokio::task::block_in_place(|| self.look(&publish));
        }
    }

    /// Imports once; gives the pause until the next time.
    async fn import(&self) -> Duration {
        let Some((import, every)) = &self.import else { return RETRY };
        let asked_at = clock::now();
        let imported = match import.run(&self.store, asked_at).await {
            Ok(imported) => imported,
            Err(error) => {
                self.metrics.refreshes.with_label_values(&["failed"]).inc();
                self.metrics.imported(false);
                tracing::error!(%error, "the list of trusted lists was refused; the old lists stay");
                return RETRY.min(*every);
            }
        };
        let mut whole = true;
        for told in &imported.told {
            if let Some(fault) = &told.fault {
                whole = false;
                let kept = told.kept;
                tracing::error!(list = told.list, %fault, kept, "a trusted list was refused");
            }
        }
        let outcome = if whole { "ok" } else { "partly" };
        self.metrics.refreshes.with_label_values(&[outcome]).inc();
        self.metrics.imported(whole);
        if whole {
            self.metrics.as_of.store(asked_at.as_second(), Ordering::Relaxed);
        }
        let same = |current: &Snapshot| {
            current.lists == imported.snapshot.lists
                && current.services == imported.snapshot.services
        };
        let unchanged = self.store.current().is_ok_and(|(_, current)| same(&current));
        if !unchanged && let Err(error) = self.store.put(&imported.snapshot) {
            tracing::error!(%error, "the trusted lists could not be kept");
        }
        if whole { *every } else { RETRY.min(*every) }
    }

    /// Takes in what is current, if that makes other anchors than those in force.
    fn look(&mut self, publish: &impl Fn(Arc<Anchors>, Arc<Anchors>)) {
        // Read again when it is another, and now and then, because lists end by themselves.
        let stamp = self.store.stamp();
        let fresh = |(seen, at): &(Stamp, Instant)| *seen == stamp && at.elapsed() < READ_EVERY;
        if self.seen.as_ref().is_some_and(fresh) {
            return;
        }
        self.seen = Some((stamp, Instant::now()));
        let (name, snapshot) = match self.store.current() {
            Ok((name, snapshot)) => (Some(name), Some(snapshot)),
            Err(error) => {
                self.metrics.readable.set(0);
                tracing::error!(%error, "the current trusted lists cannot be read; the old ones stay");
                return;
            }
        };
        self.metrics.readable.set(1);
        let (mut anchors, mut for_seals) = ((self.others)(), (self.others)());
        if let Some(snapshot) = &snapshot {
            self.metrics.show(snapshot, clock::now());
            snapshot.add_anchors(&mut anchors, Use::Web, clock::now());
            snapshot.add_anchors(&mut for_seals, Use::Seals, clock::now());
        }
        let known = (name, [fingerprints(&anchors), fingerprints(&for_seals)]);
        if self.known == known {
            return;
        }
        if anchors.is_empty() {
            tracing::error!("the trusted lists name no CA any more: nobody is believed");
        }
        if self.known.1 != known.1 {
            let (count, snapshot) = (anchors.len(), &known.0);
            tracing::info!(anchors = count, snapshot, "trust anchors in force");
            publish(Arc::new(anchors), Arc::new(for_seals));
        }
        self.known = known;
    }
}

fn fingerprints(anchors: &Anchors) -> Vec<[u8; 32]> {
    let mut all: Vec<[u8; 32]> = anchors.iter().map(|anchor| *anchor.fingerprint()).collect();
    all.sort_unstable();
    all
}

struct TrustMetrics {
    refreshes: IntCounterVec,
    readable: IntGauge,
    ends_in: GaugeVec,
    freshness: Freshness,
    /// The last import refused no list, or none was tried.
    whole: AtomicBool,
    /// When the last import began that refused none, Unix time; 0: not since the start.
    as_of: AtomicI64,
}

impl TrustMetrics {
    fn new(registry: &Registry, freshness: Freshness) -> prometheus::Result<Self> {
        let metrics = Self {
            refreshes: IntCounterVec::new(
                Opts::new("octroi_trust_refreshes_total", "Imports of trusted lists"),
                &["outcome"],
            )?,
            readable: IntGauge::new(
                "octroi_trust_snapshot_readable",
                "1 while the current snapshot of the trusted lists can be read",
            )?,
            ends_in: GaugeVec::new(
                Opts::new(
                    "octroi_trust_list_ends_in_seconds",
                    "Until the trusted list of a territory ends; its CAs go with it",
                ),
                &["territory"],
            )?,
            freshness,
            whole: AtomicBool::new(true),
            as_of: AtomicI64::new(0),
        };
        registry.register(Box::new(metrics.refreshes.clone()))?;
        registry.register(Box::new(metrics.readable.clone()))?;
        registry.register(Box::new(metrics.ends_in.clone()))?;
        Ok(metrics)
    }

    /// Territories are two capitals of a verified list: a closed set.
    fn show(&self, snapshot: &Snapshot, now: Timestamp) {
        let mut step =
            if self.whole.load(Ordering::Relaxed) { Step::Fresh } else { Step::Tolerated };
        for list in &snapshot.lists {
            if let Some(end) = list.next_update {
                if end <= now {
                    step = Step::Expired;
                }
                let seconds = end.duration_since(now).as_secs_f64();
                self.ends_in.with_label_values(&[list.territory.as_str()]).set(seconds);
            }
        }
        let imported = Timestamp::from_second(self.as_of.load(Ordering::Relaxed)).ok();
        let as_of = imported.filter(|at| *at > snapshot.made_at).unwrap_or(snapshot.made_at);
        self.freshness.show(Ladder::TrustLists, Some(as_of), step);
    }

    fn imported(&self, whole: bool) {
        self.whole.store(whole, Ordering::Relaxed);
    }
}
