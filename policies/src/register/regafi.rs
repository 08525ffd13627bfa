//! REGAFI, the French register of financial agents, as its two open-data exports: entities and
//! authorisations, joined on `id_referentiel`.
//!
//! French certificates carry the CIB (`PSDFR-ACPR-16948`), the EBA's records the SIREN: this
//! register is where one leads to the other. It alone lists credit institutions.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::civil::Date;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::RegisterError;
use super::account::{Account, Fate};

/// How REGAFI writes a situation that is in force.
const ACTIVE: &str = "ACTIF";
/// How it writes one that is not.
const INACTIVE: &str = "INACTIF";
/// The category that may provide every payment service.
const CREDIT_INSTITUTION: &str = "etablissement de credit";

/// What REGAFI says about one firm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Firm {
    pub(super) siren: Box<str>,
    pub(super) state: State,
}

/// Whether and as what a firm is authorised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// As a credit institution since that day.
    CreditInstitution(Date),
    /// As something else, such as a payment institution, since that day.
    Other(Date),
    /// It was.
    Withdrawn,
    /// The two tables do not agree, or say nothing.
    Unclear,
}

/// Firms by organisation id.
#[derive(Debug, Default)]
pub(super) struct Regafi {
    pub(super) by_id: HashMap<Box<str>, Firm>,
    pub(super) entities: Account,
    pub(super) authorisations: Account,
}

#[derive(Deserialize)]
struct EntityRow {
    id_referentiel: String,
    siren: String,
    cib: String,
    #[serde(default)]
    approval_withdrawal_process: String,
}

#[derive(Deserialize)]
struct AuthorisationRow {
    id_referentiel: String,
    categorie: String,
    situation: String,
    date_debut: String,
}

/// A CIB stands alone or with its date.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cib {
    Code(String),
    Dated { code: String },
}

impl Regafi {
    pub(super) fn read(
        entities: (&str, &[u8]),
        authorisations: (&str, &[u8]),
    ) -> Result<Self, RegisterError> {
        let mut regafi = Self::default();
        let mut states: HashMap<String, State> = HashMap::new();
        rows(authorisations, &mut regafi.authorisations, |row: AuthorisationRow| {
            authorise(&mut states, row)
        })?;
        let by_id = &mut regafi.by_id;
        rows(entities, &mut regafi.entities, |row: EntityRow| enter(by_id, &states, row))?;
        if regafi.entities.accepted == 0 {
            return Err(RegisterError::Empty {
                file: entities.0.to_owned(),
                read: regafi.entities.read,
                rejection: regafi.entities.rejections.first().cloned(),
            });
        }
        Ok(regafi)
    }
}

fn rows<R: DeserializeOwned>(
    (file, bytes): (&str, &[u8]),
    account: &mut Account,
    mut enter: impl FnMut(R) -> Fate,
) -> Result<(), RegisterError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').flexible(true).from_reader(bytes);
    let header =
        reader.headers().map_err(|_| RegisterError::Header { file: file.to_owned() })?.clone();
    if header.len() < 2 {
        return Err(RegisterError::Header { file: file.to_owned() });
    }
    for record in reader.records() {
        let row = record
            .ok()
            .filter(|record| record.len() == header.len())
            .and_then(|record| record.deserialize(Some(&header)).ok());
        account.enter(row.map_or(
            Fate::Rejected("not a row of the export: a column is missing, or too many"),
            &mut enter,
        ));
    }
    Ok(())
}

fn authorise(states: &mut HashMap<String, State>, row: AuthorisationRow) -> Fate {
    let state = match (row.situation.as_str(), row.date_debut.parse()) {
        (ACTIVE, Ok(since)) if is_credit_institution(&row.categorie) => {
            State::CreditInstitution(since)
        }
        (ACTIVE, Ok(since)) => State::Other(since),
        (INACTIVE, _) => State::Withdrawn,
        (ACTIVE, Err(_)) => return Fate::Rejected("date_debut is not a date"),
        _ => return Fate::Rejected("situation is neither ACTIF nor INACTIF"),
    };
    match states.entry(row.id_referentiel) {
        Entry::Vacant(place) => {
            place.insert(state);
        }
        // A firm may hold several: the widest that is in force counts.
        Entry::Occupied(mut place) => {
            let widest = rank(place.get()) >= rank(&state);
            if !widest {
                place.insert(state);
            }
        }
    }
    Fate::Accepted
}

fn rank(state: &State) -> u8 {
    match state {
        State::Unclear => 0,
        State::Withdrawn => 1,
        State::Other(_) => 2,
        State::CreditInstitution(_) => 3,
    }
}

fn enter(
    firms: &mut HashMap<Box<str>, Firm>,
    states: &HashMap<String, State>,
    row: EntityRow,
) -> Fate {
    let Some(cibs) = cibs(&row.cib) else {
        return Fate::Rejected("cib is not a JSON list of codes");
    };
    if cibs.is_empty() {
        return Fate::SetAside;
    }
    let state = match states.get(&row.id_referentiel) {
        Some(State::CreditInstitution(_) | State::Other(_))
            if row.approval_withdrawal_process.eq_ignore_ascii_case("true") =>
        {
            State::Unclear
        }
        Some(state) => *state,
        None => State::Unclear,
    };
    for cib in cibs {
        let firm = Firm { siren: row.siren.as_str().into(), state };
        match firms.entry(format!("PSDFR-ACPR-{cib:0>5}").into()) {
            Entry::Vacant(place) => {
                place.insert(firm);
            }
            Entry::Occupied(mut place) => {
                if *place.get() != firm {
                    place.get_mut().state = State::Unclear;
                }
            }
        }
    }
    Fate::Accepted
}

fn cibs(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let list: Vec<Cib> = serde_json::from_str(text).ok()?;
    let codes = list.into_iter().map(|cib| match cib {
        Cib::Code(code) | Cib::Dated { code } => code,
    });
    let well_formed = |code: &String| {
        (1..=5).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    codes.map(|code| well_formed(&code).then_some(code)).collect()
}

/// REGAFI writes "Etablissement de crédit" in several spellings of its accents.
fn is_credit_institution(category: &str) -> bool {
    let plain: String = category
        .chars()
        .map(|character| match character {
            'é' | 'É' | 'è' | 'È' => 'e',
            other => other.to_ascii_lowercase(),
        })
        .collect();
    plain == CREDIT_INSTITUTION
}
