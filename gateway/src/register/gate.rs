//! The gate before a new snapshot goes live: what it would do to the TPPs that call today.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use certs::OrganisationId;
use jiff::Timestamp;
use policies::register::{Difference, Origin, Passport, Snapshot};
use policies::{Api, Register, Standing, WhenUndetermined};
use serde::{Deserialize, Serialize};

use crate::config::GateSettings;

/// The TPPs that are known, with the number of their live tokens.
pub type Known = BTreeMap<OrganisationId, usize>;

/// What a new snapshot would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Impact {
    /// Records before and after, by register.
    pub rows: BTreeMap<String, (usize, usize)>,
    /// Records only in the older, only in the newer.
    pub removed: usize,
    /// See `removed`.
    pub added: usize,
    /// TPPs that are known.
    pub tpps: usize,
    /// Known TPPs that would be refused and are not today.
    pub lost: Vec<LostTpp>,
    /// Known TPPs that would be let in and are not today.
    pub won: Vec<String>,
    /// Whether the live tokens could be counted.
    pub tokens_known: bool,
}

/// A TPP that would be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostTpp {
    /// Who.
    pub organisation_id: String,
    /// How it would stand: `withdrawn`, `unknown`, …
    pub becomes: String,
    /// Its live tokens.
    pub tokens: usize,
}

/// Why a snapshot is held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// A register in it was published before the one in force.
    Older {
        /// Which register.
        origin: String,
        /// When the new one was published.
        new: Timestamp,
        /// When the one in force was.
        current: Timestamp,
    },
    /// A register is missing.
    Missing {
        /// Which.
        origin: String,
    },
    /// A register lost too many rows.
    Rows {
        /// Which register.
        origin: String,
        /// Rows of the one in force.
        before: usize,
        /// Rows of the new one.
        after: usize,
        /// The share that may be lost.
        max: f64,
    },
    /// Too many TPPs would be refused.
    Tpps {
        /// How many.
        lost: usize,
        /// Of how many that are known.
        of: usize,
        /// Their live tokens.
        tokens: usize,
        /// The share that may be refused.
        max: f64,
    },
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Older { origin, new, current } => {
                write!(f, "{origin}: published {new}, before the one in force ({current})")
            }
            Self::Missing { origin } => write!(f, "{origin}: missing in it"),
            Self::Rows { origin, before, after, max } => {
                write!(
                    f,
                    "{origin}: {after} rows where {before} were; at most {max} of them may go"
                )
            }
            Self::Tpps { lost, of, tokens, max } => write!(
                f,
                "would refuse {lost} of {of} known TPPs, who hold {tokens} live tokens; at most {max} of them may go"
            ),
        }
    }
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens: usize = self.lost.iter().map(|tpp| tpp.tokens).sum();
        let (lost, won) = (self.lost.len(), self.won.len());
        write!(f, "{} records removed, {} added; ", self.removed, self.added)?;
        write!(f, "would refuse {lost} of {} known TPPs", self.tpps)?;
        if self.tokens_known {
            write!(f, ", who hold {tokens} live tokens")?;
        } else {
            f.write_str(" (their live tokens are not known here)")?;
        }
        write!(f, "; would let in {won} more")
    }
}

/// Whether a TPP could use any API by what a register says.
pub struct Usable<'a> {
    apis: Vec<&'a Api>,
}

impl<'a> Usable<'a> {
    /// By the services that these APIs need.
    pub fn of(apis: impl Iterator<Item = &'a Api>) -> Self {
        Self { apis: apis.collect() }
    }

    fn by(&self, register: &Register, id: &OrganisationId, now: Timestamp) -> (bool, Standing) {
        let standing = register.standing(id, now).0;
        let policy = register.policy();
        let usable = match standing {
            Standing::Authorised { services, here, .. } => self.apis.iter().any(|api| {
                let enough = if policy.passport == Passport::Enforce { here } else { services };
                enough.meets(api.services())
            }),
            Standing::Undetermined(_) => policy.undetermined == WhenUndetermined::Warn,
            Standing::Withdrawn { .. } | Standing::Unknown => false,
        };
        (usable, standing)
    }
}

impl Impact {
    /// What putting `newer` in the place of `older` would do at `now`. `known` says whom it is about;
    /// none, where the live tokens could not be counted.
    #[must_use]
    pub fn of(
        (older, old): (&Snapshot, &Register),
        (newer, new): (&Snapshot, &Register),
        (known, tokens_known): (&Known, bool),
        usable: &Usable<'_>,
        now: Timestamp,
    ) -> Self {
        let difference = Difference::between(older, newer);
        let mut impact = Self {
            removed: difference.removed.len(),
            added: difference.added.len(),
            tpps: known.len(),
            tokens_known,
            ..Self::default()
        };
        for origin in Origin::ALL {
            let rows = (rows(older, origin), rows(newer, origin));
            if rows != (0, 0) {
                impact.rows.insert(origin.code().to_owned(), rows);
            }
        }
        for (id, tokens) in known {
            let (before, _) = usable.by(old, id, now);
            let (after, standing) = usable.by(new, id, now);
            match (before, after) {
                (true, false) => impact.lost.push(LostTpp {
                    organisation_id: id.as_str().to_owned(),
                    becomes: standing.code().to_owned(),
                    tokens: *tokens,
                }),
                (false, true) => impact.won.push(id.as_str().to_owned()),
                _ => {}
            }
        }
        impact
    }

    /// Why `newer` must be held; empty where it may go live.
    #[must_use]
    pub fn holds(&self, older: &Snapshot, newer: &Snapshot, gate: GateSettings) -> Vec<Hold> {
        let mut holds = Vec::new();
        for origin in Origin::ALL {
            let name = origin.code().to_owned();
            match (older.as_of_origin(origin), newer.as_of_origin(origin)) {
                (Some(_), None) => holds.push(Hold::Missing { origin: name.clone() }),
                (Some(current), Some(new)) if new < current => {
                    holds.push(Hold::Older { origin: name.clone(), new, current });
                }
                _ => {}
            }
            let (before, after) = (rows(older, origin), rows(newer, origin));
            if newer.as_of_origin(origin).is_some() && exceeds(before, after, gate.rows_lost_max) {
                holds.push(Hold::Rows { origin: name, before, after, max: gate.rows_lost_max });
            }
        }
        let (lost, of) = (self.lost.len(), self.tpps);
        if lost > 1 && exceeds(of, of - lost.min(of), gate.tpps_lost_max) {
            let tokens = self.lost.iter().map(|tpp| tpp.tokens).sum();
            holds.push(Hold::Tpps { lost, of, tokens, max: gate.tpps_lost_max });
        }
        holds
    }
}

fn rows(snapshot: &Snapshot, origin: Origin) -> usize {
    snapshot.records.iter().filter(|record| record.origin == origin).count()
}

/// Whether more than the share `max` of `before` is gone.
fn exceeds(before: usize, after: usize, max: f64) -> bool {
    let lost = before.saturating_sub(after);
    #[allow(clippy::cast_precision_loss)]
    let share = lost as f64 / (before.max(1)) as f64;
    share > max
}
