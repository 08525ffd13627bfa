//! `[jwt]`: access tokens of a bank's own authorization server.

use std::time::Duration;

use jsonwebtoken::Algorithm;

use super::key::Key;
use super::origin::{Origin, origins};
use super::problem::quoted;
use super::reading::Reading;
use super::safety;
use super::wire;

/// How JWT access tokens are judged.
#[derive(Clone, Debug)]
pub struct JwtSettings {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// The JWK set.
    pub jwks_url: String,
    /// Who may be asked for it.
    pub allow: Vec<Origin>,
    /// How often.
    pub every: Duration,
    /// How long fetched keys count.
    pub tolerated_for: Duration,
    /// Accepted algorithms; never one with a shared secret, never none.
    pub algorithms: Vec<Algorithm>,
    /// The claim with the organisation id.
    pub organisation_claim: String,
    /// The claim with the codetab.
    pub codetab_claim: String,
    /// Whether a token must be bound to a certificate.
    pub bound: bool,
}

impl JwtSettings {
    pub(super) fn read(wire: &wire::Jwt, key: &Key, reading: &mut Reading<'_>) -> Option<Self> {
        let place = key.child("allow");
        let allow = wire.allow.as_deref().and_then(|texts| origins(texts, &place, reading));
        let every = reading.duration(&key.child("every"), &wire.every);
        let tolerated_for = reading.duration(&key.child("tolerated_for"), &wire.tolerated_for);
        let algorithms = algorithms(&wire.algorithms, &key.child("algorithms"), reading);
        let (allow, every, tolerated_for) = (allow?, every?, tolerated_for?);
        if tolerated_for <= every {
            let what = "is not longer than `every`: keys would be too old before they are renewed";
            reading.refuse(&key.child("tolerated_for"), what, "write several times `every`");
        }
        let jwks_url = wire.jwks_url.clone()?;
        let origin = reqwest::Url::parse(&jwks_url).ok().and_then(|url| Origin::of(&url));
        if !origin.is_some_and(|origin| allow.contains(&origin)) {
            let what = format!("is {}: not of an origin in `allow`", quoted(&jwks_url));
            reading.refuse(&key.child("jwks_url"), what, "add its scheme and host to `jwt.allow`");
        }
        if !jwks_url.starts_with("https://") {
            let host = reqwest::Url::parse(&jwks_url).ok();
            if !host.is_some_and(|url| url.host_str().is_some_and(safety::is_loopback)) {
                let what = "is not https: whoever is on the way could forge every token";
                reading.refuse(&key.child("jwks_url"), what, "write an https URL");
            }
        }
        if !wire.bound {
            let what = "a stolen token may be used with any certificate of its TPP";
            reading.warn(&key.child("bound"), what);
        }
        Some(Self {
            issuer: wire.issuer.clone()?,
            audience: wire.audience.clone()?,
            jwks_url,
            allow,
            every,
            tolerated_for,
            algorithms: algorithms?,
            organisation_claim: wire.organisation_claim.clone(),
            codetab_claim: wire.codetab_claim.clone(),
            bound: wire.bound,
        })
    }
}

fn algorithms(names: &[String], key: &Key, reading: &mut Reading<'_>) -> Option<Vec<Algorithm>> {
    let known = |name: &String| match name.as_str() {
        "RS256" => Some(Algorithm::RS256),
        "PS256" => Some(Algorithm::PS256),
        "ES256" => Some(Algorithm::ES256),
        _ => None,
    };
    let mut found = Vec::new();
    for (index, name) in names.iter().enumerate() {
        match known(name) {
            Some(algorithm) => found.push(algorithm),
            None => {
                let what = format!("is {}: not accepted for access tokens", quoted(name));
                reading.refuse(&key.item(index), what, "write RS256, PS256 or ES256");
            }
        }
    }
    if names.is_empty() {
        reading.refuse(key, "is empty: no token could be verified", "write `[\"PS256\"]`");
    }
    (found.len() == names.len() && !found.is_empty()).then_some(found)
}
