//! A redis-server of this test alone: free ports, its own directory, every write on disk before it is
//! acknowledged.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::eventually;
use crate::gateway::{free, signal};

/// Another process may take a port between the look at it and the start.
const PORTS_TRIED_MAX: usize = 5;

/// A gateway walks through all records once or twice after its start, and seldom later.
const WALKS_MAX: usize = 10;

/// A running Redis whose data survive being killed.
pub struct RedisServer {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
    settings: Vec<String>,
}

impl RedisServer {
    pub fn start() -> Self {
        Self::with(|_| Vec::new())
    }

    /// With settings more than the ordinary ones, as on the command line of redis-server; they are
    /// told the directory of the server.
    pub fn with(settings: impl Fn(&TempDir) -> Vec<String>) -> Self {
        for _ in 0..PORTS_TRIED_MAX {
            let (address, dir) = (free(), tempfile::tempdir().unwrap());
            let settings = settings(&dir);
            if let Some(child) = spawn(address, &dir, &settings) {
                return Self { child, address, dir, settings };
            }
        }
        panic!("redis-server did not start on {PORTS_TRIED_MAX} free ports");
    }

    /// A copy of another, which follows it once they have spoken to each other.
    pub fn replica_of(master: &RedisServer) -> Self {
        let of = format!("127.0.0.1 {}", master.address.port());
        Self::with(|_| vec!["--replicaof".into(), of.clone()])
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    pub fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Writes a token record for `funds-co`, as a bank's own authorization server would.
    pub fn mint(&self, token: &str, psu: &str) -> String {
        self.mint_at(token, psu, "17515")
    }

    /// As [`RedisServer::mint`], for another bank.
    pub fn mint_at(&self, token: &str, psu: &str, codetab: &str) -> String {
        let (key, record) = token_record(token, psu);
        let record = record.replace("\"17515\"", &format!("\"{codetab}\""));
        redis::cmd("SET").arg(key).arg(record).exec(&mut self.connection()).unwrap();
        token.to_owned()
    }

    /// As the `store` table of a configuration.
    pub fn settings(&self) -> toml::Table {
        toml::Table::from_iter([("redis".to_owned(), self.url().into())])
    }

    /// How often these commands were called so far.
    pub fn calls(&self, commands: &[&str]) -> u64 {
        let told = self.info("commandstats");
        let calls = |line: &str| -> Option<u64> {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let counted = commands.contains(&name).then(|| rest.split(',').next())??;
            counted.parse().ok()
        };
        told.lines().filter_map(calls).sum()
    }

    /// What `measure` finds at a time when no gateway walks through all records. It does so when it starts
    /// and when a register comes into force, and reads tokens as a request does. `measure` is told how
    /// often it was called before.
    pub fn between_walks<T>(&self, measure: impl Fn(usize) -> T) -> T {
        let mut turns = (0..WALKS_MAX).map(|turn| {
            let before = self.calls(&["scan"]);
            let found = measure(turn);
            (self.calls(&["scan"]) == before).then_some(found)
        });
        turns.find_map(|found| found).expect("gateways walk through all records all the time")
    }

    /// A section of what the server tells about itself.
    pub fn info(&self, section: &str) -> String {
        redis::cmd("INFO").arg(section).query(&mut self.connection()).unwrap()
    }

    /// The value of one line of it.
    pub fn told(&self, section: &str, name: &str) -> Option<String> {
        let told = self.info(section);
        let mut lines = told.lines().filter_map(|line| line.trim().split_once(':'));
        lines.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
    }

    /// Is it a master at this moment? One that does not answer is none.
    pub fn is_master(&self) -> bool {
        let client = redis::Client::open(self.url()).unwrap();
        let connection = client.get_connection_with_timeout(std::time::Duration::from_millis(500));
        let Ok(mut connection) = connection else { return false };
        let _ = connection.set_read_timeout(Some(std::time::Duration::from_millis(500)));
        redis::cmd("INFO")
            .arg("replication")
            .query::<String>(&mut connection)
            .is_ok_and(|told| told.contains("role:master"))
    }

    /// Waits until this replica follows its master.
    pub fn follows(&self) {
        eventually("the replica follows its master", || {
            let up = self.told("replication", "master_link_status")? == "up";
            up.then_some(())
        });
    }

    /// Whoever connects from now on may not use this command.
    pub fn forbid(&self, command: &str) {
        self.restrict(&format!("-{command}"));
    }

    /// A rule for the user that everybody is who does not say otherwise.
    pub fn restrict(&self, rule: &str) {
        self.user("default", &[rule]);
    }

    /// Makes or changes a user of this server.
    pub fn user(&self, name: &str, rules: &[&str]) {
        let mut set = redis::cmd("ACL");
        set.arg("SETUSER").arg(name).arg(rules).exec(&mut self.connection()).unwrap();
    }

    /// As a crash would, and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGKILL, while the server is at work for somebody.
    pub fn crash(&self) {
        signal(self.child.id(), "KILL");
    }

    /// On the same port, with what was on disk.
    pub fn restart(&mut self) {
        self.child = spawn(self.address, &self.dir, &self.settings)
            .expect("redis-server starts again on its port");
    }

    /// Takes what it is sent and says nothing, until [`RedisServer::resume`].
    pub fn pause(&self) {
        signal(self.child.id(), "STOP");
    }

    pub fn resume(&self) {
        signal(self.child.id(), "CONT");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // SIGKILL also ends a process that is stopped. It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The key and the record of a token for `funds-co`.
pub fn token_record(token: &str, psu: &str) -> (String, String) {
    let now = jiff::Timestamp::now().as_second();
    let record = serde_json::json!({
        "v": 1, "kind": "access", "organisation_id": "PSDFR-ACPR-99901", "client_id": "x",
        "scopes": ["cbpii"], "codetab": "17515", "psu": psu, "consent_id": "c",
        "issued_at": now, "expires_at": now + 3600, "strong_authentication_at": now,
    });
    let key = format!("octroi:token:{}", hex::encode(certs::sha256(token.as_bytes())));
    (key, record.to_string())
}

/// A server that answers, or `None` when it ended at once, as it does on a port that is taken.
fn spawn(address: SocketAddr, dir: &TempDir, settings: &[String]) -> Option<Child> {
    let mut child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""])
        .args(["--repl-diskless-sync-delay", "0", "--dir"])
        .arg(dir.path())
        .args(settings)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("redis-server ({error}): apt-get install redis-server"));
    let lives = wait(&mut child, address);
    lives.then_some(child)
}

/// Until the server answers; false when it has ended. That it is ours and not one that had the port
/// before is seen by its process id.
pub(crate) fn wait(child: &mut Child, address: SocketAddr) -> bool {
    let client = redis::Client::open(format!("redis://{address}/")).unwrap();
    let pid = format!("process_id:{}\r", child.id());
    eventually("redis-server answers", || {
        if child.try_wait().unwrap().is_some() {
            return Some(false);
        }
        let mut connection =
            client.get_connection_with_timeout(std::time::Duration::from_secs(1)).ok()?;
        let told: String = redis::cmd("INFO").arg("server").query(&mut connection).ok()?;
        // INFO is answered while the data are still being loaded, PING is not.
        redis::cmd("PING").exec(&mut connection).ok()?;
        told.contains(&pid).then_some(true)
    })
}
