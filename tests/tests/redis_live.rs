//! `octroi check --live` says what it finds, whatever stands there, and refuses what must not be
//! relied upon; the rights, the Sentinel, Cluster and TLS settings in the book suffice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::gateway::{Gateway, Place, path_text};
use harness::redis_cluster::RedisCluster;
use harness::redis_sentinel::RedisSentinel;
use harness::redis_server::RedisServer;
use harness::redis_tls::RedisTls;
use harness::run;
use serde_json::Value;

const PASSWORD: &str = "tell-nobody";

struct Checked {
    code: Option<i32>,
    said: String,
}

impl Checked {
    fn json(&self) -> Value {
        serde_json::from_str(&self.said).unwrap_or_else(|error| panic!("{error}: {}", self.said))
    }
}

/// Checks the configuration of a sandbox with another store.
fn live(place: &Place, store: toml::Table, output: &str) -> Checked {
    let mut config = place.config();
    config.insert("store".to_owned(), store.into());
    let file = place.file("live.toml");
    fs::write(&file, config.to_string()).unwrap();
    let told = run(&["check", "--live", "--config", path_text(&file), "--output", output]);
    let said = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
    assert!(!said.contains(PASSWORD), "{said}");
    Checked { code: told.status.code(), said }
}

fn place() -> Place {
    Gateway::sandbox().leave()
}

/// The line of the book that gives a user its rights.
fn documented_rights(heading: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference/redis.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once(heading).unwrap_or_else(|| panic!("{heading} is missing"));
    let mut lines = section.lines();
    let line = lines.find(|line| line.starts_with("ACL SETUSER octroi ")).unwrap();
    let words = line.split(' ').skip(3);
    words.map(|word| word.replace("PASSWORD", PASSWORD)).collect()
}

fn enrol(servers: &[RedisServer], heading: &str) {
    let rules = documented_rights(heading);
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    for server in servers {
        server.user("octroi", &rules);
    }
}

/// A store table whose URL stands in a file, as one with a password should.
fn with_url(place: &Place, mut store: toml::Table, url: &str) -> toml::Table {
    let file = place.file("redis.url");
    fs::write(&file, url).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    store.remove("redis");
    store.insert("redis_file".to_owned(), path_text(&file).into());
    store
}

#[test]
fn one_server_in_order_can_be_relied_upon() {
    let (place, server) = (place(), RedisServer::start());
    let text = live(&place, server.settings(), "text");
    assert_eq!(text.code, Some(0), "{}", text.said);
    for line in ["store, live: standalone", "redis ", "append-only file: yes", "noeviction", "µs"]
    {
        assert!(text.said.contains(line), "{line} is not in {}", text.said);
    }
    let json = live(&place, server.settings(), "json").json();
    let master = &json["live"]["store"]["masters"][0];
    assert_eq!(json["live"]["sound"], true);
    assert_eq!(master["address"], server.address().to_string());
    assert_eq!(master["tracking"], true);
    assert_eq!(master["missing_rights"].as_array().unwrap().len(), 0);
    assert!(master["round_trip_us"].as_u64().unwrap() > 0);
}

#[test]
fn a_server_that_may_evict_is_refused_and_one_that_is_away_cannot_be_checked() {
    let (place, mut server) = (place(), RedisServer::start());
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory-policy").arg(policy);
        set.exec(&mut server.connection()).unwrap();
        let checked = live(&place, server.settings(), "text");
        assert_eq!(checked.code, Some(1), "{}", checked.said);
        assert!(checked.said.contains(&format!("maxmemory-policy {policy}")), "{}", checked.said);
    }
    server.kill();
    let checked = live(&place, server.settings(), "text");
    assert_eq!(checked.code, Some(3), "{}", checked.said);
}

#[test]
fn a_store_that_a_later_version_has_written_to_is_refused_and_not_started_over() {
    let (place, server) = (place(), RedisServer::start());
    let mut set = redis::cmd("SET");
    set.arg("octroi:layout").arg("2").exec(&mut server.connection()).unwrap();
    let checked = live(&place, server.settings(), "text");
    assert_eq!(checked.code, Some(1), "{}", checked.said);
    assert!(checked.said.contains("octroi:layout says 2"), "{}", checked.said);
    let started = run(&["run", "--config", path_text(&place.file("live.toml"))]);
    assert_eq!(started.status.code(), Some(3));
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(said.contains("octroi:layout says 2"), "{said}");
}

#[test]
fn the_rights_in_the_book_suffice_and_each_one_less_is_named() {
    let (place, server) = (place(), RedisServer::start());
    enrol(std::slice::from_ref(&server), "## Rights");
    let url = format!("redis://octroi:{PASSWORD}@{}/0", server.address());
    let store = with_url(&place, toml::Table::new(), &url);
    let checked = live(&place, store.clone(), "text");
    assert_eq!(checked.code, Some(0), "{}", checked.said);
    assert!(checked.said.contains("rights: none is missing"), "{}", checked.said);
    assert!(checked.said.contains("tells of tokens that change: yes"), "{}", checked.said);

    let commands = ["+scan", "+eval", "+evalsha", "+mget", "+del", "+publish", "+time", "+info"];
    for right in commands.into_iter().chain(["~octroi:*", "&octroi:kills"]) {
        match right {
            "~octroi:*" => server.user("octroi", &["resetkeys"]),
            "&octroi:kills" => server.user("octroi", &["resetchannels"]),
            command => server.user("octroi", &[&command.replace('+', "-")]),
        }
        let checked = live(&place, store.clone(), "json");
        assert_eq!(checked.code, Some(1), "{right}: {}", checked.said);
        let missing = checked.json()["live"]["store"]["masters"][0]["missing_rights"].to_string();
        assert!(missing.contains(right), "{right} is not in {missing}");
        server.user("octroi", &[right]);
    }
    assert_eq!(live(&place, store, "text").code, Some(0));
}

#[test]
fn a_gateway_with_the_rights_in_the_book_serves_issues_and_revokes() {
    let (place, server) = (place(), RedisServer::start());
    enrol(std::slice::from_ref(&server), "## Rights");
    let url = format!("redis://octroi:{PASSWORD}@{}/0", server.address());
    let store = with_url(&place, toml::Table::new(), &url);
    let gateway = Gateway::run_in(place, |config| {
        config.insert("store".to_owned(), store.into());
    });
    let app = harness::oauth::App::of(&gateway, "funds-co");
    let pair = app.pair(harness::oauth::GILLES);
    assert_eq!(app.client.send(&gateway.request(&pair.access)).status, 200);
    let revoke = app.post(harness::oauth::REVOKE, &[("token", &pair.refresh)]);
    assert_eq!(revoke.status, 200);
    assert_eq!(app.client.send(&gateway.request(&pair.access)).status, 401);
    let log = gateway.place().log();
    assert!(!log.contains("NOPERM") && !log.contains(PASSWORD), "{log}");
}

#[test]
fn by_tls_with_a_ca_and_a_client_certificate_and_not_with_another_ca() {
    let (place, tls) = (place(), RedisTls::new());
    let server = RedisServer::with(|_| tls.settings());
    enrol(std::slice::from_ref(&server), "## Rights");
    let url = format!("rediss://octroi:{PASSWORD}@{}/0", tls.address);
    let named = |tls: &RedisTls| {
        let file = |name: &str| path_text(&tls.file(name)).into();
        toml::Table::from_iter([
            ("ca".to_owned(), file("ca.pem")),
            ("client_certificate".to_owned(), file("client.pem")),
            ("client_key_file".to_owned(), file("client.key")),
        ])
    };
    let good = live(&place, with_url(&place, named(&tls), &url), "text");
    assert_eq!(good.code, Some(0), "{}", good.said);
    assert!(good.said.contains("rights: none is missing"), "{}", good.said);

    let other = RedisTls::new();
    for (what, store) in [
        ("another CA", named(&other)),
        ("no CA: the system's", toml::Table::new()),
        ("no client certificate", {
            let mut store = named(&tls);
            store.retain(|key, _| key == "ca");
            store
        }),
    ] {
        let checked = live(&place, with_url(&place, store, &url), "text");
        assert_eq!(checked.code, Some(3), "{what}: {}", checked.said);
    }
}

#[test]
fn a_cluster_is_looked_at_master_by_master() {
    let (place, cluster) = (place(), RedisCluster::replicated());
    enrol(&cluster.nodes, "## Redis Cluster");
    let url = format!("redis://octroi:{PASSWORD}@{}", cluster.nodes[0].address());
    let mut store = with_url(&place, cluster.settings(), &url);
    let checked = live(&place, store.clone(), "json");
    assert_eq!(checked.code, Some(0), "{}", checked.said);
    let json = checked.json();
    assert_eq!(json["live"]["store"]["topology"], "cluster");
    let masters = json["live"]["store"]["masters"].as_array().unwrap();
    assert_eq!(masters.len(), 3);
    for master in masters {
        assert_eq!(master["replicas"].as_array().unwrap().len(), 1, "{master}");
        assert_eq!(master["missing_rights"].as_array().unwrap().len(), 0, "{master}");
    }
    store.insert("replicas_acknowledge".to_owned(), 2.into());
    let checked = live(&place, store, "text");
    assert_eq!(checked.code, Some(1), "{}", checked.said);
    assert!(checked.said.contains("1 of the 2 replicas"), "{}", checked.said);
}

#[test]
fn under_sentinels_the_master_is_found_and_looked_at() {
    let (place, watched) = (place(), RedisSentinel::start());
    enrol(&watched.nodes, "## Redis Sentinel");
    let url = format!("redis://octroi:{PASSWORD}@octroi/0");
    let store = with_url(&place, watched.settings(), &url);
    let checked = live(&place, store.clone(), "json");
    assert_eq!(checked.code, Some(0), "{}", checked.said);
    let master = &checked.json()["live"]["store"]["masters"][0];
    assert_eq!(master["address"], watched.nodes[0].address().to_string());
    assert_eq!(master["replicas"][0], watched.nodes[1].address().to_string());
    assert_eq!(master["missing_rights"].as_array().unwrap().len(), 0, "{master}");

    let rules = documented_rights("Where the sentinels ask for a user of their own");
    for sentinel in &watched.sentinels {
        let mut connection = sentinel.connection().unwrap();
        let mut set = redis::cmd("ACL");
        set.arg("SETUSER").arg("octroi").arg(&rules).exec(&mut connection).unwrap();
        redis::cmd("ACL").arg("SETUSER").arg("default").arg("off").exec(&mut connection).unwrap();
    }
    let nobody = live(&place, store.clone(), "text");
    assert_eq!(nobody.code, Some(3), "{}", nobody.said);
    let password = place.file("sentinel.password");
    fs::write(&password, PASSWORD).unwrap();
    let mut known = store;
    known.insert("sentinel_user".to_owned(), "octroi".into());
    known.insert("sentinel_password_file".to_owned(), path_text(&password).into());
    let checked = live(&place, known, "text");
    assert_eq!(checked.code, Some(0), "{}", checked.said);

    let watched = RedisSentinel::start();
    let other = with_url(&place, watched.settings(), "redis://elsewhere/0");
    let checked = live(&place, other, "text");
    assert_eq!(checked.code, Some(3), "no such service: {}", checked.said);
}
