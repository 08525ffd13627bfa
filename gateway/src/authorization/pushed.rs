//! Pushed authorization requests (RFC 9126): the TPP hands the request over itself, and its customer's
//! browser carries only a reference.

use jiff::{SignedDuration, Timestamp};
use policies::ledger::{Changes, Kind, Pause, Place};
use policies::{Refusal, Scope, Trail};
use serde_json::json;

use super::form::{Form, invalid};
use super::request::{Asked, AuthorizationRequest, call_back};
use super::{Answer, AuthorizationServer, Call, secret, unavailable};
use crate::store;

/// What every reference begins with (RFC 9126 §2.2).
const REFERENCE: &str = "urn:ietf:params:oauth:request_uri:";
/// How long a reference is good for, seconds.
const LIFE_SECONDS: i64 = 90;

impl AuthorizationServer {
    /// Takes a request in and gives its reference.
    pub(super) async fn push(&self, call: Call<'_>, trail: &mut Trail) -> Result<Answer, Refusal> {
        let form = Form::body(call.content_type, call.body)?;
        form.absent("request_uri", "a pushed request cannot name another one")?;
        let client = self.calling_client(&form, &call.approached).await?;
        self.not_suspended(&client.organisation_id).await?;
        let redirect_uri = call_back(&form, &client)?;
        let codetab = &call.approached.codetab().code;
        let asked = Asked { form: &form, codetab, world: call.approached.world(), now: call.now };
        let request = self.judge(&asked, &client, redirect_uri)?;
        if let Some(scope) = Scope::from_name(&request.scope) {
            call.approached.may(scope, call.now, trail)?;
        }
        let reference = secret::random()?;
        let place = Place::named(Kind::Pushed, &reference);
        let until = later(call.now, LIFE_SECONDS);
        let page = serde_json::to_vec(&(until.as_second(), &request)).unwrap_or_default();
        store::transact(self.store.as_ref(), Some(place.own_partition()), |_| {
            let mut changes = Changes::default();
            changes.put(place, page.clone(), until);
            Ok(((), changes))
        })
        .await
        .map_err(|error| unavailable(&error))?;
        let request_uri = format!("{REFERENCE}{reference}");
        let body = json!({ "request_uri": request_uri, "expires_in": LIFE_SECONDS });
        Ok(Answer::json(201, &body))
    }

    /// The request that a reference stands for: good once, for the client that pushed it.
    pub(super) async fn pushed(
        &self,
        form: &Form,
        codetab: &str,
        now: Timestamp,
    ) -> Result<AuthorizationRequest, Refusal> {
        let unknown = || invalid("request_uri is not known here: never pushed, used, or expired");
        let client_id = form.required("client_id")?;
        let reference = form.required("request_uri")?;
        let reference = reference.strip_prefix(REFERENCE).ok_or_else(unknown)?;
        let place = Place::named(Kind::Pushed, reference);
        let taken = store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let mut changes = Changes::default();
            let Some(page) = book.read(place)? else { return Ok((None, changes)) };
            let pushed: (i64, AuthorizationRequest) =
                serde_json::from_slice(page).map_err(|_| Pause::Damaged(Kind::Pushed))?;
            let (until, request) = pushed;
            // Somebody else's reference stays good for its owner.
            if request.client_id != client_id || request.codetab != codetab {
                return Ok((None, changes));
            }
            changes.remove(place);
            Ok(((until > now.as_second()).then_some(request), changes))
        });
        taken.await.map_err(|error| unavailable(&error))?.ok_or_else(unknown)
    }
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}
