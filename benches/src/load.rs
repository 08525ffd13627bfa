//! The load: TLS connections over which one request is sent again and again, each answer read whole
//! and held against 200.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;

use openssl::ssl::{SslConnector, SslFiletype, SslMethod, SslSessionCacheMode, SslStream};

use crate::BenchError;

const HEADERS_MAX: usize = 64;
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How to reach a server and what to send.
#[derive(Clone, Debug)]
pub struct Target {
    /// For people.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// SNI and the name that its certificate must bear.
    pub host: String,
    /// Whom to trust.
    pub server_ca: PathBuf,
    /// The client certificate, leaf first.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whole requests, which are sent in turns.
    pub requests: Vec<Vec<u8>>,
}

/// Connections that stay open, each of which has carried one request.
pub struct Held<'a>(Vec<Connection<'a>>);

/// One connection.
struct Connection<'a> {
    target: &'a Target,
    stream: SslStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Target {
    fn connector(&self) -> Result<SslConnector, BenchError> {
        let tls = || -> Result<SslConnector, openssl::error::ErrorStack> {
            let mut builder = SslConnector::builder(SslMethod::tls_client())?;
            builder.set_ca_file(&self.server_ca)?;
            builder.set_certificate_chain_file(&self.certificate)?;
            builder.set_private_key_file(&self.key, SslFiletype::PEM)?;
            builder.set_session_cache_mode(SslSessionCacheMode::OFF);
            Ok(builder.build())
        };
        tls().map_err(BenchError::tls("loading the client's certificates"))
    }

    fn connect(&self, connector: &SslConnector) -> Result<Connection<'_>, BenchError> {
        let socket = TcpStream::connect(self.address).map_err(BenchError::system("connecting"))?;
        socket.set_nodelay(true).map_err(BenchError::system("connecting"))?;
        let stream =
            connector.connect(&self.host, socket).map_err(BenchError::tls("the TLS handshake"))?;
        Ok(Connection { target: self, stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends `requests` over each of `connections` keep-alive connections at once.
    ///
    /// # Errors
    /// Any answer that is not 200.
    pub fn keep_alive(&self, connections: usize, requests: usize) -> Result<(), BenchError> {
        let connector = self.connector()?;
        thread::scope(|scope| {
            let (connector, workers) = (&connector, 0..connections);
            let workers: Vec<_> = workers
                .map(|worker| {
                    scope.spawn(move || {
                        let mut connection = self.connect(connector)?;
                        let first = worker * requests;
                        (first..first + requests).try_for_each(|turn| connection.exchange(turn))
                    })
                })
                .collect();
            workers.into_iter().try_for_each(join)
        })
    }

    /// Opens `count` connections, sends one request over each, and keeps them.
    ///
    /// # Errors
    /// Any answer that is not 200.
    pub fn hold(&self, count: usize) -> Result<Held<'_>, BenchError> {
        let connector = self.connector()?;
        let open = |_| {
            let mut connection = self.connect(&connector)?;
            connection.exchange(0)?;
            connection.buffer = Vec::new();
            Ok(connection)
        };
        (0..count).map(open).collect::<Result<_, _>>().map(Held)
    }

    /// Opens `count` connections, one after the other in each of `workers`, and sends one request
    /// over each: TLS 1.3 ends a handshake on the server only with the client's first flight.
    ///
    /// # Errors
    /// Any answer that is not 200.
    pub fn handshakes(&self, workers: usize, count: usize) -> Result<(), BenchError> {
        let connector = self.connector()?;
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers)
                .map(|_| {
                    scope.spawn(|| {
                        (0..count).try_for_each(|_| {
                            let mut connection = self.connect(&connector)?;
                            connection.exchange(0)?;
                            let _ = connection.stream.shutdown();
                            Ok(())
                        })
                    })
                })
                .collect();
            workers.into_iter().try_for_each(join)
        })
    }
}

impl Held<'_> {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

fn join(worker: thread::ScopedJoinHandle<'_, Result<(), BenchError>>) -> Result<(), BenchError> {
    worker.join().unwrap_or_else(|_| Err(BenchError::Process("a load worker panicked".to_owned())))
}

impl Connection<'_> {
    fn exchange(&mut self, turn: usize) -> Result<(), BenchError> {
        let requests = &self.target.requests;
        let request = requests.get(turn % requests.len().max(1)).map(Vec::as_slice);
        self.stream
            .write_all(request.unwrap_or_default())
            .map_err(BenchError::system("sending a request"))?;
        self.buffer.clear();
        loop {
            let mut chunk = [0; 4096];
            let read =
                self.stream.read(&mut chunk).map_err(BenchError::system("reading an answer"))?;
            self.buffer.extend_from_slice(chunk.get(..read).unwrap_or_default());
            match self.answer() {
                Some(200) => return Ok(()),
                Some(status) => return Err(self.unexpected(status)),
                None if read == 0 || self.buffer.len() > ANSWER_BYTES_MAX => {
                    return Err(self.unexpected(0));
                }
                None => {}
            }
        }
    }

    /// The status, once the answer is whole.
    fn answer(&self) -> Option<u16> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let head = match response.parse(&self.buffer) {
            Ok(httparse::Status::Complete(head)) => head,
            _ => return None,
        };
        let length = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"))
            .and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok())?;
        (self.buffer.len() >= head + length).then_some(response.code?)
    }

    fn unexpected(&self, status: u16) -> BenchError {
        let text = String::from_utf8_lossy(&self.buffer);
        let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
        BenchError::Answer {
            server: self.target.name.clone(),
            status,
            body: body.chars().take(400).collect(),
        }
    }
}
