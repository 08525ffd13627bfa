//! The Grafana dashboards, defined once: `deploy/grafana/*.json` are made from here
//! (`OCTROI_BLESS=1 cargo test -p octroi-tests --test dashboards`).

mod codetab;
mod dependencies;
mod model;
mod overview;
mod panels;
mod tpp;

pub use model::{Dashboard, Kind, Panel, Query, Row, Variable};

/// Reasons of status 5xx: what counts against the goal. A test holds it to the table of reasons.
pub const ERRORS: &str = "internal_fault|register_stale|revocation_unknown|state_unavailable|\
                          upstream_busy|upstream_timeout|upstream_unavailable";

/// Every dashboard.
pub fn all() -> Vec<Dashboard> {
    vec![overview::dashboard(), codetab::dashboard(), tpp::dashboard(), dependencies::dashboard()]
}
