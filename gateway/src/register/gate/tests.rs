use std::time::Duration;

use policies::freshness::Freshness;
use policies::register::{Overrides, Published, RegisterPolicy};
use policies::{AmountForm, ApiVersion, BodyRule, Method};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const NOW: &str = "2026-11-21T12:00:00Z";
const GATE: GateSettings = GateSettings { rows_lost_max: 0.05, tpps_lost_max: 0.1 };

/// Institutions `0..count` of Ireland, those in `ended` withdrawn.
fn snapshot(count: usize, ended: &[usize], as_of: &str) -> Snapshot {
    let rows: Vec<String> = (0..count)
        .map(|n| {
            let dates = if ended.contains(&n) {
                r#"["2018-07-02","2020-01-01"]"#
            } else {
                r#"["2018-07-02"]"#
            };
            format!(
                r#"{{"CA_OwnerID":"IE_CBI","EntityCode":"{n}","EntityType":"PSD_PI","Properties":[{{"ENT_NAT_REF_COD":"{n}"}},{{"ENT_AUT":{dates}}}],"Services":[{{"FR":"PS_05A"}}]}}"#
            )
        })
        .collect();
    let text = format!("[[],[{}]]", rows.join(","));
    let mut snapshot = Snapshot::empty();
    let published = Published { file: "e", reader: &mut text.as_bytes(), as_of: at(as_of) };
    snapshot.add_eba(Origin::EbaPayment, published, &mut |_| {}).unwrap();
    snapshot
}

fn api() -> Api {
    Api {
        name: "funds".to_owned(),
        method: Method::Post,
        required_roles: [certs::PspRole::CardBasedInstruments].into_iter().collect(),
        required_services: Vec::new(),
        scopes: vec!["cbpii".to_owned()],
        signed: false,
        body: BodyRule::FundsConfirmation,
        versions: vec![ApiVersion {
            name: "v1".to_owned(),
            paths: vec!["/v1".to_owned()],
            life: policies::Life::default(),
            successor: None,
            amount: AmountForm::String,
        }],
        consent_days_max: 180,
        quotas: Vec::new(),
    }
}

fn judged(older: &Snapshot, newer: &Snapshot, known: usize) -> (Impact, Vec<Hold>) {
    let day = Duration::from_secs(24 * 3600);
    let policy = RegisterPolicy::usual(Freshness { fresh_for: day, tolerated_for: day });
    let index = |snapshot| Register::of(snapshot, Overrides::default(), policy).unwrap();
    let (old, new) = (index(older), index(newer));
    let id = |n: usize| OrganisationId::new(&format!("PSDIE-CBI-{n}")).unwrap();
    let known: Known = (0..known).map(|n| (id(n), 2)).collect();
    let api = api();
    let usable = Usable::of(std::iter::once(&api));
    let impact = Impact::of((older, &old), (newer, &new), (&known, true), &usable, at(NOW));
    let holds = impact.holds(older, newer, GATE);
    (impact, holds)
}

#[test]
fn one_withdrawal_goes_live_and_many_at_once_are_held_with_their_tokens() {
    let day = "2026-11-20T00:00:00Z";
    let older = snapshot(100, &[], day);
    let (impact, holds) = judged(&older, &snapshot(100, &[3], day), 4);
    assert_eq!((impact.lost.len(), holds.len()), (1, 0), "{impact}");
    let (impact, holds) = judged(&older, &snapshot(100, &[0, 1, 2], day), 20);
    assert_eq!(impact.lost.len(), 3);
    let expected = Hold::Tpps { lost: 3, of: 20, tokens: 6, max: 0.1 };
    assert_eq!(holds, [expected], "{impact}");
    assert!(
        holds[0].to_string().contains("would refuse 3 of 20 known TPPs, who hold 6 live tokens")
    );
    let (impact, holds) = judged(&snapshot(100, &[0, 1, 2], day), &older, 20);
    assert_eq!((impact.won.len(), holds.len()), (3, 0));
    // Two of twenty-one are not more than a tenth.
    assert!(judged(&older, &snapshot(100, &[0, 1], day), 21).1.is_empty());
}

#[test]
fn what_is_older_smaller_or_lacks_a_register_is_held() {
    let day = "2026-11-20T00:00:00Z";
    let older = snapshot(100, &[], day);
    let (_, holds) = judged(&older, &snapshot(100, &[], "2026-11-19T00:00:00Z"), 0);
    assert!(matches!(holds[..], [Hold::Older { .. }]), "{holds:?}");
    let (_, holds) = judged(&older, &snapshot(94, &[], day), 0);
    assert!(matches!(holds[..], [Hold::Rows { before: 100, after: 94, .. }]), "{holds:?}");
    assert!(judged(&older, &snapshot(95, &[], day), 0).1.is_empty());
    assert!(judged(&older, &snapshot(300, &[], day), 0).1.is_empty());
    let mut other = snapshot(100, &[], day);
    other.sources[0].origin = Origin::EbaCredit;
    let (_, holds) = judged(&older, &other, 0);
    assert!(matches!(holds[..], [Hold::Missing { .. }]), "{holds:?}");
}
