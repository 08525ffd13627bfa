//! `octroi cert doctor`: why a signed request is refused, offline, from the request as it was sent.

use std::io::Write;
use std::path::PathBuf;

use certs::Leaf;
use certs::http_signature::{
    HttpRequest, Seal, SealRing, SignatureFault, SignaturePolicy, diagnose, sealed_by, verify,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::cli::{Answer, Failure, Output, files};
use crate::config::Config;

const EXAMPLE: &str = "Example:
  octroi cert doctor --seal qsealc.pem request.http
  octroi cert doctor --seal qsealc.pem --signing-string mine.txt request.http

The file holds the request as it was sent: request line, header fields, an empty line, the body.
Exit code 0: the signature holds, 1: it does not, 3: the file holds no request.";

/// Header fields of one request.
const FIELDS_MAX: usize = 256;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The request as it was sent (`-`: standard input)
    #[arg(value_name = "REQUEST")]
    request: PathBuf,
    /// The QSEALC that it was signed with, in PEM
    #[arg(long, value_name = "PEM", required_unless_present = "config")]
    seal: Option<PathBuf>,
    /// Judge it as this configuration does, with the QSEALCs that it knows
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What was signed, as the signing program made it: it is compared line by line
    #[arg(long, value_name = "FILE")]
    signing_string: Option<PathBuf>,
    /// Judge its age at this instant, RFC 3339; without it, any age will do
    #[arg(long, value_name = "INSTANT")]
    at: Option<Timestamp>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let bytes = files::read(&args.request)?;
    let named = |why: &str| Failure::Cannot(format!("{}: {why}", args.request.display()));
    let mut fields = vec![httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    let head = match parsed.parse(&bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Err(named("it ends within the header fields")),
        Err(error) => return Err(named(&format!("it is no HTTP/1.1 request: {error}"))),
    };
    let lower: Vec<(String, &[u8])> =
        parsed.headers.iter().map(|field| (field.name.to_ascii_lowercase(), field.value)).collect();
    let host = lower.iter().find(|(name, _)| name == "host").map(|(_, value)| *value);
    let request = HttpRequest {
        method: parsed.method.unwrap_or_default(),
        target: parsed.path.unwrap_or_default(),
        authority: host.and_then(|host| std::str::from_utf8(host).ok()).unwrap_or_default(),
        fields: lower.iter().map(|(name, value)| (name.as_str(), *value)).collect(),
        body: bytes.get(head..).unwrap_or_default(),
    };
    let (ring, mut policy) = known(args)?;
    if args.at.is_none() {
        policy.age_max = SignedDuration::from_hours(24 * 365 * 100);
    }
    let now = args.at.unwrap_or_else(Timestamp::now);
    let seal = sealed_by(&request, &ring, &policy);
    let fault = match &seal {
        Ok(seal) => verify(&request, seal, &policy, now).err(),
        Err(fault) => Some(fault.clone()),
    };
    // A keyId that names nothing is one fault; the one seal that was given may still be the right.
    let seal = seal.ok().or_else(|| ring.iter().next().filter(|_| ring.len() == 1));
    let theirs = args.signing_string.as_deref().map(files::read).transpose()?;
    let theirs = theirs.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let found = diagnose(&request, seal, &policy, theirs.as_deref());
    if args.output == Output::Json {
        let difference = found.differs.as_ref().map(|differs| {
            json!({ "line": differs.line, "expected": differs.ours, "signed": differs.theirs, "mistake": differs.mistake })
        });
        let report = json!({
            "holds": fault.is_none(),
            "fault": fault.as_ref().map(ToString::to_string),
            "signing_string": found.signing_string,
            "digest": found.digest,
            "first_difference": difference,
        });
        serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        write_text(&found, fault.as_ref(), out)?;
    }
    Ok(if fault.is_none() { Answer::Good } else { Answer::No })
}

fn known(args: &Args) -> Result<(SealRing, SignaturePolicy), Failure> {
    let mut ring = SealRing::default();
    let mut policy = SignaturePolicy::default();
    if let Some(file) = &args.config {
        let config = Config::load(file).map_err(Failure::cannot)?;
        let settings = config
            .signature
            .ok_or_else(|| Failure::Cannot(format!("{}: has no [signature]", file.display())))?;
        settings.seals.into_iter().for_each(|seal| ring.add(seal));
        policy = settings.policy;
    }
    if let Some(file) = &args.seal {
        let cannot = |why: String| Failure::Cannot(format!("{}: {why}", file.display()));
        let read = Leaf::from_pem(&files::read(file)?);
        let (leaf, sent) = read.map_err(|error| cannot(error.to_string()))?;
        ring.add(Seal::new(leaf, sent).map_err(|error| cannot(error.to_string()))?);
    }
    Ok((ring, policy))
}

fn write_text(
    found: &certs::http_signature::Diagnosis,
    fault: Option<&SignatureFault>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    match fault {
        None => writeln!(out, "the signature holds")?,
        Some(fault) => writeln!(out, "refused: {fault}")?,
    }
    writeln!(out, "\ndigest of the body\n  {}", found.digest)?;
    if let Some(text) = &found.signing_string {
        writeln!(out, "\nsigning string")?;
        for (number, line) in (1..).zip(text.split('\n')) {
            writeln!(out, "{number:>3}  {line}")?;
        }
    }
    match &found.differs {
        Some(differs) => {
            writeln!(out, "\nline {} was signed otherwise: {}", differs.line, differs.mistake)?;
            writeln!(out, "  expected  {}\n  signed    {}", differs.ours, differs.theirs)
        }
        None if matches!(fault, Some(SignatureFault::Invalid)) => writeln!(
            out,
            "\nno single usual mistake explains it: another key signed, or several lines differ"
        ),
        None => Ok(()),
    }
}
