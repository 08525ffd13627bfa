//! The end of tokens (RFC 7009), and what a token is (RFC 7662).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certs::OrganisationId;
use jiff::Timestamp;
use policies::ledger::{Changes, Kind, Pause, Place, Revoked};
use policies::{Psu, Reason, Refusal, TokenFact, TokenKind, TokenName, TokenRecord};
use serde_json::{Value, json};

use super::form::Form;
use super::{Answer, AuthorizationServer, Call, unavailable};
use crate::store;

impl AuthorizationServer {
    /// Ends the TPP's token and its pair. A token that is none, or is somebody else's, is answered the
    /// same: what is asked for holds.
    pub(super) async fn revoke(&self, call: Call<'_>) -> Result<Answer, Refusal> {
        let form = Form::body(call.content_type, call.body)?;
        let token = TokenName::of(form.required("token")?.as_bytes());
        let id = &call.approached.qwac().organisation_id;
        let revoked = store::revoke(self.store.as_ref(), &token, Some(id)).await;
        if let Revoked::Ended(_) = revoked.map_err(|error| unavailable(&error))? {
            let detail = format!("{}: by the TPP itself", hex::encode(token.digest));
            self.tell(call.now, "token_revoked", id.as_str(), detail);
        }
        Ok(Answer::empty(200))
    }

    /// What the TPP's own token is.
    pub(super) async fn introspect(&self, call: Call<'_>) -> Result<Answer, Refusal> {
        let form = Form::body(call.content_type, call.body)?;
        let token = TokenName::of(form.required("token")?.as_bytes());
        let id = &call.approached.qwac().organisation_id;
        let body = self.tell_of(&token, id, call.now).await?;
        Ok(Answer::json(200, &body))
    }

    /// What any token is, for an adapter: on a private way, with the customer and the consent.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn introspect_for_adapter(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let name = TokenName::of(token.as_bytes());
        let place = Place::new(Kind::Token, name.digest);
        let record = store::transact(self.store.as_ref(), name.partition, |book| {
            let record = book.read(place)?.map(TokenRecord::from_json).transpose();
            Ok((record.map_err(|_| Pause::Damaged(Kind::Token))?, Changes::default()))
        });
        let record = record.await.map_err(|error| unavailable(&error))?;
        let Some(record) = record else { return Ok(json!({ "active": false })) };
        let mut body = self.tell_of(&name, &record.organisation_id, now).await?;
        if body["active"] == true
            && let Some(body) = body.as_object_mut()
        {
            body.insert("organisation_id".to_owned(), json!(record.organisation_id.as_str()));
            body.insert("codetab".to_owned(), json!(record.codetab));
            body.insert("consent_id".to_owned(), json!(record.consent_id));
            body.insert("sub".to_owned(), json!(record.psu.as_ref().map(Psu::expose)));
        }
        Ok(body)
    }

    async fn tell_of(
        &self,
        token: &TokenName,
        id: &OrganisationId,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let fact = self.store.token(token, id, now).await;
        let inactive = json!({ "active": false });
        let record = match fact {
            TokenFact::Live { record, .. } => record,
            TokenFact::Unknown | TokenFact::Suspended => return Ok(inactive),
            TokenFact::Unreadable | TokenFact::Unavailable => {
                let detail = "the token store does not answer";
                return Err(Refusal::because(Reason::StateUnavailable, detail));
            }
        };
        if record.organisation_id != *id || record.expires_at <= now {
            return Ok(inactive);
        }
        let codetab = &record.codetab;
        let scopes: Vec<&str> = record.scopes.iter().map(String::as_str).collect();
        let mut body: Value = json!({
            "active": true,
            "scope": scopes.join(" "),
            "client_id": record.client_id,
            "exp": record.expires_at.as_second(),
            "iat": record.issued_at.as_second(),
            "auth_time": record.strong_authentication_at.as_second(),
            "iss": self.settings.issuer.of(codetab),
        });
        if record.kind == TokenKind::Access
            && let Some(body) = body.as_object_mut()
        {
            body.insert("token_type".to_owned(), json!("Bearer"));
        }
        if let (Some(certificate), Some(body)) = (record.certificate, body.as_object_mut()) {
            let thumbprint = URL_SAFE_NO_PAD.encode(certificate);
            body.insert("cnf".to_owned(), json!({ "x5t#S256": thumbprint }));
        }
        Ok(body)
    }
}
