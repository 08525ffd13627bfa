//! How many descriptors the process may open, and how many connections fit beside what it needs itself:
//! by descriptors, and by memory where that is bounded.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::memory;

/// Kept for the log, the store, registers, questions to others, and the admin listener: a connection is
/// refused before one of these finds no descriptor.
const RESERVED: usize = 48;
/// Of what is left, one part in so many is for browsers.
const PSU_PART: usize = 4;
/// With fewer TPP connections than this there is no gateway to speak of.
const TPP_CONNECTIONS_MIN: usize = 8;

/// What the operating system grants is too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "RLIMIT_NOFILE is {limit}, and {open} descriptors are open before the first connection: too few are \
     left. To mend: raise it to {wanted} (systemd: LimitNOFILE={wanted}; containers: --ulimit \
     nofile={wanted})"
)]
pub struct TooFew {
    limit: usize,
    open: usize,
    wanted: usize,
}

/// What is wanted at most.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Wanted {
    /// TPP connections.
    pub tpp: usize,
    /// Descriptors that one of them needs, the connection to the adapter included.
    pub each: usize,
    /// Browsers' connections.
    pub psu: usize,
}

/// How many connections there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Room {
    /// TPP connections.
    pub tpp: usize,
    /// Browsers' connections.
    pub psu: usize,
    /// Why there are fewer TPP connections than wanted.
    pub scarce: Option<Scarce>,
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(clippy::exhaustive_enums)]
pub enum Scarce {
    /// What may be opened.
    #[error("RLIMIT_NOFILE is too low with {limit}: raise it to {wanted}")]
    Descriptors {
        /// The limit, as far as it could be raised.
        limit: usize,
        /// The one that would do.
        wanted: usize,
    },
    /// Room for what connections bring.
    #[error("the control group has too little memory: give it more")]
    Memory,
}

/// What a process has before its first connection, and what is left beside it.
#[derive(Clone, Copy, Debug)]
pub struct Ground {
    /// Descriptors that are open.
    open: usize,
    /// Connections that the memory is good for, where it is bounded.
    fits: Option<usize>,
}

impl Ground {
    /// The process as it is now. To be asked when all but the connections is open.
    #[must_use]
    pub fn now() -> Self {
        Self { open: open_now(), fits: memory::connections() }
    }
}

impl Wanted {
    /// Makes room for what is wanted: raises the soft limit as far as the hard one allows, and tells how
    /// many connections fit.
    ///
    /// # Errors
    /// The limit is too low to serve anybody.
    pub fn make_room(self, Ground { open, fits }: Ground) -> Result<Room, TooFew> {
        let wanted = open + RESERVED + self.tpp.saturating_mul(self.each) + self.psu;
        let limit = raise(wanted);
        let mut room = self.within(limit, open).ok_or(TooFew { limit, open, wanted })?;
        if room.tpp < self.tpp {
            room.scarce = Some(Scarce::Descriptors { limit, wanted });
        }
        if let Some(fits) = fits.filter(|fits| *fits < room.tpp) {
            room.tpp = fits.max(TPP_CONNECTIONS_MIN);
            room.psu = room.psu.min((fits / PSU_PART).max(TPP_CONNECTIONS_MIN));
            room.scarce = Some(Scarce::Memory);
        }
        Ok(room)
    }

    /// Descriptors without which some of the TPP connections are not accepted, beside those that the
    /// process has open itself.
    #[must_use]
    pub fn descriptors(self) -> usize {
        let tpp = self.tpp.saturating_mul(self.each);
        // Browsers get one part of what is left, unless that is more than they want.
        RESERVED
            .saturating_add(tpp)
            .saturating_add(self.psu.min(tpp.saturating_sub(1) / (PSU_PART - 1)))
    }

    fn within(self, limit: usize, open: usize) -> Option<Room> {
        let free = limit.checked_sub(open + RESERVED)?;
        let psu = self.psu.min(free / PSU_PART);
        let tpp = self.tpp.min((free - psu) / self.each.max(1));
        (tpp >= TPP_CONNECTIONS_MIN.min(self.tpp)).then_some(Room { tpp, psu, scarce: None })
    }
}

/// The soft limit, after it was raised to `wanted` where the hard one allows it.
fn raise(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let number = |limit: Option<u64>| {
        limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
    };
    let (soft, hard) = (number(current), number(maximum));
    let raised = wanted.min(hard);
    if raised <= soft {
        return soft;
    }
    let asked = Rlimit { current: u64::try_from(raised).ok(), maximum };
    match setrlimit(Resource::Nofile, asked) {
        Ok(()) => raised,
        Err(error) => {
            tracing::warn!(%error, "the soft limit RLIMIT_NOFILE cannot be raised");
            soft
        }
    }
}

/// Where the kernel does not tell, what a gateway of many banks has open.
fn open_now() -> usize {
    fs::read_dir("/proc/self/fd").map_or(128, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { tpp: 4096, each: 2, psu: 4096 };
    const ALL: Room = Room { tpp: 4096, psu: 4096, scarce: None };

    #[test]
    fn what_is_wanted_fits_where_there_is_enough() {
        assert_eq!(WANTED.within(20_000, 60), Some(ALL));
    }

    #[test]
    fn a_low_limit_leaves_the_reserve_alone() {
        let room = WANTED.within(256, 60).unwrap();
        assert!(room.tpp >= TPP_CONNECTIONS_MIN, "{room:?}");
        assert!(room.tpp * WANTED.each + room.psu + RESERVED + 60 <= 256, "{room:?}");
    }

    #[test]
    fn a_limit_that_serves_nobody_is_refused_with_the_one_that_would_do() {
        assert_eq!(WANTED.within(64, 60), None);
        assert_eq!(WANTED.within(120, 60), None);
        let told = TooFew { limit: 64, open: 60, wanted: 12_348 }.to_string();
        assert!(told.contains("LimitNOFILE=12348"), "{told}");
    }

    #[test]
    fn as_many_descriptors_as_it_names_hold_every_tpp_and_one_fewer_does_not() {
        for wanted in [WANTED, Wanted { tpp: 20_000, ..WANTED }, Wanted { tpp: 9, ..WANTED }] {
            let least = 60 + wanted.descriptors();
            let tpp = |limit| wanted.within(limit, 60).map_or(0, |room| room.tpp);
            assert_eq!(tpp(least), wanted.tpp);
            assert!(tpp(least - 1) < wanted.tpp, "{wanted:?}");
        }
    }

    #[test]
    fn too_little_memory_is_told_with_what_it_is_good_for() {
        let few = WANTED.make_room(Ground { open: 1, fits: Some(20) });
        let few = few.map(|room| (room.tpp, room.psu, room.scarce));
        assert_eq!(few, Ok((20, 8, Some(Scarce::Memory))));
    }

    #[test]
    fn what_is_open_is_counted() {
        assert!(open_now() > 2);
    }
}
