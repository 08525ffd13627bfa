//! The publication points of a QTSP: a CRL and an OCSP responder over HTTP, in any mood.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use certs::test_qtsp::responder::requested_serial;

/// From a serial number to a response.
pub type Responder = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

/// How a publication point answers.
#[derive(Clone)]
pub enum Mood {
    /// With these octets.
    Says(Vec<u8>),
    /// About the serial number that is asked for.
    Answers(Arc<Responder>),
    /// With an HTTP status and nothing else.
    Refuses(u16),
    /// Takes the question and says nothing.
    Hangs,
    /// Sends octets for ever.
    Floods,
    /// Elsewhere.
    Redirects(String),
}

/// Serves `/crl` and `/ocsp`.
pub struct Publication {
    pub address: SocketAddr,
    crl: Arc<Mutex<Mood>>,
    ocsp: Arc<Mutex<Mood>>,
    asked: Arc<AtomicUsize>,
}

impl Publication {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let publication = Self {
            address: listener.local_addr().unwrap(),
            crl: Arc::new(Mutex::new(Mood::Refuses(404))),
            ocsp: Arc::new(Mutex::new(Mood::Refuses(404))),
            asked: Arc::default(),
        };
        let (crl, ocsp) = (Arc::clone(&publication.crl), Arc::clone(&publication.ocsp));
        let asked = Arc::clone(&publication.asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (crl, ocsp) = (Arc::clone(&crl), Arc::clone(&ocsp));
                let asked = Arc::clone(&asked);
                std::thread::spawn(move || {
                    let _ = serve(stream, &crl, &ocsp, &asked);
                });
            }
        });
        publication
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set_crl(&self, mood: Mood) {
        *self.crl.lock().unwrap() = mood;
    }

    pub fn set_ocsp(&self, mood: Mood) {
        *self.ocsp.lock().unwrap() = mood;
    }

    /// Questions so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn serve(
    mut stream: TcpStream,
    crl: &Mutex<Mood>,
    ocsp: &Mutex<Mood>,
    asked: &AtomicUsize,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut buffer = Vec::new();
    let mut chunk = [0; 4096];
    let (head, length) = loop {
        if let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            break (head + 4, length.and_then(|length| length.parse().ok()).unwrap_or(0));
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            read => buffer.extend_from_slice(&chunk[..read]),
        }
    };
    while buffer.len() < head + length {
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            read => buffer.extend_from_slice(&chunk[..read]),
        }
    }
    asked.fetch_add(1, Ordering::Relaxed);
    let is_ocsp = buffer.starts_with(b"POST /ocsp");
    let mood = if is_ocsp { ocsp } else { crl }.lock().unwrap().clone();
    let body = match mood {
        Mood::Says(octets) => octets,
        Mood::Answers(answer) => answer(&requested_serial(&buffer[head..]).unwrap_or_default()),
        Mood::Refuses(status) => {
            let head =
                format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return stream.write_all(head.as_bytes());
        }
        Mood::Redirects(to) => {
            let head = format!(
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            return stream.write_all(head.as_bytes());
        }
        Mood::Hangs => {
            let _ = stream.read(&mut chunk);
            return Ok(());
        }
        Mood::Floods => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            let octets = [b'x'; 65_536];
            loop {
                stream.write_all(&octets)?;
            }
        }
    };
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}
