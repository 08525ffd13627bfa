//! The body with which a TPP registers an application, in STET's words (registration 1.0.5, after
//! RFC 7591 §2) and in the bank group's: an object `contact`, scopes separated by commas, enumerations
//! in capitals.
//!
//! Nothing is fetched: keys come as certificates inside the body, addresses of pages are kept as
//! texts. A private key anywhere in the body is told before anything else.

mod fault;
mod json;
mod keys;
mod members;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use certs::http_signature::Seal;
use certs::{OrganisationId, PspRole, RoleSet};
use jiff::Timestamp;
use serde_json::Value;

pub use fault::{CertificateFault, RegistrationFault};

use self::members::Members;
use super::record::scope;
use super::{Client, Contact, EnrolledCertificate, EnrolmentSource, GrantType};
use super::{RedirectUri, Setting, text};
use crate::limits::{
    CLIENT_DESCRIPTION_CHARACTERS_MAX, CLIENT_ID_BYTES_MAX, CLIENT_NAME_CHARACTERS_MAX,
    CLIENT_RECORD_BYTES_MAX, CLIENT_TEXT_CHARACTERS_MAX, LOGO_BYTES_MAX, REDIRECT_URIS_MAX,
    REGISTRATION_BYTES_MAX,
};

/// What a TPP asks to be registered as. Whose request it was is not known yet: the caller compares
/// [`Registration::organisation_id`] with the QWAC's, and verifies the request's signature with
/// [`Registration::first_seal`] once that is trusted and not revoked.
#[derive(Clone, Debug)]
pub struct Registration {
    client: Client,
    client_id: Option<String>,
    ignored: Vec<String>,
    first_seal: Seal,
}

impl Registration {
    /// Reads the body of `POST /register` or `PUT /register/{client_id}`.
    ///
    /// # Errors
    /// The first thing that is wrong with it; a private key before everything else.
    pub fn read(body: &[u8], setting: Setting, now: Timestamp) -> Result<Self, RegistrationFault> {
        let value = json(body)?;
        let mut members = Members::of(&value)?;
        let fixed = |member, wanted, found: Option<&str>| match found {
            Some(text) if !text.eq_ignore_ascii_case(wanted) => {
                Err(RegistrationFault::Only { member, wanted })
            }
            _ => Ok(()),
        };
        let method = "token_endpoint_auth_method";
        fixed(method, "tls_client_auth", members.text(method)?)?;
        software_statement(&mut members)?;
        members.absent("jwks_uri", RegistrationFault::JwksUri)?;
        for response_type in members.texts("response_types")? {
            fixed("response_types", "code", Some(response_type))?;
        }
        let name = members.required("client_name")?;
        members.judge("client_name", text::shown(name, CLIENT_NAME_CHARACTERS_MAX))?;
        let redirect_uris = redirect_uris(&mut members, setting)?;
        let organisation_id = OrganisationId::new(members.required("provider_legal_id")?)
            .map_err(|fault| RegistrationFault::LegalId { fault })?;
        let keys = keys::read(members.object("jwks")?, &organisation_id, now)?;
        let contact = contact(&mut members)?;
        let client_id = members.text("client_id")?.map(str::to_owned);
        if let Some(logo) = members.text("logo")? {
            if logo.len() > LOGO_BYTES_MAX {
                return Err(RegistrationFault::Logo);
            }
            members.ignore("logo");
        }
        let scopes = scopes(&mut members, keys.roles)?;
        let line = |text: &str| text::shown(text, CLIENT_TEXT_CHARACTERS_MAX);
        let long = |text: &str| text::shown(text, CLIENT_DESCRIPTION_CHARACTERS_MAX);
        let client = Client {
            // The widest that can come, so that the bound below is the bound.
            client_id: "0".repeat(CLIENT_ID_BYTES_MAX),
            organisation_id,
            name: name.to_owned(),
            description: members.kept("description", long)?,
            setting,
            redirect_uris,
            grant_types: grant_types(&mut members)?,
            scopes,
            contact,
            logo_uri: members.kept("logo_uri", text::page)?,
            client_uri: members.kept("client_uri", text::page)?,
            tos_uri: members.kept("tos_uri", text::page)?,
            policy_uri: members.kept("policy_uri", text::page)?,
            agent_id: members.kept("client_legal_id", text::agent)?,
            software_id: members.kept("software_id", line)?,
            software_version: members.kept("software_version", line)?,
            certificates: keys.certificates,
            created_at: Timestamp::MAX,
            updated_at: Timestamp::MAX,
            source: EnrolmentSource::Register,
        };
        if client.to_json().len() > CLIENT_RECORD_BYTES_MAX {
            return Err(RegistrationFault::RecordTooLarge);
        }
        let mut ignored = members.ignored();
        ignored.extend(keys.ignored);
        Ok(Self { client, client_id, ignored, first_seal: keys.first_seal })
    }

    /// Whose application it says it is, and whose every certificate in it is.
    #[must_use]
    pub fn organisation_id(&self) -> &OrganisationId {
        &self.client.organisation_id
    }

    /// The name that customers will be shown. Two clients may not share one; whether one is taken is
    /// for the caller to look up.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.client.name
    }

    /// The id that the body says, if any. A change must say the one in its path (RFC 7592 §2.2); a
    /// new client is given one.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// The certificates that it brings.
    #[must_use]
    pub fn certificates(&self) -> &[EnrolledCertificate] {
        &self.client.certificates
    }

    /// Names of what was not looked at, so that the answer can say so (RFC 7591 §2: what the server
    /// does not understand, it ignores). The names are the sender's, cut to harmless characters.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The QSEALC that must have signed the request: the first of `jwks.keys`. Its certificate is
    /// not known before, so the body brings it; it proves nothing until its path is judged.
    #[must_use]
    pub fn first_seal(&self) -> &Seal {
        &self.first_seal
    }

    /// The client that is to be stored under `client_id`: enrolled at `created_at`, which is `now`
    /// for a new one, and changed now.
    #[must_use]
    pub fn into_client(self, client_id: String, now: Timestamp, created_at: Timestamp) -> Client {
        // Records are written in whole seconds.
        let whole =
            |instant: Timestamp| Timestamp::from_second(instant.as_second()).unwrap_or(instant);
        let (updated_at, created_at) = (whole(now.max(created_at)), whole(created_at));
        Client { client_id, created_at, updated_at, ..self.client }
    }
}

/// The body as JSON, if no private key is in it.
fn json(body: &[u8]) -> Result<Value, RegistrationFault> {
    let told = |fault| {
        // What cannot be read can still give a key away.
        let private = secret::is_private(body);
        if private {
            RegistrationFault::PrivateKey { member: "the body".to_owned() }
        } else {
            fault
        }
    };
    if body.len() > REGISTRATION_BYTES_MAX {
        return Err(told(RegistrationFault::TooLarge));
    }
    let value = json::read(body).map_err(told)?;
    match secret::find(&value) {
        Some(member) => Err(RegistrationFault::PrivateKey { member }),
        None => Ok(value),
    }
}

/// None is approved here: ignoring one would take the client's own words where it says that somebody
/// vouches for others (RFC 7591 §2.3).
fn software_statement(members: &mut Members<'_>) -> Result<(), RegistrationFault> {
    match members.take("software_statement") {
        None => Ok(()),
        Some(Value::String(text)) if text.is_empty() => Ok(()),
        Some(Value::String(_)) => Err(RegistrationFault::SoftwareStatement),
        Some(_) => Err(RegistrationFault::SoftwareStatementShape),
    }
}

fn redirect_uris(
    members: &mut Members<'_>,
    setting: Setting,
) -> Result<Vec<RedirectUri>, RegistrationFault> {
    let texts = members.texts("redirect_uris")?;
    if !(1..=REDIRECT_URIS_MAX).contains(&texts.len()) {
        return Err(RegistrationFault::RedirectUris);
    }
    let mut uris = Vec::with_capacity(texts.len());
    for (index, text) in texts.into_iter().enumerate() {
        let uri = RedirectUri::enrol(text, setting)
            .map_err(|fault| RegistrationFault::RedirectUri { index, fault })?;
        if uris.contains(&uri) {
            return Err(RegistrationFault::RedirectUriTwice { index });
        }
        uris.push(uri);
    }
    Ok(uris)
}

/// RFC 7591 §2: without a word, `authorization_code`.
fn grant_types(members: &mut Members<'_>) -> Result<BTreeSet<GrantType>, RegistrationFault> {
    let texts = members.texts("grant_types")?;
    if texts.is_empty() {
        return Ok(BTreeSet::from([GrantType::AuthorizationCode]));
    }
    let known = |text: &str| GrantType::from_code(&text.to_ascii_lowercase());
    let known = texts
        .into_iter()
        .enumerate()
        .map(|(index, text)| known(text).ok_or(RegistrationFault::GrantType { index }));
    known.collect()
}

/// Separated by spaces (RFC 6749 §3.3) or commas (the bank group's texts). Scopes of STET that no
/// API here has are left out, as RFC 7591 §3.2.1 allows, and named as ignored. Without a word, what
/// the roles in the certificates are for.
fn scopes(
    members: &mut Members<'_>,
    roles: RoleSet,
) -> Result<BTreeSet<String>, RegistrationFault> {
    const ELSEWHERE: [&str; 4] =
        ["pisp", "extended_transaction_history", "offline_access", "manageregistration"];
    let mut scopes = BTreeSet::new();
    match members.text("scope")? {
        None => {
            for (role, scope) in
                [(PspRole::CardBasedInstruments, "cbpii"), (PspRole::AccountInformation, "aisp")]
            {
                if roles.contains(role) {
                    scopes.insert(scope.to_owned());
                }
            }
        }
        Some(text) => {
            for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
                let word = word.to_ascii_lowercase();
                match scope(&word) {
                    Some(scope) => {
                        scopes.insert(scope.to_owned());
                    }
                    None if ELSEWHERE.contains(&word.as_str()) => {
                        members.ignore(&format!("scope.{word}"));
                    }
                    None => return Err(RegistrationFault::Scope),
                }
            }
        }
    }
    if scopes.is_empty() { Err(RegistrationFault::NoScope) } else { Ok(scopes) }
}

/// The bank group's `contact`, else the first of STET's `contacts`, which is an object too or the
/// e-mail address alone (RFC 7591 §2).
fn contact(members: &mut Members<'_>) -> Result<Contact, RegistrationFault> {
    let many = match members.take("contacts") {
        None => &[],
        Some(Value::Array(many)) => many.as_slice(),
        Some(_) => return Err(RegistrationFault::Shape { member: "contacts", shape: "an array" }),
    };
    if many.len() > 1 {
        members.ignore("contacts.after_the_first");
    }
    let one = match members.take("contact") {
        Some(one) => {
            if !many.is_empty() {
                members.ignore("contacts");
            }
            Some(one)
        }
        None => many.first(),
    };
    let mut contact = Contact::default();
    match one {
        None => {}
        Some(Value::String(email)) => {
            members.judge("contacts", text::email(email))?;
            contact.email = Some(email.clone());
        }
        Some(one) => {
            let mut inner = Members::inside(one, "contact")?;
            let line = |text: &str| text::shown(text, CLIENT_TEXT_CHARACTERS_MAX);
            contact.name = inner.either(["contact_name", "name"], line)?;
            contact.email = inner.either(["contact_email", "email"], text::email)?;
            contact.phone = inner.either(["phone_number", "phone"], text::phone)?;
            members.ignored_within("contact", inner);
        }
    }
    Ok(contact)
}
