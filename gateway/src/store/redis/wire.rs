//! One multiplexed connection to one server, dialled once for all who wait for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, Value};
use tokio::sync::watch;

use crate::store::limits::BREAKER_PROBE_PERIOD;

/// Commands that wait for the socket; above it callers wait, within their time limit.
const COMMANDS_QUEUED_MAX: usize = 1_024;

pub(super) struct Wire {
    client: Client,
    timeout: Duration,
    dialled: Mutex<Option<Dial>>,
}

/// A connection that is being made, or was.
type Dial = watch::Receiver<Option<Result<MultiplexedConnection, RedisError>>>;

impl Wire {
    pub(super) fn new(client: Client, timeout: Duration) -> Self {
        Wire { client, timeout, dialled: Mutex::new(None) }
    }

    /// Sends one command, alone or between others that must stand right beside it, and gives back
    /// all answers, errors among them.
    pub(super) async fn send(&self, commands: &[&Cmd]) -> Result<Vec<Value>, RedisError> {
        let dial = self.dial();
        let mut connection = match connected(dial.clone()).await {
            Ok(connection) => connection,
            Err(error) => {
                self.forget(&dial);
                return Err(error);
            }
        };
        let sent = async {
            if let [command] = commands {
                return Ok(vec![connection.send_packed_command(command).await?]);
            }
            let mut pipeline = redis::pipe();
            for command in commands {
                pipeline.add_command((*command).clone());
            }
            connection.send_packed_commands(&pipeline, 0, commands.len()).await
        };
        let answers = sent.await;
        if answers.as_ref().is_err_and(RedisError::is_unrecoverable_error) {
            self.forget(&dial);
        }
        answers
    }

    /// What comes next dials anew.
    pub(super) fn hang_up(&self) {
        *self.slot() = None;
    }

    /// Takes a connection over that was dialled elsewhere.
    pub(super) fn adopt(&self, connection: MultiplexedConnection) {
        let (_, dial) = watch::channel(Some(Ok(connection)));
        *self.slot() = Some(dial);
    }

    /// It may dial for longer than any one request waits for it.
    pub(super) async fn connect(
        client: &Client,
        timeout: Duration,
    ) -> Result<MultiplexedConnection, RedisError> {
        let patience = timeout.max(BREAKER_PROBE_PERIOD);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(2 * patience))
            .set_response_timeout(Some(patience))
            .set_pipeline_buffer_size(COMMANDS_QUEUED_MAX);
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    fn dial(&self) -> Dial {
        let mut slot = self.slot();
        if let Some(dial) = &*slot {
            return dial.clone();
        }
        let (told, dial) = watch::channel(None);
        let (client, timeout) = (self.client.clone(), self.timeout);
        tokio::spawn(async move {
            let connected = Self::connect(&client, timeout).await;
            told.send_replace(Some(connected));
        });
        slot.insert(dial).clone()
    }

    fn forget(&self, dial: &Dial) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|current| current.same_channel(dial)) {
            *slot = None;
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Dial>> {
        self.dialled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connected(mut dial: Dial) -> Result<MultiplexedConnection, RedisError> {
    let told = dial.wait_for(Option::is_some).await;
    match told.as_deref() {
        Ok(Some(connected)) => connected.clone(),
        _ => Err(RedisError::from((ErrorKind::Io, "the connection was given up"))),
    }
}
