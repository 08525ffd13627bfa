//! An accepted TCP connection, buffered both ways, in the shape that Pingora's TLS layer wants.
//!
//! Pingora's own L4 stream can only be given buffers by Pingora's listener, and that one reserves
//! 64 KiB per connection for reading; an idle TPP connection costs an eighth of that here.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::protocols::l4::socket::SocketAddr as L4Address;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufStream, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::limits::{ACCEPT_BACKLOG_MAX, SOCKET_READ_BUFFER_BYTES, SOCKET_WRITE_BUFFER_BYTES};

/// Binds `address` at once, so that a taken port is an error at start and port 0 becomes a real
/// one that can be told to others.
///
/// # Errors
/// The operating system's reason: in use, not permitted, not an address of this machine.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG_MAX)
}

/// A TCP connection with small read and write buffers.
#[derive(Debug)]
pub(super) struct Socket {
    stream: BufStream<TcpStream>,
    descriptor: RawFd,
    digest: Arc<SocketDigest>,
}

impl Socket {
    /// Takes over an accepted connection.
    #[must_use]
    pub(super) fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        // Small answers must not wait for the peer's acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let descriptor = stream.as_raw_fd();
        let digest = SocketDigest::from_raw_fd(descriptor);
        let _ = digest.peer_addr.set(Some(L4Address::Inet(peer)));
        Self {
            stream: BufStream::with_capacity(
                SOCKET_READ_BUFFER_BYTES,
                SOCKET_WRITE_BUFFER_BYTES,
                stream,
            ),
            descriptor,
            digest: Arc::new(digest),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Socket {
    async fn shutdown(&mut self) {
        // The peer may be gone already; there is nobody left to tell.
        let _ = self.stream.shutdown().await;
    }
}

impl UniqueID for Socket {
    fn id(&self) -> i32 {
        self.descriptor
    }
}

impl GetSocketDigest for Socket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl GetTimingDigest for Socket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Socket {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl Ssl for Socket {}
impl Peek for Socket {}
