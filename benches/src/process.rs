//! Processes of the benchmark: ended when dropped, their CPU time read from `/proc`.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::BenchError;

/// How long a child may take to leave after SIGTERM.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(20);

/// A child process.
pub struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Starts `command`; its standard output is not shown.
    ///
    /// # Errors
    /// There is no such program.
    pub fn start(name: &str, command: &mut Command) -> Result<Self, BenchError> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.map_err(|error| BenchError::Process(format!("{name}: {error}")))?;
        Ok(Self { child, name: name.to_owned() })
    }

    /// CPU time of all its threads so far, user and system (`/proc/<pid>/task/*/schedstat`).
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu(&self) -> Result<Duration, BenchError> {
        let gone = |_| BenchError::Process(format!("{}: it ended too soon", self.name));
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id())).map_err(gone)? {
            let stat = fs::read_to_string(task.map_err(gone)?.path().join("schedstat"));
            // A thread may end between the listing and the reading.
            let stat = stat.unwrap_or_default();
            nanoseconds += stat.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Resident memory, in octets (`VmRSS` of `/proc/<pid>/status`).
    ///
    /// # Errors
    /// It is gone.
    pub fn resident(&self) -> Result<f64, BenchError> {
        let gone = || BenchError::Process(format!("{}: it ended too soon", self.name));
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.map_err(|_| gone())?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
        kib.map(|kib| kib * 1024.0).ok_or_else(gone)
    }

    /// Fails when the process has ended by itself.
    ///
    /// # Errors
    /// It has.
    pub fn still_there(&mut self) -> Result<(), BenchError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(BenchError::Process(format!("{}: it ended too soon", self.name))),
        }
    }

    /// Asks it to leave, and waits.
    pub fn stop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // The standard library can only kill; `kill` is in every base system.
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        while asked.is_ok() && Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
