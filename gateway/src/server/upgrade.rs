//! SIGUSR2: the binary that lies at this one's path takes over. It gets the listening sockets, starts
//! beside this one, and only when it serves does this one leave; if it never does, nothing has happened.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{IntCounterVec, Opts, Registry};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::sockets::{READY, hand_over};
use crate::config::StoreSettings;

/// The argument by which a process knows that it takes over.
pub(crate) const ARGUMENT: &str = "--upgrade";
/// A new gateway that does not serve after so long is ended: it reads registers and connects to the
/// store meanwhile.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The process that a container, or a machine, stands and falls with.
const FIRST: u32 = 1;

/// Where this program was when it started: what lies there later is the new one.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Remembers where this program is. To be called at the start, before another one can lie there.
pub fn remember_program() {
    let called = env::args_os().next().map(PathBuf::from);
    let search = env::var_os("PATH").unwrap_or_default();
    if let Ok(itself) = env::current_exe() {
        let _ = PROGRAM.set(as_called(itself, called.as_deref(), &search));
    }
}

/// The path by which `itself` was called: whoever keeps each version in a directory of its own has a
/// symbolic link there, and the kernel tells only where that led.
fn as_called(itself: PathBuf, called: Option<&Path>, search: &OsStr) -> PathBuf {
    let leads_here = |path: &PathBuf| path.canonicalize().is_ok_and(|real| real == itself);
    let called = called.filter(|called| !called.as_os_str().is_empty());
    let path = called.and_then(|called| match called.parent() {
        // As a shell finds it.
        Some(parent) if parent.as_os_str().is_empty() => {
            env::split_paths(search).map(|directory| directory.join(called)).find(leads_here)
        }
        _ => std::path::absolute(called).ok().filter(leads_here),
    });
    path.unwrap_or(itself)
}

/// Why the new gateway did not take over. The old one goes on.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error(
        "the store is embedded, and one process at a time can hold it. To mend: restart the gateway \
         (with socket activation no connection is refused meanwhile), or keep tokens and limits in Redis"
    )]
    Embedded,
    #[error(
        "this process is the first of its container, which ends with it. To mend: start a container with \
         the new image, and let the load balancer follow /readyz"
    )]
    First,
    #[error("where this program lies is not known")]
    Program,
    #[error("{program} does not start: {source}", program = .program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("the new gateway ended before it served ({0}); its own log says why")]
    Ended(ExitStatus),
    #[error("the new gateway did not serve within {} s and was ended", READY_WITHIN.as_secs())]
    Late,
    #[error(transparent)]
    System(#[from] io::Error),
}

/// What an upgrade needs of the running gateway.
pub(super) struct Upgrades {
    asked: Signal,
    sockets: [OwnedFd; 3],
    embedded: bool,
    outcomes: IntCounterVec,
}

/// The process that takes over, until it serves. Dropped before, it is ended.
struct Begun(Option<Child>);

impl Upgrades {
    /// Begins to listen for SIGUSR2.
    pub(super) fn listen(
        sockets: [OwnedFd; 3],
        store: &StoreSettings,
        registry: &Registry,
    ) -> Result<Self, super::StartError> {
        let opts = Opts::new(
            "octroi_upgrades_total",
            "Times that a new binary was to take over, by what came of it",
        );
        let outcomes = IntCounterVec::new(opts, &["outcome"])?;
        for outcome in ["ok", "failed"] {
            outcomes.with_label_values(&[outcome]);
        }
        registry.register(Box::new(outcomes.clone()))?;
        let embedded = matches!(store, StoreSettings::Embedded { .. });
        Ok(Self { asked: signal(SignalKind::user_defined2())?, sockets, embedded, outcomes })
    }

    /// Comes back, with the process id of the new gateway, when one has taken over.
    pub(super) async fn taken_over(&mut self) -> u32 {
        loop {
            if self.asked.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            tracing::info!("asked to hand over to the binary at this program's path");
            match self.upgrade().await {
                Ok(pid) => {
                    self.outcomes.with_label_values(&["ok"]).inc();
                    tracing::info!(pid, "the new gateway serves");
                    return pid;
                }
                Err(error) => {
                    self.outcomes.with_label_values(&["failed"]).inc();
                    tracing::error!(%error, "no upgrade; this gateway goes on");
                }
            }
        }
    }

    async fn upgrade(&self) -> Result<u32, UpgradeError> {
        if self.embedded {
            return Err(UpgradeError::Embedded);
        }
        if std::process::id() == FIRST {
            return Err(UpgradeError::First);
        }
        let program = PROGRAM.get().ok_or(UpgradeError::Program)?;
        let (ours, theirs) = UnixStream::pair()?;
        hand_over(&ours, &self.sockets)?;
        let start = |source| UpgradeError::Start { program: program.clone(), source };
        let child = command(program, theirs).spawn().map_err(start)?;
        let pid = child.id();
        let mut begun = Begun(Some(child));
        ours.set_nonblocking(true)?;
        let mut way = tokio::net::UnixStream::from_std(ours)?;
        let mut word = [0];
        match tokio::time::timeout(READY_WITHIN, way.read(&mut word)).await {
            Err(_) => Err(UpgradeError::Late),
            Ok(Ok(1)) if word == [READY] => {
                begun.0 = None;
                Ok(pid)
            }
            Ok(_) => match begun.0.take() {
                Some(mut child) => {
                    let ended = tokio::task::spawn_blocking(move || {
                        let _ = child.kill();
                        child.wait()
                    });
                    Err(UpgradeError::Ended(ended.await.map_err(io::Error::other)??))
                }
                None => Err(UpgradeError::Late),
            },
        }
    }
}

/// The same arguments and environment, with the way to this process in place of standard input.
fn command(program: &PathBuf, way: UnixStream) -> Command {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let knows = arguments.iter().any(|argument| argument == ARGUMENT);
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::from(OwnedFd::from(way)));
    if !knows {
        command.arg(ARGUMENT);
    }
    // They name this process; what they say holds for the new one as well.
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
        command.env_remove(name);
    }
    command
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_new_binary_is_looked_for_where_this_one_was_called_not_where_a_link_led() {
        let place = tempfile::tempdir().unwrap();
        let real = |version: &str| place.path().canonicalize().unwrap().join(version);
        for version in ["1", "2"] {
            fs::write(real(version), version).unwrap();
        }
        let link = place.path().join("octroi");
        symlink(real("1"), &link).unwrap();
        let found = |called: &str, search: &Path| {
            as_called(real("1"), Some(Path::new(called)), search.as_os_str())
        };
        assert_eq!(found(link.to_str().unwrap(), Path::new("")), link);
        assert_eq!(found("octroi", place.path()), link, "through PATH");
        for other in ["octroi", "", "/nowhere/octroi", real("2").to_str().unwrap()] {
            assert_eq!(
                found(other, Path::new("/nowhere")),
                real("1"),
                "{other:?} is not this program"
            );
        }
        assert_eq!(as_called(real("1"), None, OsStr::new("")), real("1"));
    }
}
