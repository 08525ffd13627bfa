//! Callers of the authorization server, and the accounts of a consent.

use std::collections::BTreeSet;

use super::*;
use crate::scope::Scope;
use crate::token::Granted;

impl Case {
    /// What the authorization server hears of a caller who asks for `scope`.
    fn approaches(&self, scope: Scope, trail: &mut Trail) -> Result<(), Refusal> {
        let (world, identity) = self.world();
        let presented = Presented {
            identity: (!self.no_certificate).then_some(&identity),
            sni: self.sni,
            host: self.host,
            method: self.method,
            target: "/stet/psd2/oauth/token",
            authorization: None,
            attended: false,
        };
        let approached = approach(&presented, &world, "POST", now(), trail)?;
        assert_eq!(approached.codetab().code, "17515");
        approached.may(scope, now(), trail)
    }
}

#[test]
fn who_asks_for_tokens_passes_the_checks_of_whoever_uses_them() {
    let mut trail = Trail::new();
    good().approaches(Scope::Cbpii, &mut trail).unwrap();
    let names: Vec<_> = trail.iter().map(|check| check.name).collect();
    let of_callers =
        CheckName::ALL.iter().take_while(|name| **name != CheckName::TokenForm).filter(|name| {
            !matches!(name, CheckName::Version | CheckName::Fallback | CheckName::Standing)
        });
    assert_eq!(names, of_callers.copied().collect::<Vec<_>>());
}

#[test]
fn whatever_keeps_a_caller_from_an_api_keeps_it_from_tokens() {
    type Bend = fn(&mut Case);
    let bends: [(Reason, Bend); 10] = [
        (Reason::CertificateMissing, |case| case.no_certificate = true),
        (Reason::CertificateUntrusted, |case| case.trusted = false),
        (Reason::CertificateRevoked, |case| case.revoked = true),
        (Reason::RevocationUnknown, |case| case.list_until = hours(-1)),
        (Reason::HostMismatch, |case| case.sni = None),
        (Reason::HostUnknown, |case| (case.sni, case.host) = (Some("a.example"), "a.example")),
        (Reason::MethodNotAllowed, |case| case.method = "GET"),
        (Reason::RegisterWithdrawn, |case| {
            case.recipe.organisation_id = Some("PSDIE-CBI-C2".to_owned());
        }),
        (Reason::RegisterRoleMissing, |case| {
            case.recipe.organisation_id = Some("PSDIE-CBI-C3".to_owned());
        }),
        (Reason::RegisterStale, |case| case.register_as_of = hours(-73)),
    ];
    for (reason, bend) in bends {
        let mut case = good();
        bend(&mut case);
        let mut trail = Trail::new();
        let refusal = case.approaches(Scope::Cbpii, &mut trail).unwrap_err();
        assert_eq!(refusal.reason, reason);
        assert_eq!(trail.failed().unwrap().outcome, CheckOutcome::Failed(reason));
    }
    let role = good().approaches(Scope::Aisp, &mut Trail::new()).unwrap_err();
    assert_eq!(role.reason, Reason::RoleMissing);
}

#[test]
fn customers_are_sent_only_for_a_tpp_that_the_registers_know() {
    let (world, _) = good().world();
    let asks = |id: &str, scope| {
        let id = OrganisationId::new(id).unwrap();
        may_be_sent_customers(&id, scope, &world, now()).map_err(|refusal| refusal.reason)
    };
    assert_eq!(asks("PSDIE-CBI-C1", Scope::Cbpii), Ok(()));
    assert_eq!(asks("PSDIE-CBI-C1", Scope::Aisp), Err(Reason::RegisterRoleMissing));
    assert_eq!(asks("PSDIE-CBI-C2", Scope::Cbpii), Err(Reason::RegisterWithdrawn));
    assert_eq!(asks("PSDIE-CBI-C9", Scope::Cbpii), Err(Reason::RegisterUnknown));
}

#[test]
fn a_consent_is_for_the_accounts_that_the_customer_chose() {
    let asked = certs::sha256(b"FR7617515000920440878790811");
    let with = |accounts: Option<BTreeSet<[u8; 32]>>| {
        let mut case = good();
        case.fact = bent(move |record| {
            record.granted = Some(Granted { grant: [0; 32], epoch: 0, accounts: accounts.clone() });
        });
        case.judge(&mut Trail::new()).map(|_| ()).map_err(|refusal| refusal.reason)
    };
    assert_eq!(with(Some([asked, [1; 32]].into())), Ok(()));
    assert_eq!(with(None), Ok(()));
    for others in [BTreeSet::new(), BTreeSet::from([[1; 32]])] {
        assert_eq!(with(Some(others)), Err(Reason::AccountUnknown));
    }
}
