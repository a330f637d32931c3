//! Reads the state diagrams of docs/life-of-a-query.md, for the tests that hold them to the code.

use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../docs/life-of-a-query.md");
/// The beginning and the end.
pub const OUTSIDE: &str = "[*]";

/// The variants of an enum by their names. One that is missing in the list does not compile.
macro_rules! variants {
    ($Enum:ident: $($variant:ident $(($value:expr))?),+) => {{
        let _exhaustive = |it: $Enum| match it { $($Enum::$variant { .. } => ()),+ };
        [$((stringify!($variant), $Enum::$variant $(($value))?)),+]
    }};
}
pub(crate) use variants;

/// A transition, with one line of its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transition {
    pub from: &'static str,
    pub to: &'static str,
    pub label: &'static str,
}

/// A diagram.
pub struct Diagram {
    pub transitions: Vec<Transition>,
    /// Names that stand for a step of the code, and no state.
    pub steps: BTreeSet<&'static str>,
}

impl Diagram {
    /// The diagram under a heading of the page.
    pub fn under(heading: &str) -> Self {
        let sections = PAGE.split("\n## ");
        let mut sections = sections.filter_map(|section| section.strip_prefix(heading));
        let section = sections.next().expect("the heading");
        let block = section.split_once("```mermaid\n").expect("a diagram").1;
        let block = block.split_once("```").expect("its end").0;
        let mut diagram = Self {
            transitions: Vec::new(),
            steps: BTreeSet::new(),
        };
        for line in block.lines().map(str::trim) {
            if let Some((from, rest)) = line.split_once(" --> ") {
                let (to, labels) = rest.split_once(": ").unwrap_or((rest, ""));
                let labels = labels.split("<br>");
                let transitions = labels.map(|label| Transition { from, to, label });
                diagram.transitions.extend(transitions);
            } else if let Some((_, name)) = line.split_once("\" as ") {
                diagram.steps.insert(name);
            } else {
                let known = line == "stateDiagram-v2" || line == "}" || line.ends_with(" {");
                assert!(known, "what is this line? {line}");
            }
        }
        diagram
    }

    /// The states.
    pub fn states(&self) -> BTreeSet<&'static str> {
        let ends = self.transitions.iter().flat_map(|it| [it.from, it.to]);
        ends.filter(|end| *end != OUTSIDE && !self.steps.contains(end))
            .collect()
    }
}
