//! Counts a request by its limits, and tells the TPP what is left of them: the `RateLimit` fields of
//! draft-ietf-httpapi-ratelimit-headers-10.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use http::{HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::ResponseHeader;
use policies::limits::QUOTAS_PER_API_MAX;
use policies::quota::{Charge, Left};
use policies::{Quota, QuotaFact};

use super::Gateway;
use super::context::Context;
use crate::traces::Waited;
use crate::{clock, problem};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is left of the limits that a request was counted by.
pub(super) type Counted = ArrayVec<(Arc<Quota>, Left), QUOTAS_PER_API_MAX>;

/// Takes one request out of each of `charges`.
pub(super) async fn count(
    gateway: &Gateway,
    charges: &[Charge<'_>],
    ctx: &mut Context,
) -> QuotaFact {
    // Not the time at which the request began: a body may have come slowly since, and the limits would
    // take it for a clock that was set back.
    let now = clock::now();
    let fact = match gateway.store.charge_now(charges, now) {
        Some(fact) => fact,
        None => {
            let asked = Instant::now();
            let fact = gateway.store.charge(charges, now).await;
            ctx.waited(Waited::Store, asked);
            fact
        }
    };
    if let QuotaFact::Granted(all) = &fact {
        let counted =
            charges.iter().map(|charge| Arc::clone(charge.quota)).zip(all.iter().copied());
        let room = ctx.counted.remaining_capacity();
        ctx.counted.extend(counted.take(room));
    }
    fact
}

/// Takes a place for each of `charges`, as long as the request lasts.
pub(super) fn enter(gateway: &Gateway, charges: &[Charge<'_>], ctx: &mut Context) -> QuotaFact {
    if charges.is_empty() {
        return QuotaFact::assumed(charges);
    }
    let (fact, places) = gateway.in_flight.enter(charges);
    ctx.places = Some(places);
    fact
}

/// Tells what is left.
///
/// # Errors
/// Pingora's, for a header value that is none; cannot happen for values made here.
pub(super) fn tell(response: &mut ResponseHeader, counted: &Counted) -> Result<()> {
    let (mut policy, mut state) = (String::new(), String::new());
    for (quota, left) in counted {
        let Some(period) = quota.period() else { continue };
        problem::policy(&mut policy, &quota.name, quota.requests().get(), period);
        let comma = if state.is_empty() { "" } else { ", " };
        let seconds = seconds(left.full_in);
        let _ = write!(state, "{comma}\"{}\";r={};t={seconds}", quota.name, left.requests);
    }
    if policy.is_empty() {
        return Ok(());
    }
    let value = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    response.insert_header(RATE_LIMIT_POLICY, value(policy))?;
    response.insert_header(RATE_LIMIT, value(state))
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
