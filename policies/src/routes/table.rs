//! The compiled routes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::host::{self, HostMatch, Hosts};
use super::{Api, ApiVersion, Codetab, Domain, Fallback, LifeFault, Notice, SELF_PATH};

/// The routes cannot be what the configuration says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoutesError {
    /// Nothing could be reached.
    #[error("there is no {0}; configure at least one")]
    Nothing(&'static str),
    /// Two of one name.
    #[error("{what} \"{name}\" stands twice; each must be one")]
    Duplicate {
        /// A codetab, host, path, api or version.
        what: &'static str,
        /// Which.
        name: String,
    },
    /// An API that anyone with a certificate could call.
    #[error("api \"{0}\" requires no role; name at least one in required_roles")]
    NoRole(String),
    /// An API that any TPP of any kind could call.
    #[error(
        "api \"{0}\" requires no service of the registers, and its roles imply none; name at least one in required_services"
    )]
    NoService(String),
    /// An API that any token could call.
    #[error("api \"{0}\" requires no scope; name at least one in scopes")]
    NoScope(String),
    /// A successor that is no version of the same API.
    #[error(
        "api \"{api}\", version \"{version}\": there is no version \"{successor}\" to succeed it"
    )]
    Successor {
        /// The API.
        api: String,
        /// The version.
        version: String,
        /// What it names.
        successor: String,
    },
    /// A life that cannot be lived.
    #[error("api \"{api}\", version \"{version}\": {fault}")]
    Life {
        /// The API.
        api: String,
        /// The version.
        version: String,
        /// Why.
        fault: LifeFault,
    },
    /// A path that the framing gate would never let through.
    #[error(
        "path \"{0}\" is not an exact origin-form path; begin it with / and leave out query, %, // and dots"
    )]
    Path(String),
    /// A path at which the gateway itself answers.
    #[error("path \"{0}\" is the gateway's own; give the API another")]
    Reserved(String),
}

/// A codetab and its place in the configuration.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) index: usize,
    pub(crate) codetab: Codetab,
}

/// One version of an API.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) api: Arc<Api>,
    pub(crate) version: ApiVersion,
    /// What its answers say about its end.
    pub(crate) notice: Notice,
    /// The version's place among all versions of all APIs.
    pub(crate) number: usize,
}

/// All hosts, codetabs, APIs and versions.
#[derive(Debug)]
pub struct Routes {
    hosts: Hosts,
    codetabs: Vec<Arc<Seat>>,
    apis: Vec<Arc<Api>>,
    all: Vec<Arc<Route>>,
    paths: HashMap<Box<str>, Arc<Route>>,
    fallback: Option<Arc<Fallback>>,
}

impl Routes {
    /// Compiles the routes.
    ///
    /// # Errors
    /// What would be ambiguous or open.
    pub fn build(
        domains: &[Domain],
        codetabs: Vec<Codetab>,
        apis: Vec<Api>,
    ) -> Result<Self, RoutesError> {
        for (what, empty) in [
            ("domain", domains.is_empty()),
            ("codetab", codetabs.is_empty()),
            ("api", apis.is_empty()),
        ] {
            if empty {
                return Err(RoutesError::Nothing(what));
            }
        }
        unique("codetab", codetabs.iter().map(|codetab| &codetab.code))?;
        unique("api", apis.iter().map(|api| &api.name))?;
        let codetabs = codetabs.into_iter().enumerate();
        let codetabs: Vec<_> =
            codetabs.map(|(index, codetab)| Arc::new(Seat { index, codetab })).collect();
        let apis: Vec<_> = apis.into_iter().map(Arc::new).collect();
        let hosts = Hosts::build(domains, &codetabs)
            .map_err(|name| RoutesError::Duplicate { what: "host", name })?;
        let (all, paths) = paths(&apis)?;
        Ok(Self { hosts, codetabs, apis, all, paths, fallback: None })
    }

    /// The same routes with a way to the customer interfaces, or without one.
    ///
    /// # Errors
    /// It would be open to more than identified TPPs, or lead nowhere.
    pub fn with_fallback(self, fallback: Option<Fallback>) -> Result<Self, RoutesError> {
        if let Some(fallback) = &fallback {
            fallback.judge()?;
            if self.apis().any(|api| api.name == Fallback::NAME) {
                let name = Fallback::NAME.to_owned();
                return Err(RoutesError::Duplicate { what: "api", name });
            }
        }
        Ok(Self { fallback: fallback.map(Arc::new), ..self })
    }

    /// The way to the customer interfaces, where there is one.
    #[must_use]
    pub fn fallback(&self) -> Option<&Arc<Fallback>> {
        self.fallback.as_ref()
    }

    /// The codetabs, in the order of the configuration.
    #[must_use]
    pub fn codetabs(&self) -> impl ExactSizeIterator<Item = &Codetab> {
        self.codetabs.iter().map(|seat| &seat.codetab)
    }

    /// The APIs, in the order of the configuration.
    #[must_use]
    pub fn apis(&self) -> impl ExactSizeIterator<Item = &Api> {
        self.apis.iter().map(Arc::as_ref)
    }

    /// Every version of every API; the place in this order is the version's number.
    pub fn versions(&self) -> impl Iterator<Item = (&Api, &ApiVersion)> {
        self.apis().flat_map(|api| api.versions.iter().map(move |version| (api, version)))
    }

    /// What the answers of the version with this number say about its end.
    #[must_use]
    pub fn notice(&self, number: usize) -> Option<&Notice> {
        self.all.get(number).map(|route| &route.notice)
    }

    /// Every version of every API, in that order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.all.iter()
    }

    /// What `host` (a port is ignored) is at `now`.
    #[must_use]
    pub(crate) fn host(&self, host: &str, now: Timestamp) -> HostMatch<'_> {
        self.hosts.find(host::without_port(host), now)
    }

    /// Where a request would land, whatever its right to: codetab and version number, for metrics
    /// and records.
    #[must_use]
    pub fn locate(&self, host: &str, target: &str) -> (Option<usize>, Option<usize>) {
        let route = self.route(target).map(|route| route.number);
        (self.hosts.codetab(host::without_port(host)), route)
    }

    /// The version at exactly this raw target.
    pub(crate) fn route(&self, target: &str) -> Option<&Arc<Route>> {
        self.paths.get(target)
    }
}

fn unique<'a>(
    what: &'static str,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), RoutesError> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(RoutesError::Duplicate { what, name: name.clone() });
        }
    }
    Ok(())
}

type Compiled = (Vec<Arc<Route>>, HashMap<Box<str>, Arc<Route>>);

fn paths(apis: &[Arc<Api>]) -> Result<Compiled, RoutesError> {
    let (mut all, mut paths) = (Vec::new(), HashMap::new());
    for api in apis {
        guarded(api)?;
        unique("version", api.versions.iter().map(|version| &version.name))?;
        for version in &api.versions {
            succeeded(api, version)?;
            lived(api, version)?;
            let version = version.clone();
            let (number, notice) = (all.len(), Notice::of(api, &version));
            let route = Arc::new(Route { api: api.clone(), version, notice, number });
            all.push(route.clone());
            for path in &route.version.paths {
                exact(path)?;
                if path == SELF_PATH {
                    return Err(RoutesError::Reserved(path.clone()));
                }
                if paths.insert(path.clone().into_boxed_str(), route.clone()).is_some() {
                    return Err(RoutesError::Duplicate { what: "path", name: path.clone() });
                }
            }
        }
    }
    if paths.is_empty() { Err(RoutesError::Nothing("path")) } else { Ok((all, paths)) }
}

fn guarded(api: &Api) -> Result<(), RoutesError> {
    let name = || api.name.clone();
    if api.required_roles.is_empty() {
        return Err(RoutesError::NoRole(name()));
    }
    if api.services().is_empty() {
        return Err(RoutesError::NoService(name()));
    }
    if api.scopes.is_empty() {
        return Err(RoutesError::NoScope(name()));
    }
    Ok(())
}

fn succeeded(api: &Api, version: &ApiVersion) -> Result<(), RoutesError> {
    match &version.successor {
        Some(successor) if !api.versions.iter().any(|other| other.name == *successor) => {
            Err(RoutesError::Successor {
                api: api.name.clone(),
                version: version.name.clone(),
                successor: successor.clone(),
            })
        }
        _ => Ok(()),
    }
}

fn lived(api: &Api, version: &ApiVersion) -> Result<(), RoutesError> {
    let named = |name: &String| api.versions.iter().find(|other| other.name == *name);
    let successor = version.successor.as_ref().and_then(named);
    match version.life.faults(successor.map(|next| &next.life)).into_iter().next() {
        None => Ok(()),
        Some(fault) => {
            let (api, version) = (api.name.clone(), version.name.clone());
            Err(RoutesError::Life { api, version, fault })
        }
    }
}

pub(super) fn exact(path: &str) -> Result<(), RoutesError> {
    let plain = path.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~')
    });
    let mut segments = path.split('/');
    let rooted = segments.next() == Some("") && path.len() > 1;
    let unambiguous = segments.all(|segment| !matches!(segment, "" | "." | ".."));
    if plain && rooted && unambiguous { Ok(()) } else { Err(RoutesError::Path(path.to_owned())) }
}
