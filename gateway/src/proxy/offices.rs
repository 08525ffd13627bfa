//! Requests that the gateway's own authorization server answers, on the same line as every other: who
//! calls is judged first, and the record closes itself.

use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use certs::RoleSet;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use pingora::proxy::Session;
use policies::quota::{Attendance, Caller, Charge, Measure, Per};
use policies::{Presented, Quota, Refusal};

use super::context::Context;
use super::request::{self, Head};
use super::{Gateway, Settings, body, quotas};
use crate::authorization::{Answer, AuthorizationServer, Call, Endpoint};
use crate::listen::Connection;
use crate::listen::head::HeadBounds;

/// How often one TPP may ask the authorization server: far more than its customers consent, and no
/// flood.
static QUOTA: LazyLock<Arc<Quota>> = LazyLock::new(|| {
    Arc::new(Quota {
        name: "authorization-server".to_owned(),
        measure: Measure::Rate {
            requests: const { NonZeroU32::new(100).unwrap() },
            period: Duration::from_secs(1),
            burst: const { NonZeroU32::new(2000).unwrap() },
            lease: None,
        },
        per: Per { tpp: true, ..Per::default() },
        counts: Attendance::All,
        roles: RoleSet::EMPTY,
    })
});

/// The endpoint that a request asks for, if it asks for one of the authorization server's.
pub(super) fn asked<'g>(
    settings: &'g Settings,
    target: &str,
) -> Option<(&'g AuthorizationServer, Endpoint)> {
    let server = settings.authorization.as_deref()?;
    Some((server, server.endpoint(target)?))
}

/// Judges who calls, reads the body, and has the authorization server answer.
///
/// # Errors
/// The first check that did not pass, or why the server gives nothing.
pub(super) async fn answer(
    gateway: &Gateway,
    (server, endpoint): (&AuthorizationServer, &Endpoint),
    connection: &Connection,
    session: &mut Session,
    ctx: &mut Context,
) -> Result<Answer, Refusal> {
    let Some(world) = ctx.world.clone() else { return Err(super::line::no_world()) };
    // The body is read while the caller's words are still needed.
    let bounds = HeadBounds::of(&ctx.settings().limits);
    let head = Head::read(session.req_header(), session.is_http2(), bounds)?;
    let (host, method, target) =
        (head.host.to_owned(), head.method.to_owned(), head.target.to_owned());
    let value =
        |name| session.req_header().headers.get(name).map(|value| value.as_bytes().to_vec());
    let (content_type, authorization) = (value(CONTENT_TYPE), value(AUTHORIZATION));
    let presented = Presented {
        identity: Some(connection.identity()),
        sni: connection.sni(),
        host: &host,
        method: &method,
        target: &target,
        authorization: None,
        attended: false,
    };
    let methods = endpoint.methods();
    ctx.route = world.routes.locate(&host, &target);
    let approached = policies::approach(&presented, &world, methods, ctx.now, &mut ctx.trail)?;
    let caller = Caller {
        organisation_id: &approached.qwac().organisation_id,
        api: "",
        role: None,
        roles: RoleSet::EMPTY,
        codetab: &approached.codetab().code,
        account: None,
        attended: false,
    };
    let charge = Charge::of(&QUOTA, &caller);
    let fact = quotas::count(gateway, &[charge], ctx).await;
    approached.within(charge, &fact, ctx.now, &mut ctx.trail)?;
    let body = body::read(
        session,
        endpoint.body_bytes_max(),
        ctx.settings().limits.body_timeout,
        body::Keep::Here,
    )
    .await?;
    ctx.bytes_in = u64::try_from(body.len()).unwrap_or(u64::MAX);
    let request = request::signed(session.req_header(), &ctx.asked.host, &body);
    let call = Call {
        approached,
        certificate: connection.identity().fingerprint(),
        content_type: content_type.as_deref(),
        authorization: authorization.as_deref(),
        body: &body,
        request: &request,
        now: ctx.now,
    };
    server.answer(endpoint, call, &mut ctx.trail).await
}
