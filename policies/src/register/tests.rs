use std::time::Duration;

use proptest::prelude::*;

use super::*;

const EBA: &str = r#"[[{"disclaimer":"none of this exists"}],[
{"CA_OwnerID":"IE_CBI","EntityCode":"IE_CBI!C1","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"C1"},{"ENT_NAM":["A","B"]},{"ENT_AUT":["2018-07-02"]}],"Services":[{"AT":["PS_03A","PS_05B"]},{"IE":"PS_05A"}]},
{"CA_OwnerID":"FI_FIN-FSA","EntityCode":"x","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"12 34-5"},{"ENT_AUT":["2019-01-10","2020-02-01"]}],"Services":[{"FI":"PS_05A"}]},
{"CA_OwnerID":"FR_ACPR","EntityCode":"x","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"888888888"},{"ENT_AUT":["2019-01-10","2020-02-01","2021-03-01"]}],"Services":[{"FR":["PS_05A"]}]},
{"CA_OwnerID":"CZ_CNB","EntityCode":"x","EntityType":"PSD_AISP","Properties":[{"ENT_NAT_REF_COD":"77"},{"ENT_AUT":[]}]},
{"CA_OwnerID":"CZ_CNB","EntityCode":"x","EntityType":"PSD_AG","Properties":[{"ENT_NAT_REF_COD":"78"}]},
{"CA_OwnerID":"CZ_CNB","EntityCode":"x","EntityType":"PSD_PI","Properties":[{"ENT_AUT":["2019-01-10"]}]},
{"CA_OwnerID":"BE_NBB","EntityCode":"x","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"5"},{"ENT_AUT":["2019-01-10"]}],"Services":[{"BE":"PS_050"}]},
{"CA_OwnerID":"BE_NBB","EntityCode":"x","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"6"},{"ENT_AUT":["2019-01-10"]}]},
{"CA_OwnerID":"BE_NBB","EntityCode":"x","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"6"},{"ENT_AUT":["2019-01-10","2019-02-10"]}]}
]]"#;

const ENTITIES: &str = "\u{feff}id_referentiel;denomination;siren;cib;approval_withdrawal_process
1;A;888888888;\"[{\"\"code\"\":\"\"16948\"\",\"\"date\"\":\"\"2019-01-10\"\"}]\";
2;B;222;\"[\"\"7\"\"]\";
3;C;333;\"[\"\"30003\"\"]\";True
4;D;444;\"[\"\"30004\"\"]\";
5;E;555;[];
6;F;666;nonsense;
7;G;777;\"[\"\"30007\"\"]\";
";

const AUTHORISATIONS: &str = "id_referentiel;categorie;situation;date_debut
1;Etablissement de paiement;ACTIF;2019-01-10
2;\u{c9}tablissement de cr\u{e9}dit;ACTIF;1998-01-01
2;Changeur manuel;INACTIF;1990-01-01
3;Etablissement de paiement;ACTIF;2019-01-10
4;Etablissement de paiement;INACTIF;2019-01-10
6;Etablissement de paiement;PEUT-ETRE;2019-01-10
";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn published<'a>(file: &'a str, text: &'a str) -> Published<'a> {
    Published { file, bytes: text.as_bytes() }
}

fn ladder() -> Freshness {
    Freshness { fresh_for: Duration::from_secs(100), tolerated_for: Duration::from_secs(200) }
}

fn register(eba: Option<&str>, regafi: Option<(&str, &str)>) -> Result<Register, RegisterError> {
    let as_of = at("2026-11-01T00:00:00Z");
    Register::read(&Sources {
        eba: eba.map(|text| (published("eba.json", text), as_of)),
        regafi: regafi.map(|(entities, authorisations)| {
            (published("e.csv", entities), published("a.csv", authorisations), as_of)
        }),
        freshness: ladder(),
    })
}

fn both() -> Register {
    register(Some(EBA), Some((ENTITIES, AUTHORISATIONS))).unwrap()
}

fn standing(register: &Register, id: &str) -> Standing {
    register.standing(&OrganisationId::new(id).unwrap(), at("2026-11-01T00:00:00Z")).0
}

fn services(codes: &[ServiceCode]) -> ServiceSet {
    codes.iter().copied().collect()
}

#[test]
fn an_institution_is_found_by_the_id_derived_from_its_authority_and_reference() {
    let found = standing(&both(), "PSDIE-CBI-C1");
    let Standing::Authorised { services: listed, since } = found else { panic!("{found:?}") };
    assert_eq!(since, jiff::civil::date(2018, 7, 2));
    assert_eq!(
        listed,
        services(&[
            ServiceCode::DirectDebits,
            ServiceCode::Acquiring,
            ServiceCode::IssuingInstruments
        ])
    );
}

#[test]
fn a_withdrawn_institution_stays_withdrawn_although_its_services_are_still_listed() {
    let since = Some(jiff::civil::date(2020, 2, 1));
    assert_eq!(standing(&both(), "PSDFI-FINFSA-1234-5"), Standing::Withdrawn { since });
}

#[test]
fn a_french_certificate_is_followed_from_cib_to_siren_to_services() {
    let found = standing(&both(), "PSDFR-ACPR-16948");
    assert_eq!(
        found,
        Standing::Authorised {
            services: services(&[ServiceCode::IssuingInstruments]),
            since: jiff::civil::date(2021, 3, 1),
        }
    );
}

#[test]
fn a_credit_institution_may_provide_every_service_and_its_cib_is_padded() {
    let found = standing(&both(), "PSDFR-ACPR-00007");
    assert!(
        matches!(found, Standing::Authorised { services, .. } if services == ServiceSet::all()),
        "{found:?}"
    );
    assert_eq!(standing(&both(), "PSDFR-ACPR-7"), Standing::Unknown);
}

#[test]
fn what_contradicts_itself_is_undetermined_and_never_authorised() {
    let register = both();
    for id in ["PSDFR-ACPR-30003", "PSDFR-ACPR-30007", "PSDCZ-CNB-77", "PSDBE-NBB-6"] {
        let found = standing(&register, id);
        assert!(matches!(found, Standing::Undetermined(_)), "{id}: {found:?}");
    }
    assert_eq!(standing(&register, "PSDFR-ACPR-30004"), Standing::Withdrawn { since: None });
}

#[test]
fn agents_and_strangers_are_unknown_and_ids_are_compared_byte_for_byte() {
    let register = both();
    for id in
        ["PSDCZ-CNB-78", "PSDIE-CBI-C2", "psdie-cbi-c1", "PSDIE-CBI-C1x", "PSDIE\u{2010}CBI-C1"]
    {
        assert_eq!(standing(&register, id), Standing::Unknown, "{id}");
    }
}

#[test]
fn a_french_id_without_regafi_cannot_be_determined() {
    let register = register(Some(EBA), None).unwrap();
    assert!(matches!(standing(&register, "PSDFR-ACPR-16948"), Standing::Undetermined(_)));
}

#[test]
fn a_payment_institution_known_to_regafi_alone_cannot_be_determined() {
    let register = register(None, Some((ENTITIES, AUTHORISATIONS))).unwrap();
    assert!(matches!(standing(&register, "PSDFR-ACPR-16948"), Standing::Undetermined(_)));
    assert!(matches!(standing(&register, "PSDFR-ACPR-00007"), Standing::Authorised { .. }));
    assert_eq!(standing(&register, "PSDIE-CBI-C1"), Standing::Unknown);
}

#[test]
fn every_row_is_accounted_for_and_a_rejected_one_says_where_and_why() {
    let register = both();
    let accounts: Vec<_> = register.accounts().collect();
    for (source, account) in &accounts {
        assert_eq!(
            account.read,
            account.accepted + account.set_aside + account.rejected,
            "{source}"
        );
    }
    let (_, eba) = accounts.first().unwrap();
    assert_eq!((eba.read, eba.accepted, eba.set_aside, eba.rejected), (9, 6, 1, 2));
    let told: Vec<_> = eba.rejections.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "row 6: ENT_NAT_REF_COD is not one text",
            "row 7: a service code is not one of the register's"
        ]
    );
    let (_, entities) = accounts.get(1).unwrap();
    assert_eq!((entities.accepted, entities.set_aside, entities.rejected), (5, 1, 1));
    let (_, authorisations) = accounts.get(2).unwrap();
    assert_eq!((authorisations.accepted, authorisations.rejected), (5, 1));
}

#[test]
fn a_foreign_cut_or_empty_file_is_refused_with_its_name_and_place() {
    assert_eq!(register(None, None).err(), Some(RegisterError::None));
    for text in ["", "[]", "[[]]", "{}", "[[],{}]", "[[],[]] x", &EBA[..EBA.len() - 9]] {
        let error = register(Some(text), None).err().unwrap().to_string();
        assert!(error.starts_with("eba.json:"), "{error}");
    }
    let empty = register(Some("[[],[{}]]"), None).err().unwrap().to_string();
    assert_eq!(
        empty,
        "eba.json: no usable institution among 1 rows; row 1: not an entity of the register's shape"
    );
    let error = register(None, Some(("{}", AUTHORISATIONS))).err().unwrap().to_string();
    assert!(error.starts_with("e.csv:1:"), "{error}");
}

#[test]
fn the_snapshot_is_as_old_as_its_oldest_part() {
    let sources = |eba: &str, regafi: &str| Sources {
        eba: Some((published("eba.json", EBA), at(eba))),
        regafi: Some((
            published("e.csv", ENTITIES),
            published("a.csv", AUTHORISATIONS),
            at(regafi),
        )),
        freshness: ladder(),
    };
    let now = at("2026-11-01T00:04:00Z");
    for (eba, regafi, step) in [
        ("2026-11-01T00:03:30Z", "2026-11-01T00:03:30Z", Step::Fresh),
        ("2026-11-01T00:03:30Z", "2026-11-01T00:01:00Z", Step::Tolerated),
        ("2026-11-01T00:00:00Z", "2026-11-01T00:03:30Z", Step::Expired),
        ("2026-11-01T00:30:00Z", "2026-11-01T00:03:30Z", Step::Expired),
    ] {
        let register = Register::read(&sources(eba, regafi)).unwrap();
        assert_eq!(register.freshness(now), step, "{eba} {regafi}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Eba::read("x", &bytes);
        let _ = Regafi::read(("x", &bytes), ("y", &bytes));
    }

    #[test]
    fn a_cut_or_bent_register_never_authorises_a_stranger(
        cut in 0..EBA.len(), byte in any::<u8>(),
    ) {
        let mut bytes = EBA.as_bytes().to_vec();
        bytes[cut] = byte;
        if let Ok(eba) = Eba::read("x", &bytes) {
            prop_assert_eq!(
                eba.account.read,
                eba.account.accepted + eba.account.set_aside + eba.account.rejected
            );
        }
        prop_assert!(Eba::read("x", &bytes[..cut]).is_err());
    }
}
