//! The two text forms in which a scraper can have the series: Prometheus' own, and OpenMetrics 1.0
//! with exemplars, which the `prometheus` crate does not write.

use std::fmt::{self, Write};

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use super::latency::{Exemplar, Exemplars};

/// How the series are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus text, version 0.0.4.
    Prometheus,
    /// OpenMetrics text, version 1.0.0.
    OpenMetrics,
}

impl Exposition {
    /// What a scraper wants that says `accept`: OpenMetrics if it names it, with a quality above zero.
    #[must_use]
    pub fn wanted(accept: &str) -> Self {
        let names = |part: &str| {
            let mut fields = part.split(';').map(str::trim);
            let refused = |field: &str| {
                field.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0))
            };
            fields.next() == Some("application/openmetrics-text") && !fields.any(refused)
        };
        if accept.split(',').any(names) { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus::TEXT_FORMAT,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    pub(super) fn write(
        self,
        families: &[MetricFamily],
        exemplars: &Exemplars,
    ) -> prometheus::Result<Vec<u8>> {
        match self {
            Self::Prometheus => {
                let mut text = Vec::new();
                TextEncoder::new().encode(families, &mut text)?;
                Ok(text)
            }
            Self::OpenMetrics => {
                let mut text = String::new();
                let written = families
                    .iter()
                    .try_for_each(|family| write_family(&mut text, family, exemplars))
                    .and_then(|()| text.write_str("# EOF\n"));
                written.map_err(|error| prometheus::Error::Msg(error.to_string()))?;
                Ok(text.into_bytes())
            }
        }
    }
}

/// OpenMetrics 1.0: a counter's family has its name without `_total`, a bound is written with a dot.
fn write_family(text: &mut String, family: &MetricFamily, exemplars: &Exemplars) -> fmt::Result {
    let kind = family.get_field_type();
    let name = family.name();
    let (base, word) = match kind {
        MetricType::COUNTER => (name.strip_suffix("_total").unwrap_or(name), "counter"),
        MetricType::GAUGE => (name, "gauge"),
        MetricType::HISTOGRAM => (name, "histogram"),
        // Nothing of ours is one of these.
        MetricType::SUMMARY | MetricType::UNTYPED => return Ok(()),
    };
    writeln!(text, "# TYPE {base} {word}")?;
    writeln!(text, "# HELP {base} {}", Escaped(family.help()))?;
    for metric in family.get_metric() {
        match kind {
            MetricType::COUNTER => {
                let value = metric.get_counter().get_value();
                writeln!(text, "{base}_total{} {value}", Labels(metric.get_label(), None))?;
            }
            MetricType::HISTOGRAM => write_histogram(text, name, metric, exemplars)?,
            _ => {
                let value = metric.get_gauge().get_value();
                writeln!(text, "{name}{} {}", Labels(metric.get_label(), None), Number(value))?;
            }
        }
    }
    Ok(())
}

fn write_histogram(
    text: &mut String,
    name: &str,
    metric: &Metric,
    exemplars: &Exemplars,
) -> fmt::Result {
    let (labels, histogram) = (metric.get_label(), metric.get_histogram());
    let finite = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let buckets = finite
        .map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()))
        .chain([(f64::INFINITY, histogram.get_sample_count())]);
    for (index, (bound, count)) in buckets.enumerate() {
        write!(text, "{name}_bucket{} {count}", Labels(labels, Some(bound)))?;
        if let Some(Exemplar { trace_id, value, at }) = exemplars.of(name, labels, index) {
            let at = at.as_millisecond();
            let (seconds, millis) = (at.div_euclid(1000), at.rem_euclid(1000));
            let trace_id = trace_id.simple();
            write!(text, " # {{trace_id=\"{trace_id}\"}} {value} {seconds}.{millis:03}")?;
        }
        text.write_char('\n')?;
    }
    let labels = Labels(labels, None);
    writeln!(text, "{name}_sum{labels} {}", Number(histogram.get_sample_sum()))?;
    writeln!(text, "{name}_count{labels} {}", histogram.get_sample_count())
}

/// The labels of a sample, with `le` last.
struct Labels<'a>(&'a [LabelPair], Option<f64>);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(labels, bound) = self;
        if labels.is_empty() && bound.is_none() {
            return Ok(());
        }
        let mut before = '{';
        for label in *labels {
            write!(f, "{before}{}=\"{}\"", label.name(), Escaped(label.value()))?;
            before = ',';
        }
        if let Some(bound) = bound {
            write!(f, "{before}le=\"{}\"", Number(*bound))?;
        }
        f.write_char('}')
    }
}

/// A label value or a help text.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' => f.write_str("\\\"")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A number as OpenMetrics wants it in `le`: never without a dot.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            // `{:?}` writes 1.0 with its dot.
            number => write!(f, "{number:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
    use uuid::Uuid;

    use super::super::latency::Latency;
    use super::*;

    #[test]
    fn openmetrics_comes_only_to_who_asks_for_it() {
        let prometheus_2_42 = "application/openmetrics-text;version=1.0.0,\
                               application/openmetrics-text;version=0.0.1;q=0.75,\
                               text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Exposition::wanted(prometheus_2_42), Exposition::OpenMetrics);
        for accept in ["", "*/*", "text/plain", "application/openmetrics-text; q=0"] {
            assert_eq!(Exposition::wanted(accept), Exposition::Prometheus, "{accept}");
        }
    }

    #[test]
    fn openmetrics_names_counters_escapes_labels_and_gives_the_trace_of_a_bucket() {
        let (registry, exemplars) = (Registry::new(), Exemplars::default());
        let counter =
            IntCounterVec::new(Opts::new("octroi_things_total", "Things \"and\"\nmore"), &["kind"])
                .unwrap();
        counter.with_label_values(&["a\"b\\c\nd"]).inc();
        let gauge = IntGauge::new("octroi_now", "Now").unwrap();
        let latency =
            Latency::new("octroi_wait_seconds", "Wait", &["part"], exemplars.clone()).unwrap();
        let trace_id = Uuid::from_u128(0xabc);
        let at = Timestamp::from_millisecond(1_700_000_000_005).unwrap();
        latency.with(&["store"]).observe(Exemplar { trace_id, value: 0.5, at });
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(gauge)).unwrap();
        registry.register(latency.collector()).unwrap();
        let text = Exposition::OpenMetrics.write(&registry.gather(), &exemplars).unwrap();
        let text = String::from_utf8(text).unwrap();
        let expected = [
            "# TYPE octroi_things counter\n# HELP octroi_things Things \\\"and\\\"\\nmore\n\
             octroi_things_total{kind=\"a\\\"b\\\\c\\nd\"} 1\n",
            "# TYPE octroi_now gauge\n# HELP octroi_now Now\noctroi_now 0.0\n",
            "octroi_wait_seconds_bucket{part=\"store\",le=\"0.25\"} 0\n",
            "octroi_wait_seconds_bucket{part=\"store\",le=\"0.5\"} 1 # \
             {trace_id=\"00000000000000000000000000000abc\"} 0.5 1700000000.005\n",
            "octroi_wait_seconds_bucket{part=\"store\",le=\"1.0\"} 1\n",
            "octroi_wait_seconds_bucket{part=\"store\",le=\"+Inf\"} 1\n\
             octroi_wait_seconds_sum{part=\"store\"} 0.5\n\
             octroi_wait_seconds_count{part=\"store\"} 1\n# EOF\n",
        ];
        for part in expected {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }
}
