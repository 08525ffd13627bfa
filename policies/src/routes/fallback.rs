//! The fallback of RTS (EU) 2018/389 art. 33(4): which banks have one, and what of their customer
//! interface it opens.

use std::sync::Arc;

use certs::RoleSet;

use super::RoutesError;
use super::table::exact;
use crate::quota::Quota;
use crate::register::{ServiceCode, ServiceSet};

/// When the customer interface is open to identified TPPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum FallbackWhen {
    /// At any time.
    Always,
    /// While the bank's dedicated interface does not serve.
    Down,
}

/// The way to the customer interfaces.
#[derive(Clone, Debug)]
pub struct Fallback {
    /// When it is open.
    pub when: FallbackWhen,
    /// The codes of the banks that have it.
    pub codetabs: Vec<String>,
    /// Paths of the customer interface: each opens itself and all below it, `/` everything.
    pub paths: Vec<String>,
    /// The methods that pass.
    pub methods: Vec<&'static str>,
    /// The QWAC must carry one of these.
    pub required_roles: RoleSet,
    /// The limits of its own.
    pub quotas: Vec<Arc<Quota>>,
}

impl Fallback {
    /// Under what limits that count each API apart count its calls, and the name that no API may have.
    pub const NAME: &str = "fallback";

    /// Whether the bank with this code has it.
    #[must_use]
    pub fn serves(&self, codetab: &str) -> bool {
        self.codetabs.iter().any(|code| code == codetab)
    }

    /// The path of its own that opens what `target` asks for; a query does not matter.
    #[must_use]
    pub fn prefix(&self, target: &str) -> Option<&str> {
        let path = target.split('?').next().unwrap_or_default();
        let opens = |prefix: &&String| match path.strip_prefix(prefix.as_str()) {
            Some(rest) => rest.is_empty() || rest.starts_with('/') || *prefix == "/",
            None => false,
        };
        self.paths.iter().find(opens).map(String::as_str)
    }

    /// The services of which the registers must list one for a caller in these roles.
    #[must_use]
    pub fn services(roles: RoleSet) -> ServiceSet {
        roles.iter().filter_map(ServiceCode::of_role).collect()
    }

    /// Whether nothing in it would leave a gate open.
    pub(super) fn judge(&self) -> Result<(), RoutesError> {
        let name = || Self::NAME.to_owned();
        if self.required_roles.is_empty() {
            return Err(RoutesError::NoRole(name()));
        }
        let mut roles = self.required_roles.iter();
        if !roles.all(|role| ServiceCode::of_role(role).is_some()) {
            return Err(RoutesError::NoService(name()));
        }
        for (what, empty) in [
            ("path of the fallback", self.paths.is_empty()),
            ("method of the fallback", self.methods.is_empty()),
            ("limit of the fallback", self.quotas.is_empty()),
            ("codetab with a fallback", self.codetabs.is_empty()),
        ] {
            if empty {
                return Err(RoutesError::Nothing(what));
            }
        }
        self.paths.iter().filter(|path| *path != "/").try_for_each(|path| exact(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(prefix: &str, target: &str) -> bool {
        let fallback = Fallback {
            when: FallbackWhen::Always,
            codetabs: Vec::new(),
            paths: vec![prefix.to_owned()],
            methods: Vec::new(),
            required_roles: RoleSet::EMPTY,
            quotas: Vec::new(),
        };
        fallback.prefix(target) == Some(prefix)
    }

    #[test]
    fn a_path_opens_itself_and_what_lies_below_it_and_no_name_that_only_begins_alike() {
        for target in ["/accounts", "/accounts/", "/accounts/1?page=2", "/accounts?x=/y"] {
            assert!(opens("/accounts", target), "{target}");
        }
        for target in
            ["/", "/account", "/accounts-of-others", "/Accounts", "/x/accounts", "/?/accounts"]
        {
            assert!(!opens("/accounts", target), "{target}");
        }
        assert!(opens("/", "/") && opens("/", "/anything/at?all"));
    }
}
