//! `octroi sandbox sign`: the header fields with which a TPP of the sandbox would sign a request.

use std::io::Write;
use std::path::PathBuf;

use certs::Leaf;
use certs::http_signature::{
    HttpRequest, SignatureFault, SignatureMethod, content_digest, digest, sign_cavage, sign_message,
};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use openssl::pkey::{Id, PKey};
use uuid::Uuid;

use crate::cli::{Answer, Failure, files};
use crate::sandbox::DIRECTORY_DEFAULT;

const EXAMPLE: &str = "Example:
  octroi sandbox sign --tpp funds-co --body request.json \\
    --target /stet/psd2/v1.6.2/funds-confirmations > headers
  curl -H @headers --data-binary @request.json …";

/// Arguments of `octroi sandbox sign`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(in crate::cli) struct SignArgs {
    /// The directory of a sandbox.
    #[arg(long, value_name = "DIR", default_value = DIRECTORY_DEFAULT)]
    dir: PathBuf,
    /// The TPP that signs: a directory under DIR/tpp, whose QSEALC is used.
    #[arg(long, value_name = "NAME")]
    tpp: String,
    /// The form of the signature.
    #[arg(long, value_enum, default_value_t)]
    form: Form,
    /// The request method.
    #[arg(long, default_value = "POST")]
    method: String,
    /// The request target: path and query.
    #[arg(long, value_name = "TARGET")]
    target: String,
    /// The Host header; an RFC 9421 signature covers it.
    #[arg(long, value_name = "HOST", default_value = "www.17515.sandbox.api.localhost:8443")]
    host: String,
    /// The request body (`-`: standard input); none without it.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
}

/// A form of HTTP signatures.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Form {
    /// draft-cavage-http-signatures-12, as STET profiles it
    #[default]
    Cavage,
    /// RFC 9421
    Rfc9421,
}

impl SignArgs {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Answer, Failure> {
        let place = self.dir.join("tpp").join(&self.tpp);
        let certificate = Leaf::from_pem(&files::read(&place.join("qsealc.pem"))?);
        let (certificate, _) = certificate.map_err(Failure::cannot)?;
        let key = files::read(&place.join("qsealc.key"))?;
        let key = PKey::private_key_from_pem(&key).map_err(Failure::cannot)?;
        let method = match key.id() {
            Id::EC => SignatureMethod::EcdsaP256Sha256,
            _ => SignatureMethod::RsaSha256,
        };
        let fingerprint = hex::encode(certificate.fingerprint());
        let key_id = format!("https://{}.tpp.sandbox.api.localhost/qsealc_{fingerprint}", self.tpp);
        let body = self.body.as_deref().map(files::read).transpose()?.unwrap_or_default();
        let now = Timestamp::now();
        let mut fields = vec![
            ("date", date(now)?),
            ("x-request-id", Uuid::new_v4().to_string()),
            ("digest", digest(&body)),
        ];
        if matches!(self.form, Form::Rfc9421) {
            fields.pop();
            fields.push(("content-digest", content_digest(&body)));
        }
        if !body.is_empty() {
            fields.push(("content-type", "application/json".to_owned()));
        }
        let borrowed = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        let request = HttpRequest {
            method: &self.method,
            target: &self.target,
            authority: &self.host,
            fields: borrowed.collect(),
            body: &body,
        };
        let own: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let cannot = |fault: SignatureFault| Failure::cannot(fault);
        let signature = match self.form {
            Form::Cavage => {
                let covered = [&["(request-target)"], own.as_slice()].concat();
                let header = sign_cavage(&request, &key_id, &key, method, &covered);
                vec![("Signature", header.map_err(cannot)?)]
            }
            Form::Rfc9421 => {
                let covered = [&["@method", "@target-uri"], own.as_slice()].concat();
                let signed = sign_message(&request, &key_id, &key, method, &covered, now);
                let (input, signature) = signed.map_err(cannot)?;
                vec![("Signature-Input", input), ("Signature", signature)]
            }
        };
        for (name, value) in fields.iter().map(|(name, value)| (*name, value)) {
            writeln!(out, "{name}: {value}")?;
        }
        for (name, value) in signature {
            writeln!(out, "{name}: {value}")?;
        }
        Ok(Answer::Good)
    }
}

/// IMF-fixdate (RFC 9110 §5.6.7).
fn date(now: Timestamp) -> Result<String, Failure> {
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&now)
        .map_err(Failure::cannot)
}
