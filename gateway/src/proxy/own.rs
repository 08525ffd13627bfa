//! Answers that the gateway itself gives, on a connection that stays usable.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::context::Context;
use super::{Gateway, body, headers};

/// Longest wait for the rest of a request's body, which nobody reads, before its connection is given
/// up.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// Answers with `body`, which is JSON.
///
/// # Errors
/// The client is gone.
pub(super) async fn answer(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &Context,
    body: Bytes,
) -> Result<()> {
    let mut response = ResponseHeader::build(200, Some(6))?;
    response.insert_header(CONTENT_TYPE, "application/json")?;
    response.insert_header(CACHE_CONTROL, "no-store")?;
    response.insert_header(CONTENT_LENGTH, body.len())?;
    headers::identify(&mut response, ctx)?;
    write(gateway, session, response, body).await
}

/// Writes an answer without closing the connection, which would cost a TPP a new mTLS handshake.
///
/// # Errors
/// The client is gone.
pub(super) async fn write(
    gateway: &Gateway,
    session: &mut Session,
    mut response: ResponseHeader,
    body: Bytes,
) -> Result<()> {
    if !body::drain(session, gateway.limits.body_bytes_max, DRAIN_LIMIT).await {
        session.set_keepalive(None);
        response.insert_header(CONNECTION, "close")?;
    }
    session.write_response_header(Box::new(response), false).await?;
    session.write_response_body(Some(body), true).await
}
