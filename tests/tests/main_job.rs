//! The main job: a TPP asks whether the funds are there, and is answered or told why not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use harness::client::{Answer, Client};
use harness::gateway::{CODETABS, GILLES_IBAN, Gateway, HOST, LEA_IBAN, PATH, body, path_text};
use harness::{eventually, run};
use serde_json::Value;

/// One sandbox for tests that do not mind each other's requests. It ends with the last of them: what
/// stands in a static is never dropped, and would outlive the tests.
fn shared() -> Arc<Gateway> {
    static SHARED: Mutex<Weak<Gateway>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let gateway = Arc::new(Gateway::sandbox());
        *shared = Arc::downgrade(&gateway);
        gateway
    })
}

/// Each TPP of the sandbox that is refused, and why.
const FAULTY: [(&str, &str, u16); 7] = [
    ("account-info", "role_missing", 403),
    ("withdrawn", "register_withdrawn", 403),
    ("unknown", "register_unknown", 403),
    ("expired", "certificate_expired", 403),
    ("revoked", "certificate_revoked", 403),
    ("untrusted", "certificate_untrusted", 403),
    ("no-psd2", "certificate_not_qwac", 403),
];

fn funds(persona: &str, iban: &str, amount: &str) -> Answer {
    let shared = shared();
    let token = shared.token("funds-co", persona, &[]);
    let mut request = shared.request(&token);
    request.body = body(iban, amount);
    shared.tpp("funds-co").send(&request)
}

#[test]
fn a_tpp_learns_whether_the_balance_covers_the_amount() {
    for (persona, iban, amount, covered) in [
        ("gilles", GILLES_IBAN, "100", true),
        ("gilles", GILLES_IBAN, "11880.30", true),
        ("gilles", GILLES_IBAN, "11880.31", false),
        ("lea", LEA_IBAN, "0.01", false),
        ("georges", "FR7617515000920400085945890", "10", true),
        ("claire", "FR7617515900000400358074026", "0.01", false),
        ("claire", "FR7617515900000800358074006", "23766.98", true),
    ] {
        let answer = funds(persona, iban, amount);
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(answer.json()["result"], covered, "{persona} {amount}");
        let sent: Value = serde_json::from_str(&body(iban, amount)).unwrap();
        assert_eq!(answer.json()["request"], sent);
        assert_eq!(answer.json()["_links"]["self"]["href"], PATH);
        let media = answer.header("content-type").unwrap();
        assert_eq!(media, "application/hal+json; charset=utf-8");
    }
}

#[test]
fn an_account_that_is_not_the_customers_is_unknown_and_told_by_the_bank() {
    let shared = shared();
    for (persona, iban) in [("lea", GILLES_IBAN), ("gilles", "FR7630006000011234567890189")] {
        let answer = funds(persona, iban, "1");
        assert_eq!((answer.status, answer.code().as_str()), (404, "account_unknown"));
        assert_eq!(shared.record_of(&answer)["event.reason"], "account_unknown");
    }
}

#[test]
fn a_renewed_certificate_uses_the_tokens_of_the_one_before() {
    let shared = shared();
    let token = shared.token("funds-co", "gilles", &[]);
    let answer = shared.tpp("renewed").send(&shared.request(&token));
    assert_eq!(answer.status, 200);
}

#[test]
fn the_leaf_alone_is_enough() {
    let shared = shared();
    let token = shared.token("funds-co", "gilles", &[]);
    let identity = shared.place().file("tpp/funds-co");
    let client = Client::leaf_only(shared.addresses.tpp, &shared.server_ca(), &identity);
    assert_eq!(client.send(&shared.request(&token)).status, 200);
}

#[test]
fn each_faulty_tpp_reads_its_own_code_in_body_record_metric_and_explanation() {
    let shared = shared();
    let token = shared.token("funds-co", "gilles", &[]);
    for (name, code, status) in FAULTY {
        let answer = shared.tpp(name).send(&shared.request(&token));
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{name}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(shared.record_of(&answer)["event.reason"], code);
        let counted = shared.metrics();
        let line = counted.lines().find(|line| line.contains(&format!("reason=\"{code}\"")));
        assert!(line.is_some_and(|line| !line.ends_with(" 0")), "{name}: {line:?}");

        let explained = explain(name, &["--token", &token]);
        assert_eq!(explained["code"], code, "{explained:#}");
        assert_eq!(explained["status"], status);
    }
}

fn explain(tpp: &str, further: &[&str]) -> Value {
    let shared = shared();
    let place = shared.place();
    let (config, pem) = (place.file("octroi.toml"), place.file(&format!("tpp/{tpp}/qwac.pem")));
    let fixed = [
        "explain",
        "--output",
        "json",
        "--config",
        path_text(&config),
        "--certificate",
        path_text(&pem),
        "--host",
        HOST,
        "--path",
        PATH,
    ];
    let output = run(&[&fixed, further].concat());
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn explain_allows_what_the_gateway_allows_and_asks_the_running_gateway_for_the_token() {
    let shared = shared();
    let token = shared.token("funds-co", "gilles", &[]);
    let explained = explain("funds-co", &["--token", &token]);
    assert_eq!(explained["verdict"], "allowed", "{explained:#}");
    let unknown = explain("funds-co", &["--token", "a-token-that-nobody-issued"]);
    assert_eq!(unknown["code"], "token_unknown");
    assert_eq!(explain("funds-co", &[])["code"], "token_missing");
    assert_eq!(explain("multi-role", &["--token", &token])["code"], "token_other_tpp");
}

#[test]
fn each_of_the_eighteen_codetabs_answers_at_its_own_host_with_its_own_bank() {
    let shared = shared();
    let mut banks = Vec::new();
    for codetab in CODETABS {
        let token = shared.token("funds-co", "gilles", &["--codetab", codetab]);
        let mut request = shared.request(&token);
        request.host = format!("www.{codetab}.sandbox.api.localhost");
        let answer = shared.tpp("funds-co").send(&request);
        // Gilles has his accounts at one of them; the others do not know him.
        assert_eq!(answer.status, if codetab == "17515" { 200 } else { 404 }, "{codetab}");
        let record = shared.record_of(&answer);
        assert_eq!(record["octroi.codetab"], codetab);
        banks.push(record["server.address"].as_str().unwrap().to_owned());

        let elsewhere = if codetab == "17515" { "11315" } else { "17515" };
        let other = shared.token("funds-co", "gilles", &["--codetab", elsewhere]);
        request.token = Some(other);
        assert_eq!(shared.tpp("funds-co").send(&request).code(), "token_other_bank");
    }
    banks.sort();
    banks.dedup();
    assert_eq!(banks.len(), CODETABS.len(), "each codetab has an upstream of its own");
}

#[test]
fn a_host_that_is_unknown_retired_or_not_the_sni_is_refused_by_name() {
    let shared = shared();
    let token = shared.token("funds-co", "gilles", &[]);
    let client = shared.tpp("funds-co");
    let mut request = shared.request(&token);

    request.host = "www.99999.sandbox.api.localhost".to_owned();
    let answer = client.send(&request);
    assert_eq!((answer.status, answer.code().as_str()), (404, "host_unknown"));

    request.host = "www.17515.live.api.localhost".to_owned();
    let answer = client.send(&request);
    assert_eq!((answer.status, answer.code().as_str()), (410, "host_retired"));
    assert!(answer.json()["detail"].as_str().unwrap().contains(HOST));
    assert!(answer.header("link").unwrap().contains("successor-version"));

    request.host = HOST.to_owned();
    for sni in ["www.11315.sandbox.api.localhost", ""] {
        let answer = client.connect(sni).unwrap().exchange(&request.octets()).unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (421, "host_mismatch"), "{sni:?}");
    }
    request.host = format!("{}:8443", HOST.to_uppercase());
    let answer = client.connect(HOST).unwrap().exchange(&request.octets()).unwrap();
    assert_eq!(answer.status, 200, "host names have no case, and the port is not part of them");
}

#[test]
fn every_version_answers_at_its_paths_and_nothing_like_them_does() {
    let shared = shared();
    let token = shared.token("funds-co", "gilles", &[]);
    let client = shared.tpp("funds-co");
    let send = |path: &str| {
        let mut request = shared.request(&token);
        request.path = path.to_owned();
        client.send(&request)
    };
    for path in [
        "/v1/funds-confirmations",
        "/stet/psd2/v1/funds-confirmations",
        "/stet/psd2/v1.4.2/funds-confirmations",
        "/stet/psd2/v1.6.2/funds-confirmations",
    ] {
        assert_eq!(send(path).status, 200, "{path}");
    }
    for path in ["/", "/stet/psd2/v1.6.2/funds-confirmations/", "/STET/psd2/v1/funds-confirmations"]
    {
        assert_eq!(send(path).code(), "path_unknown", "{path}");
    }
}

#[test]
fn a_decommissioned_version_points_to_its_successor_unless_it_is_kept_alive() {
    let gateway = Gateway::configured(|config| {
        for api in config["api"].as_array_mut().unwrap() {
            for version in api["version"].as_array_mut().unwrap() {
                version.as_table_mut().unwrap().remove("alive");
            }
        }
    });
    let mut request = gateway.request("a-token-of-no-importance");
    request.path = "/v1/funds-confirmations".to_owned();
    let answer = gateway.tpp("funds-co").send(&request);
    assert_eq!((answer.status, answer.code().as_str()), (410, "version_retired"));
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("2023-06-30") && detail.contains("/stet/psd2/v1"), "{detail}");
    assert!(answer.header("link").unwrap().contains("successor-version"));
}

#[test]
fn each_token_fault_has_its_code_and_a_challenge() {
    let shared = shared();
    let good = shared.token("funds-co", "gilles", &[]);
    let send = |tpp: &str, token: Option<&str>| {
        let mut request = shared.request("");
        request.token = token.map(str::to_owned);
        shared.tpp(tpp).send(&request)
    };
    let aisp = shared.token("multi-role", "gilles", &["--scope", "aisp"]);
    let elsewhere = shared.token("funds-co", "gilles", &["--codetab", "11315"]);
    let others = shared.token("multi-role", "gilles", &[]);
    let doubled = format!("{good} {good}");
    for (tpp, token, code, status, challenge) in [
        ("funds-co", None, "token_missing", 401, Some("Bearer")),
        ("funds-co", Some("x"), "token_malformed", 401, Some("invalid_request")),
        ("funds-co", Some(doubled.as_str()), "token_malformed", 401, Some("invalid_request")),
        (
            "funds-co",
            Some("a-token-that-nobody-issued"),
            "token_unknown",
            401,
            Some("invalid_token"),
        ),
        ("funds-co", Some(others.as_str()), "token_other_tpp", 401, Some("invalid_token")),
        ("multi-role", Some(aisp.as_str()), "token_scope", 403, Some("insufficient_scope")),
        ("funds-co", Some(elsewhere.as_str()), "token_other_bank", 403, None),
    ] {
        let answer = send(tpp, token);
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        if let Some(part) = challenge {
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Bearer") && challenge.contains(part), "{challenge}");
        }
    }
}

#[test]
fn each_body_fault_has_its_code_and_its_place() {
    let shared = shared();
    let token = shared.token("funds-co", "gilles", &[]);
    let client = shared.tpp("funds-co");
    let good = body(GILLES_IBAN, "100");
    for (body, code, status) in [
        (good.replace("EUR", "USD"), "currency_unsupported", 400),
        (good.replace("0811", "0812"), "iban_invalid", 400),
        (good.replace("accountId", "account"), "body_invalid", 400),
        (good.replace("{\"currency\"", "{\"currency\":\"EUR\",\"currency\""), "body_invalid", 400),
        (String::new(), "body_invalid", 400),
        ("x".repeat(20_000), "body_too_large", 413),
    ] {
        let mut request = shared.request(&token);
        request.body = body;
        let answer = client.send(&request);
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        let text = String::from_utf8(answer.body).unwrap();
        assert!(!text.contains("FR76"), "what was sent is not repeated: {text}");
    }
}

#[test]
fn an_amount_may_be_a_number_only_in_the_versions_that_say_so() {
    let shared = shared();
    let token = shared.token("funds-co", "gilles", &[]);
    let mut request = shared.request(&token);
    request.body = body(GILLES_IBAN, "100").replace("\"100\"", "100");
    for (version, status) in [("v1", 400), ("v1.4.2", 400), ("v1.6.2", 200)] {
        request.path = format!("/stet/psd2/{version}/funds-confirmations");
        let answer = shared.tpp("funds-co").send(&request);
        assert_eq!(answer.status, status, "{version}");
    }
}

#[test]
fn a_client_without_a_certificate_is_cut_in_the_handshake() {
    let shared = shared();
    let nobody = Client::new(shared.addresses.tpp, &shared.server_ca(), None);
    let request = shared.request("a-token-of-no-importance").octets();
    let answered = nobody.connect(HOST).and_then(|mut connection| connection.exchange(&request));
    assert!(answered.is_err(), "{answered:?}");
    let counted = shared.metrics();
    assert!(
        counted.lines().any(|line| line.starts_with("octroi_tls_handshakes_total")
            && line.contains("certificate_missing")
            && !line.ends_with(" 0")),
        "{counted}"
    );
}

#[test]
fn in_production_a_stranger_is_cut_and_recorded_and_a_trusted_tpp_is_told_why() {
    let gateway = Gateway::configured(|config| {
        config["listen"]["tpp"].as_table_mut().unwrap().remove("refusal");
    });
    let request = gateway.request("a-token-of-no-importance");
    let stranger = gateway.tpp("untrusted").connect(HOST);
    let answered = stranger.and_then(|mut connection| connection.exchange(&request.octets()));
    assert!(answered.is_err(), "{answered:?}");
    eventually("the stranger's record", || {
        let records = gateway.place().audit();
        records.into_iter().find(|r| {
            r["event.reason"] == "certificate_untrusted" && r["http.response.status_code"] == 0
        })
    });
    assert_eq!(gateway.tpp("withdrawn").send(&request).code(), "register_withdrawn");
}

#[test]
fn the_quota_ends_with_429_and_tells_when_to_come_back() {
    let sandbox = Gateway::sandbox();
    let tokens = ["funds-co", "multi-role"].map(|tpp| sandbox.token(tpp, "gilles", &[]));
    let limited = Gateway::run_in(sandbox.leave(), |config| {
        for (_, rule) in config["quota"].as_table_mut().unwrap() {
            rule.as_table_mut().unwrap().insert("requests".to_owned(), 2.into());
            rule.as_table_mut().unwrap().insert("period".to_owned(), "1h".into());
            rule.as_table_mut().unwrap().insert("burst".to_owned(), 2.into());
        }
    });
    let client = limited.tpp("funds-co");
    let statuses: Vec<u16> =
        (0..3).map(|_| client.send(&limited.request(&tokens[0])).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    let answer = client.send(&limited.request(&tokens[0]));
    assert_eq!(answer.code(), "quota_exceeded");
    let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1700..=1800).contains(&wait), "{wait}");
    let other = limited.tpp("multi-role").send(&limited.request(&tokens[1]));
    assert_eq!(other.status, 200, "each organisation has a quota of its own");
}

#[test]
fn the_lines_that_the_banner_prints_work_as_printed_over_both_protocols() {
    let gateway = Gateway::sandbox();
    // ready.json is there a moment before the last line is printed.
    let last = "/stet/psd2/v1.6.2/funds-confirmations\n";
    let banner = eventually("the banner is printed", || {
        let log = gateway.place().log();
        (log.matches(last).count() == 3).then_some(log)
    });
    let token = banner.lines().find(|line| line.starts_with("TOKEN=")).unwrap();
    let mut commands = Vec::new();
    let mut lines = banner.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("curl ") {
            let mut command = line.to_owned();
            while command.ends_with('\\') {
                command.push('\n');
                command.push_str(lines.next().unwrap());
            }
            commands.push(command);
        }
    }
    let [first, second, refused, page] = commands.as_slice() else { panic!("{banner}") };
    let shell = |command: &str| {
        let script = format!("{token}\n{command}");
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for (command, end) in [(first, "\nHTTP/1.1 200\n"), (second, "\nHTTP/2 200\n")] {
        let printed = shell(command);
        assert!(printed.contains(r#""result":true"#) && printed.ends_with(end), "{printed}");
    }
    let printed = shell(refused);
    assert!(printed.contains(r#""code":"role_missing""#), "{printed}");
    let printed = shell(page);
    assert!(printed.contains("<form") && printed.contains("name=\"login\""), "{printed}");
}

#[test]
fn a_second_start_finds_the_same_tpps_and_tokens() {
    let first = Gateway::sandbox();
    let token = first.token("funds-co", "gilles", &[]);
    let pem = |gateway: &Gateway| std::fs::read(gateway.place().file("tpp/funds-co/qwac.pem"));
    let before = pem(&first).unwrap();
    let second = Gateway::in_place(first.leave());
    assert_eq!(pem(&second).unwrap(), before);
    assert_eq!(second.tpp("funds-co").send(&second.request(&token)).status, 200);
    let place = second.leave();
    assert!(!place.file("ready.json").exists(), "it says no longer that it is ready");
}
