//! One server: the ways to it, a time limit on every question, and its own circuit breaker.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::{Client, Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use thiserror::Error;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use super::dial::Address;
use super::wire::Wire;
use crate::store::breaker::{Breaker, Turn};
use crate::store::limits::BREAKER_PROBE_PERIOD;

/// Connections for changes that replicas must acknowledge. Redis lets nothing pass on a connection
/// while it waits there, so that many can wait side by side, and no question behind them.
const SETTLING_WIRES: usize = 8;

/// Of the time that a change has, the part in which replicas must acknowledge it: the answer, too,
/// needs some.
const SETTLING_SHARE: f64 = 0.8;

/// Why a question has no answer.
#[derive(Debug, Clone, Error)]
pub(super) enum Fault {
    /// Redis was not asked: it has not answered lately.
    #[error("Redis has not answered lately and is left alone")]
    CircuitOpen,
    #[error("Redis did not answer in time")]
    TimedOut,
    /// The connection failed, or the server says that it cannot serve.
    #[error("Redis is away: {0}")]
    Away(RedisError),
    /// Redis is there and refuses this command: a wrong type, a missing right, a failed script.
    #[error("Redis refuses: {0}")]
    Refused(RedisError),
}

impl Fault {
    /// Was the command certainly not executed?
    pub(super) fn is_certain(&self) -> bool {
        match self {
            Fault::CircuitOpen | Fault::Refused(_) => true,
            // The server itself said so.
            Fault::Away(error) => error.code().is_some(),
            Fault::TimedOut => false,
        }
    }
}

/// What is sent, and how.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) command: &'a Cmd,
    /// May it be executed twice?
    pub(super) repeatable: bool,
    /// The server is asked for what another still has, as that one told.
    pub(super) asking: bool,
}

pub(super) struct Node {
    address: Address,
    client: Client,
    timeout: Duration,
    replicas_acknowledge: u32,
    wire: Wire,
    settling: Vec<Wire>,
    turn: AtomicUsize,
    breaker: Breaker,
}

impl Node {
    pub(super) fn new(
        address: Address,
        client: Client,
        timeout: Duration,
        replicas_acknowledge: u32,
    ) -> Self {
        let wires = if replicas_acknowledge == 0 { 0 } else { SETTLING_WIRES };
        let wire = || Wire::new(client.clone(), timeout);
        Node {
            address,
            timeout,
            replicas_acknowledge,
            wire: wire(),
            settling: (0..wires).map(|_| wire()).collect(),
            turn: AtomicUsize::new(0),
            breaker: Breaker::new(),
            client,
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// A command that may be executed twice, and needs no key.
    pub(super) async fn ask(
        self: &Arc<Self>,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Fault> {
        self.send(Order { command, repeatable: true, asking: false }, deadline).await
    }

    /// One that may be executed twice is sent again at once when the connection was found dead: that
    /// is how one that died while idle shows itself. Another is followed by the question how many
    /// replicas have it.
    pub(super) async fn send(
        self: &Arc<Self>,
        order: Order<'_>,
        deadline: Instant,
    ) -> Result<Value, Fault> {
        if self.breaker.is_open() {
            if self.breaker.admits(Instant::now().into_std()) {
                tokio::spawn(Arc::clone(self).probe());
            }
            return Err(Fault::CircuitOpen);
        }
        if !order.repeatable && self.replicas_acknowledge > 0 {
            return self.settle(order, deadline).await;
        }
        let exchange = async {
            if !order.repeatable {
                self.wire.wake().await;
            }
            match exchange(&self.wire, order).await {
                Err(error) if order.repeatable && error.is_connection_dropped() => {
                    exchange(&self.wire, order).await
                }
                answer => answer,
            }
        };
        let asked = Instant::now();
        let answer = judge(tokio::time::timeout_at(deadline, exchange).await);
        self.note(&answer, asked);
        answer
    }

    /// Waits for the replicas on the connection of the change: Redis counts by connection.
    async fn settle(&self, order: Order<'_>, deadline: Instant) -> Result<Value, Fault> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let Some(wire) = self.settling.get(turn % SETTLING_WIRES) else {
            return Err(Fault::CircuitOpen);
        };
        let needed = self.replicas_acknowledge;
        let left = deadline.saturating_duration_since(Instant::now()).mul_f64(SETTLING_SHARE);
        let mut wait = redis::cmd("WAIT");
        wait.arg(needed).arg(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1));
        let asking = redis::cmd("ASKING");
        let mut commands = vec![order.command, &wait];
        if order.asking {
            commands.insert(0, &asking);
        }
        let exchange = async {
            wire.wake().await;
            let mut answers = wire.send(&commands).await?.into_iter();
            let waited = answers.next_back().unwrap_or(Value::Nil).extract_error();
            let done = answers.next_back().unwrap_or(Value::Nil).extract_error()?;
            let acknowledged: u32 = redis::from_redis_value(waited?)?;
            Ok((done, acknowledged))
        };
        let asked = Instant::now();
        let answer = judge(tokio::time::timeout_at(deadline, exchange).await);
        // Replicas that are slow are no reason to leave the server alone.
        if !matches!(answer, Err(Fault::TimedOut)) {
            self.note(&answer, asked);
        }
        match answer? {
            (done, acknowledged) if acknowledged >= needed => Ok(done),
            (_, acknowledged) => Err(Fault::Away(unsettled(acknowledged, needed))),
        }
    }

    /// Dials anew and asks for a sign of life, beside the requests: none of them waits for it, and
    /// it may take longer than they may.
    async fn probe(self: Arc<Self>) {
        let ping = redis::cmd("PING");
        let asked = Instant::now();
        let pong = tokio::time::timeout(BREAKER_PROBE_PERIOD, async {
            let mut connection = Wire::connect(&self.client, self.timeout).await?;
            connection.send_packed_command(&ping).await?.extract_error()?;
            Ok(connection)
        });
        let answer = judge(pong.await);
        if let Ok(connection) = &answer {
            self.wire.adopt(connection.clone());
        }
        self.note(&answer, asked);
    }

    fn note<T>(&self, answer: &Result<T, Fault>, asked: Instant) {
        let server = &self.address;
        let fault = match answer {
            Ok(_) | Err(Fault::Refused(_)) => {
                if self.breaker.succeeded() == Turn::Closed {
                    tracing::info!(
                        server,
                        "Redis answers again: tokens and quotas are its own once more"
                    );
                }
                return;
            }
            Err(fault) => fault,
        };
        if self.breaker.failed(asked.into_std(), Instant::now().into_std()) == Turn::Opened {
            tracing::warn!(
                server,
                %fault,
                "Redis is away: known tokens serve for their tolerated time, quotas fall to the \
                 gateway's share"
            );
        }
        let demoted = matches!(fault, Fault::Away(error) if is_read_only(error));
        if self.breaker.is_open() || demoted {
            // The peer may be gone without a word: what comes next dials anew.
            self.hang_up();
        }
    }

    fn hang_up(&self) {
        self.wire.hang_up();
        self.settling.iter().for_each(Wire::hang_up);
    }
}

impl fmt::Debug for Node {
    /// Without the client, whose settings may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn exchange(wire: &Wire, order: Order<'_>) -> Result<Value, RedisError> {
    let asking = redis::cmd("ASKING");
    let commands: &[&Cmd] = if order.asking { &[&asking, order.command] } else { &[order.command] };
    let mut answers = wire.send(commands).await?;
    answers.pop().unwrap_or(Value::Nil).extract_error()
}

/// It was done, and may be forgotten when a replica takes over.
fn unsettled(acknowledged: u32, needed: u32) -> RedisError {
    let why = format!("{acknowledged} of {needed} replicas acknowledged the change in time");
    RedisError::from((ErrorKind::Client, "too few replicas", why))
}

/// States in which a server answers but does not serve: see <https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors>.
const NOT_SERVING: [&str; 6] = ["BUSY", "MISCONF", "NOAUTH", "NOREPLICAS", "OOM", "WRONGPASS"];

fn judge<T>(outcome: Result<Result<T, RedisError>, Elapsed>) -> Result<T, Fault> {
    match outcome {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if is_away(&error) => Err(Fault::Away(error)),
        Ok(Err(error)) => Err(Fault::Refused(error)),
        Err(_) => Err(Fault::TimedOut),
    }
}

fn is_away(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly,
        ) => true,
        ErrorKind::Server(_) | ErrorKind::UnexpectedReturnType => false,
        ErrorKind::Extension => error.code().is_some_and(|code| NOT_SERVING.contains(&code)),
        _ => true,
    }
}

fn is_read_only(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}
