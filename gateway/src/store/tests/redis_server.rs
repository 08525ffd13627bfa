//! A real redis-server for one test: free port, own directory, every write on disk before it is
//! acknowledged.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Client, Connection};
use tempfile::TempDir;

/// Long enough for a busy machine; a server that is up earlier is used earlier.
const START_TIME_MAX: Duration = Duration::from_secs(20);

pub(super) struct RedisServer {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl RedisServer {
    pub(super) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Another process may take the port between the look and the start.
        for _ in 0..5 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            if let Some(child) = spawn(port, &directory) {
                return RedisServer { child, port, directory };
            }
        }
        panic!("redis-server did not start on five free ports");
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(super) fn connection(&self) -> Connection {
        Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGKILL, while the server is at work for somebody; [`RedisServer::kill`] takes its leave of it.
    pub(super) fn crash(&self) {
        self.signal("KILL");
    }

    /// On the same port, with what was on disk.
    pub(super) fn restart(&mut self) {
        self.child = spawn(self.port, &self.directory).expect("redis-server starts again");
    }

    pub(super) fn pause(&self) {
        self.signal("STOP");
    }

    pub(super) fn resume(&self) {
        self.signal("CONT");
    }

    /// Whoever connects from now on may not use this command.
    pub(super) fn forbid(&self, command: &str) {
        self.restrict(&format!("-{command}"));
    }

    pub(super) fn restrict(&self, rule: &str) {
        let mut restrict = redis::cmd("ACL");
        restrict.arg("SETUSER").arg("default").arg(rule).exec(&mut self.connection()).unwrap();
    }

    /// How often a command was called.
    pub(super) fn calls(&self, command: &str) -> u64 {
        let stats: String =
            redis::cmd("INFO").arg("commandstats").query(&mut self.connection()).unwrap();
        let head = format!("cmdstat_{command}:calls=");
        let line = stats.lines().find_map(|line| line.strip_prefix(&head));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // SIGKILL also ends a process that is stopped. It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that answers, or `None` when it ended at once, as it does on a port that is taken.
fn spawn(port: u16, directory: &TempDir) -> Option<Child> {
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .arg("--dir")
        .arg(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("redis-server cannot be started ({error}): apt-get install redis-server")
        });
    let client = Client::open(format!("redis://127.0.0.1:{port}/")).unwrap();
    let deadline = Instant::now() + START_TIME_MAX;
    while Instant::now() < deadline {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        let ours = client.get_connection_with_timeout(Duration::from_secs(1)).is_ok_and(
            |mut connection| {
                let pid = redis::cmd("INFO").arg("server").query::<String>(&mut connection);
                pid.is_ok_and(|info| info.contains(&format!("process_id:{}\r", child.id())))
                    // INFO is answered while the data are still being loaded, PING is not.
                    && redis::cmd("PING").exec(&mut connection).is_ok()
            },
        );
        if ours {
            return Some(child);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("redis-server did not answer within {START_TIME_MAX:?}");
}
