//! How a refusal is answered: with its reason, on a connection that stays usable.

use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use policies::{Reason, Refusal};

use super::context::Context;
use super::{Gateway, headers, own, probing};
use crate::problem;

/// Writes the refusal.
///
/// Pingora's own `respond_error` closes the connection, which would cost a refused TPP a new mTLS
/// handshake for every mistake.
///
/// # Errors
/// The client is gone.
pub(super) async fn answer(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut Context,
    refusal: Refusal,
) -> Result<()> {
    probing::known(gateway, ctx).await;
    let stranger = stranger(&refusal).filter(|_| !ctx.settings().explains_tokens);
    let told = stranger.as_ref().unwrap_or(&refusal);
    let body = if ctx.speaks_oauth {
        problem::oauth_body(told, &ctx.settings().problem_type_base, ctx.about())
    } else {
        problem::body(told, &ctx.settings().problem_type_base, ctx.about())
    };
    let mut response = header(told, ctx, body.len())?;
    if ctx.speaks_oauth {
        response.insert_header(http::header::CONTENT_TYPE, "application/json")?;
    }
    if let Some(exceeded) = refusal.exceeded() {
        gateway.metrics.quota_refused.with_label_values(&[&exceeded.name]).inc();
    }
    ctx.refusal = Some(refusal);
    own::write(session, ctx, response, body).await
}

/// What whoever found or stole a token is told: that there is none, as of any other text. The record says
/// what it was.
fn stranger(refusal: &Refusal) -> Option<Refusal> {
    matches!(refusal.reason, Reason::TokenOtherTpp | Reason::TokenOtherCertificate)
        .then(|| Refusal::new(Reason::TokenUnknown))
}

/// Turns an adapter's refusal into ours: `response` is rewritten, its body replaced as it passes.
///
/// # Errors
/// Pingora's, for a header value that is none; cannot happen for values made here.
pub(super) fn replace(
    response: &mut ResponseHeader,
    ctx: &mut Context,
    refusal: Refusal,
) -> Result<()> {
    let body = problem::body(&refusal, &ctx.settings().problem_type_base, ctx.about());
    *response = header(&refusal, ctx, body.len())?;
    ctx.replacement = Some(body);
    ctx.refusal = Some(refusal);
    Ok(())
}

fn header(refusal: &Refusal, ctx: &Context, body_length: usize) -> Result<ResponseHeader> {
    let mut response = ResponseHeader::build(refusal.reason.status(), Some(12))?;
    for (name, value) in problem::headers(refusal) {
        response.append_header(name, value)?;
    }
    response.insert_header(http::header::CONTENT_LENGTH, body_length)?;
    headers::identify(&mut response, ctx)?;
    if matches!(refusal.reason, Reason::VersionRetired | Reason::VersionBrownOut) {
        // What the version says about its end names the successor, too.
        response.remove_header(&http::header::LINK);
    }
    headers::announce(&mut response, ctx)?;
    Ok(response)
}

/// The reason behind a failure between us and the adapter.
pub(super) fn reason_of(error: &Error) -> Reason {
    match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Reason::UpstreamTimeout,
        _ => Reason::UpstreamUnavailable,
    }
}
