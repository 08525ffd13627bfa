//! A redis-server of the benchmark alone, and what its CPU and memory go into.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

use openssl::sha::sha1;
use redis::{Cmd, Connection, ConnectionLike};
use tempfile::TempDir;

use crate::BenchError;
use crate::capacity::costs;
use crate::process::Running;
use crate::stage::{answering, free, record_of};
use crate::turn::micros;

/// The scripts as the gateway runs them, by the clock of the server.
const SERVER_CLOCK: &str = "\
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
";
const TAKE: &str = include_str!("../../gateway/src/store/redis/take.lua");
const SIGN: &str = include_str!("../../gateway/src/store/redis/presence.lua");
const TRANSACT: &str = include_str!("../../gateway/src/store/redis/transact.lua");

/// Connections over which commands come, each one at a time.
const CONNECTIONS: usize = 8;
const COMMANDS: usize = 12_000;
const RECORDS: usize = 20_000;
/// Gateways that are told of changes, and that share the limits.
const TOLD: usize = 20;
const CROWD: usize = 200;
const WINDOWS: usize = 4_000;
const BATCH: usize = 16;

/// The server; it ends with this value.
pub struct RedisAlone {
    process: Running,
    address: SocketAddr,
    version: String,
    _dir: TempDir,
}

impl RedisAlone {
    /// Starts it as the book asks for: with an append-only file. None where it is not installed.
    ///
    /// # Errors
    /// It does not answer.
    pub fn start() -> Result<Option<Self>, BenchError> {
        let Ok(told) = Command::new("redis-server").arg("--version").stdin(Stdio::null()).output()
        else {
            return Ok(None);
        };
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let version = told.split_whitespace().find_map(|word| word.strip_prefix("v="));
        let dir = tempfile::tempdir().map_err(BenchError::system("making a directory"))?;
        let address = free()?;
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--appendonly", "yes", "--save", "", "--dir"])
            .arg(dir.path());
        let mut process = Running::start("redis-server", &mut command)?;
        answering(address, &mut process)?;
        let version = version.unwrap_or("of an unknown version").to_owned();
        Ok(Some(Self { process, address, version, _dir: dir }))
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// For example `7.0.15`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Writes records, many at once.
    ///
    /// # Errors
    /// Redis refuses.
    pub fn write(&self, records: &[(String, String)]) -> Result<(), BenchError> {
        let mut connection = self.connection()?;
        for some in records.chunks(500) {
            let mut pipe = redis::pipe();
            for (key, value) in some {
                pipe.cmd("SET").arg(key).arg(value).arg("PX").arg(86_400_000).ignore();
            }
            pipe.query::<()>(&mut connection).map_err(refused("writing records"))?;
        }
        Ok(())
    }

    /// Measures everything once.
    ///
    /// # Errors
    /// Redis refuses a command.
    pub fn costs(&self) -> Result<costs::Redis, BenchError> {
        let mut connection = self.connection()?;
        redis::cmd("FLUSHALL").exec(&mut connection).map_err(refused("emptying it"))?;
        let take = self.script(&format!("{SERVER_CLOCK}{TAKE}"))?;
        let sign = self.script(&format!("{SERVER_CLOCK}{SIGN}"))?;
        let transact = self.script(TRANSACT)?;

        let token_bytes = self.memory_of(RECORDS, |number| [own_token(number, "access")])?;
        let more = self
            .memory_of(RECORDS, |number| [own_token(number + RECORDS, "refresh"), pair(number)])?;
        let window_bytes = self.memory_of(WINDOWS, |number| [window(number)])?;

        let (net, read_us) = (self.network()?, self.each(1, &read)?);
        let read_bytes = (self.network()? - net) / COMMANDS as f64;
        let read_at_once = self.each(BATCH, &read)?;
        let before = self.used()?;
        let (net, take_us) = (self.network()?, self.each(1, &|number| rate(&take, number))?);
        let take_bytes = (self.network()? - net) / COMMANDS as f64;
        let bucket_bytes = (self.used()? - before) / COMMANDS as f64;
        let window_us = self.each(1, &|number| ask_window(&take, number))?;
        let transact_us = self.each(1, &|number| refresh(&transact, number))?;

        let alone = self.each(1, &|_| sign_of(&sign, 0))?;
        for gateway in 1..=CROWD {
            sign_of(&sign, gateway).exec(&mut connection).map_err(refused("giving a sign"))?;
        }
        let crowded = self.each(1, &|number| sign_of(&sign, number % CROWD))?;
        let sign_each_us = (crowded - alone) / CROWD as f64;

        let untold = self.each(1, &set)?;
        let gateways: Vec<TcpStream> = (0..TOLD).map(|_| self.told()).collect::<Result<_, _>>()?;
        let net = self.network()?;
        let told = self.each(1, &set);
        let net_told = self.network()? - net;
        for gateway in gateways {
            let _ = gateway.shutdown(Shutdown::Both);
        }
        let net = self.network()?;
        self.each(1, &set)?;
        let net = self.network()? - net;
        let changes = (COMMANDS * TOLD) as f64;
        Ok(costs::Redis {
            read_us,
            take_us,
            window_us,
            transact_us,
            sign_us: alone,
            sign_each_us,
            invalidation_us: (told? - untold) / TOLD as f64,
            work_share: read_at_once / read_us,
            read_bytes,
            take_bytes,
            invalidation_bytes: (net_told - net) / changes,
            token_bytes,
            consent_bytes: token_bytes + more,
            bucket_bytes,
            window_bytes,
        })
    }

    /// CPU microseconds of the server for each of the commands, `batch` at a time over each
    /// connection.
    fn each(
        &self,
        batch: usize,
        command: &(impl Fn(usize) -> Cmd + Sync),
    ) -> Result<f64, BenchError> {
        let begun = self.process.cpu()?;
        thread::scope(|scope| {
            let workers: Vec<_> = (0..CONNECTIONS)
                .map(|worker| scope.spawn(move || self.send(worker, batch, command)))
                .collect();
            workers.into_iter().try_for_each(|worker| {
                let died = |_| Err(BenchError::Process("a load worker panicked".to_owned()));
                worker.join().unwrap_or_else(died)
            })
        })?;
        Ok(micros(self.process.cpu()? - begun) / COMMANDS as f64)
    }

    fn send(
        &self,
        worker: usize,
        batch: usize,
        command: &impl Fn(usize) -> Cmd,
    ) -> Result<(), BenchError> {
        let mut connection = self.connection()?;
        let numbers: Vec<usize> = (worker..COMMANDS).step_by(CONNECTIONS).collect();
        for some in numbers.chunks(batch) {
            let packed: Vec<u8> =
                some.iter().flat_map(|number| command(*number).get_packed_command()).collect();
            let answers = connection.req_packed_commands(&packed, 0, some.len());
            for answer in answers.map_err(refused("asking"))? {
                answer.extract_error().map_err(refused("asking"))?;
            }
        }
        Ok(())
    }

    /// A gateway that is told of changes and throws the word away.
    fn told(&self) -> Result<TcpStream, BenchError> {
        let doing = "following changes";
        let mut stream = TcpStream::connect(self.address).map_err(BenchError::system(doing))?;
        let ask = "HELLO 3\r\nCLIENT TRACKING ON BCAST PREFIX octroi:token: PREFIX octroi:{\r\n";
        stream.write_all(ask.as_bytes()).map_err(BenchError::system(doing))?;
        let mut reader = stream.try_clone().map_err(BenchError::system(doing))?;
        thread::spawn(move || {
            let mut word = vec![0; 64 * 1024];
            while reader.read(&mut word).is_ok_and(|read| read > 0) {}
        });
        Ok(stream)
    }

    fn memory_of<const N: usize>(
        &self,
        count: usize,
        records: impl Fn(usize) -> [(String, String); N],
    ) -> Result<f64, BenchError> {
        let before = self.used()?;
        let records: Vec<(String, String)> = (0..count).flat_map(records).collect();
        self.write(&records)?;
        Ok((self.used()? - before) / count as f64)
    }

    fn script(&self, source: &str) -> Result<String, BenchError> {
        let mut connection = self.connection()?;
        redis::cmd("SCRIPT")
            .arg("LOAD")
            .arg(source)
            .exec(&mut connection)
            .map_err(refused("loading a script"))?;
        Ok(hex(&sha1(source.as_bytes())))
    }

    fn used(&self) -> Result<f64, BenchError> {
        self.info("used_memory")
    }

    fn network(&self) -> Result<f64, BenchError> {
        Ok(self.info("total_net_input_bytes")? + self.info("total_net_output_bytes")?)
    }

    fn info(&self, name: &str) -> Result<f64, BenchError> {
        let told: String = redis::cmd("INFO")
            .query(&mut self.connection()?)
            .map_err(refused("asking about itself"))?;
        let mut lines = told.lines().filter_map(|line| line.split_once(':'));
        let value = lines.find(|(known, _)| *known == name);
        let value = value.and_then(|(_, value)| value.trim().parse().ok());
        value.ok_or_else(|| BenchError::Process(format!("redis-server: no {name} in INFO")))
    }

    fn connection(&self) -> Result<Connection, BenchError> {
        let client = redis::Client::open(self.url());
        client.and_then(|client| client.get_connection()).map_err(refused("connecting"))
    }
}

fn refused(doing: &'static str) -> impl FnOnce(redis::RedisError) -> BenchError {
    move |error| BenchError::Process(format!("redis-server: {doing}: {error}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A record of our own authorization server, which belongs to a consent.
fn own_token(number: usize, kind: &str) -> (String, String) {
    let (_, json) = record_of(&number.to_string());
    let json = json.replace(r#""v":1"#, r#""v":2"#).replace(r#""access""#, &format!("{kind:?}"));
    let json = json.trim_end_matches('}');
    let grant = format!("{number:064x}");
    (own_key("token", number), format!(r#"{json},"grant":"{grant}","epoch":0}}"#))
}

fn pair(number: usize) -> (String, String) {
    let digest = format!("{number:064x}");
    let json =
        format!(r#"{{"v":1,"access":"{digest}","refresh":"{digest}","lineage":"{digest}"}}"#);
    (own_key("grant", number), json)
}

fn own_key(kind: &str, number: usize) -> String {
    format!("octroi:{{{:03x}}}:{kind}:{number:064x}", number % 4_096)
}

fn window(number: usize) -> (String, String) {
    let now = jiff::Timestamp::now().as_microsecond();
    let times: Vec<String> = (0..19).map(|place| (now - 19 + place).to_string()).collect();
    (format!("octroi:quota:{{{:03x}}}:window:{number:064x}", number % 4_096), times.join(" "))
}

fn read(number: usize) -> Cmd {
    let mut command = redis::cmd("MGET");
    command.arg(own_key("token", number)).arg(own_key("standing", number));
    command
}

fn set(number: usize) -> Cmd {
    let mut command = redis::cmd("SET");
    command.arg(own_key("token", number)).arg("x");
    command
}

fn rate(script: &str, number: usize) -> Cmd {
    let key = format!("octroi:quota:{{{:03x}}}:rate:{number:064x}", number % 4_096);
    let mut command = redis::cmd("EVALSHA");
    // A bucket that is not full again while the measurement looks at it.
    command.arg(script).arg(1).arg(key).arg("rate").arg(60_000_000).arg(600_000_000).arg(1);
    command
}

fn ask_window(script: &str, number: usize) -> Cmd {
    let (key, _) = window(number % WINDOWS);
    let mut command = redis::cmd("EVALSHA");
    command.arg(script).arg(1).arg(key).arg("window").arg(1_000).arg(86_400_000_000_u64).arg(1);
    command
}

/// Takes back the old access token, and writes the new one and the pair.
fn refresh(script: &str, number: usize) -> Cmd {
    let (old, _) = own_token(number, "access");
    let (new, token) = own_token(number + 2 * RECORDS, "access");
    let (grant, pair) = pair(number);
    let until = jiff::Timestamp::now().as_millisecond() + 3_600_000;
    let mut command = redis::cmd("EVALSHA");
    command.arg(script).arg(3).arg(old).arg(new).arg(grant);
    command.arg("?").arg("-").arg("").arg(format!("{number:064x}"));
    command.arg("?").arg(format!("={token}")).arg(until).arg("");
    command.arg("?").arg(format!("={pair}")).arg(until).arg("");
    command
}

fn sign_of(script: &str, gateway: usize) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(script).arg(1).arg("octroi:gateways").arg(format!("{gateway:032x}"));
    command.arg(0).arg(500_000).arg(600_000_000).arg("stay");
    command
}
