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
