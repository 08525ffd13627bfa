//! The edges of a life.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    text.parse().unwrap()
}

fn life(announced: &str, deprecated: &str, sunset: &str) -> Life {
    let date = |text: &str| (!text.is_empty()).then(|| at(text));
    let (announced, deprecated) = (date(announced), date(deprecated));
    Life { announced, deprecated, sunset: date(sunset), ..Life::default() }
}

#[test]
fn three_months_of_notice_end_with_the_day_of_the_same_number_or_the_last_of_the_month() {
    for (announced, earliest) in [
        ("2026-01-15", "2026-04-16"),
        ("2026-11-30", "2027-03-01"),
        ("2027-11-29", "2028-03-01"),
        ("2027-11-30", "2028-03-01"),
        ("2027-11-28", "2028-02-29"),
        ("2026-08-31", "2026-12-01"),
        ("2026-12-31", "2027-04-01"),
        ("2026-01-15T23:59:59Z", "2026-04-16"),
    ] {
        let hasty = at(earliest).checked_sub(SignedDuration::from_nanos(1)).unwrap();
        let mut life = life(announced, "", earliest);
        assert_eq!(life.faults(None), [], "{announced}");
        life.sunset = Some(hasty);
        let fault = LifeFault::Notice { earliest: at(earliest) };
        assert_eq!(life.faults(None), [fault], "{announced}");
        life.emergency = Some("a hole in its authentication".to_owned());
        assert_eq!(life.faults(None), [], "{announced}");
    }
}

#[test]
fn the_publication_counts_for_the_notice_and_the_deprecation_only_without_one() {
    assert_eq!(life("2026-01-01", "2026-03-01", "2026-04-02").faults(None), []);
    let late = life("", "2026-03-01", "2026-04-02").faults(None);
    assert_eq!(late, [LifeFault::Notice { earliest: at("2026-06-02") }]);
    assert_eq!(life("", "", "2026-04-02").faults(None), [LifeFault::Unannounced]);
}

#[test]
fn dates_in_the_wrong_order_are_named() {
    let mut wrong = life("2026-01-02", "2026-01-01", "2026-12-01");
    let fault = LifeFault::Order { earlier: "announced", later: "deprecated" };
    assert_eq!(wrong.faults(None), [fault]);
    wrong = life("", "2026-01-01", "2026-12-01");
    wrong.introduced = Some(at("2026-12-01"));
    let [first, second] = &*wrong.faults(None) else { panic!("two faults") };
    assert_eq!((first.member(), second.member()), ("deprecated", "sunset"));
}

#[test]
fn each_stage_begins_at_its_instant() {
    let mut life = life("2026-01-01", "2026-02-01", "2026-06-01");
    life.introduced = Some(at("2025-01-01"));
    life.brown_outs = vec![BrownOut { from: at("2026-05-01"), to: at("2026-05-02") }];
    let just = |text: &str| at(text).checked_sub(SignedDuration::from_nanos(1)).unwrap();
    for (now, stage) in [
        (just("2025-01-01"), LifeStage::Planned),
        (at("2025-01-01"), LifeStage::Active),
        (just("2026-02-01"), LifeStage::Active),
        (at("2026-02-01"), LifeStage::Deprecated),
        (just("2026-05-01"), LifeStage::Deprecated),
        (at("2026-05-01"), LifeStage::BrownOut { until: at("2026-05-02") }),
        (just("2026-05-02"), LifeStage::BrownOut { until: at("2026-05-02") }),
        (at("2026-05-02"), LifeStage::Deprecated),
        (just("2026-06-01"), LifeStage::Deprecated),
        (at("2026-06-01"), LifeStage::Retired { since: at("2026-06-01") }),
    ] {
        assert_eq!(life.stage(now), stage, "{now}");
    }
    life.kept_alive = true;
    assert_eq!(life.stage(at("2030-01-01")), LifeStage::KeptAlive);
}

#[test]
fn a_brown_out_lies_between_deprecation_and_end_and_leaves_somewhere_to_go() {
    let next = Life { introduced: Some(at("2026-03-01")), ..Life::default() };
    let faults = |windows: &[(&str, &str)]| {
        let mut life = life("2026-01-01", "2026-02-01", "2026-06-01");
        let window = |(from, to): &(&str, &str)| BrownOut { from: at(from), to: at(to) };
        life.brown_outs = windows.iter().map(window).collect();
        life.faults(Some(&next))
    };
    assert_eq!(faults(&[("2026-04-02", "2026-04-03"), ("2026-05-31", "2026-06-01")]), []);
    let earliest = at("2026-04-02");
    assert_eq!(
        faults(&[("2026-04-01", "2026-04-03")]),
        [LifeFault::BrownOutInNotice { number: 1, earliest }],
        "for as long as it lasts the change is made"
    );
    assert_eq!(
        faults(&[("2026-01-31", "2026-02-02")]),
        [LifeFault::NoSuccessor, LifeFault::BrownOutOutside(1)]
    );
    assert_eq!(faults(&[("2026-05-31", "2026-06-02")]), [LifeFault::BrownOutOutside(1)]);
    assert_eq!(faults(&[("2026-05-02", "2026-05-02")]), [LifeFault::BrownOutOrder(1)]);
    let overlapping = [("2026-05-01", "2026-05-03"), ("2026-05-02", "2026-05-04")];
    assert_eq!(faults(&overlapping), [LifeFault::BrownOutOrder(2)]);
    let mut life = life("2026-01-01", "2026-02-01", "2026-06-01");
    life.brown_outs = vec![BrownOut { from: at("2026-05-01"), to: at("2026-05-02") }];
    let gone = Life { sunset: Some(at("2026-05-01")), ..next.clone() };
    assert_eq!(life.faults(Some(&gone)), [LifeFault::NoSuccessor]);
    life.brown_outs = vec![BrownOut { from: at("2026-03-02"), to: at("2026-03-03") }];
    life.emergency = Some("a hole".to_owned());
    assert_eq!(life.faults(Some(&next)), [], "an emergency needs no notice");
}

#[test]
fn a_version_that_ends_before_its_successor_begins_is_refused() {
    let next = Life { introduced: Some(at("2026-07-01")), ..Life::default() };
    let ends = life("2026-01-01", "", "2026-06-01");
    assert_eq!(ends.faults(Some(&next)), [LifeFault::Gap(at("2026-07-01"))]);
    assert_eq!(ends.faults(Some(&Life::default())), []);
}

#[test]
fn a_day_is_written_as_a_day_and_an_instant_whole() {
    assert_eq!(on(at("2026-06-01")).to_string(), "2026-06-01");
    assert_eq!(on(at("2026-06-01T08:00:00Z")).to_string(), "2026-06-01T08:00:00Z");
}

proptest! {
    /// Between the publication and the first instant after the notice lie three whole calendar months,
    /// however long they are: never fewer days than the shortest, never more than the longest and one.
    #[test]
    fn the_notice_is_as_long_as_three_months_can_be(second in 0_i64..4_000_000_000) {
        let told = Timestamp::from_second(second).unwrap();
        let life = Life { announced: Some(told), ..Life::default() };
        let days = life.notice_ends().unwrap().duration_since(told).as_hours() / 24;
        prop_assert!((89..=93).contains(&days), "{told}: {days}");
    }

    /// A life without faults goes through its stages in one direction, but for the brown-outs.
    #[test]
    fn a_life_goes_one_way(mut seconds in proptest::collection::vec(0_i64..2_000_000_000, 2..40)) {
        let mut life = life("2000-01-01", "2010-01-01", "2020-01-01");
        life.introduced = Some(at("1990-01-01"));
        seconds.sort_unstable();
        let order = |second: &i64| match life.stage(Timestamp::from_second(*second).unwrap()) {
            LifeStage::Planned => 0,
            LifeStage::Active => 1,
            LifeStage::Deprecated | LifeStage::BrownOut { .. } => 2,
            LifeStage::KeptAlive | LifeStage::Retired { .. } => 3,
        };
        let stages: Vec<_> = seconds.iter().map(order).collect();
        prop_assert!(stages.is_sorted(), "{stages:?}");
    }
}
