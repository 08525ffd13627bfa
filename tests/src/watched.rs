//! A gateway that watches the revocations of one TPP, whose QTSP publishes whatever a test wants.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certs::test_qtsp::responder::{Reply, Said, SignedBy};
use certs::test_qtsp::{Authority, Issued, Recipe};
use certs::{Leaf, PspRole};
use jiff::{SignedDuration, Timestamp};

use crate::client::{Answer, Client, Connection};
use crate::eventually;
use crate::gateway::{Gateway, Place};
use crate::qtsp::{Mood, Publication};

/// The TPP is `renewed` of the sandbox.
pub struct Watched {
    pub gateway: Gateway,
    pub publication: Publication,
    pub qtsp: Arc<Authority>,
    pub issued: Issued,
    pub client: Client,
    pub token: String,
}

pub fn seconds(seconds: i64) -> Timestamp {
    Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

pub fn reply(said: Said) -> Reply {
    Reply {
        said,
        this_update: seconds(-5),
        next_update: Some(seconds(3600)),
        signed_by: SignedBy::Issuer,
    }
}

/// Whether the certificate names a list, or a responder, or both.
#[derive(Clone, Copy, PartialEq)]
pub enum Names {
    List,
    Responder,
    Both,
}

pub fn run(place: Place, publication: &Publication) -> Gateway {
    Gateway::run_in(place, |config| {
        let trust = config["trust"].as_table_mut().unwrap();
        trust.remove("crls");
        let mut revocation = toml::Table::new();
        revocation.insert("directory".to_owned(), "revocation".into());
        revocation.insert("allow".to_owned(), vec![publication.origin()].into());
        revocation.insert("refresh".to_owned(), "1s".into());
        trust.insert("revocation".to_owned(), revocation.into());
    })
}

pub fn watched(names: Names) -> Watched {
    let publication = Publication::start();
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let place = sandbox.leave();
    let qtsp =
        Arc::new(Authority::from_pem(&fs::read(place.file("qtsp/qtsp.pem")).unwrap()).unwrap());
    let known = fs::read(place.file("tpp/funds-co/qwac.pem")).unwrap();
    let known = Leaf::from_pem(&known).unwrap().0;
    let id = known.organisation_ids()[0].text.clone().unwrap();
    let roles = [PspRole::CardBasedInstruments];
    let mut recipe = Recipe::qwac("Funds Co", &id, &roles, Timestamp::now());
    if names != Names::Responder {
        recipe.crl_url = Some(format!("{}/crl", publication.origin()));
    }
    if names != Names::List {
        recipe.ocsp_url = Some(format!("{}/ocsp", publication.origin()));
    }
    let issued = qtsp.issue(&recipe).unwrap();
    let tpp = place.file("tpp/renewed");
    fs::create_dir_all(&tpp).unwrap();
    fs::write(tpp.join("qwac.pem"), issued.chain_pem().unwrap()).unwrap();
    fs::write(tpp.join("qwac.key"), issued.key_pem().unwrap()).unwrap();
    let gateway = run(place, &publication);
    let client = gateway.tpp("renewed");
    Watched { gateway, publication, qtsp, issued, client, token }
}

impl Watched {
    pub fn serial(&self) -> Vec<u8> {
        self.issued.serial().unwrap()
    }

    /// The responder says this of every certificate.
    pub fn responds(&self, reply: Reply) {
        let qtsp = Arc::clone(&self.qtsp);
        self.publication.set_ocsp(Mood::Answers(Arc::new(move |serial: &[u8]| {
            qtsp.ocsp(serial, &reply).unwrap()
        })));
    }

    pub fn lists(&self, revoked: &[Vec<u8>], from: i64, until: i64) {
        let revoked: Vec<_> = revoked.iter().map(|serial| (serial.clone(), seconds(-60))).collect();
        let list = self.qtsp.crl(&revoked, seconds(from), seconds(until)).unwrap();
        self.publication.set_crl(Mood::Says(list));
    }

    pub fn ask(&self, connection: &mut Connection) -> Answer {
        connection.exchange(&self.gateway.request(&self.token).octets()).unwrap()
    }

    /// Asks on one open connection until the answer has this code (none: 200).
    #[track_caller]
    pub fn until(&self, connection: &mut Connection, code: Option<&str>) -> Duration {
        let began = Instant::now();
        eventually(&format!("{code:?}"), || {
            let answer = self.ask(connection);
            let found = (answer.status != 200).then(|| answer.code());
            (found.as_deref() == code).then_some(())
        });
        began.elapsed()
    }

    pub fn counted(&self, source: &str, outcome: &str) -> bool {
        let line =
            format!("octroi_revocation_fetches_total{{outcome=\"{outcome}\",source=\"{source}\"}}");
        self.gateway.metrics().lines().any(|found| found.starts_with(&line))
    }
}
