//! Histograms that remember, for each bucket, the trace of one request that fell into it (OpenMetrics
//! exemplars): from a slow bucket on a dashboard it is one step to a request that was slow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use prometheus::proto::LabelPair;
use prometheus::{Histogram, HistogramOpts, HistogramVec};
use uuid::Uuid;

/// Upper bounds in seconds: from a gateway's own share to the total time that an adapter may take.
pub(super) const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// One request that fell into a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exemplar {
    pub(super) trace_id: Uuid,
    /// Seconds.
    pub(super) value: f64,
    pub(super) at: Timestamp,
}

/// The last request of each bucket of one histogram.
#[derive(Debug)]
struct Last([Mutex<Option<Exemplar>>; BUCKETS.len() + 1]);

/// Every remembered request, by the series that it belongs to.
#[derive(Clone, Debug, Default)]
pub(super) struct Exemplars(Arc<Mutex<HashMap<String, Arc<Last>>>>);

/// Histograms of one name.
#[derive(Clone)]
pub(super) struct Latency {
    family: HistogramVec,
    name: &'static str,
    labels: &'static [&'static str],
    exemplars: Exemplars,
}

/// One of them, looked up once and then only counted.
pub(super) struct Timed {
    histogram: Histogram,
    last: Arc<Last>,
}

impl Exemplars {
    /// What was remembered of a bucket; buckets are counted from the lowest, `+Inf` last.
    pub(super) fn of(&self, family: &str, labels: &[LabelPair], bucket: usize) -> Option<Exemplar> {
        let pairs = labels.iter().map(|pair| (pair.name(), pair.value()));
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = Arc::clone(last.get(&key(family, pairs))?);
        *last.0.get(bucket)?.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A series by its name and labels, which stand in the order in which they are gathered.
fn key<'a>(family: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut labels: Vec<(&str, &str)> = labels.collect();
    labels.sort_unstable();
    let mut key = family.to_owned();
    for (name, value) in labels {
        for part in [name, value] {
            key.push('\0');
            key.push_str(part);
        }
    }
    key
}

impl Latency {
    pub(super) fn new(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        exemplars: Exemplars,
    ) -> prometheus::Result<Self> {
        let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        Ok(Self { family: HistogramVec::new(options, labels)?, name, labels, exemplars })
    }

    pub(super) fn collector(&self) -> Box<HistogramVec> {
        Box::new(self.family.clone())
    }

    /// The histogram with these values of the labels.
    pub(super) fn with(&self, values: &[&str]) -> Timed {
        let key = key(self.name, self.labels.iter().copied().zip(values.iter().copied()));
        let mut known = self.exemplars.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = known
            .entry(key)
            .or_insert_with(|| Arc::new(Last(std::array::from_fn(|_| Mutex::new(None)))));
        Timed { histogram: self.family.with_label_values(values), last: Arc::clone(last) }
    }
}

impl Latency {
    /// Ends the series with these values of the labels.
    pub(super) fn remove(&self, values: &[&str]) {
        let key = key(self.name, self.labels.iter().copied().zip(values.iter().copied()));
        self.exemplars.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let _ = self.family.remove_label_values(values);
    }
}

impl Timed {
    /// Counts one request. Nobody is waited for: where the bucket's last request is just being read,
    /// that one stays.
    pub(super) fn observe(&self, exemplar: Exemplar) {
        self.histogram.observe(exemplar.value);
        let bucket = BUCKETS.partition_point(|bound| *bound < exemplar.value);
        if let Some(Ok(mut last)) = self.last.0.get(bucket).map(Mutex::try_lock) {
            *last = Some(exemplar);
        }
    }
}
