//! What every answer of a version says about its end, made once for each configuration.

use http::HeaderValue;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use sfv::{Date, Integer, ItemSerializer};

use super::{Api, ApiVersion};

/// Header values; all absent where a version has no end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// `Deprecation` (RFC 9745 §2): a Date of structured fields.
    pub deprecation: Option<HeaderValue>,
    /// `Sunset` (RFC 8594 §3): an HTTP-date.
    pub sunset: Option<HeaderValue>,
    /// `Link` (RFC 8288) with the relations `successor-version`, `deprecation` and `sunset`.
    pub link: Option<HeaderValue>,
}

impl Notice {
    pub(super) fn of(api: &Api, version: &ApiVersion) -> Self {
        let life = &version.life;
        let mut links = Vec::new();
        let successor = version.successor.as_ref();
        let successor = successor.and_then(|name| api.versions.iter().find(|v| v.name == *name));
        if let Some(path) = successor.and_then(|next| next.paths.first()) {
            links.push(format!("<{path}>; rel=\"successor-version\""));
        }
        if let Some(page) = &life.documentation {
            for (relation, said) in [("deprecation", life.deprecated), ("sunset", life.sunset)] {
                if said.is_some() {
                    links.push(format!("<{page}>; rel=\"{relation}\""));
                }
            }
        }
        let ends = life.deprecated.is_some() || life.sunset.is_some();
        let link = Some(links.join(", ")).filter(|links| ends && !links.is_empty());
        Self {
            deprecation: life.deprecated.and_then(deprecation),
            sunset: life.sunset.and_then(sunset),
            link: link.and_then(|link| HeaderValue::try_from(link).ok()),
        }
    }
}

fn deprecation(instant: Timestamp) -> Option<HeaderValue> {
    let date = Date::from_unix_seconds(Integer::try_from(instant.as_second()).ok()?);
    HeaderValue::try_from(ItemSerializer::new().bare_item(date).finish()).ok()
}

fn sunset(instant: Timestamp) -> Option<HeaderValue> {
    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&instant).ok()?;
    HeaderValue::try_from(text).ok()
}
