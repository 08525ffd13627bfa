mod properties;

use std::time::Duration;

use super::*;

const EBA: &str = r#"[[{"disclaimer":"none of this exists"}],[
{"CA_OwnerID":"IE_CBI","EntityCode":"IE_CBI!C1","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"C1"},{"ENT_NAM":["A","B"]},{"ENT_AUT":["2018-07-02"]}],"Services":[{"AT":["PS_03A","PS_05B"]},{"IE":"PS_05A"}]},
{"CA_OwnerID":"FI_FIN-FSA","EntityCode":"x","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"12 34-5"},{"ENT_AUT":["2019-01-10","2020-02-01"]}],"Services":[{"FI":"PS_05A"}]},
{"CA_OwnerID":"FR_ACPR","EntityCode":"x","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"888888888"},{"ENT_AUT":["2019-01-10","2020-02-01","2021-03-01"]}],"Services":[{"FR":["PS_05A"]}]},
{"CA_OwnerID":"CZ_CNB","EntityCode":"x","EntityType":"PSD_AISP","Properties":[{"ENT_NAT_REF_COD":"77"},{"ENT_AUT":[]}]},
{"CA_OwnerID":"CZ_CNB","EntityCode":"x","EntityType":"PSD_AG","Properties":[{"ENT_NAT_REF_COD":"78"}]},
{"CA_OwnerID":"CZ_CNB","EntityCode":"CZ_CNB!9","EntityType":"PSD_PI","Properties":[{"ENT_AUT":["2019-01-10"]}]},
{"CA_OwnerID":"BE_NBB","EntityCode":"x","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"5"},{"ENT_AUT":["2019-01-10"]}],"Services":[{"BE":"PS_050"}]},
{"CA_OwnerID":"BE_NBB","EntityCode":"x","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"6"},{"ENT_AUT":["2019-01-10"]}]},
{"CA_OwnerID":"BE_NBB","EntityCode":"y","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"6"},{"ENT_AUT":["2019-01-10","2019-02-10"]}]},
{"CA_OwnerID":"DE_BAFIN","EntityCode":"x","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"1-23"},{"ENT_AUT":["2019-01-10"]}],"Services":[{"DE":"PS_05A"},{"FR":"PS_05A"}]},
{"CA_OwnerID":"DE_BAFIN","EntityCode":"x","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"9"},{"ENT_AUT":["2018-01-10","2020-01-01"]}],"Services":[{"DE":"PS_070"}]},
{"CA_OwnerID":"DE_BAFIN","EntityCode":"x","EntityType":"PSD_EMI","Properties":[{"ENT_NAT_REF_COD":"9"},{"ENT_AUT":["2020-01-01"]}],"Services":[{"DE":"PS_05A"}]},
{"CA_OwnerID":"DE_BAFIN","EntityCode":"x","EntityType":"PSD_NEW","Properties":[{"ENT_NAT_REF_COD":"10"},{"ENT_AUT":["2020-01-01"]}]},
{"CA_OwnerID":"DE_BAFIN","EntityCode":"x","EntityType":"PSD_EXC","Properties":[{"ENT_NAT_REF_COD":"11"},{"ENT_AUT":["2020-01-01"]}]},
{"CA_OwnerID":"DE_BAFIN","EntityCode":"x","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"12"},{"ENT_AUT":["2020-01-01"]}],"Services":[{"DE":"PS_05A","DE":"PS_080"}]}
]]"#;

const CREDIT: &str = r#"[{"_payload":{"CA_OwnerID":"PT_BP","EntityCode":"LEI1","EntityType":"CRD_CRE_INS","Properties":[{"ENT_NAT_REF_COD":"0033"},{"ENT_NAM":"Banco"},{"ENT_AUT":["1985-06-25"]}]}},
{"CA_OwnerID":"FR_ACPR","EntityCode":"LEI2","EntityType":"CRD_CRE_INS","Properties":[{"ENT_NAT_REF_COD":"30005"},{"ENT_AUT":["1985-06-25"]}]},
{"CA_OwnerID":"DE_BAFIN","EntityCode":"LEI3","EntityType":"CRD_EEA_BRA","Properties":[{"ENT_NAT_REF_COD":"1"}]},
{"CA_OwnerID":"DE_BAFIN","EntityCode":"LEI4","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"2"},{"ENT_AUT":["1985-06-25"]}]}]"#;

const ENTITIES: &str = "\u{feff}id_referentiel;denomination;siren;cib;approval_withdrawal_process
1;A;888888888;\"[{\"\"code\"\":\"\"16948\"\",\"\"date\"\":\"\"2019-01-10\"\"}]\";
2;B;222;\"[\"\"7\"\"]\";
3;C;333;\"[\"\"30003\"\"]\";True
4;D;444;\"[\"\"30004\"\"]\";
5;E;555;[];
6;F;666;nonsense;
7;G;777;\"[\"\"30007\"\"]\";
8;H;888888;\"[\"\"30008\"\", \"\"30009\"\"]\";
";

const AUTHORISATIONS: &str = "id_referentiel;categorie;situation;date_debut
1;Etablissement de paiement;ACTIF;2019-01-10
2;\u{c9}tablissement de cr\u{e9}dit;ACTIF;1998-01-01
2;Changeur manuel;INACTIF;1990-01-01
3;Etablissement de paiement;ACTIF;2019-01-10
4;Etablissement de paiement;INACTIF;2019-01-10
6;Etablissement de paiement;;2019-01-10
8;Etablissement de paiement;ACTIF;2019-01-10
";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ladder() -> Freshness {
    Freshness { fresh_for: Duration::from_secs(100), tolerated_for: Duration::from_secs(200) }
}

/// What may be read into a snapshot.
#[derive(Clone, Copy, Default)]
struct Texts<'a> {
    eba: Option<(&'a str, &'a str)>,
    credit: Option<&'a str>,
    regafi: Option<(&'a str, &'a str, &'a str)>,
}

const PUBLISHED: &str = "2026-11-01T00:00:00Z";
const BOTH: Texts<'_> = Texts {
    eba: Some((EBA, PUBLISHED)),
    credit: None,
    regafi: Some((ENTITIES, AUTHORISATIONS, PUBLISHED)),
};

fn snapshot(texts: Texts<'_>) -> Result<Snapshot, RegisterError> {
    let mut snapshot = Snapshot::empty();
    if let Some((text, as_of)) = texts.eba {
        let eba =
            Published { file: "dir/eba.json", reader: &mut text.as_bytes(), as_of: at(as_of) };
        snapshot.add_eba(Origin::EbaPayment, eba, &mut |_| {})?;
    }
    if let Some(text) = texts.credit {
        let as_of = at(PUBLISHED);
        let credit = Published { file: "credit.json", reader: &mut text.as_bytes(), as_of };
        snapshot.add_eba(Origin::EbaCredit, credit, &mut |_| {})?;
    }
    if let Some((entities, authorisations, as_of)) = texts.regafi {
        let as_of = at(as_of);
        snapshot.add_regafi(
            Published { file: "e.csv", reader: &mut entities.as_bytes(), as_of },
            Published { file: "a.csv", reader: &mut authorisations.as_bytes(), as_of },
            &Columns::default(),
            &mut |_| {},
        )?;
    }
    Ok(snapshot)
}

fn register(texts: Texts<'_>) -> Register {
    let snapshot = snapshot(texts).unwrap();
    Register::of(&snapshot, Overrides::default(), RegisterPolicy::usual(ladder())).unwrap()
}

fn standing(register: &Register, id: &str) -> Standing {
    register.standing(&OrganisationId::new(id).unwrap(), at("2026-11-01T00:00:00Z")).0
}

fn services(codes: &[ServiceCode]) -> ServiceSet {
    codes.iter().copied().collect()
}

#[test]
fn an_institution_is_found_by_the_id_derived_from_its_authority_and_reference() {
    let found = standing(&register(BOTH), "PSDIE-CBI-C1");
    let Standing::Authorised { services: listed, here, since } = found else { panic!("{found:?}") };
    assert_eq!(since, jiff::civil::date(2018, 7, 2));
    assert_eq!(here, ServiceSet::EMPTY, "nothing is passported to France");
    let expected =
        [ServiceCode::DirectDebits, ServiceCode::Acquiring, ServiceCode::IssuingInstruments];
    assert_eq!(listed, services(&expected));
}

#[test]
fn a_withdrawn_institution_stays_withdrawn_although_its_services_are_still_listed() {
    let since = Some(jiff::civil::date(2020, 2, 1));
    assert_eq!(standing(&register(BOTH), "PSDFI-FINFSA-12 34-5"), Standing::Withdrawn { since });
}

#[test]
fn a_french_certificate_is_followed_from_cib_to_siren_to_services() {
    let listed = services(&[ServiceCode::IssuingInstruments]);
    let since = jiff::civil::date(2021, 3, 1);
    let expected = Standing::Authorised { services: listed, here: listed, since };
    assert_eq!(standing(&register(BOTH), "PSDFR-ACPR-16948"), expected);
}

#[test]
fn a_credit_institution_may_provide_every_service_and_its_cib_is_padded() {
    let register = register(Texts { credit: Some(CREDIT), ..BOTH });
    for id in ["PSDFR-ACPR-00007", "PSDPT-BP-0033", "PSDFR-ACPR-30005"] {
        let found = standing(&register, id);
        let all = ServiceSet::all();
        assert!(
            matches!(found, Standing::Authorised { services, here, .. } if services == all && here == all),
            "{id}: {found:?}"
        );
    }
    assert_eq!(standing(&register, "PSDFR-ACPR-7"), Standing::Unknown);
}

#[test]
fn one_licence_given_back_and_another_held_is_a_firm_that_may_act_in_the_second() {
    let found = standing(&register(BOTH), "PSDDE-BAFIN-9");
    let Standing::Authorised { services: listed, since, .. } = found else { panic!("{found:?}") };
    assert_eq!(listed, services(&[ServiceCode::IssuingInstruments]));
    assert_eq!(since, jiff::civil::date(2020, 1, 1));
}

#[test]
fn what_contradicts_itself_is_undetermined_and_never_authorised() {
    let register = register(BOTH);
    for id in ["PSDFR-ACPR-30003", "PSDFR-ACPR-30007", "PSDCZ-CNB-77", "PSDBE-NBB-6"] {
        let found = standing(&register, id);
        assert!(matches!(found, Standing::Undetermined(_)), "{id}: {found:?}");
    }
    assert_eq!(standing(&register, "PSDFR-ACPR-30004"), Standing::Withdrawn { since: None });
}

#[test]
fn agents_and_strangers_are_unknown_and_ids_are_compared_octet_for_octet() {
    let register = register(BOTH);
    for id in ["PSDCZ-CNB-78", "PSDIE-CBI-C2", "PSDIE-CBI-C1x", "PSDDE-BAFIN-11", "PSDDE-BAFIN-12"]
    {
        assert_eq!(standing(&register, id), Standing::Unknown, "{id}");
    }
    // What only looks like one that is listed opens nothing, and says so.
    for id in ["PSDDE-BAFIN-123", "psdie-cbi-c1", "PSDIE-CBI-C 1", "PSDFI-FINFSA-12345"] {
        assert_eq!(standing(&register, id), Standing::Unknown, "{id}");
        assert!(register.lists_alike(&OrganisationId::new(id).unwrap()), "{id}");
    }
    assert!(!register.lists_alike(&OrganisationId::new("PSDIE-CBI-C1").unwrap()));
    assert!(matches!(standing(&register, "PSDDE-BAFIN-1-23"), Standing::Authorised { .. }));
}

#[test]
fn a_french_id_without_regafi_cannot_be_determined() {
    let register = register(Texts { regafi: None, ..BOTH });
    assert!(matches!(standing(&register, "PSDFR-ACPR-16948"), Standing::Undetermined(_)));
}

#[test]
fn a_payment_institution_known_to_regafi_alone_cannot_be_determined() {
    let register = register(Texts { eba: None, ..BOTH });
    for id in ["PSDFR-ACPR-16948", "PSDFR-ACPR-30008", "PSDFR-ACPR-30009"] {
        assert!(matches!(standing(&register, id), Standing::Undetermined(_)), "{id}");
    }
    assert!(matches!(standing(&register, "PSDFR-ACPR-00007"), Standing::Authorised { .. }));
    assert_eq!(standing(&register, "PSDIE-CBI-C1"), Standing::Unknown);
}

#[test]
fn registers_that_contradict_each_other_are_told_and_the_end_is_believed() {
    let authorisations = AUTHORISATIONS
        .replace("1;Etablissement de paiement;ACTIF", "1;Etablissement de paiement;INACTIF");
    let texts = Texts { regafi: Some((ENTITIES, &authorisations, PUBLISHED)), ..BOTH };
    let register = register(texts);
    assert!(matches!(standing(&register, "PSDFR-ACPR-16948"), Standing::Withdrawn { .. }));
    let told: Vec<_> = register.disagreements(at(PUBLISHED)).collect();
    assert_eq!(told, ["PSDFR-ACPR-16948"]);
    assert_eq!(super::tests::register(BOTH).disagreements(at(PUBLISHED)).count(), 0);
    // On a day on which the EBA's register had ended it for a while, REGAFI's word alone is not enough.
    let gap = at("2020-06-01T00:00:00Z");
    let id = OrganisationId::new("PSDFR-ACPR-16948").unwrap();
    let both = super::tests::register(BOTH);
    assert!(matches!(both.standing(&id, gap).0, Standing::Withdrawn { .. }));
    assert_eq!(both.disagreements(gap).count(), 1);
}

#[test]
fn every_row_is_accounted_for_and_a_rejected_one_says_where_and_why() {
    let mut told = Vec::new();
    let mut snapshot = Snapshot::empty();
    let eba = Published { file: "e", reader: &mut EBA.as_bytes(), as_of: at(PUBLISHED) };
    snapshot
        .add_eba(Origin::EbaPayment, eba, &mut |rejection| told.push(rejection.to_string()))
        .unwrap();
    assert_eq!(
        told,
        [
            "row 6 (CZ_CNB!9): ENT_NAT_REF_COD is not one text",
            "row 13 (x): EntityType is not one that is known",
            "row 15 (x): Services is not a list of countries, each once, with their services",
        ]
    );
    let snapshot = super::tests::snapshot(Texts { credit: Some(CREDIT), ..BOTH }).unwrap();
    let counts: Vec<_> = snapshot
        .sources
        .iter()
        .map(|source| &source.account)
        .map(|a| (a.read, a.used, a.not_relevant, a.rejected))
        .collect();
    assert_eq!(counts, [(15, 10, 2, 3), (4, 2, 1, 1), (8, 6, 1, 1), (7, 6, 0, 1)]);
    for (read, used, not_relevant, rejected) in counts {
        assert_eq!(read, used + not_relevant + rejected);
    }
    assert_eq!(snapshot.sources[0].file, "eba.json");
    assert_eq!(
        snapshot.sources[0].sha256,
        certs::sha256(EBA.as_bytes()).map(|octet| format!("{octet:02x}")).concat()
    );
}

#[test]
fn what_a_person_should_look_at_is_listed() {
    let findings = snapshot(BOTH).unwrap().findings();
    let kinds = |kind| findings.iter().filter(|one| one.kind == kind).count();
    assert_eq!(kinds(FindingKind::ReferenceSpaces), 1);
    assert_eq!(kinds(FindingKind::NoCib), 0);
    assert_eq!(kinds(FindingKind::UnknownService), 1, "PS_050 opens nothing, and is told");
    assert_eq!(kinds(FindingKind::Alike), 0);
    assert!(kinds(FindingKind::Unclear) >= 3, "{findings:?}");
    let more = EBA.replace("\"ENT_NAT_REF_COD\":\"C1\"", "\"ENT_NAT_REF_COD\":\"C-1\"");
    let again = EBA.replace("]]", &format!(",{}", &more[more.find("{\"CA").unwrap()..]));
    let findings = snapshot(Texts { eba: Some((&again, PUBLISHED)), regafi: None, credit: None });
    let findings = findings.unwrap().findings();
    let kinds = |kind| findings.iter().filter(|one| one.kind == kind).count();
    assert_eq!((kinds(FindingKind::Alike), kinds(FindingKind::NoCib)), (2, 1), "{findings:?}");
}

#[test]
fn columns_are_named_by_a_mapping_and_one_that_is_not_there_is_an_error() {
    let entities = ENTITIES.replace("siren", "numero_siren");
    let read = |columns: &Columns| {
        let mut snapshot = Snapshot::empty();
        let as_of = at(PUBLISHED);
        snapshot
            .add_regafi(
                Published { file: "e.csv", reader: &mut entities.as_bytes(), as_of },
                Published { file: "a.csv", reader: &mut AUTHORISATIONS.as_bytes(), as_of },
                columns,
                &mut |_| {},
            )
            .map(|()| snapshot)
    };
    let error = read(&Columns::default()).unwrap_err().to_string();
    assert!(error.starts_with("e.csv: line 1: there is no column \"siren\""), "{error}");
    let columns = Columns { siren: "numero_siren".to_owned(), ..Columns::default() };
    assert_eq!(read(&columns).unwrap().records.len(), 7);
    assert!(serde_json::from_str::<Columns>("{\"sirene\":\"x\"}").is_err());
}

#[test]
fn a_foreign_cut_or_empty_file_is_refused_with_its_name_and_place() {
    let eba = |text| snapshot(Texts { eba: Some((text, PUBLISHED)), ..Texts::default() });
    for text in ["", "[]", "[[]]", "{}", "[[],{}]", "[[],[]] x", &EBA[..EBA.len() - 9]] {
        let error = eba(text).unwrap_err().to_string();
        assert!(error.starts_with("dir/eba.json: "), "{error}");
    }
    let empty = eba("[[],[{}]]").unwrap_err().to_string();
    assert_eq!(
        empty,
        "dir/eba.json: no usable institution among 1 rows; row 1: not an entity of the register's shape"
    );
    let utf16: Vec<u8> = EBA.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut snapshot_of = Snapshot::empty();
    let published = Published { file: "x", reader: &mut &utf16[..], as_of: at(PUBLISHED) };
    assert!(snapshot_of.add_eba(Origin::EbaPayment, published, &mut |_| {}).is_err());
    let regafi = Texts { regafi: Some(("{}", AUTHORISATIONS, PUBLISHED)), ..Texts::default() };
    let error = snapshot(regafi).unwrap_err().to_string();
    assert!(error.starts_with("e.csv: line 1:"), "{error}");
    let none =
        Register::of(&Snapshot::empty(), Overrides::default(), RegisterPolicy::usual(ladder()));
    assert_eq!(none.err(), Some(RegisterError::None));
}

#[test]
fn the_snapshot_is_as_old_as_its_oldest_part() {
    let now = at("2026-11-01T00:04:00Z");
    for (eba, regafi, step) in [
        ("2026-11-01T00:03:30Z", "2026-11-01T00:03:30Z", Step::Fresh),
        ("2026-11-01T00:03:30Z", "2026-11-01T00:01:00Z", Step::Tolerated),
        ("2026-11-01T00:00:00Z", "2026-11-01T00:03:30Z", Step::Expired),
        ("2026-11-01T00:30:00Z", "2026-11-01T00:03:30Z", Step::Expired),
    ] {
        let texts = Texts {
            eba: Some((EBA, eba)),
            regafi: Some((ENTITIES, AUTHORISATIONS, regafi)),
            credit: None,
        };
        assert_eq!(register(texts).freshness(now), step, "{eba} {regafi}");
    }
}

#[test]
fn a_snapshot_is_the_same_octets_for_the_same_files_and_comes_back_from_them() {
    let snapshot = snapshot(Texts { credit: Some(CREDIT), ..BOTH }).unwrap();
    let octets = serde_json::to_vec(&snapshot).unwrap();
    let again: Snapshot = serde_json::from_slice(&octets).unwrap();
    assert_eq!(serde_json::to_vec(&again).unwrap(), octets);
    assert_eq!(again.records, snapshot.records);
}

#[test]
fn a_table_with_commas_and_times_of_day_is_read_and_any_other_situation_is_not_in_force() {
    let entities = "id_referentiel,denomination,siren,cib,approval_withdrawal_process
1,A,111,\"[\"\"1\"\"]\",
2,B,222,\"[\"\"2\"\"]\",
";
    let authorisations = "id_referentiel,categorie,situation,date_debut
1,Etablissement de crédit,ACTIF,2019-01-10T00:00:00+00:00
2,Etablissement de crédit,RADIE,2019-01-10
";
    let regafi = Some((entities, authorisations, PUBLISHED));
    let register = register(Texts { regafi, ..Texts::default() });
    assert!(matches!(standing(&register, "PSDFR-ACPR-00001"), Standing::Authorised { .. }));
    assert!(matches!(standing(&register, "PSDFR-ACPR-00002"), Standing::Withdrawn { .. }));
}
