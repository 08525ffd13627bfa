//! `[store]`: one server, sentinels or a cluster, by TLS or not.

use std::fs;

use super::material::{Place, changed};
use super::refused;
use crate::config::{RedisServers, RedisTopology, StoreSettings};

const EMBEDDED: &str = "embedded = \"store.redb\"";

/// What the configuration with this in place of the embedded store amounts to.
fn servers(place: &Place, store: &str) -> RedisServers {
    match place.config(&changed(EMBEDDED, store)).store {
        StoreSettings::Redis { servers, .. } => *servers,
        StoreSettings::Embedded { .. } => panic!("{store} is no Redis"),
    }
}

fn warnings(store: &str) -> Vec<String> {
    Place::new().config(&changed(EMBEDDED, store)).warnings
}

fn is_in_the_open(store: &str) -> bool {
    warnings(store).iter().any(|warning| warning.contains("not encrypted"))
}

#[test]
fn a_server_waits_for_no_replica_and_sentinels_and_a_cluster_for_one() {
    let place = Place::new();
    let one = servers(&place, "redis = \"redis://127.0.0.1\"");
    assert!(matches!(one.topology, RedisTopology::Standalone));
    assert_eq!(one.replicas_acknowledge, 0);

    place.write("sentinel.password", "tell-nobody\n");
    let store = "redis = \"redis://octroi/3\"\nsentinels = [\"127.0.0.1:26379\", \"[::1]:26379\"]\n\
                 sentinel_user = \"octroi\"\nsentinel_password_file = \"sentinel.password\"";
    let watched = servers(&place, store);
    assert!(!format!("{watched:?}").contains("tell-nobody"));
    let RedisTopology::Sentinel { sentinels, user, password } = watched.topology else { panic!() };
    assert_eq!(sentinels, ["127.0.0.1:26379", "[::1]:26379"]);
    assert_eq!(user.as_deref(), Some("octroi"));
    assert_eq!(password.unwrap().expose(), b"tell-nobody");
    assert_eq!(watched.replicas_acknowledge, 1);

    let store = "redis = \"redis://127.0.0.1:7000\"\ncluster = [\"127.0.0.1:7001\"]\n\
                 replicas_acknowledge = 0";
    let cluster = servers(&place, store);
    assert!(matches!(cluster.topology, RedisTopology::Cluster { nodes } if nodes.len() == 1));
    assert_eq!(cluster.replicas_acknowledge, 0);
}

#[test]
fn servers_that_do_not_go_together_are_refused() {
    let url = "redis = \"redis://127.0.0.1\"";
    for (store, key) in [
        (format!("{url}\nsentinels = [\"a:1\"]\ncluster = [\"b:1\"]"), "store"),
        (format!("{url}\nsentinels = [\"a\"]"), "store.sentinels[0]"),
        (format!("{url}\ncluster = [\"b:1\", \"user@b:1\"]"), "store.cluster[1]"),
        (format!("{url}\nsentinel_user = \"octroi\""), "store.sentinel_user"),
        (
            format!("{url}\nsentinels = [\"a:1\"]\nsentinel_user = \"octroi\""),
            "store.sentinel_user",
        ),
        (format!("{url}\nreplicas_acknowledge = 17"), "store.replicas_acknowledge"),
        ("redis = \"redis://a/1\"\ncluster = [\"b:1\"]".to_owned(), "store.redis"),
        ("redis = \"unix:///run/redis\"\ncluster = [\"b:1\"]".to_owned(), "store.redis"),
        ("redis = \"rediss://a/#insecure\"".to_owned(), "store.redis"),
        (format!("{url}\nca = \"anchors.pem\""), "store.redis"),
        (format!("{EMBEDDED}\ncluster = [\"b:1\"]"), "store.cluster"),
        (format!("{EMBEDDED}\nca = \"anchors.pem\""), "store.ca"),
    ] {
        assert_eq!(refused(EMBEDDED, &store).key, key, "{store}");
    }
}

#[test]
fn certificates_for_redis_are_read_and_held_against_each_other() {
    let place = Place::new();
    let tls = "redis = \"rediss://10.0.0.1\"\nca = \"anchors.pem\"\n\
               client_certificate = \"tpp.pem\"\nclient_key_file = \"tpp.key\"";
    let servers = servers(&place, tls);
    assert!(servers.ca_pem.is_some() && servers.client.is_some());
    for (find, replace, key) in [
        ("client_key_file = \"tpp.key\"", "", "store"),
        ("\"tpp.key\"", "\"admin.key\"", "store.client_key_file"),
        ("\"anchors.pem\"", "\"tpp.key\"", "store.ca"),
        ("\"anchors.pem\"", "\"nowhere.pem\"", "store.ca"),
    ] {
        assert_eq!(refused(EMBEDDED, &tls.replace(find, replace)).key, key, "{replace}");
    }
}

#[test]
fn a_way_to_redis_that_others_can_read_is_warned_of() {
    for open in [
        "redis = \"redis://10.0.0.1\"",
        "redis = \"redis://octroi\"\nsentinels = [\"127.0.0.1:1\", \"10.0.0.1:1\"]",
        "redis = \"redis://127.0.0.1\"\ncluster = [\"10.0.0.1:1\"]",
    ] {
        assert!(is_in_the_open(open), "{open}");
        assert!(!is_in_the_open(&open.replace("redis://", "rediss://")), "{open}");
    }
    for near in [
        "redis = \"redis://127.0.0.1\"",
        "redis = \"redis://octroi\"\nsentinels = [\"127.0.0.1:1\"]",
        "redis = \"redis://localhost\"\ncluster = [\"[::1]:1\"]",
    ] {
        assert!(!is_in_the_open(near), "{near}");
    }
}

#[test]
fn the_examples_in_the_book_are_configurations() {
    let page = format!("{}/../docs/src/reference/redis.md", env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(page).unwrap();
    let place = Place::new();
    place.write("secrets/sentinel.password", "tell-nobody");
    for (from, to) in [
        ("anchors.pem", "tls/redis-ca.pem"),
        ("tpp.pem", "tls/redis-client.pem"),
        ("tpp.key", "tls/redis-client.key"),
    ] {
        place.copy(from, to);
    }
    let examples: Vec<&str> = page
        .split("```toml\n[store]\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let (_, url) = example.split_once("# ").unwrap();
        let url = url.split(['\n', ':']).next().unwrap();
        let rest = example.split_once(&format!("# {url}:")).unwrap().1;
        let rest = rest.split(['\n', ' ']).next().unwrap().trim_end_matches(':');
        place.write("secrets/redis.url", format!("{url}:{rest}"));
        servers(&place, example);
        // What is commented out is meant to work, too.
        let all = example.replace("\n# sentinel_", "\nsentinel_");
        servers(&place, &all);
    }
}
