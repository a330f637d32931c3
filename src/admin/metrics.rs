//! The metrics as `OpenMetrics` has them on the wire (`openmetrics-text` 1.0.0), by the crate of the Prometheus project.

use super::about::About;
use super::families::{Family, Kind, Sample, Value, all};
use super::totals::Totals;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The text of all metrics.
pub fn text(totals: &Totals, about: &About) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Measured {
        totals: totals.clone(),
        runtime: about.runtime.clone(),
        started: seconds(about.started),
        now: seconds(SystemTime::now()),
    }));
    let mut text = String::new();
    // Writing to a string does not fail, and no number here is larger than the format allows.
    let _infallible = encode(&mut text, &registry);
    text
}

/// Seconds of the Unix epoch.
fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// What was measured for one response.
#[derive(Debug)]
struct Measured {
    totals: Totals,
    runtime: String,
    started: f64,
    now: f64,
}

impl Collector for Measured {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        self.encode_program(&mut encoder)?;
        for family in all() {
            encode_family(
                family,
                &(family.samples)(&self.totals, self.now),
                &mut encoder,
            )?;
        }
        self.encode_times(&mut encoder)
    }
}

impl Measured {
    /// What the program is, and since when it runs.
    fn encode_program(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let about = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("runtime", &*self.runtime),
        ];
        let help = "The version of the program, and the runtime that it runs on";
        encoder
            .encode_descriptor("dotward_build", help, None, MetricType::Info)?
            .encode_info(&about)?;
        let help = "When the program started, in seconds of the Unix epoch";
        encoder
            .encode_descriptor("process_start_time_seconds", help, None, MetricType::Gauge)?
            .encode_gauge(&self.started)
    }

    fn encode_times(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let times = &self.totals.times;
        let bound = |bound: Option<Duration>| bound.map_or(f64::INFINITY, |it| it.as_secs_f64());
        let buckets: Vec<(f64, u64)> = times
            .buckets()
            .map(|(limit, count)| (bound(limit), count))
            .collect();
        let help = "Seconds from the first query to its response, for queries that were forwarded";
        encoder
            .encode_descriptor("dotward_answer_seconds", help, None, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(
                times.sum().as_secs_f64(),
                times.count(),
                &buckets,
                None,
            )
    }
}

fn encode_family(
    family: &Family,
    samples: &[Sample],
    encoder: &mut DescriptorEncoder,
) -> Result<(), fmt::Error> {
    let kind = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
    };
    let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
    for Sample { labels, value } in samples {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let mut one = metric.encode_family(&labels)?;
        match (&family.kind, value) {
            (Kind::Counter, Value::Count(count)) => {
                one.encode_counter::<NoLabelSet, _, f64>(count, None)?;
            }
            (Kind::Counter, Value::Number(number)) => {
                one.encode_counter::<NoLabelSet, _, f64>(number, None)?;
            }
            (Kind::Gauge, Value::Count(count)) => one.encode_gauge(count)?,
            (Kind::Gauge, Value::Number(number)) => one.encode_gauge(number)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::totals::Upstream;
    use super::*;
    use std::time::Instant;

    #[test]
    fn labels_are_escaped_and_the_text_has_its_end() {
        let about = About {
            runtime: "none".to_owned(),
            started: UNIX_EPOCH + Duration::from_secs(7),
            since: Instant::now(),
        };
        let mut totals = Totals::default();
        totals.upstreams.push(Upstream::default());
        totals.upstreams[0].label = "a\\b\"c\nd".to_owned();
        let text = text(&totals, &about);
        let line = "dotward_upstream_queries_total{upstream=\"a\\\\b\\\"c\\nd\"} 0\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("process_start_time_seconds 7.0\n"), "{text}");
        assert!(text.contains("dotward_answer_seconds_bucket{le=\"+Inf\"} 0\n"));
        assert!(text.ends_with("# EOF\n"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(
                line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(),
                "{line}"
            );
        }
    }
}
