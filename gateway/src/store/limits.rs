//! The bounds of the token and quota stores, each with its unit.

use std::time::Duration;

/// Live token records kept in memory; at about half a kilobyte each, some 50 MB when full.
pub const TOKEN_CACHE_ENTRIES_MAX: u64 = 100_000;

/// Buckets (organisation id × route) kept in memory. Organisations come from the register, so a
/// whole European register times a dozen routes fits; what does not fit is refused.
pub const QUOTA_KEYS_MAX: usize = 65_536;

/// How far ahead of the clock a bucket may be filled: the time in which a whole burst comes back.
/// Keeps nanoseconds within 64 bits and microseconds within the exact integers of a Lua number.
pub const QUOTA_REFILL_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Requests that are served side by side bring their instants out of order by this much at most;
/// more than that is a clock that was set back.
pub const CLOCK_CROSSING_MAX: Duration = Duration::from_secs(5);

/// An expired record stays readable for so long, so that a TPP learns that its token has expired
/// and not that it never existed.
pub const EXPIRED_TOKEN_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Expired records that one transaction of the embedded engine removes; the next writer waits no
/// longer than this many deletions.
pub const SWEEP_RECORDS_MAX: usize = 1_000;

/// Time between two sweeps.
pub const SWEEP_PERIOD: Duration = Duration::from_secs(60);

/// Page cache of the embedded engine.
pub const EMBEDDED_CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Serial failures after which Redis is left alone.
pub const BREAKER_FAILURES_MAX: u32 = 5;

/// While Redis is left alone, one request in this time, or up to a quarter more, tries it again.
pub const BREAKER_PROBE_PERIOD: Duration = Duration::from_secs(1);

/// Time between two looks at who serves, where sentinels or a cluster tell of it.
pub const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// After a look nobody has reason to look again for so long.
pub const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A look takes no longer than this, or than one answer of Redis may.
pub const LOOK_TIMEOUT: Duration = Duration::from_millis(500);

/// Once one has told who serves, the others are waited for so long.
pub const LOOK_FOR_OTHERS: Duration = Duration::from_millis(100);

/// Times that one question is sent elsewhere.
pub const REDIRECTIONS_MAX: u32 = 4;

/// The pause while keys move from one server to another.
pub const SLOT_MOVING_PAUSE: Duration = Duration::from_millis(10);

/// Time between two questions whether Redis still tells us of every change.
pub const TRACKING_HEARTBEAT_PERIOD: Duration = Duration::from_millis(250);

/// A heartbeat without an answer for so long ends its connection.
pub const TRACKING_HEARTBEAT_TIMEOUT: Duration = Duration::from_millis(250);

/// A warm token is used without asking for so long after the last heartbeat that was answered was
/// asked: what Redis said before it has reached us. A revocation whose word is lost on the way counts
/// after this time at the latest.
pub const TRACKING_LIVE_MAX: Duration = Duration::from_millis(600);

/// A connection for invalidations is there after so long, or given up.
pub const TRACKING_SETUP_TIMEOUT: Duration = Duration::from_secs(1);

/// The first pause before such a connection is tried again; each is twice as long as the last.
pub const TRACKING_PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause.
pub const TRACKING_PAUSE_MAX: Duration = Duration::from_secs(2);

/// The pause after a server has said that it does not do this, or not for us.
pub const TRACKING_REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// Where Redis does not tell of changes, a record is used for so long without asking, whatever
/// the configuration says.
pub const UNTRACKED_FRESH_MAX: Duration = REVOKED_WITHIN;

/// What is promised: within this time every replica refuses a token that was revoked.
pub const REVOKED_WITHIN: Duration = Duration::from_secs(1);

/// Round trips of which `octroi check --live` tells the median.
pub const INSPECTED_ROUND_TRIPS: usize = 21;

/// A server whose clock differs from ours by more is worth a word.
pub const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(1);

/// So that gateways that lost Redis together do not come back together: up to a quarter longer.
pub(super) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(1.0..=1.25))
}

const _: () = {
    let between = TRACKING_HEARTBEAT_PERIOD.as_millis() + TRACKING_HEARTBEAT_TIMEOUT.as_millis();
    assert!(between < TRACKING_LIVE_MAX.as_millis());
    assert!(TRACKING_LIVE_MAX.as_millis() < REVOKED_WITHIN.as_millis());
    assert!(QUOTA_REFILL_MAX.as_micros() < 1 << 53);
    assert!(QUOTA_REFILL_MAX.as_nanos() < (i64::MAX / 2) as u128);
    assert!(SWEEP_PERIOD.as_secs() < EXPIRED_TOKEN_KEPT.as_secs());
};
