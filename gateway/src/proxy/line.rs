//! From a request head to a [`Verdict`]: the facts are gathered, `policies` decides.

use std::sync::Arc;
#[cfg(debug_assertions)]
use std::sync::LazyLock;
use std::time::Instant;

use http::{HeaderValue, Version};
use jiff::Timestamp;
use pingora::proxy::Session;
use policies::{Lane, Permit, Presented, QuotaFact, Reason, Refusal, TokenFact, TokenName};

use super::context::{Asked, Context};
use super::probing::{self, Guard};
use super::request::{self, Head};
use super::{Gateway, Settings, UNWRITTEN, body, fallback, headers, offices, quotas};
use crate::authorization::Answer;
use crate::introduction;
use crate::jwt::Jwts;
use crate::listen::Connection;
use crate::listen::head::HeadBounds;
use crate::traces::{Incoming, Traces, Waited};

/// What becomes of a request that is not refused.
pub(super) enum Verdict {
    /// It goes to the adapter.
    Permitted(Permit),
    /// The gateway itself answers.
    Own(Answer),
}

/// Judges the request at the head of `session`, reading its body as the last step.
///
/// # Errors
/// The first check that did not pass.
pub(super) async fn judge(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut Context,
) -> Result<Verdict, Refusal> {
    let Some(connection) = Connection::of(session).cloned() else {
        return Err(Refusal::new(Reason::CertificateMissing));
    };
    connection.request_begins();
    ctx.connection = Some(connection.clone());
    note(gateway, session, ctx);
    #[cfg(debug_assertions)]
    fault_point(session);
    if ctx.slot.is_none() {
        return Err(Refusal::because(Reason::StateUnavailable, UNWRITTEN));
    }
    let view = Arc::clone(&ctx.view);
    let limits = &view.settings.limits;
    session.set_write_timeout(Some(limits.body_timeout));
    if gateway.drain.is_draining() {
        session.set_keepalive(None);
    } else {
        session.set_keepalive(Some(limits.keepalive_timeout.as_secs()));
    }

    let world = Arc::clone(&view.world);
    ctx.world = Some(world.clone());
    let now = ctx.now;
    let admitted = {
        let head = Head::read(session.req_header(), session.is_http2(), HeadBounds::of(limits))?;
        let presented = Presented {
            identity: Some(connection.identity()),
            sni: connection.sni(),
            host: head.host,
            method: head.method,
            target: head.target,
            authorization: head.authorization,
            attended: request::is_attended(session.req_header()),
        };
        Lane::asked(request::fallback(session.req_header()))?;
        if ctx.lane == Lane::Fallback {
            ctx.route = (world.routes.locate(head.host, head.target).0, None);
            let diverted = policies::divert(&presented, &world, now, &mut ctx.trail)?;
            // A future of its own: an API call should not carry it.
            let judged = fallback::judge(gateway, diverted, session, ctx);
            return Box::pin(judged).await.map(Verdict::Permitted);
        }
        if policies::asks_who_it_is(head.target) {
            ctx.route = world.routes.locate(head.host, head.target);
            let introduction = policies::introduce(&presented, &world, now, &mut ctx.trail)?;
            let unknown = |_| Refusal::new(Reason::CertificateUntrusted);
            let leaf = connection.identity().leaf().map_err(unknown)?;
            let body = introduction::body(&introduction, leaf, now);
            return Ok(Verdict::Own(Answer::of_json(200, body)));
        }
        if let Some((server, endpoint)) = offices::asked(&view.settings, head.target) {
            ctx.speaks_oauth = true;
            let asked = (server, &endpoint);
            let answer = offices::answer(gateway, asked, &connection, session, ctx);
            // A future of its own: it is long, and the path of an API call should not carry it.
            return Box::pin(answer).await.map(Verdict::Own);
        }
        let admitted = policies::admit(&presented, &world, now, &mut ctx.trail);
        ctx.route = world.routes.locate(head.host, head.target);
        admitted?
    };
    ctx.role = admitted.role_used();

    let token = admitted.token();
    let fact = match signed(&view.settings, session, &token, now) {
        Some(fact) => Some(fact),
        None => gateway.store.token_now(&token, now),
    };
    let fact = match fact {
        Some(fact) => fact,
        None => {
            let asked = Instant::now();
            let fact = gateway.store.token(&token, admitted.organisation_id(), now).await;
            ctx.waited(Waited::Store, asked);
            fact
        }
    };
    let entitled = admitted.with_token(fact, now, &mut ctx.trail)?;

    let fact = quotas::count(gateway, &entitled.charges(), ctx).await;
    let metered = entitled.with_quota(fact, now, &mut ctx.trail)?;

    let (bytes_max, timeout) = (limits.body_bytes_max, limits.body_timeout);
    let body = body::read(session, bytes_max, timeout, body::Keep::ForUpstream).await?;
    ctx.bytes_in = u64::try_from(body.len()).unwrap_or(u64::MAX);
    let sealed = metered.with_signature(
        || request::signed(session.req_header(), &ctx.asked.host, &body),
        now,
        &mut ctx.trail,
    )?;
    let account = |name: &str| gateway.audit.pseudonyms().of(name);
    let understood = sealed.with_body(&body, account, &mut ctx.trail)?;
    let charges = understood.account_charges();
    let fact = match charges.is_empty() {
        true => QuotaFact::assumed(&charges),
        false => quotas::count(gateway, &charges, ctx).await,
    };
    drop(charges);
    let placeable = understood.with_account_quota(fact, now, &mut ctx.trail)?;
    let placeable = match probing::guarded(gateway, ctx, placeable).await? {
        Guard::Passes(placeable) => placeable,
        Guard::Answers(answer) => return Ok(Verdict::Own(answer)),
    };
    let fact = quotas::enter(gateway, &placeable.places(), ctx);
    placeable.with_places(fact, now, &mut ctx.trail).map(Verdict::Permitted)
}

/// Whether the process was started to be tested for bugs of ours, by `OCTROI_TEST_PANIC` in its environment:
/// strangers reach a sandbox that was built for development, too.
#[cfg(debug_assertions)]
static HAS_FAULT_POINT: LazyLock<bool> =
    LazyLock::new(|| std::env::var_os("OCTROI_TEST_PANIC").is_some());

/// A bug of ours, as far as tests are concerned; it is in no release.
#[cfg(debug_assertions)]
#[allow(clippy::panic)]
fn fault_point(session: &Session) {
    if *HAS_FAULT_POINT && session.req_header().headers.contains_key("octroi-test-panic") {
        panic!("a test asked for it");
    }
}

/// What a token says that the bank's authorization server signed, where such are accepted.
fn signed(
    settings: &Settings,
    session: &Session,
    token: &TokenName,
    now: Timestamp,
) -> Option<TokenFact> {
    let jwts = settings.jwts.as_deref()?;
    let header = session.req_header().headers.get(http::header::AUTHORIZATION)?;
    // The scheme was checked when the request was admitted: `Bearer` and a blank.
    let text = header.as_bytes().get(7..).filter(|text| Jwts::is_one(text))?;
    Some(jwts.fact(text, &token.digest, now))
}

/// Without a world there is nothing to judge by; it is loaded before any request is judged.
pub(super) fn no_world() -> Refusal {
    Refusal::because(Reason::StateUnavailable, "there is nothing to judge by")
}

/// Keeps the request as sent, for the record and the answer, whatever becomes of it.
fn note(gateway: &Gateway, session: &Session, ctx: &mut Context) {
    let header = session.req_header();
    let host = header
        .headers
        .get(http::header::HOST)
        .map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned())
        .or_else(|| header.uri.authority().map(ToString::to_string));
    let target = String::from_utf8_lossy(header.raw_path());
    ctx.asked = Asked {
        method: header.method.as_str().to_owned(),
        path: target.split('?').next().unwrap_or_default().to_owned(),
        host: host.unwrap_or_default(),
        protocol: if header.version == Version::HTTP_2 || session.is_http2() {
            "HTTP/2"
        } else {
            "HTTP/1.1"
        },
    };
    ctx.lane = Lane::asked(request::fallback(header)).unwrap_or_default();
    let id: Option<&HeaderValue> = header.headers.get("x-request-id");
    let trusts = |traces: &Traces| traces.trusts_incoming();
    if gateway.traces.as_ref().is_some_and(trusts) {
        let traceparent = header.headers.get("traceparent");
        ctx.incoming = traceparent.and_then(|value| Incoming::read(value.as_bytes()));
    }
    ctx.tpp_request_id = id.filter(|id| headers::acceptable_request_id(id)).cloned();
}
