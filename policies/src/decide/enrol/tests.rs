//! Registrations of a TPP that is known, and each way in which one is not its own.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certs::http_signature::{SignatureMethod, digest, sign_cavage};
use certs::test_qtsp::{Authority, Issued, Kind, Recipe};
use openssl::pkey::PKey;
use serde_json::json;

use super::super::tests::{Case, HOST, good, hours, live, now, record};
use super::*;
use crate::client::Setting;
use crate::decide::approach;
use crate::presented::Presented;
use crate::token::TokenRecord;

const PATH: &str = "/register";
const OWNER: &str = "PSDIE-CBI-C1";
const COVERED: [&str; 5] = ["(request-target)", "date", "digest", "x-request-id", "content-type"];

/// Runs `judge` for a caller who is known.
fn approached<T>(
    case: &Case,
    judge: impl FnOnce(Approached<'_>, &mut Trail) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let (world, identity) = case.world();
    let presented = Presented {
        identity: Some(&identity),
        sni: Some(HOST),
        host: HOST,
        method: "POST",
        target: PATH,
        authorization: None,
        attended: false,
    };
    let mut trail = Trail::new();
    let approached = approach(&presented, &world, "POST", now(), &mut trail)?;
    let judged = judge(approached, &mut trail);
    assert_eq!(trail.failed().is_some(), judged.is_err());
    judged
}

fn seal(qtsp: &Authority, id: &str) -> Issued {
    let mut recipe = Recipe::qwac("F", id, &[], now());
    recipe.kind = Kind::Qsealc;
    qtsp.issue(&recipe).unwrap()
}

/// What a registration with `seals`, sealed by `signer`, is taken for.
fn registered(case: &Case, owner: &str, seals: &[&Issued], signer: &Issued) -> Result<(), Refusal> {
    let x5c = |one: &&Issued| json!({"x5c": [STANDARD.encode(one.der().unwrap())]});
    let body = json!({
        "redirect_uris": ["https://tpp.example/cb"],
        "client_name": "Coffee",
        "scope": "cbpii",
        "provider_legal_id": owner,
        "jwks": {"keys": seals.iter().map(x5c).collect::<Vec<_>>()},
    });
    let body = serde_json::to_vec(&body).unwrap();
    let registration = Registration::read(&body, Setting::Production, now()).unwrap();
    let fields = [
        ("date", "Sat, 21 Nov 2026 11:59:58 GMT".to_owned()),
        ("x-request-id", "abc".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("digest", digest(&body)),
    ];
    let borrowed = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    let mut request = HttpRequest {
        method: "POST",
        target: PATH,
        authority: HOST,
        fields: borrowed.collect(),
        body: &body,
    };
    let leaf = Leaf::from_der(&signer.der().unwrap()).unwrap();
    let key_id = format!("https://tpp.example/x_{}", hex::encode(leaf.fingerprint()));
    let key = PKey::private_key_from_pem(&signer.key_pem().unwrap()).unwrap();
    let method = SignatureMethod::EcdsaP256Sha256;
    let signature = sign_cavage(&request, &key_id, &key, method, &COVERED).unwrap();
    request.fields.push(("signature", signature.as_bytes()));
    let anchors = Anchors::from_pem(&[("a", &case.qtsp.issuing_pem().unwrap())]).unwrap();
    let policy = SignaturePolicy::default();
    let sealing = Sealing { anchors: &anchors, policy: &policy, explains: true };
    let mut met = 0;
    let judged = approached(case, |approached, trail| {
        let mut count = |_: &Leaf, _: &Trusted| met += 1;
        approached.owns(&registration, &request, sealing, now(), &mut count, trail)
    });
    assert!(judged.is_err() || met > seals.len(), "each certificate is watched");
    judged
}

#[test]
fn a_registration_that_its_own_tpp_has_sealed_is_its_own() {
    let case = good();
    let (first, second) = (seal(&case.qtsp, OWNER), seal(&case.qtsp, OWNER));
    assert_eq!(registered(&case, OWNER, &[&first], &first), Ok(()));
    assert_eq!(registered(&case, OWNER, &[&first, &second], &first), Ok(()));
}

#[test]
fn each_way_in_which_a_registration_is_not_the_callers_has_its_reason() {
    let case = good();
    let stranger = Authority::generate("S", now()).unwrap();
    let (own, second) = (seal(&case.qtsp, OWNER), seal(&case.qtsp, OWNER));
    let other = seal(&case.qtsp, "PSDIE-CBI-C9");
    let untrusted = seal(&stranger, OWNER);
    for (owner, seals, signer, reason) in [
        ("PSDIE-CBI-C9", vec![&other], &other, Reason::RegistrationInvalid),
        (OWNER, vec![&own], &other, Reason::SignatureKeyUnknown),
        (OWNER, vec![&own, &second], &second, Reason::SignatureKeyUnknown),
        (OWNER, vec![&untrusted], &untrusted, Reason::SignatureUntrusted),
        (OWNER, vec![&own, &untrusted], &own, Reason::RegistrationInvalid),
    ] {
        let refused = registered(&case, owner, &seals, signer).unwrap_err();
        assert_eq!(refused.reason, reason, "{refused}");
    }
}

#[test]
fn only_an_own_live_token_of_the_scope_is_held() {
    let case = good();
    let judge = |bend: fn(&mut TokenRecord)| {
        let mut record = record();
        record.scopes = ["manage".to_owned()].into();
        bend(&mut record);
        let judged = approached(&case, |approached, trail| {
            approached.holds(live(record), &[0; 32], "manage", now(), trail)
        });
        judged.map_err(|refusal| refusal.reason)
    };
    assert_eq!(judge(|_| {}), Ok(()));
    assert_eq!(judge(|one| one.scopes.clear()), Err(Reason::TokenScope));
    assert_eq!(judge(|one| one.expires_at = hours(0)), Err(Reason::TokenExpired));
    assert_eq!(judge(|one| one.codetab = "11315".to_owned()), Err(Reason::TokenOtherBank));
    let bound = |one: &mut TokenRecord| one.certificate = Some([1; 32]);
    assert_eq!(judge(bound), Err(Reason::TokenOtherCertificate));
    let other = |one: &mut TokenRecord| {
        one.organisation_id = certs::OrganisationId::new("PSDIE-CBI-C9").unwrap();
    };
    assert_eq!(judge(other), Err(Reason::TokenOtherTpp));
    for (fact, reason) in [
        (TokenFact::Unknown, Reason::TokenUnknown),
        (TokenFact::Suspended, Reason::TppSuspended),
        (TokenFact::Unavailable, Reason::StateUnavailable),
    ] {
        let judged = approached(&case, |approached, trail| {
            approached.holds(fact, &[0; 32], "manage", now(), trail)
        });
        assert_eq!(judged.unwrap_err().reason, reason);
    }
    let bearer = |value: Option<&[u8]>| {
        approached(&case, |approached, trail| approached.bearer(value, trail))
            .map_err(|refusal| refusal.reason)
    };
    assert!(bearer(Some(b"Bearer 0123456789abcdef0123456789abcdef")).is_ok());
    assert_eq!(bearer(None), Err(Reason::TokenMissing));
    assert_eq!(bearer(Some(b"Basic 0123456789abcdef")), Err(Reason::TokenMalformed));
}

#[test]
fn only_an_authorisation_that_has_ended_is_a_withdrawal() {
    let (world, _) = good().world();
    let world: &Arc<_> = &world;
    let why = |id: &str| {
        let id = certs::OrganisationId::new(id).unwrap();
        crate::decide::withdrawal(&id, &world.register, now())
    };
    assert_eq!(why(OWNER), None);
    assert_eq!(why("PSDIE-CBI-C9"), None, "unknown is not ended");
    assert!(why("PSDIE-CBI-C2").unwrap().contains("ended on 2020-01-01"));
}
