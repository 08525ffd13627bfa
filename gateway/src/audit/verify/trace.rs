//! Follows the chain of a file over faults. What a line that does not fit means is told by the lines
//! behind it; so they are held, a few, until two of them fit each other again, and judged together.

use std::collections::{BTreeMap, BTreeSet};

use super::super::chain::{Chain, link, split};

/// Lines that are held at most: more than that in disorder are judged in parts.
const HELD_LINES_MAX: usize = 64;
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Runs of missing numbers that are remembered, so that a moved line is told from an added one.
const GAPS_MAX: usize = 4096;

/// What is the matter with a line. Numbers are `event.sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// It stands where it was written, with other content.
    Changed,
    /// Its hash is another than was written; its content is what was written.
    HashChanged,
    /// It stands where a line was written, and its end is lost.
    SealLost,
    /// It was not written here: a foreign line, or one more copy of a number.
    Added,
    /// It was written elsewhere in this file.
    Moved,
}

/// A line that was judged.
#[derive(Debug)]
pub(super) struct Judged {
    /// Counts the lines of the file, from 0.
    pub(super) line: u64,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
    /// The number that it was written with, and the hash that the line behind it goes on from; nothing
    /// for a foreign one.
    pub(super) written: Option<(u64, [u8; 32])>,
    pub(super) odd: Option<Odd>,
    /// The first and last number that are missing before it.
    pub(super) missing: Option<(u64, u64)>,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It fits; its number and hash.
    Fits(u64, [u8; 32]),
    /// It is held.
    Held,
    /// It is the last of those that were held: [`Trace::judge`] them.
    Settled,
}

struct Held {
    line: u64,
    offset: u64,
    bytes: Vec<u8>,
    /// Where its content ends, its number, its hash.
    seal: Option<(usize, u64, [u8; 32])>,
}

impl Held {
    fn content(&self) -> &[u8] {
        let end = self.seal.map_or(0, |(end, ..)| end);
        self.bytes.get(..end).unwrap_or_default()
    }

    fn follows(&self, before: &[u8; 32]) -> bool {
        self.seal.is_some_and(|(_, _, hash)| link(before, self.content()) == hash)
    }
}

/// See the module.
pub(super) struct Trace {
    chain: Chain,
    /// Nothing is known of what stood before.
    lost: bool,
    held: Vec<Held>,
    held_bytes: usize,
    /// The number that comes next if nothing more is missing.
    expected: u64,
    gaps: Vec<(u64, u64)>,
}

impl Trace {
    pub(super) fn new() -> Self {
        Self {
            chain: Chain::default(),
            lost: false,
            held: Vec::new(),
            held_bytes: 0,
            expected: 0,
            gaps: Vec::new(),
        }
    }

    /// The number behind the last one that was seen.
    pub(super) const fn expected(&self) -> u64 {
        self.expected
    }

    /// Part of the file cannot be read: the next line goes on from an unknown one.
    pub(super) fn lose(&mut self) {
        self.lost = true;
    }

    /// The next line, number `line` from 0, at `offset`.
    pub(super) fn step(&mut self, line: u64, offset: u64, bytes: &[u8]) -> Step {
        if self.held.is_empty() && !self.lost && self.chain.check(bytes).is_ok() {
            self.expected = self.expected.max(self.chain.next());
            return Step::Fits(self.chain.next().saturating_sub(1), self.chain.hash());
        }
        let seal = split(bytes).map(|(content, number, hash)| (content.len(), number, hash));
        let held = Held { line, offset, bytes: bytes.to_owned(), seal };
        let settled = match (self.held.last().and_then(|last| last.seal), seal) {
            (Some((_, last, before)), Some((_, number, _))) => {
                last.checked_add(1) == Some(number)
                    && (self.lost || number > self.chain.next())
                    && held.follows(&before)
            }
            _ => false,
        };
        self.held_bytes += bytes.len();
        self.held.push(held);
        let full = self.held.len() >= HELD_LINES_MAX || self.held_bytes >= HELD_BYTES_MAX;
        if settled || full { Step::Settled } else { Step::Held }
    }

    /// What the lines that were held are.
    pub(super) fn judge(&mut self) -> Vec<Judged> {
        let held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        let anchor = (!self.lost).then(|| (self.chain.next(), self.chain.hash()));
        let written = Judgement::of(&held, anchor).written;
        self.lost = false;
        let mut judged = Vec::with_capacity(held.len());
        for (held, written) in held.into_iter().zip(written) {
            let Held { line, offset, bytes, .. } = held;
            let mut one =
                Judged { line, offset, bytes, written: None, odd: Some(Odd::Added), missing: None };
            if let Some((number, hash, odd)) = written {
                one.odd = odd;
                one.written = Some((number, hash));
                self.place(&mut one, number);
                self.chain = Chain::after(number, hash);
            }
            judged.push(one);
        }
        judged
    }

    /// Holds `number` against the numbers that were seen.
    fn place(&mut self, one: &mut Judged, number: u64) {
        if number >= self.expected {
            if number > self.expected {
                one.missing = Some((self.expected, number - 1));
                if self.gaps.len() < GAPS_MAX {
                    self.gaps.push((self.expected, number - 1));
                }
            }
            self.expected = number.saturating_add(1);
            return;
        }
        let gap = self.gaps.iter().position(|(from, to)| (*from..=*to).contains(&number));
        let Some(gap) = gap else {
            one.odd = Some(Odd::Added);
            return;
        };
        let (from, to) = self.gaps.swap_remove(gap);
        if from < number {
            self.gaps.push((from, number - 1));
        }
        if number < to {
            self.gaps.push((number + 1, to));
        }
        one.odd = Some(Odd::Moved);
    }

    /// The numbers that were missing at first and found elsewhere are in none of these.
    pub(super) fn gaps(&self) -> &[(u64, u64)] {
        &self.gaps
    }
}

/// What a line was written as: its number, the hash to go on from, and what is odd about it.
type Written = (u64, [u8; 32], Option<Odd>);

/// A hash that a line goes on from, and the line that it had to be made anew for.
type Before = ([u8; 32], Option<usize>);

struct Judgement {
    written: Vec<Option<Written>>,
}

impl Judgement {
    fn of(held: &[Held], anchor: Option<(u64, [u8; 32])>) -> Self {
        let mut judgement = Self { written: vec![None; held.len()] };
        let unfit = judgement.follow(held, anchor);
        judgement.renumber(held);
        judgement.believe(held, &unfit);
        judgement.unsealed(held, anchor);
        judgement
    }

    fn numbers(&self) -> BTreeSet<u64> {
        self.written.iter().flatten().map(|(number, ..)| *number).collect()
    }

    /// Finds the lines that follow from the one of the number before theirs, wherever that stands. Tells
    /// which do not although it is there.
    fn follow(&mut self, held: &[Held], anchor: Option<(u64, [u8; 32])>) -> BTreeSet<usize> {
        // By number: the hashes that a line of that number goes on from; those that had to be made anew
        // belong to a line whose own was changed.
        let mut before: BTreeMap<u64, Vec<Before>> = BTreeMap::new();
        if let Some((next, hash)) = anchor {
            before.entry(next).or_default().push((hash, None));
        }
        for one in held {
            if let Some((_, number, hash)) = one.seal {
                before.entry(number.saturating_add(1)).or_default().push((hash, None));
            }
        }
        let mut unfit = BTreeSet::new();
        for (at, one) in held.iter().enumerate() {
            let Some((_, number, hash)) = one.seal else { continue };
            let known = before.get(&number).cloned().unwrap_or_default();
            match known.iter().find(|(before, _)| one.follows(before)) {
                Some((made, whose)) => {
                    self.set(at, (number, hash, None));
                    if let Some(whose) = *whose {
                        let number = number.saturating_sub(1);
                        self.set(whose, (number, *made, Some(Odd::HashChanged)));
                    }
                }
                None if known.is_empty() => {}
                None => {
                    unfit.insert(at);
                    let next = before.entry(number.saturating_add(1)).or_default();
                    for (hash, _) in known.iter().take(HELD_LINES_MAX) {
                        next.push((link(hash, one.content()), Some(at)));
                    }
                }
            }
        }
        unfit
    }

    /// A line from which the next one in the file follows has the number before that one's, whatever it
    /// says itself.
    fn renumber(&mut self, held: &[Held]) {
        for at in 1..held.len() {
            let (Some(one), Some(last)) = (held.get(at), held.get(at - 1)) else { continue };
            let (Some((_, number, hash)), Some((_, _, before))) = (one.seal, last.seal) else {
                continue;
            };
            let free = |at: usize| self.written.get(at).is_some_and(Option::is_none);
            if free(at) && free(at - 1) && number > 0 && one.follows(&before) {
                self.set(at, (number, hash, None));
                self.set(at - 1, (number - 1, before, Some(Odd::Changed)));
            }
        }
    }

    /// The sealed lines that are left: those with a place of their own were changed, or stand behind a
    /// gap; others are foreign.
    fn believe(&mut self, held: &[Held], unfit: &BTreeSet<usize>) {
        let last = self.numbers().last().copied();
        for (at, one) in held.iter().enumerate() {
            let Some((_, number, hash)) = one.seal else { continue };
            let taken = self.numbers().contains(&number);
            if self.written.get(at).is_some_and(Option::is_some) || taken {
                continue;
            }
            if unfit.contains(&at) {
                self.set(at, (number, hash, Some(Odd::Changed)));
            } else if last.is_none_or(|last| number <= last) {
                self.set(at, (number, hash, None));
            }
        }
    }

    /// A line without an end takes the place between its neighbours, if there is one.
    fn unsealed(&mut self, held: &[Held], anchor: Option<(u64, [u8; 32])>) {
        let mut next = anchor.map(|(next, _)| next);
        for (at, one) in held.iter().enumerate() {
            if let Some(Some((number, ..))) = self.written.get(at) {
                next = number.checked_add(1);
            } else if one.seal.is_none()
                && let Some(number) = next.filter(|number| !self.numbers().contains(number))
            {
                self.set(at, (number, [0; 32], Some(Odd::SealLost)));
                next = number.checked_add(1);
            }
        }
    }

    fn set(&mut self, at: usize, written: Written) {
        if let Some(place) = self.written.get_mut(at) {
            *place = Some(written);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed(count: usize) -> Vec<Vec<u8>> {
        let mut chain = Chain::default();
        let seal = |number| {
            let mut line = format!("{{\"n\":{number}}}").into_bytes();
            chain.seal(&mut line, 0);
            line.pop();
            line
        };
        (0..count).map(seal).collect()
    }

    type Told = (Vec<(u64, Odd)>, Vec<(u64, u64, u64)>, Vec<(u64, u64)>);

    /// Each odd line with what is odd, and each gap as the line that it was told at.
    fn told(lines: &[Vec<u8>]) -> Told {
        let mut trace = Trace::new();
        let (mut odd, mut missing) = (Vec::new(), Vec::new());
        let mut judge = |trace: &mut Trace| {
            for one in trace.judge() {
                odd.extend(one.odd.map(|kind| (one.line, kind)));
                missing.extend(one.missing.map(|(from, to)| (one.line, from, to)));
            }
        };
        for (at, line) in lines.iter().enumerate() {
            if trace.step(at as u64, 0, line) == Step::Settled {
                judge(&mut trace);
            }
        }
        judge(&mut trace);
        (odd, missing, trace.gaps().to_vec())
    }

    #[test]
    fn each_way_to_break_one_line_is_called_by_its_name() {
        let whole = sealed(12);
        assert_eq!(told(&whole), (vec![], vec![], vec![]));
        let mut lines = whole.clone();
        lines[4][5] ^= 1;
        assert_eq!(told(&lines), (vec![(4, Odd::Changed)], vec![], vec![]));
        let mut lines = whole.clone();
        let digit = lines[4].len() - 5;
        lines[4][digit] = if lines[4][digit] == b'0' { b'1' } else { b'0' };
        assert_eq!(told(&lines), (vec![(4, Odd::HashChanged)], vec![], vec![]));
        let mut lines = whole.clone();
        lines[4].truncate(9);
        assert_eq!(told(&lines), (vec![(4, Odd::SealLost)], vec![], vec![]));
        let mut lines = whole.clone();
        let text = String::from_utf8(lines[4].clone()).unwrap();
        lines[4] = text.replace("sequence\":4", "sequence\":8").into_bytes();
        assert_eq!(told(&lines), (vec![(4, Odd::Changed)], vec![], vec![]));
        let mut lines = whole.clone();
        lines.drain(4..6);
        assert_eq!(told(&lines), (vec![], vec![(4, 4, 5)], vec![(4, 5)]));
        let mut lines = whole.clone();
        lines.insert(4, b"{}".to_vec());
        assert_eq!(told(&lines), (vec![(4, Odd::Added)], vec![], vec![]));
        for copied in [0, 3, 4, 9] {
            let mut lines = whole.clone();
            lines.insert(4, whole[copied].clone());
            let (odd, missing, gaps) = told(&lines);
            let [(line, Odd::Added)] = odd.as_slice() else { panic!("copy of {copied}: {odd:?}") };
            assert!((4..=5).contains(line) && missing.is_empty() && gaps.is_empty());
        }
    }

    #[test]
    fn a_line_that_stands_elsewhere_is_not_missed() {
        let mut lines = sealed(12);
        lines.swap(4, 5);
        let (odd, _, gaps) = told(&lines);
        assert_eq!((odd, gaps), (vec![(5, Odd::Moved)], vec![]));
        let mut lines = sealed(400);
        let moved = lines.remove(10);
        lines.insert(300, moved);
        let (odd, missing, gaps) = told(&lines);
        assert_eq!((odd, missing, gaps), (vec![(300, Odd::Moved)], vec![(10, 10, 10)], vec![]));
    }

    #[test]
    fn a_number_that_is_too_large_takes_nothing_along() {
        let mut lines = sealed(12);
        let mut forged = b"{\"n\":0}".to_vec();
        Chain::after(u64::MAX - 2, [7; 32]).seal(&mut forged, 0);
        forged.pop();
        lines.insert(6, forged);
        let (odd, missing, _) = told(&lines);
        assert_eq!((odd, missing), (vec![(6, Odd::Added)], vec![]));
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_judged_once_and_without_harm(
            edits in proptest::collection::vec((0..4_u8, 0..80_usize, 0..60_usize, 1..=255_u8), 1..12)
        ) {
            let whole = sealed(80);
            let mut lines = whole.clone();
            for (what, at, other, mask) in edits {
                let (at, other) = (at % lines.len().max(1), other % lines.len().max(1));
                match what {
                    0 => {
                        let length = lines[at].len();
                        if length > 0 {
                            lines[at][other % length] ^= mask;
                        }
                    }
                    1 if lines.len() > 1 => drop(lines.remove(at)),
                    2 => lines.swap(at, other),
                    _ => lines.insert(at, lines[other].clone()),
                }
            }
            let (odd, missing, _) = told(&lines);
            // What is left at the front is what was written, or something is told.
            let cut = whole.starts_with(&lines);
            prop_assert_eq!(odd.is_empty() && missing.is_empty(), cut);
        }
    }
}
