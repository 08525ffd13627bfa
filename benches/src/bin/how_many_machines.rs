//! `make machines`: how many gateways and Redis masters a load needs. See "How many machines do I need"
//! in the book.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, ValueEnum};
use octroi_benches::BenchError;
use octroi_benches::capacity::Plan;
use octroi_benches::capacity::costs::Costs;
use octroi_benches::capacity::question::Question;
use octroi_benches::capacity::tables;

/// How many gateways and Redis masters a load needs, and what is left when some are lost.
///
/// With `--requests` or `--banks` one case in full; without them the nine standard cases, under the
/// assumptions that the other options set.
#[derive(Debug, Parser)]
#[command(name = "how-many-machines")]
struct Options {
    /// What `cost` has measured; without it the figures of the book
    #[arg(long)]
    costs: Option<PathBuf>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    question: Question,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON value
    Json,
}

fn main() -> ExitCode {
    let matches = Options::command().get_matches();
    match answer(&matches) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("how-many-machines: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(matches: &ArgMatches) -> Result<String, BenchError> {
    let told = |error: clap::Error| BenchError::Process(error.to_string());
    let options = Options::from_arg_matches(matches).map_err(told)?;
    let unreadable = |error: serde_json::Error| BenchError::Process(format!("the costs: {error}"));
    let (costs, whose) = match &options.costs {
        Some(file) => {
            let text = fs::read(file).map_err(BenchError::system("reading the costs"))?;
            (serde_json::from_slice(&text).map_err(unreadable)?, file.display().to_string())
        }
        None => (Costs::built_in().map_err(unreadable)?, "built in".to_owned()),
    };
    let given = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
    let question = &options.question;
    let one = given("requests") || given("banks");
    match (options.output, one) {
        (Output::Text, one) => {
            let head = format!("costs: {whose} ({}, {})", costs.machine, costs.measured_on);
            let body = if one {
                tables::detailed(question, &costs, &Plan::of(question, &costs))
            } else {
                tables::standard(question, &costs)
            };
            Ok(format!("{head}\n\n{}", body.trim_end()))
        }
        (Output::Json, true) => Ok(json(&Plan::of(question, &costs))),
        (Output::Json, false) => {
            let plan = |(requests, banks): (f64, u32)| {
                let question = Question { requests, banks, ..question.clone() };
                let plan = Plan::of(&question, &costs);
                (question, plan)
            };
            Ok(json(&tables::STANDARD.map(plan)))
        }
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
