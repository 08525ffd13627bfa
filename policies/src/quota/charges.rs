//! Which limits one request is counted by.

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::{BucketId, Caller, Measure, Quota};
use crate::limits::QUOTAS_PER_API_MAX;
use crate::token::Partition;

/// One request out of one bucket of one limit.
#[derive(Clone, Copy, Debug)]
pub struct Charge<'a> {
    /// The limit.
    pub quota: &'a Arc<Quota>,
    /// The bucket.
    pub bucket: BucketId,
    /// Where the bucket lies: with the TPP's other buckets, or, where TPPs share it, by its own name.
    pub partition: Partition,
}

/// All charges of one step of the judgement.
pub type Charges<'a> = ArrayVec<Charge<'a>, QUOTAS_PER_API_MAX>;

/// When a limit can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Before the body is read.
    Head,
    /// When the account is known.
    Account,
    /// At the end: it holds a place as long as the request lasts.
    InFlight,
}

impl Step {
    fn of(quota: &Quota) -> Self {
        match quota.measure {
            Measure::Concurrent(_) => Self::InFlight,
            Measure::Rate { .. } | Measure::Window { .. } if quota.per.account => Self::Account,
            Measure::Rate { .. } | Measure::Window { .. } => Self::Head,
        }
    }
}

/// The limits that count a caller's request in this step, in the order of the configuration.
pub(crate) fn limits<'a>(
    quotas: &'a [Arc<Quota>],
    caller: &Caller<'_>,
    step: Step,
) -> impl Iterator<Item = &'a Arc<Quota>> + use<'a> {
    let (roles, attended) = (caller.roles, caller.attended);
    let in_role =
        move |quota: &Quota| quota.roles.is_empty() || !quota.roles.intersection(roles).is_empty();
    quotas.iter().take(QUOTAS_PER_API_MAX).filter(move |quota| {
        Step::of(quota) == step && quota.counts.counts(attended) && in_role(quota)
    })
}

/// What those limits charge.
pub(crate) fn charges<'a>(
    quotas: &'a [Arc<Quota>],
    caller: &Caller<'_>,
    step: Step,
) -> Charges<'a> {
    limits(quotas, caller, step).map(|quota| Charge::of(quota, caller)).collect()
}

impl<'a> Charge<'a> {
    /// What `quota` charges a caller, whatever requests it counts.
    #[must_use]
    pub fn of(quota: &'a Arc<Quota>, caller: &Caller<'_>) -> Self {
        let bucket = BucketId::of(&quota.name, quota.per, caller);
        let partition = if quota.per.tpp {
            Partition::of(caller.organisation_id)
        } else {
            Partition::of_digest(bucket.digest())
        };
        Self { quota, bucket, partition }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use certs::{OrganisationId, PspRole, RoleSet};

    use super::super::{Attendance, Per};
    use super::*;

    fn quota(name: &str, per: Per) -> Arc<Quota> {
        Arc::new(Quota {
            name: name.to_owned(),
            measure: Measure::Window { requests: NonZeroU32::MIN, period: Duration::from_secs(60) },
            per,
            counts: Attendance::All,
            roles: RoleSet::EMPTY,
        })
    }

    fn caller<'a>(organisation_id: &'a OrganisationId, codetab: &'a str) -> Caller<'a> {
        Caller {
            organisation_id,
            api: "funds-confirmation",
            role: Some(PspRole::CardBasedInstruments),
            roles: [PspRole::CardBasedInstruments].into_iter().collect(),
            codetab,
            account: None,
            attended: true,
        }
    }

    fn bucket(quota: &Arc<Quota>, caller: &Caller<'_>) -> BucketId {
        Charge::of(quota, caller).bucket
    }

    #[test]
    fn a_limit_counts_apart_exactly_what_it_names() {
        let (one, other) =
            (OrganisationId::new("PSDIE-CBI-C1"), OrganisationId::new("PSDIE-CBI-C2"));
        let (one, other) = (one.unwrap(), other.unwrap());
        let base = caller(&one, "17515");
        let others = [
            (Per { tpp: true, ..Per::default() }, caller(&other, "17515")),
            (Per { codetab: true, ..Per::default() }, caller(&one, "11315")),
            (Per { api: true, ..Per::default() }, Caller { api: "accounts", ..base }),
            (
                Per { role: true, ..Per::default() },
                Caller { role: Some(PspRole::AccountInformation), ..base },
            ),
            (Per { account: true, ..Per::default() }, Caller { account: Some([7; 32]), ..base }),
        ];
        for (per, changed) in &others {
            let quota = quota("q", *per);
            assert_ne!(bucket(&quota, &base), bucket(&quota, changed), "{per:?}");
            for (elsewhere, unnoticed) in others.iter().filter(|(other, _)| other != per) {
                assert_eq!(
                    bucket(&quota, &base),
                    bucket(&quota, unnoticed),
                    "{per:?} counts {elsewhere:?} apart"
                );
            }
        }
        let (named, renamed) = (quota("q", Per::default()), quota("r", Per::default()));
        assert_ne!(bucket(&named, &base), bucket(&renamed, &base));
    }

    #[test]
    fn the_parts_of_a_bucket_do_not_run_together() {
        let per = Per { api: true, codetab: true, ..Per::default() };
        let id = OrganisationId::new("PSDIE-CBI-C1").unwrap();
        let one = Caller { api: "a", ..caller(&id, "bc") };
        let other = Caller { api: "ab", ..caller(&id, "c") };
        assert_ne!(bucket(&quota("q", per), &one), bucket(&quota("q", per), &other));
    }

    #[test]
    fn a_request_is_charged_by_the_limits_of_its_role_and_attendance_only() {
        let id = OrganisationId::new("PSDIE-CBI-C1").unwrap();
        let plain = |name| Quota::clone(&quota(name, Per::default()));
        let unattended = Quota { counts: Attendance::Unattended, ..plain("unattended") };
        let attended = Quota { counts: Attendance::Attended, ..plain("attended") };
        let aisp =
            Quota { roles: [PspRole::AccountInformation].into_iter().collect(), ..plain("aisp") };
        let account = Quota { per: Per { account: true, ..Per::default() }, ..plain("account") };
        let places = Quota { measure: Measure::Concurrent(NonZeroU32::MIN), ..plain("places") };
        let quotas: Vec<_> =
            [unattended, attended, aisp, account, places].into_iter().map(Arc::new).collect();
        let names = |caller: &Caller<'_>, step| -> Vec<String> {
            charges(&quotas, caller, step).iter().map(|charge| charge.quota.name.clone()).collect()
        };
        let present = caller(&id, "17515");
        let absent = Caller { attended: false, ..present };
        let both = [PspRole::CardBasedInstruments, PspRole::AccountInformation];
        let reader = Caller { roles: both.into_iter().collect(), ..present };
        assert_eq!(names(&present, Step::Head), ["attended"]);
        assert_eq!(names(&absent, Step::Head), ["unattended"]);
        assert_eq!(names(&reader, Step::Head), ["attended", "aisp"]);
        assert_eq!(names(&present, Step::Account), ["account"]);
        assert_eq!(names(&present, Step::InFlight), ["places"]);
    }

    #[test]
    fn what_one_tpp_uses_lies_together_and_what_tpps_share_by_its_own_name() {
        let id = OrganisationId::new("PSDIE-CBI-C1").unwrap();
        let caller = caller(&id, "17515");
        let own = quota("own", Per { tpp: true, codetab: true, ..Per::default() });
        let shared = quota("shared", Per { codetab: true, ..Per::default() });
        assert_eq!(Charge::of(&own, &caller).partition, Partition::of(&id));
        let bucket = Charge::of(&shared, &caller);
        assert_eq!(bucket.partition, Partition::of_digest(bucket.bucket.digest()));
    }
}
