//! Everything that changes under a running gateway, one after the other, while clients of all manners go
//! on asking: the figures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use harness::bounds::Bounds;
use harness::eventually;
use harness::gateway::Gateway;
use harness::stock::StockPingora;
use harness::succession::{Succession, some};
use harness::travellers::{Went, failed, tally};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::{X509, X509Name};

/// Of each of the three manners.
const CLIENTS: usize = 22;
const RELOADS: u64 = 20;
const LENGTH: Duration = Duration::from_secs(60);

/// A server certificate that stands for itself, with its key.
fn pair() -> (Vec<u8>, Vec<u8>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, "renewed").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, openssl::bn::MsbOption::ONE, false).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(30).unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    (builder.build().to_pem().unwrap(), key.private_key_to_pem_pkcs8().unwrap())
}

fn count(gateway: &Gateway, series: &str) -> u64 {
    let metrics = gateway.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    line.and_then(|rest| rest.trim().parse().ok()).unwrap_or_default()
}

const TAKEN: &str = "octroi_config_reloads_total{outcome=\"ok\"} ";
const REFUSED: &str = "octroi_config_reloads_total{outcome=\"failed\"} ";
const RENEWED: &str = "octroi_server_certificate_renewals_total{listener=\"tpp\",outcome=\"ok\"} ";

/// Another bound, put in force by SIGHUP; how long it took.
fn reload(gateway: &Gateway, bytes: u64) -> Duration {
    let mut config = gateway.config();
    config["limits"]["body_bytes_max"] = i64::try_from(bytes).unwrap().into();
    write(gateway, &toml::to_string(&config).unwrap());
    let before = count(gateway, TAKEN);
    let began = Instant::now();
    gateway.signal("HUP");
    eventually("it is in force", || (count(gateway, TAKEN) > before).then_some(()));
    began.elapsed()
}

fn write(gateway: &Gateway, text: &str) {
    let new = gateway.place().file("new.toml");
    fs::write(&new, text).unwrap();
    fs::rename(new, gateway.config_file()).unwrap();
}

fn hold(bounds: &mut Bounds, scene: &Succession, went: &[Went]) {
    println!("{} requests: {:?}; refused: {:?}", went.len(), tally(went), scene.reasons());
    bounds.at_most("requests that failed", 0.0, "", failed(went) as f64);
    let (lost, doubled) = scene.in_the_log(went);
    bounds.at_most("answers without a record", 0.0, "", lost as f64);
    bounds.at_most("records too many", 0.0, "", doubled as f64);
    let (unheard, twice) = scene.at_the_bank(went);
    bounds.at_most("answered and unknown to the bank", 0.0, "", unheard as f64);
    bounds.at_most("heard twice by the bank", 0.0, "", twice as f64);
}

#[test]
#[ignore = "prints figures"]
fn a_minute_of_reloads_a_renewal_an_upgrade_and_sigterm() {
    let mut bounds = Bounds::of("64 clients");
    let mut scene = Succession::start("5s");
    let (certificate, key) = pair();
    let both = scene.gateways[0].place().file("both-cas.pem");
    let ca = fs::read(scene.gateways[0].server_ca()).unwrap();
    fs::write(&both, [&ca[..], &certificate].concat()).unwrap();
    let load = scene.load(CLIENTS, &both);
    let began = Instant::now();
    some(&load, 500);
    for round in 0..RELOADS {
        let took = reload(&scene.gateways[0], 4_000 + round);
        bounds.at_most("until a reload is in force", 5.0, "s", took.as_secs_f64());
        if round == RELOADS / 3 {
            let server = |name: &str| scene.gateways[0].place().file(&format!("server/{name}"));
            fs::write(server("server.key"), &key).unwrap();
            fs::write(server("server.pem"), &certificate).unwrap();
            let began = Instant::now();
            let gateway = &scene.gateways[0];
            eventually("it is renewed", || (count(gateway, RENEWED) > 0).then_some(()));
            bounds.at_most(
                "until a certificate is in use",
                5.0,
                "s",
                began.elapsed().as_secs_f64(),
            );
        }
        if round == RELOADS * 2 / 3 {
            let ended = scene.gateways[0].upgrade();
            assert!(ended(&mut scene.gateways[0]));
        }
        let due = LENGTH.mul_f64(0.8 / RELOADS as f64 * (round + 1) as f64);
        thread::sleep(due.saturating_sub(began.elapsed()));
    }
    let took = scene.drain_first();
    bounds.at_most("until it is gone after SIGTERM", 30.0, "s", took.as_secs_f64());
    thread::sleep(LENGTH.saturating_sub(began.elapsed()));
    let went = load.stop();
    hold(&mut bounds, &scene, &went);
    bounds.hold();
}

#[test]
#[ignore = "prints figures"]
fn f23_ten_upgrades_under_load() {
    let mut bounds = Bounds::of("F23");
    let mut scene = Succession::start("1s");
    let load = scene.load(6, &scene.gateways[0].server_ca());
    some(&load, 500);
    for _ in 0..10 {
        let ended = scene.gateways[0].upgrade();
        some(&load, 200);
        assert!(ended(&mut scene.gateways[0]), "{}", scene.gateways[0].place().log());
        some(&load, 200);
    }
    let went = load.stop();
    hold(&mut bounds, &scene, &went);
    bounds.hold();
}

/// The same clients before a stock Pingora that hands over as often.
#[test]
#[ignore = "prints figures"]
fn f23_a_stock_pingora_beside_it() {
    let scene = Succession::start("1s");
    let gateway = &scene.gateways[0];
    let mut stock = StockPingora::start(gateway.place(), scene.bank.address);
    *scene.way.lock().unwrap() = stock.address;
    let load = scene.load(6, &gateway.server_ca());
    some(&load, 500);
    for _ in 0..10 {
        assert!(stock.upgrade());
        some(&load, 400);
    }
    let went = load.stop();
    let (unheard, twice) = scene.at_the_bank(&went);
    println!(
        "stock: {} requests, {} failed, {unheard} answered and unknown to the bank, {twice} heard twice: {:?}",
        went.len(),
        failed(&went),
        tally(&went)
    );
}

#[test]
#[ignore = "prints figures"]
fn f24_certificates_limits_and_broken_files_under_load() {
    let mut bounds = Bounds::of("F24");
    let scene = Succession::start("1s");
    let gateway = &scene.gateways[0];
    let (certificate, key) = pair();
    let both = gateway.place().file("both-cas.pem");
    fs::write(&both, [fs::read(gateway.server_ca()).unwrap(), certificate.clone()].concat())
        .unwrap();
    let load = scene.load(6, &both);
    some(&load, 500);
    let server = |name: &str| gateway.place().file(&format!("server/{name}"));
    fs::write(server("server.pem"), "no certificate").unwrap();
    some(&load, 1_000);
    fs::write(server("server.key"), &key).unwrap();
    fs::write(server("server.pem"), &certificate).unwrap();
    let began = Instant::now();
    eventually("it is renewed", || (count(gateway, RENEWED) > 0).then_some(()));
    bounds.at_most("until a certificate is in use", 5.0, "s", began.elapsed().as_secs_f64());
    for round in 0..5 {
        let took = reload(gateway, 5_000 + round);
        bounds.at_most("until a bound is in force", 5.0, "s", took.as_secs_f64());
        some(&load, 200);
    }
    let anchors = gateway.place().file("qtsp/anchors.pem");
    let sound = fs::read(&anchors).unwrap();
    let (sound_config, refused) = (gateway.config(), count(gateway, REFUSED));
    fs::write(&anchors, "no certificate").unwrap();
    eventually("the anchors are refused", || (count(gateway, REFUSED) > refused).then_some(()));
    some(&load, 500);
    fs::write(&anchors, &sound).unwrap();
    write(gateway, "no = [configuration");
    eventually("the file is refused", || (count(gateway, REFUSED) > refused + 1).then_some(()));
    some(&load, 500);
    write(gateway, &toml::to_string(&sound_config).unwrap());
    let went = load.stop();
    hold(&mut bounds, &scene, &went);
    bounds.hold();
}
