//! What is written of the metrics, and made of them, agrees with what the program serves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::Stand;
use crate::support::checks::canary;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(path).expect("a file")
}

/// Values of labels, by metric and label.
type Labels = BTreeMap<(String, String), BTreeSet<String>>;

/// What a program serves that has answered a query.
struct Served {
    /// Metrics with their types, as the page names them.
    types: BTreeMap<String, String>,
    /// Names of series, with the endings of histograms.
    series: BTreeSet<String>,
    labels: Labels,
}

impl Served {
    fn new() -> Self {
        let stand = Stand::new(|upstream| upstream, &[]);
        canary(stand.address(), "a.test");
        let text = stand.get("/metrics").body;
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let types = types.map(|line| {
            let (name, kind) = line.split_once(' ').expect("a type");
            let ending = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            (format!("{name}{ending}"), kind.to_owned())
        });
        let types = types.collect();
        let (mut series, mut labels) = (BTreeSet::new(), Labels::new());
        for one in stand.metrics().into_keys() {
            let (name, rest) = one.split_once('{').unwrap_or((&one, ""));
            series.insert(name.to_owned());
            for (label, value) in pairs(rest) {
                let of = labels.entry((name.to_owned(), label)).or_default();
                of.insert(value);
            }
        }
        Self {
            types,
            series,
            labels,
        }
    }

    /// Asserts that each metric and each label of an expression of `PromQL` is there.
    fn assert_has(&self, expression: &str) -> usize {
        let mut found = 0;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for (at, _) in expression.match_indices("dotward_") {
            let rest = &expression[at..];
            let name = rest.split(|c| !is_name(c)).next().unwrap_or_default();
            assert!(
                self.series.contains(name),
                "{name} is not there: {expression}"
            );
            found += 1;
            let Some(selector) = rest[name.len()..].strip_prefix('{') else {
                continue;
            };
            for (label, value) in pairs(selector) {
                let key = (name.to_owned(), label);
                if key.1 != "instance" {
                    let known = self.labels.get(&key);
                    assert!(
                        known.is_some_and(|known| known.contains(&value)),
                        "{key:?} {value}"
                    );
                }
            }
        }
        found
    }
}

/// Labels with their values, up to the bracket at the end.
fn pairs(text: &str) -> Vec<(String, String)> {
    let text = text.split('}').next().unwrap_or_default();
    let pairs = text
        .split("\",")
        .filter_map(|pair| pair.split_once("=\"").or(pair.split_once("=~\"")));
    let clean = |(label, value): (&str, &str)| {
        (
            label.trim_matches([',', ' ']).to_owned(),
            value.trim_end_matches('"').to_owned(),
        )
    };
    pairs.map(clean).collect()
}

/// The spans of code in a cell of a table.
fn spans(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_page_and_the_program_have_the_same_metrics() {
    let served = Served::new();
    let page = read("docs/metrics.md");
    let (_, section) = page.split_once("\n## The metrics").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let (mut types, mut documented) = (BTreeMap::new(), BTreeSet::new());
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, unit, meaning] = cells[..] else {
            panic!("{row}");
        };
        let name = spans(name).remove(0);
        assert!(!meaning.is_empty(), "{name} has a meaning");
        assert!(!unit.is_empty() || kind == "info", "{name} has a unit");
        types.insert(name.clone(), kind.to_owned());
        // Behind a colon are the values of the last label. Others have values that no table holds.
        let (labels, values) = labels.split_once(": ").unwrap_or((labels, ""));
        let labels = spans(labels);
        for label in &labels {
            let series = if label == "le" {
                format!("{name}_bucket")
            } else {
                name.clone()
            };
            let known = served.labels.get(&(series, label.clone()));
            let known = known.unwrap_or_else(|| panic!("{name} has no label {label}"));
            // Codes that did not come yet are not there.
            if Some(label) == labels.last() && !values.is_empty() && label != "rcode" {
                let written: BTreeSet<String> = spans(values).into_iter().collect();
                assert_eq!(&written, known, "{name}: {label}");
            }
        }
        documented.extend(labels.into_iter().map(|label| (name.clone(), label)));
    }
    assert_eq!(types, served.types);
    for (name, label) in served.labels.into_keys() {
        let name = name.trim_end_matches("_bucket").to_owned();
        assert!(
            documented.contains(&(name.clone(), label.clone())),
            "{name}: {label}"
        );
    }
}

#[test]
fn alerts_use_what_there_is() {
    let served = Served::new();
    let rules = read("deploy/prometheus/rules.yaml");
    let count = |start: &str| {
        rules
            .lines()
            .filter(|line| line.trim_start().starts_with(start))
            .count()
    };
    assert!(count("- alert: ") > 5);
    for needed in ["expr: ", "severity: ", "summary: "] {
        assert_eq!(count("- alert: "), count(needed), "{needed}");
    }
    let lines = rules
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let found: usize = lines.map(|line| served.assert_has(line)).sum();
    assert!(found >= count("- alert: "), "{found}");
}

#[test]
fn the_dashboard_uses_what_there_is() {
    let served = Served::new();
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("deploy/grafana/dotward.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "each has a number");
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty());
        for target in targets {
            let expression = target["expr"].as_str().expect("an expression");
            assert!(served.assert_has(expression) > 0, "{expression}");
        }
    }
    assert!(panels.len() > 10);
    for variable in dashboard["templating"]["list"]
        .as_array()
        .expect("variables")
    {
        let query = variable["query"].as_str().expect("a query");
        served.assert_has(query);
    }
}

#[test]
fn kubernetes_asks_the_pages_for_health() {
    let stand = Stand::new(|upstream| upstream, &[]);
    canary(stand.address(), "a.test");
    let manifest = read("deploy/kubernetes/dotward.yaml");
    for (probe, path) in [("readinessProbe:", "/readyz"), ("livenessProbe:", "/livez")] {
        let (_, behind) = manifest.split_once(probe).expect("the probe");
        let behind: String = behind.lines().take(8).collect::<Vec<_>>().join("\n");
        assert!(behind.contains(&format!("path: {path}\n")), "{behind}");
        assert_eq!(stand.get(path).status, 200);
    }
    let named = manifest
        .lines()
        .filter(|line| line.contains("name: DOTWARD_ADMIN"));
    assert_eq!(named.count(), 1);
}
