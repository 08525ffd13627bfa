//! `make bench-registers`: an EBA register of full size, read, linted and indexed by Octroi and loaded
//! by Python's `json.load` in one run; time and peak memory side by side.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use octroi_benches::{BenchError, registers};
use policies::freshness::Freshness;
use policies::register::{Origin, Overrides, Published, Register, RegisterPolicy, Snapshot};

/// Reads a register of the real one's size.
#[derive(Debug, Parser)]
struct Options {
    /// Rows of the register
    #[arg(long, default_value_t = 330_000)]
    rows: usize,
    /// Only write the register into this file
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// How often each reads it; the best counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Read this file, and tell time and peak memory: what the measured child does
    #[arg(long, value_name = "FILE", hide = true)]
    child: Option<PathBuf>,
}

/// Seconds, and MiB at the peak.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    memory: f64,
}

const PYTHON: &str = "import json,resource,sys,time
t=time.time(); d=json.load(open(sys.argv[1])); t=time.time()-t
assert len(d[1])==int(sys.argv[2])
print(t, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)";

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("register-at-scale: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), BenchError> {
    if let Some(file) = &options.child {
        return read(file);
    }
    if let Some(file) = &options.write {
        return write(file, options.rows);
    }
    let dir = tempfile::tempdir().map_err(BenchError::system("making a directory"))?;
    let file = dir.path().join("eba.json");
    write(&file, options.rows)?;
    let octets = fs::metadata(&file).map_err(BenchError::system("reading its size"))?.len();
    println!("{} rows, {:.0} MB", options.rows, octets as f64 / 1e6);
    let me = std::env::current_exe().map_err(BenchError::system("finding the program"))?;
    let mut best: [Option<Cost>; 2] = [None, None];
    for _ in 0..options.rounds {
        let mut ours = Command::new(&me);
        ours.arg("--child").arg(&file);
        let mut python = Command::new("python3");
        python.args(["-c", PYTHON]).arg(&file).arg(options.rows.to_string());
        for (place, command) in [(0, &mut ours), (1, &mut python)] {
            let cost = measured(command)?;
            let better = |known: Cost| Cost {
                seconds: known.seconds.min(cost.seconds),
                memory: known.memory.min(cost.memory),
            };
            if let Some(known) = best.get_mut(place) {
                *known = Some(known.map_or(cost, better));
            }
        }
    }
    let [Some(ours), Some(python)] = best else { return Ok(()) };
    for (name, cost) in [("Octroi: read, lint, index", ours), ("python3: json.load", python)] {
        println!("{name:<28} {:>6.2} s {:>8.0} MiB", cost.seconds, cost.memory);
    }
    let (time, memory) = (ours.seconds / python.seconds, ours.memory / python.memory);
    println!("ratio                        {time:>6.2}   {memory:>8.3}");
    Ok(())
}

fn write(file: &Path, rows: usize) -> Result<(), BenchError> {
    let create = File::create(file).map_err(BenchError::system("making the file"))?;
    let mut out = BufWriter::new(create);
    registers::write(rows, &mut out).map_err(BenchError::system("writing the register"))?;
    out.flush().map_err(BenchError::system("writing the register"))
}

/// The last line of a child: seconds, and KiB at the peak.
fn measured(command: &mut Command) -> Result<Cost, BenchError> {
    let output = command.output().map_err(BenchError::system("running a reader"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.lines().last().unwrap_or_default().split_whitespace();
    let mut number = || words.next().and_then(|word| word.parse::<f64>().ok());
    match (output.status.success(), number(), number()) {
        (true, Some(seconds), Some(kib)) => Ok(Cost { seconds, memory: kib / 1024.0 }),
        _ => Err(BenchError::Process(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

fn read(file: &Path) -> Result<(), BenchError> {
    let began = Instant::now();
    let open = File::open(file).map_err(BenchError::system("opening the file"))?;
    let mut reader: Box<dyn Read> = Box::new(BufReader::with_capacity(64 * 1024, open));
    let mut snapshot = Snapshot::empty();
    let published =
        Published { file: "eba.json", reader: &mut reader, as_of: jiff::Timestamp::now() };
    let told = |error: policies::register::RegisterError| BenchError::Process(error.to_string());
    snapshot.add_eba(Origin::EbaPayment, published, &mut |_| {}).map_err(told)?;
    let read = began.elapsed();
    let findings = snapshot.findings().len();
    let day = Duration::from_secs(24 * 3600);
    let policy = RegisterPolicy::usual(Freshness { fresh_for: day, tolerated_for: day });
    let register = Register::of(&snapshot, Overrides::default(), policy).map_err(told)?;
    let all = began.elapsed();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let peak = peak.trim().trim_end_matches("kB").trim().to_owned();
    let account = snapshot.sources.first().map(|source| source.account.clone()).unwrap_or_default();
    eprintln!("{account:?}, {findings} findings, {} ids, read {read:?}", register.len());
    println!("{} {peak}", all.as_secs_f64());
    Ok(())
}
