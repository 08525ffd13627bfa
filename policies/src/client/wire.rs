//! A client as it stands in the store: one JSON object, version 1.

use std::collections::BTreeSet;

use certs::{Leaf, OrganisationId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::{Client, ClientRecordError, Contact, EnrolmentSource, GrantType, scope};
use super::{CertificateKind, EnrolledCertificate, RedirectUri, Setting, text};
use crate::limits::{
    CLIENT_CERTIFICATES_MAX, CLIENT_DESCRIPTION_CHARACTERS_MAX, CLIENT_NAME_CHARACTERS_MAX,
    CLIENT_RECORD_BYTES_MAX, CLIENT_TEXT_CHARACTERS_MAX, REDIRECT_URIS_MAX,
};

/// The only version of the record format so far.
pub(super) const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u8,
    client_id: String,
    organisation_id: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    setting: Setting,
    redirect_uris: Vec<String>,
    grant_types: BTreeSet<GrantType>,
    scopes: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "WireContact::is_empty")]
    contact: WireContact,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    logo_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tos_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    software_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    software_version: Option<String>,
    certificates: Vec<WireCertificate>,
    created_at: i64,
    updated_at: i64,
    source: EnrolmentSource,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireContact {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
}

impl WireContact {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.email.is_none() && self.phone.is_none()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireCertificate {
    kind: CertificateKind,
    pem: String,
    fingerprint: String,
    kid: String,
    not_after: i64,
}

#[derive(Deserialize)]
struct Version {
    v: u8,
}

fn unusable<E>(member: &'static str) -> impl Fn(E) -> ClientRecordError {
    move |_| ClientRecordError::Member(member)
}

fn require(member: &'static str, holds: bool) -> Result<(), ClientRecordError> {
    if holds { Ok(()) } else { Err(ClientRecordError::Member(member)) }
}

fn instant(member: &'static str, seconds: i64) -> Result<Timestamp, ClientRecordError> {
    Timestamp::from_second(seconds).map_err(unusable(member))
}

impl Client {
    /// Reads the stored form.
    ///
    /// # Errors
    /// Anything that is not exactly a record: what cannot be read may ask for nothing.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ClientRecordError> {
        if bytes.len() > CLIENT_RECORD_BYTES_MAX {
            return Err(ClientRecordError::TooLarge);
        }
        let shape = |error: serde_json::Error| ClientRecordError::Shape {
            line: error.line(),
            column: error.column(),
        };
        let version: Version = serde_json::from_slice(bytes).map_err(shape)?;
        if version.v != FORMAT {
            return Err(ClientRecordError::Version(version.v));
        }
        let wire: Wire = serde_json::from_slice(bytes).map_err(shape)?;
        wire.texts()?;
        let (created_at, updated_at) =
            (instant("created_at", wire.created_at)?, instant("updated_at", wire.updated_at)?);
        require("updated_at", created_at <= updated_at)?;
        Ok(Self {
            organisation_id: OrganisationId::new(&wire.organisation_id)
                .map_err(unusable("organisation_id"))?,
            redirect_uris: redirect_uris(&wire.redirect_uris, wire.setting)?,
            scopes: wire
                .scopes
                .iter()
                .map(|text| scope(text).map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or(ClientRecordError::Member("scopes"))?,
            certificates: certificates(wire.certificates)?,
            client_id: wire.client_id,
            name: wire.name,
            description: wire.description,
            setting: wire.setting,
            grant_types: wire.grant_types,
            contact: Contact {
                name: wire.contact.name,
                email: wire.contact.email,
                phone: wire.contact.phone,
            },
            logo_uri: wire.logo_uri,
            client_uri: wire.client_uri,
            tos_uri: wire.tos_uri,
            policy_uri: wire.policy_uri,
            agent_id: wire.agent_id,
            software_id: wire.software_id,
            software_version: wire.software_version,
            created_at,
            updated_at,
            source: wire.source,
        })
    }

    /// The stored form. Who fills a client in by hand reads it back with [`Client::from_json`] before
    /// it is stored: only that holds its bounds.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let certificate = |one: &EnrolledCertificate| WireCertificate {
            kind: one.kind,
            pem: one.pem.clone(),
            fingerprint: hex::encode(one.fingerprint),
            kid: one.kid.clone(),
            not_after: one.not_after.as_second(),
        };
        let wire = Wire {
            v: FORMAT,
            client_id: self.client_id.clone(),
            organisation_id: self.organisation_id.as_str().to_owned(),
            name: self.name.clone(),
            description: self.description.clone(),
            setting: self.setting,
            redirect_uris: self.redirect_uris.iter().map(ToString::to_string).collect(),
            grant_types: self.grant_types.clone(),
            scopes: self.scopes.clone(),
            contact: WireContact {
                name: self.contact.name.clone(),
                email: self.contact.email.clone(),
                phone: self.contact.phone.clone(),
            },
            logo_uri: self.logo_uri.clone(),
            client_uri: self.client_uri.clone(),
            tos_uri: self.tos_uri.clone(),
            policy_uri: self.policy_uri.clone(),
            agent_id: self.agent_id.clone(),
            software_id: self.software_id.clone(),
            software_version: self.software_version.clone(),
            certificates: self.certificates.iter().map(certificate).collect(),
            created_at: self.created_at.as_second(),
            updated_at: self.updated_at.as_second(),
            source: self.source,
        };
        // A struct of strings and integers always serialises.
        serde_json::to_vec(&wire).unwrap_or_default()
    }
}

impl Wire {
    fn texts(&self) -> Result<(), ClientRecordError> {
        require("client_id", text::is_client_id(&self.client_id))?;
        text::shown(&self.name, CLIENT_NAME_CHARACTERS_MAX).map_err(unusable("name"))?;
        let optional = |member, text: &Option<String>, rule: fn(&str) -> _| {
            text.as_deref().map_or(Ok(()), rule).map_err(unusable::<text::TextFault>(member))
        };
        optional("description", &self.description, |text| {
            text::shown(text, CLIENT_DESCRIPTION_CHARACTERS_MAX)
        })?;
        let line = |text: &str| text::shown(text, CLIENT_TEXT_CHARACTERS_MAX);
        optional("contact.name", &self.contact.name, line)?;
        optional("contact.email", &self.contact.email, text::email)?;
        optional("contact.phone", &self.contact.phone, text::phone)?;
        optional("logo_uri", &self.logo_uri, text::page)?;
        optional("client_uri", &self.client_uri, text::page)?;
        optional("tos_uri", &self.tos_uri, text::page)?;
        optional("policy_uri", &self.policy_uri, text::page)?;
        optional("agent_id", &self.agent_id, text::agent)?;
        optional("software_id", &self.software_id, line)?;
        optional("software_version", &self.software_version, line)
    }
}

fn redirect_uris(
    texts: &[String],
    setting: Setting,
) -> Result<Vec<RedirectUri>, ClientRecordError> {
    let member = "redirect_uris";
    require(member, (1..=REDIRECT_URIS_MAX).contains(&texts.len()))?;
    let uris: Result<Vec<_>, _> =
        texts.iter().map(|text| RedirectUri::enrol(text, setting)).collect();
    let uris = uris.map_err(unusable(member))?;
    require(member, uris.iter().collect::<BTreeSet<_>>().len() == uris.len())?;
    Ok(uris)
}

fn certificates(wire: Vec<WireCertificate>) -> Result<Vec<EnrolledCertificate>, ClientRecordError> {
    let member = "certificates";
    require(member, wire.len() <= CLIENT_CERTIFICATES_MAX)?;
    let read = wire.into_iter().map(|one| {
        let mut fingerprint = [0; 32];
        hex::decode_to_slice(&one.fingerprint, &mut fingerprint).map_err(unusable(member))?;
        let (leaf, _) = Leaf::from_pem(one.pem.as_bytes()).map_err(unusable(member))?;
        let not_after = instant(member, one.not_after)?;
        // What stands beside the certificate is only a copy of what it says itself.
        require(member, *leaf.fingerprint() == fingerprint && leaf.not_after() == not_after)?;
        require(member, text::is_key_id(&one.kid) && !one.pem.contains("PRIVATE KEY"))?;
        Ok(EnrolledCertificate {
            kind: one.kind,
            pem: one.pem,
            fingerprint,
            kid: one.kid,
            not_after,
        })
    });
    let read: Vec<_> = read.collect::<Result<_, ClientRecordError>>()?;
    let distinct: BTreeSet<_> = read.iter().map(|one| one.fingerprint).collect();
    require(member, distinct.len() == read.len())?;
    Ok(read)
}
