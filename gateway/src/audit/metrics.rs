//! The series of the access log.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// From a write into memory to a disk in trouble, in seconds.
const BUCKETS: [f64; 12] =
    [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];

/// Every series of the access log but its queue and its state.
#[derive(Clone, Debug)]
pub struct AuditMetrics {
    pub(super) records: IntCounter,
    pub(super) bytes: IntCounter,
    pub(super) write: Histogram,
    pub(super) sync: Histogram,
    pub(super) lost: IntCounter,
    pub(super) unrecorded: IntCounter,
    pub(super) checkpoint: IntGauge,
    pub(super) certificates: IntCounterVec,
}

impl AuditMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// Prometheus' own, for a name registered twice.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()))
        };
        let metrics = Self {
            records: IntCounter::new(
                "octroi_audit_records_total",
                "Lines written to the access log",
            )?,
            bytes: IntCounter::new("octroi_audit_bytes_total", "Bytes written to the access log")?,
            write: histogram(
                "octroi_audit_write_duration_seconds",
                "One write of the access log to the operating system",
            )?,
            sync: histogram(
                "octroi_audit_fsync_duration_seconds",
                "How long the disk took to keep what was written, with durability = fsync",
            )?,
            lost: IntCounter::new(
                "octroi_audit_lost_records_total",
                "Records that were lost, with when_unwritable = continue-and-alarm",
            )?,
            unrecorded: IntCounter::new(
                "octroi_audit_unrecorded_requests_total",
                "Requests that were refused without a record because the log had no room",
            )?,
            checkpoint: IntGauge::new(
                "octroi_audit_last_checkpoint_timestamp_seconds",
                "When the chain of the access log was last signed",
            )?,
            certificates: IntCounterVec::new(
                Opts::new(
                    "octroi_audit_certificates_total",
                    "Client certificates seen for the first time, by what became of them",
                ),
                &["outcome"],
            )?,
        };
        registry.register(Box::new(metrics.records.clone()))?;
        registry.register(Box::new(metrics.bytes.clone()))?;
        registry.register(Box::new(metrics.write.clone()))?;
        registry.register(Box::new(metrics.sync.clone()))?;
        registry.register(Box::new(metrics.lost.clone()))?;
        registry.register(Box::new(metrics.unrecorded.clone()))?;
        registry.register(Box::new(metrics.checkpoint.clone()))?;
        registry.register(Box::new(metrics.certificates.clone()))?;
        Ok(metrics)
    }
}
