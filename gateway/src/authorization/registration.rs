//! The enrolment of applications by their TPPs: RFC 7591, and RFC 7592 below it, in the words of STET's
//! registration 1.0.5.
//!
//! Who calls is known by its QWAC. It brings a token of its own, and what it says is sealed with the
//! QSEALC that stands in the same body: that one is not known before, and proves nothing until its
//! path, its revocation and its owner were judged.

use certs::{Leaf, Trusted};
use policies::client::{Client, Registration, RegistrationFault, new_client_id};
use policies::{Reason, Refusal, Sealing, Trail};
use serde_json::{Value, json};

use super::client_store::EnrolFault;
use super::form::invalid;
use super::{Answer, AuthorizationServer, Call, REGISTRATION_SCOPE, unavailable};

/// How often another client id is drawn where one is taken. One in a million is.
const DRAWS_MAX: usize = 4;

impl AuthorizationServer {
    /// `POST`: enrols an application (RFC 7591 §3).
    pub(super) async fn register(
        &self,
        call: Call<'_>,
        trail: &mut Trail,
    ) -> Result<Answer, Refusal> {
        self.may_enrol(call, trail).await?;
        let registration = self.registration(call, trail)?;
        let mut ignored = registration.ignored().to_vec();
        if registration.client_id().is_some() {
            ignored.push("client_id".to_owned());
        }
        let id = &call.approached.qwac().organisation_id;
        for _ in 0..DRAWS_MAX {
            let client_id = new_client_id(id, random()?);
            let client = registration.clone().into_client(client_id, call.now, call.now);
            match self.enrol(&client, None).await {
                Ok(()) => {
                    self.tell(call.now, "client_enrolled", id.as_str(), named(&client));
                    return Ok(self.told(201, &client, &ignored, call));
                }
                Err(EnrolFault::IdTaken) => {}
                Err(fault) => return Err(refusal(fault)),
            }
        }
        Err(refusal(EnrolFault::IdTaken))
    }

    /// `GET`, `PUT` and `DELETE` of one application (RFC 7592 §2).
    pub(super) async fn application(
        &self,
        client_id: &str,
        call: Call<'_>,
        trail: &mut Trail,
    ) -> Result<Answer, Refusal> {
        self.may_enrol(call, trail).await?;
        let id = &call.approached.qwac().organisation_id;
        // Another TPP's application is as unknown to this one as none.
        let found = self.client_of(id, client_id).await.map_err(|error| unavailable(&error))?;
        let client = found.ok_or_else(|| Refusal::new(Reason::ClientUnknown))?;
        match call.request.method {
            "PUT" => self.change(client, call, trail).await,
            "DELETE" => {
                let removed = self.remove(&client, call.now).await;
                let ended = removed.map_err(|error| unavailable(&error))?;
                let detail = format!("{}; tokens ended: {ended}", named(&client));
                self.tell(call.now, "client_removed", id.as_str(), detail);
                Ok(Answer::empty(204))
            }
            _ => Ok(self.told(200, &client, &[], call)),
        }
    }

    /// Replaces all of an application but its id and its beginning (RFC 7592 §2.2).
    async fn change(
        &self,
        before: Client,
        call: Call<'_>,
        trail: &mut Trail,
    ) -> Result<Answer, Refusal> {
        let registration = self.registration(call, trail)?;
        if registration.client_id().is_some_and(|said| said != before.client_id) {
            let detail = "client_id is not the one of the path; write that, or leave it out";
            return Err(Refusal::because(Reason::RegistrationInvalid, detail));
        }
        let ignored = registration.ignored().to_vec();
        let after = registration.into_client(before.client_id.clone(), call.now, before.created_at);
        let after = Client { source: before.source, ..after };
        self.enrol(&after, Some(&before)).await.map_err(refusal)?;
        let id = &call.approached.qwac().organisation_id;
        self.tell(call.now, "client_changed", id.as_str(), named(&after));
        Ok(self.told(200, &after, &ignored, call))
    }

    /// Whether the caller brings a token of the enrolment.
    async fn may_enrol(&self, call: Call<'_>, trail: &mut Trail) -> Result<(), Refusal> {
        let token = call.approached.bearer(call.authorization, trail)?;
        let id = &call.approached.qwac().organisation_id;
        let fact = self.store.token(&token, id, call.now).await;
        call.approached.holds(fact, call.certificate, REGISTRATION_SCOPE, call.now, trail)?;
        call.approached.is_listed(call.now, trail)
    }

    /// The registration in the body, if it is the caller's own word.
    fn registration(&self, call: Call<'_>, trail: &mut Trail) -> Result<Registration, Refusal> {
        let read = Registration::read(call.body, self.settings.setting, call.now);
        let id = &call.approached.qwac().organisation_id;
        if let Err(RegistrationFault::PrivateKey { member }) = &read {
            // Somebody must ring the TPP up: the key has left its house, whatever we do with it.
            let detail = format!("in a registration, at {member}; refused, and kept nowhere");
            self.tell(call.now, "private_key_received", id.as_str(), detail);
            tracing::warn!(tpp = %id, "a TPP has sent a private key; it is refused and not kept");
        }
        // A private key is told before the media type.
        if read.is_ok() {
            is_json(call.content_type)?;
        }
        let registration = read.map_err(|fault| faulty(&fault))?;
        let anchors = self.sealers.anchors.borrow().clone();
        let sealing = Sealing {
            anchors: &anchors,
            policy: &self.sealers.policy,
            explains: self.sealers.explains,
        };
        let mut met = |leaf: &Leaf, trusted: &Trusted| {
            if let Some(met) = self.met.get() {
                met(leaf, trusted);
            }
        };
        call.approached.owns(&registration, call.request, sealing, call.now, &mut met, trail)?;
        Ok(registration)
    }

    /// RFC 7591 §3.2.1, RFC 7592 §3.
    fn told(&self, status: u16, client: &Client, ignored: &[String], call: Call<'_>) -> Answer {
        let mut told = client.to_registration_response();
        if let Value::Object(members) = &mut told {
            let at = self.settings.tpp_url.of(&call.approached.codetab().code);
            let uri = format!("{at}{}/{}", self.settings.paths.register, client.client_id);
            members.insert("registration_client_uri".to_owned(), json!(uri));
            if !ignored.is_empty() {
                members.insert("ignored".to_owned(), json!(ignored));
            }
        }
        Answer::json(status, &told)
    }
}

/// RFC 7591 §3.1.
fn is_json(content_type: Option<&[u8]>) -> Result<(), Refusal> {
    let media = content_type.and_then(|value| value.split(|byte| *byte == b';').next());
    match media {
        Some(media) if media.trim_ascii().eq_ignore_ascii_case(b"application/json") => Ok(()),
        _ => Err(invalid("the Content-Type must be application/json")),
    }
}

fn random() -> Result<[u8; 4], Refusal> {
    let mut octets = [0; 4];
    openssl::rand::rand_bytes(&mut octets).map_err(|_| {
        Refusal::because(Reason::StateUnavailable, "the system gives no random numbers")
    })?;
    Ok(octets)
}

/// What the log keeps of an application: no person, no key.
#[must_use]
pub fn named(client: &Client) -> String {
    let certificates: Vec<String> = client
        .certificates
        .iter()
        .map(|one| format!("{} {}", one.kind.code(), hex::encode(one.fingerprint)))
        .collect();
    match certificates.is_empty() {
        true => client.client_id.clone(),
        false => format!("{}: {}", client.client_id, certificates.join(", ")),
    }
}

/// RFC 7591 §3.2.2.
fn faulty(fault: &RegistrationFault) -> Refusal {
    let reason = match fault {
        RegistrationFault::TooLarge => Reason::BodyTooLarge,
        fault if fault.error_code() == Reason::RedirectUriInvalid.oauth_error() => {
            Reason::RedirectUriInvalid
        }
        _ => Reason::RegistrationInvalid,
    };
    Refusal::because(reason, fault.to_string()).in_oauth(fault.error_code())
}

fn refusal(fault: EnrolFault) -> Refusal {
    let reason = match &fault {
        EnrolFault::NameTaken => Reason::RegistrationInvalid,
        EnrolFault::Suspended => Reason::TppSuspended,
        EnrolFault::IdTaken | EnrolFault::Changed => Reason::StateUnavailable,
        EnrolFault::Store(error) => return unavailable(error),
    };
    let detail = match fault {
        EnrolFault::NameTaken => format!("client_name: {fault}"),
        fault => fault.to_string(),
    };
    Refusal::because(reason, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_json() {
        for media in ["application/json", "Application/JSON ; charset=utf-8"] {
            assert!(is_json(Some(media.as_bytes())).is_ok(), "{media}");
        }
        for media in ["text/plain", "", "application/jsonp", "application/x-www-form-urlencoded"] {
            let refused = is_json(Some(media.as_bytes())).unwrap_err();
            assert_eq!(refused.reason, Reason::OauthRequestInvalid, "{media}");
        }
        assert!(is_json(None).is_err());
    }

    #[test]
    fn each_fault_has_the_word_of_rfc_7591() {
        for (fault, reason, word) in [
            (RegistrationFault::RedirectUris, Reason::RedirectUriInvalid, "invalid_redirect_uri"),
            (RegistrationFault::NoSeal, Reason::RegistrationInvalid, "invalid_client_metadata"),
            (
                RegistrationFault::SoftwareStatement,
                Reason::RegistrationInvalid,
                "unapproved_software_statement",
            ),
            (
                RegistrationFault::SoftwareStatementShape,
                Reason::RegistrationInvalid,
                "invalid_software_statement",
            ),
            (RegistrationFault::TooLarge, Reason::BodyTooLarge, "invalid_client_metadata"),
        ] {
            let refused = faulty(&fault);
            assert_eq!((refused.reason, refused.oauth_error()), (reason, word), "{fault}");
        }
        assert_eq!(refusal(EnrolFault::Suspended).reason, Reason::TppSuspended);
        let taken = refusal(EnrolFault::NameTaken);
        assert_eq!(taken.oauth_error(), "invalid_client_metadata");
        assert!(taken.to_string().contains("client_name"), "{taken}");
    }
}
