//! What requests are judged and served by: one consistent whole, swapped whole.

use std::sync::Arc;

use policies::World;

use super::{Fallback, Interface};
use crate::authorization::AuthorizationServer;
use crate::config::{BalanceGuardSettings, DrainSettings, Limits, ProbeSettings};
use crate::jwt::Jwts;
use crate::listen::Rules;
use crate::metrics::RequestSeries;
use crate::upstream::Upstream;

/// What a request sees from its beginning to its end, whatever is changed meanwhile.
#[derive(Clone)]
pub struct View {
    /// What requests are judged by.
    pub world: Arc<World>,
    /// How they are served; its adapters and series stand in the order of the world's routes.
    pub settings: Arc<Settings>,
}

/// All that the configuration says about serving requests, ready to be used.
pub struct Settings {
    /// The bounds of requests.
    pub limits: Limits,
    /// What a connection is held to.
    pub rules: Rules,
    /// The guard against searches for a balance, where it is on.
    pub balance_guard: Option<BalanceGuardSettings>,
    /// The authorization server, where it is ours.
    pub authorization: Option<Arc<AuthorizationServer>>,
    /// JWTs of the bank's own authorization server.
    pub jwts: Option<Arc<Jwts>>,
    /// One adapter per codetab, in the order of the routes.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Whether each codetab's interface is down, in the order of the routes.
    pub interfaces: Vec<Arc<Interface>>,
    /// The ways to the customer interfaces, where there are such.
    pub fallback: Option<Fallback>,
    /// The series of requests, in the order of the routes.
    pub series: Arc<RequestSeries>,
    /// Whether a caller is told that its token is somebody else's.
    pub explains_tokens: bool,
    /// What a problem's `type` begins with.
    pub problem_type_base: String,
    /// How the gateway leaves.
    pub drain: DrainSettings,
    /// The gateway's own probe, where it is on.
    pub probe: Option<ProbeSettings>,
}
