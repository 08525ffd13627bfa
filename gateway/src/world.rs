//! From the bytes that the configuration names to the world that requests are judged by.

mod chronicle;
mod kept;
mod past;
mod published_seals;

use std::path::Path;
use std::sync::Arc;

use certs::{AnchorError, Anchors, CrlError, Revocations, Use};
use jiff::{SignedDuration, Timestamp};
use policies::register::{KeptAs, Overrides, Snapshot};
use policies::{Register, Routes, RoutesError, Seals, World, WorldError, WorldParts};
use thiserror::Error;

use crate::archive::{Archive, ArchiveError};
use crate::clock;
use crate::config::{Config, Problem, Trust, borrowed};
use crate::register as registers;
use crate::register::{Directory, DirectoryError, Downloads, ImportError, Parts};
use crate::trust::Store;

pub use chronicle::{Chronicle, Pen};
pub use kept::{Kept, Path as CertifiedPath};
pub use past::{IN_FORCE, Line, Objects, Past, PastError, Pruned, Recalled, WORLDS, prune};
pub use published_seals::PublishedSeals;

/// Why no world can be made: nothing is served without one.
#[derive(Debug, Error)]
pub enum WorldLoadError {
    /// Whom to believe.
    #[error("trust.anchors: {0}")]
    Anchors(#[from] AnchorError),
    /// The trusted lists.
    #[error("trust.lists: {0}")]
    Lists(#[from] ArchiveError),
    /// What they revoked.
    #[error("trust.crls: {0}")]
    Crls(#[from] CrlError),
    /// Hosts, codetabs, APIs.
    #[error("{0}")]
    Routes(#[from] RoutesError),
    /// Who is authorised.
    #[error("register: {0}")]
    Register(#[from] ImportError),
    /// Its directory.
    #[error("register.directory: {0}")]
    Directory(#[from] DirectoryError),
    /// The parts do not fit together.
    #[error("{0}")]
    World(#[from] WorldError),
}

impl WorldLoadError {
    /// As `octroi check` tells it, among the other problems of `file`.
    pub fn problem(&self, file: &Path) -> Problem {
        let (key, mend) = match self {
            Self::Anchors(_) | Self::World(WorldError::NoAnchors) => {
                ("trust.anchors", "give a PEM file with the certificates of issuing QTSPs")
            }
            Self::Lists(_) => ("trust.lists", "import the lists anew with `octroi trust import`"),
            Self::Crls(_) => ("trust.crls", "give the current CRL of an anchor, unchanged"),
            Self::Routes(RoutesError::NoRole(_)) => {
                ("api.required_roles", "name at least one role, for example \"PSP_IC\"")
            }
            Self::Routes(RoutesError::NoService(_)) => {
                ("api.required_services", "name at least one service, for example \"PS_05A\"")
            }
            Self::Routes(RoutesError::NoScope(_)) => {
                ("api.scopes", "name at least one scope, for example \"cbpii\"")
            }
            Self::Routes(_) => ("api", "make each host, path and name unique"),
            Self::Register(_) => ("register", "give the files as their authority published them"),
            Self::Directory(_) => (
                "register.directory",
                "see the message; `octroi register list --all` shows what is there",
            ),
            Self::World(_) => ("trust", "see the message"),
        };
        Problem {
            file: file.to_owned(),
            line: None,
            column: None,
            key: key.to_owned(),
            what: self.to_string(),
            mend: mend.to_owned(),
        }
    }
}

/// Reads everything that `config` names into one world.
///
/// # Errors
/// The first part that cannot be read or would leave the gate open.
pub fn load(config: &Config) -> Result<Arc<World>, WorldLoadError> {
    load_at(config, None)
}

/// The same with the registers as they were at `at`.
///
/// # Errors
/// As [`load`]; nothing was in force then.
pub fn load_at(config: &Config, at: Option<Timestamp>) -> Result<Arc<World>, WorldLoadError> {
    let (anchors, revocations) = trust(config)?;
    Ok(Arc::new(World::build(WorldParts {
        routes: routes(config)?,
        register: Arc::new(register(config, at)?),
        seals: seals(config, &seal_anchors(config)?),
        anchors: Arc::new(anchors),
        revocations,
        profile: config.trust.profile,
        revocation_unchecked: config.insecure.revocation_unchecked,
        observed: config.insecure.observed,
        generation: first_generation(),
    })?))
}

/// Hosts, codetabs and APIs.
///
/// # Errors
/// They do not fit together.
pub fn routes(config: &Config) -> Result<Routes, RoutesError> {
    let codetabs = config.codetabs.iter().map(|codetab| codetab.codetab.clone()).collect();
    let fallback = config.fallback.as_ref().map(|settings| settings.policy.clone());
    Routes::build(&config.domains, codetabs, config.apis.clone())?.with_fallback(fallback)
}

/// Whom we believe, and what is known of what they revoked.
///
/// # Errors
/// A part cannot be read, or nobody would be believed.
pub fn trust(config: &Config) -> Result<(Anchors, Revocations), WorldLoadError> {
    let anchors = anchors(config, Use::Web)?;
    if anchors.is_empty() {
        return Err(WorldError::NoAnchors.into());
    }
    let mut revocations = Revocations::from_crls(&borrowed(&config.trust.crls), &anchors)?;
    if let Some(settings) = &config.trust.revocation {
        let grace = SignedDuration::try_from(settings.tolerated_for).unwrap_or_default();
        revocations = revocations.tolerating(grace);
        let kept = Kept::new(&settings.directory);
        kept.load(&anchors, &mut revocations, clock::now());
    }
    Ok((anchors, revocations))
}

/// Two processes do not begin in the same microsecond, so that a number names one world of all.
fn first_generation() -> u64 {
    u64::try_from(clock::now().as_microsecond()).unwrap_or_default()
}

/// Everybody who is believed to issue certificates for `wanted`.
fn anchors(config: &Config, wanted: Use) -> Result<Anchors, WorldLoadError> {
    let mut anchors = other_anchors(&config.trust)?;
    if let Some(lists) = &config.trust.lists {
        match Store::new(&lists.directory).current() {
            Ok((_, snapshot)) => {
                snapshot.add_anchors(&mut anchors, wanted, clock::now());
            }
            // What is imported later is taken in then; PEM anchors may do until then.
            Err(ArchiveError::Nothing(..)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(anchors)
}

/// Who is believed to issue QSEALCs.
///
/// # Errors
/// As [`load`].
pub fn seal_anchors(config: &Config) -> Result<Anchors, WorldLoadError> {
    anchors(config, Use::Seals)
}

fn seals(config: &Config, anchors: &Anchors) -> Seals {
    let Some(settings) = &config.signature else { return Seals::default() };
    let mut seals = settings.seals.clone();
    if let Some(fetch) = &settings.fetch {
        let kept = PublishedSeals::new(&fetch.directory);
        seals.extend(fetch.urls.iter().filter_map(|url| kept.get(url)));
    }
    let explains = config.listen.tpp.refusal.explains();
    Seals::judge(seals, anchors, settings.policy.clone(), explains, clock::now())
}

/// The anchors that are not of trusted lists, with the CAs that complete paths.
///
/// # Errors
/// A file that holds none.
pub fn other_anchors(trust: &Trust) -> Result<Anchors, AnchorError> {
    let mut anchors = Anchors::from_pem(&borrowed(&trust.anchors))?;
    anchors.add_intermediates(&borrowed(&trust.intermediates))?;
    Ok(anchors)
}

/// The registers as the gateway takes them at its start, or as they were at `at`.
///
/// # Errors
/// They cannot be read, or nothing was in force then.
pub fn register(config: &Config, at: Option<Timestamp>) -> Result<Register, WorldLoadError> {
    let settings = &config.register;
    let Some(path) = &settings.directory else {
        let parts = Parts::of(settings, |_| None)?;
        let snapshot = registers::build(&parts, &mut |_| {}, &|_| {})?;
        let kept = KeptAs { snapshot: name_of(&snapshot)?, override_lines: 0 };
        return Ok(Register::of(&snapshot, Overrides::default(), settings.policy)
            .map_err(ImportError::from)?
            .kept_as(kept));
    };
    let directory = Directory::new(path);
    let (name, snapshot) = match (at, directory.archive().current()) {
        (Some(at), _) => directory.at(at)?,
        (None, Ok(current)) => current,
        // The first start: what the files hold goes live without a gate, there is nothing to lose.
        (None, Err(ArchiveError::Nothing(..))) => {
            let downloads = Downloads::below(path);
            let parts = Parts::of(settings, |url| downloads.find(url))?;
            let snapshot = registers::build(&parts, &mut |_| {}, &|_| {})?;
            (name_of(&snapshot)?, snapshot)
        }
        (None, Err(error)) => return Err(DirectoryError::from(error).into()),
    };
    Ok(directory.register((name, &snapshot), usize::MAX, settings.policy)?)
}

/// What an archive calls `snapshot`.
fn name_of(snapshot: &Snapshot) -> Result<String, WorldLoadError> {
    Ok(Archive::name_of(snapshot).map_err(DirectoryError::from)?)
}

/// Whether the register files that `config` names can be read, also where an older snapshot of them
/// is in force.
///
/// # Errors
/// One is no register.
pub fn register_files(config: &Config) -> Result<(), WorldLoadError> {
    let settings = &config.register;
    let Some(path) = &settings.directory else { return Ok(()) };
    let downloads = Downloads::below(path);
    match Parts::of(settings, |url| downloads.find(url)) {
        // What was never fetched cannot be wrong.
        Err(ImportError::NotFetched(_)) => Ok(()),
        parts => Ok(registers::build(&parts?, &mut |_| {}, &|_| {}).map(|_| ())?),
    }
}
