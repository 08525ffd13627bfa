//! A core-banking adapter that remembers every head and body that reached it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What one request looked like when it arrived.
#[derive(Clone, Debug)]
pub struct Heard {
    pub head: String,
    pub body: Vec<u8>,
}

impl Heard {
    /// All values of a header.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    pub fn names(&self) -> Vec<String> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.map(|(name, _)| name.to_ascii_lowercase()).collect()
    }
}

/// How the adapter answers.
#[derive(Clone, Debug)]
pub struct Manner {
    pub status: &'static str,
    pub headers: &'static str,
    pub body: String,
    pub delay: Duration,
    /// Between two octets of the body.
    pub pause: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            status: "200 OK",
            headers: "Content-Type: application/json\r\n",
            body: r#"{"request":{},"result":true,"_links":{"self":{"href":"/"}}}"#.to_owned(),
            delay: Duration::ZERO,
            pause: Duration::ZERO,
        }
    }
}

/// A listening adapter. Dropping it closes its port and its connections.
pub struct Upstream {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    closed: Arc<AtomicBool>,
}

impl Upstream {
    pub fn start(manner: Manner) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), manner)
    }

    pub fn start_at(address: SocketAddr, manner: Manner) -> Self {
        let mut upstream =
            Self { address, heard: Arc::default(), open: Arc::default(), closed: Arc::default() };
        upstream.open(manner);
        upstream
    }

    /// Closes its port and its connections.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        let _ = TcpStream::connect(self.address);
        for socket in self.open.lock().unwrap().drain(..) {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Opens the same port again; what it heard is not forgotten.
    pub fn reopen(&mut self, manner: Manner) {
        self.close();
        self.open(manner);
    }

    fn open(&mut self, manner: Manner) {
        let bind = || TcpListener::bind(self.address).ok();
        let listener = crate::eventually("the port is free", bind);
        self.address = listener.local_addr().unwrap();
        (self.open, self.closed) = (Arc::default(), Arc::default());
        let (heard, open) = (Arc::clone(&self.heard), Arc::clone(&self.open));
        let closed = Arc::clone(&self.closed);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(socket) = socket else { continue };
                open.lock().unwrap().push(socket.try_clone().unwrap());
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                let (heard, manner) = (Arc::clone(&heard), manner.clone());
                thread::spawn(move || serve(socket, &heard, &manner));
            }
        });
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// As the `upstream` table of a codetab.
    pub fn settings(&self) -> toml::Table {
        let addresses = toml::Value::Array(vec![self.address.to_string().into()]);
        toml::Table::from_iter([
            ("addresses".to_owned(), addresses),
            ("health_interval".to_owned(), "200ms".into()),
        ])
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.close();
    }
}

fn serve(mut socket: TcpStream, heard: &Mutex<Vec<Heard>>, manner: &Manner) {
    let mut buffer = Vec::new();
    loop {
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
            if !more(&mut socket, &mut buffer) {
                return;
            }
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end + 2]).into_owned();
        let request = Heard { head, body: Vec::new() };
        let length = request.values("content-length").first().and_then(|l| l.parse().ok());
        let length: usize = length.unwrap_or(0);
        while buffer.len() < end + 4 + length {
            if !more(&mut socket, &mut buffer) {
                return;
            }
        }
        let body = buffer[end + 4..end + 4 + length].to_vec();
        buffer.drain(..end + 4 + length);
        heard.lock().unwrap().push(Heard { body, ..request });
        thread::sleep(manner.delay);
        if say(&mut socket, manner).is_err() {
            return;
        }
    }
}

fn say(socket: &mut TcpStream, manner: &Manner) -> io::Result<()> {
    let Manner { status, headers, body, pause, .. } = manner;
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    if pause.is_zero() {
        return socket.write_all(format!("{head}{body}").as_bytes());
    }
    socket.write_all(head.as_bytes())?;
    for octet in body.bytes() {
        thread::sleep(*pause);
        socket.write_all(&[octet])?;
    }
    Ok(())
}

fn more(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> bool {
    let mut chunk = [0; 4096];
    match socket.read(&mut chunk) {
        Ok(read) if read > 0 => {
            buffer.extend_from_slice(&chunk[..read]);
            true
        }
        _ => false,
    }
}
