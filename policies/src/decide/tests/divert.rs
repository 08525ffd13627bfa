//! Callers of the fallback: who may not call an API for who it is may not come this way either, and
//! nothing about a token matters.

use super::*;
use crate::quota::AllLeft;
use crate::routes::{Fallback, FallbackWhen, Routes, RoutesError};

/// The facts of a call of the fallback, and how it asks.
#[derive(Clone)]
struct Facts {
    interface: InterfaceFact,
    standing: StandingFact,
    quota: QuotaFact,
    places: QuotaFact,
    when: FallbackWhen,
    serves: bool,
}

fn down() -> Facts {
    Facts {
        interface: InterfaceFact::Down { since: hours(-1) },
        standing: StandingFact::Free,
        quota: granted(1),
        places: granted(1),
        when: FallbackWhen::Down,
        serves: true,
    }
}

/// A case that deserves to reach the customer interface.
fn customer() -> Case {
    Case { target: "/customers/login?lang=fr", method: "GET", authorization: None, ..good() }
}

fn configured(facts: &Facts) -> Routes {
    let codetabs = if facts.serves { vec!["17515".to_owned()] } else { vec!["11315".to_owned()] };
    let fallback = Fallback::clone(routes().fallback().unwrap());
    routes().with_fallback(Some(Fallback { when: facts.when, codetabs, ..fallback })).unwrap()
}

impl Case {
    fn diverted(&self, facts: &Facts, trail: &mut Trail) -> Result<Permit, Refusal> {
        let (world, identity) = self.world();
        let world = Arc::new(world.with_routes(Arc::new(configured(facts))));
        let presented = Presented {
            identity: (!self.no_certificate).then_some(&identity),
            sni: self.sni,
            host: self.host,
            method: self.method,
            target: self.target,
            authorization: self.authorization,
            attended: false,
        };
        divert(&presented, &world, now(), trail)?
            .with_interface(facts.interface, trail)?
            .with_standing(facts.standing, trail)?
            .with_quota(facts.quota.clone(), now(), trail)?
            .with_places(facts.places.clone(), now(), trail)
    }

    fn turned_back(&self, facts: &Facts) -> Reason {
        let mut trail = Trail::new();
        let refusal = self.diverted(facts, &mut trail).expect_err("a refusal");
        let failed = trail.failed().expect("the trail ends with the check that failed");
        assert_eq!(failed.outcome, CheckOutcome::Failed(refusal.reason));
        refusal.reason
    }
}

#[test]
fn an_identified_tpp_without_a_token_passes_every_check_but_those_of_tokens_and_bodies() {
    let mut trail = Trail::new();
    let permit = customer().diverted(&down(), &mut trail).unwrap();
    assert_eq!(permit.lane(), Lane::Fallback);
    assert!(permit.call().is_none(), "there is no API, token or customer behind it");
    assert_eq!(permit.organisation_id().as_str(), "PSDIE-CBI-C1");
    assert_eq!((permit.codetab().code.as_str(), permit.codetab_index()), ("17515", 0));
    let names: Vec<_> = trail.iter().map(|check| check.name).collect();
    let left_out = [
        CheckName::Version,
        CheckName::TokenForm,
        CheckName::Token,
        CheckName::Scope,
        CheckName::Consent,
        CheckName::Signature,
        CheckName::Body,
        CheckName::AccountQuota,
        CheckName::BalanceProbing,
    ];
    let made = CheckName::ALL.iter().filter(|name| !left_out.contains(name));
    assert_eq!(names, made.copied().collect::<Vec<_>>());
    let open = trail.iter().find(|check| check.name == CheckName::Fallback).unwrap();
    let looked_at = open.looked_at;
    assert_eq!((looked_at.source, looked_at.as_of), (Source::DedicatedInterface, Some(hours(-1))));
}

#[test]
fn it_is_open_always_or_only_while_the_dedicated_interface_does_not_serve() {
    for (when, interface, refused) in [
        (FallbackWhen::Always, InterfaceFact::Serves, None),
        (FallbackWhen::Always, InterfaceFact::Down { since: hours(-1) }, None),
        (FallbackWhen::Down, InterfaceFact::Down { since: hours(-1) }, None),
        (FallbackWhen::Down, InterfaceFact::Serves, Some(Reason::FallbackClosed)),
    ] {
        let facts = Facts { when, interface, ..down() };
        let told = customer().diverted(&facts, &mut Trail::new()).err().map(|no| no.reason);
        assert_eq!(told, refused, "{when:?} {interface:?}");
    }
}

#[test]
fn each_fault_of_a_call_of_the_fallback_has_its_own_reason() {
    type Bend = fn(&mut Case, &mut Facts);
    let bends: [(Reason, Bend); 14] = [
        (Reason::FallbackClosed, |_, facts| facts.serves = false),
        (Reason::FallbackClosed, |_, facts| facts.interface = InterfaceFact::Serves),
        (Reason::PathUnknown, |case, _| case.target = "/admin"),
        (Reason::PathUnknown, |case, _| case.target = "/customers-of-others"),
        (Reason::PathUnknown, |case, _| case.target = PATH),
        (Reason::MethodNotAllowed, |case, _| case.method = "DELETE"),
        (Reason::MethodNotAllowed, |case, _| case.method = "get"),
        (Reason::RoleMissing, |case, _| case.recipe.roles = vec![PspRole::AccountInformation]),
        // It is listed, for another service than that of the role in its certificate.
        (Reason::RegisterRoleMissing, |case, _| {
            case.recipe.roles = vec![PspRole::PaymentInitiation];
        }),
        (Reason::TppSuspended, |_, facts| facts.standing = StandingFact::Suspended),
        (Reason::StateUnavailable, |_, facts| facts.standing = StandingFact::Unavailable),
        (Reason::QuotaExceeded, |_, facts| facts.quota = exhausted(Duration::from_secs(1))),
        (Reason::StateUnavailable, |_, facts| facts.quota = QuotaFact::Granted(AllLeft::new())),
        (Reason::UpstreamBusy, |_, facts| facts.places = exhausted(Duration::from_secs(1))),
    ];
    for (index, (reason, bend)) in bends.iter().enumerate() {
        let (mut case, mut facts) = (customer(), down());
        bend(&mut case, &mut facts);
        assert_eq!(case.turned_back(&facts), *reason, "bend {index}");
    }
    let told = Case { method: "PUT", ..customer() }.diverted(&down(), &mut Trail::new());
    assert_eq!(told.unwrap_err().allow_method(), Some("GET, POST"));
}

/// The bends of who calls, at which host.
fn of_identity() -> Vec<&'static (Reason, Bend)> {
    let later = [Reason::PathUnknown, Reason::VersionRetired, Reason::VersionBrownOut];
    let of_path = |reason: Reason| later.contains(&reason) || reason == Reason::MethodNotAllowed;
    let end = BENDS.iter().position(|(reason, _)| *reason == Reason::TokenMissing).unwrap();
    BENDS[..end].iter().filter(|(reason, _)| !of_path(*reason)).collect()
}

/// The bends of the token, and of what is only read for an API.
fn of_tokens() -> &'static [(Reason, Bend)] {
    let place = |wanted| BENDS.iter().position(|(reason, _)| *reason == wanted).unwrap();
    &BENDS[place(Reason::TokenMissing)..]
}

#[test]
fn whoever_may_not_call_an_api_for_who_it_is_does_not_reach_the_customer_interface() {
    assert!(of_identity().len() > 20);
    for (index, (reason, bend)) in of_identity().into_iter().enumerate() {
        let mut case = customer();
        bend(&mut case);
        for when in [FallbackWhen::Always, FallbackWhen::Down] {
            let told = case.turned_back(&Facts { when, ..down() });
            assert_eq!(told, *reason, "bend {index}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_refused_identity_passes_whatever_else_is_sent_or_said(
        chosen in prop::collection::btree_set(0..of_identity().len(), 1..4),
        token in prop::sample::select(vec![None, Some(TOKEN), Some(b"Basic YTpi".as_slice())]),
        always in any::<bool>(),
        method in prop::sample::select(vec!["GET", "POST"]),
    ) {
        let mut case = Case { authorization: token, method, ..customer() };
        let bends = of_identity();
        chosen.iter().for_each(|index| bends[*index].1(&mut case));
        let when = if always { FallbackWhen::Always } else { FallbackWhen::Down };
        let reason = case.turned_back(&Facts { when, ..down() });
        prop_assert!(chosen.iter().any(|index| bends[*index].0 == reason), "{}", reason);
    }

    #[test]
    fn no_token_matters(
        chosen in prop::collection::btree_set(0..of_tokens().len(), 0..6),
        sent in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        serves in any::<bool>(),
        suspended in any::<bool>(),
    ) {
        let interface = if serves { InterfaceFact::Serves } else { down().interface };
        let standing = if suspended { StandingFact::Suspended } else { StandingFact::Free };
        let facts = Facts { interface, standing, ..down() };
        let without = customer().diverted(&facts, &mut Trail::new());
        let mut case = customer();
        chosen.iter().for_each(|index| of_tokens()[*index].1(&mut case));
        case.authorization = sent.map(|bytes| &*bytes.leak());
        let with = case.diverted(&facts, &mut Trail::new());
        prop_assert_eq!(without.map(drop), with.map(drop));
    }
}

#[test]
fn a_fallback_that_would_be_open_or_lead_nowhere_is_no_configuration() {
    type Bend = fn(&mut Fallback);
    let bends: [Bend; 8] = [
        |fallback| fallback.required_roles = certs::RoleSet::EMPTY,
        |fallback| fallback.required_roles.insert(PspRole::AccountServicing),
        |fallback| fallback.quotas.clear(),
        |fallback| fallback.paths.clear(),
        |fallback| fallback.methods.clear(),
        |fallback| fallback.codetabs.clear(),
        |fallback| fallback.paths = vec!["/a/../b".to_owned()],
        |fallback| fallback.paths = vec!["customers".to_owned()],
    ];
    for (index, bend) in bends.iter().enumerate() {
        let mut fallback = Fallback::clone(routes().fallback().unwrap());
        bend(&mut fallback);
        let built = routes().with_fallback(Some(fallback));
        assert!(
            matches!(
                built.unwrap_err(),
                RoutesError::NoRole(_)
                    | RoutesError::NoService(_)
                    | RoutesError::Nothing(_)
                    | RoutesError::Path(_)
            ),
            "bend {index}"
        );
    }
}
