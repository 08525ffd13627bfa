//! `make bench`: a bare Pingora and Octroi in turns, CPU time per request and per handshake.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use octroi_benches::BenchError;
use octroi_benches::load::Target;
use octroi_benches::process::Running;
use octroi_benches::stage::{Scene, Stage};
use octroi_benches::turn::{Amount, Turn};
use serde::Serialize;

/// CPU time of a bare Pingora mTLS proxy and of Octroi with all controls, under the same load.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds; each server has its turn in each
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Keep-alive connections
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: u16,
    /// Requests over each connection in a round
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    requests: u32,
    /// Handshakes in a round
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(4..=100_000))]
    handshakes: u32,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON value
    Json,
}

#[derive(Serialize)]
struct Compared {
    /// CPU microseconds of the floor: the median of the rounds.
    bare_us: f64,
    octroi_us: f64,
    /// The median of the rounds' ratios, the smallest and the greatest.
    ratio: f64,
    ratio_min: f64,
    ratio_max: f64,
}

#[derive(Serialize)]
struct Report {
    rounds: u32,
    keep_alive_request: Compared,
    full_handshake: Compared,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match measure(&options) {
        Ok(report) => {
            print(&report, options.output);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("side-by-side: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<Report, BenchError> {
    let programs = std::env::current_exe().map_err(BenchError::system("finding the programs"))?;
    let stage = Stage::set(programs.parent().unwrap_or(&programs), &Scene::default())?;
    let (mut bare, mut octroi) = (Vec::new(), Vec::new());
    // One round to warm connections to the upstream, caches and the token.
    for server in [&stage.bare, &stage.octroi] {
        turn(server, options)?;
    }
    for _ in 0..options.rounds {
        bare.push(turn(&stage.bare, options)?);
        octroi.push(turn(&stage.octroi, options)?);
    }
    Ok(Report {
        rounds: options.rounds,
        keep_alive_request: compare(&bare, &octroi, |turn| turn.request),
        full_handshake: compare(&bare, &octroi, |turn| turn.handshake),
    })
}

fn turn((process, target): &(Running, Target), options: &Options) -> Result<Turn, BenchError> {
    let Options { connections, requests, handshakes, .. } = *options;
    Turn::of(process, target, Amount { connections, requests, handshakes })
}

fn compare(bare: &[Turn], octroi: &[Turn], of: impl Fn(&Turn) -> f64) -> Compared {
    let ratios: Vec<f64> = bare.iter().zip(octroi).map(|(b, o)| of(o) / of(b)).collect();
    Compared {
        bare_us: median(bare.iter().map(&of).collect()),
        octroi_us: median(octroi.iter().map(&of).collect()),
        ratio: median(ratios.clone()),
        ratio_min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
        ratio_max: ratios.iter().copied().fold(0.0, f64::max),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print(report: &Report, output: Output) {
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(report).unwrap_or_default()),
        Output::Text => {
            println!(
                "CPU time, median of {} rounds      bare Pingora     Octroi   ratio (min-max)",
                report.rounds
            );
            for (name, compared) in [
                ("per keep-alive request", &report.keep_alive_request),
                ("per full handshake", &report.full_handshake),
            ] {
                println!(
                    "{name:<34} {:>9.1} µs {:>7.1} µs   {:.2} ({:.2}-{:.2})",
                    compared.bare_us,
                    compared.octroi_us,
                    compared.ratio,
                    compared.ratio_min,
                    compared.ratio_max
                );
            }
        }
    }
}
