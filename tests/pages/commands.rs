//! The commands as their help describes them, for manual pages and completions.

use super::{ALL_RUNTIMES, help};
use dotward::config::{Policy, providers::PROVIDERS};

/// A row of a section: an option, a word or a command, and what is said of it.
#[derive(Clone, Debug)]
pub struct Row {
    pub term: String,
    pub about: String,
}

/// Lines of the help below a title.
#[derive(Clone, Debug, Default)]
pub struct Section {
    pub title: String,
    pub lines: Vec<String>,
}

impl Section {
    /// Its rows, and the lines that belong to none.
    pub fn rows(&self) -> (Vec<Row>, Vec<String>) {
        let (mut rows, mut others) = (Vec::<Row>::new(), Vec::new());
        for line in &self.lines {
            let indent = line.len() - line.trim_start().len();
            let text = line.trim();
            match (indent, rows.last_mut()) {
                (2, _) => {
                    let (term, about) = match text.split_once("  ") {
                        Some((term, about)) => (term, about.trim()),
                        // The longest terms have one space behind them, or the line for themselves.
                        None if text.starts_with("--") => {
                            text.split_once(' ').unwrap_or((text, ""))
                        }
                        None => (text, ""),
                    };
                    rows.push(Row {
                        term: term.to_owned(),
                        about: about.to_owned(),
                    });
                }
                (20, Some(row)) => {
                    format!("{} {text}", row.about)
                        .trim()
                        .clone_into(&mut row.about);
                }
                _ if text.is_empty() => {}
                _ => others.push(text.to_owned()),
            }
        }
        (rows, others)
    }
}

/// One command and its help.
#[derive(Clone, Debug)]
pub struct Page {
    /// None is the program itself.
    pub command: Option<String>,
    /// What stands behind the name.
    pub usage: String,
    /// What it does, in one sentence.
    pub about: String,
    /// Paragraphs behind that.
    pub paragraphs: Vec<String>,
    pub sections: Vec<Section>,
}

impl Page {
    fn read(command: Option<&str>) -> Self {
        let words: Vec<&str> = command.into_iter().chain(["--help"]).collect();
        let text = help(&words);
        let (usage, rest) = text.split_once("\n\n").expect("a usage");
        let usage = usage.strip_prefix("Usage: dotward ").expect("a usage");
        let usage = match command {
            Some(command) => usage.strip_prefix(command).expect("the command"),
            None => usage,
        };
        let usage = usage.trim_start();
        let (about, rest) = rest.split_once("\n\n").unwrap_or((rest, ""));
        let (mut paragraphs, mut sections) = (Vec::<String>::new(), Vec::<Section>::new());
        let mut is_in_section = false;
        for line in rest.lines() {
            let is_title = !line.starts_with(' ')
                && line.ends_with(':')
                && line.chars().next().is_some_and(char::is_uppercase);
            if is_title {
                let title = line.trim_end_matches(':').to_owned();
                let lines = Vec::new();
                sections.push(Section { title, lines });
                is_in_section = true;
            } else if is_in_section {
                let section = sections.last_mut().expect("a section");
                section.lines.push(line.to_owned());
            } else if line.is_empty() {
                paragraphs.push(String::new());
            } else {
                if paragraphs.is_empty() {
                    paragraphs.push(String::new());
                }
                let last = paragraphs.last_mut().expect("a paragraph");
                if !last.is_empty() {
                    last.push(' ');
                }
                last.push_str(line);
            }
        }
        paragraphs.retain(|paragraph| !paragraph.is_empty());
        Self {
            command: command.map(str::to_owned),
            usage: usage.to_owned(),
            about: about.replace('\n', " "),
            paragraphs,
            sections,
        }
    }

    pub fn section(&self, title: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.title == title)
    }

    /// All its options, in the order of the help.
    pub fn options(&self) -> Vec<Row> {
        // Prose may begin a line with an option, too.
        let prose = ["Notes", "Examples", "Error codes"];
        let sections = self.sections.iter();
        let with_options = sections.filter(|section| !prose.contains(&section.title.as_str()));
        let rows = with_options.flat_map(|section| section.rows().0);
        rows.filter(|row| row.term.starts_with('-')).collect()
    }
}

/// The program, and then each command in the order of its help.
pub fn pages() -> Vec<Page> {
    let program = Page::read(None);
    let commands = program.section("Commands").expect("commands").rows().0;
    let pages = commands.iter().map(|row| Page::read(Some(&row.term)));
    [program.clone()].into_iter().chain(pages).collect()
}

/// What may stand behind an option, or as a word of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing: it is a switch.
    None,
    File,
    Folder,
    /// One of these, or, if others may stand there as well, something else.
    Choice(Vec<String>),
    Any,
}

fn choice(words: &[&str]) -> Value {
    Value::Choice(words.iter().map(|word| (*word).to_owned()).collect())
}

fn providers() -> Value {
    choice(&PROVIDERS.iter().map(|it| it.name).collect::<Vec<_>>())
}

fn formats() -> Value {
    choice(&[
        "stubby",
        "unbound",
        "systemd-resolved",
        "dnscrypt-proxy",
        "dnsdist",
        "coredns",
        "blocky",
        "cloudflared",
    ])
}

/// What an option takes: by its name where there are words to choose from, and else by the first word of its description.
pub fn value_of(row: &Row) -> Value {
    match row.term.as_str() {
        "--upstream" | "--server" => providers(),
        "--policy" => choice(
            &Policy::ASKS
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>(),
        ),
        "--runtime" => choice(&ALL_RUNTIMES),
        "--log" => choice(&["off", "error", "warn", "info", "debug"]),
        "--log-format" => choice(&["text", "json"]),
        "--query-log-clients" => choice(&["none", "prefix", "full"]),
        "--ecs" => choice(&["keep", "strip", "forbid"]),
        "--captive" => choice(&["off"]),
        "--protocol" => choice(&["tls", "https"]),
        "--alpn" => choice(&["dot", "doq", "h2", "h3"]),
        "--from" => formats(),
        "--directory" => Value::Folder,
        // It is a path within a URI.
        "--dohpath" => Value::Any,
        _ => {
            let first = row.about.split([' ', '[', ';']).next().unwrap_or_default();
            let is_value = first.len() > 1 && first.chars().all(|c| c.is_ascii_uppercase());
            match first {
                "FILE" | "PEM" | "PATH" => Value::File,
                _ if is_value => Value::Any,
                _ => Value::None,
            }
        }
    }
}

/// The words that a command takes beside options.
pub fn words_of(command: &str) -> Value {
    match command {
        "check" | "config" | "resolv-conf" | "dnr" => choice(&["udp", "tcp", "serve"]),
        "bench" => providers(),
        "log-level" => choice(&["off", "error", "warn", "info", "debug"]),
        "trace" => choice(&["on", "off"]),
        "import" => Value::File,
        "query" | "explain" | "flush" => Value::Any,
        _ => Value::None,
    }
}
