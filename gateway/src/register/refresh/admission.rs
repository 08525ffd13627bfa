//! How another snapshot comes in: fetched or read, built, and let in through the gate, held there, or refused.

use std::time::Duration;

use policies::Register;
use policies::register::{Overrides, Rejection, Snapshot};

use super::{LOOK_EVERY, Refresh, Tell};
use crate::clock;
use crate::register::directory::{DirectoryError, Held};
use crate::register::fetch::Downloads;
use crate::register::gate::{Impact, Known, Usable};
use crate::register::sources::{ImportError, Parts, build};

/// The pauses after failed attempts, up to the last.
const RETRIES: [u64; 6] = [20, 60, 120, 300, 600, 1800];

impl Refresh {
    /// Fetches and judges; gives the pause until the next time.
    pub(super) async fn fetch<K>(
        &mut self,
        known: &impl Fn() -> K,
        tell: &impl Fn(Tell),
    ) -> Duration
    where
        K: Future<Output = (Known, bool)> + Send,
    {
        let every = self.settings.fetch.as_ref().map_or(LOOK_EVERY, |fetch| fetch.every);
        let Some(fetcher) = &self.fetcher else { return every };
        let good = match self.directory.lock() {
            // Another gateway at the same directory is at it.
            Ok(None) => return every,
            Ok(Some(_lock)) => {
                let downloads = Downloads::below(self.directory.path());
                match downloads.fetch(&self.settings, fetcher, clock::now(), &|_, _| {}).await {
                    Ok(true) => self.judge(known, tell).await,
                    Ok(false) => {
                        self.metrics.refreshes.with_label_values(&["unchanged"]).inc();
                        true
                    }
                    Err(error) => self.failed("a register was not fetched", &error, tell),
                }
            }
            Err(error) => self.failed("the register's directory cannot be locked", &error, tell),
        };
        if good {
            self.unfetched = 0;
            return every;
        }
        self.unfetched += 1;
        every.min(pause(self.unfetched - 1))
    }

    /// Reads the files once more. None, when another gateway is at it; else whether it went well.
    pub(super) async fn attempt<K>(
        &self,
        known: &impl Fn() -> K,
        tell: &impl Fn(Tell),
    ) -> Option<bool>
    where
        K: Future<Output = (Known, bool)> + Send,
    {
        match self.directory.lock() {
            Ok(None) => None,
            Ok(Some(_lock)) => Some(self.judge(known, tell).await),
            Err(error) => {
                Some(self.failed("the register's directory cannot be locked", &error, tell))
            }
        }
    }

    /// Raises the alarm; the old register serves. Always false: nothing came of it.
    fn failed(&self, what: &str, error: &dyn std::fmt::Display, tell: &impl Fn(Tell)) -> bool {
        tracing::error!(%error, "{what}; the old register serves");
        self.metrics.refreshes.with_label_values(&["failed"]).inc();
        tell(Tell::Failed(error.to_string()));
        false
    }

    /// Builds a snapshot of what the files hold, and lets it in or holds it.
    async fn judge<K>(&self, known: &impl Fn() -> K, tell: &impl Fn(Tell)) -> bool
    where
        K: Future<Output = (Known, bool)> + Send,
    {
        match self.admit(known, tell).await {
            Ok(outcome) => {
                self.metrics.refreshes.with_label_values(&[outcome]).inc();
                true
            }
            Err(error) => self.failed("a new register was refused", &error, tell),
        }
    }

    async fn admit<K>(
        &self,
        known: &impl Fn() -> K,
        tell: &impl Fn(Tell),
    ) -> Result<&'static str, ImportError>
    where
        K: Future<Output = (Known, bool)> + Send,
    {
        let downloads = Downloads::below(self.directory.path());
        let parts = Parts::of(&self.settings, |url| downloads.find(url))?;
        let newer =
            tokio::task::block_in_place(|| build(&parts, &mut |_: &Rejection| {}, &|_| {}))?;
        let date = |error: DirectoryError| ImportError::Date(error.to_string());
        let archive = self.directory.archive();
        let name = archive.keep(&newer).map_err(|error| date(error.into()))?;
        let current = archive.current_name().map_err(|error| date(error.into()))?;
        if current.as_deref() == Some(name.as_str()) {
            // Whoever published what is held has taken it back.
            self.directory.release().map_err(date)?;
            self.metrics.held.set(0);
            return Ok("unchanged");
        }
        let now = clock::now();
        if current.is_some() {
            let (_, older) = archive.current().map_err(|error| date(error.into()))?;
            let (known, tokens_known) = known().await;
            let held = tokio::task::block_in_place(|| {
                self.held(&older, &newer, (&known, tokens_known), &name)
            })?;
            if let Some(held) = held {
                let why: Vec<String> = held.why.iter().map(ToString::to_string).collect();
                let again =
                    self.directory.held().ok().flatten().is_some_and(|h| h.snapshot == name);
                self.directory.hold(&held).map_err(date)?;
                self.metrics.held.set(1);
                if !again {
                    let (why, impact) = (why.join("; "), held.impact.to_string());
                    tracing::error!(
                        snapshot = name,
                        why,
                        impact,
                        "a new register is held: look at it with `octroi register diff`, then `octroi register accept`"
                    );
                    tell(Tell::Held { snapshot: name, why });
                }
                return Ok("held");
            }
        }
        self.directory.take(&name, "gateway", now).map_err(date)?;
        self.directory.release().map_err(date)?;
        self.metrics.held.set(0);
        let pruned = self.directory.prune(self.settings.kept_for, now).map_err(date)?;
        if pruned > 0 {
            tracing::info!(pruned, "old register snapshots were removed");
        }
        Ok("ok")
    }

    fn held(
        &self,
        older: &Snapshot,
        newer: &Snapshot,
        known: (&Known, bool),
        name: &str,
    ) -> Result<Option<Held>, ImportError> {
        let policy = self.settings.policy;
        let old = Register::of(older, Overrides::default(), policy)?;
        let new = Register::of(newer, Overrides::default(), policy)?;
        let now = clock::now();
        let usable = Usable::of(self.apis.iter());
        let impact = Impact::of((older, &old), (newer, &new), known, &usable, now);
        let why = impact.holds(older, newer, self.settings.gate);
        let snapshot = name.to_owned();
        Ok((!why.is_empty()).then_some(Held { snapshot, at: now, why, impact }))
    }
}

/// How long to wait after so many failures before the last.
pub(super) fn pause(before: usize) -> Duration {
    Duration::from_secs(RETRIES[before.min(RETRIES.len() - 1)])
}
