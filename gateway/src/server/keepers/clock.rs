//! Tells when the machine's clock was set: what expires hangs on it.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Gauge, IntCounterVec, Opts, Registry};
use tokio::time::MissedTickBehavior;

use crate::audit::Event;
use crate::clock;
use crate::drain::{Drain, Stage};
use crate::proxy::Gateway;

/// How often the wall clock and the steady clock are compared.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const BACKWARDS: &str = "backwards";
const FORWARDS: &str = "forwards";

/// Looks until the gateway closes.
///
/// # Errors
/// Prometheus' own, for a name registered twice.
pub(in crate::server) fn watch_clock(
    gateway: &Arc<Gateway>,
    drain: &Drain,
) -> Result<(), prometheus::Error> {
    let metrics = ClockMetrics::new(gateway.metrics.registry())?;
    let gateway = Arc::clone(gateway);
    let mut closing = drain.watch(Stage::Closing);
    let mut watch = clock::Watch::begin();
    tokio::spawn(async move {
        let mut turn = tokio::time::interval(LOOK_EVERY);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turn.tick() => tell(&gateway, &metrics, watch.look()),
                _ = closing.changed() => return,
            }
        }
    });
    Ok(())
}

/// The series of the machine's clock.
struct ClockMetrics {
    stepped: IntCounterVec,
    behind: Gauge,
}

impl ClockMetrics {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let stepped = IntCounterVec::new(
            Opts::new(
                "octroi_clock_stepped_total",
                "How often the wall clock was set by more than 5 s, by direction",
            ),
            &["direction"],
        )?;
        let behind = Gauge::new(
            "octroi_clock_behind_seconds",
            "How far the wall clock is behind a time that was seen before; the gateway's own goes on",
        )?;
        for direction in [BACKWARDS, FORWARDS] {
            stepped.with_label_values(&[direction]);
        }
        registry.register(Box::new(stepped.clone()))?;
        registry.register(Box::new(behind.clone()))?;
        Ok(Self { stepped, behind })
    }
}

fn tell(gateway: &Gateway, metrics: &ClockMetrics, look: clock::Look) {
    metrics.behind.set(look.behind.as_secs_f64());
    let Some(step) = look.stepped else { return };
    let direction = if step.is_negative() { BACKWARDS } else { FORWARDS };
    let seconds = step.as_secs().unsigned_abs();
    metrics.stepped.with_label_values(&[direction]).inc();
    let detail = match look.behind {
        Duration::ZERO => {
            format!("the wall clock was set {direction} by {seconds} s and is followed")
        }
        behind => format!(
            "the wall clock was set {direction} by {seconds} s; it is {} s behind the gateway's own time, \
             which goes on, so that nothing that has expired comes back. To mend: set the clock right; \
             if the earlier time is the right one, start the gateway again",
            behind.as_secs()
        ),
    };
    tracing::error!("{detail}");
    let event = "clock_stepped";
    gateway.audit.event(Event { time: clock::now(), event, subject: None, detail, by: Vec::new() });
}
