//! Sets the stage: the sandbox's certificates and a token, one upstream, and the two proxies in
//! front of it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::X509;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use serde::Deserialize;
use tempfile::TempDir;

use crate::BenchError;
use crate::load::Target;
use crate::process::Running;

const TPP: &str = "PSDFR-ACPR-99901";
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
    dir: TempDir,
}

/// What the stage is to be like.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// A server certificate with a key of RSA-2048 instead of P-256.
    pub rsa: bool,
    /// Where tokens and limits live, instead of the embedded store.
    pub redis: Option<String>,
    /// Codetabs beside those of the sandbox.
    pub more_codetabs: u32,
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
    pub fn set(programs: &Path, scene: &Scene) -> Result<Self, BenchError> {
        let dir = tempfile::tempdir().map_err(BenchError::system("making a directory"))?;
        let sandbox = dir.path().join("sandbox");
        let octroi = programs.join("octroi");
        let token = prepare(&octroi, &sandbox)?;
        if scene.rsa {
            rsa_certificate(&sandbox)?;
        }

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

        let config = configure(&sandbox, tpp_address, upstream_address, scene)?;
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
            requests: vec![request(&token)],
        };
        let bare_target = target("bare Pingora", bare_address);
        let octroi_target = target("Octroi", tpp_address);
        Ok(Self {
            bare: (bare, bare_target),
            octroi: (octroi, octroi_target),
            _upstream: upstream,
            dir,
        })
    }

    /// Octets of the gateway's access log so far.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn audit_bytes(&self) -> Result<u64, BenchError> {
        let doing = "reading the access log";
        let files = fs::read_dir(self.dir.path().join("sandbox/audit"));
        let mut bytes = 0;
        for file in files.map_err(BenchError::system(doing))? {
            let file = file.map_err(BenchError::system(doing))?;
            if file.file_name().as_encoded_bytes().starts_with(b"access-") {
                bytes += file.metadata().map_err(BenchError::system(doing))?.len();
            }
        }
        Ok(bytes)
    }
}

/// The requests of as many tokens, which have records of another authorization server for the TPP of
/// the benchmark.
#[must_use]
pub fn requests_of(tokens: &[String]) -> Vec<Vec<u8>> {
    tokens.iter().map(|token| request(token)).collect()
}

/// A token's key and record in Redis, as a bank's own authorization server would write it (see "Token
/// record" in the book).
#[must_use]
pub fn record_of(token: &str) -> (String, String) {
    let now = jiff::Timestamp::now().as_second();
    let record = serde_json::json!({
        "v": 1, "kind": "access", "organisation_id": TPP, "client_id": TPP, "scopes": ["cbpii"],
        "codetab": "17515", "psu": "8d1f2c5e-0b1c-4c8e-9a40-3f3f2d8c7a11",
        "consent_id": "5b0e1f2c-8c3f-4b51-9d57-6b1a0d0c9d11",
        "issued_at": now, "expires_at": now + 3600, "strong_authentication_at": now,
    });
    let digest = openssl::sha::sha256(token.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    (format!("octroi:token:{hex}"), record.to_string())
}

/// Lets a sandbox make its material, mints a token in its store, and stops it.
/// Makes a sandbox, and gives a token of it.
///
/// # Errors
/// It does not start.
pub fn prepare(octroi: &Path, sandbox: &Path) -> Result<String, BenchError> {
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
fn configure(
    sandbox: &Path,
    tpp: SocketAddr,
    upstream: SocketAddr,
    scene: &Scene,
) -> Result<PathBuf, BenchError> {
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
    let codetabs = config.get_mut("codetab").and_then(toml::Value::as_array_mut);
    let codetabs = codetabs.ok_or_else(malformed)?;
    let pattern = codetabs.first().cloned().ok_or_else(malformed)?;
    for number in 0..scene.more_codetabs {
        let mut codetab = pattern.as_table().cloned().ok_or_else(malformed)?;
        let code = format!("{:05}", 50_000 + number);
        codetab.insert("name".to_owned(), toml::Value::String(format!("B{code}")));
        codetab.insert("code".to_owned(), toml::Value::String(code));
        codetabs.push(toml::Value::Table(codetab));
    }
    if let Some(redis) = &scene.redis {
        let store = [("redis".to_owned(), toml::Value::String(redis.clone()))];
        config.insert("store".to_owned(), toml::Value::Table(toml::Table::from_iter(store)));
    }
    let changed = sandbox.join("bench.toml");
    let text = toml::to_string(&config).map_err(|_| malformed())?;
    fs::write(&changed, text).map_err(BenchError::system("writing bench.toml"))?;
    Ok(changed)
}

/// Puts a certificate of the same names with a key of RSA-2048 in place of the server's, and makes it
/// the one that clients trust.
fn rsa_certificate(sandbox: &Path) -> Result<(), BenchError> {
    let file = |name: &str| sandbox.join(name);
    let pem =
        fs::read(file("server/server.pem")).map_err(BenchError::system("reading server.pem"))?;
    let made = || -> Result<(Vec<u8>, Vec<u8>), openssl::error::ErrorStack> {
        let old = X509::from_pem(&pem)?;
        let key = PKey::from_rsa(Rsa::generate(2048)?)?;
        let mut names = SubjectAlternativeName::new();
        for name in old.subject_alt_names().into_iter().flatten() {
            if let Some(name) = name.dnsname() {
                names.dns(name);
            }
        }
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        builder.set_subject_name(old.subject_name())?;
        builder.set_issuer_name(old.subject_name())?;
        builder.set_not_before(old.not_before())?;
        builder.set_not_after(old.not_after())?;
        builder.set_pubkey(&key)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        let names = names.build(&builder.x509v3_context(None, None))?;
        builder.append_extension(names)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok((builder.build().to_pem()?, key.private_key_to_pem_pkcs8()?))
    };
    let (certificate, key) = made().map_err(BenchError::tls("making a certificate"))?;
    let places = [
        ("server/server.pem", &certificate),
        ("server-ca.pem", &certificate),
        ("server/server.key", &key),
    ];
    for (place, pem) in places {
        fs::write(file(place), pem).map_err(BenchError::system("writing a certificate"))?;
    }
    Ok(())
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
pub(crate) fn free() -> Result<SocketAddr, BenchError> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(BenchError::system("looking for a free port"))
}

pub(crate) fn answering(address: SocketAddr, process: &mut Running) -> Result<(), BenchError> {
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
