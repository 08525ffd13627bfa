//! One request that deserves to pass, and each way in which it may not.

mod case;
mod divert;
mod observed;
mod office;

use std::time::Duration;

use certs::test_qtsp::{Defect, Recipe};
use certs::{OrganisationId, PspRole};
use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::lane::Lane;
use crate::probing::{Action, Sign, Suspicion};
use crate::quota::QuotaFact;
use crate::register::{Decision, Override, Overrides, Passport, ServiceCode};
use crate::token::{TokenFact, TokenKind};
pub(super) use case::*;

#[test]
fn what_deserves_to_pass_passes_every_check_in_order() {
    let mut trail = Trail::new();
    let permit = good().judge(&mut trail).unwrap();
    let names: Vec<_> = trail.iter().map(|check| check.name).collect();
    let elsewhere = [CheckName::Signature, CheckName::Fallback, CheckName::Standing];
    let unsigned = CheckName::ALL.iter().filter(|name| !elsewhere.contains(name));
    assert_eq!(names, unsigned.copied().collect::<Vec<_>>());
    assert_eq!(permit.organisation_id().as_str(), "PSDIE-CBI-C1");
    assert_eq!((permit.codetab().code.as_str(), permit.codetab_index()), ("17515", 0));
    assert_eq!(permit.lane(), Lane::Dedicated);
    let call = permit.call().unwrap();
    assert_eq!(
        (call.api().name.as_str(), call.version().name.as_str()),
        ("funds-confirmation", "v1.6.2")
    );
    assert_eq!(call.scope(), "piisp");
    assert!(call.funds_request().is_some());
}

type Bend = fn(&mut Case);

/// Each reason that this crate gives, and what brings it about.
const BENDS: &[(Reason, Bend)] = &[
    (Reason::CertificateMissing, |case| case.no_certificate = true),
    (Reason::CertificateUntrusted, |case| case.trusted = false),
    (Reason::CertificateExpired, |case| {
        case.recipe.not_before = hours(-48);
        case.recipe.not_after = hours(-1);
    }),
    (Reason::CertificateNotYetValid, |case| case.recipe.not_before = hours(1)),
    (Reason::CertificateRevoked, |case| case.revoked = true),
    (Reason::RevocationUnknown, |case| case.list_until = hours(-1)),
    (Reason::CertificateNotQwac, |case| case.recipe.defects = vec![Defect::NoPsd2]),
    (Reason::CertificatePurpose, |case| case.recipe.defects = vec![Defect::ServerOnly]),
    (Reason::OrganisationIdMissing, |case| case.recipe.organisation_id = None),
    (Reason::OrganisationIdMissing, |case| {
        case.recipe.defects = vec![Defect::BmpOrganisationId];
    }),
    (Reason::OrganisationIdAmbiguous, |case| {
        case.recipe.defects = vec![Defect::TwoOrganisationIds];
    }),
    (Reason::HostMismatch, |case| case.sni = Some("www.11315.psd2.example")),
    (Reason::HostMismatch, |case| case.sni = None),
    (Reason::HostUnknown, |case| {
        case.host = "www.99999.psd2.example";
        case.sni = Some(case.host);
    }),
    (Reason::HostUnknown, |case| {
        case.host = "www.17515.psd2.example.";
        case.sni = Some(case.host);
    }),
    (Reason::HostRetired, |case| {
        case.host = "www.17515.old.example";
        case.sni = Some(case.host);
    }),
    (Reason::PathUnknown, |case| case.target = "/stet/psd2/v1.6.2/funds-confirmations?a"),
    (Reason::VersionRetired, |case| case.target = "/v1/funds-confirmations"),
    (Reason::VersionBrownOut, |case| case.target = "/v1.4/funds-confirmations"),
    (Reason::MethodNotAllowed, |case| case.method = "post"),
    (Reason::RoleMissing, |case| case.recipe.roles = vec![PspRole::AccountInformation]),
    (Reason::RoleMissing, |case| case.recipe.roles = Vec::new()),
    (Reason::RegisterUnknown, |case| {
        case.recipe.organisation_id = Some("PSDIE-CBI-C9".to_owned());
    }),
    (Reason::RegisterWithdrawn, |case| {
        case.recipe.organisation_id = Some("PSDIE-CBI-C2".to_owned());
    }),
    (Reason::RegisterPassportMissing, |case| {
        case.passport = Passport::Enforce;
    }),
    (Reason::RegisterRoleMissing, |case| {
        case.recipe.organisation_id = Some("PSDIE-CBI-C3".to_owned());
    }),
    (Reason::RegisterUndetermined, |case| {
        case.recipe.organisation_id = Some("PSDIE-CBI-C4".to_owned());
    }),
    (Reason::RegisterStale, |case| case.register_as_of = hours(-73)),
    (Reason::RegisterStale, |case| case.register_as_of = hours(2)),
    (Reason::TokenMissing, |case| case.authorization = None),
    (Reason::TokenMalformed, |case| case.authorization = Some(b"Basic YTpi")),
    (Reason::TokenMalformed, |case| case.authorization = Some(b"Bearer  0123456789abcdef")),
    (Reason::TokenUnknown, |case| case.fact = Box::new(|_| TokenFact::Unknown)),
    (Reason::TokenOtherCertificate, |case| {
        case.fact = bent(|record| record.certificate = Some([1; 32]));
    }),
    (Reason::TppSuspended, |case| case.fact = Box::new(|_| TokenFact::Suspended)),
    (Reason::TokenUnknown, |case| case.fact = bent(|record| record.kind = TokenKind::Refresh)),
    (Reason::StateUnavailable, |case| case.fact = Box::new(|_| TokenFact::Unavailable)),
    (Reason::StateUnavailable, |case| case.fact = Box::new(|_| TokenFact::Unreadable)),
    (Reason::TokenExpired, |case| case.fact = bent(|record| record.expires_at = now())),
    (Reason::TokenOtherTpp, |case| {
        case.fact = bent(|r| r.organisation_id = OrganisationId::new("PSDIE-CBI-C3").unwrap());
    }),
    (Reason::TokenOtherBank, |case| case.fact = bent(|r| r.codetab = "11315".to_owned())),
    (Reason::TokenScope, |case| case.fact = bent(|r| r.scopes = ["aisp".to_owned()].into())),
    (Reason::ConsentExpired, |case| {
        case.fact = bent(|r| {
            let second = SignedDuration::from_secs(1);
            r.strong_authentication_at = hours(-24 * 180).checked_sub(second).unwrap();
        });
    }),
    (Reason::ConsentExpired, |case| case.fact = bent(|r| r.strong_authentication_at = hours(1))),
    (Reason::QuotaExceeded, |case| {
        case.quota = exhausted(Duration::from_millis(1001));
    }),
    (Reason::StateUnavailable, |case| case.quota = QuotaFact::Unavailable),
    (Reason::StateUnavailable, |case| case.quota = granted(0)),
    (Reason::StateUnavailable, |case| {
        case.quota = QuotaFact::Exhausted { charge: 1, retry_after: Duration::ZERO };
    }),
    (Reason::QuotaExceeded, |case| case.account_quota = exhausted(Duration::from_secs(1))),
    (Reason::StateUnavailable, |case| case.account_quota = granted(2)),
    (Reason::StateUnavailable, |case| case.account_quota = QuotaFact::Unavailable),
    (Reason::UpstreamBusy, |case| case.places = exhausted(Duration::from_secs(1))),
    (Reason::StateUnavailable, |case| case.places = granted(0)),
    (Reason::BodyInvalid, |case| case.body = b"{}"),
    (Reason::CurrencyUnsupported, |case| {
        case.body = br#"{"paymentCoverageRequestId":"1","instructedAmount":{"currency":"USD","amount":"1"},"accountId":{"iban":"FR7617515000920440878790811"}}"#;
    }),
    (Reason::IbanInvalid, |case| {
        case.body = br#"{"paymentCoverageRequestId":"1","instructedAmount":{"currency":"EUR","amount":"1"},"accountId":{"iban":"FR7617515000920440878790812"}}"#;
    }),
    (Reason::BodyTooLarge, |case| case.body = &[b' '; crate::limits::FUNDS_REQUEST_BYTES_MAX + 1]),
    (Reason::BalanceProbing, |case| case.questions = raised(Action::Refuse)),
    (Reason::StateUnavailable, |case| case.questions = QuestionsFact::Unreadable),
];

fn raised(action: Action) -> QuestionsFact {
    let suspicion = Suspicion { sign: Sign::Converging, action };
    QuestionsFact::Raised { suspicion, retry_after: Duration::from_secs(600) }
}

#[test]
fn a_suspicion_that_is_only_observed_or_only_slows_is_a_warning() {
    for (fact, mode) in [
        (raised(Action::Refuse), GuardMode::Observe),
        (raised(Action::Slow), GuardMode::Observe),
        (raised(Action::Slow), GuardMode::Enforce),
        (QuestionsFact::Unreadable, GuardMode::Observe),
    ] {
        let mut trail = Trail::new();
        let placeable = good().placeable(&mut Trail::new()).unwrap();
        assert!(placeable.with_questions(fact, mode, &mut trail).is_ok());
        let last = trail.iter().last().unwrap();
        assert!(matches!(last.outcome, CheckOutcome::Warned(_)), "{fact:?}");
    }
    let placeable = good().placeable(&mut Trail::new()).unwrap();
    let refused =
        placeable.with_questions(raised(Action::Refuse), GuardMode::Enforce, &mut Trail::new());
    assert_eq!(refused.err().and_then(|refused| refused.retry_after_seconds()), Some(600));
}

#[test]
fn each_fault_alone_is_refused_with_its_own_reason() {
    for (index, (reason, bend)) in BENDS.iter().enumerate() {
        let mut case = good();
        bend(&mut case);
        assert_eq!(case.reason(), *reason, "bend {index}");
    }
}

#[test]
fn every_reason_of_the_table_comes_from_here_or_from_the_gateway() {
    const OF_THE_GATEWAY: [Reason; 5] = [
        Reason::AccountUnknown,
        Reason::UpstreamUnavailable,
        Reason::UpstreamTimeout,
        Reason::InternalFault,
        Reason::RequestMalformed,
    ];
    const OF_SIGNATURES: [Reason; 7] = [
        Reason::SignatureMissing,
        Reason::SignatureInvalid,
        Reason::SignatureExpired,
        Reason::SignatureKeyUnknown,
        Reason::SignatureUntrusted,
        Reason::SignatureOtherOrganisation,
        Reason::DigestMismatch,
    ];
    const OF_OAUTH: [Reason; 8] = [
        Reason::OauthRequestInvalid,
        Reason::ClientUnknown,
        Reason::ClientOtherTpp,
        Reason::GrantInvalid,
        Reason::GrantTypeUnsupported,
        Reason::ScopeInvalid,
        Reason::RedirectUriInvalid,
        Reason::RegistrationInvalid,
    ];
    const OF_THE_FALLBACK: [Reason; 1] = [Reason::FallbackClosed];
    let others = |reason: &&Reason| {
        !OF_SIGNATURES.contains(reason)
            && !OF_OAUTH.contains(reason)
            && !OF_THE_FALLBACK.contains(reason)
    };
    for reason in Reason::ALL.iter().filter(others) {
        let here = BENDS.iter().any(|(known, _)| known == reason);
        assert_ne!(here, OF_THE_GATEWAY.contains(reason), "{reason}");
    }
}

#[test]
fn of_two_faults_the_one_that_is_looked_at_first_is_told() {
    let order: Vec<usize> = (0..BENDS.len()).collect();
    for pair in order.windows(2) {
        let [(first, bend_first), (second, bend_second)] = [BENDS[pair[0]], BENDS[pair[1]]];
        let mut case = good();
        bend_second(&mut case);
        bend_first(&mut case);
        let told = case.reason();
        assert!(told == first || told == second, "{told} of {first} and {second}");
    }
}

#[test]
fn a_retired_host_and_version_name_their_successors() {
    let told = |bend: Bend| {
        let mut case = good();
        bend(&mut case);
        case.judge(&mut Trail::new()).unwrap_err()
    };
    let host = told(|case| {
        case.host = "www.17515.old.example";
        case.sni = Some(case.host);
    });
    assert_eq!(host.successor(), Some("https://www.17515.psd2.example/"));
    let version = told(|case| case.target = "/v1/funds-confirmations");
    assert_eq!(version.successor(), Some(PATH));
    let quota = told(|case| {
        case.quota = exhausted(Duration::from_millis(1001));
    });
    assert_eq!(quota.retry_after_seconds(), Some(2), "rounded up, so that the next one passes");
    assert_eq!(told(|case| case.method = "GET").allow_method(), Some("POST"));
}

#[test]
fn an_unknown_revocation_passes_only_where_the_operator_said_so() {
    let mut case = good();
    case.list_until = hours(-1);
    case.unchecked = true;
    assert!(case.judge(&mut Trail::new()).is_ok());
    case.revoked = true;
    assert_eq!(case.reason(), Reason::CertificateRevoked, "a known revocation still counts");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_number_of_faults_is_refused(
        chosen in prop::collection::btree_set(0..BENDS.len(), 1..5)
    ) {
        let mut case = good();
        for index in &chosen {
            BENDS[*index].1(&mut case);
        }
        // A later bend may undo an earlier one of the same field, never all of them.
        let reason = case.reason();
        prop_assert!(chosen.iter().any(|index| BENDS[*index].0 == reason));
    }
}

fn overridden(id: &str, decision: Decision) -> Overrides {
    let by = ["Ada", "Bob"].map(str::to_owned);
    let period = (hours(-1), hours(1));
    [Override::new(1, id, decision, period, "the register is late", &by).unwrap()]
        .into_iter()
        .collect()
}

#[test]
fn a_passport_that_is_missing_is_recorded_and_refuses_only_where_that_is_asked() {
    for (passport, warned) in [(Passport::Off, None), (Passport::Warn, Some(true))] {
        let mut case = good();
        case.passport = passport;
        let mut trail = Trail::new();
        assert!(case.judge(&mut trail).is_ok());
        let check = trail.iter().find(|check| check.name == CheckName::Passport);
        let outcome = CheckOutcome::Warned(Reason::RegisterPassportMissing);
        assert_eq!(check.map(|check| check.outcome == outcome), warned, "{passport:?}");
        assert!(trail.failed().is_none());
    }
}

#[test]
fn a_dated_override_stands_above_the_registers_even_when_they_are_too_old() {
    let services = [ServiceCode::IssuingInstruments].into_iter().collect();
    for id in ["PSDIE-CBI-C1", "PSDIE-CBI-C2", "PSDIE-CBI-C3", "PSDIE-CBI-C4", "PSDIE-CBI-C9"] {
        let mut case = good();
        case.recipe = Recipe::qwac("F", id, &[PspRole::CardBasedInstruments], now());
        case.overrides = overridden(id, Decision::Authorised(services));
        case.register_as_of = hours(-10_000);
        let mut trail = Trail::new();
        // The token is the first one's only.
        let judged = case.judge(&mut trail).err().map(|refusal| refusal.reason);
        let expected = (id != "PSDIE-CBI-C1").then_some(Reason::TokenOtherTpp);
        assert_eq!(judged, expected, "{id}");
        let check = trail.iter().find(|check| check.name == CheckName::Register).unwrap();
        assert_eq!(check.looked_at.source, Source::RegisterOverride, "{id}");
    }
    let mut case = good();
    case.overrides = overridden("PSDIE-CBI-C1", Decision::Withdrawn);
    let refused = case.judge(&mut Trail::new()).err().map(|refusal| refusal.reason);
    assert_eq!(refused, Some(Reason::RegisterWithdrawn));
}
