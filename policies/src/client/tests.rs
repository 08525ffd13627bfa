use std::collections::BTreeSet;

use certs::Leaf;
use certs::test_qtsp::{Authority, Kind, Recipe};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::limits::CLIENT_RECORD_BYTES_MAX;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn enrolled(kind: Kind) -> EnrolledCertificate {
    let qtsp = Authority::generate("T", now()).unwrap();
    let recipe = Recipe { kind, ..Recipe::qwac("F", "PSDFR-ACPR-12345", &[], now()) };
    let leaf = Leaf::from_der(&qtsp.issue(&recipe).unwrap().der().unwrap()).unwrap();
    let (kind, _, _) = certificate::classify(&leaf).unwrap();
    EnrolledCertificate::enrol(kind, &leaf, &[], None)
}

fn client() -> Client {
    let uri = |text| RedirectUri::enrol(text, Setting::Production).unwrap();
    Client {
        client_id: "1PSDFR-ACPR-12345-RWMH".to_owned(),
        organisation_id: OrganisationId::new("PSDFR-ACPR-12345").unwrap(),
        name: "Caf\u{e9} & Cie".to_owned(),
        description: Some("Pays for coffee.".to_owned()),
        setting: Setting::Production,
        redirect_uris: vec![uri("https://tpp.example/cb"), uri("https://tpp.example/a?b=c")],
        grant_types: GrantType::ALL.into(),
        scopes: BTreeSet::from(["aisp".to_owned(), "cbpii".to_owned()]),
        contact: Contact {
            name: Some("Jeanne Martin".to_owned()),
            email: Some("jeanne@tpp.example".to_owned()),
            phone: Some("+33 1 23 45 67 89".to_owned()),
        },
        logo_uri: Some("https://tpp.example/logo.png".to_owned()),
        client_uri: None,
        tos_uri: Some("https://tpp.example/tos#fr".to_owned()),
        policy_uri: None,
        agent_id: Some("AGTFR-ACPR-12345001".to_owned()),
        software_id: Some("coffee".to_owned()),
        software_version: Some("1.2.3".to_owned()),
        certificates: vec![enrolled(Kind::Qwac), enrolled(Kind::Qsealc)],
        created_at: now(),
        updated_at: now(),
        source: EnrolmentSource::Register,
    }
}

fn bent(member: &str, value: Value) -> Result<Client, ClientRecordError> {
    let mut record: Value = serde_json::from_slice(&client().to_json()).unwrap();
    record[member] = value;
    Client::from_json(&serde_json::to_vec(&record).unwrap())
}

#[test]
fn a_client_is_read_as_it_was_written() {
    let client = client();
    assert_eq!(Client::from_json(&client.to_json()), Ok(client));
}

#[test]
fn a_record_that_is_not_exactly_one_is_no_client() {
    use ClientRecordError::{Member, Shape, TooLarge, Version};
    assert_eq!(Client::from_json(&vec![b' '; CLIENT_RECORD_BYTES_MAX + 1]), Err(TooLarge));
    assert_eq!(bent("v", json!(2)), Err(Version(2)));
    assert!(matches!(bent("secret", json!("x")), Err(Shape { line: 1, .. })));
    assert!(matches!(bent("grant_types", json!(["implicit"])), Err(Shape { .. })));
    assert!(matches!(bent("source", json!("back door")), Err(Shape { .. })));
    for (member, value) in [
        ("client_id", json!("")),
        ("client_id", json!("caf\u{e9}")),
        ("client_id", json!("x".repeat(257))),
        ("organisation_id", json!(" PSDFR-ACPR-12345")),
        ("name", json!("Bank\u{202e}")),
        ("description", json!("\u{200b}")),
        ("redirect_uris", json!([])),
        ("redirect_uris", json!(["http://tpp.example/cb"])),
        ("redirect_uris", json!(["http://localhost/cb"])),
        ("redirect_uris", json!(["https://tpp.example/cb", "https://tpp.example/cb"])),
        ("redirect_uris", json!(vec!["https://tpp.example/cb"; 17])),
        ("scopes", json!(["pisp"])),
        ("scopes", json!(["AISP"])),
        ("logo_uri", json!("javascript:alert(1)")),
        ("tos_uri", json!("https://a@b.example/")),
        ("agent_id", json!("PSDFR-ACPR-1")),
        ("software_id", json!("\n")),
        ("updated_at", json!(0)),
        ("created_at", json!(i64::MAX)),
    ] {
        assert_eq!(bent(member, value.clone()), Err(Member(member)), "{value}");
    }
    assert_eq!(bent("contact", json!({"email": "x"})), Err(Member("contact.email")));
}

#[test]
fn a_record_whose_certificate_is_another_than_it_says_is_no_client() {
    let record: Value = serde_json::from_slice(&client().to_json()).unwrap();
    let good = record["certificates"].clone();
    type Bend = fn(&mut Value);
    let bends: [Bend; 7] = [
        |all| all[0]["fingerprint"] = all[1]["fingerprint"].clone(),
        |all| all[0]["not_after"] = json!(0),
        |all| all[0]["pem"] = json!("x"),
        |all| all[0]["kid"] = json!("a\"b"),
        |all| all[0]["kid"] = json!(""),
        |all| all[1] = all[0].clone(),
        |all| {
            let pem = all[0]["pem"].as_str().unwrap().to_owned();
            let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
            all[0]["pem"] = json!(pem + key);
        },
    ];
    assert!(bent("certificates", good.clone()).is_ok());
    for (index, bend) in bends.into_iter().enumerate() {
        let mut all = good.clone();
        bend(&mut all);
        let fault = bent("certificates", all);
        assert_eq!(fault, Err(ClientRecordError::Member("certificates")), "bend {index}");
    }
}

#[test]
fn the_older_name_of_the_scope_for_funds_is_read_as_the_newer() {
    let client = bent("scopes", json!(["piisp", "cbpii"])).unwrap();
    assert_eq!(client.scopes, BTreeSet::from(["cbpii".to_owned()]));
}

#[test]
fn a_client_with_http_to_localhost_is_one_of_the_sandbox_only() {
    let mut record: Value = serde_json::from_slice(&client().to_json()).unwrap();
    record["redirect_uris"] = json!(["http://localhost:3000/cb"]);
    record["setting"] = json!("sandbox");
    assert!(Client::from_json(&serde_json::to_vec(&record).unwrap()).is_ok());
}

#[test]
fn a_client_that_is_printed_shows_nobodys_name_address_or_number() {
    let printed = format!("{:?}", client());
    for text in ["Jeanne", "jeanne", "33 1"] {
        assert!(!printed.contains(text), "{printed}");
    }
    assert!(printed.contains("Contact([redacted])"));
}

#[test]
fn the_answer_to_a_registration_says_everything_that_was_registered() {
    let client = client();
    let answer = client.to_registration_response();
    assert_eq!(answer["client_id"], "1PSDFR-ACPR-12345-RWMH");
    assert_eq!(answer["client_id_issued_at"], json!(now().as_second()));
    assert_eq!(answer["scope"], "aisp cbpii");
    assert_eq!(answer["token_endpoint_auth_method"], "tls_client_auth");
    assert_eq!(answer["provider_legal_id"], "PSDFR-ACPR-12345");
    assert_eq!(answer["contacts"], json!(["jeanne@tpp.example"]));
    assert_eq!(answer["client_legal_id"], "AGTFR-ACPR-12345001");
    assert_eq!(answer.get("client_uri"), None);
    let [qwac, seal] = [&answer["jwks"]["keys"][0], &answer["jwks"]["keys"][1]];
    assert_eq!((qwac.get("use"), qwac.get("keyId")), (None, None));
    assert_eq!((&seal["use"], &seal["kty"]), (&json!("sig"), &json!("EC")));
    let id = key_id(&client.certificates[1].fingerprint);
    assert_eq!((&seal["kid"], &seal["keyId"]), (&json!(id), &json!(id)));
    assert!(seal["x5c"][0].as_str().unwrap().starts_with("MII"));
    assert_eq!(seal["x5t#S256"].as_str().unwrap().len(), 43);
}

#[test]
fn a_new_client_id_has_the_shape_that_the_bank_hands_out() {
    let id = |text: &str, random| new_client_id(&OrganisationId::new(text).unwrap(), random);
    assert_eq!(id("PSDNL-DNB-33031431-0", [0, 1, 2, 31]), "1PSDNL-DNB-33031431-0-ABC9");
    assert_eq!(id("PSDES-BDE-6 7/\u{e9}%", [32, 0, 0, 0]), "1PSDES-BDE-6_7___-AAAA");
    assert_eq!(new_client_id(&OrganisationId::new("X").unwrap(), [255; 8]), "1X-99999999");
    let long = id(&"\u{e9}".repeat(128), [0; 4]);
    assert_eq!((long.len(), long.ends_with("_-AAAA")), (100, true));
    assert!(text::is_client_id(&long));
}

#[test]
fn what_a_customer_cannot_see_is_in_no_name() {
    for name in
        ["Caf\u{e9}", "\u{41c}\u{438}\u{440}", "A", "7", "O'Neil & Co. (FR)", "\u{4f60}\u{597d}"]
    {
        assert_eq!(text::shown(name, 70), Ok(()), "{name}");
    }
    for name in [
        "",
        " A",
        "A ",
        "...",
        "A\u{200b}",
        "A\u{202e}B",
        "A\u{2066}B",
        "A\u{feff}",
        "A\u{ad}B",
        "A\tB",
        "A\nB",
        "A\u{a0}B",
        "A\u{3000}B",
        "A\u{3164}",
        "A\u{2800}",
        "A\u{e000}",
        "A\u{e0041}",
        "A\u{fe0f}",
        "A\u{ffff}",
        "A\0",
    ] {
        assert!(text::shown(name, 70).is_err(), "{name:?}");
    }
    assert!(text::shown(&"\u{e9}".repeat(70), 70).is_ok());
    assert!(text::shown(&"\u{e9}".repeat(71), 70).is_err());
}

fn optional(pattern: &'static str) -> impl Strategy<Value = Option<String>> {
    proptest::option::of(pattern)
}

prop_compose! {
    fn clients()(
        client_id in "[!-~]{1,256}",
        organisation in "PSD[A-Z]{2}-[A-Z]{2,8}-[!-~]{1,40}",
        name in "[A-Za-z\u{e0}-\u{ff}]{1,70}",
        description in optional("[a-z]{1,99}"),
        paths in proptest::collection::btree_set("[a-z]{0,9}", 1..16),
        grants in proptest::sample::subsequence(GrantType::ALL.to_vec(), 0..=3),
        scopes in proptest::sample::subsequence(vec!["aisp", "cbpii"], 0..=2),
        contact in (optional("[a-z]{1,9}"), optional("[a-z]{1,9}@[a-z]{1,9}"), optional("[0-9]{1,9}")),
        page in optional("https://[a-z]{1,9}\\.example/[a-z]{0,9}"),
        agent in optional("AGT[A-Z0-9-]{1,20}"),
        (created, later) in (0_i64..4_000_000_000, 0_i64..1_000_000),
        (sandbox, portal) in any::<(bool, bool)>(),
    ) -> Client {
        let setting = if sandbox { Setting::Sandbox } else { Setting::Production };
        let uri = |path: String| RedirectUri::enrol(&format!("https://tpp.example/{path}"), setting);
        Client {
            client_id,
            organisation_id: OrganisationId::new(&organisation).unwrap(),
            name,
            description: description.clone(),
            setting,
            redirect_uris: paths.into_iter().map(uri).collect::<Result<_, _>>().unwrap(),
            grant_types: grants.into_iter().collect(),
            scopes: scopes.into_iter().map(str::to_owned).collect(),
            contact: Contact { name: contact.0, email: contact.1, phone: contact.2 },
            logo_uri: page.clone(),
            client_uri: page.clone(),
            tos_uri: page.clone(),
            policy_uri: page,
            agent_id: agent,
            software_id: description.clone(),
            software_version: description,
            certificates: Vec::new(),
            created_at: Timestamp::from_second(created).unwrap(),
            updated_at: Timestamp::from_second(created + later).unwrap(),
            source: if portal { EnrolmentSource::Portal } else { EnrolmentSource::Register },
        }
    }
}

proptest! {
    #[test]
    fn every_client_is_read_as_it_was_written(client in clients()) {
        prop_assert_eq!(Client::from_json(&client.to_json()), Ok(client));
    }

    #[test]
    fn a_damaged_record_is_refused_or_is_a_whole_client(
        client in clients(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut record = client.to_json();
        let at = at.index(record.len());
        record[at] = byte;
        if let Ok(client) = Client::from_json(&record) {
            prop_assert_eq!(Client::from_json(&client.to_json()), Ok(client));
        }
    }

    #[test]
    fn a_new_client_id_can_be_sent_and_stored(text in any::<String>(), random in any::<[u8; 6]>()) {
        if let Ok(id) = OrganisationId::new(&text) {
            let id = new_client_id(&id, random);
            prop_assert!(text::is_client_id(&id) && id.len() <= 100);
        }
    }
}
