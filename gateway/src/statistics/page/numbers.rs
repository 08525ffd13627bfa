//! Figures as people of a language write them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::pages::language::Language;

/// What was not measured.
pub(super) const NOTHING: &str = "–";

/// With the sign of the language for the decimals, and thousands apart; no more digits than there are.
pub(super) fn number(value: f64, digits: usize, language: Language) -> String {
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = grouped(whole, language);
    let (point, fraction) = match language {
        Language::French => (',', fraction),
        Language::English => ('.', fraction),
    };
    if fraction.is_empty() { whole } else { format!("{whole}{point}{fraction}") }
}

/// A count.
pub(super) fn count(value: u64, language: Language) -> String {
    grouped(&value.to_string(), language)
}

fn grouped(digits: &str, language: Language) -> String {
    let between = match language {
        Language::French => '\u{202f}',
        Language::English => ',',
    };
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(between);
        }
        text.push(digit);
    }
    text
}

/// Percent, with so many digits after the point.
pub(super) fn percent(value: Option<f64>, digits: usize, language: Language) -> String {
    let Some(value) = value else { return NOTHING.to_owned() };
    let space = if language == Language::French { "\u{202f}" } else { "" };
    format!("{}{space}%", number(value, digits, language))
}

/// Milliseconds.
pub(super) fn milliseconds(value: Option<f64>, language: Language) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| number(value, 1, language))
}

/// Hours, minutes and seconds; milliseconds where there are any.
pub(super) fn duration(seconds: Option<f64>, language: Language) -> String {
    let Some(seconds) = seconds else { return NOTHING.to_owned() };
    let ms = (seconds * 1000.0).round() as u64;
    let (hours, minutes, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let mut parts = Vec::new();
    if hours > 0 {
        parts.push(format!("{}\u{a0}h", count(hours, language)));
    }
    if minutes > 0 {
        parts.push(format!("{minutes}\u{a0}min"));
    }
    if rest > 0 || parts.is_empty() {
        let digits = if rest % 1000 == 0 { 0 } else { 3 };
        parts.push(format!("{}\u{a0}s", number(rest as f64 / 1000.0, digits, language)));
    }
    parts.join(" ")
}

/// In the bank's time, to the millisecond.
pub(super) fn instant(instant: Timestamp, zone: &TimeZone, language: Language) -> String {
    let local = instant.to_zoned(zone.clone());
    let time = format!("{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second());
    let offset = local.offset();
    let ms = local.millisecond();
    let point = if language == Language::French { ',' } else { '.' };
    let fraction = if ms == 0 { String::new() } else { format!("{point}{ms:03}") };
    format!("{}, {time}{fraction} (UTC{offset})", language.date(local.date()))
}

#[cfg(test)]
mod tests {
    use Language::{English, French};

    use super::*;

    #[test]
    fn figures_are_written_as_the_language_does() {
        assert_eq!(count(1_234_567, English), "1,234,567");
        assert_eq!(count(1_234_567, French), "1\u{202f}234\u{202f}567");
        assert_eq!(percent(Some(99.861), 3, French), "99,861\u{202f}%");
        assert_eq!(percent(Some(99.95), 2, English), "99.95%");
        assert_eq!(percent(Some(100.0), 3, English), "100.000%");
        assert_eq!(percent(None, 2, English), NOTHING);
        assert_eq!(milliseconds(Some(1234.56), French), "1\u{202f}234,6");
        assert_eq!(duration(Some(5400.0), English), "1\u{a0}h 30\u{a0}min");
        assert_eq!(duration(Some(120.125), French), "2\u{a0}min 0,125\u{a0}s");
        assert_eq!(duration(Some(0.0), French), "0\u{a0}s");
        let zone = TimeZone::get("Europe/Paris").unwrap();
        let when = instant("2025-10-08T21:59:50.5Z".parse().unwrap(), &zone, English);
        assert_eq!(when, "8\u{a0}October\u{a0}2025, 23:59:50.500 (UTC+02)");
    }
}
