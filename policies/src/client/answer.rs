//! What a client is told that it was registered as (RFC 7591 §3.2.1, STET registration 1.0.5).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use certs::{KeyAlgorithm, Leaf};
use serde_json::{Map, Value, json};

use super::{CertificateKind, Client, EnrolledCertificate, GrantType};

impl Client {
    /// Everything that is registered, as the registration endpoint answers it. Members without a
    /// value are left out.
    #[must_use]
    pub fn to_registration_response(&self) -> Value {
        let scope: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let grants: Vec<&str> = self.grant_types.iter().map(|grant| grant.code()).collect();
        let uris: Vec<&str> = self.redirect_uris.iter().map(super::RedirectUri::as_str).collect();
        let keys: Vec<Value> = self.certificates.iter().map(key).collect();
        let mut answer = Map::new();
        let mut say = |member: &str, value: Value| answer.insert(member.to_owned(), value);
        say("client_id", json!(self.client_id));
        say("client_id_issued_at", json!(self.created_at.as_second()));
        say("client_name", json!(self.name));
        say("redirect_uris", json!(uris));
        say("grant_types", json!(grants));
        if self.grant_types.contains(&GrantType::AuthorizationCode) {
            say("response_types", json!(["code"]));
        }
        say("scope", json!(scope.join(" ")));
        say("token_endpoint_auth_method", json!("tls_client_auth"));
        say("provider_legal_id", json!(self.organisation_id.as_str()));
        say("jwks", json!({ "keys": keys }));
        let email = self.contact.email.as_ref();
        say("contacts", json!(email.into_iter().collect::<Vec<_>>()));
        if !self.contact.is_empty() {
            say(
                "contact",
                present(&[
                    ("contact_name", &self.contact.name),
                    ("contact_email", &self.contact.email),
                    ("phone_number", &self.contact.phone),
                ]),
            );
        }
        if let Value::Object(optional) = present(&[
            ("description", &self.description),
            ("logo_uri", &self.logo_uri),
            ("client_uri", &self.client_uri),
            ("tos_uri", &self.tos_uri),
            ("policy_uri", &self.policy_uri),
            ("client_legal_id", &self.agent_id),
            ("software_id", &self.software_id),
            ("software_version", &self.software_version),
        ]) {
            answer.extend(optional);
        }
        Value::Object(answer)
    }
}

fn present(members: &[(&str, &Option<String>)]) -> Value {
    let present = members.iter().filter_map(|(name, value)| {
        value.as_ref().map(|value| ((*name).to_owned(), Value::String(value.clone())))
    });
    Value::Object(present.collect())
}

/// RFC 7517 §4. A QWAC's key has no `use`: it neither signs nor encrypts messages.
fn key(certificate: &EnrolledCertificate) -> Value {
    let mut key = Map::new();
    key.insert("kid".to_owned(), json!(certificate.kid));
    let thumbprint = URL_SAFE_NO_PAD.encode(certificate.fingerprint);
    key.insert("x5t#S256".to_owned(), json!(thumbprint));
    if let Ok((leaf, chain)) = Leaf::from_pem(certificate.pem.as_bytes()) {
        let ders = std::iter::once(leaf.der()).chain(chain.iter().map(Vec::as_slice));
        let x5c: Vec<String> = ders.map(|der| STANDARD.encode(der)).collect();
        key.insert("x5c".to_owned(), json!(x5c));
        key.insert("kty".to_owned(), json!(key_type(leaf.key().algorithm)));
    }
    if certificate.kind == CertificateKind::Qsealc {
        key.insert("use".to_owned(), json!("sig"));
        // What its signatures must name.
        key.insert("keyId".to_owned(), json!(certificate.kid));
    }
    Value::Object(key)
}

/// RFC 7518 §6.1, RFC 8037 §2.
const fn key_type(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::Rsa | KeyAlgorithm::RsaPss => "RSA",
        KeyAlgorithm::Ed25519 => "OKP",
        _ => "EC",
    }
}
