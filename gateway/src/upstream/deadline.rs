//! The deadline of an exchange with an adapter: at that instant the connection is shut down, however
//! the exchange stands.
//!
//! Pingora's time-outs begin anew with every read and every write, so an adapter that sends a byte
//! now and then would hold a request for ever. Pingora does not show its connection to the
//! hooks, but it shows the socket before it dials: a second handle to that is kept here for as long
//! as the connection lives.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pingora::upstreams::peer::{PeerOptions, Tracer, Tracing};
use pingora::{Error, ErrorType, Result};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The open connections to one adapter, by descriptor.
#[derive(Debug, Default)]
pub(super) struct Sockets(Mutex<HashMap<RawFd, Arc<Socket>>>);

/// A second handle to the socket of one connection.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    /// The number of the exchange that has the connection now: a connection is used again, and an
    /// earlier exchange must not end it.
    exchange: Mutex<u64>,
}

/// Ends a connection at its deadline, unless dropped before.
#[derive(Debug)]
pub struct Deadline(JoinHandle<()>);

impl Sockets {
    /// Keeps hold of the socket that will be dialled with these options, if one is.
    pub(super) fn follow(self: &Arc<Self>, options: &mut PeerOptions) {
        let dial = Arc::new(Dial { sockets: Arc::clone(self), socket: Mutex::default() });
        options.tracer = Some(Tracer(Box::new(Life(Arc::clone(&dial)))));
        options.upstream_tcp_sock_tweak_hook = Some(Arc::new(move |socket| dial.begins(socket)));
    }

    /// From here on the connection with this descriptor serves one exchange, until `deadline`.
    /// `None`: it is not one of ours.
    pub(super) fn limit(&self, descriptor: RawFd, deadline: Instant) -> Option<Deadline> {
        let socket = Arc::clone(self.lock().get(&descriptor)?);
        let ours = {
            let mut exchange = socket.exchange();
            *exchange += 1;
            *exchange
        };
        Some(Deadline(tokio::spawn(async move {
            tokio::time::sleep_until(deadline).await;
            if *socket.exchange() == ours {
                // An error says that it has ended by itself.
                let _ = socket.stream.shutdown(Shutdown::Both);
            }
        })))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RawFd, Arc<Socket>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Socket {
    fn exchange(&self) -> MutexGuard<'_, u64> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One attempt to connect, and the connection that comes of it.
#[derive(Debug)]
struct Dial {
    sockets: Arc<Sockets>,
    socket: Mutex<Option<(RawFd, Arc<Socket>)>>,
}

impl Dial {
    fn begins(&self, socket: &TcpSocket) -> Result<()> {
        let stream = socket.as_fd().try_clone_to_owned().map_err(|error| {
            Error::because(ErrorType::SocketError, "a second handle to a socket", error)
        })?;
        let handle = Arc::new(Socket { stream: stream.into(), exchange: Mutex::new(0) });
        let descriptor = socket.as_raw_fd();
        self.sockets.lock().insert(descriptor, Arc::clone(&handle));
        *self.lock() = Some((descriptor, handle));
        Ok(())
    }

    /// The connection is about to be closed, or none came about. The kernel gives its descriptor to
    /// another as soon as it is, so only what is still ours is let go.
    fn ends(&self) {
        let Some((descriptor, socket)) = self.lock().take() else { return };
        let mut sockets = self.sockets.lock();
        if sockets.get(&descriptor).is_some_and(|known| Arc::ptr_eq(known, &socket)) {
            sockets.remove(&descriptor);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(RawFd, Arc<Socket>)>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        self.ends();
    }
}

/// Pingora tells by this that a connection ends.
#[derive(Debug)]
struct Life(Arc<Dial>);

impl Tracing for Life {
    fn on_connected(&self) {}

    fn on_disconnected(&self) {
        self.0.ends();
    }

    fn boxed_clone(&self) -> Box<dyn Tracing> {
        Box::new(Self(Arc::clone(&self.0)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(3600);

    /// A connection, its far end, and what Pingora would keep with it.
    async fn connection(sockets: &Arc<Sockets>) -> (TcpStream, TcpStream, Tracer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = PeerOptions::new();
        sockets.follow(&mut options);
        let socket = TcpSocket::new_v4().unwrap();
        options.upstream_tcp_sock_tweak_hook.take().unwrap()(&socket).unwrap();
        let near = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        (near, far, options.tracer.take().unwrap())
    }

    #[tokio::test]
    async fn at_its_deadline_a_silent_connection_ends() {
        let sockets = Arc::default();
        let (mut near, _far, _tracer) = connection(&sockets).await;
        let _deadline = sockets.limit(near.as_raw_fd(), Instant::now() + SHORT).unwrap();
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_deadline_of_an_exchange_that_is_over_does_not_end_the_next_one() {
        let sockets = Arc::default();
        let (mut near, mut far, _tracer) = connection(&sockets).await;
        let mut earlier = sockets.limit(near.as_raw_fd(), Instant::now() + SHORT).unwrap();
        let _later = sockets.limit(near.as_raw_fd(), Instant::now() + LONG).unwrap();
        (&mut earlier.0).await.unwrap();
        far.write_all(b"x").await.unwrap();
        assert_eq!(near.read(&mut [0]).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_connection_that_has_ended_or_never_began() {
        let sockets = Arc::default();
        let (near, _far, tracer) = connection(&sockets).await;
        tracer.0.on_disconnected();
        assert!(sockets.limit(near.as_raw_fd(), Instant::now()).is_none());

        let mut options = PeerOptions::new();
        sockets.follow(&mut options);
        let socket = TcpSocket::new_v4().unwrap();
        options.upstream_tcp_sock_tweak_hook.as_ref().unwrap()(&socket).unwrap();
        assert_eq!(sockets.lock().len(), 1);
        drop(options);
        assert_eq!(sockets.lock().len(), 0);
    }

    #[tokio::test]
    async fn a_connection_that_ends_takes_none_away_that_has_its_descriptor_now() {
        let sockets: Arc<Sockets> = Arc::default();
        let (first, _first_far, first_tracer) = connection(&sockets).await;
        let (second, _second_far, _second_tracer) = connection(&sockets).await;
        let reused = sockets.lock().remove(&second.as_raw_fd()).unwrap();
        sockets.lock().insert(first.as_raw_fd(), reused);
        first_tracer.0.on_disconnected();
        assert!(sockets.limit(first.as_raw_fd(), Instant::now() + LONG).is_some());
    }
}
