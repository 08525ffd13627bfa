//! Whether more was admitted than a quota grants, whichever stretch of time one looks at.

use std::time::{Duration, Instant};

use crate::load::Told;

/// So many requests in a second, and as many at once.
#[derive(Clone, Copy)]
pub struct Quota(pub u32);

impl Quota {
    /// Puts it in the place of the sandbox's.
    pub fn set(self, config: &mut toml::Table) {
        let quota = toml::Table::from_iter([
            ("requests".to_owned(), self.0.into()),
            ("period".to_owned(), "1s".into()),
            ("burst".to_owned(), self.0.into()),
        ]);
        config["quota"].as_table_mut().unwrap().insert("sandbox".to_owned(), quota.into());
    }

    /// The same, of which gateways take some in advance.
    pub fn set_leased(self, config: &mut toml::Table, lease: &str) {
        self.set(config);
        config["quota"]["sandbox"].as_table_mut().unwrap().insert("lease".to_owned(), lease.into());
    }

    /// How many requests it may grant within that time: the burst, and what flows back meanwhile.
    pub fn grants(self, time: Duration) -> f64 {
        let cell = (1e6 / f64::from(self.0)).ceil() / 1e6;
        f64::from(self.0) + (time.as_secs_f64() / cell).floor()
    }

    /// By how many the admitted exceed it in the worst stretch of time. Each stretch runs from when
    /// its first request was asked to when its last was answered, so the decisions lie within.
    pub fn exceeded_by(self, told: &[Told]) -> f64 {
        let mut admitted: Vec<(Instant, Instant)> = told
            .iter()
            .filter(|told| told.status() == 200)
            .map(|told| (told.asked, told.asked + told.took))
            .collect();
        admitted.sort_by_key(|(_, answered)| *answered);
        let mut worst = 0.0_f64;
        for first in 0..admitted.len() {
            let mut earliest = admitted[first].0;
            for (count, (asked, answered)) in admitted[first..].iter().enumerate() {
                earliest = earliest.min(*asked);
                worst = worst.max((count + 1) as f64 - self.grants(*answered - earliest));
            }
        }
        worst
    }
}
