//! `make bench-audit`: an access log of ten million records, searched, verified and rehearsed by Octroi, and
//! searched by what every machine has: time and peak memory side by side.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use jiff::SignedDuration;
use octroi::audit::shelf;
use octroi_benches::audit_log::{Bank, COMMON_REASON, Made, Plan, RARE_TPP};
use octroi_benches::{BenchError, stage};
use openssl::hash::MessageDigest;
use openssl::x509::X509;

/// Searches an access log of many records.
#[derive(Debug, Parser)]
struct Options {
    /// Records of requests, spread over seven days
    #[arg(long, default_value_t = 10_000_000)]
    records: u64,
    /// Files that they are spread over
    #[arg(long, default_value_t = 42)]
    files: u64,
    /// Where the log is made; it is removed at the end
    #[arg(long, value_name = "DIR")]
    place: Option<PathBuf>,
}

/// What a command took.
struct Cost {
    seconds: f64,
    /// MiB at the peak, of all its processes together.
    memory: f64,
}

struct Bench {
    octroi: PathBuf,
    log: PathBuf,
    /// The configuration that is rehearsed.
    new: PathBuf,
    indexes: PathBuf,
    table: Table,
}

const SECONDS: u64 = 7 * 24 * 3600;
/// Requests a minute of one TPP on one API that the rehearsed configuration lets pass.
const NEW_LIMIT: i64 = 10;
const LOOK_EVERY: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("audit-at-scale: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), BenchError> {
    let place = match &options.place {
        Some(place) => tempfile::tempdir_in(place),
        None => tempfile::tempdir(),
    };
    let place = place.map_err(BenchError::system("making a directory"))?;
    let me = std::env::current_exe().map_err(BenchError::system("finding the program"))?;
    let log = place.path().join("log");
    fs::create_dir(&log).map_err(BenchError::system("making a directory"))?;
    let octroi = me.with_file_name("octroi");
    let new = place.path().join("sandbox/new.toml");
    let plan = Plan {
        bank: bank(&octroi, &new, &log)?,
        frame_lines: Some(4096),
        checkpoint_lines: 10_000,
        pace: SignedDuration::from_micros(
            i64::try_from(SECONDS * 1_000_000 / options.records.max(1)).unwrap_or(i64::MAX),
        ),
        ..Plan::new(options.records, options.files)
    };
    let began = Instant::now();
    let made = plan.write(&log).map_err(BenchError::system("writing the log"))?;
    println!(
        "{} records of requests, {} lines in {} files, {:.1} GB, compressed {:.2} GB; written in {:.0} s",
        options.records,
        made.lines,
        options.files,
        made.bytes as f64 / 1e9,
        made.stored as f64 / 1e9,
        began.elapsed().as_secs_f64()
    );
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["what", "with", "s", "MiB", "lines"]);
    for column in 2..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut bench = Bench { octroi, log, new, indexes: place.path().join("indexes"), table };
    let shown = bench.all(&made, &plan);
    println!("{}", bench.table);
    shown
}

/// The hosts of a sandbox and the certificates of its TPPs, which lie beside the log as those that were
/// shown to a gateway do; and in `new` the sandbox's configuration with a limit of [`NEW_LIMIT`].
fn bank(octroi: &Path, new: &Path, log: &Path) -> Result<Bank, BenchError> {
    let sandbox = new.parent().unwrap_or(new);
    stage::prepare(octroi, sandbox)?;
    let file = sandbox.join("octroi.toml");
    let text = fs::read_to_string(file).map_err(BenchError::system("reading octroi.toml"))?;
    let malformed = |why: String| BenchError::Process(format!("octroi.toml of the sandbox: {why}"));
    let mut config: toml::Table =
        toml::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    let codetabs = config
        .get("codetab")
        .and_then(toml::Value::as_array)
        .map(|all| {
            all.iter().filter_map(|one| Some(one.get("code")?.as_str()?.to_owned())).collect()
        })
        .ok_or_else(|| malformed("no `codetab`".to_owned()))?;
    let mut limit = toml::Table::new();
    limit.insert("requests".to_owned(), NEW_LIMIT.into());
    limit.insert("period".to_owned(), "1m".into());
    let quotas = config.get_mut("quota").and_then(toml::Value::as_table_mut);
    let quotas = quotas.ok_or_else(|| malformed("no `quota`".to_owned()))?;
    quotas.insert("sandbox".to_owned(), limit.into());
    let text = toml::to_string(&config).map_err(|error| malformed(error.to_string()))?;
    fs::write(new, text).map_err(BenchError::system("writing a configuration"))?;

    let kept = log.join("certificates");
    fs::create_dir(&kept).map_err(BenchError::system("making a directory"))?;
    let tpps = fs::read_dir(sandbox.join("tpp")).map_err(BenchError::system("listing the TPPs"))?;
    let mut certificates = Vec::new();
    for tpp in tpps {
        let tpp = tpp.map_err(BenchError::system("listing the TPPs"))?;
        let pem = fs::read(tpp.path().join("qwac.pem"));
        let pem = pem.map_err(BenchError::system("reading a QWAC"))?;
        let leaf = X509::from_pem(&pem).and_then(|leaf| leaf.digest(MessageDigest::sha256()));
        let leaf = leaf.map_err(|error| BenchError::Process(format!("a QWAC: {error}")))?;
        let name = hex::encode(leaf);
        fs::write(kept.join(format!("{name}.pem")), pem)
            .map_err(BenchError::system("keeping a QWAC"))?;
        certificates.push(name);
    }
    certificates.sort();
    Ok(Bank { domain: "sandbox.api.localhost".to_owned(), codetabs, certificates })
}

impl Bench {
    fn all(&mut self, made: &Made, plan: &Plan) -> Result<(), BenchError> {
        let day = |number: i64| {
            let at = plan.from.checked_add(SignedDuration::from_hours(24 * number));
            at.map(|at| at.to_string()).unwrap_or_default()
        };
        let (from, to) = (day(3), day(4));
        let one = made.some.get(made.some.len() / 2).cloned().unwrap_or_default();
        let common = ["search", "--reason", COMMON_REASON];
        let rare = ["search", "--tpp", RARE_TPP, "--output", "jsonl"];
        self.octroi("a rare TPP, and the index is made", &rare)?;
        self.octroi("a rare TPP", &rare)?;
        self.octroi("a common reason, counted", &[&common[..], &["--count"]].concat())?;
        self.octroi("a common reason, all lines", &[&common[..], &["--output", "jsonl"]].concat())?;
        self.octroi("one request, its story", &["show", &one])?;
        let span = ["--from", &from, "--to", &to];
        self.octroi(
            "a day, counted by reason",
            &[&["search", "--count", "--by", "reason"], &span[..]].concat(),
        )?;
        self.octroi(
            "a day, one reason, all lines",
            &[&common[..], &span[..], &["--output", "jsonl"]].concat(),
        )?;
        self.octroi("is it what was written?", &["verify"])?;
        self.rehearse()?;
        let files: Vec<PathBuf> = shelf::files(&self.log)
            .map_err(BenchError::system("listing the log"))?
            .into_iter()
            .map(|file| file.path)
            .collect();
        let needle = format!("\"organization.id\":\"{RARE_TPP}\"");
        self.pipe("a rare TPP", &files, "zstdcat | grep", 1.0, &["grep", "-F", &needle])?;
        let needle = format!("\"event.reason\":\"{COMMON_REASON}\"");
        self.pipe(
            "a common reason, all lines",
            &files,
            "zstdcat | grep",
            1.0,
            &["grep", "-F", &needle],
        )?;
        // jq parses everything: a part of the log is enough to know what it takes for each line.
        let part = files.get(..files.len().div_ceil(20)).unwrap_or_default();
        let filter = format!("select(.\"organization.id\"==\"{RARE_TPP}\")");
        let scale = files.len() as f64 / part.len().max(1) as f64;
        let with = format!("zstdcat | jq, of 1/{scale:.0} of it, times {scale:.0}");
        self.pipe("a rare TPP", part, &with, scale, &["jq", "-c", &filter])
    }

    fn octroi(&mut self, what: &str, arguments: &[&str]) -> Result<(), BenchError> {
        let mut command = Command::new(&self.octroi);
        command.arg("audit").args(arguments).arg("--directory").arg(&self.log);
        self.run(what, command)
    }

    fn rehearse(&mut self) -> Result<(), BenchError> {
        let mut command = Command::new(&self.octroi);
        command.arg("rehearse").arg("--config").arg(&self.new).arg("--log").arg(&self.log);
        self.run(&format!("rehearse a limit of {NEW_LIMIT} a minute"), command)
    }

    fn run(&mut self, what: &str, mut command: Command) -> Result<(), BenchError> {
        let began = Instant::now();
        let (out, counted) = out()?;
        command.env("OCTROI_AUDIT_INDEXES", &self.indexes).stdout(out).stderr(Stdio::null());
        let child = command.spawn().map_err(BenchError::system("starting octroi"))?;
        let cost = wait(began, vec![child])?;
        self.row(what, "octroi", &cost, &counted)
    }

    fn pipe(
        &mut self,
        what: &str,
        files: &[PathBuf],
        with: &str,
        scale: f64,
        reader: &[&str],
    ) -> Result<(), BenchError> {
        let began = Instant::now();
        let unpack = Command::new("zstdcat").args(files).stdout(Stdio::piped()).spawn();
        let mut unpack = unpack.map_err(BenchError::system("starting zstdcat"))?;
        let Some((program, arguments)) = reader.split_first() else { return Ok(()) };
        let (out, counted) = out()?;
        let mut command = Command::new(program);
        command.args(arguments).stdout(out).env("LC_ALL", "C");
        if let Some(text) = unpack.stdout.take() {
            command.stdin(text);
        }
        let reader = command.spawn().map_err(BenchError::system("starting a reader"))?;
        let mut cost = wait(began, vec![unpack, reader])?;
        cost.seconds *= scale;
        self.row(what, with, &cost, &counted)
    }

    fn row(&mut self, what: &str, with: &str, cost: &Cost, out: &Path) -> Result<(), BenchError> {
        let text = fs::read(out).map_err(BenchError::system("reading an answer"))?;
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        let (seconds, memory) = (format!("{:.2}", cost.seconds), format!("{:.0}", cost.memory));
        self.table.add_row([what, with, &seconds, &memory, &lines.to_string()]);
        eprintln!("{what} ({with}): {seconds} s, {memory} MiB, {lines} lines");
        fs::remove_file(out).map_err(BenchError::system("removing an answer"))
    }
}

/// Where an answer goes.
fn out() -> Result<(File, PathBuf), BenchError> {
    let file = tempfile::NamedTempFile::new().map_err(BenchError::system("making a file"))?;
    let (file, path) = file.keep().map_err(|error| BenchError::Process(error.to_string()))?;
    Ok((file, path))
}

/// Waits for all, and looks at their memory meanwhile.
fn wait(began: Instant, mut children: Vec<Child>) -> Result<Cost, BenchError> {
    let mut peaks = vec![0.0_f64; children.len()];
    loop {
        let mut left = false;
        for (child, peak) in children.iter_mut().zip(&mut peaks) {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
            let status = status.unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
            *peak = peak.max(kib.unwrap_or_default() / 1024.0);
            left |= child.try_wait().map_err(BenchError::system("waiting"))?.is_none();
        }
        if !left {
            let seconds = began.elapsed().as_secs_f64();
            return Ok(Cost { seconds, memory: peaks.iter().sum() });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
