//! REGAFI, the French register of financial agents, as its two open-data exports: entities and
//! authorisations, joined on `id_referentiel`.
//!
//! French certificates carry the CIB (`PSDFR-ACPR-16948`), the EBA's records the SIREN: this
//! register is where one leads to the other.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};

use serde::{Deserialize, Serialize};

use super::RegisterError;
use super::account::{Account, Fate, OnRejection};
use super::authority::FRENCH_OWNER;
use super::country::CountryCode;
use super::life::Life;
use super::record::{Listed, Origin, Record, Services, Status, Unclear, day, shortened};
use super::service::ServiceSet;

/// How REGAFI writes a situation that is in force.
const ACTIVE: &str = "ACTIF";
/// The category that may provide every payment service.
const CREDIT_INSTITUTION: &str = "etablissement de credit";

/// How the columns of the exports are called, by what they hold. The defaults are those of REGAFI's
/// open data in 2026.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Columns {
    /// The key of both tables.
    pub id_referentiel: String,
    /// Entities: the SIREN, nine digits.
    pub siren: String,
    /// Entities: the CIBs, as a JSON list of codes.
    pub cib: String,
    /// Entities: the name.
    pub denomination: String,
    /// Entities: `True` while an end is under way.
    pub approval_withdrawal_process: String,
    /// Authorisations: the kind of licence.
    pub categorie: String,
    /// Authorisations: `ACTIF` or `INACTIF`.
    pub situation: String,
    /// Authorisations: since when.
    pub date_debut: String,
    /// Authorisations: until when, where the export has it.
    pub date_fin: Option<String>,
    /// Authorisations: the services, codes such as `PS_05A` apart by spaces or commas, where the
    /// export has them.
    pub services: Option<String>,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            id_referentiel: "id_referentiel".to_owned(),
            siren: "siren".to_owned(),
            cib: "cib".to_owned(),
            denomination: "denomination".to_owned(),
            approval_withdrawal_process: "approval_withdrawal_process".to_owned(),
            categorie: "categorie".to_owned(),
            situation: "situation".to_owned(),
            date_debut: "date_debut".to_owned(),
            date_fin: None,
            services: None,
        }
    }
}

/// One licence of a firm.
#[derive(Clone)]
struct Licence {
    kind: Box<str>,
    status: Status,
    services: Services,
}

type Licences = HashMap<String, Vec<Licence>>;

/// Records, the rows of the entities and those of the authorisations.
pub(super) type Tables = (Vec<Record>, Account, Account);

/// Reads both tables; `told` hears of each row that is rejected, with the table's name.
///
/// # Errors
/// One is no such export, or nobody can be found in them.
pub(super) fn read(
    entities: (&str, impl Read),
    authorisations: (&str, impl Read),
    columns: &Columns,
    told: OnRejection<'_>,
) -> Result<Tables, RegisterError> {
    let mut licences = Licences::new();
    let table = Table::open(authorisations)?;
    let known = [
        table.column(&columns.id_referentiel)?,
        table.column(&columns.categorie)?,
        table.column(&columns.situation)?,
        table.column(&columns.date_debut)?,
    ];
    let end = columns.date_fin.as_ref().map(|name| table.column(name)).transpose()?;
    let services = columns.services.as_ref().map(|name| table.column(name)).transpose()?;
    let authorisations = table.each(told, |row| {
        let more = [end.and_then(|at| row.get(at)), services.and_then(|at| row.get(at))];
        (authorise(&mut licences, known.map(|at| row.get(at).unwrap_or_default()), more), known[0])
    })?;

    let mut records = Vec::new();
    let file = entities.0;
    let table = Table::open(entities)?;
    let known = [
        table.column(&columns.id_referentiel)?,
        table.column(&columns.siren)?,
        table.column(&columns.cib)?,
        table.column(&columns.denomination)?,
        table.column(&columns.approval_withdrawal_process)?,
    ];
    let entities = table.each(told, |row| {
        let values = known.map(|at| row.get(at).unwrap_or_default());
        (enter(&mut records, &licences, values), known[0])
    })?;
    if entities.used == 0 {
        return Err(RegisterError::empty(file, &entities));
    }
    Ok((records, entities, authorisations))
}

/// One export, after its header.
struct Table<R> {
    file: String,
    reader: csv::Reader<BufReader<R>>,
    header: csv::StringRecord,
}

impl<R: Read> Table<R> {
    fn open((file, reader): (&str, R)) -> Result<Self, RegisterError> {
        let no_header = || RegisterError::Header { file: file.to_owned() };
        let mut reader = BufReader::new(reader);
        let begin = reader.fill_buf().map_err(|error| RegisterError::Unreadable {
            file: file.to_owned(),
            why: error.to_string(),
        })?;
        let header = begin.split(|octet| *octet == b'\n').next().unwrap_or_default();
        // The portal exports with semicolons; who opens and saves the file may get commas.
        let delimiter = if header.contains(&b';') { b';' } else { b',' };
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(reader);
        let header = reader.headers().map_err(|_| no_header())?;
        if header.len() < 2 {
            return Err(no_header());
        }
        let plain = header.iter().map(|name| name.trim_start_matches('\u{feff}').trim());
        let header = plain.collect();
        Ok(Self { file: file.to_owned(), reader, header })
    }

    /// The place of a column.
    fn column(&self, name: &str) -> Result<usize, RegisterError> {
        self.header.iter().position(|known| known == name).ok_or_else(|| RegisterError::Column {
            file: self.file.clone(),
            column: name.to_owned(),
            header: self.header.iter().collect::<Vec<_>>().join(", "),
        })
    }

    /// Enters every row; `enter` gives its fate and the column of its name.
    fn each(
        mut self,
        told: OnRejection<'_>,
        mut enter: impl FnMut(&csv::StringRecord) -> (Fate, usize),
    ) -> Result<Account, RegisterError> {
        let mut account = Account::default();
        let mut row = csv::StringRecord::new();
        loop {
            let (fate, name) = match self.reader.read_record(&mut row) {
                Ok(false) => return Ok(account),
                Ok(true) if row.len() == self.header.len() => enter(&row),
                Ok(true) => (Fate::Rejected("a column is missing, or there is one too many"), 0),
                Err(error) if error.is_io_error() => {
                    let why = error.to_string();
                    return Err(RegisterError::Unreadable { file: self.file, why });
                }
                Err(_) => {
                    row.clear();
                    (Fate::Rejected("not UTF-8"), 0)
                }
            };
            account.enter(fate, row.get(name), told);
        }
    }
}

fn authorise(
    licences: &mut Licences,
    [id, kind, situation, since]: [&str; 4],
    [end, services]: [Option<&str>; 2],
) -> Fate {
    let all = is_credit_institution(kind);
    let end = match end.unwrap_or_default() {
        "" => None,
        text => match day(text) {
            Some(date) => Some(date),
            None => return Fate::Rejected("date_fin is not a date"),
        },
    };
    let status = match (situation, day(since), end) {
        ("", _, _) => return Fate::Rejected("situation is empty"),
        (ACTIVE, None, _) => return Fate::Rejected("date_debut is not a date"),
        (ACTIVE, Some(since), None) => Life::new(vec![since]).map(Status::Dated),
        (_, Some(since), Some(end)) => Life::new(vec![since, end]).map(Status::Dated),
        // Whatever another word says (INACTIF, RADIE, …), it is not in force.
        _ => Some(Status::Withdrawn),
    };
    let Some(status) = status else {
        return Fate::Rejected("date_fin is before date_debut");
    };
    let services = match services {
        _ if all => Services::All,
        None | Some("") => Services::Unlisted,
        Some(codes) => match ServiceSet::try_from(codes.replace(',', " ")) {
            Ok(set) => {
                let mut listed = Listed::default();
                listed.add(CountryCode::FRANCE, set);
                Services::Listed(listed)
            }
            Err(_) => return Fate::Rejected("a code of its services is not one that is known"),
        },
    };
    let licence = Licence { kind: shortened(kind), status, services };
    licences.entry(id.to_owned()).or_default().push(licence);
    Fate::Used
}

fn enter(
    records: &mut Vec<Record>,
    licences: &Licences,
    [id, siren, cib, name, ending]: [&str; 5],
) -> Fate {
    let Some(cibs) = cibs(cib) else {
        return Fate::Rejected("cib is not a JSON list of codes");
    };
    if cibs.is_empty() {
        return Fate::NotRelevant;
    }
    let unclear = Licence {
        kind: "".into(),
        status: Status::Unclear(Unclear::Tables),
        services: Services::Unlisted,
    };
    let held = licences.get(id).filter(|held| !held.is_empty());
    for licence in held.map_or(std::slice::from_ref(&unclear), Vec::as_slice) {
        let is_ending = ending.eq_ignore_ascii_case("true") && licence.status != Status::Withdrawn;
        records.push(Record {
            origin: Origin::Regafi,
            code: shortened(id),
            kind: licence.kind.clone(),
            authority: FRENCH_OWNER.into(),
            reference: shortened(siren),
            name: shortened(name),
            ids: cibs.iter().map(|cib| format!("PSDFR-ACPR-{cib:0>5}").into()).collect(),
            status: if is_ending { unclear.status.clone() } else { licence.status.clone() },
            services: licence.services.clone(),
            unknown_services: Vec::new(),
        });
    }
    Fate::Used
}

/// A CIB stands alone, as text or as a number, or with its date.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cib {
    Code(String),
    Number(u32),
    Dated { code: String },
}

fn cibs(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let list: Vec<Cib> = serde_json::from_str(text).ok()?;
    let codes = list.into_iter().map(|cib| match cib {
        Cib::Code(code) | Cib::Dated { code } => code,
        Cib::Number(number) => format!("{number:05}"),
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
