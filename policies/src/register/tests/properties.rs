//! What holds for any register, however it is written.

use proptest::prelude::*;

use super::*;

/// Rows of few authorities and references, so that they meet each other.
fn rows() -> impl Strategy<Value = Vec<String>> {
    let owner = prop::sample::select(vec!["IE_CBI", "FR_ACPR", "DE_BAFIN", "LV_LV", "XX_QQ"]);
    let kind = prop::sample::select(vec!["PSD_PI", "PSD_EMI", "PSD_AG", "PSD_AISP", "NEW"]);
    let reference = prop::sample::select(vec!["1", "1-23", "123", "12 3", "30004", "888888888"]);
    let dates = prop::sample::select(vec![
        r#"["2019-01-10"]"#,
        r#"["2019-01-10","2020-02-01"]"#,
        r#"["2019-01-10","2020-02-01","2021-03-01"]"#,
        r#""2019-01-10""#,
        "[]",
    ]);
    let services = prop::sample::select(vec![
        r#"[{"FR":"PS_05A"}]"#,
        r#"[{"IE":["PS_070","PS_05A"]},{"DE":"PS_080"}]"#,
        "[]",
    ]);
    let row = (owner, kind, reference, dates, services).prop_map(|(o, k, r, d, s)| {
        format!(
            r#"{{"CA_OwnerID":"{o}","EntityCode":"c","EntityType":"{k}","Properties":[{{"ENT_NAT_REF_COD":"{r}"}},{{"ENT_AUT":{d}}}],"Services":{s}}}"#
        )
    });
    prop::collection::vec(row, 1..12)
}

fn of_rows(rows: &[String]) -> Option<Snapshot> {
    let text = format!("[[],[{}]]", rows.join(","));
    snapshot(Texts { eba: Some((&text, PUBLISHED)), ..Texts::default() }).ok()
}

proptest! {
    #[test]
    fn any_octets_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let as_of = at(PUBLISHED);
        let published = Published { file: "x", reader: &mut &bytes[..], as_of };
        let _ = Snapshot::empty().add_eba(Origin::EbaPayment, published, &mut |_| {});
        let _ = Snapshot::empty().add_regafi(
            Published { file: "x", reader: &mut &bytes[..], as_of },
            Published { file: "y", reader: &mut &bytes[..], as_of },
            &Columns::default(),
            &mut |_| {},
        );
    }

    #[test]
    fn a_cut_or_bent_register_accounts_for_its_rows_or_is_refused(
        cut in 0..EBA.len(), byte in any::<u8>(),
    ) {
        let mut bytes = EBA.as_bytes().to_vec();
        bytes[cut] = byte;
        let mut bent = Snapshot::empty();
        let published = Published { file: "x", reader: &mut &bytes[..], as_of: at(PUBLISHED) };
        if bent.add_eba(Origin::EbaPayment, published, &mut |_| {}).is_ok() {
            let account = &bent.sources[0].account;
            let sum = account.used + account.not_relevant + account.rejected;
            prop_assert_eq!(account.read, sum);
        }
        let published = Published { file: "x", reader: &mut &bytes[..cut], as_of: at(PUBLISHED) };
        let mut cut_off = Snapshot::empty();
        let read = cut_off.add_eba(Origin::EbaPayment, published, &mut |_| {});
        prop_assert!(read.is_err());
    }

    /// A look-up says what a scan of all records says: authorised only if a record of that very id
    /// has a licence that stands, withdrawn only if none does.
    #[test]
    fn a_look_up_agrees_with_a_naive_scan(rows in rows()) {
        let Some(snapshot) = of_rows(&rows) else { return Ok(()) };
        let policy = RegisterPolicy::usual(ladder());
        let register = Register::of(&snapshot, Overrides::default(), policy).unwrap();
        let day = jiff::civil::date(2026, 11, 1);
        for id in ["PSDIE-CBI-1", "PSDIE-CBI-1-23", "PSDIE-CBI-123", "PSDIE-CBI-12 3",
            "PSDDE-BAFIN-30004", "PSDLV-FCMC-1", "PSDLV-LV-1", "PSDXX-QQ-123", "PSDFR-ACPR-30004"] {
            let scanned: Vec<&Record> =
                snapshot.records.iter().filter(|r| r.ids.iter().any(|known| &**known == id)).collect();
            let stands = |record: &&&Record| {
                let rival = |other: &&&Record| {
                    other.kind == record.kind
                        && (&other.status, &other.services) != (&record.status, &record.services)
                };
                let dates = match &record.status {
                    Status::Dated(life) => life.dates().iter().filter(|date| **date <= day).count(),
                    _ => 0,
                };
                dates % 2 == 1 && !scanned.iter().any(|other| rival(&other))
            };
            let found = standing(&register, id);
            let authorised = matches!(found, Standing::Authorised { .. });
            prop_assert_eq!(authorised, scanned.iter().any(|r| stands(&r)), "{} {:?}", id, found);
            if scanned.is_empty() {
                let nobody = matches!(found, Standing::Unknown)
                    || (id.starts_with("PSDFR") && matches!(found, Standing::Undetermined(_)));
                prop_assert!(nobody, "{} {:?}", id, found);
            }
        }
    }

    #[test]
    fn the_difference_of_two_snapshots_applied_to_the_first_is_the_second(
        one in rows(), other in rows(),
    ) {
        let (Some(one), Some(other)) = (of_rows(&one), of_rows(&other)) else { return Ok(()) };
        let difference = Difference::between(&one, &other);
        prop_assert_eq!(difference.apply(&one.records), other.records.clone());
        prop_assert_eq!(difference.is_empty(), one.records == other.records);
        prop_assert!(Difference::between(&one, &one).is_empty());
    }
}
