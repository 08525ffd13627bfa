//! How many machines a load needs: what was measured of one gateway and one Redis, an owner's
//! figures, and a simulation of the parts that arithmetic alone gets wrong: queues, the crowd that
//! comes back after a machine is lost, a Redis that fails over, and TPPs of very different size.
//!
//! The same question and seed always have the same answer.

pub mod costs;
pub mod gateways;
pub mod outage;
pub mod question;
pub mod queue;
pub mod redis;
pub mod tables;

#[cfg(test)]
mod tests;

use serde::Serialize;

use self::costs::Costs;
use self::gateways::Fleet;
use self::outage::Outage;
use self::question::Question;
use self::redis::Masters;

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The gateways; none where no number of them is enough.
    pub fleet: Option<Fleet>,
    /// What Redis has to do and hold for so many gateways; none where it was not measured.
    pub redis: Option<Masters>,
    /// What a failover of Redis does to the TPPs.
    pub outage: Option<Outage>,
}

impl Plan {
    /// Answers a question.
    #[must_use]
    pub fn of(question: &Question, costs: &Costs) -> Self {
        let fleet = Fleet::for_peak(question, costs);
        let gateways = fleet.as_ref().map(|fleet| fleet.machines);
        Self {
            redis: gateways
                .zip(costs.redis.as_ref())
                .map(|(gateways, redis)| Masters::of(question, redis, gateways)),
            outage: gateways.map(|gateways| Outage::simulated(question, gateways)),
            fleet,
        }
    }
}
