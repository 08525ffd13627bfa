//! What must not be read by those who read logs, metrics and errors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use harness::gateway::{GILLES_IBAN, Gateway, HOST, body};

#[test]
fn neither_tokens_nor_ibans_nor_names_reach_log_audit_metrics_or_errors() {
    let gateway = Gateway::sandbox();
    let token = gateway.token("funds-co", "gilles", &[]);
    let client = gateway.tpp("funds-co");
    let good = gateway.request(&token);
    let mut answers = vec![client.send(&good)];
    let mut other = good.clone();
    other.body = body("FR7617515000920440878790812", "1");
    answers.push(client.send(&other));
    other.body = good.body.replace("EUR", GILLES_IBAN);
    answers.push(client.send(&other));
    other.body = good.body.clone();
    other.path = format!("/stet?token={token}&iban={GILLES_IBAN}");
    answers.push(client.send(&other));
    other.token = Some(format!("{token}x"));
    other.path = good.path.clone();
    answers.push(client.send(&other));
    let mut connection = client.connect(HOST).unwrap();
    let raw = format!("BROKEN {token} {GILLES_IBAN}\r\nAuthorization: Bearer {token}\r\n\r\n");
    answers.push(connection.exchange(raw.as_bytes()).unwrap());

    let last = answers.last().unwrap();
    gateway.record_of(last);
    let (audit, metrics) = (gateway.place().audit_text(), gateway.metrics());
    let bodies: String =
        answers.iter().skip(1).map(|a| String::from_utf8_lossy(&a.body).into_owned()).collect();
    let log = gateway.place().log();

    let log: String = log.lines().filter(|line| line.starts_with('{')).collect();
    assert!(!log.is_empty() && !audit.is_empty() && !metrics.is_empty());
    for secret in [token.as_str(), GILLES_IBAN, "FR7617515000920440878790812", "TESTUNID", "gilles"]
    {
        for (place, text) in
            [("log", &log), ("audit", &audit), ("metrics", &metrics), ("errors", &bodies)]
        {
            assert!(!text.contains(secret), "{secret:.6}… stands in {place}");
        }
    }
    let allowed: Vec<_> = gateway
        .place()
        .audit()
        .into_iter()
        .filter(|r| r["octroi.iban_hmac"].is_string() && r["octroi.outcome"] == "allowed")
        .collect();
    let [allowed] = allowed.as_slice() else { panic!("{allowed:?}") };
    assert_eq!(allowed["octroi.iban_hmac"].as_str().unwrap().len(), 64);
    assert_eq!(allowed["octroi.psu_hmac"].as_str().unwrap().len(), 64);
}
