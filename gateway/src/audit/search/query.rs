//! What is searched for.

use jiff::Timestamp;
use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

use super::super::members::members;

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident $code:literal $member:literal;)+) => {
        /// A member that is searched by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Field { $($(#[$doc])* $variant,)+ }

        impl Field {
            /// Every one; those that single out more come first.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As the command line calls it.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// As a line of the log calls it.
            #[must_use]
            pub const fn member(self) -> &'static str {
                match self { $(Self::$variant => $member,)+ }
            }
        }
    };
}

fields! {
    /// `http.request.id`.
    RequestId "request-id" "http.request.id";
    /// SHA-256 of the client certificate.
    Certificate "certificate" "tls.client.hash.sha256";
    /// Its serial number.
    Serial "serial" "tls.client.x509.serial_number";
    /// What an event is about.
    Subject "subject" "octroi.subject";
    /// Address of the client.
    Ip "ip" "client.ip";
    /// Organisation id.
    Tpp "tpp" "organization.id";
    /// Code of the reason.
    Reason "reason" "event.reason";
    /// The bank.
    Codetab "codetab" "octroi.codetab";
    /// The API.
    Api "api" "octroi.api";
    /// Its version.
    Version "version" "octroi.version";
    /// HTTP status.
    Status "status" "http.response.status_code";
    /// `allowed`, `refused`, `aborted`.
    Outcome "outcome" "octroi.outcome";
    /// `fallback` of what went by the customer interface.
    Lane "lane" "octroi.lane";
    /// `request`, or which event.
    Event "event" "event.action";
}

impl Field {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Whether an index knows which of its values stand in a block. The ids of requests differ all, and
    /// tell their time anyway.
    #[must_use]
    pub const fn is_indexed(self) -> bool {
        !matches!(self, Self::RequestId)
    }

    pub(super) fn of_member(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.member().as_bytes() == name)
    }
}

/// Lines that are shown only where somebody asks for them by name: what the log says about itself, and
/// what a record of a request says again.
const QUIET: &[&[u8]] = &[
    b"\"request_permitted\"",
    b"\"audit_opened\"",
    b"\"audit_checkpoint\"",
    b"\"audit_closed\"",
    b"\"availability_probe\"",
];

/// Whether a line whose `event.action` is `action`, with its quotes, is shown unasked.
pub(super) fn is_shown(action: &[u8]) -> bool {
    !QUIET.contains(&action)
}

/// A member must have a value.
#[derive(Clone, Debug)]
pub struct Filter {
    field: Field,
    /// As JSON has it.
    value: Vec<u8>,
    /// Only the beginning of the value.
    begins: bool,
}

impl Filter {
    /// `field` is `value`, or where `begins`, begins with it.
    #[must_use]
    pub fn new(field: Field, value: &str, begins: bool) -> Self {
        let mut json = match field {
            Field::Status => value.as_bytes().to_vec(),
            _ => serde_json::to_vec(value).unwrap_or_default(),
        };
        if begins && field != Field::Status {
            json.pop();
        }
        Self { field, value: json, begins }
    }

    /// Which member.
    #[must_use]
    pub const fn field(&self) -> Field {
        self.field
    }

    /// Whether `value`, as JSON has it, is what is looked for.
    #[must_use]
    pub fn holds(&self, value: &[u8]) -> bool {
        if self.begins { value.starts_with(&self.value) } else { value == self.value }
    }

    fn needle(&self) -> Vec<u8> {
        let member = self.field.member().as_bytes();
        [b"\"", member, b"\":", self.value.as_slice()].concat()
    }
}

/// All of this must be so.
#[derive(Clone, Debug, Default)]
pub struct Query {
    filters: Vec<Filter>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Also what is shown only where somebody asks for it by name.
    pub quiet: bool,
}

impl Query {
    /// All of a span.
    #[must_use]
    pub fn within(from: Option<Timestamp>, to: Option<Timestamp>) -> Self {
        Self { from, to, ..Self::default() }
    }

    /// Adds a condition.
    pub fn add(&mut self, filter: Filter) {
        self.filters.push(filter);
        self.filters.sort_by_key(|filter| filter.field);
    }

    /// The conditions.
    #[must_use]
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Whether lines are looked for that are not shown unasked.
    pub(super) fn names_events(&self) -> bool {
        self.quiet || self.filters.iter().any(|filter| filter.field == Field::Event)
    }

    /// Whether an instant between these two, both included, may be looked for. Microseconds.
    pub(super) fn may_lie_within(&self, first: i64, last: i64) -> bool {
        self.from.is_none_or(|from| from.as_microsecond() <= last)
            && self.to.is_none_or(|to| to.as_microsecond() >= first)
    }

    /// When the line was written, if it is looked for.
    #[must_use]
    pub fn matches(&self, line: &[u8]) -> Option<Timestamp> {
        let (mut time, mut shown, mut held) = (None, self.names_events(), 0);
        for (name, value) in members(line) {
            if name == b"@timestamp" {
                let text = value.get(1..value.len() - 1)?;
                time = Some(std::str::from_utf8(text).ok()?.parse::<Timestamp>().ok()?);
                continue;
            }
            let Some(field) = Field::of_member(name) else { continue };
            if field == Field::Event && !shown {
                shown = is_shown(value);
                if !shown {
                    return None;
                }
            }
            for filter in self.filters.iter().filter(|filter| filter.field == field) {
                if !filter.holds(value) {
                    return None;
                }
                held += 1;
            }
            if shown && held == self.filters.len() && time.is_some() {
                break;
            }
        }
        let time = time?;
        let within =
            self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to);
        (shown && held == self.filters.len() && within).then_some(time)
    }
}

/// Finds the lines of a block that a query is about.
pub struct Sieve<'q> {
    query: &'q Query,
    needle: Option<Finder<'static>>,
}

impl<'q> Sieve<'q> {
    /// For `query`.
    #[must_use]
    pub fn new(query: &'q Query) -> Self {
        let needle = query.filters.first();
        let needle = needle.map(|filter| Finder::new(&filter.needle()).into_owned());
        Self { query, needle }
    }

    /// Tells each line of `block` that is looked for: where it begins, its octets, its time. `false` from
    /// `tell` ends it.
    pub fn lines(&self, block: &[u8], mut tell: impl FnMut(usize, &[u8], Timestamp) -> bool) {
        let mut at = 0;
        while at < block.len() {
            let rest = block.get(at..).unwrap_or_default();
            let found = match &self.needle {
                Some(needle) => match needle.find(rest) {
                    Some(found) => at + found,
                    None => return,
                },
                None => at,
            };
            let before = block.get(at..found).unwrap_or_default();
            let start = memrchr(b'\n', before).map_or(at, |feed| at + feed + 1);
            let behind = block.get(found..).unwrap_or_default();
            let end = memchr(b'\n', behind).map_or(block.len(), |feed| found + feed);
            let line = block.get(start..end).unwrap_or_default();
            if let Some(time) = self.query.matches(line)
                && !tell(start, line, time)
            {
                return;
            }
            at = end + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINES: &str = concat!(
        r#"{"@timestamp":"2026-11-22T00:00:01Z","event.action":"request","organization.id":"PSDFR-A-1","url.path":"\"organization.id\":\"PSDFR-A-2\"","event.reason":"token_expired","http.response.status_code":401}"#,
        "\n",
        r#"{"@timestamp":"2026-11-22T00:00:02Z","event.action":"request_permitted","organization.id":"PSDFR-A-2"}"#,
        "\n",
        r#"{"@timestamp":"2026-11-22T00:00:03Z","event.action":"request","organization.id":"PSDFR-A-2","http.response.status_code":200}"#,
        "\n",
    );

    fn found(query: &Query) -> Vec<usize> {
        let mut all = Vec::new();
        Sieve::new(query).lines(LINES.as_bytes(), |start, _, _| {
            all.push(LINES[..start].matches('\n').count());
            true
        });
        all
    }

    fn query(filters: &[(Field, &str, bool)]) -> Query {
        let mut query = Query::default();
        for (field, value, begins) in filters {
            query.add(Filter::new(*field, value, *begins));
        }
        query
    }

    #[test]
    fn what_a_client_wrote_into_its_path_is_no_member() {
        assert_eq!(found(&query(&[(Field::Tpp, "PSDFR-A-2", false)])), [2]);
        assert_eq!(found(&query(&[(Field::Tpp, "PSDFR-A-1", false)])), [0]);
        assert_eq!(found(&query(&[(Field::Tpp, "PSDFR-A", false)])), [0; 0]);
    }

    #[test]
    fn every_condition_must_hold_and_quiet_lines_are_shown_when_named() {
        assert_eq!(found(&Query::default()), [0, 2]);
        assert_eq!(found(&query(&[(Field::Event, "request_permitted", false)])), [1]);
        assert_eq!(found(&query(&[(Field::Status, "4", true)])), [0]);
        let both = [(Field::Tpp, "PSDFR-A-2", false), (Field::Status, "401", false)];
        assert_eq!(found(&query(&both)), [0; 0]);
    }

    #[test]
    fn the_span_begins_with_its_first_instant_and_ends_before_its_last() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let from = at("2026-11-22T00:00:01Z");
        let span = Query { from, to: at("2026-11-22T00:00:03Z"), ..Query::default() };
        assert_eq!(found(&span), [0]);
    }
    proptest! {
        #[test]
        fn the_needle_finds_what_reading_each_line_finds(
            edits in proptest::collection::vec((0..LINES.len(), any::<u8>()), 0..6),
            field in 0..Field::COUNT, begins: bool
        ) {
            let mut text = LINES.as_bytes().to_vec();
            for (at, byte) in edits {
                text[at] = byte;
            }
            for value in ["PSDFR-A-2", "token_expired", "request", "40", "401"] {
                let query = query(&[(Field::ALL[field], value, begins)]);
                let mut found = 0;
                Sieve::new(&query).lines(&text, |_, _, _| { found += 1; true });
                let lines = text.split(|byte| *byte == b'\n');
                prop_assert_eq!(found, lines.filter(|line| query.matches(line).is_some()).count());
            }
        }

        #[test]
        fn foreign_octets_are_no_entry_and_do_no_harm(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = crate::audit::Entry::read(&line);
            let _ = crate::audit::chain::split(&line);
            prop_assert!(!crate::audit::search::is_index(&line));
        }
    }
}
