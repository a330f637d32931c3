//! The table of metrics: what each is called, what it means, and where its values come from.
//!
//! Labels have few values, which the configuration and this table bound; names that clients ask for are in none.

mod program;
mod upstreams;

use super::totals::Totals;

/// What a value may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only rises, until the program starts again.
    Counter,
    /// It rises and falls.
    Gauge,
}

/// A metric.
pub struct Family {
    /// As in the output, without the `_total` of a counter.
    pub name: &'static str,
    pub kind: Kind,
    /// For people, without the stop at its end.
    pub help: &'static str,
    /// Its values, at this time in seconds of the Unix epoch.
    pub samples: fn(&Totals, f64) -> Vec<Sample>,
}

/// A value, and which of several it is.
pub struct Sample {
    pub labels: Vec<(&'static str, String)>,
    pub value: Value,
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Count(u64),
    Number(f64),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Count(u64::from(is))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

/// All of them, in the order of the output.
pub fn all() -> impl Iterator<Item = &'static Family> {
    program::FAMILIES.iter().chain(upstreams::FAMILIES)
}

const fn counter(
    name: &'static str,
    help: &'static str,
    samples: fn(&Totals, f64) -> Vec<Sample>,
) -> Family {
    Family {
        name,
        kind: Kind::Counter,
        help,
        samples,
    }
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    samples: fn(&Totals, f64) -> Vec<Sample>,
) -> Family {
    Family {
        name,
        kind: Kind::Gauge,
        help,
        samples,
    }
}

/// The only value of a metric.
fn one(value: impl Into<Value>) -> Vec<Sample> {
    vec![Sample {
        labels: Vec::new(),
        value: value.into(),
    }]
}

/// The values of a metric by one label.
fn by<const N: usize>(label: &'static str, values: [(&str, impl Into<Value>); N]) -> Vec<Sample> {
    let sample = |(name, value): (&str, _)| Sample {
        labels: vec![(label, name.to_owned())],
        value: Into::into(value),
    };
    values.map(sample).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a counter by its name and the value of its only label, or none.
    fn value(totals: &Totals, name: &str, label: &str) -> Value {
        let family = all().find(|family| family.name == name).unwrap();
        let samples = (family.samples)(totals, 0.0);
        let is_it = |sample: &&Sample| {
            let mut values = sample.labels.iter().map(|(_, value)| value.as_str());
            values.next().unwrap_or_default() == label
        };
        samples.iter().find(is_it).unwrap().value
    }

    #[test]
    fn what_takes_long_or_another_network_to_count_has_its_place() {
        let mut totals = Totals::default();
        let stats = &mut totals.stats;
        (stats.shed_per_client, stats.unsent, stats.failed_ending) = (1, 2, 3);
        (stats.prefetches, stats.hedges, stats.probes) = (4, 5, 6);
        (stats.renewed, stats.retired, stats.rerouted) = (7, 8, 9);
        for (name, label, count) in [
            ("dotward_limit_hits", "in_flight_per_client", 1),
            ("dotward_limit_hits", "udp_send", 2),
            ("dotward_failures", "ending", 3),
            ("dotward_extra_queries", "prefetch", 4),
            ("dotward_extra_queries", "hedge", 5),
            ("dotward_extra_queries", "probe", 6),
            ("dotward_renewed_connects", "", 7),
            ("dotward_retired_connections", "", 8),
            ("dotward_rerouted_connections", "", 9),
        ] {
            assert_eq!(
                value(&totals, name, label),
                Value::Count(count),
                "{name} {label}"
            );
        }
    }

    #[test]
    fn names_are_those_that_the_format_allows_and_none_is_double() {
        let mut names = std::collections::BTreeSet::new();
        for family in all() {
            assert!(family.name.starts_with("dotward_"), "{}", family.name);
            let is_good = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(family.name.chars().all(is_good), "{}", family.name);
            // The crate adds the one to names and the other to texts.
            assert!(!family.name.ends_with("_total"), "{}", family.name);
            assert!(!family.help.ends_with('.'), "{}", family.help);
            assert!(names.insert(family.name), "{}", family.name);
        }
    }
}
