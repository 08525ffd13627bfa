//! An EBA register of the real one's size and shape, made up: the same rows for the same count.

use std::io::{self, Write};

use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// One institution for so many rows: 6 407 of 328 965 in August 2026. All others are agents.
const ROWS_PER_INSTITUTION: usize = 51;
const OWNERS: [&str; 14] = [
    "PL_PFSA",
    "DE_BAFIN",
    "IE_CBI",
    "NL_DNB",
    "FR_ACPR",
    "CZ_CNB",
    "IT_BI",
    "LT_BL",
    "SE_FINA",
    "DK_DFSA",
    "ES_BE",
    "FI_FIN-FSA",
    "MT_MFSA",
    "AT_FMA",
];
const COUNTRIES: [&str; 30] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS",
    "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];
const CODES: [&str; 13] = [
    "PS_010", "PS_020", "PS_03A", "PS_03B", "PS_03C", "PS_04A", "PS_04B", "PS_04C", "PS_05A",
    "PS_05B", "PS_060", "PS_070", "PS_080",
];
/// How often ENT_AUT has one, two, three, four dates.
const LIVES: [(usize, usize); 4] = [(1, 4099), (2, 2271), (3, 37), (4, 14)];

/// Writes a register of `rows` rows; gives back the references that were used, by authority.
///
/// # Errors
/// The output's.
pub fn write(rows: usize, out: &mut impl Write) -> io::Result<Vec<(String, String)>> {
    let mut random = SmallRng::seed_from_u64(20_260_816);
    let mut references = Vec::new();
    let disclaimer = json!([{ "disclaimer": "Made up. ".repeat(300) }]);
    write!(out, "[{disclaimer},\n[")?;
    for row in 0..rows {
        let entity = if row.is_multiple_of(ROWS_PER_INSTITUTION) {
            let (entity, owner, reference) = institution(row, &mut random);
            references.push((owner, reference));
            entity
        } else {
            agent(row, &mut random)
        };
        write!(out, "{}{entity}", if row == 0 { "" } else { ",\n" })?;
    }
    write!(out, "]]")?;
    Ok(references)
}

fn date(random: &mut SmallRng, year: i32) -> String {
    format!("{year}-{:02}-{:02}", random.random_range(1..=12), random.random_range(1..=28))
}

fn institution(row: usize, random: &mut SmallRng) -> (Value, String, String) {
    let owner = OWNERS.choose(random).copied().unwrap_or_default();
    let reference = match owner {
        "FR_ACPR" => format!("{:09}", 100_000_000 + row),
        "MT_MFSA" => format!("C {row}"),
        "FI_FIN-FSA" => format!("{row:07}-{}", row % 10),
        _ => format!("{row}"),
    };
    let kind = ["PSD_PI", "PSD_EMI", "PSD_AISP", "PSD_EPI", "PSD_EEMI", "PSD_ENL", "PSD_EXC"]
        .choose(random)
        .copied()
        .unwrap_or_default();
    let all: usize = LIVES.iter().map(|(_, weight)| weight).sum();
    let mut drawn = random.random_range(0..all);
    let dates = LIVES.iter().find_map(|(dates, weight)| {
        let found = drawn < *weight;
        drawn = drawn.saturating_sub(*weight);
        found.then_some(*dates)
    });
    let dates: Vec<String> =
        (0..dates.unwrap_or(1)).map(|n| date(random, 2012 + 3 * n as i32)).collect();
    let name = if row.is_multiple_of(4) {
        json!([format!("ИНСТИТУТ {row}"), format!("Institution {row} Ltd.")])
    } else {
        json!(format!("Institution N° {row} S.A."))
    };
    let mut countries = COUNTRIES.to_vec();
    countries.shuffle(random);
    let count = random.random_range(1..=countries.len());
    let services: Vec<Value> = countries
        .iter()
        .take(count)
        .map(|country| {
            let mut codes = CODES.to_vec();
            codes.shuffle(random);
            let codes: Vec<&str> = codes.into_iter().take(random.random_range(1..=5)).collect();
            match codes.as_slice() {
                [one] => json!({ *country: one }),
                several => json!({ *country: several }),
            }
        })
        .collect();
    let entity = json!({
        "CA_OwnerID": owner,
        "EntityCode": format!("{owner}!{row}"),
        "EntityType": kind,
        "Properties": [
            {"ENT_COD_TYP": "NON_LEI"},
            {"ENT_NAT_REF_COD": reference},
            {"ENT_NAM": name},
            {"ENT_ADD": format!("Straße des {row}. Juni {}", row % 200)},
            {"ENT_TOW_CIT_RES": "Frankfurt am Main"},
            {"ENT_POS_COD": format!("{:05}", row % 100_000)},
            {"ENT_COU_RES": owner.get(..2)},
            {"ENT_AUT": dates},
        ],
        "Services": services,
        "__EBA_EntityVersion": "20260814223344848",
    });
    (entity, owner.to_owned(), reference)
}

fn agent(row: usize, random: &mut SmallRng) -> Value {
    let owner = OWNERS.choose(random).copied().unwrap_or_default();
    json!({
        "CA_OwnerID": owner,
        "EntityCode": format!("PSD_PI!{owner}!{}!{row}", row % 6000),
        "EntityType": "PSD_AG",
        "Properties": [
            {"ENT_COD_TYP": "NON_LEI"},
            {"ENT_NAT_REF_COD": format!("{:09}", 400_000_000 + row)},
            {"ENT_NAM": format!("AGENT PERSONNE PHYSIQUE {row}")},
            {"ENT_NAM_COM": format!("Épicerie générale, téléphonie, cartes prépayées et transferts d'argent du quartier de la République {row}")},
            {"ENT_ADD": format!("{} avenue du Général de Gaulle, bâtiment {}, escalier C", row % 300, row % 20)},
            {"ENT_TOW_CIT_RES": "SAINT-LAURENT-DU-MARONI"},
            {"ENT_POS_COD": format!("{:05}", row % 100_000)},
            {"ENT_COU_RES": owner.get(..2)},
            {"ENT_TYP_PAR_ENT": "PSD_PI"},
            {"ENT_COD_PAR_ENT": format!("{owner}!{}", row % 6000)},
            {"DER_CHI_ENT_AUT": if row % 5 < 3 { "Inactive" } else { "Active" }},
        ],
        "__EBA_EntityVersion": "20220428213506543",
    })
}
