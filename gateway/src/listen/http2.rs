//! HTTP/2: Pingora reads one request a stream. The loop is ours, because Pingora's own tells nobody of the
//! requests that it refuses before they reach our hooks.

use std::sync::Arc;

use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{self, H2Accept, HttpSession};
use pingora::protocols::{Digest, Stream};
use tokio::sync::watch;

use super::limits::HTTP2_REFUSED_MAX;

/// The status of an answer to what is never proxied.
const REFUSED: u16 = 400;

/// Serves the requests of one connection, side by side, until the client ends it, or until those under way
/// are done once `leaving` has said so. `refused` is told of each request that reaches no hook, before
/// anything of its answer is written.
pub(super) async fn serve<A>(
    app: &Arc<A>,
    stream: Stream,
    mut leaving: watch::Receiver<bool>,
    refused: impl Fn(),
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let digest = Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    });
    let handshake = server::handshake(stream, Some(server::default_h2_options())).await;
    let Ok(mut connection) = handshake else { return };
    let (mut is_leaving, mut refusals) = (false, 0);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = leaving.changed(), if !is_leaving => {
                // GOAWAY; whoever has not seen it yet is still served.
                connection.graceful_shutdown();
                is_leaving = true;
                continue;
            }
            accepted = HttpSession::from_h2_conn(&mut connection, Arc::clone(&digest)) => accepted,
        };
        let session = match accepted {
            Ok(Some(H2Accept::Session(session))) => Some(session),
            Ok(Some(H2Accept::Rejected)) => None,
            Ok(None) | Err(_) => return,
        };
        match session {
            Some(session) if session.req_header().method != http::Method::CONNECT => {
                let (app, leaving) = (Arc::clone(app), leaving.clone());
                tokio::spawn(async move {
                    app.process_new_http(ServerSession::new_http2(session), &leaving).await;
                });
            }
            never_proxied => {
                refused();
                if let Some(session) = never_proxied {
                    let mut session = ServerSession::new_http2(session);
                    tokio::spawn(async move { session.respond_error(REFUSED).await });
                }
                refusals += 1;
                if refusals == HTTP2_REFUSED_MAX {
                    return;
                }
            }
        }
    }
}
