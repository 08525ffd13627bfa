//! Which gateways share the limits, so that each knows its share when it loses Redis.
//!
//! Every gateway gives a sign of life in one hash, and reads there how many there are and how many are
//! silent. One that cannot give it grants its share of each limit, but only when it has been silent for
//! so long that the others must have seen it and have taken its share off what they grant. Before it is
//! among them again it tells Redis what it granted. So all together never grant more than the limit.

mod state;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use policies::QuotaFact;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use uuid::Uuid;

use self::state::{Answer, PARTS_MIN, State};
use super::link::{Fault, Link};
use super::quota_metrics::QuotaMetrics;
use super::scripts::{self, Settle, Sign, microseconds};
use super::share::LocalShare;
use crate::clock;
use crate::store::Instance;
use crate::store::limits::{PRESENCE_ALONE_AFTER, PRESENCE_PERIOD, PRESENCE_SILENT_AFTER};

pub(super) use self::state::{MILLION, Mode, Silent};

/// The signs of life of one store. They end with it.
pub(super) struct Presence {
    shared: Arc<Shared>,
    task: OnceLock<AbortHandle>,
}

struct Shared {
    link: Arc<Link>,
    share: LocalShare,
    share_for: Duration,
    name: String,
    state: Mutex<State>,
    /// Whether a sign was ever answered.
    known: watch::Sender<bool>,
    metrics: QuotaMetrics,
}

impl Presence {
    /// Does not connect, and needs no runtime.
    pub(super) fn new(
        link: Arc<Link>,
        (share_for, instance): (Duration, Option<Instance>),
        metrics: QuotaMetrics,
    ) -> Self {
        let shared = Shared {
            link,
            share: LocalShare::new(),
            share_for,
            name: instance.map_or_else(|| Uuid::new_v4().simple().to_string(), hex::encode),
            state: Mutex::default(),
            known: watch::Sender::new(false),
            metrics,
        };
        Presence { shared: Arc::new(shared), task: OnceLock::new() }
    }

    /// Gives signs from now on, if there is a runtime to do it in.
    pub(super) fn start(&self) {
        if self.task.get().is_some() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let give = || runtime.spawn(Arc::clone(&self.shared).give_signs()).abort_handle();
            self.task.get_or_init(give);
        }
    }

    pub(super) fn mode(&self, now: Instant) -> Mode {
        self.shared.state().mode(now, self.shared.share_for)
    }

    /// How many gateways there are, this one included; nothing before the first answer.
    pub(super) fn gateways(&self, now: Instant) -> Option<NonZeroU32> {
        let state = self.shared.state();
        state.answered.map(|_| state.all(now))
    }

    /// Waits for the first answer, within the time limit of any question.
    pub(super) async fn known(&self) {
        let mut known = self.shared.known.subscribe();
        let first = known.wait_for(|known| *known);
        let _ = tokio::time::timeout(self.shared.link.timeout(), first).await;
    }

    /// Grants what `grant` takes out of the share, if the gateway is alone. What is granted is told
    /// before the gateway is among the others again: nothing comes in between.
    pub(super) fn alone(
        &self,
        now: Instant,
        grant: impl FnOnce(&LocalShare, NonZeroU32, Duration) -> QuotaFact,
    ) -> QuotaFact {
        let state = self.shared.state();
        match state.mode(now, self.shared.share_for) {
            Mode::Alone { all, since } => grant(&self.shared.share, all, since),
            Mode::Unknown | Mode::Among(_) | Mode::Nothing => QuotaFact::Unavailable,
        }
    }

    pub(super) fn buckets(&self) -> usize {
        self.shared.share.len()
    }

    /// Says good-bye, so that nobody keeps a share for this gateway.
    pub(super) async fn leave(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
        let sign = Sign { leaving: true, ..self.shared.sign(0) };
        let link = &self.shared.link;
        if let Err(fault) = scripts::run(link, &sign, link.deadline()).await {
            tracing::warn!(%fault, "the other gateways are not told that this one leaves");
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl Shared {
    async fn give_signs(self: Arc<Self>) {
        let mut failed = false;
        loop {
            let started = tokio::time::Instant::now();
            match self.give_sign().await {
                Ok(()) => failed = false,
                Err(fault) if !std::mem::replace(&mut failed, true) => {
                    tracing::warn!(
                        %fault,
                        "no sign of life reaches Redis: limits are granted out of this gateway's share, \
                         after a pause in which the others notice"
                    );
                }
                Err(_) => (),
            }
            self.metrics.mode(self.state().mode(Instant::now(), self.share_for));
            // Gateways that were started together do not ask together for ever.
            let period = PRESENCE_PERIOD.mul_f64(rand::random_range(0.8..=1.0));
            tokio::time::sleep_until(started + period).await;
        }
    }

    async fn give_sign(&self) -> Result<(), Fault> {
        let waited = self
            .state()
            .answered
            .is_some_and(|answered| answered.elapsed() >= PRESENCE_SILENT_AFTER);
        if waited {
            // A sign that Redis sees and this gateway does not see answered would make the others count
            // on a share that is being granted here: none is given before Redis has been heard.
            self.link.ask(&redis::cmd("PING"), self.link.deadline()).await?;
            let debts = {
                let mut state = self.state();
                state.returning = true;
                self.share.debts(clock::now())
            };
            for debt in debts {
                let settle = Settle::charge(&debt);
                // Told twice, a debt is charged twice: the TPP has less, never more.
                if let Err(fault) = scripts::run(&self.link, &settle, self.link.deadline()).await {
                    self.state().returning = false;
                    return Err(fault);
                }
            }
            self.share.begin_anew(clock::now());
        }
        let asked = Instant::now();
        let (sign, before) = {
            let mut state = self.state();
            let before = state.given.replace(asked);
            let all = state.all(asked).max(PARTS_MIN);
            state.told = if state.answered.is_some() { all.get() } else { 0 };
            let late = state.clock.map_or(0, |(shown, at)| {
                let elapsed = asked.saturating_duration_since(at) + PRESENCE_PERIOD;
                shown.saturating_add(microseconds(elapsed))
            });
            (Sign { parts: state.told, ..self.sign(late) }, before)
        };
        let deadline = tokio::time::Instant::now() + PRESENCE_PERIOD;
        let answer = scripts::run(&self.link, &sign, deadline).await;
        let mut state = self.state();
        state.returning = false;
        if answer.as_ref().is_err_and(Fault::is_certain) {
            // Redis did not see it: the time alone is not put off.
            state.given = before;
        }
        match Answer::read(&answer?) {
            Some(Answer::Heard(heard)) => {
                state.hear(&heard, asked, self.share_for);
                self.metrics.gateways(heard.crowd.present, heard.crowd.all);
                drop(state);
                self.known.send_if_modified(|known| !std::mem::replace(known, true));
            }
            // The next sign is given by the clock that was shown.
            Some(Answer::Late { shown }) => state.clock = Some((shown, Instant::now())),
            None => tracing::error!("the script of signs gave an answer of another shape"),
        }
        Ok(())
    }

    fn sign(&self, late: u64) -> Sign<'_> {
        let gone = PRESENCE_ALONE_AFTER + self.share_for + PRESENCE_SILENT_AFTER;
        Sign {
            name: &self.name,
            late,
            silent_after: microseconds(PRESENCE_SILENT_AFTER),
            gone_after: microseconds(gone),
            leaving: false,
            parts: 0,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
