//! Downtime beside a model that follows the sentence of the guideline word by word, and the lists that
//! add up.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

/// What a request is to the rule.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Heard {
    Silent,
    Reply { took: u32, successful: bool },
}

type Heards = Vec<(u32, Heard)>;

fn stretch(heard: &Heards) -> Stretch {
    let mut stretch = Stretch::default();
    for (number, (at, heard)) in (1..).zip(heard) {
        let (fate, took) = match heard {
            Heard::Silent => (Fate::Silent, 0),
            Heard::Reply { took, successful: true } => (Fate::Answered, *took),
            Heard::Reply { took, successful: false } => (Fate::Failed, *took),
        };
        stretch.note(fate, *at, u64::from(took) * 1000, number);
    }
    stretch.settle();
    stretch
}

fn downtimes(heard: &Heards) -> Vec<Downtime> {
    let stretch = stretch(heard);
    let mut watch = Watch::default();
    watch.hear(0, &stretch.silences, &stretch.replies);
    watch.finish()
}

/// For every five in a row, in the order of receipt: from the receipt of the first to the earliest
/// successful reply to what was received after the fifth.
fn naive(heard: &Heards, until: i64) -> Vec<(i64, i64)> {
    let mut order = heard.clone();
    order.sort_by_key(|(at, heard)| (*at, *heard != Heard::Silent));
    let mut milliseconds = vec![false; usize::try_from(until).unwrap()];
    for first in 0..order.len() {
        let Some(five) = order.get(first..first + 5) else { break };
        let silent = five.iter().all(|(_, heard)| *heard == Heard::Silent);
        if !silent || five[4].0 - five[0].0 > 30_000 {
            continue;
        }
        let ends = order[first + 5..].iter().filter_map(|(at, heard)| match heard {
            Heard::Reply { took, successful: true } => Some(i64::from(at + took)),
            _ => None,
        });
        let end = ends.min().unwrap_or(until).min(until);
        let (from, to) = (five[0].0 as usize, usize::try_from(end).unwrap());
        milliseconds[from..to].fill(true);
    }
    let mut intervals = Vec::new();
    let mut from = None;
    for (at, down) in (0_i64..).zip(milliseconds.into_iter().chain([false])) {
        match (down, from) {
            (true, None) => from = Some(at),
            (false, Some(begun)) => {
                intervals.push((begun, at));
                from = None;
            }
            _ => {}
        }
    }
    intervals
}

fn silent(at: u32) -> (u32, Heard) {
    (at, Heard::Silent)
}

fn reply(at: u32, took: u32) -> (u32, Heard) {
    (at, Heard::Reply { took, successful: true })
}

fn error(at: u32) -> (u32, Heard) {
    (at, Heard::Reply { took: 1, successful: false })
}

fn intervals(heard: &Heards) -> Vec<(i64, i64)> {
    union(&downtimes(heard), 200_000)
}

#[test]
fn five_within_30_s_make_it_down_from_the_receipt_of_the_first_to_the_next_reply() {
    let five = |last| [1000, 2000, 3000, 4000, last].map(silent).to_vec();
    let with = |mut heard: Heards, more: &[(u32, Heard)]| {
        heard.extend(more);
        intervals(&heard)
    };
    assert_eq!(with(five(31_000), &[reply(60_000, 20)]), [(1000, 60_020)], "30.000 s");
    assert_eq!(with(five(31_001), &[reply(60_000, 20)]), [], "30.001 s");
    assert_eq!(with(five(31_000)[..4].to_vec(), &[reply(60_000, 20)]), [], "four");
    assert_eq!(with(five(31_000), &[reply(3500, 1)]), [], "a success in between");
    assert_eq!(with(five(31_000), &[error(3500)]), [], "an error in between is a reply");
    assert_eq!(with(five(31_000), &[]), [(1000, 200_000)], "still down");
    let errors = [error(40_000), error(50_000), reply(60_000, 20)];
    assert_eq!(with(five(31_000), &errors), [(1000, 60_020)], "an error ends no downtime");
    assert_eq!(with(five(31_000), &[reply(500, 4000)]), [(1000, 200_000)], "received before");
    let twice = [silent(31_001), reply(32_000, 1)];
    assert_eq!(with(five(31_001), &twice), [(2000, 32_001)], "the window moves on");
}

#[test]
fn the_earliest_reply_ends_it_whatever_it_replies_to() {
    let mut heard = [0, 1, 2, 3, 4].map(silent).to_vec();
    heard.extend([reply(10_000, 9000), reply(11_000, 100)]);
    assert_eq!(intervals(&heard), [(0, 11_100)]);
    // Five more between the receipts and the slow reply: both end with the quick one.
    heard.extend([10_001, 10_002, 10_003, 10_004, 10_005].map(silent));
    assert_eq!(intervals(&heard), [(0, 11_100)]);
    assert_eq!(downtimes(&heard).len(), 2);
}

#[test]
fn evidence_names_the_five_and_when_the_reply_was() {
    let mut heard = [0, 10, 20, 30, 40, 50].map(silent).to_vec();
    heard.push(reply(60, 5));
    let [one] = downtimes(&heard)[..] else { panic!("one downtime") };
    assert_eq!((one.five, one.fifth_ms), ([1, 2, 3, 4, 5], 40));
    assert_eq!(one.ended, Some(Ended { received_ms: 60, replied_ms: 65 }));
}

#[test]
fn a_row_goes_on_over_midnight() {
    let before = stretch(&vec![silent(86_399_000), silent(86_399_500)]);
    let after = stretch(&vec![silent(100), silent(200), silent(300), reply(5000, 1)]);
    let mut watch = Watch::default();
    watch.hear(0, &before.silences, &before.replies);
    watch.hear(86_400_000, &after.silences, &after.replies);
    assert_eq!(union(&watch.finish(), i64::MAX), [(86_399_000, 86_405_001)]);
}

#[test]
fn what_was_written_is_no_list_of_replies_once_it_is_cut_or_overlong() {
    let bytes = encode(&[Reply::new(3_000_000, 70_000, true)]);
    assert_eq!(decode(&bytes[..bytes.len() - 1]), Err(RepliesFault));
    assert_eq!(decode(&[0xff; 12]), Err(RepliesFault));
}

fn heards(span: u32, most: usize) -> impl Strategy<Value = Heards> {
    let heard = prop_oneof![
        6 => Just(Heard::Silent),
        1 => (0_u32..4000, prop::bool::weighted(0.7))
            .prop_map(|(took, successful)| Heard::Reply { took, successful }),
    ];
    prop::collection::vec((0..span, heard), 0..most)
}

proptest! {
    #[test]
    fn the_watch_is_the_sentence(
        dense in heards(3000, 60),
        sparse in heards(150_000, 40),
    ) {
        for heard in [dense, sparse] {
            prop_assert_eq!(union(&downtimes(&heard), 160_000), naive(&heard, 160_000));
        }
    }

    #[test]
    fn without_five_within_the_time_there_is_no_downtime(heard in heards(150_000, 30)) {
        let mut received: Vec<i64> = heard
            .iter()
            .filter(|(_, heard)| *heard == Heard::Silent)
            .map(|(at, _)| i64::from(*at))
            .collect();
        received.sort_unstable();
        prop_assert!(may_be_down(&received) || downtimes(&heard).is_empty());
    }

    #[test]
    fn merged_days_of_gateways_are_the_day_of_one_that_heard_all(
        heard in prop::collection::vec((0_u32..40_000, 0_u64..9_000_000, 0_usize..5, 0_usize..3), 0..80),
    ) {
        const FATES: [Fate; 5] =
            [Fate::Answered, Fate::Failed, Fate::Silent, Fate::Refused, Fate::Abandoned];
        let mut all = Stretch::default();
        let mut gateways = [Stretch::default(), Stretch::default(), Stretch::default()];
        for (id, (at, took, fate, gateway)) in (0..).zip(heard) {
            all.note(FATES[fate], at, took, id);
            gateways[gateway].note(FATES[fate], at, took, id);
        }
        all.settle();
        // Each gateway settled by itself, as its roll-up holds it; merged in another order.
        gateways.iter_mut().for_each(Stretch::settle);
        let [a, b, c] = gateways;
        let mut merged = c;
        merged.merge(a);
        merged.merge(b);
        merged.settle();
        prop_assert_eq!(&merged, &all);
        prop_assert_eq!(decode(&encode(&all.replies)).unwrap(), all.replies);
    }

    #[test]
    fn days_are_heard_one_by_one_as_the_whole(heard in heards(120_000, 60), cut in 1_u32..120_000) {
        let whole = downtimes(&heard);
        let (before, after): (Heards, Heards) = heard.into_iter().enumerate()
            .map(|(number, (at, one))| (at, one, number))
            .fold((Vec::new(), Vec::new()), |(mut before, mut after), (at, one, _)| {
                if at < cut { before.push((at, one)) } else { after.push((at - cut, one)) }
                (before, after)
            });
        let mut watch = Watch::default();
        for (begins, part) in [(0, before), (i64::from(cut), after)] {
            let part = stretch(&part);
            watch.hear(begins, &part.silences, &part.replies);
        }
        prop_assert_eq!(union(&watch.finish(), 160_000), union(&whole, 160_000));
    }
}

#[test]
fn every_service_is_found_by_its_code_and_scopes() {
    for service in Service::ALL {
        assert_eq!(Service::from_code(service.code()), Some(service));
    }
    let of = |scopes: &[&str]| Service::of_scopes(scopes.iter().copied());
    assert_eq!(of(&["cbpii", "piisp"]), Some(Service::Cbpii));
    assert_eq!(of(&["aisp"]), Some(Service::Ais));
    assert_eq!(of(&["aisp", "pisp"]), None, "two services");
    assert_eq!(of(&["openid"]), None);
}

#[test]
fn nothing_was_measured_where_there_was_no_request() {
    let tally = Tally { refused: 3, ..Tally::default() };
    assert_eq!((tally.mean_ms(), tally.error_rate(), tally.requests()), (None, None, 0));
    let day = Day::of(jiff::civil::date(2026, 10, 25), &TimeZone::UTC).unwrap();
    assert_eq!(day.length_ms(), 86_400_000);
}
