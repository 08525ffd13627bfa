//! The way to Redis: one multiplexed connection, a time limit on every question, and the circuit
//! breaker with its probe.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use thiserror::Error;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use crate::store::breaker::{Breaker, Turn};
use crate::store::limits::BREAKER_PROBE_PERIOD;

pub(super) struct Link {
    client: Client,
    timeout: Duration,
    connection: Mutex<Option<ConnectionManager>>,
    breaker: Breaker,
}

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

impl Link {
    pub(super) fn new(client: Client, timeout: Duration) -> Self {
        Link { client, timeout, connection: Mutex::new(None), breaker: Breaker::new() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The instant by which a question that is asked now must be settled.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// A command that may be executed twice: a connection that died while idle is found dead by
    /// the first command on it, and that one is sent again at once.
    pub(super) async fn ask(
        self: &Arc<Self>,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Fault> {
        self.guarded(deadline, async {
            match self.send(command).await {
                Err(error) if error.is_connection_dropped() => self.send(command).await,
                answer => answer,
            }
        })
        .await
    }

    /// A command that must not be executed twice: a write that is repeated late could undo
    /// somebody else's revocation.
    pub(super) async fn tell(
        self: &Arc<Self>,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Fault> {
        self.guarded(deadline, self.send(command)).await
    }

    async fn guarded(
        self: &Arc<Self>,
        deadline: Instant,
        exchange: impl Future<Output = Result<Value, RedisError>>,
    ) -> Result<Value, Fault> {
        if self.breaker.is_open() {
            if self.breaker.admits(Instant::now().into_std()) {
                tokio::spawn(Arc::clone(self).probe());
            }
            return Err(Fault::CircuitOpen);
        }
        let answer = judge(tokio::time::timeout_at(deadline, exchange).await);
        self.note(&answer);
        answer
    }

    /// Dials anew and asks for a sign of life, beside the requests: none of them waits for it, and
    /// it may take longer than they may.
    async fn probe(self: Arc<Self>) {
        let pong = tokio::time::timeout(BREAKER_PROBE_PERIOD, async {
            let mut connection = self.dial()?;
            connection.send_packed_command(&redis::cmd("PING")).await?.extract_error()?;
            Ok(connection)
        });
        let answer = judge(pong.await);
        self.note(&answer);
        if let Ok(connection) = answer {
            *self.slot() = Some(connection);
        }
    }

    async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        let mut connection = self.connection()?;
        connection.send_packed_command(command).await.and_then(Value::extract_error)
    }

    fn connection(&self) -> Result<ConnectionManager, RedisError> {
        let mut slot = self.slot();
        match &*slot {
            Some(connection) => Ok(connection.clone()),
            None => Ok(slot.insert(self.dial()?).clone()),
        }
    }

    /// Connects with the first command. The manager does not repeat a failed dial: pace and pause
    /// are the breaker's. It may dial for longer than any one request waits for it.
    fn dial(&self) -> Result<ConnectionManager, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(2 * self.timeout.max(BREAKER_PROBE_PERIOD)))
            .set_response_timeout(Some(self.timeout.max(BREAKER_PROBE_PERIOD)))
            .set_pipeline_buffer_size(COMMANDS_QUEUED_MAX);
        ConnectionManager::new_lazy_with_config(self.client.clone(), config)
    }

    fn note<T>(&self, answer: &Result<T, Fault>) {
        let fault = match answer {
            Ok(_) | Err(Fault::Refused(_)) => {
                if self.breaker.succeeded() == Turn::Closed {
                    tracing::info!("Redis answers again: tokens and quotas are its own once more");
                }
                return;
            }
            Err(fault) => fault,
        };
        if self.breaker.failed(Instant::now().into_std()) == Turn::Opened {
            tracing::warn!(
                %fault,
                "Redis is away: known tokens serve for their tolerated time, quotas fall to the \
                 local share"
            );
        }
        let demoted = matches!(fault, Fault::Away(error) if is_read_only(error));
        if self.breaker.is_open() || demoted {
            // The peer may be gone without a word: what comes next dials anew.
            *self.slot() = None;
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<ConnectionManager>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Link {
    /// Without the client, whose address may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Commands that wait for the socket; above it callers wait, within their time limit.
const COMMANDS_QUEUED_MAX: usize = 1_024;

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
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::TryAgain,
        ) => true,
        ErrorKind::Server(_) | ErrorKind::UnexpectedReturnType => false,
        ErrorKind::Extension => error.code().is_some_and(|code| NOT_SERVING.contains(&code)),
        _ => true,
    }
}

fn is_read_only(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}
