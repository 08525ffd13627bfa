//! Clients that ask at a pace, over connections that they keep, and remember every answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{Answer, Client, Connection};

/// Pause of a client whom nobody lets in: without it all of them would spin.
const PAUSE: Duration = Duration::from_millis(5);

/// What one client asks for, and where.
pub struct Asker {
    pub client: Client,
    /// The server name.
    pub host: String,
    /// The octets of the request with this number; numbers are unique in a load.
    pub request: Box<dyn Fn(usize) -> Vec<u8> + Send>,
    /// By this the test tells askers apart.
    pub kind: usize,
}

/// One request, as its client saw it.
#[derive(Clone, Debug)]
pub struct Told {
    pub kind: usize,
    /// Which client, in the order of the askers.
    pub client: usize,
    pub number: usize,
    pub asked: Instant,
    /// Until the last octet of the answer. A new connection, where one was needed, is part of it.
    pub took: Duration,
    /// `None`: the connection ended first.
    pub answer: Option<Answer>,
}

impl Told {
    pub fn status(&self) -> u16 {
        self.answer.as_ref().map_or(0, |answer| answer.status)
    }

    /// The reason code; empty for an answer that is none, and where there was none.
    pub fn code(&self) -> String {
        match &self.answer {
            Some(answer) if answer.status >= 400 => answer.code(),
            _ => String::new(),
        }
    }
}

/// Requests under way.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    told: Mutex<Vec<Told>>,
    next: AtomicUsize,
    stop: AtomicBool,
}

impl Load {
    /// `rate`: requests per second of all clients together, evenly spread; `None`: each asks as soon as
    /// it was answered. A client that is still waiting when its turn comes misses that turn: what is
    /// waited for is the answer, and a slow one does not slow the others down.
    pub fn start(askers: Vec<Asker>, rate: Option<f64>) -> Self {
        let shared = Arc::new(Shared {
            told: Mutex::default(),
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let (begin, count) = (Instant::now(), askers.len());
        let period = rate.map(|rate| Duration::from_secs_f64(count as f64 / rate));
        let clients = askers.into_iter().enumerate().map(|(place, asker)| {
            let shared = Arc::clone(&shared);
            let turns = period.map(|period| {
                let first = begin + period.mul_f64(place as f64 / count as f64);
                Turns { due: first, period }
            });
            thread::spawn(move || shared.ask(place, &asker, turns))
        });
        Self { clients: clients.collect(), shared }
    }

    /// How many answers there are so far, missing ones included.
    pub fn count(&self) -> usize {
        self.shared.told().len()
    }

    /// Everything so far.
    pub fn so_far(&self) -> Vec<Told> {
        self.shared.told().clone()
    }

    /// Ends it; everything that was asked, in the order of asking.
    pub fn stop(self) -> Vec<Told> {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        let mut told = std::mem::take(&mut *self.shared.told());
        told.sort_by_key(|told| told.asked);
        told
    }
}

struct Turns {
    due: Instant,
    period: Duration,
}

impl Turns {
    fn wait(&mut self) {
        let now = Instant::now();
        while self.due < now {
            self.due += self.period;
        }
        thread::sleep(self.due - now);
    }
}

impl Shared {
    fn ask(&self, client: usize, asker: &Asker, mut turns: Option<Turns>) {
        let mut kept: Option<Connection> = None;
        while !self.stop.load(Ordering::SeqCst) {
            if let Some(turns) = &mut turns {
                turns.wait();
            }
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let octets = (asker.request)(number);
            let asked = Instant::now();
            let connection = kept.take().map_or_else(|| asker.client.connect(&asker.host), Ok);
            let answer = connection.and_then(|mut connection| {
                let answer = connection.exchange(&octets)?;
                if answer.header("connection") != Some("close") {
                    kept = Some(connection);
                }
                Ok(answer)
            });
            let answer = answer.ok();
            if answer.is_none() {
                thread::sleep(PAUSE);
            }
            let took = asked.elapsed();
            self.told().push(Told { kind: asker.kind, client, number, asked, took, answer });
        }
    }

    fn told(&self) -> MutexGuard<'_, Vec<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time within which this share of the answers came; missing ones are not counted.
pub fn percentile<'a>(told: impl IntoIterator<Item = &'a Told>, share: f64) -> Duration {
    let answered = told.into_iter().filter(|told| told.answer.is_some());
    let mut took: Vec<Duration> = answered.map(|told| told.took).collect();
    took.sort();
    let place = (took.len() as f64 * share) as usize;
    took.get(place.min(took.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// How many answers of each sort there are: status and reason code, `(0, "")` for none.
pub fn tally<'a>(told: impl IntoIterator<Item = &'a Told>) -> BTreeMap<(u16, String), usize> {
    let mut counts = BTreeMap::new();
    for told in told {
        *counts.entry((told.status(), told.code())).or_default() += 1;
    }
    counts
}

/// Milliseconds, to print.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
