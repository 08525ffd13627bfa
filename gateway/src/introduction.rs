//! What a TPP reads about itself at `GET /tpp/self`, as JSON.

use bytes::Bytes;
use certs::{Finding, Leaf, Lint};
use jiff::Timestamp;
use jiff::civil::Date;
use policies::{Introduction, Opening, Standing};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use crate::problem;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Introduction")]
struct Body<'a> {
    organisation_id: &'a str,
    /// Codes of the roles that the certificate carries.
    roles: Vec<&'static str>,
    authority: Authority<'a>,
    certificate: Certificate<'a>,
    register: Registered,
    codetab: Codetab<'a>,
    apis: Vec<Api<'a>>,
    timestamp: Timestamp,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Authority")]
struct Authority<'a> {
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OwnCertificate")]
struct Certificate<'a> {
    sha256: String,
    serial: &'a str,
    issuer: &'a str,
    not_before: Timestamp,
    not_after: Timestamp,
    /// Whole days until it ends.
    days_left: i64,
    remarks: Vec<Remark>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CertificateRemark")]
struct Remark {
    lint: &'static str,
    detail: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RegisterEntry")]
struct Registered {
    standing: &'static str,
    services: Vec<&'static str>,
    since: Option<Date>,
    source: &'static str,
    as_of: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Bank")]
struct Codetab<'a> {
    code: &'a str,
    name: &'a str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Opening")]
struct Api<'a> {
    name: &'a str,
    version: &'a str,
    method: &'static str,
    paths: &'a [String],
    scopes: &'a [String],
    signed: bool,
    /// From when nobody should begin to use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecated: Option<Timestamp>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    sunset: Option<Timestamp>,
    /// The version that takes over.
    #[serde(skip_serializing_if = "Option::is_none")]
    successor: Option<&'a str>,
    /// Whether a call with a token of one of the scopes would get past who the caller is.
    open: bool,
    code: Option<&'static str>,
    detail: Option<String>,
}

/// The shape of the body.
pub fn describe(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<Body<'static>>()
}

/// The body for `introduction`, whose certificate is `leaf`.
pub fn body(introduction: &Introduction<'_>, leaf: &Leaf, now: Timestamp) -> Bytes {
    let qwac = introduction.qwac;
    let remarks = Finding::warnings(leaf).into_iter().filter(|finding| is_theirs(finding.lint));
    let body = Body {
        organisation_id: qwac.organisation_id.as_str(),
        roles: qwac.roles.iter().map(certs::PspRole::code).collect(),
        authority: Authority { id: &qwac.authority_id, name: &qwac.authority_name },
        certificate: Certificate {
            sha256: hex::encode(leaf.fingerprint()),
            serial: leaf.serial_hex(),
            issuer: leaf.issuer(),
            not_before: leaf.not_before(),
            not_after: leaf.not_after(),
            days_left: leaf.not_after().duration_since(now).as_hours().div_euclid(24),
            remarks: remarks
                .map(|finding| Remark { lint: finding.lint.code(), detail: finding.detail })
                .collect(),
        },
        register: Registered::of(introduction),
        codetab: Codetab { code: &introduction.codetab.code, name: &introduction.codetab.name },
        apis: introduction.openings.iter().map(Api::of).collect(),
        timestamp: now,
    };
    // Serialising plain values to memory cannot fail.
    serde_json::to_vec(&body).unwrap_or_default().into()
}

/// What is worth telling a certificate's holder; whether its issuer wrote a policy or a long serial
/// number is between it and its issuer.
fn is_theirs(lint: Lint) -> bool {
    !matches!(lint, Lint::SerialShort | Lint::ValidityLong)
}

impl Registered {
    fn of(introduction: &Introduction<'_>) -> Self {
        let (services, since) = match introduction.standing {
            Standing::Authorised { services, since, .. } => {
                (services.iter().map(policies::ServiceCode::code).collect(), Some(since))
            }
            Standing::Withdrawn { since } => (Vec::new(), since),
            _ => (Vec::new(), None),
        };
        let (standing, evidence) = (introduction.standing.code(), introduction.register);
        Self { standing, services, since, source: evidence.source.code(), as_of: evidence.as_of }
    }
}

impl<'a> Api<'a> {
    fn of(opening: &'a Opening<'a>) -> Self {
        let Opening { api, version, refusal, .. } = opening;
        Self {
            name: &api.name,
            version: &version.name,
            method: api.method.name(),
            paths: &version.paths,
            scopes: &api.scopes,
            signed: api.signed,
            deprecated: version.life.deprecated,
            sunset: version.life.sunset,
            successor: version.successor.as_deref(),
            open: refusal.is_none(),
            code: refusal.as_ref().map(|refusal| refusal.reason.code()),
            detail: refusal.as_ref().map(problem::detail),
        }
    }
}
