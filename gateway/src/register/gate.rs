//! The gate before a new snapshot goes live: what it would do to the TPPs that call today.

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use policies::freshness::Freshness;
    use policies::register::{Overrides, Published, RegisterPolicy};
    use policies::{AmountForm, ApiVersion, BodyRule, Method, QuotaRule};
    use std::num::NonZeroU32;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-11-21T12:00:00Z";
    const GATE: GateSettings = GateSettings { rows_lost_max: 0.05, tpps_lost_max: 0.1 };

    /// Institutions `0..count` of Ireland, those in `ended` withdrawn.
    fn snapshot(count: usize, ended: &[usize], as_of: &str) -> Snapshot {
        let rows: Vec<String> = (0..count)
            .map(|n| {
                let dates = if ended.contains(&n) {
                    r#"["2018-07-02","2020-01-01"]"#
                } else {
                    r#"["2018-07-02"]"#
                };
                format!(
                    r#"{{"CA_OwnerID":"IE_CBI","EntityCode":"{n}","EntityType":"PSD_PI","Properties":[{{"ENT_NAT_REF_COD":"{n}"}},{{"ENT_AUT":{dates}}}],"Services":[{{"FR":"PS_05A"}}]}}"#
                )
            })
            .collect();
        let text = format!("[[],[{}]]", rows.join(","));
        let mut snapshot = Snapshot::empty();
        let published = Published { file: "e", reader: &mut text.as_bytes(), as_of: at(as_of) };
        snapshot.add_eba(Origin::EbaPayment, published, &mut |_| {}).unwrap();
        snapshot
    }

    fn api() -> Api {
        Api {
            name: "funds".to_owned(),
            method: Method::Post,
            required_roles: [certs::PspRole::CardBasedInstruments].into_iter().collect(),
            required_services: Vec::new(),
            scopes: vec!["cbpii".to_owned()],
            signed: false,
            body: BodyRule::FundsConfirmation,
            versions: vec![ApiVersion {
                name: "v1".to_owned(),
                paths: vec!["/v1".to_owned()],
                decommissioned: None,
                alive: false,
                successor: None,
                amount: AmountForm::String,
            }],
            consent_days_max: 180,
            quota: QuotaRule {
                requests: NonZeroU32::MIN,
                name: "one".to_owned(),
                period: Duration::from_secs(1),
                burst: NonZeroU32::MIN,
            },
        }
    }

    fn judged(older: &Snapshot, newer: &Snapshot, known: usize) -> (Impact, Vec<Hold>) {
        let day = Duration::from_secs(24 * 3600);
        let policy = RegisterPolicy::usual(Freshness { fresh_for: day, tolerated_for: day });
        let index = |snapshot| Register::of(snapshot, Overrides::default(), policy).unwrap();
        let (old, new) = (index(older), index(newer));
        let id = |n: usize| OrganisationId::new(&format!("PSDIE-CBI-{n}")).unwrap();
        let known: Known = (0..known).map(|n| (id(n), 2)).collect();
        let api = api();
        let usable = Usable::of(std::iter::once(&api));
        let impact = Impact::of((older, &old), (newer, &new), (&known, true), &usable, at(NOW));
        let holds = impact.holds(older, newer, GATE);
        (impact, holds)
    }

    #[test]
    fn one_withdrawal_goes_live_and_many_at_once_are_held_with_their_tokens() {
        let day = "2026-11-20T00:00:00Z";
        let older = snapshot(100, &[], day);
        let (impact, holds) = judged(&older, &snapshot(100, &[3], day), 4);
        assert_eq!((impact.lost.len(), holds.len()), (1, 0), "{impact}");
        let (impact, holds) = judged(&older, &snapshot(100, &[0, 1, 2], day), 20);
        assert_eq!(impact.lost.len(), 3);
        let expected = Hold::Tpps { lost: 3, of: 20, tokens: 6, max: 0.1 };
        assert_eq!(holds, [expected], "{impact}");
        assert!(
            holds[0]
                .to_string()
                .contains("would refuse 3 of 20 known TPPs, who hold 6 live tokens")
        );
        let (impact, holds) = judged(&snapshot(100, &[0, 1, 2], day), &older, 20);
        assert_eq!((impact.won.len(), holds.len()), (3, 0));
        // Two of twenty-one are not more than a tenth.
        assert!(judged(&older, &snapshot(100, &[0, 1], day), 21).1.is_empty());
    }

    #[test]
    fn what_is_older_smaller_or_lacks_a_register_is_held() {
        let day = "2026-11-20T00:00:00Z";
        let older = snapshot(100, &[], day);
        let (_, holds) = judged(&older, &snapshot(100, &[], "2026-11-19T00:00:00Z"), 0);
        assert!(matches!(holds[..], [Hold::Older { .. }]), "{holds:?}");
        let (_, holds) = judged(&older, &snapshot(94, &[], day), 0);
        assert!(matches!(holds[..], [Hold::Rows { before: 100, after: 94, .. }]), "{holds:?}");
        assert!(judged(&older, &snapshot(95, &[], day), 0).1.is_empty());
        assert!(judged(&older, &snapshot(300, &[], day), 0).1.is_empty());
        let mut other = snapshot(100, &[], day);
        other.sources[0].origin = Origin::EbaCredit;
        let (_, holds) = judged(&older, &other, 0);
        assert!(matches!(holds[..], [Hold::Missing { .. }]), "{holds:?}");
    }
}
