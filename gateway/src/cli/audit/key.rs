//! `octroi audit key`.

use std::collections::BTreeMap;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::place::Place;
use crate::audit::chain::{key_id, public_pem};
use crate::audit::lines::Lines;
use crate::cli::{Answer, Failure, Output};

const EXAMPLE: &str = "Example:
  octroi audit key --config octroi.toml > gateway-key.pem

Prints each key that the log was signed with, in PEM, and tells on standard error which files are signed
with it. Keep it where whoever can write the log cannot: `octroi audit verify --key` holds the log against
it. Exit code 0: there is one, 1: there is none.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "octroi.public_key")]
    public_key: String,
}

#[derive(Default, serde::Serialize)]
struct Key {
    id: String,
    pem: String,
    files: Vec<String>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let mut keys: BTreeMap<Vec<u8>, Key> = BTreeMap::new();
    for file in args.place.files()? {
        let told = |error| Failure::Cannot(format!("{}: {error}", file.path.display()));
        let mut lines = Lines::open(&file).map_err(told)?;
        let Some(first) = lines.next_line().map_err(told)? else { continue };
        let header = serde_json::from_slice::<Header>(first.line).ok();
        let raw = header.and_then(|header| STANDARD.decode(header.public_key).ok());
        let Some((raw, pem)) =
            raw.and_then(|raw| Some((public_pem(&raw).ok()?, raw))).map(|(p, r)| (r, p))
        else {
            eprintln!("octroi: {}: its first line names no key", file.name());
            continue;
        };
        let key = keys.entry(raw.clone()).or_default();
        key.id = key_id(&raw);
        key.pem = String::from_utf8_lossy(&pem).into_owned();
        key.files.push(file.name());
    }
    let keys: Vec<Key> = keys.into_values().collect();
    if args.output == Output::Json {
        serde_json::to_writer_pretty(&mut *out, &keys).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        for key in &keys {
            let last = key.files.last().map(String::as_str).unwrap_or_default();
            eprintln!("key {}: {} files, up to {last}", key.id, key.files.len());
            write!(out, "{}", key.pem)?;
        }
    }
    Ok(if keys.is_empty() { Answer::No } else { Answer::Good })
}
