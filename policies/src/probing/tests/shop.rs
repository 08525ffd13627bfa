//! Customers as card shops see them: thousands of them, a month each, and nothing is raised.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const DAY: f64 = 86_400.0;
const DAYS: u32 = 30;

/// How a customer buys.
struct Customer {
    cents: i64,
    /// Cards that are settled at the end of the month leave the balance as it is.
    is_settled_at_once: bool,
    payments_a_day: f64,
    prices: Vec<i64>,
    takes_a_price: f64,
    median_euros: f64,
    salary: i64,
    salary_day: u32,
    subscriptions: Vec<(u32, i64)>,
    drives: bool,
}

/// One question of the terminal: when, how much, under which id, and what the bank said.
struct Asked {
    seconds: f64,
    cents: i64,
    id: u32,
    yes: bool,
}

fn normal(random: &mut StdRng) -> f64 {
    let (one, other): (f64, f64) = (random.random_range(1e-12..1.0), random.random());
    (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos()
}

fn lognormal_cents(random: &mut StdRng, median: f64, sigma: f64) -> i64 {
    (100.0 * median * (sigma * normal(random)).exp()) as i64
}

impl Customer {
    fn any(random: &mut StdRng) -> Self {
        let often = [0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0];
        Self {
            cents: (100.0 * 50_000_f64.powf(random.random())) as i64,
            is_settled_at_once: random.random_bool(0.7),
            payments_a_day: often[random.random_range(0..often.len())],
            prices: (0..random.random_range(2..9))
                .map(|_| lognormal_cents(random, 15.0, 1.0))
                .collect(),
            takes_a_price: [0.2, 0.4, 0.6, 0.8][random.random_range(0..4)],
            median_euros: random.random_range(10.0..40.0),
            salary: lognormal_cents(random, 1_350.0, 0.6),
            salary_day: random.random_range(0..DAYS),
            subscriptions: (0..random.random_range(0..6))
                .map(|_| (random.random_range(0..DAYS), lognormal_cents(random, 12.0, 0.7)))
                .collect(),
            drives: random.random_bool(0.6),
        }
    }

    /// One purchase, priced as shops price.
    fn price(&self, random: &mut StdRng) -> i64 {
        if random.random_bool(self.takes_a_price) {
            return self.prices[random.random_range(0..self.prices.len())].max(50);
        }
        let cents = lognormal_cents(random, self.median_euros, 1.0);
        let whole = cents / 100 * 100;
        let cents = match random.random_range(0..10) {
            0 | 1 => whole + 100,
            2 | 3 => whole + [99, 95, 90, 50][random.random_range(0..4)],
            _ => cents,
        };
        cents.max(50)
    }

    fn purchases(&self, day: u32, random: &mut StdRng) -> Vec<(f64, i64)> {
        let morning = f64::from(day) * DAY;
        let chances = (0..48).filter(|_| random.random_bool(self.payments_a_day / 48.0)).count();
        let mut purchases: Vec<(f64, i64)> = (0..chances.min(12))
            .map(|_| {
                let seconds = morning + (7.0 + 15.0 * random.random::<f64>()) * 3600.0;
                (seconds, self.price(random))
            })
            .collect();
        if self.drives && random.random_bool(0.15) {
            let reserved = [10_000, 12_000, 15_000][random.random_range(0..3)];
            purchases.push((morning + DAY * random.random::<f64>(), reserved));
        }
        let due = self.subscriptions.iter().filter(|(due, _)| *due == day);
        purchases.extend(due.map(|(_, cents)| (morning + 3.0 * 3600.0, (*cents).max(50))));
        purchases.sort_by(|one, other| one.0.total_cmp(&other.0));
        purchases
    }

    /// A month. Who is refused tries the same again, or less, or gives up for some hours.
    fn month(mut self, random: &mut StdRng) -> Vec<Asked> {
        let (mut asked, mut id, mut stays_away_until) = (Vec::new(), 0, 0.0);
        for day in 0..DAYS {
            if day == self.salary_day && self.is_settled_at_once {
                self.cents += self.salary;
            }
            for (mut seconds, mut cents) in self.purchases(day, random) {
                if seconds < stays_away_until {
                    continue;
                }
                for _ in 0..4 {
                    id += 1;
                    let yes = self.cents >= cents;
                    asked.push(Asked { seconds, cents, id, yes });
                    if random.random_bool(0.02) {
                        // The answer was lost: the same question once more, word for word.
                        asked.push(Asked { seconds: seconds + 15.0, cents, id, yes });
                    }
                    if yes {
                        self.cents -= if self.is_settled_at_once { cents } else { 0 };
                        break;
                    }
                    let mood: f64 = random.random();
                    if mood < 0.45 {
                        if random.random_bool(0.6) {
                            let hours = random.random_range(2.0..12.0);
                            stays_away_until = seconds + hours * 3600.0;
                        }
                        break;
                    }
                    seconds += random.random_range(20.0..200.0);
                    if mood > 0.8 {
                        let step = if cents > 2_000 { 500 } else { 100 };
                        let less = cents as f64 * random.random_range(0.3..0.95);
                        cents = (less as i64 / step * step).max(50);
                    }
                }
            }
        }
        asked.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
        asked
    }
}

/// What a month of many customers shows.
#[derive(Default, Debug)]
struct Seen {
    questions: usize,
    raised: Vec<(u64, Suspicion)>,
    points_max: Decimal,
    points_at: [usize; 8],
    amounts_max: usize,
}

fn watch(seed: u64, customers: u64) -> Seen {
    let (mut seen, rule) = (Seen::default(), rule());
    for customer in 0..customers {
        let mut random = StdRng::seed_from_u64(seed * 1_000_000 + customer);
        let mut history = History::default();
        for asked in Customer::any(&mut random).month(&mut random) {
            let mut question = question(asked.seconds as i64, asked.cents, asked.id);
            seen.questions += 1;
            if let Some(suspicion) = judge(&history, &question, &rule) {
                seen.raised.push((customer, suspicion));
            }
            let day_ago = question.at - jiff::SignedDuration::from_hours(24);
            let asked_today = || history.questions().filter(|asked| asked.at > day_ago);
            let step = Knowledge::of(asked_today(), question.at).step(question.amount, question.at);
            if step.precision.is_some_and(|precision| precision <= rule.precision) {
                seen.points_max = seen.points_max.max(step.points);
                let whole = usize::try_from(step.points.trunc().mantissa()).unwrap();
                seen.points_at[whole.min(7)] += 1;
            }
            let mut amounts: Vec<_> = asked_today().map(|asked| asked.amount).collect();
            amounts.sort_unstable();
            amounts.dedup();
            seen.amounts_max = seen.amounts_max.max(amounts.len() + 1);
            question.answer = told(asked.yes);
            history.ask(question);
        }
    }
    seen
}

#[test]
fn a_month_of_five_thousand_ordinary_customers_raises_nothing() {
    let seen = watch(1, 5_000);
    assert!(seen.questions > 500_000, "{seen:?}");
    assert!(seen.raised.is_empty(), "{seen:?}");
}

#[test]
#[ignore = "prints figures"]
fn thousands_of_customers_raise_nothing() {
    for seed in 1..=4 {
        let seen = watch(seed, 5_000);
        println!(
            "seed {seed}: 5000 customers, {DAYS} days, {} questions: {} raised; of those that could \
             tell a tenth, by whole points: {:?}, most {}; most amounts in a day {}",
            seen.questions,
            seen.raised.len(),
            seen.points_at,
            seen.points_max.round_dp(2),
            seen.amounts_max
        );
        assert!(seen.raised.is_empty(), "{:?}", seen.raised);
    }
}
