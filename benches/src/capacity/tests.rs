//! What must hold for any costs, and cases small enough to be worked out by hand.

use super::costs::{Bare, Costs, Gateway, Redis};
use super::gateways::{Fleet, Storm};
use super::outage::Outage;
use super::question::{Loss, Question, ServerKey, Switch};
use super::redis::{Masters, Traffic};
use super::{Plan, tables};

/// Round figures, to reckon with.
fn costs() -> Costs {
    Costs {
        machine: "a made-up machine".to_owned(),
        measured_on: "2026-11-21".to_owned(),
        runs: 1,
        gateway: Gateway {
            request_us: 100.0,
            request_with_script_us: 150.0,
            request_with_cold_token_us: 200.0,
            invalidation_us: 2.0,
            handshake_p256_us: 1_000.0,
            handshake_rsa2048_us: 2_000.0,
            connection_bytes: 100_000.0,
            process_bytes: 50e6,
            codetab_bytes: 1_000.0,
            audit_bytes: 1_000.0,
        },
        bare: Bare {
            request_us: 50.0,
            handshake_p256_us: 500.0,
            handshake_rsa2048_us: 1_500.0,
            connection_bytes: 80_000.0,
        },
        redis: Some(Redis {
            read_us: 10.0,
            take_us: 20.0,
            window_us: 30.0,
            transact_us: 40.0,
            sign_us: 20.0,
            sign_each_us: 0.5,
            invalidation_us: 0.5,
            work_share: 0.4,
            read_bytes: 700.0,
            take_bytes: 300.0,
            invalidation_bytes: 100.0,
            token_bytes: 600.0,
            consent_bytes: 1_500.0,
            bucket_bytes: 200.0,
            window_bytes: 500.0,
        }),
    }
}

/// Everything warm, no guard, nothing that Redis is asked for but leases.
fn plain(requests: f64) -> Question {
    Question {
        warm_tokens: Some(1.0),
        guard: Switch::Off,
        survive: Loss::Nothing,
        token_life: 1e12,
        ..Question::standard(requests, 18).unwrap()
    }
}

fn machines(question: &Question) -> u32 {
    Fleet::for_peak(question, &costs()).unwrap().machines
}

#[test]
fn a_small_case_is_what_one_reckons_by_hand() {
    // 30 000 × 100 µs = 3 cores for requests, 300 connections × 1 ms = 0.3 cores for handshakes, 1 000
    // scripts for each gateway × 50 µs = 0.05 cores: 3.3 cores and a little. At 60 % of 4 cores: 2.
    let question = Question { cores: 4, ..plain(30_000.0) };
    let fleet = Fleet::for_peak(&question, &costs()).unwrap();
    assert_eq!(fleet.machines, 2);
    let scripts: f64 = 50e-6 * Traffic::of(&question, 2).takes;
    let used = (3.3 + scripts) / 8.0;
    assert!((fleet.utilisation - used).abs() < 0.001, "{fleet:?}, by hand {used}");
    // Each of 300 new connections in a second lasts 0.05 + 99 × 0.5 seconds.
    assert!((question.open_connections() - 300.0 * 49.55).abs() < 1e-6);
    assert!((fleet.connections - 150.0 * 49.55).abs() < 1e-6);
}

#[test]
fn more_requests_never_need_fewer_machines_or_masters() {
    for survive in [Loss::Nothing, Loss::Machine, Loss::Zone] {
        let (mut last, mut masters_before) = (0, 0);
        for requests in [100.0, 5_000.0, 10_000.0, 20_000.0, 50_000.0, 100_000.0, 400_000.0] {
            let question = Question { survive, ..Question::standard(requests, 300).unwrap() };
            let plan = Plan::of(&question, &costs());
            let (fleet, redis) = (plan.fleet.unwrap(), plan.redis.unwrap());
            assert!(fleet.machines >= last, "{survive}, {requests}: {} < {last}", fleet.machines);
            let masters = redis.parts * redis.masters.unwrap();
            assert!(masters >= masters_before, "{requests}: {masters} < {masters_before}");
            (last, masters_before) = (fleet.machines, masters);
        }
    }
}

#[test]
fn a_greater_loss_an_rsa_key_and_the_guard_need_as_many_machines_or_more() {
    let nothing = plain(200_000.0);
    let machine = Question { survive: Loss::Machine, ..nothing.clone() };
    let zone = Question { survive: Loss::Zone, ..nothing.clone() };
    let rsa = Question { server_key: ServerKey::Rsa2048, ..zone.clone() };
    let guard = Question { guard: Switch::On, ..rsa.clone() };
    let all = [nothing, machine, zone, rsa, guard].map(|question| machines(&question));
    assert!(all.is_sorted(), "{all:?}");
    assert!(all[4] > all[0], "{all:?}");
}

#[test]
fn handshakes_are_the_load_when_each_connection_carries_one_request() {
    let reused = plain(50_000.0);
    let once = Question { requests_per_connection: 1.0, ..reused.clone() };
    let of = |question: &Question| Fleet::for_peak(question, &costs()).unwrap();
    assert!(of(&reused).handshake_share < 0.1);
    assert!(of(&once).handshake_share > 0.85, "{:?}", of(&once));
    assert!(of(&once).machines > 5 * of(&reused).machines);
}

#[test]
fn every_cut_connection_comes_back_once_and_a_slow_load_balancer_spreads_them() {
    let question = Question { survive: Loss::Zone, ..plain(100_000.0) };
    let storm = Storm::over(&question, &costs(), 9);
    assert!((storm.handshakes - question.open_connections() / 3.0).abs() < 1e-6, "{storm:?}");
    assert!(storm.busiest_second <= storm.handshakes);
    // Within one second all of them fall into it.
    let at_once = Storm::over(&Question { detection: 1.0, ..question.clone() }, &costs(), 9);
    assert!((at_once.busiest_second - at_once.handshakes).abs() < 1.0, "{at_once:?}");
    assert!(at_once.worst_wait >= storm.worst_wait);
}

#[test]
fn the_storm_decides_where_connections_are_many_and_requests_few() {
    // 100 000 idle connections: 100 CPU seconds of handshakes, of which two thirds stay.
    let question = Question { request_interval: 20.0, detection: 2.0, ..plain(5_000.0) };
    let zone = Question { survive: Loss::Zone, ..question.clone() };
    let unhurried = Question { wait_after_loss: 1e6, ..zone.clone() };
    assert!(machines(&zone) > machines(&unhurried), "{} {}", machines(&zone), machines(&unhurried));
    let fleet = Fleet::for_peak(&zone, &costs()).unwrap();
    let after = fleet.after_loss.unwrap();
    assert!(after.storm.worst_wait <= zone.wait_after_loss, "{after:?}");
}

#[test]
fn requests_are_counted_once_by_path() {
    let question = Question { leases: Switch::Off, ..Question::standard(20_000.0, 18).unwrap() };
    let traffic = Traffic::of(&question, 4);
    assert!((traffic.takes - 20_000.0).abs() < 1e-6, "one script for each request");
    assert!((traffic.guards - 20_000.0).abs() < 1e-6);
    assert!((traffic.cold_reads + traffic.warm * 20_000.0 - 20_000.0).abs() < 1e-6);
    assert!((question.tpp_shares().iter().sum::<f64>() - 1.0).abs() < 1e-9);
    let leased = Traffic::of(&Question { leases: Switch::On, ..question.clone() }, 4);
    // 500 TPPs, four gateways, two questions in a second at most.
    assert!(leased.takes <= 4_000.0 && leased.takes < traffic.takes, "{leased:?}");
    let cpu = Masters::of(&question, costs().redis.as_ref().unwrap(), 4).cpu;
    let paths = cpu.cold_reads + cpu.takes + cpu.guards + cpu.refreshes + cpu.invalidations;
    assert!((cpu.all() - paths - cpu.signs).abs() < 1e-12);
}

#[test]
fn one_master_bears_a_small_load_and_one_great_tpp_is_divided_by_codetabs() {
    let redis = costs().redis.unwrap();
    let small = Masters::of(&plain(1_000.0), &redis, 3);
    assert_eq!((small.parts, small.masters), (1, Some(1)));
    // 200 000 × 0.15 × 30 µs = 0.9 cores for the limits of the largest TPP alone: no master bears that
    // in one slot.
    let large = Question { leases: Switch::Off, ..plain(200_000.0) };
    let large = Masters::of(&large, &redis, 9);
    assert!(large.parts > 1, "{large:?}");
    assert!(large.busiest <= 0.5 && large.largest_tpp_max >= 0.15, "{large:?}");
}

#[test]
fn questions_of_the_guard_are_spread_over_the_masters_of_a_cluster() {
    let redis = costs().redis.unwrap();
    let watched = Question { guard: Switch::On, ..plain(100_000.0) };
    let watched = Masters::of(&watched, &redis, 9);
    assert_eq!(watched.parts, 1, "accounts are many: no TPP's slot bears them all");
    assert!(watched.masters > Some(1), "{watched:?}");
}

#[test]
fn memory_is_what_the_records_take_and_half_as_much_again() {
    let redis = costs().redis.unwrap();
    let question = Question { consents: Some(2e6), tpps: 10, ..plain(1_000.0) };
    let masters = Masters::of(&question, &redis, 3);
    // 2 000 000 × 1 500 octets and ten buckets.
    assert!((masters.records_gb - 3.000_002).abs() < 1e-9, "{masters:?}");
    assert!((masters.memory_gb - 1.5 * masters.records_gb).abs() < 1e-9);
}

#[test]
fn signs_of_life_matter_where_their_square_does() {
    let redis = costs().redis.unwrap();
    let gateways = Masters::of(&plain(1_000.0), &redis, 3).gateways_by_signs;
    let cores = gateways / 0.225 * (redis.sign_us + (gateways - 1.0) * redis.sign_each_us) / 1e6;
    assert!((cores - 0.1).abs() < 1e-6, "{gateways} gateways: {cores}");
}

#[test]
fn in_an_outage_every_request_is_served_or_refused_and_warm_tokens_serve() {
    let few = Question { consents: Some(10_000.0), ..Question::standard(10_000.0, 18).unwrap() };
    let many = Question { consents: Some(50e6), ..few.clone() };
    let (few, many) = (Outage::simulated(&few, 3), Outage::simulated(&many, 3));
    for outage in [few, many] {
        let all = outage.served + outage.token_refused + outage.limit_refused;
        assert!((all - 1.0).abs() < 1e-9, "{outage:?}");
    }
    assert!(few.token_refused < 0.01, "each token is used every three seconds: {few:?}");
    assert!(many.token_refused > 0.9, "{many:?}");
    // 1.5 of 7 seconds without any limit, less what a lease holds.
    assert!((0.1..0.22).contains(&few.limit_refused), "{few:?}");
}

#[test]
fn the_same_question_has_the_same_answer() {
    let question = Question::standard(50_000.0, 300).unwrap();
    assert_eq!(Plan::of(&question, &costs()), Plan::of(&question, &costs()));
}

#[test]
fn without_a_measured_redis_nothing_is_said_of_it() {
    let costs = Costs { redis: None, ..costs() };
    let question = Question::standard(10_000.0, 18).unwrap();
    let plan = Plan::of(&question, &costs);
    assert!(plan.redis.is_none() && plan.fleet.is_some());
    assert!(tables::detailed(&question, &costs, &plan).contains("Redis was not measured"));
}

/// `OCTROI_BLESS=1 cargo test -p octroi-benches` writes the tables of the page anew.
#[test]
fn the_page_of_the_book_shows_what_the_program_prints() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/operating/how-many-machines.md");
    let mut page = std::fs::read_to_string(file).unwrap();
    let costs = Costs::built_in().unwrap();
    let question = Question::standard(10_000.0, 18).unwrap();
    let shown = [
        ("measured", tables::measured(&costs)),
        ("standard", tables::standard(&question, &costs)),
        ("one", tables::detailed(&question, &costs, &Plan::of(&question, &costs))),
    ];
    if std::env::var_os("OCTROI_BLESS").is_some() {
        for (name, made) in &shown {
            let mark = format!("<!-- {name} -->\n```text\n");
            let (before, rest) = page.split_once(&mark).unwrap();
            let (_, after) = rest.split_once("```\n").unwrap();
            page = format!("{before}{mark}{}\n```\n{after}", made.trim_end());
        }
        std::fs::write(file, &page).unwrap();
    }
    for (name, made) in shown {
        let block = format!("<!-- {name} -->\n```text\n{}\n```\n", made.trim_end());
        assert!(page.contains(&block), "{name} is out of date: run with OCTROI_BLESS=1\n{block}");
    }
}
