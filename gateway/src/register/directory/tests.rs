use policies::register::{Decision, Origin, Published};
use policies::{ServiceCode, ServiceSet};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn snapshot(reference: &str, as_of: &str) -> Snapshot {
    let text = format!(
        r#"[[],[{{"CA_OwnerID":"IE_CBI","EntityCode":"x","EntityType":"PSD_PI","Properties":[{{"ENT_NAT_REF_COD":"{reference}"}},{{"ENT_AUT":["2018-07-02"]}}]}}]]"#
    );
    let mut snapshot = Snapshot::empty();
    let published = Published { file: "eba.json", reader: &mut text.as_bytes(), as_of: at(as_of) };
    snapshot.add_eba(Origin::EbaPayment, published, &mut |_| {}).unwrap();
    snapshot
}

#[test]
fn each_instant_has_the_snapshot_that_was_in_force_then_or_had_been_published() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::new(dir.path());
    assert!(matches!(
        directory.at(at("2026-01-01T00:00:00Z")),
        Err(DirectoryError::NothingThen(_))
    ));
    let published = ["2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"];
    let names: Vec<String> = ["1", "2", "3"]
        .iter()
        .zip(published)
        .map(|(reference, as_of)| directory.archive().keep(&snapshot(reference, as_of)).unwrap())
        .collect();
    directory.take(&names[2], "gateway", at("2026-01-02T00:00:00Z")).unwrap();
    directory.take(&names[1], "Ada", at("2026-01-03T00:00:00Z")).unwrap();
    for (then, place) in [
        ("2024-06-01T00:00:00Z", 0),
        ("2025-06-01T00:00:00Z", 1),
        ("2026-01-02T00:00:00Z", 2),
        ("2026-01-02T23:59:59Z", 2),
        ("2026-01-03T00:00:00Z", 1),
        ("2027-01-03T00:00:00Z", 1),
    ] {
        assert_eq!(directory.at(at(then)).unwrap().0, names[place], "{then}");
    }
    assert!(directory.at(at("2023-12-31T00:00:00Z")).is_err());
}

#[test]
fn only_what_was_replaced_long_ago_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::new(dir.path());
    let mut names = Vec::new();
    for (day, reference) in [("01", "1"), ("02", "2"), ("03", "3")] {
        let new = snapshot(reference, "2025-12-31T00:00:00Z");
        names.push(directory.archive().put(&new).unwrap());
        let taken_at = at(&format!("2026-01-{day}T00:00:00Z"));
        directory.take(names.last().unwrap(), "gateway", taken_at).unwrap();
    }
    let kept_for = Duration::from_secs(24 * 3600);
    assert_eq!(directory.prune(kept_for, at("2026-01-02T12:00:00Z")).unwrap(), 0);
    assert_eq!(directory.prune(kept_for, at("2026-01-03T12:00:00Z")).unwrap(), 1);
    assert!(directory.archive().read(&names[0]).is_err());
    assert!(directory.archive().read(&names[1]).is_ok());
    assert_eq!(directory.prune(kept_for, at("2030-01-01T00:00:00Z")).unwrap(), 1);
    assert!(directory.archive().current().is_ok(), "what is in force stays for ever");
}

#[test]
fn a_decision_that_somebody_wrote_by_hand_without_a_second_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::new(dir.path());
    let services: ServiceSet = [ServiceCode::IssuingInstruments].into_iter().collect();
    let by = ["Ada", "Bob"].map(str::to_owned);
    let period = (at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"));
    let decision = Decision::Authorised(services);
    let made = Override::new(1, "PSDIE-CBI-1", decision, period, "late", &by).unwrap();
    directory.decide(&made).unwrap();
    assert!(directory.revoke(1, "Ada", at("2026-01-05T00:00:00Z")).unwrap());
    assert!(!directory.revoke(2, "Ada", at("2026-01-05T00:00:00Z")).unwrap());
    let known = directory.overrides().unwrap();
    assert_eq!(known[0].revoked_at, Some(at("2026-01-05T00:00:00Z")));

    let file = dir.path().join(OVERRIDES);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("Bob", "Ada")).unwrap();
    let error = directory.overrides().unwrap_err().to_string();
    assert!(error.contains("overrides.jsonl: line 1: --by needs two different names"), "{error}");
    fs::write(&file, format!("{text}nonsense\n")).unwrap();
    assert!(directory.overrides().unwrap_err().to_string().contains("line 3"));
}

#[test]
fn of_several_that_are_held_only_the_last_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::new(dir.path());
    let current = directory.archive().keep(&snapshot("1", "2026-01-01T00:00:00Z")).unwrap();
    directory.take(&current, "gateway", at("2026-01-02T00:00:00Z")).unwrap();
    let held = |reference: &str| {
        let name = directory.archive().keep(&snapshot(reference, "2026-01-01T00:00:00Z")).unwrap();
        let (why, impact) = (Vec::new(), Impact::default());
        let held = Held { snapshot: name, at: at("2026-01-03T00:00:00Z"), why, impact };
        directory.hold(&held).unwrap();
        held.snapshot
    };
    let (first, second) = (held("2"), held("3"));
    assert!(directory.archive().read(&first).is_err());
    assert!(directory.archive().read(&second).is_ok());
    assert!(directory.archive().current().is_ok());
    directory.take(&second, "Ada", at("2026-01-04T00:00:00Z")).unwrap();
    assert!(directory.held().unwrap().is_none(), "what is accepted is held no longer");
}
