//! `make bench-audit`: an access log of ten million records, searched and verified by Octroi and by what
//! every machine has: time and peak memory side by side.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use jiff::SignedDuration;
use octroi::audit::shelf;
use octroi_benches::BenchError;
use octroi_benches::audit_log::{COMMON_REASON, Made, Plan, RARE_TPP};

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
    indexes: PathBuf,
    table: Table,
}

const SECONDS: u64 = 7 * 24 * 3600;
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
    let plan = Plan {
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
    let octroi = me.with_file_name("octroi");
    let mut bench = Bench { octroi, log, indexes: place.path().join("indexes"), table };
    let shown = bench.all(&made, &plan);
    println!("{}", bench.table);
    shown
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
        let began = Instant::now();
        let (out, counted) = out()?;
        let child = Command::new(&self.octroi)
            .arg("audit")
            .args(arguments)
            .arg("--directory")
            .arg(&self.log)
            .env("OCTROI_AUDIT_INDEXES", &self.indexes)
            .stdout(out)
            .stderr(Stdio::null())
            .spawn()
            .map_err(BenchError::system("starting octroi"))?;
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
