//! `octroi healthcheck`: asks a gateway on this machine how it is, for the probes of containers that
//! have no other program in them.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Answer, Failure};

const EXAMPLE: &str = "Example:
  octroi healthcheck
  octroi healthcheck --ready --address 127.0.0.1:9443

Exit code 0: it is well, 1: it is not, or does not answer.";

/// Whoever asks has a deadline of its own, and wants a reason before it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of an answer that are passed on.
const ANSWER_BYTES_MAX: usize = 4096;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The admin listener
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9443")]
    address: SocketAddr,
    /// Ask whether new traffic may be sent there, not only whether the process works
    #[arg(long)]
    ready: bool,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let path = if args.ready { "readyz" } else { "healthz" };
    let url = format!("http://{}/{path}", args.address);
    let asked = async {
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build()?;
        let response = client.get(&url).send().await?;
        let good = response.status().is_success();
        reqwest::Result::Ok((good, response.text().await?))
    };
    match super::run::runtime(1)?.block_on(asked) {
        Ok((good, said)) => {
            let end = said.floor_char_boundary(ANSWER_BYTES_MAX);
            writeln!(out, "{}", said.get(..end).unwrap_or_default().trim_end())?;
            Ok(if good { Answer::Good } else { Answer::No })
        }
        Err(error) => {
            writeln!(out, "{url} does not answer: {error}")?;
            Ok(Answer::No)
        }
    }
}
