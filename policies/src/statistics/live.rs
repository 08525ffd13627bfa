//! Whether the interface is down now, by the same rule as [`Watch`](super::Watch), told as requests end.
//!
//! Requests end in another order than they came: what is not replied to ends late, at its deadline. So what
//! was received last is kept, in the order of receipt, until it can no longer be part of a row of five.

use arrayvec::ArrayVec;

use super::downtime::{DOWN_AFTER, DOWN_WITHIN_MS};
use super::fate::Fate;
use super::stretch::RequestId;

/// Ends that are kept: those of the last seconds that were not answered with success. What was received
/// longest ago is forgotten first.
const HEARD_MAX: usize = 256;

/// One interface, as its requests end.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// In the order of receipt; of those of one millisecond, the unanswered first.
    heard: Vec<Heard>,
    /// The latest receipt of a request that was answered with success: what was received before it is over.
    answered_ms: Option<i64>,
    down: Option<Down>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Heard {
    at_ms: i64,
    is_reply: bool,
    id: RequestId,
}

/// The interface is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Down {
    /// The receipt of the first of the five, in milliseconds of Unix time.
    pub from_ms: i64,
    /// The five requests that were not replied to.
    pub five: [RequestId; DOWN_AFTER],
    /// The receipt of the fifth.
    pub fifth_ms: i64,
}

/// What the end of a request changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Turn {
    /// It was the fifth in a row that was not replied to.
    Down(Down),
    /// It was answered with success: the interface is up again.
    Up {
        /// What has ended.
        was: Down,
        /// The request.
        by: RequestId,
    },
}

impl Live {
    /// What is down, while it is.
    #[must_use]
    pub fn down(&self) -> Option<&Down> {
        self.down.as_ref()
    }

    /// Hears that the request `id`, received at `at_ms`, has ended.
    pub fn hear(&mut self, at_ms: i64, id: RequestId, fate: Fate) -> Option<Turn> {
        match fate {
            Fate::Refused | Fate::Abandoned => None,
            Fate::Answered => self.answered(at_ms, id),
            Fate::Failed => self.ended(Heard { at_ms, is_reply: true, id }),
            Fate::Silent => self.ended(Heard { at_ms, is_reply: false, id }),
        }
    }

    fn answered(&mut self, at_ms: i64, id: RequestId) -> Option<Turn> {
        if self.answered_ms.is_none_or(|before| before < at_ms) {
            self.answered_ms = Some(at_ms);
        }
        self.heard.retain(|heard| heard.at_ms > at_ms);
        let was = self.down.filter(|down| down.fifth_ms <= at_ms)?;
        self.down = None;
        Some(Turn::Up { was, by: id })
    }

    fn ended(&mut self, heard: Heard) -> Option<Turn> {
        let over = self.answered_ms.is_some_and(|answered| heard.at_ms <= answered);
        if over || self.down.is_some() {
            return None;
        }
        let place = self.heard.partition_point(|known| *known < heard);
        self.heard.insert(place, heard);
        if self.heard.len() > HEARD_MAX {
            self.heard.remove(0);
        }
        let down = self.row()?;
        self.heard.clear();
        self.down = Some(down);
        Some(Turn::Down(down))
    }

    /// The first five in a row without a reply, the last received soon enough after the first.
    fn row(&self) -> Option<Down> {
        let five = self.heard.windows(DOWN_AFTER).find(|row| {
            let soon = match row {
                [first, .., last] => last.at_ms - first.at_ms <= DOWN_WITHIN_MS,
                _ => false,
            };
            soon && row.iter().all(|heard| !heard.is_reply)
        })?;
        let ids: ArrayVec<RequestId, DOWN_AFTER> = five.iter().map(|heard| heard.id).collect();
        let (first, last) = (five.first()?, five.last()?);
        Some(Down { from_ms: first.at_ms, five: ids.into_inner().ok()?, fifth_ms: last.at_ms })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Fate; 5] =
        [Fate::Answered, Fate::Failed, Fate::Silent, Fate::Refused, Fate::Abandoned];

    fn silent(live: &mut Live, times: &[i64]) -> Option<Turn> {
        let hear = |at: &i64| live.hear(*at, u128::try_from(*at).unwrap(), Fate::Silent);
        times.iter().map(hear).last().flatten()
    }

    #[test]
    fn the_fifth_without_a_reply_within_thirty_seconds_turns_it_down() {
        let mut live = Live::default();
        assert_eq!(silent(&mut live, &[0, 1, 2, 3]), None);
        let down = Down { from_ms: 0, five: [0, 1, 2, 3, 30_000], fifth_ms: 30_000 };
        assert_eq!(silent(&mut live, &[30_000]), Some(Turn::Down(down)));
        let mut slow = Live::default();
        assert_eq!(silent(&mut slow, &[0, 1, 2, 3, 30_001]), None);
        assert!(matches!(silent(&mut slow, &[30_001]), Some(Turn::Down(_))), "from the second on");
    }

    #[test]
    fn an_error_is_a_reply_that_breaks_a_row_and_ends_no_downtime() {
        let mut live = Live::default();
        silent(&mut live, &[0, 1, 2, 3]);
        live.hear(4, 4, Fate::Failed);
        assert_eq!(silent(&mut live, &[5, 6, 7, 8]), None);
        assert!(matches!(silent(&mut live, &[9]), Some(Turn::Down(_))));
        assert_eq!(live.hear(10, 10, Fate::Failed), None);
        assert!(live.down().is_some());
        let Some(Turn::Up { was, by }) = live.hear(11, 11, Fate::Answered) else { panic!("up") };
        assert_eq!((was.from_ms, by), (5, 11));
        assert!(live.down().is_none());
    }

    #[test]
    fn what_ends_late_is_put_where_it_was_received() {
        let mut live = Live::default();
        live.hear(5, 5, Fate::Failed);
        assert!(matches!(silent(&mut live, &[0, 1, 2, 3, 4]), Some(Turn::Down(_))));
        let mut live = Live::default();
        live.hear(2, 99, Fate::Failed);
        assert_eq!(silent(&mut live, &[0, 1, 3, 4, 5]), None, "a reply stands in the row");
        let mut live = Live::default();
        live.hear(5, 5, Fate::Answered);
        assert_eq!(silent(&mut live, &[0, 1, 2, 3, 4]), None, "it was answered since");
    }

    /// Remembers everything, and looks through all of it each time.
    #[derive(Default)]
    struct Naive {
        ended: Vec<(i64, bool, RequestId, Fate)>,
        down: Option<Down>,
        since: i64,
    }

    impl Naive {
        fn hear(&mut self, at_ms: i64, id: RequestId, fate: Fate) {
            let counts = matches!(fate, Fate::Answered | Fate::Failed | Fate::Silent);
            if counts {
                self.ended.push((at_ms, fate != Fate::Silent, id, fate));
                self.ended.sort_by_key(|one| (one.0, one.1, one.2));
            }
            if let Some(down) = self.down {
                if fate == Fate::Answered && at_ms >= down.fifth_ms {
                    self.down = None;
                    self.since = at_ms;
                } else if fate != Fate::Answered && counts {
                    // Of what ends while it is down nothing counts afterwards.
                    self.ended.retain(|one| one.2 != id);
                }
                return;
            }
            if fate == Fate::Answered || !counts {
                return;
            }
            let answered = |one: &&(i64, bool, RequestId, Fate)| one.3 == Fate::Answered;
            let latest = self.ended.iter().filter(answered).map(|one| one.0).max();
            let left: Vec<_> =
                self.ended.iter().filter(|one| latest.is_none_or(|at| one.0 > at)).collect();
            let row = left.windows(5).find(|row| {
                row.iter().all(|one| one.3 == Fate::Silent) && row[4].0 - row[0].0 <= 30_000
            });
            if let Some(row) = row {
                let five = [row[0].2, row[1].2, row[2].2, row[3].2, row[4].2];
                self.down = Some(Down { from_ms: row[0].0, five, fifth_ms: row[4].0 });
                // A new row begins after it.
                self.ended.retain(|one| one.3 == Fate::Answered);
            }
        }
    }

    proptest! {
        #[test]
        fn it_tells_what_one_who_remembers_everything_would_tell(
            ends in proptest::collection::vec((0_i64..120_000, 0_usize..11), 0..200),
        ) {
            // Most are silent, or nothing would ever be down; none is received twice at a time.
            let fate = |weight: usize| ALL.get(weight).copied().unwrap_or(Fate::Silent);
            let (mut live, mut naive) = (Live::default(), Naive::default());
            for (id, (at, weight)) in (0_u128..).zip(ends) {
                live.hear(at, id, fate(weight));
                naive.hear(at, id, fate(weight));
                prop_assert_eq!(live.down(), naive.down.as_ref());
            }
        }
    }
}
