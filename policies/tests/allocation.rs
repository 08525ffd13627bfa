//! On the path that allows, the decision allocates nothing until the body is read.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use certs::test_qtsp::{Authority, Recipe};
use certs::{
    Anchors, ClientAuthEku, Identity, OrganisationId, ProfilePolicy, PspRole, Revocations, RoleSet,
};
use jiff::{SignedDuration, Timestamp};
use policies::freshness::Freshness;
use policies::quota::{Attendance, Measure, Per};
use policies::register::{Origin, Overrides, Published, Register, RegisterPolicy, Snapshot};
use policies::{
    AmountForm, Api, ApiVersion, BodyRule, Codetab, Domain, Method, Presented, Quota, QuotaFact,
    Routes, Source, TokenFact, TokenKind, TokenRecord, Trail, World, WorldParts,
};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches a thread-local
// cell without a destructor, which does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const EBA: &[u8] = br#"[[{}],[{"CA_OwnerID":"IE_CBI","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"C1"},{"ENT_AUT":["2018-07-02"]}],"Services":[{"IE":"PS_05A"}]}]]"#;
const HOST: &str = "www.17515.psd2.example";
const PATH: &str = "/v1/funds-confirmations";

#[test]
fn from_the_certificate_to_the_quota_nothing_is_allocated() {
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let hour = SignedDuration::from_hours(1);
    let (before, after) = (now.checked_sub(hour).unwrap(), now.checked_add(hour).unwrap());
    let qtsp = Authority::generate("T", now).unwrap();
    let recipe = Recipe::qwac("F", "PSDIE-CBI-C1", &[PspRole::CardBasedInstruments], now);
    let leaf = qtsp.issue(&recipe).unwrap().der().unwrap();
    let anchors = Anchors::from_pem(&[("a", &qtsp.issuing_pem().unwrap())]).unwrap();
    let crl = qtsp.crl(&[], before, after).unwrap();
    let revocations = Revocations::from_crls(&[("c", &crl)], &anchors).unwrap();
    let profile = ProfilePolicy { client_auth_eku: ClientAuthEku::Require };
    let identity = Identity::establish(&leaf, &[], &anchors, &profile, now);
    let day = Duration::from_secs(24 * 3600);
    let mut snapshot = Snapshot::empty();
    let eba = Published { file: "eba.json", reader: &mut &EBA[..], as_of: before };
    snapshot.add_eba(Origin::EbaPayment, eba, &mut |_| {}).unwrap();
    let freshness = Freshness { fresh_for: day, tolerated_for: day };
    let policy = RegisterPolicy::usual(freshness);
    let register = Register::of(&snapshot, Overrides::default(), policy);
    let world = World::build(WorldParts {
        routes: routes(),
        register: Arc::new(register.unwrap()),
        anchors: Arc::new(anchors),
        revocations,
        seals: policies::Seals::default(),
        profile,
        revocation_unchecked: false,
        observed: policies::CheckSet::NONE,
        generation: 1,
    });
    let world = Arc::new(world.ok().unwrap());
    let record = Arc::new(TokenRecord {
        kind: TokenKind::Access,
        organisation_id: OrganisationId::new("PSDIE-CBI-C1").unwrap(),
        client_id: "x".to_owned(),
        scopes: ["cbpii".to_owned()].into(),
        codetab: "17515".to_owned(),
        psu: None,
        consent_id: None,
        issued_at: before,
        expires_at: after,
        strong_authentication_at: before,
        certificate: None,
        granted: None,
    });
    let presented = Presented {
        identity: Some(&identity),
        sni: Some(HOST),
        host: HOST,
        method: "POST",
        target: PATH,
        authorization: Some(b"Bearer 0123456789abcdef0123456789abcdef"),
        attended: false,
    };
    let judge = || {
        let mut trail = Trail::new();
        let fact =
            TokenFact::Live { record: Arc::clone(&record), as_of: now, source: Source::TokenCache };
        let admitted = policies::admit(&presented, &world, now, &mut trail).ok()?;
        let entitled = admitted.with_token(fact, now, &mut trail).ok()?;
        let granted = QuotaFact::assumed(&entitled.charges());
        let metered = entitled.with_quota(granted, now, &mut trail).ok()?;
        metered.with_signature(|| unreachable!("the API asks for none"), now, &mut trail).ok()
    };
    assert!(judge().is_some(), "what is measured is the path that allows");
    let counted = ALLOCATIONS.with(Cell::get);
    let sealed = judge();
    assert_eq!(ALLOCATIONS.with(Cell::get) - counted, 0);
    assert!(sealed.is_some());
}

fn routes() -> Routes {
    let domain = Domain {
        name: "psd2.example".to_owned(),
        pattern: Domain::PATTERN.to_owned(),
        closed: None,
    };
    let version = ApiVersion {
        name: "v1".to_owned(),
        paths: vec![PATH.to_owned()],
        life: policies::Life::default(),
        successor: None,
        amount: AmountForm::String,
    };
    let api = Api {
        name: "funds-confirmation".to_owned(),
        method: Method::Post,
        required_roles: [PspRole::CardBasedInstruments].into_iter().collect(),
        required_services: Vec::new(),
        scopes: vec!["cbpii".to_owned()],
        signed: false,
        body: BodyRule::FundsConfirmation,
        versions: vec![version],
        consent_days_max: 180,
        quotas: vec![
            Arc::new(Quota {
                name: "q".to_owned(),
                measure: Measure::Concurrent(NonZeroU32::MIN),
                per: Per::default(),
                counts: Attendance::All,
                roles: RoleSet::EMPTY,
            }),
            Arc::new(Quota {
                name: "r".to_owned(),
                measure: Measure::Window {
                    requests: NonZeroU32::MIN,
                    period: Duration::from_secs(1),
                },
                per: Per { tpp: true, api: true, role: true, codetab: true, account: false },
                counts: Attendance::Unattended,
                roles: RoleSet::EMPTY,
            }),
        ],
    };
    let codetab = Codetab { code: "17515".to_owned(), name: "CEIDF".to_owned() };
    Routes::build(&[domain], vec![codetab], vec![api]).unwrap()
}
