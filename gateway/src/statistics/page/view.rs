//! An interface as the page shows it: figures in words, charts drawn.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::chart::{Chart, Series};
use super::numbers::{count, duration, instant, milliseconds, number, percent};
use super::words::Words;
use crate::pages::language::Language;
use crate::statistics::figures::{
    ApiFigures, Bank, Customer, CustomerFigures, DayFigures, DowntimeFigures, Figures, Group, Proof,
};

/// A day has 86 400 seconds: a thousandth of a percent is one of them.
const TIME_DIGITS: usize = 3;
const ERROR_DIGITS: usize = 2;
/// Of the customer interfaces' marks, which are two.
const CUSTOMER_CLASS: usize = 5;

/// One interface.
pub(super) struct View {
    /// Of its part of the page.
    pub(super) id: String,
    pub(super) title: String,
    pub(super) note: Option<&'static str>,
    pub(super) total: [String; 9],
    pub(super) charts: Vec<Drawn>,
    pub(super) apis: Vec<([String; 3], [String; 9])>,
    pub(super) customers: Vec<(String, [String; 9])>,
    /// Absent for a group.
    pub(super) downtimes: Option<Vec<Downtime>>,
    pub(super) days: Vec<(Date, String, [String; 9])>,
    pub(super) also: Vec<String>,
}

/// A chart and its legend.
pub(super) struct Drawn {
    pub(super) title: &'static str,
    pub(super) peak: String,
    pub(super) svg: String,
    /// Class and name.
    pub(super) legend: Vec<(usize, String)>,
}

/// A downtime in words.
pub(super) struct Downtime {
    pub(super) from: String,
    pub(super) until: String,
    pub(super) lasted: String,
    pub(super) five: Vec<Evidence>,
    pub(super) ended_by: Option<Evidence>,
}

/// A record.
pub(super) struct Evidence {
    pub(super) id: String,
    pub(super) file: Option<String>,
}

impl View {
    pub(super) fn of_bank(
        bank: &Bank,
        words: &'static Words,
        zone: &TimeZone,
        language: Language,
    ) -> Self {
        let title = match &bank.name {
            Some(name) => format!("{name} ({})", bank.codetab),
            None => bank.codetab.clone(),
        };
        let downtime = |one: &DowntimeFigures| Downtime {
            from: instant(one.from, zone, language),
            until: one.until.map_or(words.open.to_owned(), |until| instant(until, zone, language)),
            lasted: duration(Some(one.seconds), language),
            five: one.unanswered.iter().map(|proof| evidence(proof, words)).collect(),
            ended_by: one.ended_by.as_ref().map(|proof| evidence(proof, words)),
        };
        let customers = bank.customer.iter();
        Self {
            customers: customers
                .map(|one| (one.channel.clone(), customer_cells(&one.total, language)))
                .collect(),
            downtimes: Some(bank.downtimes.iter().map(downtime).collect()),
            ..Self::of(
                (format!("bank-{}", bank.codetab), title),
                (&bank.total, &bank.days, &bank.apis, &bank.customer),
                words,
                language,
            )
        }
    }

    pub(super) fn of_group(group: &Group, words: &'static Words, language: Language) -> Self {
        Self {
            note: Some(words.group_note),
            ..Self::of(
                ("group".to_owned(), words.group.to_owned()),
                (&group.total, &group.days, &group.apis, &[]),
                words,
                language,
            )
        }
    }

    fn of(
        (id, title): (String, String),
        (total, days, apis, customers): (&Figures, &[DayFigures], &[ApiFigures], &[Customer]),
        words: &'static Words,
        language: Language,
    ) -> Self {
        let api = |api: &ApiFigures| {
            let name = [api.api.clone(), api.version.clone(), api.service.clone()];
            (name, cells(&api.total, language))
        };
        let day =
            |day: &DayFigures| (day.date, language.date(day.date), cells(&day.figures, language));
        let also = [
            (total.refused, words.refused.to_owned()),
            (total.abandoned, words.abandoned.to_owned()),
            (total.probes, words.probes.replace("{failed}", &count(total.probes_failed, language))),
            (total.fallback, words.fallback.to_owned()),
        ];
        let also = also.into_iter().filter(|(number, _)| *number > 0);
        Self {
            id,
            title,
            note: None,
            total: cells(total, language),
            charts: Drawing { words, language, days, customers }.all(),
            apis: apis.iter().map(api).collect(),
            customers: Vec::new(),
            downtimes: None,
            days: days.iter().map(day).collect(),
            also: also
                .map(|(number, what)| format!("{} {what}", count(number, language)))
                .collect(),
        }
    }
}

fn evidence(proof: &Proof, words: &Words) -> Evidence {
    let id = proof.request_id.clone().unwrap_or_else(|| words.probe.to_owned());
    Evidence { id, file: proof.file.clone() }
}

fn cells(figures: &Figures, language: Language) -> [String; 9] {
    let measured = figures.requests > 0;
    let number = |value: u64| {
        if measured { count(value, language) } else { super::numbers::NOTHING.to_owned() }
    };
    [
        percent(figures.uptime_pct, TIME_DIGITS, language),
        percent(figures.downtime_pct, TIME_DIGITS, language),
        duration(figures.downtime_s, language),
        milliseconds(figures.avg_ms_pisp, language),
        milliseconds(figures.avg_ms_aisp, language),
        milliseconds(figures.avg_ms_cof, language),
        number(figures.requests),
        number(figures.failed + figures.unanswered),
        percent(figures.error_rate_pct, ERROR_DIGITS, language),
    ]
}

fn customer_cells(figures: &CustomerFigures, language: Language) -> [String; 9] {
    let number = |value: Option<u64>| {
        value.map_or_else(|| super::numbers::NOTHING.to_owned(), |value| count(value, language))
    };
    [
        percent(figures.uptime_pct, TIME_DIGITS, language),
        percent(figures.downtime_pct, TIME_DIGITS, language),
        duration(figures.downtime_s, language),
        milliseconds(figures.avg_ms_pisp, language),
        milliseconds(figures.avg_ms_aisp, language),
        milliseconds(figures.avg_ms_cof, language),
        number(figures.requests),
        number(figures.errors),
        percent(figures.error_rate_pct, ERROR_DIGITS, language),
    ]
}

/// The four charts of an interface.
struct Drawing<'a> {
    words: &'static Words,
    language: Language,
    days: &'a [DayFigures],
    customers: &'a [Customer],
}

type OfDay = fn(&Figures) -> Option<f64>;
type OfCustomer = fn(&CustomerFigures) -> Option<f64>;

impl Drawing<'_> {
    fn all(&self) -> Vec<Drawn> {
        const DAY_S: f64 = 86_400.0;
        let (words, language) = (self.words, self.language);
        let down: OfDay = |figures| figures.downtime_s.map(|seconds| seconds / 60.0);
        let customers_down: OfCustomer = |figures| {
            let of_pct = figures.downtime_pct.map(|pct| pct * DAY_S / 100.0);
            figures.downtime_s.or(of_pct).map(|seconds| seconds / 60.0)
        };
        let times: [(&str, OfDay, OfCustomer); 3] = [
            (words.pisp, |figures| figures.avg_ms_pisp, |figures| figures.avg_ms_pisp),
            (words.aisp, |figures| figures.avg_ms_aisp, |figures| figures.avg_ms_aisp),
            (words.cof, |figures| figures.avg_ms_cof, |figures| figures.avg_ms_cof),
        ];
        let mut time = Vec::new();
        for (class, (name, of, _)) in times.into_iter().enumerate() {
            time.push(self.own(name, class, true, of));
        }
        for customer in self.customers {
            for (name, _, of) in times {
                time.push(self.customer(customer, &format!("{}, {name}", customer.channel), of));
            }
        }
        let with_customers = |own: Series, of: OfCustomer| -> Vec<Series> {
            let customers = self.customers.iter();
            let customers = customers.map(|one| self.customer(one, &one.channel, of));
            [own].into_iter().chain(customers).collect()
        };
        let errors: OfDay = |figures| figures.error_rate_pct;
        let requests: OfDay = |figures| (figures.requests > 0).then_some(figures.requests as f64);
        let short = |value: f64| {
            let digits =
                if value < 1.0 && value > 0.0 { 2 } else { usize::from(value.fract() > 0.0) };
            number(value, digits, language)
        };
        let with_unit = |unit: &'static str| {
            move |value: f64| format!("{}\u{a0}{unit}", number(value, 2, language))
        };
        let of_count = |value: f64| count(value.round() as u64, language);
        let own = |class, of| self.own(words.dedicated, class, false, of);
        vec![
            self.draw(
                words.downtime_chart,
                with_customers(own(3, down), customers_down),
                &with_unit(words.minutes),
                &short,
            ),
            self.draw(words.time_chart, time, &with_unit(words.ms), &short),
            self.draw(
                words.error_chart,
                with_customers(own(4, errors), |figures| figures.error_rate_pct),
                &with_unit(words.per_cent),
                &short,
            ),
            self.draw(words.request_chart, vec![own(0, requests)], &of_count, &short),
        ]
    }

    fn own(&self, name: &str, class: usize, lines: bool, of: OfDay) -> Series {
        let values = self.days.iter().map(|day| of(&day.figures)).collect();
        Series { name: name.to_owned(), class, lines, values }
    }

    fn customer(&self, customer: &Customer, name: &str, of: OfCustomer) -> Series {
        let of_day = |day: &DayFigures| {
            let found = customer.days.iter().find(|other| other.date == day.date)?;
            of(&found.figures)
        };
        let values = self.days.iter().map(of_day).collect();
        let at = self.customers.iter().position(|other| other.channel == customer.channel);
        let class = CUSTOMER_CLASS + at.unwrap_or_default() % 2;
        Series { name: name.to_owned(), class, lines: true, values }
    }

    fn draw(
        &self,
        title: &'static str,
        series: Vec<Series>,
        shown: &dyn Fn(f64) -> String,
        scale: &dyn Fn(f64) -> String,
    ) -> Drawn {
        let dates: Vec<Date> = self.days.iter().map(|day| day.date).collect();
        let marks = |series: &Series| {
            series.values.iter().any(|value| value.is_some_and(|value| value > 0.0))
        };
        let series: Vec<Series> = series.into_iter().filter(marks).collect();
        let highest = series.first().and_then(|series| {
            let days = dates.iter().zip(&series.values);
            let days = days.filter_map(|(date, value)| Some((*date, (*value)?)));
            days.max_by(|(_, one), (_, other)| one.total_cmp(other))
        });
        let day = |date: Date| self.language.date(date);
        let peak = highest.map_or_else(
            || self.words.none.to_owned(),
            |(date, value)| {
                self.words.peak.replace("{value}", &shown(value)).replace("{day}", &day(date))
            },
        );
        let chart = Chart {
            title,
            description: &peak,
            dates: &dates,
            series: &series,
            months: &self.words.months,
            shown,
            scale,
            day: &day,
        };
        Drawn {
            title,
            svg: chart.svg(),
            legend: match series.len() {
                1 if !series.iter().any(|series| series.class >= CUSTOMER_CLASS) => Vec::new(),
                _ => series.iter().map(|series| (series.class, series.name.clone())).collect(),
            },
            peak,
        }
    }
}
