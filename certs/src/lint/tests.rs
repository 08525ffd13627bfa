use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::role::PspRole;
use crate::test_qtsp::{Authority, Defect, Recipe};
use crate::{ClientAuthEku, ProfilePolicy, Qsealc, Qwac};

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn recipe(id: &str) -> Recipe {
    Recipe::qwac("F", id, &[PspRole::CardBasedInstruments], now())
}

fn leaf(recipe: &Recipe) -> Leaf {
    let issued = Authority::generate("T", now()).unwrap().issue(recipe).unwrap();
    Leaf::from_der(&issued.der().unwrap()).unwrap()
}

fn refusal(recipe: &Recipe) -> Option<Lint> {
    let policy = ProfilePolicy { client_auth_eku: ClientAuthEku::Require };
    Qwac::read(&leaf(recipe), &policy).err().map(|fault| Lint::of_fault(&fault))
}

fn warned(recipe: &Recipe) -> Vec<Lint> {
    Finding::warnings(&leaf(recipe)).into_iter().map(|finding| finding.lint).collect()
}

#[test]
fn codes_are_unique_and_refusals_stand_first() {
    let codes: HashSet<_> = Lint::ALL.iter().map(|lint| lint.code()).collect();
    assert_eq!(codes.len(), Lint::ALL.len());
    let first_warning =
        Lint::ALL.iter().position(|lint| lint.severity() == Severity::Warns).unwrap();
    assert!(Lint::ALL[first_warning..].iter().all(|lint| lint.severity() == Severity::Warns));
}

#[test]
fn a_name_that_a_person_would_misread_is_refused_by_its_own_lint() {
    for (id, lint) in [
        ("psdfr-ACPR-1", Lint::OrganisationIdCase),
        ("PSDFR-acpr-1", Lint::OrganisationIdCase),
        ("PSDFIN-FINFSA-1", Lint::OrganisationIdForm),
        ("PSDFR-ACPR-", Lint::OrganisationIdForm),
        ("PSDFR\u{2013}ACPR-1", Lint::OrganisationIdDash),
        ("PSDFR-ACPR\u{ad}-1", Lint::OrganisationIdDash),
        ("PSDFR-\u{410}CPR-1", Lint::OrganisationIdNotAscii),
        ("PSDFR-ACPR-1\u{200b}", Lint::OrganisationIdNotAscii),
        ("\u{feff}PSDFR-ACPR-1", Lint::OrganisationIdNotAscii),
        ("PSDFR-ACPR-1\u{a0}2", Lint::OrganisationIdWhiteSpace),
        ("PSDFR-ACPR-1 ", Lint::OrganisationIdWhiteSpace),
        (" PSDFR-ACPR-1", Lint::OrganisationIdWhiteSpace),
        ("PSDFR -ACPR-1", Lint::OrganisationIdWhiteSpace),
        ("PSDFR-ACPR-1  2", Lint::OrganisationIdWhiteSpace),
        ("PSDFR-ACPR-1\0", Lint::OrganisationIdNul),
        ("PSDFR-ACPR-1\n", Lint::OrganisationIdControl),
        ("PSDXX-ACPR-1", Lint::OrganisationIdCountry),
    ] {
        assert_eq!(refusal(&recipe(id)), Some(lint), "{id:?}");
    }
    assert_eq!(refusal(&recipe("PSDFI-FINFSA-0111027-9")), None);
    assert_eq!(refusal(&recipe("PSDIE-CBI-C 102960")), None);
    assert!(warned(&recipe("PSDIE-CBI-C 102960")).contains(&Lint::OrganisationIdSpace));
}

#[test]
fn the_name_the_authority_and_the_country_speak_of_one_state() {
    let mut other = recipe("PSDFR-ACPR-1");
    other.authority_id = "FR-AMF".to_owned();
    assert_eq!(refusal(&other), Some(Lint::OrganisationIdAuthority));
    let mut other = recipe("PSDFR-ACPR-1");
    other.authority_id = "DE-BAFIN".to_owned();
    assert_eq!(refusal(&other), Some(Lint::OrganisationIdAuthority));
    let mut other = recipe("PSDFR-ACPR-1");
    other.country = "BE".to_owned();
    assert_eq!(refusal(&other), Some(Lint::SubjectCountry));
}

#[test]
fn another_form_of_name_is_no_refusal_here_but_is_remarked() {
    let mut vat = recipe("VATFR-12345678901");
    vat.country = "FR".to_owned();
    vat.authority_id = "FR-ACPR".to_owned();
    assert_eq!(refusal(&vat), None);
    assert!(warned(&vat).contains(&Lint::OrganisationIdOther));
}

#[test]
fn warnings_tell_roles_validity_and_sources() {
    let mut odd = recipe("PSDFR-ACPR-1").with(Defect::UnknownRole);
    odd.not_after = now().checked_add(SignedDuration::from_hours(24 * 900)).unwrap();
    odd.roles = vec![PspRole::Unspecified];
    let warned = warned(&odd);
    for lint in
        [Lint::RoleUnknown, Lint::RolesEmpty, Lint::ValidityLong, Lint::RevocationSourceMissing]
    {
        assert!(warned.contains(&lint), "{lint:?} in {warned:?}");
    }
    assert!(warned.iter().all(|lint| lint.severity() == Severity::Warns));
}

#[test]
fn a_seal_is_judged_as_a_seal() {
    let mut seal = recipe("PSDFR-ACPR-1");
    seal.kind = crate::test_qtsp::Kind::Qsealc;
    assert_eq!(Qsealc::read(&leaf(&seal)).unwrap().organisation_id.as_str(), "PSDFR-ACPR-1");
    let lint = |recipe: &Recipe| Qsealc::read(&leaf(recipe)).err().map(|f| Lint::of_fault(&f));
    assert_eq!(lint(&recipe("PSDFR-ACPR-1")), Some(Lint::TypeNotSeal));
    assert_eq!(lint(&seal.clone().with(Defect::NoDigitalSignature)), Some(Lint::SealKeyUsage));
    assert_eq!(lint(&seal.with(Defect::NoCompliance)), Some(Lint::ComplianceMissing));
}
