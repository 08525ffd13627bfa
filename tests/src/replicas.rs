//! Two gateways over one Redis before two banks, and the reference load on them: the scene of the
//! faults.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::fault_proxy::FaultProxy;
use crate::gateway::{DOMAIN, Gateway, HOST, body, upstream};
use crate::load::{Asker, Load, Told};
use crate::namespace::Namespace;
use crate::redis_server::RedisServer;
use crate::upstream::{Heard, Manner, Upstream};

/// Requests per second of all clients together.
pub const RATE: f64 = 200.0;
pub const CLIENTS: usize = 16;
/// How long an adapter takes.
pub const BANK: Duration = Duration::from_millis(5);
/// The bank that the tokens of the other tests are for, and one beside it.
pub const CODETABS: [&str; 2] = ["17515", "13825"];
/// Of an account at each.
const IBANS: [&str; 2] = ["FR7617515000920440878790811", "FR7613825002000440878790808"];

pub struct Replicas {
    pub gateways: Vec<Gateway>,
    /// How long their logs were when they were ready.
    logged: Vec<usize>,
    /// Each gateway's own way to Redis.
    pub ways: [FaultProxy; 2],
    /// The way of all gateways to the first bank.
    pub to_bank: FaultProxy,
    /// What each gateway would ask with.
    pub tokens: [String; 2],
    pub banks: [Upstream; 2],
    pub redis: RedisServer,
}

impl Replicas {
    /// `change` is done to the configuration of both.
    pub fn start(change: impl Fn(&mut toml::Table)) -> Self {
        Self::start_in(None, change)
    }

    /// As [`Replicas::start`], with the first gateway in a network namespace where there is one. That one
    /// does not reach the second bank.
    pub fn start_in(namespace: Option<&Namespace>, change: impl Fn(&mut toml::Table)) -> Self {
        let redis = RedisServer::start();
        let tokens = std::array::from_fn(|index| {
            let letter = ["x", "y"][index];
            redis.mint_at(&letter.repeat(43), "gilles", CODETABS[index])
        });
        let manner = || Manner { delay: BANK, ..Manner::default() };
        let banks = [Upstream::start(manner()), Upstream::start(manner())];
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let beside = namespace.map_or(here, |_| SocketAddr::new(Namespace::CLIENTS, 0));
        let to_bank = FaultProxy::start_at(beside, banks[0].address);
        let place = Gateway::sandbox().leave();
        let mut first = place.copy();
        if let Some(namespace) = namespace {
            first = first.inside(&namespace.name, Namespace::GATEWAY);
        }
        let places = [first, place];
        let to_redis = namespace.map_or(here, |_| SocketAddr::new(Namespace::REDIS, 0));
        let ways = [to_redis, here].map(|at| FaultProxy::start_at(at, redis.address()));
        let run = |place, way: &FaultProxy| {
            Gateway::run_in(place, |config| {
                let store = toml::Table::from_iter([
                    ("redis".to_owned(), format!("redis://{}/0", way.address).into()),
                    ("timeout".to_owned(), "100ms".into()),
                    ("fresh_for".to_owned(), "1s".into()),
                    ("tolerated_for".to_owned(), "5s".into()),
                ]);
                config.insert("store".to_owned(), store.into());
                for (codetab, bank) in CODETABS.iter().zip(&banks) {
                    let mut settings = bank.settings();
                    if *codetab == CODETABS[0] {
                        settings["addresses"] = vec![to_bank.address.to_string()].into();
                    }
                    upstream(config, codetab, settings);
                }
                if namespace.is_some() {
                    let admin =
                        toml::Table::from_iter([("admin_on_any_address".to_owned(), true.into())]);
                    config.insert("insecure".to_owned(), admin.into());
                }
                change(config);
            })
        };
        let gateways: Vec<Gateway> =
            places.into_iter().zip(&ways).map(|(place, way)| run(place, way)).collect();
        let logged = gateways.iter().map(|gateway| gateway.place().log().len()).collect();
        Self { gateways, logged, ways, to_bank, tokens, banks, redis }
    }

    /// A client of a gateway that asks a bank with its token.
    pub fn asker(&self, gateway: usize, bank: usize) -> Asker {
        self.asker_with(gateway, bank, &self.tokens[bank])
    }

    pub fn asker_with(&self, gateway: usize, bank: usize, token: &str) -> Asker {
        let token = token.to_owned();
        self.asker_of(gateway, bank, move |_| token.clone())
    }

    /// A client with a token of its own for each request.
    pub fn asker_of(
        &self,
        gateway: usize,
        bank: usize,
        token: impl Fn(usize) -> String + Send + 'static,
    ) -> Asker {
        let mut request = self.gateways[gateway].request("");
        request.host = host(bank);
        Asker {
            client: self.gateways[gateway].tpp("funds-co"),
            host: host(bank),
            request: Box::new(move |number| {
                let mut request = request.clone();
                request.token = Some(token(number));
                request.body = numbered(bank, number);
                request.octets()
            }),
            kind: bank,
        }
    }

    /// The reference load, on the first bank.
    pub fn load(&self) -> Load {
        let askers = (0..CLIENTS).map(|client| self.asker(client % self.gateways.len(), 0));
        Load::start(askers.collect(), Some(RATE))
    }

    /// The reference load, half on each bank; by [`Told::kind`].
    pub fn load_on_both(&self) -> Load {
        let gateways = self.gateways.len();
        let askers =
            (0..CLIENTS).map(|client| self.asker(client % gateways, client / gateways % 2));
        Load::start(askers.collect(), Some(RATE))
    }

    /// No task of a gateway has ended by a panic since it was ready.
    #[track_caller]
    pub fn nobody_panicked(&self) {
        for (gateway, start) in self.gateways.iter().zip(&self.logged) {
            let log = gateway.place().log();
            let found = log[*start..].lines().skip_while(|line| !line.contains("panicked"));
            let found: Vec<&str> = found.take(3).collect();
            assert!(found.is_empty(), "{}", found.join("\n"));
        }
    }

    /// Until every client of the load got what it asked for, for so long.
    pub fn calm(&self, load: &Load, length: Duration) -> Vec<Told> {
        crate::eventually("the load is served", || {
            let told = load.so_far();
            let last = &told[told.len().saturating_sub(CLIENTS)..];
            (last.len() == CLIENTS && last.iter().all(|told| told.status() == 200)).then_some(())
        });
        let began = Instant::now();
        std::thread::sleep(length);
        load.so_far().into_iter().filter(|told| told.asked >= began).collect()
    }
}

/// The same names at every gateway: what one of them issues counts at the others.
pub fn one_bank(config: &mut toml::Table) {
    config["listen"]["psu"]["public_url"] = "https://localhost:8444".into();
    let server = config["authorization"].as_table_mut().unwrap();
    for (name, port) in [("issuer", 8444), ("tpp_url", 8443)] {
        server[name] = format!("https://www.{{codetab}}.{DOMAIN}:{port}").into();
    }
}

/// The host of a bank.
pub fn host(bank: usize) -> String {
    match bank {
        0 => HOST.to_owned(),
        _ => format!("www.{}.{DOMAIN}", CODETABS[bank]),
    }
}

/// A body that names the request, so that the bank can be asked whether it heard it twice.
fn numbered(bank: usize, number: usize) -> String {
    body(IBANS[bank], "100").replace("MyCoverage123456", &format!("number-{number}"))
}

/// The number of a request, as its bank heard it.
pub fn number_of(heard: &Heard) -> usize {
    let text = String::from_utf8_lossy(&heard.body);
    let (_, rest) = text.split_once("\"number-").unwrap();
    rest.split('"').next().unwrap().parse().unwrap()
}

/// The requests that a bank heard more than once.
pub fn heard_twice(bank: &Upstream) -> Vec<usize> {
    let mut seen = HashSet::new();
    let numbers = bank.heard().iter().map(number_of).collect::<Vec<_>>();
    numbers.into_iter().filter(|number| !seen.insert(*number)).collect()
}
