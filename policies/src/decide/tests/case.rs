//! One request that deserves to pass, and everything in it that a test may bend.

use std::num::NonZeroU32;
use std::time::Duration;

use certs::test_qtsp::{Authority, Recipe};
use certs::{
    Anchors, ClientAuthEku, Identity, OrganisationId, ProfilePolicy, PspRole, Revocations,
};
use jiff::SignedDuration;
use jiff::civil::date;

use super::super::*;
use crate::freshness::Freshness;
use crate::quota::{AllLeft, Attendance, Left, Measure, Per, Quota, QuotaFact};
use crate::register::{Origin, Overrides, Passport, Published, Register, RegisterPolicy, Snapshot};
use crate::routes::{
    AmountForm, Api, ApiVersion, BodyRule, BrownOut, Codetab, Domain, Fallback, FallbackWhen, Life,
    Method, Routes,
};
use crate::token::{TokenFact, TokenKind, TokenRecord};
use crate::world::WorldParts;

pub(in crate::decide) const EBA: &str = r#"[[{"d":""}],[
{"CA_OwnerID":"IE_CBI","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"C1"},{"ENT_AUT":["2018-07-02"]}],"Services":[{"IE":"PS_05A"}]},
{"CA_OwnerID":"IE_CBI","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"C2"},{"ENT_AUT":["2018-07-02","2020-01-01"]}],"Services":[{"IE":"PS_05A"}]},
{"CA_OwnerID":"IE_CBI","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"C3"},{"ENT_AUT":["2018-07-02"]}],"Services":[{"IE":"PS_080"}]},
{"CA_OwnerID":"IE_CBI","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"C4"},{"ENT_AUT":[]}],"Services":[{"IE":"PS_05A"}]}
]]"#;
pub(in crate::decide) const HOST: &str = "www.17515.psd2.example";
pub(in crate::decide) const PATH: &str = "/stet/psd2/v1.6.2/funds-confirmations";
pub(in crate::decide) const TOKEN: &[u8] = b"Bearer 0123456789abcdef0123456789abcdef";
pub(in crate::decide) const BODY: &[u8] = br#"{"paymentCoverageRequestId":"1","instructedAmount":{"currency":"EUR","amount":"1"},"accountId":{"iban":"FR7617515000920440878790811"}}"#;

pub(in crate::decide) fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

pub(in crate::decide) fn hours(hours: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_hours(hours)).unwrap()
}

/// Everything that a case may bend.
pub(in crate::decide) struct Case {
    pub(in crate::decide) qtsp: Authority,
    pub(in crate::decide) recipe: Recipe,
    pub(in crate::decide) trusted: bool,
    pub(in crate::decide) revoked: bool,
    pub(in crate::decide) list_until: Timestamp,
    pub(in crate::decide) unchecked: bool,
    pub(in crate::decide) observed: CheckSet,
    pub(in crate::decide) register_as_of: Timestamp,
    pub(in crate::decide) passport: Passport,
    pub(in crate::decide) overrides: Overrides,
    pub(in crate::decide) sni: Option<&'static str>,
    pub(in crate::decide) host: &'static str,
    pub(in crate::decide) target: &'static str,
    pub(in crate::decide) method: &'static str,
    pub(in crate::decide) authorization: Option<&'static [u8]>,
    pub(in crate::decide) no_certificate: bool,
    pub(in crate::decide) fact: Box<dyn Fn(TokenRecord) -> TokenFact>,
    pub(in crate::decide) quota: QuotaFact,
    pub(in crate::decide) account_quota: QuotaFact,
    pub(in crate::decide) places: QuotaFact,
    pub(in crate::decide) questions: QuestionsFact,
    pub(in crate::decide) body: &'static [u8],
}

pub(in crate::decide) fn good() -> Case {
    Case {
        qtsp: Authority::generate("T", now()).unwrap(),
        recipe: Recipe::qwac("F", "PSDIE-CBI-C1", &[PspRole::CardBasedInstruments], now()),
        trusted: true,
        revoked: false,
        list_until: hours(1),
        unchecked: false,
        observed: CheckSet::NONE,
        register_as_of: hours(-1),
        passport: Passport::Warn,
        overrides: Overrides::default(),
        sni: Some(HOST),
        host: HOST,
        target: PATH,
        method: "POST",
        authorization: Some(TOKEN),
        no_certificate: false,
        fact: Box::new(live),
        quota: granted(1),
        account_quota: granted(1),
        places: granted(1),
        questions: QuestionsFact::Quiet,
        body: BODY,
    }
}

pub(in crate::decide) fn granted(charges: usize) -> QuotaFact {
    let left = Left { requests: 1, full_in: Duration::ZERO };
    QuotaFact::Granted(std::iter::repeat_n(left, charges).collect::<AllLeft>())
}

pub(in crate::decide) fn exhausted(retry_after: Duration) -> QuotaFact {
    QuotaFact::Exhausted { charge: 0, retry_after }
}

pub(in crate::decide) fn limit(name: &str, measure: Measure, per: Per) -> Arc<Quota> {
    let (counts, roles) = (Attendance::All, certs::RoleSet::EMPTY);
    Arc::new(Quota { name: name.to_owned(), measure, per, counts, roles })
}

pub(in crate::decide) fn live(record: TokenRecord) -> TokenFact {
    TokenFact::Live { record: Arc::new(record), as_of: now(), source: Source::TokenStore }
}

pub(in crate::decide) fn bent(
    bend: impl Fn(&mut TokenRecord) + 'static,
) -> Box<dyn Fn(TokenRecord) -> TokenFact> {
    Box::new(move |mut record| {
        bend(&mut record);
        live(record)
    })
}

pub(in crate::decide) fn record() -> TokenRecord {
    TokenRecord {
        kind: TokenKind::Access,
        organisation_id: OrganisationId::new("PSDIE-CBI-C1").unwrap(),
        client_id: "x".to_owned(),
        scopes: ["piisp".to_owned()].into(),
        codetab: "17515".to_owned(),
        psu: None,
        consent_id: None,
        issued_at: hours(-1),
        expires_at: hours(1),
        strong_authentication_at: hours(-24 * 180),
        certificate: None,
        granted: None,
    }
}

fn ended() -> Life {
    let at = |text: &str| Some(text.parse().unwrap());
    let (announced, sunset) = (at("2023-03-01T00:00:00Z"), at("2023-06-30T00:00:00Z"));
    Life { announced, sunset, ..Life::default() }
}

/// For an hour before and after [`now`].
fn browned_out() -> Life {
    let at = |text: &str| Some(text.parse().unwrap());
    let (deprecated, sunset) = (at("2026-06-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    let brown_outs = vec![BrownOut { from: hours(-1), to: hours(1) }];
    Life { deprecated, sunset, brown_outs, ..Life::default() }
}

pub(in crate::decide) fn routes() -> Routes {
    let version = |name: &str, path: &str, life: Life, successor: Option<&str>| ApiVersion {
        name: name.to_owned(),
        paths: vec![path.to_owned()],
        life,
        successor: successor.map(str::to_owned),
        amount: AmountForm::String,
    };
    let domain = |name: &str, closed| Domain {
        name: name.to_owned(),
        pattern: Domain::PATTERN.to_owned(),
        closed,
    };
    let domains = [domain("psd2.example", None), domain("old.example", Some(date(2025, 9, 28)))];
    let codetab = |code: &str| Codetab { code: code.to_owned(), name: code.to_owned() };
    let one = NonZeroU32::MIN;
    let second = Duration::from_secs(1);
    let rate = Measure::Rate { requests: one, period: second, burst: one, lease: None };
    let api = Api {
        name: "funds-confirmation".to_owned(),
        method: Method::Post,
        required_roles: [PspRole::CardBasedInstruments].into_iter().collect(),
        required_services: Vec::new(),
        scopes: vec!["cbpii".to_owned(), "piisp".to_owned()],
        signed: false,
        body: BodyRule::FundsConfirmation,
        versions: vec![
            version("v1", "/v1/funds-confirmations", ended(), Some("v1.6.2")),
            version("v1.4", "/v1.4/funds-confirmations", browned_out(), Some("v1.6.2")),
            version("v1.6.2", PATH, Life::default(), None),
        ],
        consent_days_max: 180,
        quotas: vec![
            limit("q", rate, Per { tpp: true, ..Per::default() }),
            limit("account", rate, Per { tpp: true, account: true, ..Per::default() }),
            limit("places", Measure::Concurrent(one), Per { codetab: true, ..Per::default() }),
        ],
    };
    let fallback = Fallback {
        when: FallbackWhen::Down,
        codetabs: vec!["17515".to_owned()],
        paths: vec!["/customers".to_owned()],
        methods: vec!["GET", "POST"],
        required_roles: [PspRole::PaymentInitiation, PspRole::CardBasedInstruments]
            .into_iter()
            .collect(),
        quotas: vec![
            limit("f", rate, Per { tpp: true, ..Per::default() }),
            limit("pages", Measure::Concurrent(one), Per { codetab: true, ..Per::default() }),
        ],
    };
    let routes = Routes::build(&domains, vec![codetab("17515"), codetab("11315")], vec![api]);
    routes.and_then(|routes| routes.with_fallback(Some(fallback))).unwrap()
}

impl Case {
    pub(in crate::decide) fn world(&self) -> (Arc<World>, Identity) {
        let issued = self.qtsp.issue(&self.recipe).unwrap();
        let other = Authority::generate("Other", now()).unwrap();
        let believed = if self.trusted { &self.qtsp } else { &other };
        let pem = believed.issuing_pem().unwrap();
        let anchors = Anchors::from_pem(&[("a", &pem)]).unwrap();
        let revoked =
            if self.revoked { vec![(issued.serial().unwrap(), hours(-2))] } else { Vec::new() };
        let crl = believed.crl(&revoked, hours(-3), self.list_until).unwrap();
        let revocations = Revocations::from_crls(&[("c", &crl)], &anchors).unwrap();
        let freshness = Freshness {
            fresh_for: Duration::from_secs(24 * 3600),
            tolerated_for: Duration::from_secs(72 * 3600),
        };
        let mut snapshot = Snapshot::empty();
        let eba =
            Published { file: "eba.json", reader: &mut EBA.as_bytes(), as_of: self.register_as_of };
        snapshot.add_eba(Origin::EbaPayment, eba, &mut |_| {}).unwrap();
        let policy = RegisterPolicy { passport: self.passport, ..RegisterPolicy::usual(freshness) };
        let register = Register::of(&snapshot, self.overrides.clone(), policy);
        let profile = ProfilePolicy { client_auth_eku: ClientAuthEku::Require };
        let identity = Identity::establish(&issued.der().unwrap(), &[], &anchors, &profile, now());
        let world = World::build(WorldParts {
            routes: routes(),
            register: Arc::new(register.unwrap()),
            anchors: Arc::new(anchors),
            revocations,
            seals: crate::seals::Seals::default(),
            profile,
            revocation_unchecked: self.unchecked,
            observed: self.observed,
            generation: 1,
        });
        (Arc::new(world.unwrap()), identity)
    }

    pub(in crate::decide) fn judge(&self, trail: &mut Trail) -> Result<Permit, Refusal> {
        self.placeable(trail)?
            .with_questions(self.questions, GuardMode::Enforce, trail)?
            .with_places(self.places.clone(), now(), trail)
    }

    pub(in crate::decide) fn placeable(&self, trail: &mut Trail) -> Result<Placeable, Refusal> {
        let (world, identity) = self.world();
        let presented = Presented {
            identity: (!self.no_certificate).then_some(&identity),
            sni: self.sni,
            host: self.host,
            method: self.method,
            target: self.target,
            authorization: self.authorization,
            attended: false,
        };
        admit(&presented, &world, now(), trail)?
            .with_token((self.fact)(record()), now(), trail)?
            .with_quota(self.quota.clone(), now(), trail)?
            .with_signature(|| unreachable!("the API asks for none"), now(), trail)?
            .with_body(self.body, |iban| certs::sha256(iban.as_bytes()), trail)?
            .with_account_quota(self.account_quota.clone(), now(), trail)
    }

    pub(in crate::decide) fn reason(&self) -> Reason {
        let mut trail = Trail::new();
        let refusal = self.judge(&mut trail).expect_err("a refusal");
        let failed = trail.failed().expect("the trail ends with the check that failed");
        assert_eq!(failed.outcome, CheckOutcome::Failed(refusal.reason));
        assert!(trail.iter().last().is_some_and(|last| last.name == failed.name));
        refusal.reason
    }
}
