//! A check that is only observed lets pass and is written down; all others hold as ever.

use super::*;

#[test]
fn a_check_that_is_observed_lets_pass_what_it_would_refuse_and_says_so() {
    let mut seen = Vec::new();
    for (reason, bend) in BENDS {
        let mut case = good();
        bend(&mut case);
        let mut trail = Trail::new();
        let refusal = case.judge(&mut trail).unwrap_err();
        let failed = trail.failed().unwrap().name;
        if failed.cannot_be_observed().is_some() {
            continue;
        }
        case.observed = CheckSet::NONE.with(failed);
        let mut trail = Trail::new();
        let outcome = case.judge(&mut trail);
        let check = trail.iter().find(|check| check.name == failed).unwrap();
        assert_eq!(check.outcome, CheckOutcome::Warned(refusal.reason), "{reason}");
        // Another organisation has no token here: it is refused for that then.
        let passed = outcome.is_ok() || trail.failed().unwrap().name as u8 > failed as u8;
        assert!(passed, "{reason}");
        seen.push(failed);
    }
    for name in CheckName::ALL.iter().filter(|name| name.cannot_be_observed().is_none()) {
        // No API of these tests is signed.
        assert!(*name == CheckName::Signature || seen.contains(name), "{name:?} was not bent");
    }
}

#[test]
fn what_finds_something_that_is_needed_later_cannot_be_let_pass() {
    for (reason, bend) in BENDS {
        let mut case = good();
        bend(&mut case);
        let mut trail = Trail::new();
        let _ = case.judge(&mut trail);
        let failed = trail.failed().unwrap().name;
        if failed.cannot_be_observed().is_some() {
            // Also where a world says so that no configuration could make.
            case.observed = CheckSet::NONE.with(failed);
            assert!(case.judge(&mut Trail::new()).is_err(), "{reason}");
        }
    }
}
