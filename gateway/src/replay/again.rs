//! One record, judged once more.

use std::sync::Arc;

use certs::Identity;
use jiff::Timestamp;
use policies::{Admitted, CheckName, CheckOutcome, Lane, Presented, Refusal, Trail, World};

use crate::audit::Entry;
use crate::authorization::Endpoint;
use crate::config::TppPaths;

/// Stands for the token, of which the log keeps nothing.
const TOKEN: &[u8] = b"Bearer 0000000000000000000000000000000000000000000";

/// What a request was for: which checks come before the facts that nobody keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A call of an API.
    Api,
    /// A call of the fallback.
    Fallback,
    /// A TPP that asks who it is taken for.
    Introduction,
    /// A request to the authorization server; its methods.
    Office(&'static str),
}

impl Stage {
    /// By what a request asked for.
    #[must_use]
    pub fn of(entry: &Entry<'_>, offices: Option<&TppPaths>) -> Self {
        let path = &*entry.path;
        if entry.lane.as_deref() == Lane::Fallback.code() {
            return Self::Fallback;
        }
        if policies::asks_who_it_is(path) {
            return Self::Introduction;
        }
        match offices.and_then(|paths| Endpoint::at(path, paths)) {
            Some(endpoint) => Self::Office(endpoint.methods()),
            None => Self::Api,
        }
    }

    /// Whether `check` is made without any fact that nobody keeps.
    #[must_use]
    pub fn judges(self, check: CheckName) -> bool {
        let end = match self {
            Self::Api => CheckName::TokenForm,
            Self::Fallback => CheckName::Fallback,
            Self::Introduction | Self::Office(_) => CheckName::Role,
        };
        (check as u8) < end as u8
    }
}

/// What a record says of the checks that can be made once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The one that failed, and the code of its reason.
    pub failed: Option<(CheckName, String)>,
    /// Those that did not hold and were let pass.
    pub warned: Vec<(CheckName, String)>,
    /// A check that cannot be made once more refused it.
    pub later: bool,
}

impl Recorded {
    /// What `entry` says. Nothing, where it was never judged: malformed, or no room for its record.
    #[must_use]
    pub fn of(entry: &Entry<'_>, stage: Stage) -> Option<Self> {
        if entry.checks.is_empty() {
            return None;
        }
        let named = |code: &str| CheckName::ALL.iter().copied().find(|name| name.code() == code);
        let mut recorded = Self { failed: None, warned: Vec::new(), later: false };
        for looked in &entry.checks {
            let name = named(&looked.check)?;
            let ours = stage.judges(name);
            if !looked.passed {
                let reason = entry.reason.as_deref().unwrap_or_default().to_owned();
                recorded.later = !ours;
                recorded.failed = ours.then_some((name, reason));
            } else if let (Some(reason), true) = (&looked.warning, ours) {
                recorded.warned.push((name, reason.clone().into_owned()));
            }
        }
        Some(recorded)
    }

    /// What the checks of `trail` would be recorded as.
    #[must_use]
    pub fn from_trail(trail: &Trail, stage: Stage) -> Self {
        let mut recorded = Self { failed: None, warned: Vec::new(), later: false };
        for check in trail.iter().filter(|check| stage.judges(check.name)) {
            match check.outcome {
                CheckOutcome::Passed => {}
                CheckOutcome::Warned(reason) => {
                    recorded.warned.push((check.name, reason.code().to_owned()));
                }
                CheckOutcome::Failed(reason) => {
                    recorded.failed = Some((check.name, reason.code().to_owned()));
                }
            }
        }
        recorded
    }

    /// As reports write it.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.failed {
            None => "passes up to the token".to_owned(),
            Some((check, reason)) => format!("{reason} ({})", check.code()),
        }
    }
}

/// What was asked, as the record has it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Who.
    pub identity: &'a Identity,
    /// The server name of the handshake.
    pub sni: Option<&'a str>,
    /// As sent.
    pub host: &'a str,
    /// As sent.
    pub method: &'a str,
    /// As sent, without its query.
    pub path: &'a str,
    /// What it was for.
    pub stage: Stage,
}

impl Asked<'_> {
    /// Judges it in `world` as of `at`; `trail` tells how. Whoever passes may be asked what limits
    /// would count it, where it is a call of an API.
    ///
    /// # Errors
    /// The first check that does not hold.
    pub fn judge(
        &self,
        world: &Arc<World>,
        at: Timestamp,
        trail: &mut Trail,
    ) -> Result<Option<Admitted>, Refusal> {
        let presented = Presented {
            identity: Some(self.identity),
            sni: self.sni,
            host: self.host,
            method: self.method,
            target: self.path,
            authorization: Some(TOKEN),
            attended: false,
        };
        match self.stage {
            Stage::Api => policies::admit(&presented, world, at, trail).map(Some),
            Stage::Fallback => policies::divert(&presented, world, at, trail).map(|_| None),
            Stage::Introduction => policies::introduce(&presented, world, at, trail).map(|_| None),
            Stage::Office(methods) => {
                policies::approach(&presented, world, methods, at, trail).map(|_| None)
            }
        }
    }
}
