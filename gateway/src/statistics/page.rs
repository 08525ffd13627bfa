//! The page that is published: one file that loads nothing, in each language.

mod chart;
mod numbers;
mod view;
mod words;

use askama::Template;
use jiff::tz::TimeZone;

use self::view::View;
use self::words::Words;
use super::figures::{Report, SourceDay};
use crate::pages::language::Language;

/// The style is part of the page.
const STYLE: &str = include_str!("../../templates/report.css");

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    words: &'static Words,
    language: Language,
    report: &'a Report,
    title: String,
    period: String,
    made: String,
    summary: Vec<(String, String, [String; 9])>,
    group: Option<View>,
    banks: Vec<View>,
    unmeasured: String,
    sources: Vec<Source<'a>>,
    style: &'static str,
}

/// A day of a gateway, and what it was counted from.
struct Source<'a> {
    date: String,
    of: &'a SourceDay,
}

/// Writes the page.
///
/// # Errors
/// None that can be helped: it is written to memory.
pub fn write(report: &Report, zone: &TimeZone, language: Language) -> askama::Result<String> {
    let words = Words::of(language);
    let number = report.quarter.rsplit('Q').next().unwrap_or_default();
    let year = report.quarter.split('-').next().unwrap_or_default();
    let quarter = words.quarter.replace("{number}", number).replace("{year}", year);
    let date = |instant: jiff::Timestamp| language.date(instant.to_zoned(zone.clone()).date());
    let last =
        report.group.days.last().map_or_else(|| date(report.ends), |day| language.date(day.date));
    let period = words.period.replace("{from}", &date(report.begins)).replace("{to}", &last);
    let banks: Vec<View> =
        report.banks.iter().map(|bank| View::of_bank(bank, words, zone, language)).collect();
    let group = (banks.len() > 1).then(|| View::of_group(&report.group, words, language));
    let row = |view: &View| (view.id.clone(), view.title.clone(), view.total.clone());
    let page = Page {
        words,
        language,
        report,
        title: words.title.replace("{quarter}", &quarter),
        period,
        made: words.made.replace("{when}", &numbers::instant(report.as_of, zone, language)),
        summary: group.iter().map(row).chain(banks.iter().map(row)).collect(),
        group,
        banks,
        unmeasured: report
            .unmeasured
            .iter()
            .map(|day| match day.without == day.logs {
                true => language.date(day.date),
                false => format!("{} ({}/{})", language.date(day.date), day.without, day.logs),
            })
            .collect::<Vec<_>>()
            .join(", "),
        sources: report
            .sources
            .iter()
            .map(|of| Source { date: language.date(of.date), of })
            .collect(),
        style: STYLE,
    };
    page.render()
}
