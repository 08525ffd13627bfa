//! The balance-oracle guard: who looks for a balance is told from who shops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use harness::client::{Answer, Connection};
use harness::eventually;
use harness::gateway::{GILLES_IBAN, Gateway, HOST, Place};
use harness::oauth::{App, GILLES};
use harness::redis_server::RedisServer;
use harness::upstream::{Manner, Upstream};

const REPEATED: &str = "octroi-answered-before";

fn guarded(config: &mut toml::Table, mode: &str) {
    let mut guard = toml::Table::from_iter([("mode".to_owned(), mode.into())]);
    guard.insert("slow_by".to_owned(), "10ms".into());
    config.insert("balance_guard".to_owned(), guard.into());
    // The quota is not what is tested.
    for (_, rule) in config["quota"].as_table_mut().unwrap() {
        rule["requests"] = 10_000.into();
        rule.as_table_mut().unwrap().insert("burst".to_owned(), 10_000.into());
    }
}

/// A TPP on one connection.
struct Asker<'g> {
    gateway: &'g Gateway,
    connection: Connection,
    token: String,
}

impl<'g> Asker<'g> {
    fn of(gateway: &'g Gateway) -> Self {
        Self::with(gateway, App::of(gateway, "funds-co").pair(GILLES).access)
    }

    fn with(gateway: &'g Gateway, token: String) -> Self {
        Self { gateway, connection: gateway.tpp("funds-co").connect(HOST).unwrap(), token }
    }

    fn ask(&mut self, id: &str, cents: u64) -> Answer {
        let amount = format!("{}.{:02}", cents / 100, cents % 100);
        self.send(&format!(
            r#"{{"paymentCoverageRequestId":"{id}","instructedAmount":{{"currency":"EUR","amount":"{amount}"}},"accountId":{{"iban":"{GILLES_IBAN}"}}}}"#
        ))
    }

    fn send(&mut self, body: &str) -> Answer {
        let mut request = self.gateway.request(&self.token);
        request.body = body.to_owned();
        self.connection.exchange(&request.octets()).unwrap()
    }

    /// Looks for the balance below a ceiling by halves, until it is known to within 5 % or refused:
    /// what is known then, and the refusal.
    fn bisect(&mut self, ceiling: u64) -> (u64, u64, Option<Answer>) {
        let (mut low, mut high) = (0, ceiling);
        for number in 0.. {
            if (high - low) * 20 <= high {
                break;
            }
            let middle = u64::midpoint(low, high);
            let answer = self.ask(&format!("bisect-{number}"), middle);
            if answer.status != 200 {
                return (low, high, Some(answer));
            }
            if answer.json()["result"].as_bool().unwrap() { low = middle } else { high = middle }
        }
        (low, high, None)
    }
}

fn count(gateway: &Gateway, sign: &str, action: &str) -> u64 {
    let name = format!("octroi_balance_probing_total{{action=\"{action}\",sign=\"{sign}\"}} ");
    let metrics = gateway.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("{name}")).parse().unwrap()
}

#[test]
fn a_search_by_halves_is_refused_before_it_knows_the_balance() {
    let gateway = Gateway::configured(|config| guarded(config, "enforce"));
    let mut asker = Asker::of(&gateway);
    let (low, high, refused) = asker.bisect(100_000_000);
    let refused = refused.expect("it is refused");
    assert!((high - low) * 20 > high, "{low} {high}");
    assert_eq!((refused.status, refused.code().as_str()), (429, "balance_probing"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((60..=24 * 3600).contains(&wait), "{wait}");
    // The same again, under other names, is no way around.
    let middle = u64::midpoint(low, high);
    for name in ["again-1", "again-2"] {
        assert_eq!(asker.ask(name, middle).code(), "balance_probing");
    }
    // What teaches nothing is answered.
    assert_eq!(asker.ask("known", low).status, 200);
    let record = gateway.record_of(&refused);
    assert_eq!(record["event.reason"], "balance_probing");
    assert_eq!(record["octroi.probing"]["action"], "refuse");
    assert_eq!(record["octroi.probing"]["enforced"], true);
    assert!(record["octroi.iban_hmac"].is_string(), "{record}");
    let check = record["octroi.checks"].as_array().unwrap().last().unwrap();
    assert_eq!((&check["check"], &check["passed"]), (&"balance_probing".into(), &false.into()));
    let signs = ["converging", "growing_precision"];
    let counted: u64 = signs.map(|sign| count(&gateway, sign, "refuse")).iter().sum();
    assert_eq!(counted, 3);
}

#[test]
fn a_search_is_only_told_where_the_guard_observes_which_it_does_by_itself() {
    let gateway = Gateway::configured(|config| {
        guarded(config, "observe");
        config["balance_guard"].as_table_mut().unwrap().remove("mode");
    });
    let (low, high, refused) = Asker::of(&gateway).bisect(100_000_000);
    assert!(refused.is_none(), "{refused:?}");
    assert!((high - low) * 20 <= high);
    let told = eventually("the record of it", || {
        let records = gateway.place().audit();
        records.into_iter().find(|record| record["octroi.probing"]["action"] == "refuse")
    });
    assert_eq!(
        (&told["octroi.outcome"], &told["octroi.probing"]["enforced"]),
        (&"allowed".into(), &false.into())
    );
    let check = told["octroi.checks"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&check["check"], &check["warning"]),
        (&"balance_probing".into(), &"balance_probing".into())
    );
}

#[test]
fn where_the_guard_is_off_nothing_is_told() {
    let gateway = Gateway::configured(|config| guarded(config, "off"));
    let (.., refused) = Asker::of(&gateway).bisect(100_000_000);
    assert!(refused.is_none());
    assert!(gateway.place().audit().iter().all(|record| record["octroi.probing"].is_null()));
}

#[test]
fn a_day_of_shopping_raises_nothing() {
    let gateway = Gateway::configured(|config| guarded(config, "enforce"));
    let mut asker = Asker::of(&gateway);
    let basket = [1_290, 450, 2_999, 450, 10_000, 6_480, 1_290, 875, 450, 3_995, 12_000, 2_999];
    for (number, cents) in basket.into_iter().enumerate() {
        let answer = asker.ask(&format!("shop-{number}"), cents);
        assert_eq!(answer.status, 200, "{number}");
        assert!(gateway.record_of(&answer)["octroi.probing"].is_null(), "{number}");
    }
}

#[test]
fn a_repeated_question_is_answered_without_asking_the_bank_and_another_one_is_refused() {
    let bank = Upstream::start(Manner::default());
    let gateway = Gateway::configured(|config| {
        guarded(config, "enforce");
        bank_at(config, &bank);
    });
    let mut asker = Asker::of(&gateway);
    let first = asker.ask("once", 5_000);
    assert_eq!((first.status, first.header(REPEATED)), (200, None));
    let again = eventually("the answer is kept", || {
        let again = asker.ask("once", 5_000);
        again.header(REPEATED).is_some().then_some(again)
    });
    let heard = bank.heard().len();
    assert_eq!(again.body, first.body);
    // Another order, other blanks, another spelling of the amount: the same question.
    let spelt = format!(
        r#" {{"accountId": {{"iban":"{GILLES_IBAN}"}}, "instructedAmount":{{"amount":"50.0","currency":"EUR"}}, "paymentCoverageRequestId":"once"}}"#
    );
    let spelt = asker.send(&spelt);
    assert_eq!(spelt.header(REPEATED), again.header(REPEATED));
    let record = gateway.record_of(&spelt);
    assert_eq!(record["octroi.outcome"], "allowed");
    assert_eq!(record["octroi.answered_before"], again.header(REPEATED).unwrap());
    assert_eq!(record["server.address"], serde_json::Value::Null);
    let other = asker.ask("once", 5_001);
    assert_eq!((other.status, other.code().as_str()), (429, "balance_probing"));
    assert_eq!(gateway.record_of(&other)["octroi.probing"]["sign"], "repeated_id");
    assert_eq!(bank.heard().len(), heard);
}

fn bank_at(config: &mut toml::Table, bank: &Upstream) {
    for codetab in config["codetab"].as_array_mut().unwrap() {
        if codetab["code"].as_str() == Some("17515") {
            codetab["upstream"] = bank.settings().into();
        }
    }
}

fn shared(place: Place, redis: &RedisServer, bank: &Upstream) -> Gateway {
    Gateway::run_in(place, |config| {
        guarded(config, "enforce");
        bank_at(config, bank);
        config.insert("store".to_owned(), redis.settings().into());
        config["listen"]["psu"]["public_url"] = "https://localhost:8444".into();
        config["authorization"]["issuer"] =
            "https://www.{codetab}.sandbox.api.localhost:8444".into();
        config["authorization"]["tpp_url"] =
            "https://www.{codetab}.sandbox.api.localhost:8443".into();
    })
}

#[test]
fn two_gateways_on_one_redis_see_one_search_and_repeat_each_others_answers() {
    let (redis, bank) = (RedisServer::start(), Upstream::start(Manner::default()));
    let place = Gateway::sandbox().leave();
    let copy = place.copy();
    let (one, other) = (shared(place, &redis, &bank), shared(copy, &redis, &bank));
    let token = App::of(&one, "funds-co").pair(GILLES).access;
    let (mut here, mut there) =
        (Asker::with(&one, token.clone()), Asker::with(&other, token.clone()));
    let first = here.ask("once", 1_000);
    assert_eq!(first.status, 200);
    let again = eventually("the answer is kept for both", || {
        let again = there.ask("once", 1_000);
        again.header(REPEATED).is_some().then_some(again)
    });
    assert_eq!(again.body, first.body);
    assert_eq!(there.ask("once", 1_001).code(), "balance_probing");
    // This bank says yes to everything: a scan upwards, by turns.
    let refused = (0..29_u64).find_map(|number| {
        let asker = if number % 2 == 0 { &mut here } else { &mut there };
        let answer = asker.ask(&format!("up-{number}"), 10_000 + number * 400);
        (answer.status != 200).then(|| answer.code())
    });
    assert_eq!(refused.as_deref(), Some("balance_probing"));
    // Nothing in Redis tells whose account it is, or what was answered.
    let stored = stored(&redis, "octroi:questions:*");
    assert!(stored.windows(4).any(|part| part == b"1 q "));
    for clear in [GILLES_IBAN, "result", "once", "PSDFR"] {
        let found = stored.windows(clear.len()).any(|part| part == clear.as_bytes());
        assert!(!found, "{clear}");
    }
}

/// All keys that match, with what they hold.
fn stored(redis: &RedisServer, pattern: &str) -> Vec<u8> {
    let mut connection = redis.connection();
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query(&mut connection).unwrap();
    let mut stored = Vec::new();
    for key in keys {
        stored.extend_from_slice(key.as_bytes());
        let kind: String = redis::cmd("TYPE").arg(&key).query(&mut connection).unwrap();
        if kind == "list" {
            let range = redis::cmd("LRANGE").arg(&key).arg(0).arg(-1).query(&mut connection);
            let lines: Vec<Vec<u8>> = range.unwrap();
            stored.extend(lines.concat());
        } else {
            let value = redis::cmd("GET").arg(&key).query::<Vec<u8>>(&mut connection).unwrap();
            stored.extend(value);
        }
    }
    stored
}
