//! Keeps the world's register what the directory says: takes in what is put in force there, reads
//! files that change, fetches what has a URL, and lets a new snapshot in only through the gate.

mod admission;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use policies::register::Override;
use policies::{Api, Register};
use prometheus::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::directory::{Directory, DirectoryError};
use super::gate::Known;
use super::metrics::RegisterMetrics;
use super::sources::{ImportError, stamps};
use crate::archive::Stamp;
use crate::clock;
use crate::config::RegisterSettings;
use crate::fetch::Fetcher;

use admission::pause;

/// How often the directory and the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often it is looked whether somebody else fetched, or an override ended.
const COUNT_EVERY: Duration = Duration::from_secs(30);
/// What the access log is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Another snapshot is in force.
    InForce {
        /// Its name.
        snapshot: String,
        /// Who put it there.
        by: String,
    },
    /// The gate holds one.
    Held {
        /// Its name.
        snapshot: String,
        /// Why.
        why: String,
    },
    /// Nothing came of an attempt.
    Failed(String),
    /// A decision of the bank's own people came in, or was taken back.
    Override {
        /// Its number.
        number: u64,
        /// About whom.
        organisation_id: String,
        /// In words: what, until when, why.
        what: String,
        /// Who decided.
        by: Vec<String>,
    },
}

impl Tell {
    fn made(one: &Override) -> Self {
        Self::about(one, format!("{} until {}: {}", one.decision, one.until, one.because))
    }

    fn about(one: &Override, what: String) -> Self {
        let (number, organisation_id) = (one.number, one.organisation_id.clone());
        Self::Override { number, organisation_id, what, by: one.by.to_vec() }
    }
}

type FileStamps = Vec<Option<(u64, SystemTime)>>;

/// Keeps the register current.
pub struct Refresh {
    settings: RegisterSettings,
    directory: Directory,
    fetcher: Option<Fetcher>,
    apis: Vec<Api>,
    metrics: RegisterMetrics,
    /// What is in force, and what it was read from.
    in_force: Arc<Register>,
    seen: (Stamp, Option<u64>),
    /// The files as they were read last, and as they were seen last.
    files: Option<FileStamps>,
    pending: FileStamps,
    /// Decisions that the access log knows, made and taken back.
    told: (usize, usize),
    /// Attempts in a row from which nothing came: of fetching, and of reading the files.
    unfetched: usize,
    unread: usize,
}

impl Refresh {
    /// From what is in force; `apis` say what a TPP needs.
    ///
    /// # Errors
    /// A metric registered twice.
    pub fn new(
        settings: RegisterSettings,
        directory: Directory,
        fetcher: Option<Fetcher>,
        apis: Vec<Api>,
        in_force: Arc<Register>,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        let metrics = RegisterMetrics::new(registry)?;
        let seen = directory.stamp();
        let told = directory.overrides().map_or((0, 0), |all| counted(&all));
        Ok(Self {
            settings,
            directory,
            fetcher,
            apis,
            metrics,
            in_force,
            seen,
            files: None,
            pending: Vec::new(),
            told,
            unfetched: 0,
            unread: 0,
        })
    }

    /// Works until `closing`. `known` tells which TPPs there are and how many live tokens they hold,
    /// or that the tokens cannot be counted; `publish` takes each register that comes into force.
    pub async fn run<K>(
        mut self,
        known: impl Fn() -> K + Send + 'static,
        publish: impl Fn(Arc<Register>) + Send + 'static,
        tell: impl Fn(Tell) + Send + 'static,
        mut closing: watch::Receiver<bool>,
    ) where
        K: Future<Output = (Known, bool)> + Send,
    {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.tell_start(&tell);
        let mut fetch_at = Instant::now();
        let mut count_at = Instant::now();
        let mut read_at = None::<Instant>;
        loop {
            tokio::select! {
                _ = look.tick() => {}
                _ = closing.changed() => return,
            }
            tokio::task::block_in_place(|| self.look(&publish, &tell));
            if self.fetcher.is_some() && Instant::now() >= fetch_at {
                let pause = self.fetch(&known, &tell).await;
                fetch_at = Instant::now() + pause.mul_f64(rand::random_range(0.9..=1.1));
            }
            let files = stamps(&self.settings);
            // A file that is being written is not whole yet: two looks must agree.
            // Only before the first is there nothing to lose.
            let settled = files == self.pending || self.seen.0.0.is_none();
            let changed = Some(&files) != self.files.as_ref();
            // A full disk is no fault of the files: what failed is tried again, changed or not.
            let again = read_at.is_some_and(|at| Instant::now() >= at);
            if settled
                && (changed || again)
                && let Some(good) = self.attempt(&known, &tell).await
            {
                self.unread = if good || changed { 0 } else { self.unread + 1 };
                read_at = (!good).then(|| Instant::now() + pause(self.unread));
                self.files = Some(files.clone());
            }
            self.pending = files;
            if Instant::now() >= count_at {
                count_at = Instant::now() + COUNT_EVERY;
                tokio::task::block_in_place(|| self.count());
            }
        }
    }

    /// The log says at each start what requests are judged by from now on.
    fn tell_start(&self, tell: &impl Fn(Tell)) {
        if let Some(snapshot) = self.seen.0.0.clone() {
            let history = self.directory.history().unwrap_or_default();
            let by = history.last().map_or_else(String::new, |taken| taken.by.clone());
            tell(Tell::InForce { snapshot, by });
        }
        let now = clock::now();
        let all = self.directory.overrides().unwrap_or_default();
        all.iter().filter(|one| one.stands(now)).map(Tell::made).for_each(tell);
    }

    /// Takes in what is in force in the directory, if that is something else.
    fn look(&mut self, publish: &impl Fn(Arc<Register>), tell: &impl Fn(Tell)) {
        let stamp = self.directory.stamp();
        if stamp == self.seen {
            return;
        }
        match self.read() {
            Ok(register) => {
                let before = std::mem::replace(&mut self.seen, stamp);
                if before.0.0 != self.seen.0.0
                    && let Some(snapshot) = self.seen.0.0.clone()
                {
                    let history = self.directory.history().unwrap_or_default();
                    let by = history.last().map_or_else(String::new, |taken| taken.by.clone());
                    tracing::info!(snapshot, by, "another register snapshot is in force");
                    tell(Tell::InForce { snapshot, by });
                }
                self.tell_overrides(tell);
                self.in_force = Arc::new(register);
                publish(Arc::clone(&self.in_force));
                self.count();
            }
            Err(error) => {
                // Said once: the next look compares with what could not be read.
                self.seen = stamp;
                self.metrics.refreshes.with_label_values(&["unreadable"]).inc();
                tracing::error!(%error, "what is in force in the register's directory cannot be read; the old register serves");
                tell(Tell::Failed(error.to_string()));
            }
        }
    }

    fn read(&self) -> Result<Register, ImportError> {
        let date = |error: DirectoryError| ImportError::Date(error.to_string());
        let (name, snapshot) = self
            .directory
            .archive()
            .current()
            .map_err(|error| date(DirectoryError::Archive(error)))?;
        let register = self.directory.register((name, &snapshot), usize::MAX, self.settings.policy);
        register.map_err(date)
    }

    fn tell_overrides(&mut self, tell: &impl Fn(Tell)) {
        let Ok(all) = self.directory.overrides() else { return };
        all.iter().skip(self.told.0).map(Tell::made).for_each(tell);
        let now_told = counted(&all);
        if now_told.1 != self.told.1 {
            for one in all.iter().filter(|one| one.revoked_at.is_some()) {
                tell(Tell::about(one, "taken back".to_owned()));
            }
        }
        self.told = now_told;
    }

    fn count(&self) {
        let now = clock::now();
        let held = self.directory.held().ok().flatten().is_some();
        self.metrics.held.set(i64::from(held));
        let standing = self.directory.overrides().unwrap_or_default();
        let standing = standing.iter().filter(|one| one.stands(now)).count();
        self.metrics.overrides.set(i64::try_from(standing).unwrap_or(i64::MAX));
        let disagreements = self.in_force.disagreements(now).count();
        self.metrics.disagreements.set(i64::try_from(disagreements).unwrap_or(i64::MAX));
        for source in self.in_force.sources() {
            let account = &source.account;
            for (fate, rows) in [
                ("used", account.used),
                ("not_relevant", account.not_relevant),
                ("rejected", account.rejected),
            ] {
                let labels = [source.origin.code(), source.file.as_str(), fate];
                let rows = i64::try_from(rows).unwrap_or(i64::MAX);
                self.metrics.rows.with_label_values(&labels).set(rows);
            }
        }
    }
}

fn counted(all: &[Override]) -> (usize, usize) {
    (all.len(), all.iter().filter(|one| one.revoked_at.is_some()).count())
}
