//! What one request, handshake, connection, record and Redis command costs on this machine: the input
//! of `how-many-machines`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use octroi_benches::BenchError;
use octroi_benches::capacity::costs::{Bare, Costs, Gateway, Redis};
use octroi_benches::load::Target;
use octroi_benches::process::Running;
use octroi_benches::redis_alone::RedisAlone;
use octroi_benches::stage::{Scene, Stage, record_of, requests_of};
use octroi_benches::turn::{Amount, Turn, micros};

const MORE_CODETABS: u32 = 5_000;
const HELD: usize = 200;
const CHANGES: usize = 10_000;
/// What the gateway has to write may take so long to be in its file.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);

/// Measures what things cost and writes it as JSON. Of the runs the smallest CPU time counts, for
/// others on the machine only ever add to it, and the greatest size.
#[derive(Debug, Parser)]
struct Options {
    /// Runs, of less than two minutes each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    /// Where to write; standard output otherwise
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let measured = measure(&options).and_then(|costs| {
        let json = serde_json::to_string_pretty(&costs).unwrap_or_default() + "\n";
        match &options.out {
            Some(file) => fs::write(file, json).map_err(BenchError::system("writing the costs")),
            None => {
                print!("{json}");
                Ok(())
            }
        }
    });
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cost: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<Costs, BenchError> {
    let programs = std::env::current_exe().map_err(BenchError::system("finding the programs"))?;
    let programs = programs.parent().unwrap_or(&programs);
    let mut all = Vec::new();
    for run in 0..options.runs {
        all.push(once(programs, run)?);
        eprintln!("cost: run {} of {} is done", run + 1, options.runs);
    }
    let smallest = all.into_iter().reduce(smaller);
    smallest
        .map(|costs| Costs { runs: options.runs, ..costs })
        .ok_or_else(|| BenchError::Process("no run was asked for".to_owned()))
}

fn once(programs: &Path, run: u32) -> Result<Costs, BenchError> {
    let amount = Amount { connections: 16, requests: 300, handshakes: 200 };
    let redis = RedisAlone::start()?;
    if redis.is_none() {
        eprintln!("cost: redis-server is not installed: nothing of Redis is measured");
    }

    let stage = Stage::set(programs, &Scene::default())?;
    let process_bytes = stage.octroi.0.resident()?;
    // The first turn warms the connections to the upstream, caches and the token.
    let turn = |(process, target): &(Running, Target)| warmed(process, target, amount);
    let (bare, octroi) = (turn(&stage.bare)?, turn(&stage.octroi)?);
    let audit_bytes = audit_bytes(&stage)?;
    let connection_bytes = bytes_of_a_connection(&stage.octroi)?;
    let bare_connection_bytes = bytes_of_a_connection(&stage.bare)?;
    drop(stage);

    let stage = Stage::set(programs, &Scene { rsa: true, ..Scene::default() })?;
    let (bare_rsa, octroi_rsa) = (turn(&stage.bare)?, turn(&stage.octroi)?);
    drop(stage);

    let stage = Stage::set(programs, &Scene { more_codetabs: MORE_CODETABS, ..Scene::default() })?;
    let grown = stage.octroi.0.resident()? - process_bytes;
    let codetab_bytes = grown.max(0.0) / f64::from(MORE_CODETABS);
    drop(stage);

    let mut gateway = Gateway {
        request_us: octroi.request,
        request_with_script_us: octroi.request,
        request_with_cold_token_us: octroi.request,
        invalidation_us: 0.0,
        handshake_p256_us: octroi.handshake,
        handshake_rsa2048_us: octroi_rsa.handshake,
        connection_bytes,
        process_bytes,
        codetab_bytes,
        audit_bytes,
    };
    if let Some(redis) = &redis {
        with_redis(programs, redis, (amount, run), &mut gateway)?;
    }
    Ok(Costs {
        machine: machine(redis.as_ref()),
        measured_on: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        runs: 1,
        gateway,
        bare: Bare {
            request_us: bare.request,
            handshake_p256_us: bare.handshake,
            handshake_rsa2048_us: bare_rsa.handshake,
            connection_bytes: bare_connection_bytes,
        },
        redis: redis.as_ref().map(RedisAlone::costs).transpose()?,
    })
}

fn warmed(process: &Running, target: &Target, amount: Amount) -> Result<Turn, BenchError> {
    Turn::of(process, target, amount)?;
    Turn::of(process, target, amount)
}

/// The same gateway with its tokens and limits in Redis: each request asks the script of limits, then
/// each also for a token that it has never seen.
fn with_redis(
    programs: &Path,
    redis: &RedisAlone,
    (amount, run): (Amount, u32),
    gateway: &mut Gateway,
) -> Result<(), BenchError> {
    let stage = Stage::set(programs, &Scene { redis: Some(redis.url()), ..Scene::default() })?;
    let (process, target) = &stage.octroi;
    let count = amount.requests * u32::from(amount.connections);
    let named = |number: u32| format!("{run:08}-bench-token-{number:08}");
    let tokens: Vec<String> = (0..=count).map(named).collect();
    let records: Vec<(String, String)> = tokens.iter().map(|token| record_of(token)).collect();
    redis.write(&records)?;
    let (warm, cold) = tokens.split_at(1);
    let of = |tokens: &[String]| Target { requests: requests_of(tokens), ..target.clone() };
    let scripted = warmed(process, &of(warm), amount)?;
    let begun = process.cpu()?;
    of(cold).keep_alive(usize::from(amount.connections), amount.requests as usize)?;
    let connections = f64::from(amount.connections) * gateway.handshake_p256_us;
    let cold = (micros(process.cpu()? - begun) - connections) / f64::from(count);

    let changed: Vec<(String, String)> =
        (0..CHANGES).map(|number| record_of(&format!("changed {number}"))).collect();
    let begun = process.cpu()?;
    redis.write(&changed)?;
    std::thread::sleep(Duration::from_millis(300));
    let told = micros(process.cpu()? - begun) / CHANGES as f64;

    gateway.request_with_script_us = scripted.request;
    gateway.request_with_cold_token_us = cold;
    gateway.invalidation_us = told;
    Ok(())
}

/// Resident memory that grows by each connection that is open and has carried a request. The first ones
/// fill pools that serve the next.
fn bytes_of_a_connection((process, target): &(Running, Target)) -> Result<f64, BenchError> {
    let first = target.hold(HELD)?;
    let begun = process.resident()?;
    let second = target.hold(HELD)?;
    let grown = process.resident()? - begun;
    drop(first);
    Ok(grown / second.count() as f64)
}

fn audit_bytes(stage: &Stage) -> Result<f64, BenchError> {
    const REQUESTS: usize = 200;
    let written = |at_least: u64| -> Result<u64, BenchError> {
        let deadline = Instant::now() + WRITTEN_WITHIN;
        let mut last = stage.audit_bytes()?;
        loop {
            // Records gather for 10 ms before they are written together.
            std::thread::sleep(Duration::from_millis(100));
            let now = stage.audit_bytes()?;
            if (now == last && now > at_least) || Instant::now() > deadline {
                return Ok(now);
            }
            last = now;
        }
    };
    let begun = written(0)?;
    stage.octroi.1.keep_alive(1, REQUESTS)?;
    Ok((written(begun)? - begun) as f64 / REQUESTS as f64)
}

fn machine(redis: Option<&RedisAlone>) -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.unwrap_or_default().trim_start_matches([' ', '\t', ':']).to_owned();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = read("/proc/sys/kernel/osrelease");
    let redis = redis.map_or("no Redis".to_owned(), |redis| format!("Redis {}", redis.version()));
    format!("{model}, {cores} cores, Linux {}, {redis}", kernel.trim())
}

fn smaller(one: Costs, other: Costs) -> Costs {
    let (a, b) = (one.gateway, other.gateway);
    let gateway = Gateway {
        request_us: a.request_us.min(b.request_us),
        request_with_script_us: a.request_with_script_us.min(b.request_with_script_us),
        request_with_cold_token_us: a.request_with_cold_token_us.min(b.request_with_cold_token_us),
        invalidation_us: a.invalidation_us.min(b.invalidation_us),
        handshake_p256_us: a.handshake_p256_us.min(b.handshake_p256_us),
        handshake_rsa2048_us: a.handshake_rsa2048_us.min(b.handshake_rsa2048_us),
        connection_bytes: a.connection_bytes.max(b.connection_bytes),
        process_bytes: a.process_bytes.max(b.process_bytes),
        codetab_bytes: a.codetab_bytes.max(b.codetab_bytes),
        audit_bytes: a.audit_bytes.max(b.audit_bytes),
    };
    let (a, b) = (one.bare, other.bare);
    let bare = Bare {
        request_us: a.request_us.min(b.request_us),
        handshake_p256_us: a.handshake_p256_us.min(b.handshake_p256_us),
        handshake_rsa2048_us: a.handshake_rsa2048_us.min(b.handshake_rsa2048_us),
        connection_bytes: a.connection_bytes.max(b.connection_bytes),
    };
    let redis = one.redis.zip(other.redis).map(|(a, b)| Redis {
        read_us: a.read_us.min(b.read_us),
        take_us: a.take_us.min(b.take_us),
        window_us: a.window_us.min(b.window_us),
        transact_us: a.transact_us.min(b.transact_us),
        sign_us: a.sign_us.min(b.sign_us),
        sign_each_us: a.sign_each_us.min(b.sign_each_us),
        invalidation_us: a.invalidation_us.min(b.invalidation_us),
        work_share: a.work_share.min(b.work_share),
        ..b
    });
    Costs { gateway, bare, redis, ..other }
}
