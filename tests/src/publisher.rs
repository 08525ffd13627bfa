//! Who publishes registers: an HTTP server with entity tags and ranges, that cuts a connection where
//! a test says so.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A published file.
#[derive(Clone)]
pub struct Page {
    pub body: Vec<u8>,
    pub tag: String,
    /// Octets of the body after which the connection is cut, once.
    pub cut_at: Option<usize>,
}

/// One question: its path, and the range and tag that it named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub path: String,
    pub range: Option<String>,
    pub if_none_match: Option<String>,
}

pub struct Publisher {
    pub address: SocketAddr,
    pages: Arc<Mutex<HashMap<String, Page>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Publisher {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let publisher = Self {
            address: listener.local_addr().unwrap(),
            pages: Arc::default(),
            asked: Arc::default(),
        };
        let (pages, asked) = (Arc::clone(&publisher.pages), Arc::clone(&publisher.asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (pages, asked) = (Arc::clone(&pages), Arc::clone(&asked));
                std::thread::spawn(move || {
                    let _ = serve(stream, &pages, &asked);
                });
            }
        });
        publisher
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn publish(&self, path: &str, body: impl Into<Vec<u8>>, tag: &str) {
        let page = Page { body: body.into(), tag: format!("\"{tag}\""), cut_at: None };
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    /// The next answer with this page ends after so many octets.
    pub fn cut(&self, path: &str, at: usize) {
        self.pages.lock().unwrap().get_mut(path).unwrap().cut_at = Some(at);
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    pages: &Mutex<HashMap<String, Page>>,
    asked: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let (mut head, mut octet) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut octet)? == 0 {
            return Ok(());
        }
        head.push(octet[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let field = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned())
    };
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let (range, if_none_match) = (field("range"), field("if-none-match"));
    let question = Asked { path: path.clone(), range, if_none_match };
    asked.lock().unwrap().push(question.clone());
    let page = pages.lock().unwrap().get(&path).cloned();
    let Some(page) = page else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let tag = format!("ETag: {}\r\nConnection: close\r\n", page.tag);
    if question.if_none_match.as_ref() == Some(&page.tag) {
        return stream.write_all(format!("HTTP/1.1 304 Not Modified\r\n{tag}\r\n").as_bytes());
    }
    let from = question.range.as_ref().and_then(|range| {
        let from = range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()?;
        (field("if-range").as_ref() == Some(&page.tag) && from < page.body.len()).then_some(from)
    });
    let rest = &page.body[from.unwrap_or(0)..];
    let status = match from {
        Some(from) => {
            let (last, all) = (page.body.len() - 1, page.body.len());
            format!("206 Partial Content\r\nContent-Range: bytes {from}-{last}/{all}")
        }
        None => "200 OK".to_owned(),
    };
    let length = rest.len();
    stream.write_all(
        format!("HTTP/1.1 {status}\r\n{tag}Content-Length: {length}\r\n\r\n").as_bytes(),
    )?;
    match page.cut_at {
        Some(at) => {
            pages.lock().unwrap().get_mut(&path).unwrap().cut_at = None;
            stream.write_all(&rest[..at.min(length)])
        }
        None => stream.write_all(rest),
    }
}
