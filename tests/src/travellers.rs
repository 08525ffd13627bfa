//! Clients that go on asking while gateways come and go: they keep their connections until they are told
//! to go, and connect again where the load balancer points.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;

use crate::client::{Client, Connection, Request};
use crate::http2::Http2;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(40);
/// The pause of whoever was refused.
const PAUSE: Duration = Duration::from_millis(5);

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// HTTP/1.1 on a connection that it keeps.
    Keeps,
    /// HTTP/1.1 on a connection for each request.
    OneShot,
    /// HTTP/2.
    Http2,
}

/// What became of one request.
#[derive(Clone, Debug)]
pub struct Went {
    pub manner: Manner,
    pub number: usize,
    pub at: Instant,
    /// Status and `Octroi-Request-Id`, or what went wrong.
    pub answer: Result<(u16, String), String>,
}

/// What all clients share.
struct Shared {
    client: Client,
    http2: Http2,
    host: String,
    request: Request,
    way: Arc<Mutex<SocketAddr>>,
    next: AtomicUsize,
    stop: AtomicBool,
    went: Mutex<Vec<Went>>,
}

/// The clients.
pub struct Travellers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Travellers {
    /// So many clients of each manner, who connect to whatever `way` says then.
    pub fn start(
        clients: usize,
        (server_ca, identity): (&Path, PathBuf),
        request: &Request,
        way: &Arc<Mutex<SocketAddr>>,
    ) -> Self {
        let first = *way.lock().unwrap();
        let shared = Arc::new(Shared {
            client: Client::new(first, server_ca, Some(&identity)),
            http2: Http2::new(server_ca, &identity),
            host: request.host.clone(),
            request: request.clone(),
            way: Arc::clone(way),
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            went: Mutex::default(),
        });
        let mut threads = Vec::new();
        for manner in [Manner::Keeps, Manner::OneShot] {
            for _ in 0..clients {
                let shared = Arc::clone(&shared);
                threads.push(thread::spawn(move || shared.ask(manner)));
            }
        }
        let for_http2 = Arc::clone(&shared);
        threads.push(thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let clients =
                    (0..clients).map(|_| tokio::spawn(Arc::clone(&for_http2).ask_http2()));
                for client in clients.collect::<Vec<_>>() {
                    client.await.unwrap();
                }
            });
        }));
        Self { shared, threads }
    }

    pub fn count(&self) -> usize {
        self.shared.went.lock().unwrap().len()
    }

    /// Ends it; what became of every request.
    pub fn stop(self) -> Vec<Went> {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        std::mem::take(&mut self.shared.went.lock().unwrap())
    }
}

impl Shared {
    fn way(&self) -> SocketAddr {
        *self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn request(&self, number: usize) -> Request {
        let body = self.request.body.replace("MyCoverage123456", &format!("number-{number}"));
        Request { body, ..self.request.clone() }
    }

    fn tell(&self, manner: Manner, number: usize, answer: Result<(u16, String), String>) {
        let went = Went { manner, number, at: Instant::now(), answer };
        self.went.lock().unwrap_or_else(PoisonError::into_inner).push(went);
    }

    fn ask(&self, manner: Manner) {
        let mut kept: Option<Connection> = None;
        while !self.done() {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let mut request = self.request(number);
            if manner == Manner::OneShot {
                request = request.with("Connection", "close");
            }
            let reused = kept.is_some();
            let connect = || self.client.at(self.way()).connect(&self.host);
            let answered = kept.take().map_or_else(connect, Ok).and_then(|mut connection| {
                let answer = connection.exchange(&request.octets())?;
                if answer.header("connection") != Some("close") {
                    kept = Some(connection);
                }
                Ok(answer)
            });
            let answer = answered.map_err(|error| format!("reused {reused}: {error}"));
            let failed = answer.is_err();
            let id = |answer: crate::client::Answer| {
                let id = answer.header("octroi-request-id").unwrap_or_default().to_owned();
                (answer.status, id)
            };
            self.tell(manner, number, answer.map(id));
            if failed {
                thread::sleep(PAUSE);
            }
        }
    }

    async fn ask_http2(self: Arc<Self>) {
        let mut kept: Option<SendRequest<Bytes>> = None;
        while !self.done() {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            // What the server says it has not looked at is asked again (RFC 9113 §8.7).
            loop {
                let sender = match kept.take() {
                    Some(sender) => Ok(sender),
                    None => self.connect_http2().await,
                };
                let answer = match sender {
                    Err(error) => Err(Fault::Lost(error)),
                    Ok(sender) => {
                        let asked = self.exchange_http2(sender, number);
                        let late = |_| Err(Fault::Lost("no answer".to_owned()));
                        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(late)
                    }
                };
                match answer {
                    Err(Fault::Unprocessed) => continue,
                    Ok((told, sender)) => {
                        kept = Some(sender);
                        self.tell(Manner::Http2, number, Ok(told));
                    }
                    Err(Fault::Lost(error)) => {
                        self.tell(Manner::Http2, number, Err(error));
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                break;
            }
        }
    }

    async fn connect_http2(&self) -> Result<SendRequest<Bytes>, String> {
        let (sender, connection) = self.http2.connect(self.way(), &self.host).await?;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn exchange_http2(
        &self,
        sender: SendRequest<Bytes>,
        number: usize,
    ) -> Result<((u16, String), SendRequest<Bytes>), Fault> {
        let request = self.request(number);
        // Nothing was sent on a connection that takes no more requests.
        let mut sender = sender.ready().await.map_err(|_| Fault::Unprocessed)?;
        let head = http::Request::builder()
            .method(request.method.as_str())
            .uri(format!("https://{}{}", request.host, request.path))
            .header("authorization", format!("Bearer {}", request.token.unwrap_or_default()))
            .header("content-type", "application/json")
            .header("content-length", request.body.len())
            .body(())
            .unwrap();
        let sent = sender.send_request(head, false);
        let (answer, mut stream) = sent.map_err(|error| Fault::of(&error))?;
        stream.send_data(Bytes::from(request.body), true).map_err(|error| Fault::of(&error))?;
        let answer = answer.await.map_err(|error| Fault::of(&error))?;
        let id = answer.headers().get("octroi-request-id").and_then(|id| id.to_str().ok());
        let told = (answer.status().as_u16(), id.unwrap_or_default().to_owned());
        let mut body = answer.into_body();
        while let Some(chunk) = poll_fn(|cx| body.poll_data(cx)).await {
            let chunk = chunk.map_err(|error| Fault::Lost(format!("body: {error}")))?;
            let _ = body.flow_control().release_capacity(chunk.len());
        }
        Ok((told, sender))
    }
}

enum Fault {
    /// The server says that it has not looked at it.
    Unprocessed,
    Lost(String),
}

impl Fault {
    fn of(error: &h2::Error) -> Self {
        let reason = error.reason();
        let unprocessed = (error.is_go_away() && reason == Some(h2::Reason::NO_ERROR))
            || reason == Some(h2::Reason::REFUSED_STREAM);
        if unprocessed { Self::Unprocessed } else { Self::Lost(error.to_string()) }
    }
}

/// How many requests of each manner came to what.
pub fn tally(went: &[Went]) -> BTreeMap<(Manner, String), usize> {
    let mut counts = BTreeMap::new();
    for went in went {
        let what = match &went.answer {
            Ok((status, _)) => status.to_string(),
            Err(error) => error.clone(),
        };
        *counts.entry((went.manner, what)).or_default() += 1;
    }
    counts
}

/// Those that were not answered with 200.
pub fn failed(went: &[Went]) -> usize {
    went.iter().filter(|went| !matches!(went.answer, Ok((200, _)))).count()
}
