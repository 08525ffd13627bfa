//! A TCP proxy on loopback that does to a connection what a bad network does, switched while it
//! runs. `tc netem` would do the same below the sockets, where the kernel has it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// What happens to the connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    /// Each way.
    Delay(Duration),
    /// What comes is read and goes nowhere. A connection that lost something never speaks again.
    Blackhole,
    /// The far end is gone without a word; nothing is read any more, nothing is closed.
    HalfOpen,
    /// So many octets of the next reply pass, then the connection ends.
    Cut(usize),
    /// In replies every so-manieth octet is one that no text holds.
    Garble(usize),
    /// The next word from the client is answered with a TCP reset.
    Reset,
    /// Replies trickle: octets in a second.
    Throttle(usize),
}

/// What garbled octets become: never part of UTF-8, so whoever reads text can tell.
pub const GARBAGE: u8 = 0xff;
/// How soon a connection notices that the fault has changed.
const NOTICE: Duration = Duration::from_millis(10);
/// Octets of a connection's beginning that are kept, to tell one kind of client from another.
const OPENING: usize = 512;

/// Dropping it ends its connections.
pub struct FaultProxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: SocketAddr,
    fault: Mutex<Setting>,
    closed: AtomicBool,
    connections: Mutex<Vec<(Arc<Story>, Weak<Connection>)>>,
    asked: AtomicUsize,
    replied: AtomicUsize,
}

#[derive(Clone)]
struct Setting {
    fault: Fault,
    /// Only connections on which the client has said this.
    only: Vec<u8>,
}

/// What stays known of a connection.
struct Story {
    began: Instant,
    opening: Mutex<Vec<u8>>,
    has_ended: AtomicBool,
}

struct Connection {
    story: Arc<Story>,
    client: TcpStream,
    server: TcpStream,
    /// Something was lost: nothing may pass any more.
    is_dead: AtomicBool,
    /// The client is not even read any more.
    is_deaf: AtomicBool,
}

impl FaultProxy {
    /// In front of `to`.
    pub fn start(to: SocketAddr) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), to)
    }

    pub fn start_at(address: SocketAddr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to,
            fault: Mutex::new(Setting { fault: Fault::None, only: Vec::new() }),
            closed: AtomicBool::new(false),
            connections: Mutex::default(),
            asked: AtomicUsize::new(0),
            replied: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if serving.closed.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(client) = client {
                    serving.accept(client);
                }
            }
        });
        Self { address, shared }
    }

    pub fn set(&self, fault: Fault) {
        self.set_where("", fault);
    }

    /// Only connections on which the client has said this, and they at once.
    pub fn set_where(&self, said: &str, fault: Fault) {
        *lock(&self.shared.fault) = Setting { fault, only: said.as_bytes().to_vec() };
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        lock(&self.shared.connections).len()
    }

    /// Connections accepted since then whose client has not said this.
    pub fn accepted_without(&self, said: &str, since: Instant) -> usize {
        let connections = lock(&self.shared.connections);
        let recent = connections.iter().filter(|(story, _)| story.began >= since);
        recent.filter(|(story, _)| !story.has_said(said.as_bytes())).count()
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        let connections = lock(&self.shared.connections);
        connections.iter().filter(|(story, _)| !story.has_ended()).count()
    }

    /// Octets that passed to the far end and back.
    pub fn octets(&self) -> (usize, usize) {
        let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        (of(&self.shared.asked), of(&self.shared.replied))
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let connections = lock(&self.shared.connections);
        connections.iter().filter_map(|(_, open)| open.upgrade()).for_each(|open| open.end());
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(self.to) else { return };
        for socket in [&client, &server] {
            let _ = socket.set_nodelay(true);
            let _ = socket.set_read_timeout(Some(NOTICE));
        }
        let story = Arc::new(Story {
            began: Instant::now(),
            opening: Mutex::default(),
            has_ended: AtomicBool::new(false),
        });
        let connection = Arc::new(Connection {
            story: Arc::clone(&story),
            client,
            server,
            is_dead: AtomicBool::new(false),
            is_deaf: AtomicBool::new(false),
        });
        lock(&self.connections).push((story, Arc::downgrade(&connection)));
        let (to_server, from_client) = channel();
        let (to_client, from_server) = channel();
        self.spawn(&connection, move |shared, on| shared.read_client(on, &to_server));
        self.spawn(&connection, move |shared, on| shared.read_server(on, &to_client));
        self.spawn(&connection, move |shared, on| shared.write_server(on, &from_client));
        self.spawn(&connection, move |shared, on| shared.write_client(on, &from_server));
    }

    fn spawn(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        way: impl FnOnce(&Self, &Connection) + Send + 'static,
    ) {
        let (shared, connection) = (Arc::clone(self), Arc::clone(connection));
        thread::spawn(move || way(&shared, &connection));
    }

    /// What happens to this connection now.
    fn fault(&self, connection: &Connection) -> Fault {
        let Setting { fault, only } = lock(&self.fault).clone();
        if only.is_empty() || connection.story.has_said(&only) { fault } else { Fault::None }
    }

    fn read_client(&self, connection: &Connection, queue: &Sender<Piece>) {
        while !connection.story.has_ended() {
            if self.fault(connection) == Fault::HalfOpen {
                connection.lose_far_end();
            }
            if connection.is_deaf.load(Ordering::SeqCst) {
                thread::sleep(NOTICE);
                continue;
            }
            if !connection.is_spoken_to() {
                continue;
            }
            if self.fault(connection) == Fault::Reset {
                return connection.abandon();
            }
            let Some(octets) = connection.read(&connection.client) else { continue };
            connection.story.note(&octets);
            // What the client has just said may be what decides whether it is meant.
            match self.fault(connection) {
                Fault::Blackhole | Fault::HalfOpen => connection.lose(),
                fault => _ = queue.send(Piece::new(octets, fault)),
            }
        }
    }

    fn read_server(&self, connection: &Connection, queue: &Sender<Piece>) {
        while !connection.story.has_ended() {
            let Some(mut octets) = connection.read(&connection.server) else { continue };
            let fault = self.fault(connection);
            match fault {
                Fault::Blackhole | Fault::HalfOpen => connection.lose(),
                Fault::Cut(at) => octets.truncate(at.min(octets.len() - 1)),
                Fault::Garble(every) => {
                    octets.iter_mut().skip(every - 1).step_by(every).for_each(|o| *o = GARBAGE);
                }
                _ => {}
            }
            let _ = queue.send(Piece::new(octets, fault));
        }
    }

    fn write_server(&self, connection: &Connection, queue: &Receiver<Piece>) {
        while let Some(piece) = connection.next(queue) {
            self.asked.fetch_add(piece.octets.len(), Ordering::SeqCst);
            if (&connection.server).write_all(&piece.octets).is_err() {
                connection.end();
            }
        }
    }

    fn write_client(&self, connection: &Connection, queue: &Receiver<Piece>) {
        while let Some(piece) = connection.next(queue) {
            self.replied.fetch_add(piece.octets.len(), Ordering::SeqCst);
            let mut client = &connection.client;
            let written = match piece.fault {
                Fault::Throttle(rate) => piece.octets.iter().all(|octet| {
                    thread::sleep(Duration::from_secs(1) / u32::try_from(rate).unwrap());
                    !connection.story.has_ended() && client.write_all(&[*octet]).is_ok()
                }),
                _ => client.write_all(&piece.octets).is_ok(),
            };
            if !written || matches!(piece.fault, Fault::Cut(_)) {
                connection.end();
            }
        }
    }
}

/// What was read at once, and what was to happen to it then.
struct Piece {
    octets: Vec<u8>,
    due: Instant,
    fault: Fault,
}

impl Piece {
    fn new(octets: Vec<u8>, fault: Fault) -> Self {
        let delay = if let Fault::Delay(delay) = fault { delay } else { Duration::ZERO };
        Self { octets, due: Instant::now() + delay, fault }
    }
}

impl Connection {
    /// The next octets; `None`: none yet, or none any more.
    fn read(&self, mut socket: &TcpStream) -> Option<Vec<u8>> {
        let mut chunk = [0; 16 * 1024];
        match socket.read(&mut chunk) {
            Ok(read) if read > 0 => return Some(chunk[..read].to_vec()),
            Err(error) if is_idle(error.kind()) => return None,
            // The client of a far end that is gone must not learn of it.
            _ if self.is_deaf.load(Ordering::SeqCst) => thread::sleep(NOTICE),
            _ => self.end(),
        }
        None
    }

    /// The next piece when it is due, unless the connection has lost something meanwhile.
    fn next(&self, queue: &Receiver<Piece>) -> Option<Piece> {
        loop {
            let piece = queue.recv().ok()?;
            thread::sleep(piece.due.saturating_duration_since(Instant::now()));
            if !self.is_dead.load(Ordering::SeqCst) {
                return Some(piece);
            }
        }
    }

    /// Whether the client has said something that nobody has read; ends with the client.
    fn is_spoken_to(&self) -> bool {
        match self.client.peek(&mut [0]) {
            Ok(read) if read > 0 => return true,
            Err(error) if is_idle(error.kind()) => {}
            _ => self.end(),
        }
        false
    }

    fn lose(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
    }

    fn lose_far_end(&self) {
        self.lose();
        self.is_deaf.store(true, Ordering::SeqCst);
        let _ = self.server.shutdown(Shutdown::Both);
    }

    /// Closes the client's socket as soon as nobody uses it, whatever it has not read: that makes the
    /// kernel send a reset.
    fn abandon(&self) {
        self.story.has_ended.store(true, Ordering::SeqCst);
        let _ = self.server.shutdown(Shutdown::Both);
    }

    fn end(&self) {
        if self.story.has_ended.swap(true, Ordering::SeqCst) {
            return;
        }
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

impl Story {
    fn note(&self, octets: &[u8]) {
        let mut opening = lock(&self.opening);
        let room = OPENING.saturating_sub(opening.len());
        opening.extend(octets.iter().take(room));
    }

    fn has_said(&self, what: &[u8]) -> bool {
        lock(&self.opening).windows(what.len().max(1)).any(|said| said == what)
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }
}

fn is_idle(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
