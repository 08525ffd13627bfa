//! Word from Redis of every token that changes, so that a warm one costs no round trip and a revoked
//! one is refused at once: client-side caching in broadcast mode
//! (<https://redis.io/docs/latest/develop/reference/client-side-caching/>) over a connection of its
//! own, which a heartbeat keeps honest.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, PushInfo, PushKind, RedisError, Value};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::dial::in_resp3;
use super::link::Link;
use super::node::Node;
use super::pulse::{Pulse, Pulses};
use super::tokens::{Concern, KILLS, TRACKED_PREFIXES, concern};
use crate::store::cache::{Generation, TokenCache};
use crate::store::kills::TimeToKill;
use crate::store::limits::{
    LOOK_PERIOD, TRACKING_HEARTBEAT_PERIOD, TRACKING_HEARTBEAT_TIMEOUT, TRACKING_PAUSE_MAX,
    TRACKING_PAUSE_MIN, TRACKING_REFUSED_PAUSE, TRACKING_SETUP_TIMEOUT, jittered,
};

/// The listeners of one store, one for each server that has keys. They end with it.
pub(super) struct Tracking {
    ears: Arc<Ears>,
    task: OnceLock<AbortHandle>,
}

impl Tracking {
    /// Does not connect, and needs no runtime.
    pub(super) fn new(link: Arc<Link>, cache: Arc<TokenCache>, time_to_kill: TimeToKill) -> Self {
        let ears = Arc::new(Ears { link, cache, time_to_kill, pulses: Pulses::new() });
        Tracking { ears, task: OnceLock::new() }
    }

    /// Listens from now on, if there is a runtime to listen in.
    pub(super) fn start(&self) {
        if self.task.get().is_some() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let listen = || runtime.spawn(Arc::clone(&self.ears).run()).abort_handle();
            self.task.get_or_init(listen);
        }
    }

    /// The generation under which records may be used without asking, if there is one now.
    pub(super) fn live(&self, now: std::time::Instant) -> Option<Generation> {
        self.ears.pulses.live(now)
    }

    /// Waits until everything that Redis has said by now has been dealt with.
    #[cfg(test)]
    pub(super) async fn settled(&self) {
        self.start();
        let now = Instant::now().into_std();
        while !self.ears.pulses.have_beaten_since(now) {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Do invalidations arrive?
    pub(super) fn is_live(&self, now: std::time::Instant) -> bool {
        self.live(now).is_some()
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl fmt::Debug for Tracking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracking").finish_non_exhaustive()
    }
}

/// What the listeners share.
struct Ears {
    link: Arc<Link>,
    cache: Arc<TokenCache>,
    time_to_kill: TimeToKill,
    pulses: Pulses,
}

impl Ears {
    /// One listener for each server that has keys, whichever these are. Where they may change without
    /// a word to us, they are looked at again and again: a master that was replaced behind our back
    /// goes on to answer, and tells of no change.
    async fn run(self: Arc<Self>) {
        let mut listening: Vec<(Arc<Node>, Arc<Pulse>, AbortOnDrop)> = Vec::new();
        let mut version = 0;
        let mut looked = self.link.looked();
        loop {
            let map = self.link.map();
            if map.version != version {
                version = map.version;
                listening.retain(|(node, _, _)| map.masters.iter().any(|m| Arc::ptr_eq(m, node)));
                for node in &map.masters {
                    if !listening.iter().any(|(known, _, _)| Arc::ptr_eq(known, node)) {
                        let (listener, node) = (Listener::new(&self, node), Arc::clone(node));
                        let pulse = Arc::clone(&listener.pulse);
                        let task = tokio::spawn(listener.run()).abort_handle();
                        listening.push((node, pulse, AbortOnDrop(task)));
                    }
                }
                self.pulses.replace(listening.iter().map(|(_, p, _)| Arc::clone(p)).collect());
            }
            tokio::select! {
                _ = looked.changed() => (),
                () = sleep(jittered(LOOK_PERIOD)) => {
                    self.link.look();
                }
            }
        }
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens to one server.
struct Listener {
    ears: Arc<Ears>,
    node: Arc<Node>,
    pulse: Arc<Pulse>,
    clock: ServerClock,
}

/// Why a connection for invalidations is not there.
#[derive(Debug, Error)]
enum Silence {
    #[error("a heartbeat was not answered in time")]
    Late,
    #[error("the connection ended")]
    Ended,
    #[error("{0}")]
    Failed(#[from] RedisError),
}

impl Silence {
    /// The server is there and does not do this, or not for us.
    fn is_refusal(&self) -> bool {
        let Silence::Failed(error) = self else { return false };
        error.kind() == ErrorKind::RESP3NotSupported
            || matches!(error.code(), Some("ERR" | "NOPERM" | "NOPROTO"))
    }
}

impl Listener {
    fn new(ears: &Arc<Ears>, node: &Arc<Node>) -> Arc<Self> {
        let (ears, node) = (Arc::clone(ears), Arc::clone(node));
        Arc::new(Listener { ears, node, pulse: Arc::new(Pulse::new()), clock: ServerClock::new() })
    }

    async fn run(self: Arc<Self>) {
        let mut pause = TRACKING_PAUSE_MIN;
        let mut warned = false;
        loop {
            // While Redis is left alone it is left alone by us, too.
            while self.node.breaker().is_open() {
                pause = TRACKING_PAUSE_MIN;
                sleep(jittered(pause)).await;
            }
            let mut lived = false;
            let silence = self.listen(&mut lived).await;
            if lived {
                (pause, warned) = (TRACKING_PAUSE_MIN, false);
            }
            let refused = silence.is_refusal();
            if !warned && (lived || refused || pause == TRACKING_PAUSE_MAX) {
                warned = true;
                warn(self.node.address(), &silence, refused);
            }
            sleep(jittered(if refused { TRACKING_REFUSED_PAUSE } else { pause })).await;
            pause = (pause * 2).min(TRACKING_PAUSE_MAX);
        }
    }

    /// One connection from its beginning to its end, which it tells the reason of. Whatever ends it,
    /// what was read under it counts no more.
    async fn listen(self: &Arc<Self>, lived: &mut bool) -> Silence {
        let Some(generation) = self.pulse.begin() else { return Silence::Ended };
        self.ears.pulses.turn();
        let ended = Arc::new(Notify::new());
        let connected = timeout(TRACKING_SETUP_TIMEOUT, self.connect(generation, &ended)).await;
        let silence = match connected {
            Ok(Ok(connection)) => self.follow(connection, generation, &ended, lived).await,
            Ok(Err(error)) => error.into(),
            Err(_) => Silence::Late,
        };
        self.end(generation);
        silence
    }

    /// The connection is gone, and whatever was said since has been missed.
    fn end(&self, generation: Generation) {
        self.pulse.end(generation);
        self.ears.pulses.turn();
    }

    async fn connect(
        self: &Arc<Self>,
        generation: Generation,
        ended: &Arc<Notify>,
    ) -> Result<MultiplexedConnection, RedisError> {
        let (listener, ended) = (Arc::clone(self), Arc::clone(ended));
        // Called in the order of arrival: an answer finds every push before it dealt with.
        let hear = move |push: PushInfo| -> Result<(), redis::aio::SendError> {
            match push.kind {
                PushKind::Invalidate => listener.invalidated(&push.data),
                PushKind::Message => listener.killed(&push.data),
                PushKind::Disconnection => {
                    listener.end(generation);
                    ended.notify_one();
                }
                _ => (),
            }
            Ok(())
        };
        let config = AsyncConnectionConfig::new()
            .set_push_sender(hear)
            .set_connection_timeout(Some(TRACKING_SETUP_TIMEOUT))
            .set_response_timeout(Some(TRACKING_SETUP_TIMEOUT));
        let mut connection = track(&self.node, &config).await?;
        if let Err(error) = connection.subscribe(KILLS).await {
            if error.is_unrecoverable_error() {
                return Err(error);
            }
            tracing::debug!(%error, "the time that revocations take is not measured");
        }
        Ok(connection)
    }

    async fn follow(
        &self,
        mut connection: MultiplexedConnection,
        generation: Generation,
        ended: &Notify,
        lived: &mut bool,
    ) -> Silence {
        let time = redis::cmd("TIME");
        loop {
            let asked = Instant::now();
            let answer = connection.send_packed_command(&time);
            let answer = match timeout(TRACKING_HEARTBEAT_TIMEOUT, answer).await {
                Ok(answer) => answer.and_then(Value::extract_error),
                Err(_) => return Silence::Late,
            };
            let time = answer.and_then(|answer| Ok(redis::from_redis_value::<(u64, u64)>(answer)?));
            match time {
                Ok(time) => self.clock.set(asked, Instant::now(), time),
                Err(error) => return error.into(),
            }
            if !self.pulse.beat(generation, asked.into_std()) {
                return Silence::Ended;
            }
            if !std::mem::replace(lived, true) {
                tracing::info!(
                    server = self.node.address(),
                    "Redis tells of every token that changes: known ones are not asked for"
                );
            }
            tokio::select! {
                () = sleep_until(asked + TRACKING_HEARTBEAT_PERIOD) => (),
                () = ended.notified() => return Silence::Ended,
            }
        }
    }

    /// `[[key, …]]`, or `[nil]` when all keys are gone at once.
    fn invalidated(&self, data: &[Value]) {
        let [Value::Array(keys)] = data else {
            return self.ears.cache.clear();
        };
        for key in keys {
            match key {
                Value::BulkString(key) => match concern(key) {
                    Concern::Token(digest) => self.ears.cache.forget([&digest]),
                    Concern::EveryToken => self.ears.cache.clear(),
                    Concern::NoToken => (),
                },
                _ => self.ears.cache.clear(),
            }
        }
    }

    /// `[channel, "<microseconds> <digest> <part>"]`, the part where the token has one. Only the
    /// invalidation is relied upon: the message may come from anybody who may publish, and what it can
    /// do is to forget a copy. A cluster brings it to every server; the one that has the token counts.
    fn killed(&self, data: &[Value]) {
        let [_, Value::BulkString(message)] = data else { return };
        let mut words = std::str::from_utf8(message).unwrap_or_default().split(' ');
        let (Some(microseconds), Some(digest)) = (words.next(), words.next()) else { return };
        let mut killed = [0; 32];
        let (Ok(microseconds), Ok(())) =
            (microseconds.parse(), hex::decode_to_slice(digest, &mut killed))
        else {
            return;
        };
        self.ears.cache.forget([&killed]);
        let key = match words.next() {
            Some(part) => format!("octroi:{{{part}}}:token:{digest}"),
            None => format!("octroi:token:{digest}"),
        };
        if !self.ears.link.is_served_by(&self.node, &key) {
            return;
        }
        if let Some(taken) = self.clock.since(microseconds, Instant::now()) {
            self.ears.time_to_kill.observe(taken);
        }
    }
}

/// The clock of Redis, by ours: no step of our wall clock counts. Off by half a round trip at most.
struct ServerClock {
    base: Instant,
    /// Microseconds since 1970 that Redis showed at `base`; zero until it has been asked.
    at_base: AtomicU64,
}

impl ServerClock {
    fn new() -> Self {
        ServerClock { base: Instant::now(), at_base: AtomicU64::new(0) }
    }

    /// Redis is taken to have looked at its clock halfway between question and answer.
    fn set(&self, asked: Instant, answered: Instant, (seconds, microseconds): (u64, u64)) {
        let shown = seconds.saturating_mul(1_000_000).saturating_add(microseconds);
        let halfway = asked + answered.saturating_duration_since(asked) / 2;
        let elapsed = self.elapsed(halfway);
        self.at_base.store(shown.saturating_sub(elapsed), Ordering::Relaxed);
    }

    /// How long ago Redis showed this time. What seems to be yet to come was just now.
    fn since(&self, shown: u64, now: Instant) -> Option<Duration> {
        let at_base = self.at_base.load(Ordering::Relaxed);
        let here = at_base.saturating_add(self.elapsed(now));
        (at_base > 0).then(|| Duration::from_micros(here.saturating_sub(shown)))
    }

    fn elapsed(&self, instant: Instant) -> u64 {
        let elapsed = instant.saturating_duration_since(self.base);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }
}

/// A connection on which the server tells of every token that changes.
async fn track(
    node: &Node,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, RedisError> {
    let client = in_resp3(node.client())?;
    let mut connection = client.get_multiplexed_async_connection_with_config(config).await?;
    let mut track = redis::cmd("CLIENT");
    track.arg("TRACKING").arg("ON").arg("BCAST");
    for prefix in TRACKED_PREFIXES {
        track.arg("PREFIX").arg(prefix);
    }
    connection.send_packed_command(&track).await?.extract_error()?;
    Ok(connection)
}

/// Would this server tell us of every token that changes?
pub(super) async fn is_available(node: &Node) -> bool {
    let config = AsyncConnectionConfig::new()
        .set_push_sender(|_: PushInfo| -> Result<(), redis::aio::SendError> { Ok(()) })
        .set_connection_timeout(Some(TRACKING_SETUP_TIMEOUT));
    track(node, &config).await.is_ok()
}

fn warn(server: &str, silence: &Silence, refused: bool) {
    if refused {
        tracing::warn!(
            server,
            %silence,
            "Redis does not tell of tokens that change: each is asked for again after `fresh_for`, and \
             after a second at most. To mend: Redis 6 or Valkey, with the rights `+client|tracking`, \
             `+hello`, `+time` and `+subscribe` on the channel `octroi:kills`"
        );
    } else {
        tracing::warn!(server, %silence, "Redis no longer tells of tokens that change: known ones are asked for again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_timed_by_the_clock_of_redis() {
        let clock = ServerClock::new();
        let asked = clock.base + Duration::from_millis(100);
        assert_eq!(clock.since(1_000_000, asked), None, "not before that clock has been seen");
        clock.set(asked, asked + Duration::from_millis(20), (7_000, 500_000));
        let halfway = asked + Duration::from_millis(10);
        assert_eq!(clock.since(7_000_500_000, halfway), Some(Duration::ZERO));
        let later = halfway + Duration::from_millis(30);
        assert_eq!(clock.since(7_000_500_000, later), Some(Duration::from_millis(30)));
        assert_eq!(clock.since(7_001_000_000, later), Some(Duration::ZERO), "from the future");
    }
}
