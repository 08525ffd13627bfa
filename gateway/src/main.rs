//! The program `octroi`: reads the command line, runs one verb, and maps its end to an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use octroi::cli::{Answer, Cli};

/// Records are made on one thread and freed on another, which the C library's allocator answers
/// with locks between them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = io::stdout().lock();
    let ended = cli.run(&mut out).and_then(|answer| {
        out.flush()?;
        Ok(answer)
    });
    match ended {
        Ok(Answer::Good) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Ok(Answer::Partly) => ExitCode::from(4),
        Err(failure) => {
            if !failure.is_reader_gone() {
                eprintln!("octroi: {failure}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}
