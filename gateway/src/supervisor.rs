//! What a service manager is told (`sd_notify`), and how it knows that the gateway lives. Without one
//! (`NOTIFY_SOCKET`) nothing is told.

use std::net::SocketAddr;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer of the admin listener that takes longer is none.
const ALIVE_WITHIN: Duration = Duration::from_secs(5);

/// The gateway serves; `status` is shown by `systemctl status`.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// What `systemctl status` shows from now on.
pub fn show(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the service manager is not told of a reload"),
    }
}

/// The gateway leaves.
pub fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("leaving")]);
}

/// Another process is the gateway from now on.
pub fn handed_over(pid: u32) {
    notify(&[NotifyState::MainPid(pid)]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// Tells the service manager that the gateway lives, as often as it wants to hear it, for as long as the
/// admin listener answers: a process that hangs is started anew.
pub async fn keep_alive(admin: SocketAddr) {
    let Some(every) = sd_notify::watchdog_enabled() else { return };
    let mut look = tokio::time::interval(every / 3);
    loop {
        look.tick().await;
        match tokio::time::timeout(ALIVE_WITHIN, answers(admin)).await {
            Ok(Ok(())) => notify(&[NotifyState::Watchdog]),
            Ok(Err(error)) => tracing::error!(%error, "the own admin listener cannot be asked"),
            Err(_) => tracing::error!("the own admin listener does not answer"),
        }
    }
}

async fn answers(admin: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(admin).await?;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    match &answer {
        b"HTTP/1.1 200" => Ok(()),
        _ => Err(std::io::Error::other("it answers, but not that it is well")),
    }
}
