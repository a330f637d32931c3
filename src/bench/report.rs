//! How resolvers compare, for people and for programs. The JSON is described in `docs/bench.md`, and does not change without a new `format`.

use super::figures::{Outcome, Times, line_of_losses, lost_over_time};
use super::measure::Measured;
use crate::json::Json;
use crate::probe::report::{in_millis, millis, problem_json, session_json};
use crate::query::count;
use std::fmt;
use std::time::Duration;

/// The number of the JSON document's format.
const FORMAT: i64 = 1;
/// Characters of the longest bar.
const WIDTH: u128 = 40;
const HEAD: [&str; 8] = [
    "resolver",
    "by",
    "connect",
    "resumed",
    "p50",
    "p99",
    "lost",
    "over time",
];

/// How the resolvers compare.
#[derive(Debug)]
pub struct Report {
    pub(super) name: String,
    pub(super) time: Duration,
    /// For each resolver what was found by each of its protocols.
    pub(super) resolvers: Vec<Vec<Measured>>,
}

impl Report {
    /// Each resolver has answered, by one of its protocols.
    pub fn is_answered(&self) -> bool {
        let mut resolvers = self.resolvers.iter();
        resolvers.all(|all| all.iter().any(Measured::is_answered))
    }

    fn rows(&self) -> impl Iterator<Item = &Measured> {
        self.resolvers.iter().flatten()
    }

    /// One JSON document, without a line break within.
    pub fn json(&self) -> String {
        let document = Json::Object(vec![
            ("format", Json::Number(FORMAT)),
            ("name", Json::text(&self.name)),
            ("time_ms", in_millis(self.time)),
            ("answered", Json::Bool(self.is_answered())),
            ("resolvers", Json::List(self.rows().map(json).collect())),
        ]);
        format!("{document}\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = HEAD.map(str::to_owned);
        let rows: Vec<[String; 8]> = [head].into_iter().chain(self.rows().map(row)).collect();
        let widths: Vec<usize> = (0..HEAD.len())
            .map(|column| {
                rows.iter()
                    .map(|row| row[column].chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        for row in &rows {
            let mut line = String::new();
            for ((cell, width), column) in row.iter().zip(&widths).zip(0..) {
                // Words stand to the left, and figures to the right.
                let is_word = matches!(column, 0 | 1 | 7);
                let cell = if is_word {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                };
                line.push_str(&cell);
                line.push_str("  ");
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        self.write_chart(f)?;
        for it in self.rows() {
            writeln!(f, "\n{}", title(it))?;
            if let Some(features) = features(it) {
                writeln!(f, "  {features}")?;
            }
            if let Some(problem) = &it.problem {
                let advice = if problem.advice.is_empty() { "" } else { "; " };
                writeln!(f, "  problem: {}{advice}{}", problem.why, problem.advice)?;
            }
        }
        Ok(())
    }
}

impl Report {
    /// A bar for each resolver: how long half of its answers take, and how long nearly all.
    fn write_chart(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = self.rows().filter_map(|it| it.answers.percentile(99)).max();
        let Some(longest) = longest.filter(|time| !time.is_zero()) else {
            return Ok(());
        };
        let width = self
            .rows()
            .map(|it| title(it).chars().count())
            .max()
            .unwrap_or(0);
        writeln!(f, "\nanswers: half of them within #, 99 of 100 within -")?;
        for it in self.rows().filter(|it| it.is_answered()) {
            let length = |percent| {
                let time = it.answers.percentile(percent).unwrap_or_default();
                // At least one, so that it is seen.
                let length = (time.as_nanos() * WIDTH).div_ceil(longest.as_nanos());
                usize::try_from(length).unwrap_or_default()
            };
            let (half, most) = (length(50), length(99));
            let bar = "#".repeat(half) + &"-".repeat(most.saturating_sub(half));
            writeln!(f, "{:<width$}  {bar}", title(it))?;
        }
        Ok(())
    }
}

fn title(it: &Measured) -> String {
    format!("{} by {}", it.label, it.scheme)
}

fn row(it: &Measured) -> [String; 8] {
    let time = |times: &Times, percent| {
        let time = times.percentile(percent);
        time.map_or_else(|| "-".to_owned(), millis)
    };
    let sent = it.outcomes.len();
    let lost = it
        .outcomes
        .iter()
        .filter(|it| **it == Outcome::Lost)
        .count();
    let lost = if sent == 0 {
        "-".to_owned()
    } else {
        format!("{lost} of {sent}")
    };
    [
        it.label.clone(),
        it.scheme.to_owned(),
        time(&it.connects, 50),
        time(&it.resumed, 50),
        time(&it.answers, 50),
        time(&it.answers, 99),
        lost,
        line_of_losses(&it.outcomes),
    ]
}

/// What a resolver is like, in one line.
fn features(it: &Measured) -> Option<String> {
    let (found, answer) = (it.found.as_ref()?, it.found.as_ref()?.answer.as_ref()?);
    let addr = it.addr.map(|addr| addr.to_string());
    let tls = found.session.as_ref().map(|session| {
        let group = session.group.as_deref().unwrap_or("no key exchange");
        format!("TLS {} {group}", session.version)
    });
    let resumes = match resumes(it) {
        Some(true) => Some("resumes sessions"),
        Some(false) => Some("does not resume sessions"),
        None => None,
    };
    let padded = if answer.padded {
        "pads"
    } else {
        "does not pad"
    };
    let keepalive = answer.keepalive;
    let keepalive = keepalive.map(|time| format!("keepalive {} s", time.as_secs_f64()));
    let out_of_order = found.overtakes.then_some("out of order");
    let dnssec = answer.authentic.then_some("validates DNSSEC");
    let edns = (!answer.edns).then_some("no EDNS");
    let failed = it
        .outcomes
        .iter()
        .filter(|it| **it == Outcome::Failed)
        .count();
    let failed = (failed > 0).then(|| format!("{failed} responses of no use"));
    let again = (it.reconnects > 0).then(|| format!("connected anew {} times", it.reconnects));
    let own = |text: Option<&str>| text.map(str::to_owned);
    let parts = [
        addr,
        tls,
        own(resumes),
        own(Some(padded)),
        keepalive,
        own(out_of_order),
        own(dnssec),
        own(edns),
        failed,
        again,
    ];
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// Whether it resumes sessions, where there are some.
fn resumes(it: &Measured) -> Option<bool> {
    let shown = it.found.as_ref().and_then(|found| found.resumed);
    shown.or((it.resumed.len() > 0).then_some(true))
}

fn json(it: &Measured) -> Json {
    let times = |times: &Times| {
        let at = |percent| Json::maybe(times.percentile(percent), in_millis);
        Json::Object(vec![
            ("count", count(times.len())),
            ("min", at(0)),
            ("p50", at(50)),
            ("p90", at(90)),
            ("p99", at(99)),
            ("max", at(100)),
        ])
    };
    let of =
        |outcome: fn(&Outcome) -> bool| count(it.outcomes.iter().filter(|it| outcome(it)).count());
    let parts = lost_over_time(&it.outcomes).into_iter();
    let parts =
        parts.map(|(lost, sent)| Json::Object(vec![("sent", count(sent)), ("lost", count(lost))]));
    let found = it.found.as_ref();
    let answer = found.and_then(|found| found.answer.as_ref());
    let overtakes = found.and_then(|found| found.overtakes.then_some(true));
    let features = answer.map(|answer| {
        Json::Object(vec![
            (
                "tls",
                Json::maybe(found.and_then(|it| it.session.as_ref()), session_json),
            ),
            ("resumes", Json::maybe(resumes(it), Json::Bool)),
            ("edns", Json::Bool(answer.edns)),
            ("padding", Json::Bool(answer.padded)),
            (
                "keepalive_ms",
                Json::maybe(answer.keepalive, |time| {
                    Json::Number(time.as_millis() as i64)
                }),
            ),
            ("authentic_data", Json::Bool(answer.authentic)),
            // What was not seen may still be so.
            ("out_of_order", Json::maybe(overtakes, Json::Bool)),
        ])
    });
    Json::Object(vec![
        ("resolver", Json::text(&it.label)),
        ("scheme", Json::text(it.scheme)),
        (
            "address",
            Json::maybe(it.addr, |addr| Json::text(addr.to_string())),
        ),
        ("answered", Json::Bool(it.is_answered())),
        ("connect_ms", times(&it.connects)),
        ("resumed_ms", times(&it.resumed)),
        ("answer_ms", times(&it.answers)),
        ("sent", count(it.outcomes.len())),
        ("lost", of(|it| *it == Outcome::Lost)),
        ("failed", of(|it| *it == Outcome::Failed)),
        ("reconnects", count(it.reconnects)),
        ("over_time", Json::List(parts.collect())),
        ("features", features.unwrap_or(Json::Null)),
        ("problem", Json::maybe(it.problem.as_ref(), problem_json)),
    ])
}
