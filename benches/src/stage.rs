//! Sets the stage: the sandbox's certificates and a token, one upstream, and the two proxies in
//! front of it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

use crate::BenchError;
use crate::load::Target;
use crate::process::Running;

const HOST: &str = "www.17515.sandbox.api.localhost";
const PATH: &str = "/stet/psd2/v1.6.2/funds-confirmations";
const BODY: &str = r#"{"paymentCoverageRequestId":"MyCoverage123456","instructedAmount":{"currency":"EUR","amount":"100"},"accountId":{"iban":"FR7617515000920440878790811"}}"#;
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything that runs during the benchmark.
pub struct Stage {
    /// The floor.
    pub bare: (Running, Target),
    /// The gateway with all its controls.
    pub octroi: (Running, Target),
    _upstream: Running,
    _dir: TempDir,
}

#[derive(Deserialize)]
struct Ready {
    tpp: SocketAddr,
}

impl Stage {
    /// Starts the processes from the directory that holds their programs.
    ///
    /// # Errors
    /// One of them does not start.
    pub fn set(programs: &Path) -> Result<Self, BenchError> {
        let dir = tempfile::tempdir().map_err(BenchError::system("making a directory"))?;
        let sandbox = dir.path().join("sandbox");
        let octroi = programs.join("octroi");
        let token = prepare(&octroi, &sandbox)?;

        let upstream_address = free()?;
        let mut upstream = Running::start(
            "bench-upstream",
            Command::new(programs.join("bench-upstream")).arg(upstream_address.to_string()),
        )?;
        answering(upstream_address, &mut upstream)?;

        let (bare_address, tpp_address) = (free()?, free()?);
        let mut bare = Running::start(
            "bare-pingora",
            Command::new(programs.join("bare-pingora"))
                .arg(bare_address.to_string())
                .arg(sandbox.join("server/server.pem"))
                .arg(sandbox.join("server/server.key"))
                .arg(sandbox.join("qtsp/anchors.pem"))
                .arg(upstream_address.to_string()),
        )?;
        answering(bare_address, &mut bare)?;

        let config = configure(&sandbox, tpp_address, upstream_address)?;
        let mut octroi = Running::start(
            "octroi",
            Command::new(&octroi).arg("run").arg("--config").arg(config).env("OCTROI_LOG", "warn"),
        )?;
        answering(tpp_address, &mut octroi)?;

        let target = |name: &str, address| Target {
            name: name.to_owned(),
            address,
            host: HOST.to_owned(),
            server_ca: sandbox.join("server-ca.pem"),
            certificate: sandbox.join("tpp/funds-co/qwac.pem"),
            key: sandbox.join("tpp/funds-co/qwac.key"),
            request: request(&token),
        };
        let bare_target = target("bare Pingora", bare_address);
        let octroi_target = target("Octroi", tpp_address);
        Ok(Self {
            bare: (bare, bare_target),
            octroi: (octroi, octroi_target),
            _upstream: upstream,
            _dir: dir,
        })
    }
}

/// Lets a sandbox make its material, mints a token in its store, and stops it.
fn prepare(octroi: &Path, sandbox: &Path) -> Result<String, BenchError> {
    let mut running = Running::start(
        "octroi sandbox",
        Command::new(octroi)
            .args(["sandbox", "--tpp-port", "0", "--psu-port", "0", "--admin-port", "0", "--dir"])
            .arg(sandbox)
            .env("OCTROI_LOG", "error"),
    )?;
    let deadline = Instant::now() + START_TIMEOUT;
    let ready = loop {
        if let Ok(text) = fs::read(sandbox.join("ready.json"))
            && let Ok(ready) = serde_json::from_slice::<Ready>(&text)
        {
            break ready;
        }
        running.still_there()?;
        wait(deadline, "octroi sandbox is not ready")?;
    };
    answering(ready.tpp, &mut running)?;
    let minted = Command::new(octroi)
        .args(["sandbox", "token", "--tpp", "funds-co", "--persona", "gilles", "--dir"])
        .arg(sandbox)
        .output()
        .map_err(BenchError::system("minting a token"))?;
    running.stop();
    if !minted.status.success() {
        return Err(BenchError::Process(String::from_utf8_lossy(&minted.stderr).into_owned()));
    }
    Ok(String::from_utf8_lossy(&minted.stdout).trim().to_owned())
}

/// The sandbox's own configuration with the upstream of the benchmark, on one thread.
fn configure(sandbox: &Path, tpp: SocketAddr, upstream: SocketAddr) -> Result<PathBuf, BenchError> {
    let file = sandbox.join("octroi.toml");
    let text = fs::read_to_string(&file).map_err(BenchError::system("reading octroi.toml"))?;
    let malformed = || BenchError::Process("octroi.toml of the sandbox has another shape".into());
    let mut config: toml::Table = text.parse().map_err(|_| malformed())?;
    config.insert("threads".to_owned(), toml::Value::Integer(1));
    let listen = config.get_mut("listen").and_then(toml::Value::as_table_mut);
    let listen = listen.ok_or_else(malformed)?;
    for (name, address) in [("tpp", tpp), ("psu", free()?), ("admin", free()?)] {
        let listener = listen.get_mut(name).and_then(toml::Value::as_table_mut);
        listener
            .ok_or_else(malformed)?
            .insert("address".to_owned(), toml::Value::String(address.to_string()));
    }
    let codetabs = config.get_mut("codetab").and_then(toml::Value::as_array_mut);
    for codetab in codetabs.ok_or_else(malformed)? {
        let addresses = toml::Value::Array(vec![toml::Value::String(upstream.to_string())]);
        let upstream = toml::Table::from_iter([("addresses".to_owned(), addresses)]);
        let codetab = codetab.as_table_mut().ok_or_else(malformed)?;
        codetab.insert("upstream".to_owned(), toml::Value::Table(upstream));
    }
    let changed = sandbox.join("bench.toml");
    let text = toml::to_string(&config).map_err(|_| malformed())?;
    fs::write(&changed, text).map_err(BenchError::system("writing bench.toml"))?;
    Ok(changed)
}

fn request(token: &str) -> Vec<u8> {
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
    .into_bytes()
}

/// An address that nobody has at this moment.
fn free() -> Result<SocketAddr, BenchError> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(BenchError::system("looking for a free port"))
}

fn answering(address: SocketAddr, process: &mut Running) -> Result<(), BenchError> {
    let deadline = Instant::now() + START_TIMEOUT;
    while TcpStream::connect(address).is_err() {
        process.still_there()?;
        wait(deadline, "a process does not listen")?;
    }
    Ok(())
}

fn wait(deadline: Instant, what: &str) -> Result<(), BenchError> {
    if Instant::now() > deadline {
        return Err(BenchError::Process(format!("{what} after {START_TIMEOUT:?}")));
    }
    std::thread::sleep(Duration::from_millis(20));
    Ok(())
}
