//! The straight line: identity → decision → upstream → audit, one hook of Pingora's after another.

mod body;
mod context;
mod fallback;
mod headers;
mod interface;
mod line;
mod malformed;
mod offices;
mod own;
mod probing;
mod quotas;
mod refuse;
mod request;
mod view;

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};
use policies::{Lane, Reason, Refusal, World};

use crate::audit::Audit;
use crate::config::Config;
use crate::drain::Drain;
use crate::in_flight::InFlight;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::traces::{Traces, Waited};
use crate::upstream::{Exchange, Upstream};
use crate::world::Chronicle;

use line::Verdict;

pub use context::Context;
pub use fallback::{Door, Fallback, Way};
pub use interface::Interface;
pub use malformed::AtTheGate;
pub use view::{Settings, View};

/// All that a request needs, shared by every connection.
pub struct Gateway {
    /// What requests are judged and served by; swapped whole by [`Gateway::replace`] alone.
    pub view: ArcSwap<View>,
    /// Each world is written down before requests are judged by it.
    pub chronicle: Chronicle,
    /// Tokens and quotas.
    pub store: Arc<dyn Store>,
    /// The access log.
    pub audit: Arc<Audit>,
    /// Takes the spans of requests, where they are traced.
    pub traces: Option<Traces>,
    /// Every series.
    pub metrics: Arc<Metrics>,
    /// Requests under way, where a limit counts them.
    pub in_flight: Arc<InFlight>,
    /// Whether the gateway is about to leave.
    pub drain: Drain,
}

impl Gateway {
    /// The world as it is now.
    #[must_use]
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.view.load().world)
    }

    /// The settings as they are now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.view.load().settings)
    }

    /// Makes another world of the one that is there; requests under way keep theirs.
    pub fn change_world(&self, change: impl Fn(&World) -> World) {
        self.replace(None, |view| {
            let (world, settings) = (Arc::new(change(&view.world)), Arc::clone(&view.settings));
            View { world, settings }
        });
    }

    /// Makes another view of the one that is there, by another configuration where `config` is one. Its
    /// world is written down before requests are judged by it.
    pub fn replace(&self, config: Option<&Config>, change: impl FnOnce(&View) -> View) {
        let mut chronicle = self.chronicle.hold();
        if let Some(config) = config {
            chronicle.configured(config);
        }
        let view = change(&self.view.load());
        chronicle.write(&view.world);
        self.view.store(Arc::new(view));
    }
}

/// Pingora's view of the [`Gateway`].
pub struct Line(pub Arc<Gateway>);

#[async_trait]
impl ProxyHttp for Line {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(Arc::clone(&self.0))
    }

    // Without this, Pingora adds its compression module to every request.
    fn init_downstream_modules(&self, _modules: &mut pingora::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        // A fault of ours in one request is that request's alone: its connection may carry others.
        let judged = AssertUnwindSafe(line::judge(&self.0, session, ctx)).catch_unwind().await;
        match judged.unwrap_or_else(|_| Err(Refusal::new(Reason::InternalFault))) {
            Ok(Verdict::Own(answer)) => {
                own::answer(session, ctx, answer).await?;
                Ok(true)
            }
            Ok(Verdict::Permitted(permit)) => {
                ctx.permit = Some(permit);
                ctx.chosen = self.choose(ctx, None);
                let refusal = if ctx.chosen.is_none() {
                    Some(Refusal::because(Reason::UpstreamUnavailable, NOBODY_SERVES))
                } else {
                    let written = ctx.record_permit().await;
                    written.err().map(|_| Refusal::because(Reason::StateUnavailable, UNWRITTEN))
                };
                ctx.permitted_at = Some(Instant::now());
                match refusal {
                    Some(refusal) => {
                        refuse::answer(&self.0, session, ctx, refusal).await.map(|()| true)
                    }
                    None if ctx.lane == Lane::Fallback => {
                        body::pass(session, ctx).await.map(|()| false)
                    }
                    None => Ok(false),
                }
            }
            Err(refusal) => {
                refuse::answer(&self.0, session, ctx, refusal).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _: &mut Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
        let (Some(permit), Some(upstream)) = (&ctx.permit, self.upstream(ctx)) else {
            return Err(Error::new(ErrorType::InternalError));
        };
        let left = ctx.deadline(upstream).saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        let chosen = ctx.chosen.ok_or_else(|| {
            Error::explain(ErrorType::ConnectNoRoute, "no other address").into_up()
        })?;
        Ok(upstream.peer(permit, chosen, left))
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        peer: &HttpPeer,
        ctx: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        // Nothing has been delivered yet, so another address may be tried even for a POST.
        let failed = peer._address.as_inet().copied();
        let another = match (self.upstream(ctx), failed) {
            (Some(upstream), Some(failed)) => {
                upstream.note(failed, Exchange::Failed);
                self.choose(ctx, Some(failed))
            }
            _ => None,
        };
        error.set_retry(another.is_some());
        ctx.chosen = another;
        error
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        _reused: bool,
        peer: &HttpPeer,
        connection: std::os::fd::RawFd,
        digest: Option<&Digest>,
        ctx: &mut Context,
    ) -> Result<()> {
        ctx.upstream = peer._address.as_inet().copied();
        ctx.limit = self
            .upstream(ctx)
            .and_then(|upstream| upstream.limit(connection, ctx.deadline(upstream)));
        // Pingora's upstream context still offers TLS 1.0.
        let version = digest.and_then(|digest| digest.ssl_digest.as_ref()).map(|tls| &*tls.version);
        if peer.is_tls() && !matches!(version, Some("TLSv1.2" | "TLSv1.3")) {
            return Err(
                Error::explain(ErrorType::TLSHandshakeFailure, "adapter below TLS 1.2").into_up()
            );
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        let (Some(permit), Some(connection)) = (&ctx.permit, &ctx.connection) else {
            return Err(Error::new(ErrorType::InternalError));
        };
        match (permit.lane(), &ctx.settings().fallback) {
            (Lane::Dedicated, _) => {
                let body_length = session.get_retry_buffer().map_or(0, |body| body.len());
                headers::to_upstream(upstream, permit, connection, ctx, body_length)
            }
            (Lane::Fallback, Some(fallback)) => {
                let configured = &fallback.settings.headers;
                headers::to_customer_interface(upstream, permit, connection, ctx, configured)
            }
            (Lane::Fallback, None) => Err(Error::new(ErrorType::InternalError)),
        }
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> Result<()> {
        // That of an API was read, and counted, before it was judged.
        if ctx.lane == Lane::Fallback {
            body::passes(body.as_ref(), end_of_stream, ctx)?;
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        if let Some(permitted_at) = ctx.permitted_at {
            ctx.waited(Waited::Upstream, permitted_at);
        }
        probing::known(&self.0, ctx).await;
        if self.0.drain.is_draining() {
            session.set_keepalive(None);
        }
        let reason = response.headers.get(headers::REASON).and_then(|value| value.to_str().ok());
        if let Some(reason) =
            reason.and_then(Reason::from_code).filter(|r| r.is_upstream_reportable())
            && ctx.lane == Lane::Dedicated
        {
            return self.instead(session, response, ctx, Refusal::new(reason));
        }
        if response.status.is_server_error() {
            // What a broken core says about itself is not for the outside.
            let refusal = Refusal::because(
                Reason::UpstreamUnavailable,
                "the bank's system answered with an error",
            );
            return self.instead(session, response, ctx, refusal);
        }
        probing::head(ctx, response);
        headers::to_client(response, ctx)?;
        quotas::tell(response, &ctx.counted)?;
        answered(session, response, ctx)
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> Result<Option<Duration>> {
        if end_of_stream {
            ctx.limit = None;
        } else if self.upstream(ctx).is_some_and(|upstream| ctx.deadline(upstream) < Instant::now())
        {
            return Err(late());
        }
        if let Some(chunk) = body {
            probing::body(&self.0, ctx, chunk);
        }
        if let Some(replacement) = &ctx.replacement {
            *body = end_of_stream.then(|| replacement.clone());
        }
        let (status, bytes) = &mut ctx.passing;
        *bytes += body.as_ref().map_or(0, |chunk| u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if end_of_stream {
            let (status, bytes) = (*status, *bytes);
            ctx.close(status, bytes);
        }
        Ok(None)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Context,
    ) -> FailToProxy {
        ctx.limit = None;
        if matches!(error.esource(), ErrorSource::Downstream) {
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        }
        let is_late = self.upstream(ctx).is_some_and(|u| ctx.deadline(u) <= Instant::now());
        let reason = if is_late { Reason::UpstreamTimeout } else { refuse::reason_of(error) };
        // "100 Continue" is no answer yet.
        if session.response_written().is_some_and(|head| !head.status.is_informational()) {
            // Too late for another answer: the connection ends, which tells the client that this one
            // is not whole.
            ctx.cut_short(Refusal::new(reason));
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        }
        session.set_keepalive(None);
        let too_slow = || {
            let detail = "the whole request was not there in time";
            Refusal::because(Reason::RequestMalformed, detail)
        };
        let late_upload = (is_late && ctx.is_uploading).then(too_slow);
        let refusal = ctx.refusal.take().or(late_upload);
        let refusal = refusal.unwrap_or_else(|| Refusal::new(reason));
        let reason = refusal.reason;
        let _ = refuse::answer(&self.0, session, ctx, refusal).await;
        FailToProxy { error_code: reason.status(), can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _: &Session, _: &Context, _: &Error) -> bool {
        // The audit record says it, with the reason and without the client's words.
        true
    }

    fn request_summary(&self, _: &Session, ctx: &Context) -> String {
        // Pingora's own summary holds the target and the host as sent.
        ctx.request_id.to_string()
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Context) {
        ctx.limit = None;
        let exchange = match error.map(Error::esource) {
            None => Some(Exchange::Answered),
            Some(ErrorSource::Upstream) if !ctx.is_uploading && !is_held_up(session, ctx) => {
                Some(Exchange::Failed)
            }
            // Of a client that left, or was slow, nobody knows how the adapter would have done.
            Some(_) => None,
        };
        if let (Some(upstream), Some(address), Some(exchange)) =
            (self.upstream(ctx), ctx.upstream, exchange)
        {
            upstream.note(address, exchange);
        }
        probing::over(&self.0, ctx).await;
        ctx.complete(session);
    }
}

impl Line {
    /// Puts our refusal in the place of an adapter's answer.
    fn instead(
        &self,
        session: &Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
        refusal: Refusal,
    ) -> Result<()> {
        let request = session.req_header();
        if headers::is_bodiless(request, response) && request.method != http::Method::HEAD {
            // No body passes that ours could take the place of.
            ctx.refusal = Some(refusal);
            return Err(Error::explain(ErrorType::InternalError, "an empty answer is replaced"));
        }
        refuse::replace(response, ctx, refusal)?;
        answered(session, response, ctx)
    }

    /// Where the permitted request goes: the system of the codetab that its permit is for.
    fn upstream<'c>(&self, ctx: &'c Context) -> Option<&'c Upstream> {
        let (permit, settings) = (ctx.permit.as_ref()?, ctx.settings());
        let codetab = permit.codetab_index();
        match permit.lane() {
            Lane::Dedicated => settings.upstreams.get(codetab).map(Arc::as_ref),
            Lane::Fallback => Some(&*settings.fallback.as_ref()?.way(codetab)?.upstream),
        }
    }

    /// An address there that `failed` is not.
    fn choose(&self, ctx: &Context, failed: Option<SocketAddr>) -> Option<SocketAddr> {
        self.upstream(ctx)?.choose(ctx.permit.as_ref()?, failed)
    }
}

/// The head of the answer passes. One without a body is the end of it already.
fn answered(session: &Session, response: &ResponseHeader, ctx: &mut Context) -> Result<()> {
    ctx.passing.0 = response.status.as_u16();
    let is_end = headers::is_bodiless(session.req_header(), response);
    if is_end && !response.status.is_informational() {
        ctx.close(ctx.passing.0, 0);
    }
    Ok(())
}

/// Whether it may have been the client that took so long: a long answer waits for its reader. No TPP may
/// make an adapter look as if it failed.
fn is_held_up(session: &Session, ctx: &Context) -> bool {
    ctx.is_cut_short() && session.upstream_body_bytes_received() > UNREAD_BYTES_MAX
}

/// So many bytes of an answer pass on however slowly a client reads: they fit into the buffers.
const UNREAD_BYTES_MAX: usize = 4 * 1024;

/// What a caller is told whose request could not be written down.
const UNWRITTEN: &str = "the access log cannot take more now";

/// What a caller is told whose request goes nowhere.
const NOBODY_SERVES: &str = "the bank's system has not answered lately and is left alone";

fn late() -> Box<Error> {
    Error::explain(ErrorType::ReadTimedout, "the whole answer was not there in time").into_up()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
