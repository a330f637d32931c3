//! The arguments of the process, prepared for argh, which supports neither `--option=value` nor `--switch=false`, and suggests nothing for a
//! misspelt word.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::known::{Kind, Known};
use super::origin::option;
use super::typed::{Shape, Typed};
use super::{Probe, UsageError, dnr, queries};
use crate::config::words::closest;
use crate::config::{ConfigError, Domain, Modes};

/// The commands that serve clients.
const SERVING: [(&str, Modes); 3] = [
    ("udp", Modes::Udp),
    ("tcp", Modes::Tcp),
    ("serve", Modes::UdpAndTcp),
];
/// The commands that tell what those would do. The name of one of them may follow.
const TELLING: [&str; 4] = ["check", "config", "resolv-conf", dnr::SHAPE.command];
/// The commands that have options of their own beside settings.
const SHAPES: [&Shape; 4] = [
    &dnr::SHAPE,
    &queries::QUERY,
    &queries::BENCH,
    &queries::PROVE,
];
const COMMANDS: [&str; 21] = [
    "udp",
    "tcp",
    "serve",
    "check",
    "config",
    "resolv-conf",
    "certificate",
    "import",
    dnr::SHAPE.command,
    queries::QUERY.command,
    queries::BENCH.command,
    queries::PROVE.command,
    "providers",
    "status",
    "explain",
    "why",
    "flush",
    "reload",
    "log-level",
    "trace",
    "help",
];
/// The commands that have options of their own, and no settings.
const OWN: [&str; 9] = [
    "certificate",
    "import",
    "status",
    "explain",
    "why",
    "flush",
    "reload",
    "log-level",
    "trace",
];
const HELP: [&str; 3] = ["-h", "--help", "help"];
/// Options that may precede a command.
const GLOBAL: [&str; 4] = ["-h", "--help", "-V", "--version"];

/// The command that can also contact upstreams, and its options for that, which are no settings.
const PROBING: &str = "check";
const PROBE: &str = "--probe";
const PROBE_NAME: &str = "--probe-name";
const JSON: &str = "--json";

/// The arguments for argh.
#[derive(Debug, Default)]
pub(super) struct Argv {
    pub(super) arguments: Vec<String>,
    /// What clients are to speak, where the command does not say so.
    pub(super) modes: Option<Modes>,
    /// How upstreams are to be probed, if they are.
    pub(super) probe: Option<Probe>,
    /// What was typed of the command's own options, and its words.
    pub(super) typed: Typed,
    seen: BTreeSet<&'static str>,
}

impl Argv {
    /// An error names the first word that is not known.
    pub(super) fn read(
        arguments: impl IntoIterator<Item = OsString>,
        known: &[Known],
    ) -> Result<Self, UsageError> {
        let mut words = Self::default();
        let arguments: Vec<String> = arguments.into_iter().map(text).collect::<Result<_, _>>()?;
        let mut rest = arguments.into_iter();
        let Some(command) = words.read_command(&mut rest, known)? else {
            return Ok(words);
        };
        let telling = TELLING.contains(&command.as_str());
        let shape = SHAPES.into_iter().find(|shape| shape.command == command);
        let takes_options = telling || shape.is_some() || modes_of(&command).is_some();
        let mut rest = rest.peekable();
        if telling && let Some(modes) = rest.peek().and_then(|word| modes_of(word)) {
            words.modes = Some(modes);
            rest.next();
        }
        let mut probing = Probing::default();
        while let Some(word) = rest.next() {
            if command == PROBING && probing.read(&word, &mut rest)? {
                continue;
            }
            if let Some(shape) = shape
                && words.typed.read(shape, &word, &mut rest)?
            {
                continue;
            }
            if OWN.contains(&command.as_str()) {
                words.read_own(&word);
            } else if takes_options {
                words.read_option(word, &mut rest, &command, known)?;
            } else if HELP.contains(&word.as_str())
                || command == "help" && COMMANDS.contains(&word.as_str())
            {
                words.arguments.push(word);
            } else {
                return Err(UsageError(format!(
                    "dotward {command} takes no argument {word:?}; see dotward --help"
                )));
            }
        }
        words.probe = probing.probe()?;
        Ok(words)
    }

    fn read_command(
        &mut self,
        rest: &mut impl Iterator<Item = String>,
        known: &[Known],
    ) -> Result<Option<String>, UsageError> {
        for word in rest {
            if COMMANDS.contains(&word.as_str()) {
                self.arguments.push(word.clone());
                return Ok(Some(word));
            }
            if !GLOBAL.contains(&word.as_str()) {
                return Err(no_command(&word, known));
            }
            self.arguments.push(word);
        }
        Ok(None)
    }

    /// An option that argh knows, perhaps with its value.
    fn read_own(&mut self, word: &str) {
        match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                self.arguments.extend([name.to_owned(), value.to_owned()]);
            }
            _ => self.arguments.push(word.to_owned()),
        }
    }

    fn read_option(
        &mut self,
        word: String,
        rest: &mut impl Iterator<Item = String>,
        command: &str,
        known: &[Known],
    ) -> Result<(), UsageError> {
        if HELP.contains(&word.as_str()) {
            self.arguments.push(word);
            return Ok(());
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let Some(known) = known.iter().find(|known| option(known.name) == name) else {
            return Err(no_option(&word, name, command, known));
        };
        if !self.seen.insert(known.name) && !known.kind.repeats() {
            return Err(UsageError(format!("{name} is given twice")));
        }
        let value = value.or_else(|| match known.kind {
            Kind::Switch => Some("true".to_owned()),
            // The next word is the value, even if it looks like an option. If there is none, argh reports it.
            _ => rest.next(),
        });
        self.arguments.push(name.to_owned());
        self.arguments.extend(value);
        Ok(())
    }
}

/// What was read of the options for probing.
#[derive(Default)]
struct Probing {
    on: bool,
    json: bool,
    name: Option<Domain>,
}

impl Probing {
    /// Reads an option, and its value; `false` if it is none for probing.
    fn read(
        &mut self,
        word: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<bool, UsageError> {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (word, None),
        };
        let is_repeated = match option {
            PROBE => std::mem::replace(&mut self.on, true),
            JSON => std::mem::replace(&mut self.json, true),
            PROBE_NAME => {
                let name = value.or_else(|| rest.next());
                let name = name
                    .ok_or_else(|| UsageError(format!("{PROBE_NAME} needs a NAME to look up")))?;
                let domain = name.parse().map_err(|error: ConfigError| {
                    UsageError(format!("{PROBE_NAME} {name:?}: {}", error.reason))
                })?;
                self.name.replace(domain).is_some()
            }
            _ => return Ok(false),
        };
        if is_repeated {
            return Err(UsageError(format!("{option} is given twice")));
        }
        if option != PROBE_NAME && word != option {
            return Err(UsageError(format!("{option} takes no value")));
        }
        Ok(true)
    }

    /// An error says that an option is of no use.
    fn probe(self) -> Result<Option<Probe>, UsageError> {
        let needless = match (self.on, self.json, &self.name) {
            (false, true, _) => JSON,
            (false, _, Some(_)) => PROBE_NAME,
            _ => {
                let Self { on, json, name } = self;
                return Ok(on.then_some(Probe { json, name }));
            }
        };
        Err(UsageError(format!(
            "{needless} needs {PROBE}: dotward {PROBING} {PROBE} {needless}"
        )))
    }
}

fn modes_of(command: &str) -> Option<Modes> {
    let found = SERVING.iter().find(|(name, _)| *name == command);
    found.map(|(_, modes)| *modes)
}

fn text(argument: OsString) -> Result<String, UsageError> {
    argument.into_string().map_err(|raw| {
        UsageError(format!(
            "the argument {:?} is not valid UTF-8",
            raw.to_string_lossy()
        ))
    })
}

fn no_command(word: &str, known: &[Known]) -> UsageError {
    let name = word.split('=').next().unwrap_or_default();
    if known.iter().any(|known| option(known.name) == name) {
        return UsageError(format!(
            "{name} must follow a command, as in dotward serve {name}"
        ));
    }
    let (what, near) = if word.starts_with('-') {
        ("option", closest(word, GLOBAL.into_iter()))
    } else {
        ("command", closest(word, COMMANDS.into_iter()))
    };
    let hint = near.map_or_else(
        || {
            "the commands are udp, tcp, serve, check, config, resolv-conf, certificate, import, dnr, query, bench, prove, providers, status, explain, why, flush, reload, log-level and trace; see dotward --help"
                .to_owned()
        },
        |near| format!("did you mean {near}?"),
    );
    UsageError(format!("there is no {what} {word:?}; {hint}"))
}

fn no_option(word: &str, name: &str, command: &str, known: &[Known]) -> UsageError {
    if !word.starts_with('-') {
        return UsageError(format!(
            "{word:?} does not belong to an option; see dotward {command} --help"
        ));
    }
    // One dash or an underscore is taken for a mistake, too.
    let plain = name.trim_start_matches('-').replace('-', "_");
    let probing = [PROBE, PROBE_NAME, JSON];
    let probing = probing.into_iter().filter(|_| command == PROBING);
    let shape = SHAPES.into_iter().filter(|shape| shape.command == command);
    let more = probing.chain(shape.flat_map(Shape::options));
    let more = more.map(|name| name.trim_start_matches('-'));
    let names = known.iter().map(|known| known.name);
    let hint = closest(&plain, names.chain(more)).map_or_else(
        || format!("see dotward {command} --help"),
        |near| format!("did you mean {}?", option(near)),
    );
    UsageError(format!("there is no option {name:?}; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Known; 3] = [
        Known {
            name: "listen",
            kind: Kind::List,
            default: &[],
        },
        Known {
            name: "policy",
            kind: Kind::Word,
            default: &[],
        },
        Known {
            name: "hedge",
            kind: Kind::Switch,
            default: &[],
        },
    ];

    fn read(line: &str) -> Result<Argv, UsageError> {
        Argv::read(line.split_whitespace().map(OsString::from), &KNOWN)
    }

    fn error(line: &str) -> String {
        read(line).unwrap_err().to_string()
    }

    #[test]
    fn a_value_may_follow_an_equals_sign() {
        let words = read("serve --listen=::1 --policy a=b --hedge=false --listen --hedge").unwrap();
        assert_eq!(
            words.arguments,
            [
                "serve", "--listen", "::1", "--policy", "a=b", "--hedge", "false", "--listen",
                "--hedge"
            ]
        );
        let words = read("serve --hedge --listen ::1").unwrap();
        assert_eq!(
            words.arguments,
            ["serve", "--hedge", "true", "--listen", "::1"]
        );
        for line in [
            "udp --hedge=no --hedge=yes",
            "udp --hedge --hedge",
            "udp --hedge=no --hedge",
        ] {
            assert_eq!(error(line), "--hedge is given twice");
        }
        assert_eq!(
            error("udp --policy x --policy=y"),
            "--policy is given twice"
        );
        let words = read("providers -h").unwrap();
        assert_eq!(words.arguments, ["providers", "-h"]);
        let words = read("help serve").unwrap();
        assert_eq!(words.arguments, ["help", "serve"]);
        assert_eq!(read("-V").unwrap().arguments, ["-V"]);
        assert!(read("").unwrap().arguments.is_empty());
    }

    #[test]
    fn a_command_with_options_of_its_own_has_them_passed_on() {
        let words = read("certificate --name=a.test --address ::1 --force").unwrap();
        let expected = [
            "certificate",
            "--name",
            "a.test",
            "--address",
            "::1",
            "--force",
        ];
        assert_eq!(words.arguments, expected);
    }

    #[test]
    fn options_for_probing_are_those_of_check() {
        let probe = |line: &str| read(line).unwrap().probe;
        assert_eq!(probe("check --listen ::1"), None);
        let plain = Probe::default();
        assert_eq!(probe("check udp --probe"), Some(plain));
        let words = read("check --listen ::1 --json --probe-name=a.test --probe --hedge").unwrap();
        let all = Probe {
            json: true,
            name: "a.test".parse().ok(),
        };
        assert_eq!(words.probe, Some(all));
        assert_eq!(
            words.arguments,
            ["check", "--listen", "::1", "--hedge", "true"]
        );
        for (line, start) in [
            ("check --json", "--json needs --probe: dotward check"),
            ("check --probe-name a.test", "--probe-name needs --probe"),
            ("check --probe --probe", "--probe is given twice"),
            ("check --probe=yes", "--probe takes no value"),
            ("check --probe --probe-name", "--probe-name needs a NAME"),
            (
                "check --probe --probe-name a..b",
                r#"--probe-name "a..b": "#,
            ),
            (
                "check --prob",
                r#"there is no option "--prob"; did you mean --probe?"#,
            ),
            (
                "serve --probe",
                r#"there is no option "--probe"; see dotward serve --help"#,
            ),
        ] {
            let error = error(line);
            assert!(error.starts_with(start), "{line}: {error}");
        }
    }

    #[test]
    fn a_word_that_is_not_known_is_named_with_the_nearest_one() {
        // fault 86
        for (line, start) in [
            ("serv", r#"there is no command "serv"; did you mean serve?"#),
            ("tpc", r#"there is no command "tpc"; did you mean tcp?"#),
            (
                "forward",
                r#"there is no command "forward"; the commands are udp, tcp, serve, check, config, resolv-conf, certificate, import, dnr, query, bench, prove, providers, status, "#,
            ),
            (
                "--versoin",
                r#"there is no option "--versoin"; did you mean --version?"#,
            ),
            (
                "--listen=::1 serve",
                "--listen must follow a command, as in dotward serve --listen",
            ),
            (
                "serve --polcy fastest",
                r#"there is no option "--polcy"; did you mean --policy?"#,
            ),
            (
                "serve --polcy=fastest",
                r#"there is no option "--polcy"; did you mean --policy?"#,
            ),
            (
                "udp -listen ::1",
                r#"there is no option "-listen"; did you mean --listen?"#,
            ),
            (
                "tcp --xyzzy",
                r#"there is no option "--xyzzy"; see dotward tcp --help"#,
            ),
            (
                "providers --hedge=no",
                r#"dotward providers takes no argument "--hedge=no""#,
            ),
            ("help serv", r#"dotward help takes no argument "serv""#),
            (
                "serve ::1",
                r#""::1" does not belong to an option; see dotward serve --help"#,
            ),
        ] {
            let error = error(line);
            assert!(error.starts_with(start), "{line}: {error}");
        }
    }
}
