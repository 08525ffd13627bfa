//! The life of an `[[api.version]]`: its dates, its brown-outs, and the notice that its end leaves.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use policies::{ApiVersion, BrownOut, Life, LifeFault};

use super::key::Key;
use super::listen::https_url;
use super::problem::quoted;
use super::reading::Reading;
use super::wire;

/// Brown-outs of one version.
const BROWN_OUTS_MAX: usize = 64;

pub(super) fn read(
    wire: &wire::Version,
    roadmap: Option<&str>,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Life> {
    let mut moment = |name, text: &Option<wire::MomentText>| {
        let Some(text) = text else { return Some(None) };
        moment(&text.0, &key.child(name), reading).map(Some)
    };
    let introduced = moment("introduced", &wire.introduced);
    let announced = moment("announced", &wire.announced);
    let deprecated = moment("deprecated", &wire.deprecated);
    let sunset = moment("sunset", &wire.sunset);
    let brown_outs = brown_outs(&wire.brown_out, &key.child("brown_out"), reading);
    let documentation = match &wire.documentation {
        Some(url) => Some(https_url(url, &key.child("documentation"), reading)?),
        None => roadmap.map(str::to_owned),
    };
    if let Some(reason) = &wire.emergency {
        let key = key.child("emergency");
        if reason.trim().is_empty() {
            let what = "is empty: an end without its notice needs a reason";
            reading.refuse(&key, what, "say why, or leave the notice of three months");
        } else if wire.sunset.is_some() {
            let what = format!("ends without the notice of RTS art. 30(4): {}", quoted(reason));
            reading.warn(&key, what);
        }
    }
    if wire.alive && wire.sunset.is_some() {
        reading.warn(&key.child("alive"), "answers on after its sunset");
    }
    Some(Life {
        introduced: introduced?,
        announced: announced?,
        deprecated: deprecated?,
        sunset: sunset?,
        kept_alive: wire.alive,
        brown_outs: brown_outs?,
        documentation,
        emergency: wire.emergency.clone(),
    })
}

/// Holds each life against its own dates and those of the successor.
pub(super) fn judge(versions: &[ApiVersion], key: &Key, reading: &mut Reading<'_>) {
    for (index, version) in versions.iter().enumerate() {
        let named = |name: &String| versions.iter().find(|other| other.name == *name);
        let successor = version.successor.as_ref().and_then(named);
        for fault in version.life.faults(successor.map(|next| &next.life)) {
            let key = key.item(index).child(fault.member());
            reading.refuse(&key, format!("cannot be: {fault}"), mend(&fault));
        }
    }
}

fn mend(fault: &LifeFault) -> &'static str {
    match fault {
        LifeFault::Unannounced => {
            "write `announced = …`, the day on which the end was published; in an emergency, \
             `emergency = \"why\"`"
        }
        LifeFault::Notice { .. } => {
            "write a later `sunset`; in an emergency, add `emergency = \"why\"`, which is printed at \
             each start"
        }
        LifeFault::Order { .. } => "correct one of the two",
        LifeFault::BrownOutOutside(_) => "write `deprecated` and `sunset` around it",
        LifeFault::BrownOutInNotice { .. } => {
            "write a later `from`; in an emergency, add `emergency = \"why\"`, which is printed at each \
             start"
        }
        LifeFault::BrownOutOrder(_) => "write them in order, `from` before `to`, without overlap",
        LifeFault::NoSuccessor => {
            "name a `successor` that has begun by then, or take `brown_out` out"
        }
        _ => "end it later, or begin the successor earlier",
    }
}

fn brown_outs(
    wire: &[wire::BrownOut],
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Vec<BrownOut>> {
    if wire.len() > BROWN_OUTS_MAX {
        let what = format!("lists more than {BROWN_OUTS_MAX} brown-outs");
        reading.refuse(key, what, "keep those to come");
        return None;
    }
    let window = |(index, wire): (usize, &wire::BrownOut)| {
        let key = key.item(index);
        let mut instant = |name, text: &Option<wire::InstantText>| {
            text.as_ref().and_then(|text| instant(&text.0, &key.child(name), reading))
        };
        let (from, to) = (instant("from", &wire.from), instant("to", &wire.to));
        Some(BrownOut { from: from?, to: to? })
    };
    wire.iter().enumerate().map(window).collect::<Vec<_>>().into_iter().collect()
}

/// The first instant of a day in UTC, or an instant.
fn moment(text: &str, key: &Key, reading: &mut Reading<'_>) -> Option<Timestamp> {
    let day = text.parse::<Date>().ok().filter(|day| day.to_string() == text);
    let begins = day.and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    let moment = begins.map(|begins| begins.timestamp()).or_else(|| text.parse().ok());
    if moment.is_none() {
        let what = format!("is {}: neither a day nor an instant", quoted(text));
        reading.refuse(
            key,
            what,
            "write 2026-11-30, or an instant with its offset: 2026-11-30T12:00:00Z",
        );
    }
    moment
}

fn instant(text: &str, key: &Key, reading: &mut Reading<'_>) -> Option<Timestamp> {
    let instant = text.parse().ok();
    if instant.is_none() {
        let what = format!("is {}: not an instant with its offset", quoted(text));
        reading.refuse(key, what, "write it as 2026-11-30T12:00:00Z");
    }
    instant
}
