//! From the records about one organisation to one standing.
//!
//! Licences are separate: a firm that gave back its payment licence and is a bank now may act. Where
//! two registers speak about the same licence (REGAFI and the EBA about a French firm), whoever says
//! that it has ended is believed, REGAFI says who the firm is, and the EBA for which services.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::authority::carries_siren;
use super::country::CountryCode;
use super::life::Stage;
use super::overrides::{Decision, Override};
use super::record::{Origin, Record, Services, Status, Unclear};
use super::service::ServiceSet;
use super::{Standing, short};
use crate::check::{Evidence, Source};

/// What one register says about one licence of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    origin: Origin,
    kind: Box<str>,
    status: Status,
    /// Anywhere, and in the bank's country; none where the register lists no services.
    services: Option<(ServiceSet, ServiceSet)>,
}

impl Statement {
    fn of(record: &Record, country: CountryCode) -> Self {
        let services = match &record.services {
            Services::All => Some((ServiceSet::all(), ServiceSet::all())),
            Services::Unlisted => None,
            Services::Listed(listed) => Some((listed.anywhere(), listed.within(country))),
        };
        let (origin, kind, status) = (record.origin, record.kind.clone(), record.status.clone());
        Self { origin, kind, status, services }
    }

    fn said(&self, day: Date) -> Said {
        match &self.status {
            Status::Withdrawn => Said::Withdrawn(None),
            Status::Unclear(why) => Said::Unclear(why.sentence()),
            Status::Dated(life) => match life.on(day) {
                Some(Stage::Authorised(since)) => Said::Authorised(since),
                Some(Stage::Withdrawn(since)) => Said::Withdrawn(Some(since)),
                Some(Stage::NotYet(_)) => Said::Unclear("its authorisation begins later"),
                None => Said::Unclear(Unclear::Dates.sentence()),
            },
        }
    }
}

/// A statement on one day.
#[derive(Clone, Copy)]
enum Said {
    Authorised(Date),
    Withdrawn(Option<Date>),
    Unclear(&'static str),
}

/// Every organisation id with what is said about it, the SIREN of French firms followed.
pub(super) fn by_id(
    records: &[Record],
    country: CountryCode,
) -> HashMap<Box<str>, Box<[Statement]>> {
    let mut by_siren: HashMap<&str, Vec<&Record>> = HashMap::new();
    for record in records.iter().filter(|one| carries_siren(one.origin, &one.authority)) {
        by_siren.entry(&record.reference).or_default().push(record);
    }
    let mut gathered: HashMap<&str, Vec<Statement>> = HashMap::new();
    for record in records {
        let others = match record.origin {
            Origin::Regafi => by_siren.get(&*record.reference).map(Vec::as_slice),
            _ => None,
        };
        for id in &record.ids {
            let statements = gathered.entry(id).or_default();
            for record in std::iter::once(&record).chain(others.unwrap_or_default()) {
                add(statements, Statement::of(record, country));
            }
        }
    }
    let owned = |(id, statements): (&str, Vec<Statement>)| (id.into(), statements.into());
    gathered.into_iter().map(owned).collect()
}

/// Two rows about one licence that do not agree say nothing together.
fn add(statements: &mut Vec<Statement>, statement: Statement) {
    let same =
        |known: &&mut Statement| known.origin == statement.origin && known.kind == statement.kind;
    match statements.iter_mut().find(same) {
        Some(known) if *known == statement => {}
        Some(known) => known.status = Status::Unclear(Unclear::Rows),
        None => statements.push(statement),
    }
}

/// What all statements come to on `day`, and whose word it is.
pub(super) fn combined(statements: &[Statement], day: Date) -> (Standing, Origin) {
    let of_eba = || statements.iter().filter(|one| one.origin != Origin::Regafi);
    let mut of_regafi = statements.iter().filter(|one| one.origin == Origin::Regafi).peekable();
    if of_regafi.peek().is_none() {
        return licences(of_eba(), day);
    }
    let (regafi, origin) = licences(of_regafi, day);
    match regafi {
        // It lists the firm, and leaves it to the EBA's register for what.
        Standing::Authorised { services: ServiceSet::EMPTY, .. } => match of_eba().next() {
            Some(_) => licences(of_eba(), day),
            None => {
                let why = "REGAFI lists it without services, and the EBA's register does not list \
                           its SIREN";
                (Standing::Undetermined(why), origin)
            }
        },
        Standing::Authorised { services, .. } if services != ServiceSet::all() => {
            // It lists services itself; an end that the EBA knows counts all the same.
            match licences(of_eba(), day) {
                (Standing::Withdrawn { since }, eba) => (Standing::Withdrawn { since }, eba),
                _ => (regafi, origin),
            }
        }
        other => (other, origin),
    }
}

/// What the licences of one or several registers come to: any that stands is enough.
fn licences<'s>(statements: impl Iterator<Item = &'s Statement>, day: Date) -> (Standing, Origin) {
    let mut standing = None::<(Standing, Origin)>;
    for statement in statements {
        let origin = statement.origin;
        let said = match statement.said(day) {
            Said::Authorised(since) => {
                let (services, here) = statement.services.unwrap_or_default();
                Standing::Authorised { services, here, since }
            }
            Said::Withdrawn(since) => Standing::Withdrawn { since },
            Said::Unclear(why) => Standing::Undetermined(why),
        };
        standing = Some(match standing {
            None => (said, origin),
            Some(before) => either(before, (said, origin)),
        });
    }
    standing.unwrap_or((Standing::Unknown, Origin::EbaPayment))
}

/// Of two licences: the one that stands, both together where both do; then doubt; then the later end.
fn either(one: (Standing, Origin), other: (Standing, Origin)) -> (Standing, Origin) {
    use Standing::{Authorised, Undetermined, Unknown, Withdrawn};
    match (one.0, other.0) {
        (
            Authorised { services, here, since },
            Authorised { services: more, here: also, since: then },
        ) => {
            let whose = if services.is_empty() { other.1 } else { one.1 };
            let (services, here) = (services.union(more), here.union(also));
            (Authorised { services, here, since: since.min(then) }, whose)
        }
        (Authorised { .. }, _) => one,
        (_, Authorised { .. }) => other,
        (Undetermined(_), _) => one,
        (_, Undetermined(_)) => other,
        (Withdrawn { since: earlier }, Withdrawn { since: later }) => {
            if later > earlier {
                other
            } else {
                one
            }
        }
        (Unknown, _) => other,
        (_, Unknown) => one,
    }
}

/// Whether one register says that it may act, and another that it may not.
pub(super) fn disagree(statements: &[Statement], day: Date) -> bool {
    let of = |regafi: bool| {
        let these = statements.iter().filter(|one| (one.origin == Origin::Regafi) == regafi);
        licences(these, day).0
    };
    matches!(
        (of(true), of(false)),
        (Standing::Authorised { .. }, Standing::Withdrawn { .. })
            | (Standing::Withdrawn { .. }, Standing::Authorised { .. })
    )
}

/// What a decision of the bank's own people comes to.
pub(super) fn of_override(decided: &Override, now: Timestamp) -> (Standing, Evidence) {
    let since = decided.from.to_zoned(TimeZone::UTC).date();
    let standing = match decided.decision {
        Decision::Authorised(services) => Standing::Authorised { services, here: services, since },
        Decision::Withdrawn => Standing::Withdrawn { since: Some(since) },
    };
    debug_assert!(decided.stands(now));
    let version = short(&certs::sha256(&decided.number.to_be_bytes()));
    let as_of = Some(decided.from);
    (standing, Evidence { source: Source::RegisterOverride, version, as_of })
}
