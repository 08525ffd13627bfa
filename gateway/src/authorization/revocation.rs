//! The end of tokens (RFC 7009), and what a token is (RFC 7662).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policies::ledger::Revoked;
use policies::{Reason, Refusal, TokenFact, TokenName};
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
        let fact = self.store.token(&token, id, call.now).await;
        let inactive = json!({ "active": false });
        let record = match fact {
            TokenFact::Live { record, .. } => record,
            TokenFact::Unknown | TokenFact::Suspended => return Ok(Answer::json(200, &inactive)),
            TokenFact::Unreadable | TokenFact::Unavailable => {
                let detail = "the token store does not answer";
                return Err(Refusal::because(Reason::StateUnavailable, detail));
            }
        };
        let active = record.organisation_id == *id && record.expires_at > call.now;
        if !active {
            return Ok(Answer::json(200, &inactive));
        }
        let codetab = &record.codetab;
        let scopes: Vec<&str> = record.scopes.iter().map(String::as_str).collect();
        let mut body: Value = json!({
            "active": true,
            "scope": scopes.join(" "),
            "client_id": record.client_id,
            "token_type": match record.kind {
                policies::TokenKind::Access => "Bearer",
                policies::TokenKind::Refresh => "refresh_token",
            },
            "exp": record.expires_at.as_second(),
            "iat": record.issued_at.as_second(),
            "auth_time": record.strong_authentication_at.as_second(),
            "iss": self.settings.issuer.of(codetab),
        });
        if let (Some(certificate), Some(body)) = (record.certificate, body.as_object_mut()) {
            let thumbprint = URL_SAFE_NO_PAD.encode(certificate);
            body.insert("cnf".to_owned(), json!({ "x5t#S256": thumbprint }));
        }
        Ok(Answer::json(200, &body))
    }
}
