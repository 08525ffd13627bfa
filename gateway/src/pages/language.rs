//! The language of a page: the customer's choice, else the browser's wish (RFC 9110 §12.5.4), else
//! French.

use jiff::civil::Date;

/// A language in which every page exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// Of the bank and of most of its customers.
    French,
    /// Of everybody else.
    English,
}

impl Language {
    /// All languages. The first wins when nothing tells them apart.
    pub const ALL: [Language; 2] = [Self::French, Self::English];

    /// The language that was chosen on the page ("fr", "en"), else the one that `Accept-Language`
    /// ranks highest, else French. What cannot be read counts as not said.
    #[must_use]
    pub fn of(accept_language: Option<&str>, chosen: Option<&str>) -> Language {
        let chosen = chosen.and_then(|code| Self::ALL.into_iter().find(|l| l.code() == code));
        chosen.or_else(|| accept_language.and_then(best)).unwrap_or(Self::French)
    }

    /// ISO 639-1, as in the `lang` attribute.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::French => "fr",
            Self::English => "en",
        }
    }

    /// The one to which the page offers to switch.
    #[must_use]
    pub fn other(self) -> Language {
        match self {
            Self::French => Self::English,
            Self::English => Self::French,
        }
    }

    /// A date in words: figures alone are read as month and day by some, as day and month by others.
    #[must_use]
    pub fn date(self, date: Date) -> String {
        const FRENCH: [&str; 12] = [
            "janvier",
            "février",
            "mars",
            "avril",
            "mai",
            "juin",
            "juillet",
            "août",
            "septembre",
            "octobre",
            "novembre",
            "décembre",
        ];
        const ENGLISH: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        let (months, first) = match self {
            Self::French => (FRENCH, "1er"),
            Self::English => (ENGLISH, "1"),
        };
        let month = usize::try_from(date.month()).ok().and_then(|month| months.get(month - 1));
        let day = if date.day() == 1 { first.to_owned() } else { date.day().to_string() };
        // No-break spaces: a date that is torn at the end of a line is read wrongly.
        format!("{day}\u{a0}{}\u{a0}{}", month.copied().unwrap_or_default(), date.year())
    }
}

/// The language with the highest weight; between equals, the one that is named first.
///
/// Written here because the crates for it read the weight as a float and sort by it: `q=nan` makes
/// that order inconsistent, and the sort may panic on a header that anybody can send.
fn best(accept_language: &str) -> Option<Language> {
    let wishes: Vec<Wish<'_>> = accept_language.split(',').filter_map(Wish::read).collect();
    let weight = |language: Language| {
        let own = wishes.iter().filter(|wish| wish.is_for(language.code()));
        let any = wishes.iter().filter(|wish| wish.primary == "*");
        own.map(|wish| wish.weight).max().or_else(|| any.map(|wish| wish.weight).max()).unwrap_or(0)
    };
    let place = |language: Language| {
        wishes.iter().position(|wish| wish.is_for(language.code())).unwrap_or(usize::MAX)
    };
    Language::ALL
        .into_iter()
        .filter(|language| weight(*language) > 0)
        .min_by_key(|language| (std::cmp::Reverse(weight(*language)), place(*language)))
}

/// One language range with its weight in thousandths.
struct Wish<'a> {
    primary: &'a str,
    weight: u16,
}

impl<'a> Wish<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (range, parameter) = text.split_once(';').unwrap_or((text, "q=1"));
        let primary = range.trim().split('-').next().filter(|primary| !primary.is_empty())?;
        let (name, value) = parameter.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("q");
        named.then(|| thousandths(value.trim())).flatten().map(|weight| Self { primary, weight })
    }

    fn is_for(&self, code: &str) -> bool {
        self.primary.eq_ignore_ascii_case(code)
    }
}

/// `qvalue` of RFC 9110 §12.4.2: "0", "0.85", "1.000".
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit()) && fraction.len() <= 3;
    let fraction: u16 = format!("{fraction:0<3}").parse().ok().filter(|_| digits)?;
    match (whole, fraction) {
        ("0", fraction) => Some(fraction),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use Language::{English, French};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_choice_on_the_page_wins_over_the_browser() {
        assert_eq!(Language::of(Some("fr"), Some("en")), English);
        assert_eq!(Language::of(Some("en"), Some("fr")), French);
        assert_eq!(Language::of(Some("en"), Some("de")), English);
    }

    #[test]
    fn the_highest_weight_wins_and_between_equals_the_first() {
        for (header, language) in [
            ("en", English),
            ("en-GB,en;q=0.9,fr;q=0.8", English),
            ("fr-CA, fr;q=0.9, en;q=0.8", French),
            ("fr;q=0.1, EN ; Q=0.2", English),
            ("de, en;q=0.5", English),
            ("de, es", French),
            ("en, fr", English),
            ("fr, en", French),
            ("*", French),
            ("fr;q=0, *", English),
            ("fr;q=0.5, *;q=0.8", English),
            ("en;q=0", French),
            ("", French),
        ] {
            assert_eq!(Language::of(Some(header), None), language, "{header}");
        }
        assert_eq!(Language::of(None, None), French);
    }

    #[test]
    fn a_wish_that_cannot_be_read_counts_as_not_said() {
        for header in ["en;q=nan", "en;q=2", "en;q=0.1234", "en;q=+1", "en;q=", "en;x=1", ";q=1"] {
            assert_eq!(Language::of(Some(header), None), French, "{header}");
        }
        assert_eq!(Language::of(Some("fr;q=nan,,;,en;q=0.001"), None), English);
    }

    #[test]
    fn dates_are_written_in_words() {
        let date = jiff::civil::date(2027, 6, 1);
        assert_eq!(French.date(date), "1er\u{a0}juin\u{a0}2027");
        assert_eq!(English.date(date), "1\u{a0}June\u{a0}2027");
        let date = jiff::civil::date(2027, 12, 31);
        assert_eq!(French.date(date), "31\u{a0}décembre\u{a0}2027");
    }

    proptest! {
        #[test]
        fn any_header_has_a_language(header in ".*", chosen in proptest::option::of(".{0,3}")) {
            let _ = Language::of(Some(&header), chosen.as_deref());
        }

        #[test]
        fn of_two_weights_the_higher_wins(fr in 0u16..=1000, en in 0u16..=1000) {
            let q = |weight: u16| format!("{}.{:03}", weight / 1000, weight % 1000);
            let header = format!("fr;q={}, en;q={}", q(fr), q(en));
            let expected = if en > fr { English } else { French };
            prop_assert_eq!(Language::of(Some(&header), None), expected);
        }
    }
}
