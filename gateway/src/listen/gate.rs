//! The gate between TLS and Pingora: no HTTP/1.1 head gets through that has not passed
//! [`head::inspect`] whole, and what is refused here is answered and recorded here.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{ALPN, SslDigest, SslStream, TlsRef};
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::connection::{Connection, Phase};
use super::head::{self, Head, HeadBounds, HeadFault};
use super::limits::{HELD_MAX, SOCKET_READ_BUFFER_BYTES};
use super::socket::Socket;
use crate::audit::Unrecorded;

/// What the gate does with a head that it refuses: record it, and say what to answer.
pub trait Refusing: Send + Sync {
    /// The whole HTTP/1.1 response, head and body; the connection closes after it.
    fn refuse(&self, connection: &Connection, fault: HeadFault) -> Bytes;

    /// Records a client that was cut after its handshake because of its certificate.
    fn cut(&self, connection: &Connection);

    /// Records a head of `protocol` that no gate stopped and that Pingora then refused on its own.
    fn refused_by_parser(&self, connection: &Connection, protocol: &'static str);
}

/// A TPP's TLS stream behind the gate.
pub(super) struct Guarded {
    tls: SslStream<Socket>,
    connection: Arc<Connection>,
    refusing: Arc<dyn Refusing>,
    bounds: HeadBounds,
    inspecting: bool,
    head: BytesMut,
    passed: Bytes,
    answer: Option<Bytes>,
    /// Ends the wait for records; kept for the next one.
    patience: Option<Pin<Box<Sleep>>>,
    is_held: bool,
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl Guarded {
    /// Puts the gate before `tls`. HTTP/2 frames are the `h2` library's to judge; its requests are
    /// held to the same rules when they reach our hooks.
    #[must_use]
    pub(super) fn new(
        tls: SslStream<Socket>,
        connection: Arc<Connection>,
        refusing: Arc<dyn Refusing>,
        bounds: HeadBounds,
    ) -> Self {
        let inspecting = !matches!(tls.selected_alpn_proto(), Some(ALPN::H2));
        Self {
            tls,
            connection,
            refusing,
            bounds,
            inspecting,
            head: BytesMut::new(),
            passed: Bytes::new(),
            answer: None,
            patience: None,
            is_held: false,
        }
    }

    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.passed.len().min(buf.remaining());
        buf.put_slice(&self.passed.split_to(length));
    }

    /// Waits until every record of what was answered on this connection is written.
    fn poll_recorded(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let word = self.connection.hold().poll(cx);
        if let Poll::Ready(word) = word {
            self.is_held = false;
            return Poll::Ready(word.map_err(io::Error::other));
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(HELD_MAX)));
        if !self.is_held {
            self.is_held = true;
            patience.as_mut().reset(Instant::now() + HELD_MAX);
        }
        ready!(patience.as_mut().poll(cx));
        self.connection.hold().refuse();
        Poll::Ready(Err(io::Error::other(Unrecorded)))
    }

    /// Writes our own answer to the end; the reader above then sees the end of the stream.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_recorded(cx))?;
        while let Some(answer) = self.answer.as_mut().filter(|answer| !answer.is_empty()) {
            let written = ready!(Pin::new(&mut self.tls).poll_write(cx, answer))?;
            if written == 0 {
                return Poll::Ready(Ok(()));
            }
            answer.advance(written);
        }
        ready!(Pin::new(&mut self.tls).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.inspecting {
            return Pin::new(&mut this.tls).poll_read(cx, buf);
        }
        if !this.passed.is_empty() {
            this.hand_out(buf);
            return Poll::Ready(Ok(()));
        }
        if this.answer.is_some() {
            return this.poll_answer(cx);
        }
        if this.connection.phase().0 == Phase::Active {
            return Pin::new(&mut this.tls).poll_read(cx, buf);
        }
        if this.head.is_empty() {
            // Nearly every head comes in one piece, and then straight into the reader's buffer.
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.tls).poll_read(cx, buf))?;
            let piece = buf.filled().get(before..).unwrap_or_default();
            if piece.is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.connection.head_begins();
            let inspected = head::inspect(piece, 0, this.bounds);
            if let Ok(Head::Whole) = inspected {
                this.connection.head_passed();
                return Poll::Ready(Ok(()));
            }
            this.head.extend_from_slice(piece);
            buf.set_filled(before);
            if let Err(fault) = inspected {
                this.head.clear();
                this.answer = Some(this.refusing.refuse(&this.connection, fault));
                return this.poll_answer(cx);
            }
        }
        loop {
            let mut chunk = [0_u8; SOCKET_READ_BUFFER_BYTES];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.tls).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            let seen = this.head.len();
            this.head.extend_from_slice(chunk.filled());
            match head::inspect(&this.head, seen, this.bounds) {
                Ok(Head::Incomplete) => {}
                Ok(Head::Whole) => {
                    this.connection.head_passed();
                    this.passed = this.head.split().freeze();
                    this.hand_out(buf);
                    return Poll::Ready(Ok(()));
                }
                Err(fault) => {
                    this.head.clear();
                    this.answer = Some(this.refusing.refuse(&this.connection, fault));
                    return this.poll_answer(cx);
                }
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.inspecting && self.connection.take_head_without_request() {
            // Nobody else writes before a request has reached our hooks.
            self.refusing.refused_by_parser(&self.connection, "HTTP/1.1");
        }
        // What was written before a record was handed over is not the end of its answer, and may be
        // flushed meanwhile.
        ready!(self.poll_recorded(cx))?;
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Guarded {
    async fn shutdown(&mut self) {
        self.tls.shutdown().await;
    }
}

impl UniqueID for Guarded {
    fn id(&self) -> i32 {
        self.tls.id()
    }
}

impl Ssl for Guarded {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.tls.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.tls.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.tls.selected_alpn_proto()
    }
}

impl GetSocketDigest for Guarded {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.tls.get_ref().get_socket_digest()
    }
}

impl GetTimingDigest for Guarded {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Guarded {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl Peek for Guarded {}
