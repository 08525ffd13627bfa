//! `[quota.<name>]`: the rules that APIs refer to.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use policies::QuotaRule;

use super::key::Key;
use super::reading::Reading;
use super::wire;

/// The rules by name. A rule that could not be read is there without a value, so that an API which
/// names it is not blamed as well.
pub(super) type Quotas = BTreeMap<String, Option<QuotaRule>>;

pub(super) fn read(
    wire: &BTreeMap<String, wire::Quota>,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Quotas {
    let rule = |(name, quota): (&String, &wire::Quota)| {
        (name.clone(), rule(name, quota, &key.child(name), reading))
    };
    wire.iter().map(rule).collect()
}

fn rule(name: &str, wire: &wire::Quota, key: &Key, reading: &mut Reading<'_>) -> Option<QuotaRule> {
    let period = wire.period.as_ref().and_then(|text| reading.duration(&key.child("period"), text));
    let requests = count(wire.requests)?;
    let burst = wire.burst.map_or(Some(requests), |burst| count(Some(burst)))?;
    Some(QuotaRule { name: name.to_owned(), requests, period: period?, burst })
}

fn count(number: Option<u64>) -> Option<NonZeroU32> {
    number.and_then(|number| u32::try_from(number).ok()).and_then(NonZeroU32::new)
}
