//! `[balance_guard]`: what becomes of a TPP that looks for a balance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationText;

/// Funds confirmation answers yes or no to an amount: some ten well-chosen amounts tell the balance. The
/// guard reads what one TPP asks about one account, and knows a search from shopping.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BalanceGuard {
    /// `observe`: a search is told in the audit record and in the metrics, and the TPP notices nothing.
    /// `enforce`: it is slowed down and then refused with `balance_probing`, and a repeated question
    /// gets the answer that it got before. `off`: nothing is kept.
    pub(crate) mode: Guarding,
    /// How long a question counts; a week at most.
    pub(crate) window: DurationText,
    /// Different amounts about one account that are answered within the window; from four fifths of it
    /// they are slow.
    #[schemars(range(min = 4, max = 60))]
    pub(crate) questions_max: u64,
    /// An answer that could tell the balance to within this share of it is a danger.
    #[schemars(range(min = 1, max = 50))]
    pub(crate) precision_percent: u64,
    /// Points from which such an answer is slow: see "Balance guard" in the book.
    pub(crate) slow_at: f64,
    /// Points from which there is none. Ordinary customers stay below 6.
    pub(crate) refuse_at: f64,
    /// How long a slow answer is held back; ten seconds at most.
    pub(crate) slow_by: DurationText,
    /// How long a question with the same `paymentCoverageRequestId` and the same content gets the same
    /// answer, without asking the bank; a day at most. Only with `enforce`.
    pub(crate) idempotent_for: DurationText,
}

impl Default for BalanceGuard {
    fn default() -> Self {
        Self {
            mode: Guarding::Observe,
            window: "24h".into(),
            questions_max: 30,
            precision_percent: 10,
            slow_at: 6.0,
            refuse_at: 6.5,
            slow_by: "1s".into(),
            idempotent_for: "10m".into(),
        }
    }
}

/// Whether the guard is on.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Guarding {
    /// Nothing is kept and nothing is judged.
    Off,
    /// Searches are told, and answered.
    Observe,
    /// Searches are refused.
    Enforce,
}
