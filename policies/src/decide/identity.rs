//! Who calls: the checks on the certificate and on what registers say about its holder.

use certs::{
    Identity, OrganisationId, ProfileFault, Qwac, RevocationSource, RevocationStatus, RoleSet,
    Trusted,
};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::check::{Evidence, Source};
use crate::freshness::Step;
use crate::presented::Presented;
use crate::reason::Reason;
use crate::register::{Passport, ServiceSet, Standing, WhenUndetermined};
use crate::verdict::Refusal;
use crate::world::World;

pub(super) fn trusted<'a>(
    presented: &Presented<'a>,
    world: &World,
) -> Result<(&'a Identity, &'a Trusted), Refusal> {
    let identity = presented.identity.ok_or_else(|| Refusal::new(Reason::CertificateMissing))?;
    let trusted = identity
        .trust()
        .map_err(|fault| Refusal::because(Reason::CertificateUntrusted, fault.to_string()))?;
    // The connection may be older than the world: what it was trusted for may have been withdrawn.
    if trusted.anchor_fingerprint().is_some_and(|anchor| world.anchors.contains(anchor)) {
        return Ok((identity, trusted));
    }
    let detail = format!("{} is not trusted any more", trusted.anchor_subject());
    Err(Refusal::because(Reason::CertificateUntrusted, detail))
}

pub(super) fn valid(trusted: &Trusted, now: Timestamp) -> Result<(), Refusal> {
    if now < trusted.not_before() {
        let detail = format!("it is valid from {}", trusted.not_before());
        return Err(Refusal::because(Reason::CertificateNotYetValid, detail));
    }
    if now > trusted.not_after() {
        let detail = format!("it was valid until {}", trusted.not_after());
        return Err(Refusal::because(Reason::CertificateExpired, detail));
    }
    Ok(())
}

pub(super) fn unrevoked(
    trusted: &Trusted,
    world: &World,
    now: Timestamp,
) -> (Evidence, Result<(), Refusal>) {
    let mut evidence = Evidence::of(Source::Crl);
    let result = match world.revocations.status(trusted, now) {
        RevocationStatus::Good { as_of, source } => {
            if source == RevocationSource::Ocsp {
                evidence.source = Source::Ocsp;
            }
            evidence.as_of = Some(as_of);
            Ok(())
        }
        RevocationStatus::Revoked { since } => {
            let detail = format!("its issuer revoked it, or a certificate above it, on {since}");
            Err(Refusal::because(Reason::CertificateRevoked, detail))
        }
        RevocationStatus::Unknown(_) if world.revocation_unchecked => Ok(()),
        RevocationStatus::Unknown(unknown) => {
            Err(Refusal::because(Reason::RevocationUnknown, unknown.to_string()))
        }
    };
    (evidence, result)
}

/// Everything about the profile but the name: that is the next check.
pub(super) fn profiled(qwac: Result<&Qwac, &ProfileFault>) -> Result<(), Refusal> {
    match qwac {
        Err(fault @ (ProfileFault::NotQwac(_) | ProfileFault::NotQsealc(_))) => {
            Err(Refusal::because(Reason::CertificateNotQwac, fault.to_string()))
        }
        Err(fault @ ProfileFault::Purpose(_)) => {
            Err(Refusal::because(Reason::CertificatePurpose, fault.to_string()))
        }
        Ok(_)
        | Err(
            ProfileFault::OrganisationIdMissing
            | ProfileFault::OrganisationIdAmbiguous
            | ProfileFault::OrganisationIdMalformed(_),
        ) => Ok(()),
    }
}

pub(super) fn named<'q>(qwac: Result<&'q Qwac, &ProfileFault>) -> Result<&'q Qwac, Refusal> {
    qwac.map_err(|fault| {
        let reason = match fault {
            ProfileFault::OrganisationIdAmbiguous => Reason::OrganisationIdAmbiguous,
            _ => Reason::OrganisationIdMissing,
        };
        Refusal::because(reason, fault.to_string())
    })
}

pub(super) fn role(qwac: &Qwac, required: RoleSet) -> Result<(), Refusal> {
    if required.iter().any(|role| qwac.roles.contains(role)) {
        return Ok(());
    }
    let detail = format!(
        "one of these roles is needed: {required}; the certificate carries: {}",
        qwac.roles
    );
    Err(Refusal::because(Reason::RoleMissing, detail))
}

/// What the registers say about the caller, and whether one of `services` is there. A reason beside
/// `Ok` lets it pass and is recorded.
pub(super) fn registered(
    id: &OrganisationId,
    services: ServiceSet,
    world: &World,
    now: Timestamp,
) -> (Evidence, Result<(Standing, Option<Reason>), Refusal>) {
    let register = &world.register;
    let (standing, evidence) = register.standing(id, now);
    // A decision of the bank's own people does not grow old with the registers.
    let decided = evidence.source == Source::RegisterOverride;
    if !decided && register.freshness(now) == Step::Expired {
        return (evidence, Err(Refusal::new(Reason::RegisterStale)));
    }
    let refused = |reason, detail: String| Err(Refusal::because(reason, detail));
    let result = match standing {
        Standing::Authorised { services: listed, .. } if listed.meets(services) => {
            Ok((standing, None))
        }
        Standing::Authorised { .. } => refused(
            Reason::RegisterRoleMissing,
            format!("the register lists {id} without the service that is needed: {services}"),
        ),
        Standing::Withdrawn { since } => {
            let why = ended(id, since, decided);
            Err(why.map_or_else(
                || Refusal::new(Reason::RegisterWithdrawn),
                |why| Refusal::because(Reason::RegisterWithdrawn, why),
            ))
        }
        Standing::Undetermined(_) if register.policy().undetermined == WhenUndetermined::Warn => {
            Ok((standing, Some(Reason::RegisterUndetermined)))
        }
        Standing::Undetermined(why) => Err(Refusal::because(Reason::RegisterUndetermined, why)),
        Standing::Unknown if register.lists_alike(id) => refused(
            Reason::RegisterUnknown,
            format!(
                "no register lists {id}, but one that differs from it only in spaces, hyphens or case"
            ),
        ),
        Standing::Unknown => refused(Reason::RegisterUnknown, format!("no register lists {id}")),
    };
    (evidence, result)
}

/// What there is to say about an authorisation that has ended, where it is known since when.
pub(super) fn ended(id: &OrganisationId, since: Option<Date>, decided: bool) -> Option<String> {
    let since = since?;
    Some(if decided {
        format!("this bank decided on {since} that {id} may not call; ask its support")
    } else {
        format!("the authorisation of {id} ended on {since}")
    })
}

/// Whether one of `services` is listed for the bank's country; nothing where that is not
/// looked at.
pub(super) fn passported(
    id: &OrganisationId,
    services: ServiceSet,
    standing: Standing,
    world: &World,
) -> Option<Result<Option<Reason>, Refusal>> {
    let policy = world.register.policy();
    let Standing::Authorised { here, .. } = standing else { return None };
    let missing = !here.meets(services);
    match policy.passport {
        Passport::Off => None,
        Passport::Warn => Some(Ok(missing.then_some(Reason::RegisterPassportMissing))),
        Passport::Enforce if missing => {
            let country = policy.country;
            let detail =
                format!("the register lists {id} without the service that is needed in {country}");
            Some(Err(Refusal::because(Reason::RegisterPassportMissing, detail)))
        }
        Passport::Enforce => Some(Ok(None)),
    }
}
