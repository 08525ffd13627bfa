//! The request body, read whole and bounded before anything goes upstream.
//!
//! Pingora forwards a body that outgrows its 64 KiB retry buffer as *no body at all*; the
//! configured bound is therefore held below that, and checked as the bytes come.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use policies::{Reason, Refusal};

use super::context::Context;
use super::fallback;

/// For whom the body is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// It goes to the adapter after the judgement.
    ForUpstream,
    /// It ends here.
    Here,
}

/// Reads the body, at most `bytes_max` of it within `limit`.
///
/// # Errors
/// `body_too_large`, or `request_malformed` when it does not arrive whole and in time.
pub(super) async fn read(
    session: &mut Session,
    bytes_max: usize,
    limit: Duration,
    keep: Keep,
) -> Result<Bytes, Refusal> {
    let too_large = || {
        Refusal::because(
            Reason::BodyTooLarge,
            format!("the body is larger than the {bytes_max} bytes accepted here"),
        )
    };
    if declared_length(session).is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    if keep == Keep::ForUpstream {
        session.enable_retry_buffering();
    }
    if session.req_header().headers.contains_key(EXPECT) {
        session.write_continue_response().await.map_err(|_| cut_short())?;
    }
    let whole = async {
        let mut body = Bytes::new();
        while let Some(chunk) = session.read_request_body().await.map_err(|_| cut_short())? {
            if body.len() + chunk.len() > bytes_max {
                return Err(too_large());
            }
            body = if body.is_empty() { chunk } else { joined(&body, &chunk) };
        }
        Ok(body)
    };
    let body = tokio::time::timeout(limit, whole).await.map_err(|_| late(limit))??;
    if keep == Keep::ForUpstream && session.retry_buffer_truncated() {
        return Err(too_large());
    }
    Ok(body)
}

/// Lets the body of a permitted call of the fallback come, which nobody has read yet.
///
/// # Errors
/// The client is gone.
pub(super) async fn pass(session: &mut Session, ctx: &mut Context) -> pingora::Result<()> {
    ctx.is_uploading = !session.is_body_empty();
    if ctx.is_uploading && session.req_header().headers.contains_key(EXPECT) {
        session.write_continue_response().await?;
    }
    Ok(())
}

/// A piece of that body passes.
///
/// # Errors
/// The body is longer than one may be; the refusal stands in `ctx`.
pub(super) fn passes(
    piece: Option<&Bytes>,
    is_last: bool,
    ctx: &mut Context,
) -> pingora::Result<()> {
    ctx.is_uploading &= !is_last;
    let length = piece.map_or(0, |piece| u64::try_from(piece.len()).unwrap_or(u64::MAX));
    ctx.bytes_in = ctx.bytes_in.saturating_add(length);
    let bytes_max = ctx.settings().fallback.as_ref().map_or(0, |way| way.settings.body_bytes_max);
    if ctx.bytes_in > bytes_max {
        ctx.refusal = Some(fallback::too_large(bytes_max));
        return Err(Error::explain(ErrorType::InternalError, "a body is too long"));
    }
    Ok(())
}

/// Reads and forgets what is left of a refused request's body, so that its connection can serve the
/// next one; tells whether the body ended within the bounds.
pub(super) async fn drain(session: &mut Session, bytes_max: usize, limit: Duration) -> bool {
    // A client that waits for 100-continue sends its body only if asked to, and is not.
    if session.req_header().headers.contains_key(EXPECT) {
        return false;
    }
    if declared_length(session).is_some_and(|length| length > bytes_max) {
        return false;
    }
    let rest = async {
        let mut length = 0_usize;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            length += chunk.len();
            if length > bytes_max {
                return false;
            }
        }
        session.is_body_done()
    };
    tokio::time::timeout(limit, rest).await.unwrap_or(false)
}

fn declared_length(session: &Session) -> Option<usize> {
    session.req_header().headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn joined(body: &Bytes, chunk: &Bytes) -> Bytes {
    let mut joined = BytesMut::with_capacity(body.len() + chunk.len());
    joined.extend_from_slice(body);
    joined.extend_from_slice(chunk);
    joined.freeze()
}

fn cut_short() -> Refusal {
    Refusal::because(Reason::RequestMalformed, "the body ended before its announced length")
}

fn late(limit: Duration) -> Refusal {
    Refusal::because(
        Reason::RequestMalformed,
        format!("the body did not arrive within {} s", limit.as_secs()),
    )
}
