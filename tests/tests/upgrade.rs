//! A new binary takes the sockets over while the old one serves: no connection is refused, no request is
//! lost or done twice, and if the new one never serves, nothing has happened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use harness::client::{Request, get};
use harness::gateway::{GILLES_IBAN, Gateway, HOST, body, free, path_text, signal, upstream};
use harness::load::{Asker, Load, Told, tally};
use harness::redis_server::RedisServer;
use harness::replicas::{BANK, number_of};
use harness::upstream::{Manner, Upstream};
use harness::{eventually, octroi};

struct Scene {
    gateway: Gateway,
    bank: Upstream,
    token: String,
    _redis: RedisServer,
}

fn scene() -> Scene {
    let redis = RedisServer::start();
    let token = redis.mint(&"u".repeat(43), "gilles");
    let bank = Upstream::start(Manner { delay: BANK, ..Manner::default() });
    let settings = bank.settings();
    let gateway = Gateway::run_in(Gateway::sandbox().leave(), |config| {
        let url = format!("redis://{}/0", redis.address());
        let store = toml::Table::from_iter([
            ("redis".to_owned(), url.into()),
            ("timeout".to_owned(), "5s".into()),
        ]);
        config.insert("store".to_owned(), store.into());
        upstream(config, "17515", settings);
    });
    Scene { gateway, bank, token, _redis: redis }
}

impl Scene {
    /// A client that keeps its connection, or one that takes a new one each time.
    fn asker(&self, keeps: bool) -> Asker {
        let mut request = self.gateway.request(&self.token);
        if !keeps {
            request = request.with("Connection", "close");
        }
        Asker {
            client: self.gateway.tpp("funds-co"),
            host: HOST.to_owned(),
            request: Box::new(move |number| {
                let body = body(GILLES_IBAN, "100");
                let body = body.replace("MyCoverage123456", &format!("number-{number}"));
                Request { body, ..request.clone() }.octets()
            }),
            kind: usize::from(keeps),
        }
    }

    fn load(&self, clients: usize) -> Load {
        Load::start((0..clients).map(|client| self.asker(client % 2 == 0)).collect(), None)
    }

    /// Every request was answered, every one came to the bank once, and each answer has one record.
    fn nothing_is_lost_or_double(&self, told: &[Told]) {
        let tally = tally(told);
        assert!(tally.len() == 1 && tally.contains_key(&(200, String::new())), "{tally:?}");
        let mut heard: HashMap<usize, usize> = HashMap::new();
        for number in self.bank.heard().iter().map(number_of) {
            *heard.entry(number).or_default() += 1;
        }
        assert_eq!(heard.len(), told.len());
        assert!(heard.values().all(|times| *times == 1));
        let mut records: HashMap<String, usize> = HashMap::new();
        eventually("every record is written", || {
            records.clear();
            for record in self.gateway.place().audit() {
                let id = record["http.request.id"].as_str().unwrap().to_owned();
                *records.entry(id).or_default() += 1;
            }
            (records.len() == told.len()).then_some(())
        });
        for told in told {
            let answer = told.answer.as_ref().unwrap();
            assert_eq!(records[answer.header("octroi-request-id").unwrap()], 1);
        }
    }
}

/// So many answers more.
fn some(load: &Load, more: usize) {
    let before = load.count();
    eventually("the load goes on", || (load.count() >= before + more).then_some(()));
}

#[test]
fn under_load_no_request_is_lost_or_done_twice_while_one_binary_takes_over_from_the_other() {
    let mut scene = scene();
    let load = scene.load(8);
    some(&load, 100);
    for _ in 0..2 {
        let ended = scene.gateway.upgrade();
        some(&load, 100);
        assert!(ended(&mut scene.gateway), "{}", scene.gateway.place().log());
        some(&load, 100);
    }
    let told = load.stop();
    scene.nothing_is_lost_or_double(&told);
    assert!(get(scene.gateway.addresses.admin, "/readyz").status == 200);
}

#[test]
fn whoever_was_quiet_is_answered_once_more_by_the_old_one_and_told_to_connect_again() {
    let mut scene = scene();
    let octets = scene.asker(true).request;
    let mut connection = scene.gateway.tpp("funds-co").connect(HOST).unwrap();
    let first = connection.exchange(&octets(0)).unwrap();
    assert_eq!((first.status, first.header("connection")), (200, Some("keep-alive")));
    let ended = scene.gateway.upgrade();
    // The new one serves for a while already.
    thread::sleep(Duration::from_secs(3));
    let last = connection.exchange(&octets(1)).unwrap();
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert!(connection.is_ended());
    assert!(ended(&mut scene.gateway));
}

#[test]
fn a_new_gateway_that_does_not_start_leaves_the_old_one_as_it_is_and_a_sound_one_takes_new_keys_in()
{
    let mut scene = scene();
    let file = scene.gateway.config_file();
    let sound = scene.gateway.config();
    let ask =
        |scene: &Scene| scene.gateway.tpp("funds-co").send(&scene.gateway.request(&scene.token));
    fs::write(&file, "threads = \"many\"").unwrap();
    scene.gateway.signal("USR2");
    eventually("it is told", || {
        scene
            .gateway
            .metrics()
            .contains("octroi_upgrades_total{outcome=\"failed\"} 1")
            .then_some(())
    });
    let log = scene.gateway.place().log();
    assert!(log.contains("no upgrade; this gateway goes on"), "{log}");
    assert_eq!(ask(&scene).status, 200);
    let mut moved = sound.clone();
    let psu = free();
    moved["listen"]["psu"]["address"] = psu.to_string().into();
    fs::write(&file, toml::to_string(&moved).unwrap()).unwrap();
    let ended = scene.gateway.upgrade();
    assert!(ended(&mut scene.gateway), "{}", scene.gateway.place().log());
    assert_eq!(ask(&scene).status, 200);
    assert!(std::net::TcpStream::connect(psu).is_ok());
}

#[test]
fn with_an_embedded_store_there_is_no_upgrade_and_the_log_says_what_to_do() {
    let gateway = Gateway::configured(|_| {});
    gateway.signal("USR2");
    eventually("it is told", || {
        gateway
            .place()
            .log()
            .contains("the store is embedded, and one process at a time")
            .then_some(())
    });
    assert_eq!(gateway.admin("/readyz").status, 200);
}

#[test]
fn sockets_of_a_service_manager_are_served_and_one_that_nobody_wants_is_refused() {
    use std::os::fd::AsRawFd;

    let place = Gateway::sandbox().leave();
    let mut config = place.config();
    let sockets: Vec<_> = ["tpp", "psu", "admin"]
        .map(|name| {
            let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = socket.local_addr().unwrap();
            config["listen"][name]["address"] = address.to_string().into();
            // bash gives them on under the numbers that the protocol asks for.
            rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).unwrap();
            socket
        })
        .into();
    let file = place.file("activated.toml");
    fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    let start = |wanted: &[usize]| {
        let given = wanted.iter().zip(3..);
        let redirected =
            given.map(|(index, number)| format!("{number}<&{} ", sockets[*index].as_raw_fd()));
        let redirected: String = redirected.collect();
        let script = format!(
            "exec {redirected}; export LISTEN_PID=$$ LISTEN_FDS={}; exec {} run --config {}",
            wanted.len(),
            octroi().display(),
            path_text(&file),
        );
        Command::new("bash").args(["-c", &script]).stderr(Stdio::piped()).spawn().unwrap()
    };
    // Who connects before anything runs waits, and is served.
    let admin = sockets[2].local_addr().unwrap();
    let waiting = thread::spawn(move || get(admin, "/healthz").status);
    let mut gateway = start(&[2, 0, 1]);
    assert_eq!(waiting.join().unwrap(), 200);
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    config["listen"]["psu"]["address"] = free().to_string().into();
    fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    let ended = start(&[0, 1, 2]).wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3));
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(told.contains("the service manager hands over a socket at"), "{told}");
}

#[test]
fn the_first_process_of_a_container_hands_over_to_nobody_as_the_container_would_end_with_it() {
    let scene = scene();
    let place = scene.gateway.leave().under(&["unshare", "--pid", "--fork", "--kill-child"]);
    let mut gateway = Gateway::run_in(place, |config| {
        config.insert("store".to_owned(), scene._redis.settings().into());
    });
    let children = format!("/proc/{0}/task/{0}/children", gateway.pid());
    let inner: u32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    signal(inner, "USR2");
    eventually("it says why not", || {
        gateway.place().log().contains("the first of its container").then_some(())
    });
    assert!(gateway.metrics().contains("octroi_upgrades_total{outcome=\"failed\"} 1"));
    assert_eq!(get(gateway.addresses.admin, "/readyz").status, 200);
    signal(inner, "TERM");
    gateway.wait();
}

#[test]
fn signals_that_come_while_a_gateway_starts_do_not_end_it() {
    // A store that takes connections and says nothing: the start takes its time.
    let store = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Gateway::sandbox().leave();
    let mut config = place.config();
    for name in ["tpp", "psu", "admin"] {
        config["listen"][name]["address"] = free().to_string().into();
    }
    let admin = config["listen"]["admin"]["address"].as_str().unwrap().parse().unwrap();
    let url = format!("redis://{}/0", store.local_addr().unwrap());
    let settings = [("redis".to_owned(), url.into()), ("timeout".to_owned(), "2s".into())];
    config.insert("store".to_owned(), toml::Table::from_iter(settings).into());
    let file = place.file("slow.toml");
    fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    let mut child = Command::new(octroi())
        .args(["run", "--config", path_text(&file)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (_asked, _) = store.accept().unwrap();
    for name in ["HUP", "USR2", "HUP"] {
        signal(child.id(), name);
    }
    eventually("it serves", || {
        assert!(child.try_wait().unwrap().is_none(), "a signal ended it");
        std::net::TcpStream::connect(admin).ok()?;
        (get(admin, "/healthz").status == 200).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
}
