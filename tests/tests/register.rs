//! The registers of a running gateway: what changes in them, what is held, what people decide.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::eventually;
use harness::gateway::{Gateway, HOST, path_text};
use harness::registers::{SIREN, Scene, register, text};

#[test]
fn a_withdrawal_that_is_published_ends_an_open_connection_without_a_restart() {
    let scene = Scene::open();
    let mut connection = scene.connect();
    assert_eq!(scene.ask(&mut connection).status, 200);
    let before = scene.snapshot();
    scene.publish(scene.without(&[SIREN]));
    scene.until(&mut connection, Some("register_withdrawn"));
    let after = scene.snapshot();
    assert_ne!(before, after);
    eventually("the event in the log", || {
        scene
            .events("register_in_force")
            .iter()
            .any(|e| e["octroi.subject"] == *after)
            .then_some(())
    });
    let record = scene.gateway.record_of(&scene.ask(&mut connection));
    assert_eq!(record["event.reason"], "register_withdrawn");

    // Both stay in the archive, and what was before can be put in force again, by name.
    let config = scene.config();
    let all = text(&register(&["list", "--all"], &config));
    assert_eq!(all.lines().count(), 2, "{all}");
    let accepted = register(&["accept", &before[..12], "--by", "Ada"], &config);
    assert!(accepted.status.success(), "{}", text(&accepted));
    // It is let in again; its tokens of before stay ended.
    scene.until(&mut connection, Some("token_unknown"));
    eventually("who did it", || {
        scene.events("register_in_force").iter().any(|e| e["octroi.by"][0] == "Ada").then_some(())
    });
    // Known is who was let in or holds tokens.
    let _ = scene.gateway.fresh_token("funds-co", "gilles", &[]);
    let changed = register(&["diff", &after[..12]], &config);
    assert_eq!(changed.status.code(), Some(1));
    assert!(text(&changed).contains("would let in 1 more"), "{}", text(&changed));
}

#[test]
fn a_snapshot_that_would_refuse_too_many_is_held_until_a_person_accepts_it_by_name() {
    let scene = Scene::open();
    for persona in ["gilles", "lea"] {
        let _ = scene.gateway.token("multi-role", persona, &[]);
    }
    let _ = scene.gateway.token("account-info", "gilles", &["--scope", "aisp"]);
    let mut connection = scene.connect();
    scene.publish(scene.without(&[SIREN, "99999902"]));
    eventually("the alarm", || (scene.counted("octroi_register_held") == 1.0).then_some(()));
    assert_eq!(scene.ask(&mut connection).status, 200, "the old register serves");
    let told = text(&register(&["diff"], &scene.config()));
    assert!(told.contains("would refuse 2 of 3 known TPPs, who hold 6 live tokens"), "{told}");
    assert!(
        told.contains("would be refused: PSDFR-ACPR-99901 (withdrawn), 2 live tokens"),
        "{told}"
    );
    let held = scene.list()["held"]["snapshot"].as_str().unwrap().to_owned();
    assert_eq!(scene.events("register_held").len(), 1);

    assert_eq!(
        register(&["accept", "0000", "--by", "Ada"], &scene.config()).status.code(),
        Some(3)
    );
    assert_eq!(register(&["accept", &held, "--by", " "], &scene.config()).status.code(), Some(2));
    assert!(register(&["accept", &held, "--by", "Ada"], &scene.config()).status.success());
    scene.until(&mut connection, Some("register_withdrawn"));
    eventually("the end of the alarm", || {
        (scene.counted("octroi_register_held") == 0.0).then_some(())
    });
}

#[test]
fn a_snapshot_that_was_held_is_forgotten_when_its_publisher_takes_it_back() {
    let scene = Scene::open();
    let before = scene.snapshot();
    let first = scene.eba.find("{\"CA_OwnerID\"").unwrap();
    let row = scene.eba[first..].split(",\n").next().unwrap();
    scene.publish(format!("{}{row}]]", &scene.eba[..first]));
    eventually("the alarm", || (scene.counted("octroi_register_held") == 1.0).then_some(()));
    scene.publish(&scene.eba);
    eventually("its end", || (scene.counted("octroi_register_held") == 0.0).then_some(()));
    assert!(scene.list()["held"].is_null());
    assert_eq!(scene.snapshot(), before);
}

#[test]
fn a_register_that_could_not_be_taken_in_is_tried_again_without_being_published_again() {
    let scene = Scene::open();
    let mut connection = scene.connect();
    let lock = scene.gateway.place().file("register/snapshots/lock");
    let failures = scene.failures();
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    scene.publish(scene.without(&[SIREN]));
    eventually("the alarm", || (scene.failures() > failures).then_some(()));
    assert_eq!(scene.ask(&mut connection).status, 200, "the old register serves");
    fs::remove_dir(&lock).unwrap();
    scene.until(&mut connection, Some("register_withdrawn"));
}

fn zip_of(name: &str, body: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(body).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn whatever_is_published_instead_of_a_register_the_old_one_serves_and_the_alarm_rises() {
    let scene = Scene::open();
    let mut connection = scene.connect();
    let before = scene.snapshot();
    let eba = scene.eba.clone();
    let first = eba.find("{\"CA_OwnerID\"").unwrap();
    let one_row = format!("{}{}]]", &eba[..first], eba[first..].split(",\n").next().unwrap());
    let mut bomb = b"[[],[".to_vec();
    bomb.extend(vec![b' '; 300 << 20]);
    let mut flipped = eba.clone().into_bytes();
    flipped[first + 3] ^= 0x80;
    for (name, octets) in [
        ("cut", eba.as_bytes()[..eba.len() / 2].to_vec()),
        ("an error page", b"<!DOCTYPE html><html>503</html>".to_vec()),
        ("null", b"null".to_vec()),
        ("no rows", b"[[],[]]".to_vec()),
        ("rows of nothing", b"[[],[{},{}]]".to_vec()),
        ("twice", [eba.as_bytes(), eba.as_bytes()].concat()),
        ("UTF-16", eba.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("Latin-1", eba.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()),
        ("a flipped octet", flipped),
        ("deep", [b"[[],[".to_vec(), vec![b'['; 200_000]].concat()),
        ("an archive that is cut", zip_of("r.json", eba.as_bytes())[..200].to_vec()),
        ("an archive of nothing", zip_of("readme.txt", b"x")),
        ("an archive of blanks", zip_of("r.json", &bomb)),
    ] {
        let failures = scene.failures();
        scene.publish(&octets);
        eventually(name, || (scene.failures() > failures).then_some(()));
        assert_eq!(scene.ask(&mut connection).status, 200, "{name}");
        assert_eq!(scene.snapshot(), before, "{name}");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", scene.gateway.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let peak: u64 = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
    println!("F14: the gateway's memory at its peak: {} MiB", peak / 1024);
    assert!(peak < 256 * 1024, "{peak} KiB");
    let told = scene.events("register_refused");
    assert!(told.len() >= 13, "{told:#?}");
    let all_say_where =
        told.iter().all(|event| event["message"].as_str().unwrap().contains("register/eba.json"));
    assert!(all_say_where, "{told:#?}");

    // Read, but ten times smaller: held.
    scene.publish(&one_row);
    eventually("ten times smaller", || {
        (scene.counted("octroi_register_held") == 1.0).then_some(())
    });
    assert_eq!(scene.snapshot(), before);
    // The same in an archive, and the old one again: nothing to do.
    scene.publish(zip_of("download-PSDMD.json", eba.as_bytes()));
    eventually("what is in force, in an archive", || {
        let unchanged = "octroi_register_refreshes_total{outcome=\"unchanged\"}";
        (scene.counted(unchanged) >= 1.0).then_some(())
    });
    assert_eq!(scene.ask(&mut connection).status, 200);
}

#[test]
fn no_request_is_judged_by_half_a_snapshot_while_many_are_swapped() {
    let scene = Scene::open();
    let mut connection = scene.connect();
    let authorised = scene.snapshot();
    scene.publish(scene.without(&[SIREN]));
    scene.until(&mut connection, Some("register_withdrawn"));
    let withdrawn = scene.snapshot();
    let config = scene.config();
    // From here on its token is dead, so that a TPP which is let in learns just that.
    eventually("the end of its tokens", || scene.events("tokens_ended").into_iter().next());

    let over = Arc::new(AtomicBool::new(false));
    let (good, bad) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let client = scene.gateway.tpp("funds-co");
            let octets = scene.gateway.request(&scene.token).octets();
            let (over, good, bad) = (Arc::clone(&over), Arc::clone(&good), Arc::clone(&bad));
            std::thread::spawn(move || {
                let mut connection = client.connect(HOST).unwrap();
                while !over.load(Ordering::Relaxed) {
                    let answer = connection.exchange(&octets).unwrap();
                    match (answer.status, answer.code().as_str()) {
                        (401, "token_unknown") => good.fetch_add(1, Ordering::Relaxed),
                        (403, "register_withdrawn") => bad.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other:?}: {}", answer.json()),
                    };
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for swap in 0..50 {
        let (name, code) = match swap % 2 {
            0 => (&authorised, "token_unknown"),
            _ => (&withdrawn, "register_withdrawn"),
        };
        let began = Instant::now();
        assert!(register(&["accept", name, "--by", "Ada"], &config).status.success());
        scene.until(&mut connection, Some(code));
        slowest = slowest.max(began.elapsed());
        // Once one connection has seen it, every later request on any connection sees it.
        let again = scene.ask(&mut scene.connect());
        assert_eq!(again.code(), code, "swap {swap}");
    }
    over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let (good, bad) = (good.load(Ordering::Relaxed), bad.load(Ordering::Relaxed));
    assert!(good > 0 && bad > 0, "{good} {bad}");
    println!(
        "50 swaps: {good} allowed, {bad} withdrawn; slowest from `accept` to effect {slowest:?}"
    );
}

#[test]
fn a_decision_of_two_people_stands_above_the_registers_until_it_is_taken_back() {
    let scene = Scene::open();
    let mut connection = scene.connect();
    scene.publish(scene.without(&[SIREN]));
    scene.until(&mut connection, Some("register_withdrawn"));
    let config = scene.config();
    let add = ["override", "add", "PSDFR-ACPR-99901", "--authorised", "PS_05A"];
    let for_a_day = ["--until", "2099-01-01T00:00:00Z", "--because", "the ACPR's letter of today"];
    let tomorrow = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24)).to_string();
    let mut good = for_a_day;
    good[1] = &tomorrow;
    for (by, with) in [
        (&["--by", "Ada"][..], good),
        (&["--by", "Ada", "--by", "ada "], good),
        (&["--by", "Ada", "--by", "Bob"], for_a_day),
    ] {
        let refused = register(&[&add[..], &with, by].concat(), &config);
        assert_eq!(refused.status.code(), Some(2), "{by:?}: {}", text(&refused));
    }
    let added = register(&[&add[..], &good, &["--by", "Ada", "--by", "Bob"]].concat(), &config);
    assert!(added.status.success(), "{}", text(&added));
    scene.until(&mut connection, Some("token_unknown"));
    let answer = scene.ask(&mut connection);
    let record = scene.gateway.record_of(&answer);
    let checks = record["octroi.checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["source"] == "register_override"), "{record:#}");
    let event = &scene.events("register_override")[0];
    assert_eq!((&event["octroi.by"][0], &event["octroi.by"][1]), (&"Ada".into(), &"Bob".into()));
    let shown = text(&register(&["show", "PSDFR-ACPR-99901"], &config));
    assert!(shown.contains("override 1: authorised for PS_05A until"), "{shown}");
    assert!(shown.contains("withdrawn 2026-11-01"), "{shown}");
    assert!(register(&["override", "revoke", "1", "--by", "Ada"], &config).status.success());
    scene.until(&mut connection, Some("register_withdrawn"));
    assert_eq!(register(&["override", "list"], &config).status.code(), Some(1));
}

#[test]
fn a_register_that_grows_too_old_refuses_at_its_limit_and_serves_again_when_it_is_renewed() {
    let sandbox = Gateway::sandbox();
    // A TPP whom the EBA's register alone leads to.
    let token = sandbox.token("multi-role", "gilles", &[]);
    let place = sandbox.leave();
    fs::remove_dir_all(place.file("register/snapshots")).unwrap();
    let metadata = place.file("register/eba.metadata.json");
    let publish = |at: jiff::Timestamp| {
        fs::write(&metadata, serde_json::json!({ "timestamp": at.to_string() }).to_string())
            .unwrap();
    };
    let published = jiff::Timestamp::now();
    publish(published);
    let gateway = Gateway::run_in(place, |config| {
        let register = config["register"].as_table_mut().unwrap();
        register.remove("regafi");
        register.insert("fresh_for".to_owned(), "2s".into());
        register.insert("tolerated_for".to_owned(), "8s".into());
    });
    let mut connection = gateway.tpp("multi-role").connect(HOST).unwrap();
    let mut ask = || connection.exchange(&gateway.request(&token).octets()).unwrap();
    assert_eq!(ask().status, 200);
    eventually("the alarm before the end", || {
        gateway.metrics().contains("octroi_freshness_step{source=\"register\"} 1").then_some(())
    });
    assert_eq!(ask().status, 200, "tolerated");
    let refused = eventually("the end", || {
        let answer = ask();
        (answer.status == 503).then_some(answer)
    });
    let age = jiff::Timestamp::now().duration_since(published);
    assert_eq!(refused.code(), "register_stale");
    assert!(age >= jiff::SignedDuration::from_secs(8), "not before its limit: {age}");
    println!("F15: refused at an age of {age:#}, the limit is 8 s");
    publish(jiff::Timestamp::now());
    eventually("the renewed register", || (ask().status == 200).then_some(()));
}

#[test]
fn two_gateways_at_one_directory_take_in_the_same_snapshot() {
    let scene = Scene::open();
    let place = scene.gateway.place();
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    // The same registers too: a gateway whose own files were older would be held at the gate.
    let other = Gateway::run_in(sandbox.leave(), |config| {
        let mut register = place.config()["register"].as_table().unwrap().clone();
        let absolute = |value: &mut toml::Value| {
            *value = path_text(&place.file(value.as_str().unwrap())).into();
        };
        absolute(&mut register["directory"]);
        for (source, key) in [
            ("eba", "file"),
            ("eba", "metadata"),
            ("regafi", "entities"),
            ("regafi", "authorisations"),
        ] {
            absolute(&mut register[source][key]);
        }
        config.insert("register".to_owned(), register.into());
    });
    let client = other.tpp("multi-role");
    let mut connection = client.connect(HOST).unwrap();
    let mut code = || {
        let answer = connection.exchange(&other.request(&token).octets()).unwrap();
        answer.code()
    };
    // Its token is another TPP's; the register is asked before.
    assert_eq!(code(), "token_other_tpp");
    let before = scene.snapshot();
    scene.publish(scene.without(&["99999902"]));
    eventually("the other gateway", || (code() == "register_withdrawn").then_some(()));
    let after = scene.snapshot();
    assert_ne!(after, before);
    for gateway in [&scene.gateway, &other] {
        eventually("each to tell of it", || {
            let mut events = gateway.place().events();
            events.retain(|one| {
                one["event.action"] == "register_in_force" && one["octroi.subject"] == *after
            });
            (events.len() == 1).then_some(())
        });
    }
}
