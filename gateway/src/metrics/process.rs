//! What the process itself uses: the series that every Prometheus client gives of a process, and those of
//! the tokio runtime.

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge, IntGaugeVec, Opts, Registry};
use tokio::runtime::Handle;

/// Registers them. Outside a runtime there is none to tell of.
pub(super) fn register(registry: &Registry) -> prometheus::Result<()> {
    registry.register(Box::new(ProcessCollector::for_self()))?;
    if let Ok(runtime) = Handle::try_current() {
        registry.register(Box::new(Runtime::new(runtime)?))?;
    }
    let build = IntGaugeVec::new(
        Opts::new(
            "octroi_build_info",
            "Always 1; the version of this program, and its TLS library",
        ),
        &["version", "tls"],
    )?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION"), openssl::version::version()]).set(1);
    registry.register(Box::new(build))
}

/// The worker threads and what waits for them, read when it is asked for.
struct Runtime {
    runtime: Handle,
    workers: IntGauge,
    busy: Counter,
    tasks: IntGauge,
    queued: IntGauge,
}

impl Runtime {
    fn new(runtime: Handle) -> prometheus::Result<Self> {
        Ok(Self {
            runtime,
            workers: IntGauge::new("octroi_runtime_workers", "Worker threads")?,
            busy: Counter::new(
                "octroi_runtime_busy_seconds_total",
                "Time in which worker threads were at work, all together",
            )?,
            tasks: IntGauge::new("octroi_runtime_tasks", "Tasks that are alive")?,
            queued: IntGauge::new(
                "octroi_runtime_queued_tasks",
                "Tasks in the global queue that wait for a worker thread",
            )?,
        })
    }
}

impl Collector for Runtime {
    fn desc(&self) -> Vec<&Desc> {
        let mut all = self.workers.desc();
        all.extend(self.busy.desc());
        all.extend(self.tasks.desc());
        all.extend(self.queued.desc());
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metrics = self.runtime.metrics();
        let workers = metrics.num_workers();
        let busy: f64 = (0..workers)
            .map(|worker| metrics.worker_total_busy_duration(worker).as_secs_f64())
            .sum();
        let more = busy - self.busy.get();
        if more > 0.0 {
            self.busy.inc_by(more);
        }
        let gauge = |gauge: &IntGauge, value| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge(&self.workers, workers);
        gauge(&self.tasks, metrics.num_alive_tasks());
        gauge(&self.queued, metrics.global_queue_depth());
        let mut families = self.workers.collect();
        families.extend(self.busy.collect());
        families.extend(self.tasks.collect());
        families.extend(self.queued.collect());
        families
    }
}
