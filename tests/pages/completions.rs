//! The completions in `deploy/completions/` for bash, zsh and fish, made of the help.

use super::commands::{Page, Row, Value, pages, value_of, words_of};
use super::{ROOT, is_current};
use dotward::cli::parse;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

const MADE: &str = "Made by WRITE_PAGES=1 cargo test --test suite pages";

/// A command: its name, what it does, its options and its words.
struct Command {
    name: String,
    about: String,
    options: Vec<Row>,
    words: Value,
}

fn commands() -> Vec<Command> {
    let commands = pages().into_iter().filter_map(|page| {
        let name = page.command.clone()?;
        Some(Command {
            words: words_of(&name),
            name,
            about: page.about.clone(),
            options: page.options(),
        })
    });
    commands.collect()
}

/// The ways to write an option: `-h, --help, help`.
fn spellings(row: &Row) -> Vec<&str> {
    let all = row.term.split(", ");
    all.filter(|one| one.starts_with('-')).collect()
}

/// The first sentence, or what stands before its first colon or semicolon.
fn brief(text: &str) -> String {
    let end = [". ", "; ", ": ", " ("]
        .iter()
        .filter_map(|end| text.find(end))
        .min();
    let brief = text.get(..end.unwrap_or(text.len())).unwrap_or(text);
    brief
        .trim_end_matches('.')
        .replace(['\'', '`', '"', '[', ']', '\\'], "")
}

/// What `compgen` offers.
fn bash_words(value: &Value) -> String {
    match value {
        Value::None | Value::Any => "COMPREPLY=()".to_owned(),
        Value::File => {
            "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")".to_owned()
        }
        Value::Folder => {
            "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\")".to_owned()
        }
        Value::Choice(words) => format!(
            "mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\")",
            words.join(" ")
        ),
    }
}

fn bash(commands: &[Command]) -> String {
    let names: Vec<&str> = commands.iter().map(|it| it.name.as_str()).collect();
    let mut out = format!(
        "# Completion of dotward for bash. {MADE}\n\n_dotward() {{\n    local cur prev command word\n    cur=${{COMP_WORDS[COMP_CWORD]}}\n    prev=${{COMP_WORDS[COMP_CWORD-1]}}\n\
         \x20   # --option=VALUE is three words here.\n    if [ \"$cur\" = = ]; then cur=; fi\n    if [ \"$prev\" = = ]; then prev=${{COMP_WORDS[COMP_CWORD-2]}}; fi\n\
         \x20   COMPREPLY=()\n    command=\n    for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n        case $word in\n        -*) ;;\n        *) command=$word; break ;;\n        esac\n    done\n    case $command,$prev in\n"
    );
    for command in commands {
        for row in &command.options {
            let value = value_of(row);
            if value != Value::None {
                let patterns: Vec<String> = spellings(row)
                    .iter()
                    .map(|one| format!("{},{one}", command.name))
                    .collect();
                writeln!(
                    out,
                    "    {}) {}; return ;;",
                    patterns.join(" | "),
                    bash_words(&value)
                )
                .expect("a text");
            }
        }
    }
    write!(
        out,
        "    esac\n    case $command in\n    '') mapfile -t COMPREPLY < <(compgen -W '{} help --help --version' -- \"$cur\") ;;\n",
        names.join(" ")
    )
    .expect("a text");
    for command in commands {
        let options: Vec<&str> = command.options.iter().flat_map(spellings).collect();
        write!(
            out,
            "    {})\n        case $cur in\n        -*) mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\") ;;\n        *) {} ;;\n        esac\n        ;;\n",
            command.name,
            options.join(" "),
            bash_words(&command.words)
        )
        .expect("a text");
    }
    out.push_str("    esac\n}\ncomplete -F _dotward dotward\n");
    out
}

/// What `_arguments` does for a value.
fn zsh_action(value: &Value) -> String {
    match value {
        Value::None | Value::Any => " ".to_owned(),
        Value::File => "_files".to_owned(),
        Value::Folder => "_files -/".to_owned(),
        Value::Choice(words) => format!("({})", words.join(" ")),
    }
}

fn zsh(commands: &[Command]) -> String {
    let mut out = format!(
        "#compdef dotward\n# Completion of dotward for zsh. {MADE}\n\n_dotward() {{\n    local curcontext=$curcontext state line\n    local -a commands\n    commands=(\n"
    );
    // A colon ends the name of what is described.
    let plain = |text: &str| brief(text).replace(':', "\\:");
    for command in commands {
        writeln!(out, "        '{}:{}'", command.name, plain(&command.about)).expect("a text");
    }
    out.push_str(
        "    )\n    _arguments -C '(-h --help)'{-h,--help}'[display usage information]' '(-V --version)'{-V,--version}'[print the version]' \\\n        '1: :->command' '*:: :->rest'\n    case $state in\n    command) _describe command commands ;;\n    rest)\n        case $words[1] in\n",
    );
    for command in commands {
        writeln!(out, "        {})\n            _arguments \\", command.name).expect("a text");
        for row in &command.options {
            let value = value_of(row);
            let action = match &value {
                Value::None => String::new(),
                value => format!(":value:{}", zsh_action(value)),
            };
            for spelling in spellings(row) {
                let equals = if value == Value::None || !spelling.starts_with("--") {
                    ""
                } else {
                    "="
                };
                writeln!(
                    out,
                    "                '*{spelling}{equals}[{}]{action}' \\",
                    plain(&row.about)
                )
                .expect("a text");
            }
        }
        let words = match &command.words {
            Value::None => "                && return\n            ;;\n".to_owned(),
            words => format!(
                "                '*:word:{}' && return\n            ;;\n",
                zsh_action(words)
            ),
        };
        out.push_str(&words);
    }
    out.push_str("        esac\n        ;;\n    esac\n}\n\n_dotward \"$@\"\n");
    out
}

fn fish(commands: &[Command]) -> String {
    let names: Vec<&str> = commands.iter().map(|it| it.name.as_str()).collect();
    let mut out = format!(
        "# Completion of dotward for fish. {MADE}\n\nset -l commands {}\ncomplete -c dotward -f\n\
         complete -c dotward -n \"not __fish_seen_subcommand_from $commands\" -s h -l help -d 'display usage information'\n\
         complete -c dotward -n \"not __fish_seen_subcommand_from $commands\" -s V -l version -d 'print the version'\n",
        names.join(" ")
    );
    for command in commands {
        let line = format!(
            "complete -c dotward -n \"not __fish_seen_subcommand_from $commands\" -a {} -d '{}'",
            command.name,
            brief(&command.about)
        );
        writeln!(out, "{line}").expect("a text");
    }
    let takes = |value: &Value| match value {
        Value::None => String::new(),
        Value::Any => " -x".to_owned(),
        Value::File => " -r -F".to_owned(),
        Value::Folder => " -x -a '(__fish_complete_directories)'".to_owned(),
        Value::Choice(words) => format!(" -x -a '{}'", words.join(" ")),
    };
    for command in commands {
        let within = format!(
            "complete -c dotward -n '__fish_seen_subcommand_from {}'",
            command.name
        );
        for row in &command.options {
            let mut flags = String::new();
            for spelling in spellings(row) {
                match spelling.strip_prefix("--") {
                    Some(long) => write!(flags, " -l {long}").expect("a text"),
                    None => {
                        write!(flags, " -s {}", spelling.trim_start_matches('-')).expect("a text");
                    }
                }
            }
            writeln!(
                out,
                "{within}{flags}{} -d '{}'",
                takes(&value_of(row)),
                brief(&row.about)
            )
            .expect("a text");
        }
        match &command.words {
            Value::File => writeln!(out, "{within} -F").expect("a text"),
            Value::Choice(words) => {
                writeln!(out, "{within} -a '{}'", words.join(" ")).expect("a text");
            }
            _ => {}
        }
    }
    out
}

// req 142
#[test]
fn completions_know_all_commands_and_options() {
    let commands = commands();
    let folder = Path::new(ROOT).join("deploy/completions");
    is_current(&folder.join("dotward.bash"), &bash(&commands));
    is_current(&folder.join("_dotward"), &zsh(&commands));
    is_current(&folder.join("dotward.fish"), &fish(&commands));
}

fn error(words: &[&str]) -> Option<String> {
    let parsed = parse(words.iter().map(OsString::from), []);
    parsed.err().map(|error| error.to_string())
}

/// What the descriptions of options are taken to say is what the program does with them.
#[test]
fn an_option_with_a_value_is_not_taken_without_one() {
    let all: Vec<Page> = pages();
    let mut checked = 0;
    for page in all.iter().filter(|page| page.command.is_some()) {
        let command = page.command.as_deref().unwrap_or_default();
        for row in page.options() {
            let spelling = spellings(&row)[0].to_owned();
            if spelling == "-h" {
                continue;
            }
            let takes = value_of(&row) != Value::None;
            let error = error(&[command, &spelling]).unwrap_or_default();
            let lacks = error.contains(&spelling)
                && (error.contains("needs a") || error.contains("No value provided"));
            assert_eq!(takes, lacks, "{command} {spelling}: {error}");
            checked += 1;
        }
    }
    assert!(checked > 300, "{checked} options");
}

#[test]
fn each_word_that_is_offered_is_one_of_the_program() {
    let mut checked = 0;
    let file = Path::new(ROOT).join("tests/import/resolved-strict.conf");
    let file = file.to_str().expect("a text");
    for command in commands() {
        for row in &command.options {
            let Value::Choice(words) = value_of(row) else {
                continue;
            };
            let option = spellings(row)[0];
            for word in words {
                let mut line = vec![command.name.as_str(), option, &word];
                match command.name.as_str() {
                    "query" => line.push("a.test"),
                    "certificate" => continue,
                    "import" => line.push(file),
                    _ => {}
                }
                let error = error(&line).unwrap_or_default();
                // A build may lack a runtime or a part; its word is known all the same.
                let is_unknown = ["is none of", "is neither", "did you mean"]
                    .iter()
                    .any(|it| error.contains(it));
                let is_runtime = option == "--runtime";
                assert!(!is_unknown || is_runtime, "{line:?}: {error}");
                checked += 1;
            }
        }
    }
    assert!(checked > 200, "{checked} words");
}
