//! How many connections there is room for: at the start, and when a configuration wants more.

use crate::config::{Config, Problem, UpstreamAddress};
use crate::descriptors::{Ground, Room, Scarce, TooFew, Wanted};
use crate::listen::Crowd;

/// PSU connections at once.
pub(super) const PSU_CONNECTIONS_MAX: usize = 4096;

/// The room that was made at the start, and who is in it.
#[derive(Clone)]
pub(super) struct Capacity {
    ground: Ground,
    /// TPP connections.
    pub(super) tpp: Crowd,
    /// Browsers' connections.
    pub(super) psu: Crowd,
}

impl Capacity {
    /// Makes room for what `config` wants, as far as there is any, and says so where that is not enough.
    /// To be asked when all but the connections is open.
    ///
    /// # Errors
    /// There is none to speak of.
    pub(super) fn make(config: &Config) -> Result<Self, TooFew> {
        let ground = Ground::now();
        let room = wanted(config).make_room(ground)?;
        if let Some(why) = room.scarce {
            tracing::warn!(
                connections = room.tpp,
                browsers = room.psu,
                "fewer connections are accepted than limits.connections_max: {why}"
            );
        }
        Ok(Self { ground, tpp: Crowd::of(room.tpp), psu: Crowd::of(room.psu) })
    }

    /// Makes room for more connections, where `new` wants more than `old`; a problem where there is no room
    /// for all of them. A process that starts accepts what it can; here nobody would notice that the new
    /// bound is not the one that counts.
    pub(super) fn widen(&self, old: &Config, new: &Config) -> Option<Problem> {
        let most = new.limits.connections_max;
        if most <= old.limits.connections_max {
            return None;
        }
        let (fits, why, mend) = match wanted(new).make_room(self.ground) {
            Ok(Room { tpp, scarce: None, .. }) => {
                self.tpp.holds(tpp);
                return None;
            }
            Ok(Room { tpp, scarce: Some(why @ Scarce::Memory), .. }) => {
                (tpp, why.to_string(), "restart the gateway with more memory")
            }
            Ok(Room { tpp, scarce: Some(why @ Scarce::Descriptors { .. }), .. }) => {
                (tpp, why.to_string(), "restart the gateway under a higher limit")
            }
            Err(few) => (0, few.to_string(), "restart the gateway under a higher limit"),
        };
        Some(Problem {
            file: new.file.clone(),
            line: None,
            column: None,
            key: "limits.connections_max".to_owned(),
            what: format!("there is room for {fits} connections, not for {most}: {why}"),
            mend: format!("{mend}, or ask for {fits}"),
        })
    }
}

/// Descriptors that the connections of `config` need, beside those that the process has open itself.
#[must_use]
pub fn descriptors(config: &Config) -> usize {
    wanted(config).descriptors()
}

/// The connections that there should be room for. A TPP's needs one to the adapter, whose other end is ours
/// too where the sandbox plays the bank.
fn wanted(config: &Config) -> Wanted {
    let sandbox = |codetab: &crate::config::CodetabSettings| {
        matches!(codetab.upstream.address, UpstreamAddress::SandboxBank)
    };
    let each = if config.codetabs.iter().any(sandbox) { 3 } else { 2 };
    Wanted { tpp: config.limits.connections_max, each, psu: PSU_CONNECTIONS_MAX }
}
