use certs::Leaf;
use certs::http_signature::{SignatureMethod, content_digest, digest, sign_cavage};
use certs::test_qtsp::{Authority, Issued, Kind, Recipe};
use jiff::SignedDuration;
use openssl::pkey::PKey;

use super::*;

const COVERED: [&str; 5] = ["(request-target)", "date", "digest", "x-request-id", "content-type"];
const BODY: &[u8] = b"{}";

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn hours(hours: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_hours(hours)).unwrap()
}

type Fields = Vec<(&'static str, String)>;

struct Case {
    qtsp: Authority,
    anchors: Anchors,
    recipe: Recipe,
    revoked: bool,
    listed_until: i64,
    sender: &'static str,
    fields: Box<dyn Fn(&mut Fields)>,
    known: bool,
}

fn case() -> Case {
    let qtsp = Authority::generate("T", now()).unwrap();
    let anchors = Anchors::from_pem(&[("a", &qtsp.issuing_pem().unwrap())]).unwrap();
    let mut recipe = Recipe::qwac("F", "PSDIE-CBI-C1", &[], now());
    recipe.kind = Kind::Qsealc;
    Case {
        qtsp,
        anchors,
        recipe,
        revoked: false,
        listed_until: 1,
        sender: "PSDIE-CBI-C1",
        fields: Box::new(|_| {}),
        known: true,
    }
}

impl Case {
    fn judge(&self) -> Result<(), Refusal> {
        let issued: Issued = self.qtsp.issue(&self.recipe).unwrap();
        let leaf = Leaf::from_der(&issued.der().unwrap()).unwrap();
        let key_id = format!("https://tpp.example/x_{}", hex::encode(leaf.fingerprint()));
        let key = PKey::private_key_from_pem(&issued.key_pem().unwrap()).unwrap();
        let revoked =
            if self.revoked { vec![(issued.serial().unwrap(), hours(-1))] } else { vec![] };
        let crl = self.qtsp.crl(&revoked, hours(-2), hours(self.listed_until)).unwrap();
        let revocations = Revocations::from_crls(&[("c", &crl)], &self.anchors).unwrap();
        let seals = if self.known { vec![Seal::new(leaf, Vec::new()).unwrap()] } else { vec![] };
        let seals = Seals::judge(seals, &self.anchors, SignaturePolicy::default(), true, now());
        let mut fields = vec![
            ("date", "Sat, 21 Nov 2026 11:59:58 GMT".to_owned()),
            ("x-request-id", "abc".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("digest", digest(BODY)),
            ("content-digest", content_digest(BODY)),
        ];
        let signature = {
            let unsigned = request(&fields);
            let method = SignatureMethod::EcdsaP256Sha256;
            sign_cavage(&unsigned, &key_id, &key, method, &COVERED).unwrap()
        };
        fields.push(("signature", signature));
        (self.fields)(&mut fields);
        let sender = OrganisationId::new(self.sender).unwrap();
        seals.sealed(&request(&fields), &sender, &revocations, false, now())
    }
}

fn request<'a>(fields: &'a [(&'static str, String)]) -> HttpRequest<'a> {
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    HttpRequest { method: "POST", target: "/x", authority: "h.example", fields, body: BODY }
}

#[test]
fn a_request_sealed_by_its_sender_passes() {
    assert_eq!(case().judge(), Ok(()));
}

#[test]
fn each_fault_of_a_seal_has_its_reason() {
    type Bend = fn(&mut Case);
    let bends: [(Reason, Bend); 11] = [
        (Reason::SignatureMissing, |case| {
            case.fields = Box::new(|fields| fields.retain(|field| field.0 != "signature"));
        }),
        (Reason::SignatureInvalid, |case| {
            case.fields = Box::new(|fields| fields[1].1.push('x'));
        }),
        (Reason::SignatureExpired, |case| {
            case.fields = Box::new(|f| f[0].1 = "Sat, 21 Nov 2026 10:00:00 GMT".to_owned());
        }),
        (Reason::DigestMismatch, |case| {
            case.fields = Box::new(|fields| fields[3].1 = digest(b"other"));
        }),
        (Reason::SignatureKeyUnknown, |case| case.known = false),
        (Reason::SignatureOtherOrganisation, |case| case.sender = "PSDIE-CBI-C2"),
        (Reason::SignatureUntrusted, |case| case.recipe.kind = Kind::Qwac),
        (Reason::SignatureUntrusted, |case| case.recipe.not_after = hours(-1)),
        (Reason::SignatureUntrusted, |case| case.revoked = true),
        (Reason::RevocationUnknown, |case| case.listed_until = -1),
        (Reason::SignatureInvalid, |case| {
            case.fields = Box::new(|f| f.push(("psu-ip-address", "192.0.2.1".to_owned())));
        }),
    ];
    for (index, (reason, bend)) in bends.into_iter().enumerate() {
        let mut case = case();
        bend(&mut case);
        let refusal = case.judge().unwrap_err();
        assert_eq!(refusal.reason, reason, "bend {index}: {refusal}");
    }
}

#[test]
fn a_signing_string_with_the_token_in_it_is_told_to_nobody() {
    let mut case = case();
    case.fields = Box::new(|fields| {
        fields.push(("authorization", "Bearer secret".to_owned()));
        let last = fields.iter_mut().find(|field| field.0 == "signature").unwrap();
        last.1 = last.1.replace("headers=\"", "headers=\"authorization ");
    });
    let refusal = case.judge().unwrap_err();
    assert_eq!(refusal.reason, Reason::SignatureInvalid);
    assert!(refusal.diagnosis().is_none());
    case.fields = Box::new(|fields| fields[1].1.push('x'));
    assert!(case.judge().unwrap_err().diagnosis().is_some());
}
