//! A TPP that sends the octets that it is given, over TLS with the certificate that it is given.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use openssl::ssl::{SslConnector, SslFiletype, SslMethod, SslStream, SslVerifyMode};
use serde_json::Value;

const READ_TIMEOUT: Duration = Duration::from_secs(40);

/// An answer, read whole.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The reason code of a refusal.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A request before it is written out.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub host: String,
    pub path: String,
    pub token: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn octets(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.path, self.host);
        if let Some(token) = &self.token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("Content-Type: application/json\r\n");
        head.push_str(&format!("Content-Length: {}\r\n\r\n{}", self.body.len(), self.body));
        head.into_bytes()
    }
}

/// Who calls, and how it is known.
#[derive(Clone)]
pub struct Client {
    connector: SslConnector,
    address: SocketAddr,
}

/// An open connection.
pub struct Connection {
    stream: SslStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    /// `identity`: a directory with `qwac.pem` and `qwac.key`; without one no certificate is sent.
    pub fn new(address: SocketAddr, server_ca: &Path, identity: Option<&Path>) -> Self {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
        builder.set_ca_file(server_ca).unwrap();
        if let Some(identity) = identity {
            builder.set_certificate_chain_file(identity.join("qwac.pem")).unwrap();
            builder.set_private_key_file(identity.join("qwac.key"), SslFiletype::PEM).unwrap();
        }
        Self { connector: builder.build(), address }
    }

    /// As `new`, sending the leaf alone.
    pub fn leaf_only(address: SocketAddr, server_ca: &Path, identity: &Path) -> Self {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
        builder.set_ca_file(server_ca).unwrap();
        builder.set_certificate_file(identity.join("qwac.pem"), SslFiletype::PEM).unwrap();
        builder.set_private_key_file(identity.join("qwac.key"), SslFiletype::PEM).unwrap();
        Self { connector: builder.build(), address }
    }

    /// A chain and its key as they stand, however weak.
    pub fn unchecked(address: SocketAddr, chain: &Path, key: &Path) -> Self {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
        builder.set_security_level(0);
        builder.set_verify(SslVerifyMode::NONE);
        builder.set_certificate_chain_file(chain).unwrap();
        builder.set_private_key_file(key, SslFiletype::PEM).unwrap();
        Self { connector: builder.build(), address }
    }

    /// The same client, of a server at another address.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// Connects under a server name. A name that the certificate does not bear is not checked.
    pub fn connect(&self, sni: &str) -> io::Result<Connection> {
        let socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(READ_TIMEOUT))?;
        socket.set_nodelay(true)?;
        let mut configuration = self.connector.configure()?;
        configuration.set_verify_hostname(false);
        if sni.is_empty() {
            configuration.set_use_server_name_indication(false);
        }
        if !sni.ends_with(".localhost") {
            configuration.set_verify(SslVerifyMode::NONE);
        }
        let stream = configuration.connect(sni, socket).map_err(io::Error::other)?;
        Ok(Connection { stream, buffer: Vec::new() })
    }

    /// One request over a connection of its own.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        let name = request.host.split(':').next().unwrap_or_default();
        let mut connection = self.connect(name).unwrap();
        connection.exchange(&request.octets()).unwrap()
    }
}

impl Connection {
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)?;
        self.stream.flush()
    }

    pub fn exchange(&mut self, octets: &[u8]) -> io::Result<Answer> {
        self.write(octets)?;
        self.read()
    }

    /// The next answer; an error when the connection ends first.
    pub fn read(&mut self) -> io::Result<Answer> {
        read_answer(&mut self.stream, &mut self.buffer)
    }

    /// The next octets, whatever they are: at least so many.
    pub fn read_at_least(&mut self, octets: usize) -> io::Result<Vec<u8>> {
        let mut read = std::mem::take(&mut self.buffer);
        let mut chunk = [0; 16 * 1024];
        while read.len() < octets {
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => read.extend_from_slice(&chunk[..more]),
            }
        }
        Ok(read)
    }

    /// Whether the server ends the connection without another word.
    pub fn is_ended(&mut self) -> bool {
        let mut octet = [0];
        self.buffer.is_empty()
            && match self.stream.read(&mut octet) {
                Ok(read) => read == 0,
                // A server that is silent has not ended it.
                Err(error) => {
                    !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
                }
            }
    }
}

/// Reads one answer from any stream; what follows it stays in `buffer`.
pub fn read_answer(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Answer> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        if let Ok(httparse::Status::Complete(head)) = response.parse(buffer) {
            let headers: Vec<(String, String)> = response
                .headers
                .iter()
                .map(|h| (h.name.to_owned(), String::from_utf8_lossy(h.value).into_owned()))
                .collect();
            let status = response.code.unwrap();
            let answer = Answer { status, headers, body: Vec::new() };
            let length: Option<usize> =
                answer.header("content-length").and_then(|l| l.parse().ok());
            if status == 100 {
                buffer.drain(..head);
                continue;
            }
            match length {
                Some(length) if buffer.len() >= head + length => {
                    let body = buffer[head..head + length].to_vec();
                    buffer.drain(..head + length);
                    return Ok(Answer { body, ..answer });
                }
                Some(_) => {}
                None => {
                    let mut body = buffer.split_off(head);
                    buffer.clear();
                    stream.read_to_end(&mut body)?;
                    return Ok(Answer { body, ..answer });
                }
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => buffer.extend_from_slice(&chunk[..read]),
        }
    }
}

/// A plain request to the admin listener.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    plain("GET", address, path)
}

/// As [`get`], for what changes something; without the admin key.
pub fn post(address: SocketAddr, path: &str) -> Answer {
    plain("POST", address, path)
}

fn plain(method: &str, address: SocketAddr, path: &str) -> Answer {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    read_answer(&mut socket, &mut Vec::new()).unwrap()
}
