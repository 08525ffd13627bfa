//! `[balance_guard]`: what becomes of a TPP that looks for a balance.

use std::time::Duration;

use policies::GuardMode;
use policies::probing::{QUESTIONS_KEPT_MAX, Rule};
use rust_decimal::Decimal;

use super::key::Key;
use super::reading::Reading;
use super::wire;

/// Longest window: a history is kept for so long after its last question.
const WINDOW_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Longest delay: whoever waits holds a connection.
const SLOW_BY_MAX: Duration = Duration::from_secs(10);
/// Longest time for which an answer is repeated: balances move.
const IDEMPOTENT_FOR_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The most amounts that are answered: a history must hold one more to tell that it is one more.
const QUESTIONS_MAX_MAX: u64 = 60;

const _: () = assert!((QUESTIONS_MAX_MAX as usize) < QUESTIONS_KEPT_MAX);

/// The guard, where it is on.
#[derive(Clone, Debug)]
pub struct BalanceGuardSettings {
    /// Whether a suspicion has consequences.
    pub mode: GuardMode,
    /// How much is too much.
    pub rule: Rule,
    /// How long a slow answer is held back.
    pub slow_by: Duration,
    /// How long an answer is given again to whoever repeats its question.
    pub idempotent_for: Duration,
}

impl BalanceGuardSettings {
    /// `Some(None)`: it is off.
    pub(super) fn read(
        wire: &wire::BalanceGuard,
        key: &Key,
        reading: &mut Reading<'_>,
    ) -> Option<Option<Self>> {
        let mut duration = |name, text, longest: Duration, why| {
            let key = key.child(name);
            let duration = reading.duration(&key, text)?;
            if duration > longest {
                let mend = format!("write at most \"{}s\"", longest.as_secs());
                reading.refuse(&key, why, mend);
                return None;
            }
            Some(duration)
        };
        let window = duration(
            "window",
            &wire.window,
            WINDOW_MAX,
            "is longer than a week: no history is kept for so long",
        );
        let slow_by = duration(
            "slow_by",
            &wire.slow_by,
            SLOW_BY_MAX,
            "is longer than ten seconds: whoever waits holds a connection",
        );
        let idempotent_for = duration(
            "idempotent_for",
            &wire.idempotent_for,
            IDEMPOTENT_FOR_MAX,
            "is longer than a day: balances move",
        );
        let slow_at = points("slow_at", wire.slow_at, key, reading);
        let refuse_at = points("refuse_at", wire.refuse_at, key, reading);
        let (slow_at, refuse_at) = (slow_at?, refuse_at?);
        if slow_at > refuse_at {
            reading.refuse(
                &key.child("slow_at"),
                "is more than `refuse_at`: nothing would ever be slowed down",
                "write at most as many points as in `refuse_at`",
            );
            return None;
        }
        let rule = Rule {
            window: window?,
            questions_max: usize::try_from(wire.questions_max).ok()?,
            precision: Decimal::new(i64::try_from(wire.precision_percent).ok()?, 2),
            slow_at,
            refuse_at,
        };
        let mode = match wire.mode {
            wire::Guarding::Off => return Some(None),
            wire::Guarding::Observe => GuardMode::Observe,
            wire::Guarding::Enforce => GuardMode::Enforce,
        };
        Some(Some(Self { mode, rule, slow_by: slow_by?, idempotent_for: idempotent_for? }))
    }
}

/// Points are compared to the hundredth.
fn points(name: &'static str, wire: f64, key: &Key, reading: &mut Reading<'_>) -> Option<Decimal> {
    let points = Decimal::try_from(wire).ok().map(|points| points.round_dp(2));
    let points = points.filter(|points| *points >= Decimal::ONE && *points <= Decimal::ONE_HUNDRED);
    if points.is_none() {
        let mend = "write a number from 1 to 100; ordinary customers stay below 6";
        reading.refuse(&key.child(name), "is not a number of points", mend);
    }
    points
}
