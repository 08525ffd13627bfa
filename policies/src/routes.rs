//! Hosts, codetabs, APIs and their versions: data from the configuration, compiled once into
//! tables that answer without allocating.

mod fallback;
mod host;
mod life;
mod notice;
mod table;

use std::sync::Arc;

use certs::RoleSet;
use jiff::civil::Date;

use crate::quota::Quota;
use crate::register::{ServiceCode, ServiceSet};

pub use fallback::{Fallback, FallbackWhen};
pub(crate) use host::HostMatch;
pub(crate) use host::without_port;
pub use life::{BrownOut, Life, LifeFault, LifeStage, on};
pub use notice::Notice;
pub(crate) use table::{Route, Seat};
pub use table::{Routes, RoutesError};

/// Where a TPP asks who it is taken for: the gateway's own, at every host.
pub const SELF_PATH: &str = "/tpp/self";

/// A domain under which the codetabs' hosts live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Such as `oba-bad-me-live.api.89c3.com`.
    pub name: String,
    /// The host of a codetab in it, with `{codetab}` and `{domain}`.
    pub pattern: String,
    /// The day (UTC) from which its hosts answer 410.
    pub closed: Option<Date>,
}

impl Domain {
    /// The pattern of the product that this follows.
    pub const PATTERN: &str = "www.{codetab}.{domain}";

    /// The host of `codetab`, in lower case.
    #[must_use]
    pub fn host(&self, codetab: &str) -> String {
        self.pattern
            .replace("{codetab}", codetab)
            .replace("{domain}", &self.name)
            .to_ascii_lowercase()
    }
}

/// One bank of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codetab {
    /// Five digits, `17515`.
    pub code: String,
    /// Its short name, `CEIDF`.
    pub name: String,
}

/// The methods that an API may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
}

impl Method {
    /// As it stands in a request line: methods are case-sensitive (RFC 9110 §9.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// What the body of a request must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum BodyRule {
    /// Empty.
    None,
    /// A STET PaymentCoverageRequestResource.
    FundsConfirmation,
}

/// How an amount may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum AmountForm {
    /// A decimal string (STET 1.4).
    String,
    /// A decimal string, or a JSON number (STET 1.5).
    StringOrNumber,
}

/// One API and what it takes to call it.
#[derive(Clone, Debug)]
pub struct Api {
    /// `funds-confirmations`.
    pub name: String,
    /// Its one method.
    pub method: Method,
    /// The QWAC must carry one of these.
    pub required_roles: RoleSet,
    /// The registers must list one of these; empty stands for the services of `required_roles`.
    pub required_services: Vec<ServiceCode>,
    /// The token must carry one of these.
    pub scopes: Vec<String>,
    /// Whether its requests must be signed with the caller's QSEALC.
    pub signed: bool,
    /// What its body must be.
    pub body: BodyRule,
    /// Its versions.
    pub versions: Vec<ApiVersion>,
    /// Oldest strong authentication that it accepts, in days.
    pub consent_days_max: u32,
    /// The limits on how often it may be called, and by how many at once.
    pub quotas: Vec<Arc<Quota>>,
}

impl Api {
    /// The services of which the registers must list one.
    #[must_use]
    pub fn services(&self) -> ServiceSet {
        if self.required_services.is_empty() {
            self.required_roles.iter().filter_map(ServiceCode::of_role).collect()
        } else {
            self.required_services.iter().copied().collect()
        }
    }
}

/// One version of an API and its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersion {
    /// `v1.6.2`.
    pub name: String,
    /// Raw request targets, compared exactly.
    pub paths: Vec<String>,
    /// When it begins, and how it ends.
    pub life: Life,
    /// The version that replaces it, by name.
    pub successor: Option<String>,
    /// How amounts are written in it.
    pub amount: AmountForm,
}
