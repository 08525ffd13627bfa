//! The binary under test, running in a directory of its own on ports of its own.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::audit;
use crate::client::{Answer, Client, Request, get};
use crate::{PATIENCE, eventually, octroi};

pub const DOMAIN: &str = "sandbox.api.localhost";
pub const HOST: &str = "www.17515.sandbox.api.localhost";
pub const PATH: &str = "/stet/psd2/v1.6.2/funds-confirmations";
pub const GILLES_IBAN: &str = "FR7617515000920440878790811";
pub const LEA_IBAN: &str = "FR7617515000920400430518020";

pub const CODETABS: [&str; 18] = [
    "11315", "11425", "12135", "14445", "13135", "13335", "13485", "13825", "14265", "14505",
    "17515", "18315", "18715", "15135", "16275", "30258", "12579", "42559",
];

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Addresses {
    pub tpp: SocketAddr,
    pub psu: SocketAddr,
    pub admin: SocketAddr,
}

/// A running gateway. Dropping it ends it.
pub struct Gateway {
    child: Child,
    pub addresses: Addresses,
    place: Place,
    /// Its configuration, within the place.
    file: &'static str,
    tokens: Mutex<HashMap<Vec<String>, String>>,
    /// The process that took over from `child`.
    successor: Option<u32>,
}

/// The directory of a sandbox, running or not.
pub struct Place {
    dir: TempDir,
    inside: Option<(String, IpAddr)>,
    under: Vec<String>,
}

impl Place {
    pub fn dir(&self) -> PathBuf {
        self.dir.path().join("sandbox")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub fn config(&self) -> toml::Table {
        fs::read_to_string(self.file("octroi.toml")).unwrap().parse().unwrap()
    }

    /// Another place with the same keys, certificates and records.
    pub fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let copied = Command::new("cp").arg("-a").arg(self.dir()).arg(dir.path()).status().unwrap();
        assert!(copied.success());
        Self { dir, inside: None, under: Vec::new() }
    }

    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), inside: None, under: Vec::new() }
    }

    /// A gateway in this place runs in a network namespace and listens on an address there.
    pub fn inside(self, namespace: &str, address: IpAddr) -> Self {
        Self { inside: Some((namespace.to_owned(), address)), ..self }
    }

    /// A gateway in this place is started by a command that puts itself in its place, such as `prlimit` or
    /// `env`.
    pub fn under(self, command: &[&str]) -> Self {
        Self { under: command.iter().map(|word| (*word).to_owned()).collect(), ..self }
    }

    /// A free address for a listener.
    fn free(&self) -> SocketAddr {
        let host = self.inside.as_ref().map(|(_, address)| *address);
        let free = free();
        SocketAddr::new(host.unwrap_or(free.ip()), free.port())
    }

    /// Everything that was written to the log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// The audit records of requests so far.
    pub fn audit(&self) -> Vec<Value> {
        self.audit_lines().filter(|line| line["event.action"] == "request").collect()
    }

    /// The other lines of the audit log so far.
    pub fn events(&self) -> Vec<Value> {
        self.audit_lines().filter(|line| line["event.action"] != "request").collect()
    }

    fn audit_lines(&self) -> impl Iterator<Item = Value> {
        let lines: Vec<Value> =
            self.audit_text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.into_iter()
    }

    /// The files of the access log, oldest first; one that is both plain and compressed once.
    pub fn audit_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.file("audit")).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| {
            path_text(file).ends_with(".jsonl") || path_text(file).ends_with(".zst")
        });
        files.retain(|file| path_text(file).contains("/access-"));
        let number = |file: &PathBuf| {
            path_text(file).rsplit('/').next().unwrap().split('.').nth(1).unwrap().to_owned()
        };
        files.sort_by_key(|file| (number(file), file.clone()));
        files.dedup_by_key(|file| number(file));
        files
    }

    /// Every whole line of the access log.
    pub fn audit_text(&self) -> String {
        self.audit_files().iter().map(|file| audit::text(file)).collect()
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let file = self.dir.path().join("log");
        let log = || File::options().create(true).append(true).open(&file).unwrap();
        let mut command = match &self.inside {
            Some((namespace, _)) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(octroi());
                command
            }
            None => match self.under.split_first() {
                Some((command, words)) => {
                    let mut command = Command::new(command);
                    command.args(words).arg(octroi());
                    command
                }
                None => Command::new(octroi()),
            },
        };
        command
            .args(arguments)
            .env("OCTROI_LOG", "debug")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .unwrap()
    }
}

impl Gateway {
    /// A fresh sandbox.
    pub fn sandbox() -> Self {
        let place = Place::new();
        Self::in_place(place)
    }

    /// A sandbox in a place that may have been used before.
    pub fn in_place(place: Place) -> Self {
        let dir = place.dir();
        // One that was killed could not take back what it said.
        let _ = fs::remove_file(dir.join("ready.json"));
        let mut child = place.spawn(&[
            "sandbox",
            "--dir",
            dir.to_str().unwrap(),
            "--tpp-port",
            "0",
            "--psu-port",
            "0",
            "--admin-port",
            "0",
        ]);
        let addresses = eventually("the sandbox is ready", || {
            alive(&mut child, &place);
            serde_json::from_slice(&fs::read(dir.join("ready.json")).ok()?).ok()
        });
        Self::of(child, addresses, place, "octroi.toml")
    }

    /// `octroi run` with the configuration of a sandbox, changed by `change`.
    pub fn configured(change: impl FnOnce(&mut toml::Table)) -> Self {
        Self::run_in(Self::sandbox().leave(), change)
    }

    /// As [`Gateway::configured`] in a place that is there.
    pub fn run_in(place: Place, change: impl FnOnce(&mut toml::Table)) -> Self {
        let addresses = Addresses { tpp: place.free(), psu: place.free(), admin: place.free() };
        let mut config = place.config();
        let listen = config["listen"].as_table_mut().unwrap();
        for (name, address) in
            [("tpp", addresses.tpp), ("psu", addresses.psu), ("admin", addresses.admin)]
        {
            listen[name].as_table_mut().unwrap()["address"] = address.to_string().into();
        }
        let psu = format!("https://localhost:{}", addresses.psu.port());
        listen["psu"].as_table_mut().unwrap()["public_url"] = psu.into();
        if let Some(server) = config.get_mut("authorization").and_then(|t| t.as_table_mut()) {
            for (name, address) in [("issuer", addresses.psu), ("tpp_url", addresses.tpp)] {
                let url = format!("https://www.{{codetab}}.{DOMAIN}:{}", address.port());
                server[name] = url.into();
            }
        }
        change(&mut config);
        let file = place.file("changed.toml");
        fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
        let mut child = place.spawn(&["run", "--config", file.to_str().unwrap()]);
        eventually("the gateway is ready", || {
            alive(&mut child, &place);
            TcpStream::connect(addresses.admin).ok()?;
            (get(addresses.admin, "/readyz").status == 200).then_some(())
        });
        Self::of(child, addresses, place, "changed.toml")
    }

    fn of(child: Child, addresses: Addresses, place: Place, file: &'static str) -> Self {
        Self { child, addresses, place, file, tokens: Mutex::default(), successor: None }
    }

    /// Has the binary at its path take over, and waits until that one serves. Gives back how the one
    /// before ended, once it has.
    pub fn upgrade(&mut self) -> impl FnOnce(&mut Self) -> bool + use<> {
        let before = self.pid();
        let logged = self.place.log().len();
        signal(before, "USR2");
        let pid = eventually("the new gateway serves", || {
            let log = self.place.log();
            let told =
                log[logged..].lines().find(|line| line.contains("the new gateway serves"))?;
            let told: Value = serde_json::from_str(told).ok()?;
            u32::try_from(told["fields"]["pid"].as_u64()?).ok()
        });
        self.successor = Some(pid);
        move |gateway| {
            // Only the first one is a child of the test.
            if gateway.child.id() == before {
                return gateway.wait().success();
            }
            eventually("the gateway before is gone", || {
                let status = fs::read_to_string(format!("/proc/{before}/stat")).unwrap_or_default();
                (status.is_empty() || status.contains(") Z")).then_some(true)
            })
        }
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    pub fn pid(&self) -> u32 {
        self.successor.unwrap_or_else(|| self.child.id())
    }

    /// A TPP of the sandbox.
    pub fn tpp(&self, name: &str) -> Client {
        let identity = self.place.file(&format!("tpp/{name}"));
        Client::new(self.addresses.tpp, &self.server_ca(), Some(&identity))
    }

    pub fn server_ca(&self) -> PathBuf {
        self.place.file("server-ca.pem")
    }

    /// The file that it was started with.
    pub fn config_file(&self) -> PathBuf {
        self.place.file(self.file)
    }

    /// What it was started with.
    pub fn config(&self) -> toml::Table {
        fs::read_to_string(self.config_file()).unwrap().parse().unwrap()
    }

    /// A token of `octroi sandbox token`, with further arguments: the same one for the same question.
    /// A second consent of the same customer would end the tokens of the first, and tests that share a
    /// gateway would take each other's away.
    pub fn token(&self, tpp: &str, persona: &str, further: &[&str]) -> String {
        let defaults = [["--scope", "cbpii"], ["--codetab", "17515"]];
        let said = further.chunks(2).filter(|pair| !defaults.iter().any(|known| known == pair));
        let mut key: Vec<String> = vec![tpp.to_owned(), persona.to_owned()];
        key.extend(said.map(|pair| pair.join(" ")));
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.entry(key).or_insert_with(|| self.fresh_token(tpp, persona, further));
        token.clone()
    }

    /// `octroi sandbox token`, with further arguments.
    pub fn fresh_token(&self, tpp: &str, persona: &str, further: &[&str]) -> String {
        let dir = self.place.dir();
        let arguments = ["sandbox", "token", "--tpp", tpp, "--persona", persona, "--dir"];
        let output =
            Command::new(octroi()).args(arguments).arg(dir).args(further).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A funds confirmation that deserves an answer.
    pub fn request(&self, token: &str) -> Request {
        Request {
            method: "POST".to_owned(),
            host: HOST.to_owned(),
            path: PATH.to_owned(),
            token: Some(token.to_owned()),
            headers: Vec::new(),
            body: body(GILLES_IBAN, "100"),
        }
    }

    pub fn metrics(&self) -> String {
        String::from_utf8(get(self.addresses.admin, "/metrics").body).unwrap()
    }

    pub fn admin(&self, path: &str) -> Answer {
        get(self.addresses.admin, path)
    }

    /// The audit record of a request, which is written before the end of its answer.
    #[track_caller]
    pub fn record_of(&self, answer: &Answer) -> Value {
        let id = answer.header("octroi-request-id").expect("every answer names its request");
        let found = self.place.audit().into_iter().find(|record| record["http.request.id"] == id);
        found.expect("every answer has its record")
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            if let Some(ended) = self.child.try_wait().unwrap() {
                return ended;
            }
            let late = std::time::Instant::now() > deadline;
            assert!(!late, "the gateway ends within {PATIENCE:?}: {}", self.place.log());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Ends it as a crash would, and hands its directory on.
    pub fn kill(mut self) -> Place {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.place, Place::new())
    }

    /// Ends it, and hands its directory on.
    pub fn leave(mut self) -> Place {
        self.signal("INT");
        let ended = self.wait();
        assert!(ended.success(), "{ended}: {}", self.place.log());
        std::mem::replace(&mut self.place, Place::new())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(successor) = self.successor {
            let _ = Command::new("kill").args(["-KILL", &successor.to_string()]).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of a funds confirmation.
pub fn body(iban: &str, amount: &str) -> String {
    format!(
        r#"{{"paymentCoverageRequestId":"MyCoverage123456","instructedAmount":{{"currency":"EUR","amount":"{amount}"}},"accountId":{{"iban":"{iban}"}}}}"#
    )
}

/// Puts an upstream behind one codetab of a configuration.
pub fn upstream(config: &mut toml::Table, codetab: &str, settings: toml::Table) {
    let codetabs = config["codetab"].as_array_mut().unwrap();
    let found = codetabs.iter_mut().find(|known| known["code"].as_str() == Some(codetab)).unwrap();
    found.as_table_mut().unwrap().insert("upstream".to_owned(), settings.into());
}

/// An address that nobody has, and no other test is given. Not one of those that the system gives to
/// outgoing connections: one of them could have it in the next moment.
pub fn free() -> SocketAddr {
    const PORTS: std::ops::Range<u16> = 10_240..32_768;
    // Whoever starts a server on it takes a while: until then, and as long as this process lives, the
    // same port of UDP says that it is given away.
    static GIVEN: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    eventually("a free port", || {
        let mut random = [0; 2];
        openssl::rand::rand_bytes(&mut random).unwrap();
        let port = PORTS.start + u16::from_be_bytes(random) % (PORTS.end - PORTS.start);
        let given = UdpSocket::bind(("127.0.0.1", port)).ok()?;
        let address = TcpListener::bind(("127.0.0.1", port)).ok()?.local_addr().ok()?;
        GIVEN.lock().unwrap_or_else(PoisonError::into_inner).push(given);
        Some(address)
    })
}

pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

fn alive(child: &mut Child, place: &Place) {
    if let Some(status) = child.try_wait().unwrap() {
        panic!("octroi ended with {status}: {}", place.log());
    }
}

/// For tests that only read.
pub fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}
