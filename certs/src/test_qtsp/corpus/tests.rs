//! Every member is judged here as the gateway judges it before it looks at the register.

use std::collections::HashSet;

use super::*;
use crate::{
    Anchors, ClientAuthEku, Finding, Identity, Lint, ProfileFault, ProfilePolicy, PspRole,
    RevocationStatus, Revocations,
};

const POLICY: ProfilePolicy = ProfilePolicy { client_auth_eku: ClientAuthEku::Require };

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// The DER of each block, however spoilt.
fn ders(pem: &[u8]) -> Vec<Vec<u8>> {
    let blocks = x509_parser::pem::Pem::iter_from_buffer(pem);
    blocks.map(|block| block.unwrap().contents).collect()
}

fn reason(identity: &Identity, revocations: &Revocations) -> Option<&'static str> {
    let Ok(trusted) = identity.trust() else { return Some("certificate_untrusted") };
    if now() < trusted.not_before() {
        return Some("certificate_not_yet_valid");
    }
    if now() > trusted.not_after() {
        return Some("certificate_expired");
    }
    match revocations.status(trusted, now()) {
        RevocationStatus::Good { .. } => {}
        RevocationStatus::Revoked { .. } => return Some("certificate_revoked"),
        RevocationStatus::Unknown(_) => return Some("revocation_unknown"),
    }
    match identity.profile() {
        Ok(qwac) if !qwac.roles.contains(PspRole::CardBasedInstruments) => Some("role_missing"),
        Ok(_) => None,
        Err(ProfileFault::NotQwac(_) | ProfileFault::NotQsealc(_)) => Some("certificate_not_qwac"),
        Err(ProfileFault::Purpose(_)) => Some("certificate_purpose"),
        Err(ProfileFault::OrganisationIdAmbiguous) => Some("organisation_id_ambiguous"),
        Err(_) => Some("organisation_id_missing"),
    }
}

#[test]
fn every_member_gets_its_verdict() {
    let corpus = Corpus::make(now()).unwrap();
    let mut anchors = Anchors::from_pem(&[("anchors", &corpus.anchors_pem)]).unwrap();
    anchors.add_intermediates(&[("intermediates", &corpus.intermediates_pem)]).unwrap();
    let lists: Vec<_> = corpus.crls.iter().map(|(list, pem)| (*list, pem.as_slice())).collect();
    let revocations = Revocations::from_crls(&lists, &anchors).unwrap();
    let mut wrong = Vec::new();
    for member in &corpus.members {
        let ders = ders(&member.chain_pem);
        let identity = Identity::establish(&ders[0], &ders[1..], &anchors, &POLICY, now());
        let found = reason(&identity, &revocations);
        let expected = member.expect.reason.filter(|reason| !reason.starts_with("register_"));
        if found != expected {
            let (trust, profile) = (identity.trust().err(), identity.profile().err());
            wrong.push(format!(
                "{}: {found:?} for {expected:?}: {trust:?} {profile:?}",
                member.name
            ));
        }
        if let Some(code) = member.expect.lint {
            let lint = identity.profile().err().map(Lint::of_fault).map(Lint::code);
            if lint != Some(code) {
                wrong.push(format!("{}: lint {lint:?} for {code}", member.name));
            }
        }
        if let Some(code) = member.expect.warning {
            let warnings = Finding::warnings(identity.leaf().unwrap());
            if !warnings.iter().any(|finding| finding.lint.code() == code) {
                wrong.push(format!("{}: no warning {code} in {warnings:?}", member.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), corpus.members.len(), wrong.join("\n"));
}

#[test]
fn names_are_unique_and_there_are_enough_of_both_kinds() {
    let corpus = Corpus::make(now()).unwrap();
    let names: HashSet<_> = corpus.members.iter().map(|member| member.name).collect();
    assert_eq!(names.len(), corpus.members.len());
    assert!(names.len() >= 120, "{}", names.len());
    let (good, bad): (Vec<_>, Vec<_>) =
        corpus.members.iter().partition(|member| member.expect.reason.is_none());
    assert!(good.len() >= 40 && bad.len() >= 80, "{} and {}", good.len(), bad.len());
    let known = |name: &str| Lint::ALL.iter().any(|lint| lint.code() == name);
    for member in &corpus.members {
        assert!(member.expect.lint.is_none_or(known) && member.expect.warning.is_none_or(known));
    }
}
