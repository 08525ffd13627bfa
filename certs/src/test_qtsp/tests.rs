//! The profile is judged here, on certificates with one defect each.

use std::net::IpAddr;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{
    AlternativeName, Anchors, ClientAuthEku, Identity, Leaf, NotQwac, ProfileFault, ProfilePolicy,
    PspRole, Purpose, QcType, Qwac,
};

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

const POLICY: ProfilePolicy = ProfilePolicy { client_auth_eku: ClientAuthEku::Require };
const ROLES: [PspRole; 2] = [PspRole::PaymentInitiation, PspRole::CardBasedInstruments];

fn recipe() -> Recipe {
    Recipe::qwac("Funds & Co", "PSDFR-ACPR-16948", &ROLES, now())
}

fn leaf(recipe: &Recipe) -> Leaf {
    let issued = Authority::generate("T", now()).unwrap().issue(recipe).unwrap();
    Leaf::from_der(&issued.der().unwrap()).unwrap()
}

fn judged(recipe: &Recipe) -> Result<Qwac, ProfileFault> {
    Qwac::read(&leaf(recipe), &POLICY)
}

#[test]
fn a_good_qwac_names_its_holder_all_its_roles_and_its_authority() {
    let qwac = judged(&recipe()).unwrap();
    assert_eq!(qwac.organisation_id.as_str(), "PSDFR-ACPR-16948");
    assert_eq!(qwac.roles.to_string(), "PSP_PI PSP_IC", "the last role counts too");
    assert_eq!(qwac.authority_id, "FR-ACPR");
    let leaf = leaf(&recipe());
    assert_eq!(leaf.version(), 3);
    assert_eq!(leaf.not_before(), recipe().not_before);
    assert_eq!(leaf.not_after(), recipe().not_after);
    assert_eq!(leaf.subject_organisation(), Some("Funds & Co"));
    assert_eq!(leaf.subject_country(), Some("FR"));
    assert_eq!(leaf.subject_common_name(), Some("tpp.example"));
    assert_eq!(leaf.alternative_names(), [AlternativeName::Dns("tpp.example".to_owned())]);
    assert_eq!(leaf.key().to_string(), "P-256");
    assert_eq!(leaf.signature_algorithm().to_string(), "ecdsa-with-SHA256");
    let purposes = leaf.ext_key_usage().unwrap();
    assert!(purposes.client_auth && purposes.server_auth && !purposes.any);
    assert_eq!(leaf.key_usage().unwrap().names().collect::<Vec<_>>(), ["digitalSignature"]);
    let statements = leaf.qc().unwrap();
    assert!(statements.compliance && statements.types == [QcType::Web]);
    assert_eq!(hex::encode(leaf.serial()), leaf.serial_hex());
}

#[test]
fn each_defect_is_found_as_itself() {
    let not = |defect| match judged(&recipe().with(defect)) {
        Err(ProfileFault::NotQwac(fault)) => fault,
        other => panic!("{other:?}"),
    };
    assert!(matches!(not(Defect::NoStatements), NotQwac::Statements(_)));
    assert!(matches!(not(Defect::MalformedPsd2), NotQwac::Statements(_)));
    assert!(matches!(not(Defect::TwoPsd2), NotQwac::Statements(_)));
    assert_eq!(not(Defect::NoCompliance), NotQwac::NoCompliance);
    assert_eq!(not(Defect::NoPsd2), NotQwac::NoPsd2);
    assert_eq!(not(Defect::NoType), NotQwac::NotWeb);
    assert_eq!(not(Defect::SealType), NotQwac::NotWeb);

    let purpose = |recipe: Recipe| match judged(&recipe) {
        Err(ProfileFault::Purpose(fault)) => fault,
        other => panic!("{other:?}"),
    };
    assert_eq!(purpose(recipe().with(Defect::Ca)), Purpose::Ca);
    assert_eq!(purpose(recipe().with(Defect::ServerOnly)), Purpose::ClientAuth);
    assert_eq!(purpose(recipe().with(Defect::NoDigitalSignature)), Purpose::KeyUsage);
    let sha1 = Purpose::Signature("ecdsa-with-SHA1".to_owned());
    assert_eq!(purpose(recipe().with(Defect::Sha1)), sha1);
    let mut weak = recipe();
    weak.key = KeyKind::Rsa(1024);
    assert_eq!(purpose(weak), Purpose::Key { kind: "RSA 1024".to_owned() });
}

#[test]
fn an_organisation_id_is_there_once_and_in_an_accepted_string_type() {
    let two = judged(&recipe().with(Defect::TwoOrganisationIds));
    assert_eq!(two, Err(ProfileFault::OrganisationIdAmbiguous));
    let bmp = judged(&recipe().with(Defect::BmpOrganisationId)).unwrap_err();
    assert!(bmp.to_string().contains("it is a BMPString"), "{bmp}");
    let mut none = recipe();
    none.organisation_id = None;
    assert_eq!(judged(&none), Err(ProfileFault::OrganisationIdMissing));
}

#[test]
fn a_role_of_another_state_is_kept_and_grants_nothing() {
    let leaf = leaf(&recipe().with(Defect::UnknownRole));
    let psd2 = leaf.qc().unwrap().psd2.as_ref().unwrap();
    assert_eq!(psd2.unknown_roles, ["0.4.0.19495.9.1"]);
    assert_eq!(psd2.roles, ROLES.into_iter().collect());
}

#[test]
fn a_server_only_qwac_passes_where_the_bank_says_so() {
    let leaf = leaf(&recipe().with(Defect::ServerOnly));
    for eku in [ClientAuthEku::AcceptServerAuthOnly, ClientAuthEku::Ignore] {
        assert!(Qwac::read(&leaf, &ProfilePolicy { client_auth_eku: eku }).is_ok());
    }
}

#[test]
fn a_seal_is_no_qwac_and_a_tls_client_without_statements_neither() {
    for kind in [Kind::Qsealc, Kind::TlsClient] {
        let mut other = recipe();
        other.kind = kind;
        assert!(matches!(judged(&other), Err(ProfileFault::NotQwac(_))));
    }
}

#[test]
fn a_server_certificate_carries_its_names_and_addresses() {
    let mut server = recipe();
    let address: IpAddr = "127.0.0.1".parse().unwrap();
    server.kind = Kind::TlsServer { names: vec!["a.localhost".to_owned()], ips: vec![address] };
    let leaf = leaf(&server);
    assert_eq!(
        leaf.alternative_names(),
        [AlternativeName::Dns("a.localhost".to_owned()), AlternativeName::Ip(address)]
    );
}

#[test]
fn a_stored_authority_is_the_same_and_a_cut_one_is_refused() {
    let first = Authority::generate("T", now()).unwrap();
    let pem = first.to_pem().unwrap();
    let second = Authority::from_pem(&pem).unwrap();
    let issued = second.issue(&recipe()).unwrap();
    let anchors = Anchors::from_pem(&[("a", &first.issuing_pem().unwrap())]).unwrap();
    let identity = Identity::establish(&issued.der().unwrap(), &[], &anchors, &POLICY, now());
    assert!(identity.trust().is_ok() && identity.profile().is_ok());
    assert!(Authority::from_pem(&pem[..pem.len() / 2]).is_err());
    assert!(!format!("{first:?}").contains("PRIVATE"));
}

#[test]
fn a_certificate_that_cannot_be_read_is_nobody_and_trusted_by_nobody() {
    let qtsp = Authority::generate("T", now()).unwrap();
    let anchors = Anchors::from_pem(&[("a", &qtsp.issuing_pem().unwrap())]).unwrap();
    let identity = Identity::establish(b"nonsense", &[], &anchors, &POLICY, now());
    assert!(identity.leaf().is_err() && identity.trust().is_err() && identity.profile().is_err());
    assert_eq!(identity.serial_hex(), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_bent_certificate_is_never_both_trusted_and_another(
        at in any::<prop::sample::Index>(), bit in 0..8_u8, cut in any::<bool>(),
    ) {
        thread_local! {
            static MADE: (Vec<u8>, Anchors) = {
                let qtsp = Authority::generate("T", now()).unwrap();
                let anchors = Anchors::from_pem(&[("a", &qtsp.issuing_pem().unwrap())]).unwrap();
                (qtsp.issue(&recipe()).unwrap().der().unwrap(), anchors)
            };
        }
        MADE.with(|(der, anchors)| {
            let mut der = der.clone();
            let at = at.index(der.len());
            if cut { der.truncate(at) } else { der[at] ^= 1 << bit }
            let identity = Identity::establish(&der, &[der.clone()], anchors, &POLICY, now());
            prop_assert!(identity.trust().is_err(), "any changed octet breaks DER or the signature");
            Ok(())
        })?;
    }
}
