//! Answers that the gateway itself gives, on a connection that stays usable.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::context::Context;
use super::{body, headers};
use crate::authorization::Answer;

/// Longest wait for the rest of a request's body, which nobody reads, before its connection is given
/// up.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// Answers.
///
/// # Errors
/// The client is gone.
pub(super) async fn answer(session: &mut Session, ctx: &mut Context, answer: Answer) -> Result<()> {
    let mut response = ResponseHeader::build(answer.status, Some(8))?;
    for (name, value) in answer.headers {
        response.append_header(name, value)?;
    }
    response.insert_header(CONTENT_LENGTH, answer.body.len())?;
    headers::identify(&mut response, ctx)?;
    headers::announce(&mut response, ctx)?;
    write(session, ctx, response, answer.body).await
}

/// Writes an answer without closing the connection, which would cost a TPP a new mTLS handshake. The
/// record of the request goes before it.
///
/// # Errors
/// The client is gone.
pub(super) async fn write(
    session: &mut Session,
    ctx: &mut Context,
    mut response: ResponseHeader,
    body: Bytes,
) -> Result<()> {
    if !body::drain(session, ctx.settings().limits.body_bytes_max, DRAIN_LIMIT).await {
        session.set_keepalive(None);
        response.insert_header(CONNECTION, "close")?;
    }
    let is_bodiless = headers::is_bodiless(session.req_header(), &response);
    // Over HTTP/2 whoever asks with HEAD takes content for a fault of the protocol.
    let body = if is_bodiless { Bytes::new() } else { body };
    let bytes_out = u64::try_from(body.len()).unwrap_or(u64::MAX);
    ctx.close(response.status.as_u16(), bytes_out);
    session.write_response_header(Box::new(response), false).await?;
    session.write_response_body(Some(body), true).await
}
