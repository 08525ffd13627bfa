//! A redis-server of this test alone.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::eventually;
use crate::gateway::free;

/// A running Redis whose data survive being killed.
pub struct RedisServer {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
}

impl RedisServer {
    pub fn start() -> Self {
        let (address, dir) = (free(), tempfile::tempdir().unwrap());
        let child = spawn(address, &dir);
        let server = Self { child, address, dir };
        server.wait();
        server
    }

    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    pub fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Writes a token record for `funds-co`, as a bank's own authorization server would.
    pub fn mint(&self, token: &str, psu: &str) -> String {
        let now = jiff::Timestamp::now().as_second();
        let record = serde_json::json!({
            "v": 1, "kind": "access", "organisation_id": "PSDFR-ACPR-99901", "client_id": "x",
            "scopes": ["cbpii"], "codetab": "17515", "psu": psu, "consent_id": "c",
            "issued_at": now, "expires_at": now + 3600, "strong_authentication_at": now,
        });
        let key = format!("octroi:token:{}", hex::encode(certs::sha256(token.as_bytes())));
        redis::cmd("SET").arg(key).arg(record.to_string()).exec(&mut self.connection()).unwrap();
        token.to_owned()
    }

    /// As the `store` table of a configuration.
    pub fn settings(&self) -> toml::Table {
        toml::Table::from_iter([("redis".to_owned(), self.url().into())])
    }

    /// How often these commands were called so far.
    pub fn calls(&self, commands: &[&str]) -> u64 {
        let told: String =
            redis::cmd("INFO").arg("commandstats").query(&mut self.connection()).unwrap();
        let calls = |line: &str| -> Option<u64> {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let counted = commands.contains(&name).then(|| rest.split(',').next())??;
            counted.parse().ok()
        };
        told.lines().filter_map(calls).sum()
    }

    /// As a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.child = spawn(self.address, &self.dir);
        self.wait();
    }

    fn wait(&self) {
        eventually("redis-server answers", || {
            let mut connection = redis::Client::open(self.url()).ok()?.get_connection().ok()?;
            redis::cmd("PING").exec(&mut connection).ok()
        });
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(address: SocketAddr, dir: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir"])
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed by `make test`")
}
