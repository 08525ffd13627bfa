//! Who still calls a version that ends, read from the access log in one pass.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use memchr::memmem::Finder;
use policies::Reason;
use serde::Serialize;

use super::Roadmap;
use crate::audit::Entry;
use crate::audit::shelf::{self, Line};

/// TPPs that are told apart; the rest is one line. The registers list fewer that may call.
const TPPS_MAX: usize = 10_000;
/// Under whom the rest is counted.
const OTHERS: &str = "others";

/// Who uses one version that ends.
#[derive(Clone, Debug, Serialize)]
pub struct Use {
    /// The API.
    pub api: String,
    /// The version that ends.
    pub version: String,
    /// The version to move to.
    pub successor: Option<String>,
    /// Most calls first.
    pub callers: Vec<Caller>,
}

/// One TPP that still calls it.
#[derive(Clone, Debug, Serialize)]
pub struct Caller {
    /// Who.
    pub organisation_id: String,
    /// Calls on the version that ends.
    pub calls: u64,
    /// Those among them that were refused, for whatever reason.
    pub refused: u64,
    /// The last of them.
    pub last_call: Timestamp,
    /// Calls on the successor: it has begun to move.
    pub successor_calls: u64,
    /// The last of those.
    pub successor_last_call: Option<Timestamp>,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    calls: u64,
    refused: u64,
    last: Option<Timestamp>,
}

/// By version, given by its place in the roadmap, and TPP.
type Tallies = BTreeMap<usize, BTreeMap<String, Tally>>;

impl Use {
    /// What the log in `directory` says since `since` about the versions of `roadmap` that end.
    ///
    /// # Errors
    /// The directory or one of its files cannot be read.
    pub fn read(directory: &Path, roadmap: &Roadmap, since: Timestamp) -> io::Result<Vec<Self>> {
        let mut tallies = Tallies::new();
        let watched = Watched::of(roadmap);
        // A file is named by the day on which it was begun and holds that day alone, but for what was
        // under way at midnight.
        let first = since.checked_sub(SignedDuration::from_hours(24)).unwrap_or(since);
        let first = first.to_zoned(TimeZone::UTC).date();
        let mut line = Vec::new();
        for file in shelf::files(directory)?.iter().filter(|file| file.day >= first) {
            let named = |error| io::Error::other(format!("{}: {error}", file.path.display()));
            let mut reader = file.open().map_err(named)?;
            while shelf::read_line(&mut *reader, &mut line).map_err(named)? == Line::Whole {
                watched.hear(&line, since, &mut tallies);
            }
        }
        Ok(watched.uses(roadmap, &tallies))
    }
}

/// The versions that end, and their successors.
struct Watched {
    /// Places in the roadmap, with what a line holds that is about one: most lines are about none, and
    /// need not be parsed.
    versions: BTreeMap<(String, String), usize>,
    marks: Vec<Finder<'static>>,
    /// The place of a version that ends, and of its successor.
    pairs: Vec<(usize, Option<usize>)>,
}

impl Watched {
    fn of(roadmap: &Roadmap) -> Self {
        let rows = roadmap.versions.iter().enumerate();
        let place = |api: &str, version: &str| {
            rows.clone().find(|(_, row)| row.api == api && row.version == version)
        };
        let mut pairs = Vec::new();
        let mut versions = BTreeMap::new();
        for (index, row) in rows.clone().filter(|(_, row)| row.is_ending()) {
            let next = row.successor.as_ref().and_then(|name| place(&row.api, name));
            pairs.push((index, next.map(|(index, _)| index)));
            for (index, row) in [Some((index, row)), next].into_iter().flatten() {
                versions.insert((row.api.clone(), row.version.clone()), index);
            }
        }
        let mut names: Vec<&str> = versions.keys().map(|(_, version)| version.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let marks = names.iter().map(|name| {
            let name = serde_json::to_string(name).unwrap_or_default();
            Finder::new(&format!("\"octroi.version\":{name}")).into_owned()
        });
        let marks = marks.collect();
        Self { versions, marks, pairs }
    }

    fn hear(&self, line: &[u8], since: Timestamp, tallies: &mut Tallies) {
        if !self.marks.iter().any(|mark| mark.find(line).is_some()) {
            return;
        }
        let Ok(entry) = Entry::read(line) else { return };
        let (Some(api), Some(version), Some(who)) =
            (entry.api.as_deref(), entry.version.as_deref(), entry.organisation_id.as_deref())
        else {
            return;
        };
        let key = (api.to_owned(), version.to_owned());
        let Some(place) = self.versions.get(&key) else { return };
        let reason = entry.reason.as_deref().and_then(Reason::from_code);
        if !entry.is_request() || entry.time < since || !reason.is_none_or(is_of_a_known_caller) {
            return;
        }
        let tpps = tallies.entry(*place).or_default();
        let room = tpps.len() < TPPS_MAX || tpps.contains_key(who);
        let tally = tpps.entry(if room { who } else { OTHERS }.to_owned()).or_default();
        tally.calls += 1;
        tally.refused += u64::from(reason.is_some());
        tally.last = tally.last.max(Some(entry.time));
    }

    fn uses(&self, roadmap: &Roadmap, tallies: &Tallies) -> Vec<Use> {
        let one = |(index, next): &(usize, Option<usize>)| {
            let row = roadmap.versions.get(*index)?;
            let moved = next.and_then(|next| tallies.get(&next));
            let caller = |(who, tally): (&String, &Tally)| {
                let moved = moved.and_then(|moved| moved.get(who)).copied().unwrap_or_default();
                Some(Caller {
                    organisation_id: who.clone(),
                    calls: tally.calls,
                    refused: tally.refused,
                    last_call: tally.last?,
                    successor_calls: moved.calls,
                    successor_last_call: moved.last,
                })
            };
            let mut callers: Vec<Caller> =
                tallies.get(index).into_iter().flatten().filter_map(caller).collect();
            callers.sort_by_key(|caller| std::cmp::Reverse(caller.calls));
            Some(Use {
                api: row.api.clone(),
                version: row.version.clone(),
                successor: row.successor.clone(),
                callers,
            })
        };
        self.pairs.iter().filter_map(one).collect()
    }
}

/// Of the others nobody knows who they are: anybody can write an id into a certificate.
fn is_of_a_known_caller(reason: Reason) -> bool {
    let code = reason.code();
    let unknown = ["certificate_", "organisation_id_", "revocation_", "request_", "host_"];
    !unknown.iter().any(|prefix| code.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::civil::date;
    use policies::{Life, Routes};

    use super::*;
    use crate::audit::shelf::LogFile;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn routes() -> Routes {
        let version = |name: &str, life: Life, successor: Option<&str>| policies::ApiVersion {
            name: name.to_owned(),
            paths: vec![format!("/{name}/funds")],
            life,
            successor: successor.map(str::to_owned),
            amount: policies::AmountForm::String,
        };
        let life = Life {
            deprecated: Some(at("2026-06-01T00:00:00Z")),
            sunset: Some(at("2027-01-01T00:00:00Z")),
            ..Life::default()
        };
        let api = policies::Api {
            name: "funds".to_owned(),
            method: policies::Method::Post,
            required_roles: [certs::PspRole::CardBasedInstruments].into_iter().collect(),
            required_services: Vec::new(),
            scopes: vec!["cbpii".to_owned()],
            signed: false,
            body: policies::BodyRule::None,
            versions: vec![version("v1", life, Some("v2")), version("v2", Life::default(), None)],
            consent_days_max: 180,
            quotas: Vec::new(),
        };
        let domain = policies::Domain {
            name: "a.example".to_owned(),
            pattern: policies::Domain::PATTERN.to_owned(),
            closed: None,
        };
        let bank = policies::Codetab { code: "17515".to_owned(), name: "X".to_owned() };
        Routes::build(&[domain], vec![bank], vec![api]).unwrap()
    }

    fn line(time: &str, who: &str, version: &str, reason: &str) -> String {
        let reason = match reason {
            "" => String::new(),
            code => format!(",\"event.reason\":\"{code}\""),
        };
        format!(
            "{{\"@timestamp\":\"{time}\",\"event.action\":\"request\",\"organization.id\":\"{who}\",\
             \"octroi.api\":\"funds\",\"octroi.version\":\"{version}\"{reason}}}\n"
        )
    }

    #[test]
    fn whoever_still_calls_is_told_with_whether_it_has_begun_to_move() {
        let directory = tempfile::tempdir().unwrap();
        let write = |day, number, lines: &[String]| {
            let name = LogFile::name_of(date(2026, 11, day), number);
            fs::write(directory.path().join(name), lines.concat()).unwrap();
        };
        write(1, 1, &[line("2026-11-01T10:00:00Z", "TPP-A", "v1", "")]);
        write(
            20,
            2,
            &[
                line("2026-11-20T10:00:00Z", "TPP-A", "v1", ""),
                line("2026-11-20T11:00:00Z", "TPP-A", "v1", "token_expired"),
                line("2026-11-20T12:00:00Z", "TPP-A", "v2", ""),
                line("2026-11-20T10:00:00Z", "TPP-B", "v1", "version_brown_out"),
                line("2026-11-20T10:00:00Z", "TPP-C", "v2", ""),
                line("2026-11-20T10:00:00Z", "FORGED", "v1", "certificate_untrusted"),
                "{\"@timestamp\":\"2026-11-20T10:00:00Z\",\"event.action\":\"audit_closed\"}\n"
                    .to_owned(),
                "{\"octroi.version\":\"v1\" torn".to_owned(),
            ],
        );
        let roadmap = Roadmap::of(&routes(), at("2026-11-22T00:00:00Z"));
        let uses = Use::read(directory.path(), &roadmap, at("2026-11-10T00:00:00Z")).unwrap();
        let [one] = &*uses else { panic!("{uses:?}") };
        assert_eq!((one.version.as_str(), one.successor.as_deref()), ("v1", Some("v2")));
        let [a, b] = &*one.callers else { panic!("{one:?}") };
        assert_eq!((a.organisation_id.as_str(), a.calls, a.refused), ("TPP-A", 2, 1));
        assert_eq!(a.last_call, at("2026-11-20T11:00:00Z"));
        assert_eq!(
            (a.successor_calls, a.successor_last_call),
            (1, Some(at("2026-11-20T12:00:00Z")))
        );
        assert_eq!((b.organisation_id.as_str(), b.calls, b.successor_calls), ("TPP-B", 1, 0));
    }

    #[test]
    fn the_table_says_where_each_version_stands() {
        let roadmap = Roadmap::of(&routes(), at("2026-11-22T00:00:00Z"));
        let rows: Vec<_> = roadmap
            .versions
            .iter()
            .map(|row| (row.stage.code(), row.days_left, row.is_ending()))
            .collect();
        assert_eq!(rows, [("deprecated", Some(40), true), ("active", None, false)]);
        let later = Roadmap::of(&routes(), at("2027-01-01T00:00:00Z"));
        assert!(later.versions[0].is_over() && !later.versions[1].is_over());
    }
}
