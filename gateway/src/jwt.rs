//! JWT access tokens of a bank's own authorization server (RFC 9068), held against keys that were
//! fetched ahead (RFC 7517). What comes out is a fact like that of any other token: `policies` decides.

mod provider;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certs::OrganisationId;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyOperations, PublicKeyUse};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use moka::sync::Cache;
use policies::freshness::{Freshness, Step};
use policies::{Psu, Source, TokenDigest, TokenFact, TokenKind, TokenRecord};
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::config::JwtSettings;
use crate::fetch::{FetchBounds, FetchFault, Fetched, Fetcher};

/// Bounds of one question for the keys.
const BOUNDS: FetchBounds = FetchBounds { time: Duration::from_secs(10), bytes_max: 256 * 1024 };
/// Keys of one set.
const KEYS_MAX: usize = 64;
/// The pause after a question that was not answered, and the least one between two.
const RETRY: Duration = Duration::from_secs(15);
/// Verified tokens in memory.
const VERIFIED_MAX: u64 = 50_000;

/// Why JWTs cannot be judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// The HTTP client.
    #[error("jwt: {0}")]
    Client(#[from] reqwest::Error),
    /// Nobody gives keys at the address that a reload names.
    #[error("jwt.jwks_url: {0}")]
    Keys(String),
    /// A metric registered twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The keys of one moment.
struct Keys {
    by_id: HashMap<String, DecodingKey>,
    fetched_at: Timestamp,
    /// Tokens that were verified by these keys, and no longer.
    verified: Cache<TokenDigest, Arc<TokenRecord>>,
}

/// Judges JWTs.
pub struct Jwts {
    settings: JwtSettings,
    validation: Validation,
    keys: ArcSwapOption<Keys>,
    /// Somebody brought a token of a key that is not known.
    wanted: Notify,
    fetches: IntCounterVec,
    known: IntGauge,
}

/// Why a fetched set is none.
#[derive(Debug, thiserror::Error)]
enum KeysFault {
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    #[error("it is no JWK set (RFC 7517 §5)")]
    Shape,
    #[error("no key in it can verify one of the accepted algorithms")]
    Empty,
}

#[derive(Deserialize)]
struct Claims {
    exp: i64,
    iat: i64,
    sub: Option<String>,
    client_id: Option<String>,
    scope: Option<String>,
    auth_time: Option<i64>,
    cnf: Option<Confirmation>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// RFC 8705 §3.1.
#[derive(Deserialize)]
struct Confirmation {
    #[serde(rename = "x5t#S256")]
    thumbprint: Option<String>,
}

impl Jwts {
    /// Without keys yet: until the first fetch every JWT is answered with `state_unavailable`.
    ///
    /// # Errors
    /// A metric registered twice.
    pub fn new(settings: JwtSettings, registry: &Registry) -> Result<Self, JwtError> {
        provider::install();
        let mut validation = Validation::default();
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // An expired token is told apart from a bad one; `policies` judges the time.
        validation.validate_exp = false;
        validation.validate_nbf = true;
        let opts = Opts::new("octroi_jwks_fetches_total", "Questions for the keys of JWTs");
        let fetches = IntCounterVec::new(opts, &["outcome"])?;
        let known = IntGauge::new("octroi_jwks_keys", "Keys by which JWTs are verified")?;
        registry.register(Box::new(fetches.clone()))?;
        registry.register(Box::new(known.clone()))?;
        let (keys, wanted) = (ArcSwapOption::empty(), Notify::new());
        Ok(Self { settings, validation, keys, wanted, fetches, known })
    }

    /// Whether a bearer token has the form of a JWT (RFC 7515 §3.1): two dots, and a header that begins
    /// as every JSON object does in base64url.
    #[must_use]
    pub fn is_one(token: &[u8]) -> bool {
        token.starts_with(b"ey") && token.iter().filter(|byte| **byte == b'.').count() == 2
    }

    /// What the token says, if the bank's authorization server says it.
    #[must_use]
    pub fn fact(&self, token: &[u8], digest: &TokenDigest, now: Timestamp) -> TokenFact {
        let Some(keys) = self.keys.load_full() else { return TokenFact::Unavailable };
        let tolerated = SignedDuration::try_from(self.settings.tolerated_for).unwrap_or_default();
        if now.duration_since(keys.fetched_at) > tolerated {
            return TokenFact::Unavailable;
        }
        let live = |record| TokenFact::Live {
            record,
            as_of: keys.fetched_at,
            source: Source::TokenSigner,
        };
        if let Some(record) = keys.verified.get(digest) {
            return live(record);
        }
        let Ok(text) = std::str::from_utf8(token) else { return TokenFact::Unknown };
        let Ok(header) = decode_header(text) else { return TokenFact::Unknown };
        // RFC 7515 §4.1.11: nothing is understood here that a token could declare critical.
        if header.crit.is_some() {
            return TokenFact::Unknown;
        }
        let Some(key) = header.kid.as_ref().and_then(|kid| keys.by_id.get(kid)) else {
            self.wanted.notify_one();
            return TokenFact::Unknown;
        };
        // RFC 9068 §4: another kind of JWT of the same issuer is no access token.
        let typed = header.typ.as_deref().is_some_and(|typ| {
            typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
        });
        if !typed {
            return TokenFact::Unknown;
        }
        // The algorithm is one that the bank accepts, and one of this key; the library wants to be told
        // only those of one family.
        if !self.settings.algorithms.contains(&header.alg) {
            return TokenFact::Unknown;
        }
        let mut validation = self.validation.clone();
        validation.algorithms = vec![header.alg];
        let Ok(token) = decode::<Claims>(text, key, &validation) else {
            return TokenFact::Unknown;
        };
        match self.record(token.claims) {
            Some(record) => {
                let record = Arc::new(record);
                keys.verified.insert(*digest, Arc::clone(&record));
                live(record)
            }
            None => TokenFact::Unreadable,
        }
    }

    /// When the keys were fetched, and what they are worth at `now`.
    #[must_use]
    pub fn freshness(&self, now: Timestamp) -> (Option<Timestamp>, Step) {
        let Some(keys) = self.keys.load_full() else { return (None, Step::Expired) };
        // One question may fail before anybody needs to look.
        let ladder = Freshness {
            fresh_for: self.settings.every * 2,
            tolerated_for: self.settings.tolerated_for,
        };
        (Some(keys.fetched_at), ladder.step(keys.fetched_at, now))
    }

    fn record(&self, claims: Claims) -> Option<TokenRecord> {
        let text = |name: &str| claims.others.get(name).and_then(Value::as_str);
        let instant = |seconds: i64| Timestamp::from_second(seconds).ok();
        let certificate = match claims.cnf {
            // What is bound to something else than a certificate cannot be held to it here.
            Some(cnf) => Some(URL_SAFE_NO_PAD.decode(cnf.thumbprint?).ok()?.try_into().ok()?),
            None if self.settings.bound => return None,
            None => None,
        };
        let scopes: BTreeSet<String> = claims
            .scope
            .as_deref()
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect();
        Some(TokenRecord {
            kind: TokenKind::Access,
            organisation_id: OrganisationId::new(text(&self.settings.organisation_claim)?).ok()?,
            codetab: text(&self.settings.codetab_claim)?.to_owned(),
            consent_id: text("consent_id").map(str::to_owned),
            client_id: claims.client_id?,
            scopes,
            psu: claims.sub.map(Psu::new),
            issued_at: instant(claims.iat)?,
            expires_at: instant(claims.exp)?,
            strong_authentication_at: instant(claims.auth_time?)?,
            certificate,
            granted: None,
        })
    }

    /// Fetches the keys once, before the first token is judged by them.
    ///
    /// # Errors
    /// There are none at their address now.
    pub async fn prime(&self, fetcher: &Fetcher) -> Result<(), JwtError> {
        self.fetch(fetcher, &mut None).await.map_err(|fault| JwtError::Keys(fault.to_string()))
    }

    /// Keeps the keys current until `closing`.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub async fn run(self: Arc<Self>, fetcher: Fetcher, mut closing: watch::Receiver<bool>) {
        let mut tag = None;
        loop {
            let pause = match self.fetch(&fetcher, &mut tag).await {
                Ok(()) => {
                    self.fetches.with_label_values(&["ok"]).inc();
                    self.settings.every
                }
                Err(fault) => {
                    self.fetches.with_label_values(&["failed"]).inc();
                    tracing::warn!(%fault, "the keys of JWTs were not fetched; the known ones stay");
                    RETRY
                }
            };
            let least = tokio::time::sleep(RETRY.min(pause));
            tokio::select! {
                () = tokio::time::sleep(pause.mul_f64(rand::random_range(0.9..=1.0))) => {}
                () = async { least.await; self.wanted.notified().await } => {}
                _ = closing.changed() => return,
            }
        }
    }

    async fn fetch(
        &self,
        fetcher: &Fetcher,
        tag: &mut Option<HeaderValue>,
    ) -> Result<(), KeysFault> {
        let now = clock::now();
        let (bytes, new_tag) =
            match fetcher.get(&self.settings.jwks_url, tag.as_ref(), BOUNDS).await? {
                Fetched::Body(bytes, tag) => (bytes, tag),
                Fetched::Unchanged => {
                    if let Some(keys) = self.keys.load_full() {
                        self.publish(keys.by_id.clone(), now);
                    }
                    return Ok(());
                }
            };
        self.publish(self.read(&bytes)?, now);
        *tag = new_tag;
        Ok(())
    }

    fn publish(&self, by_id: HashMap<String, DecodingKey>, fetched_at: Timestamp) {
        self.known.set(i64::try_from(by_id.len()).unwrap_or(i64::MAX));
        let verified = Cache::new(VERIFIED_MAX);
        self.keys.store(Some(Arc::new(Keys { by_id, fetched_at, verified })));
    }

    /// The keys of a set that can verify what is accepted; one without a name cannot be chosen.
    fn read(&self, bytes: &[u8]) -> Result<HashMap<String, DecodingKey>, KeysFault> {
        let set: JwkSet = serde_json::from_slice(bytes).map_err(|_| KeysFault::Shape)?;
        let usable = |key: &Jwk| {
            let signs = key.common.public_key_use.as_ref();
            let operations = key.common.key_operations.as_ref();
            signs.is_none_or(|signs| *signs == PublicKeyUse::Signature)
                && operations.is_none_or(|all| all.contains(&KeyOperations::Verify))
        };
        let named =
            |key: &Jwk| Some((key.common.key_id.clone()?, DecodingKey::from_jwk(key).ok()?));
        let families = self.settings.algorithms.iter().map(|algorithm| algorithm.family());
        let families: Vec<_> = families.collect();
        let keys: HashMap<String, DecodingKey> = set
            .keys
            .iter()
            .take(KEYS_MAX)
            .filter(|key| usable(key))
            .filter_map(named)
            .filter(|(_, key)| families.contains(&key.family()))
            .collect();
        if keys.is_empty() { Err(KeysFault::Empty) } else { Ok(keys) }
    }
}
