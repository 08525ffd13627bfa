//! What a caller is told whom a limit stops.

use std::time::Duration;

use jiff::Timestamp;

use super::{Attendance, Quota};
use crate::reason::Reason;
use crate::verdict::Refusal;

/// The limit that refused, for the answer and the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Its name.
    pub name: String,
    /// The requests that it allows.
    pub requests: u32,
    /// In which time; none for a limit on requests at once.
    pub period: Option<Duration>,
    /// Which requests it counts.
    pub counts: Attendance,
    /// When the next request passes, if nobody else takes its place.
    pub until: Timestamp,
}

/// A limit that TPPs share is no fault of the one who meets it.
pub(crate) fn refusal(quota: &Quota, retry_after: Duration, now: Timestamp) -> Refusal {
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    let until = now.checked_add(retry_after).unwrap_or(Timestamp::MAX);
    let reason = if quota.per.tpp { Reason::QuotaExceeded } else { Reason::UpstreamBusy };
    let exceeded = Exceeded {
        name: quota.name.clone(),
        requests: quota.requests().get(),
        period: quota.period(),
        counts: quota.counts,
        until,
    };
    Refusal::because(reason, exceeded.sentence()).retry_after(seconds).exceeding(exceeded)
}

impl Exceeded {
    fn sentence(&self) -> String {
        let Self { name, requests, until, .. } = self;
        let Some(period) = self.period else {
            return format!("limit \"{name}\": {requests} at once, and all are under way");
        };
        let period = in_words(period);
        match self.counts {
            Attendance::Unattended => format!(
                "limit \"{name}\": 0 of {requests} unattended calls in {period} left until {until}; a \
                 call with the customer present (PSU-IP-Address) is not counted by it"
            ),
            Attendance::All | Attendance::Attended => {
                format!("limit \"{name}\": {requests} in {period}; the next passes at {until}")
            }
        }
    }
}

fn in_words(period: Duration) -> String {
    let seconds = period.as_secs();
    match seconds {
        0 => format!("{} ms", period.as_millis()),
        _ if period.subsec_nanos() > 0 => format!("{} ms", period.as_millis()),
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use certs::RoleSet;

    use super::super::{Measure, Per};
    use super::*;

    #[test]
    fn a_limit_says_what_it_allows_and_until_when_it_is_used_up() {
        let four = NonZeroU32::new(4).unwrap();
        let day = Duration::from_secs(24 * 3600);
        let mut quota = Quota {
            name: "unattended".to_owned(),
            measure: Measure::Window { requests: four, period: day },
            per: Per { tpp: true, account: true, ..Per::default() },
            counts: Attendance::Unattended,
            roles: RoleSet::EMPTY,
        };
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let told = refusal(&quota, Duration::from_millis(3_600_001), now);
        assert_eq!(told.reason, Reason::QuotaExceeded);
        assert_eq!(told.retry_after_seconds(), Some(3601), "rounded up, so that the next passes");
        assert_eq!(
            told.detail.to_string(),
            "limit \"unattended\": 0 of 4 unattended calls in 24 h left until \
             2026-11-21T13:00:00.001Z; a call with the customer present (PSU-IP-Address) is not \
             counted by it"
        );

        quota.per.tpp = false;
        quota.measure = Measure::Concurrent(four);
        let told = refusal(&quota, Duration::from_secs(1), now);
        assert_eq!(told.reason, Reason::UpstreamBusy, "no TPP is to blame for what all share");
        let exceeded = told.exceeded().unwrap();
        assert_eq!((exceeded.requests, exceeded.period), (4, None));
    }
}
