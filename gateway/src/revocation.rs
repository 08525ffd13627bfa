//! Keeps what is known about revocations current, beside the requests: asks CRLs and OCSP responders
//! for every TPP that was ever let in, before their answers end, and swaps the result in whole.
//!
//! A request never waits for any of it. A certificate that is seen for the first time is asked about
//! at once; until the answer is there it is refused with `revocation_unknown`.

mod ask;
mod metrics;
mod schedule;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use certs::{Anchors, Identity, Leaf, OrganisationId, Revocations, Trusted};
use prometheus::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use self::ask::{Asked, Asker, Question};
use self::metrics::RevocationMetrics;
use self::schedule::Schedule;
use crate::clock;
use crate::config::RevocationSettings;
use crate::fetch::Fetcher;
use crate::tpps::Shown;
use crate::world::{CertifiedPath, Kept, Objects};

/// Certificates that are watched at most; the one not seen for longest makes room.
const WATCHED_MAX: usize = 10_000;
/// Certificates that wait to be watched.
const NOTICED_MAX: usize = 1_024;
/// Questions that are asked at the same time.
const QUESTIONS_AT_ONCE: usize = 8;
/// After so long a certificate that comes again counts as seen anew.
const TELL_AGAIN: Duration = Duration::from_secs(3600);
/// How often, at most, a changed world is swapped in.
const PUBLISH_EVERY: Duration = Duration::from_millis(20);

/// How often the metrics are brought up to date: answers end without anything happening.
const SHOW_EVERY: Duration = Duration::from_secs(1);
/// The same for the series of the TPPs while none came or went.
const SHOW_TPPS_EVERY: Duration = Duration::from_secs(3600);

/// Where handshakes tell whom they let in.
#[derive(Debug)]
pub struct Watch {
    sender: mpsc::Sender<CertifiedPath>,
    told: Arc<Told>,
}

/// When each fingerprint was told last.
type Told = Mutex<HashMap<[u8; 32], Instant>>;

impl Watch {
    /// Has a certificate watched whose path is known: a QSEALC, for example.
    pub fn watch(&self, certificate: &Leaf, trusted: &Trusted) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let lately = |at: &Instant| now.duration_since(*at) < TELL_AGAIN;
        if told.get(certificate.fingerprint()).is_some_and(lately) {
            return;
        }
        // A full queue forgets it: the next handshake tells it again.
        if self.sender.try_send(CertifiedPath::of(certificate, trusted)).is_ok() {
            told.insert(*certificate.fingerprint(), now);
        }
    }

    /// Has `identity` watched from now on, if it is anybody's that we would let in.
    pub fn notice(&self, identity: &Identity) {
        if let (Ok(leaf), Ok(trusted), Ok(_)) =
            (identity.leaf(), identity.trust(), identity.profile())
        {
            self.watch(leaf, trusted);
        }
    }
}

/// Why the watch cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The HTTP client.
    #[error("trust.revocation: {0}")]
    Client(#[from] reqwest::Error),
    /// A metric registered twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What watches, from `revocations` and what the directory of `settings` kept, once it is run; `publish`
/// is called with each new state, until `closing`. What comes in is kept in `objects` for good. A TPP has
/// series by its name only while it `is_listed`.
///
/// # Errors
/// The HTTP client or the metrics cannot be set up.
pub fn watch(
    (settings, objects): (&RevocationSettings, Objects),
    anchors: &Anchors,
    mut revocations: Revocations,
    registry: &Registry,
    (publish, is_listed): (
        impl Fn(Arc<Revocations>) + Send + 'static,
        impl Fn(&OrganisationId) -> bool + Send + 'static,
    ),
    closing: watch::Receiver<bool>,
) -> Result<(Watch, impl Future<Output = ()> + Send + 'static), WatchError> {
    let kept = Kept::new(&settings.directory).remembering(objects);
    let known = kept.load(anchors, &mut revocations, clock::now());
    let fetcher = Fetcher::new(settings.allow.clone())?;
    let (sender, noticed) = mpsc::channel(NOTICED_MAX);
    let told = Arc::new(Told::default());
    let mut keeper = Keeper {
        asker: Arc::new(Asker::new(fetcher)),
        kept,
        revocations,
        watched: HashMap::new(),
        shown: HashMap::new(),
        shown_at: None,
        is_listed: Box::new(is_listed),
        told: Arc::clone(&told),
        schedule: Schedule::new(settings.refresh),
        metrics: RevocationMetrics::new(registry)?,
        changed: true,
    };
    for path in known {
        keeper.watch(path, true);
    }
    Ok((Watch { sender, told }, keeper.run(noticed, publish, closing)))
}

struct Keeper {
    asker: Arc<Asker>,
    kept: Kept,
    revocations: Revocations,
    /// By fingerprint, with when it was last seen.
    watched: HashMap<[u8; 32], (CertifiedPath, Instant)>,
    /// What those of them that name a TPP say.
    shown: HashMap<[u8; 32], Shown>,
    /// When the series of the TPPs were last brought up to date; none, when they must be.
    shown_at: Option<Instant>,
    /// What a stranger's certificate calls it is no label.
    is_listed: Box<dyn Fn(&OrganisationId) -> bool + Send>,
    told: Arc<Told>,
    schedule: Schedule,
    metrics: RevocationMetrics,
    /// Something was learnt that is not published yet.
    changed: bool,
}

impl Keeper {
    async fn run(
        mut self,
        mut noticed: mpsc::Receiver<CertifiedPath>,
        publish: impl Fn(Arc<Revocations>),
        mut closing: watch::Receiver<bool>,
    ) {
        let mut asking: JoinSet<Asked> = JoinSet::new();
        let mut tick = tokio::time::interval(PUBLISH_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut show = tokio::time::interval(SHOW_EVERY);
        show.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while asking.len() < QUESTIONS_AT_ONCE {
                let Some(question) = self.schedule.due(Instant::now()) else { break };
                let asker = Arc::clone(&self.asker);
                asking.spawn(async move { asker.ask(question).await });
            }
            let next = self.schedule.next_at();
            let room = asking.len() < QUESTIONS_AT_ONCE;
            tokio::select! {
                path = noticed.recv() => match path {
                    Some(path) => self.watch(path, false),
                    None => return,
                },
                Some(asked) = asking.join_next() => {
                    // A question that panicked is asked again when it is due.
                    if let Ok(asked) = asked {
                        self.learn(asked);
                    }
                }
                () = tokio::time::sleep_until(next), if room => {}
                _ = tick.tick(), if self.changed => {
                    self.changed = false;
                    publish(Arc::new(self.revocations.clone()));
                }
                _ = show.tick() => {
                    self.metrics.show(&self.revocations, self.watched.len(), clock::now());
                    self.show_tpps();
                }
                _ = closing.changed() => return,
            }
        }
    }

    fn watch(&mut self, path: CertifiedPath, kept: bool) {
        let (fingerprint, now) = (path.fingerprint(), Instant::now());
        let new = !self.watched.contains_key(&fingerprint);
        if !kept
            && new
            && let Err(error) = self.kept.keep_path(&path)
        {
            tracing::warn!(%error, "a TPP's certificates could not be kept for the next start");
        }
        for (subject, issuer) in path.pairs() {
            for question in Question::about(subject, issuer) {
                self.schedule.add(question, now);
            }
        }
        if new && let Some(shown) = Shown::read(&path) {
            self.shown.insert(fingerprint, shown);
            self.shown_at = None;
        }
        self.watched.insert(fingerprint, (path, now));
        if self.watched.len() > WATCHED_MAX {
            self.forget_oldest();
        }
    }

    fn show_tpps(&mut self) {
        let now = Instant::now();
        if self.shown_at.is_none_or(|at| now.duration_since(at) >= SHOW_TPPS_EVERY) {
            self.shown_at = Some(now);
            let listed = self.shown.values().filter(|one| (self.is_listed)(&one.organisation_id));
            self.metrics.show_tpps(listed, clock::now());
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.watched.iter().min_by_key(|(_, (_, seen))| *seen);
        let Some(fingerprint) = oldest.map(|(fingerprint, _)| *fingerprint) else { return };
        if let Some((path, _)) = self.watched.remove(&fingerprint) {
            self.shown.remove(&fingerprint);
            self.shown_at = None;
            // When it comes again, it is watched again.
            self.told.lock().unwrap_or_else(PoisonError::into_inner).remove(&fingerprint);
            self.kept.drop_path(&fingerprint);
            let leaf = path.certificates.first();
            self.schedule
                .retain(|question| leaf.is_none_or(|leaf| !question.is_answered_about(leaf)));
            let subject = leaf.map(|leaf| leaf.serial_hex().to_owned());
            self.revocations
                .retain_answers(|answer| subject.as_deref() != Some(&hex::encode(&answer.serial)));
        }
    }

    /// Takes in what came back, and says when to ask again.
    fn learn(&mut self, asked: Asked) {
        let now = Instant::now();
        let (question, result) = (asked.question, asked.result);
        match result {
            Ok(answer) => {
                self.metrics.count(question.kind(), "ok");
                let end = answer.end();
                let kept = match &answer {
                    ask::Answer::List(list, bytes) => {
                        self.kept.keep_list(list, bytes, question.issuer(), clock::now())
                    }
                    ask::Answer::Status(_, bytes) => {
                        let (subject, issuer) = (question.subject(), question.issuer());
                        self.kept.keep_answer(subject, bytes, issuer, clock::now())
                    }
                    ask::Answer::Unchanged(_) => Ok(()),
                };
                if let Err(error) = kept {
                    tracing::warn!(%error, "an answer could not be kept for the next start");
                }
                self.changed |= match answer {
                    ask::Answer::List(list, _) => self.revocations.add_list(list),
                    ask::Answer::Status(answer, _) => self.revocations.add_answer(answer),
                    ask::Answer::Unchanged(_) => false,
                };
                let left = end.duration_since(clock::now());
                self.schedule.answered(question, Duration::try_from(left).ok(), now);
            }
            Err(fault) => {
                self.metrics.count(question.kind(), fault.label());
                tracing::warn!(
                    source = question.kind(),
                    issuer = question.issuer().subject(),
                    %fault,
                    "a revocation source gave no answer; what is known counts until its end"
                );
                self.schedule.failed(question, now);
            }
        }
    }
}
