//! The manual pages in `deploy/man/`, made of the help and of `deploy/dotward.toml`.

use super::commands::{Page, Row, Section, Value, pages, value_of};
use super::{ROOT, is_current};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// When what stands in them was last changed, as the pages tell it.
const DATE: &str = "November 28, 2026";

/// A text of mdoc(7): what has a meaning there is written so that it has none.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}

/// Sentences, each on lines of its own, none of which is long.
fn prose(out: &mut String, text: &str) {
    let mut line = String::new();
    let mut flush = |line: &mut String| {
        if !line.is_empty() {
            writeln!(out, "{}", escaped(line.trim())).expect("a text");
            line.clear();
        }
    };
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        // Escapes make a word longer.
        if escaped(&line).len() + escaped(word).len() + 1 > 78 {
            flush(&mut line);
        }
        line.push_str(word);
        line.push(' ');
        let ends = word.trim_end_matches([')', '"']).ends_with(['.', '!', '?']);
        let begins = words.peek().and_then(|next| next.chars().next());
        if ends && begins.is_some_and(|c| !c.is_lowercase()) {
            flush(&mut line);
        }
    }
    flush(&mut line);
}

fn literal(out: &mut String, lines: &[String]) {
    // What stands apart anyway needs no new paragraph.
    trim(out);
    out.push_str(".Bd -literal\n");
    for line in lines {
        writeln!(out, "{}", escaped(line)).expect("a text");
    }
    out.push_str(".Ed\n");
}

fn rows(out: &mut String, rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    out.push_str(".Bl -tag -width Ds\n");
    for row in rows {
        let term = match row.term.as_str() {
            "-h, --help, help" => "Fl h , Fl -help".to_owned(),
            "-V, --version" => "Fl V , Fl -version".to_owned(),
            term => match term.strip_prefix('-') {
                Some(flag) => format!("Fl {flag}"),
                None => format!("Ar {term}"),
            },
        };
        let first = row.about.split(' ').next().unwrap_or_default();
        let argument = match value_of(row) {
            _ if !row.term.starts_with('-') => String::new(),
            Value::None => String::new(),
            _ if first.chars().any(char::is_lowercase) => " Ar value".to_owned(),
            _ => format!(" Ar {}", first.trim_end_matches([';', ','])),
        };
        writeln!(out, ".It {}", (term + &argument).replace('\\', "\\e")).expect("a text");
        prose(out, &row.about);
    }
    out.push_str(".El\n");
}

/// The head of a page.
fn head(out: &mut String, name: &str, section: u8, about: &str) {
    let about = about.trim_end_matches('.');
    let mut chars = about.chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string());
    // A word of capitals stays one.
    let about =
        if about.starts_with("A DNS") || about.chars().nth(1).is_some_and(char::is_lowercase) {
            first.unwrap_or_default() + chars.as_str()
        } else {
            about.to_owned()
        };
    let title = name.to_uppercase();
    write!(
        out,
        ".\\\" Made by WRITE_PAGES=1 cargo test --test suite pages\n.Dd {DATE}\n.Dt {title} {section}\n.Os\n.Sh NAME\n.Nm {name}\n.Nd {}\n",
        escaped(&about)
    )
    .expect("a text");
}

fn notes(out: &mut String, section: &Section) {
    let lines = &section.lines;
    let kept: Vec<String> = lines
        .iter()
        .map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned())
        .collect();
    // Paragraphs; one with deeper lines is a table, and stays as it is.
    for paragraph in kept.split(String::is_empty).filter(|it| !it.is_empty()) {
        if paragraph.iter().any(|line| line.starts_with(' ')) {
            literal(out, paragraph);
        } else {
            prose(out, &paragraph.join(" "));
        }
        out.push_str(".Pp\n");
    }
    trim(out);
}

/// A paragraph that ends nothing is a mistake for lint.
fn trim(out: &mut String) {
    while let Some(rest) = out.strip_suffix(".Pp\n") {
        out.truncate(rest.len());
    }
}

fn command_page(page: &Page, all: &[Page]) -> String {
    let mut out = String::new();
    let name = match &page.command {
        Some(command) => format!("dotward-{command}"),
        None => "dotward".to_owned(),
    };
    head(&mut out, &name, 1, &page.about);
    out.push_str(".Sh SYNOPSIS\n");
    let command = page.command.as_deref().unwrap_or_default();
    let words = [command, &page.usage];
    writeln!(out, ".Nm dotward\n{}", escaped(words.join(" ").trim())).expect("a text");
    out.push_str(".Sh DESCRIPTION\n");
    prose(&mut out, &page.about);
    for paragraph in &page.paragraphs {
        out.push_str(".Pp\n");
        prose(&mut out, paragraph);
    }
    // The order of mdoc(7).
    let mut sections: Vec<&Section> = page.sections.iter().collect();
    sections.sort_by_key(|section| section.title == "Examples");
    for section in sections {
        let title = match section.title.as_str() {
            "Positional Arguments" => "ARGUMENTS",
            "Error codes" => "EXIT STATUS",
            "Notes" => "NOTES",
            "Examples" => "EXAMPLES",
            "Options" => "OPTIONS",
            "Commands" => "COMMANDS",
            own => own,
        };
        writeln!(out, ".Sh {}", title.to_uppercase()).expect("a text");
        match section.title.as_str() {
            "Notes" => notes(&mut out, section),
            "Examples" => {
                let lines: Vec<String> = section
                    .lines
                    .iter()
                    .map(|it| it.trim().to_owned())
                    .collect();
                let lines: Vec<String> = lines.into_iter().filter(|it| !it.is_empty()).collect();
                literal(&mut out, &lines);
            }
            "Error codes" => {
                out.push_str(".Bl -tag -width Ds\n.It 0\nAll went well.\n");
                for line in section.lines.iter().filter(|line| !line.is_empty()) {
                    let (code, what) = line.trim().split_once(' ').expect("a code");
                    writeln!(out, ".It {code}").expect("a text");
                    prose(&mut out, what);
                }
                out.push_str(".El\n");
            }
            _ => {
                let (found, others) = section.rows();
                rows(&mut out, &found);
                if !others.is_empty() {
                    out.push_str(".Pp\n");
                    prose(&mut out, &others.join(" "));
                }
            }
        }
    }
    out.push_str(".Sh SEE ALSO\n");
    let mut others: Vec<String> = match page.command {
        None => all.iter().filter_map(|it| it.command.clone()).collect(),
        Some(_) => Vec::new(),
    };
    others.sort();
    let mut pages: Vec<String> = others
        .iter()
        .map(|it| format!(".Xr dotward-{it} 1"))
        .collect();
    if page.command.is_some() {
        pages.push(".Xr dotward 1".to_owned());
    }
    pages.push(".Xr dotward.toml 5".to_owned());
    out.push_str(&pages.join(" ,\n"));
    out.push('\n');
    out
}

/// The file's keys: each with what its comment says.
fn file_page(example: &str) -> String {
    let mut out = String::new();
    head(
        &mut out,
        "dotward.toml",
        5,
        "the configuration file of dotward",
    );
    let mut blocks = example.split("\n\n");
    out.push_str(".Sh DESCRIPTION\n");
    comment(&mut out, blocks.next().expect("a head").lines());
    out.push_str(".Sh KEYS\n.Bl -tag -width Ds\n");
    let mut tail = Vec::new();
    for block in blocks {
        let is_key =
            |line: &&str| line.starts_with('#') && !line.starts_with("# ") && line.contains(" = ");
        match block.lines().rfind(is_key) {
            Some(key) => {
                let key_text = key.trim_start_matches('#');
                writeln!(out, ".It Li {}", item(key_text)).expect("a text");
                comment(&mut out, block.lines().filter(|line| *line != key));
            }
            None => tail.push(block),
        }
    }
    out.push_str(".El\n.Sh ROUTES AND HOSTS\n");
    for block in tail {
        comment(&mut out, block.lines());
    }
    trim(&mut out);
    out.push_str(
        ".Sh FILES\n.Bl -tag -width Ds\n.It Pa /etc/dotward/dotward.toml\nThat of the system.\n.It Pa ~/.config/dotward/dotward.toml\n\
         That of a user, which comes before it, but not for root.\n.El\n.Sh SEE ALSO\n.Xr dotward 1 ,\n.Xr dotward-check 1 ,\n.Xr dotward-config 1\n",
    );
    out
}

/// A text as one argument of a macro.
fn item(text: &str) -> String {
    format!("\"{}\"", escaped(text).replace('"', "\\(dq"))
}

/// Comments as prose; what is indented stays as it is.
fn comment<'l>(out: &mut String, lines: impl Iterator<Item = &'l str>) {
    let mut prose_lines: Vec<&str> = Vec::new();
    let mut example: Vec<String> = Vec::new();
    let mut flush = |prose_lines: &mut Vec<&str>, example: &mut Vec<String>| {
        if !prose_lines.is_empty() {
            prose(out, &prose_lines.join(" "));
            prose_lines.clear();
        }
        if !example.is_empty() {
            literal(out, example);
            example.clear();
        }
    };
    for line in lines {
        let text = line.strip_prefix('#').unwrap_or(line);
        let text = text.strip_prefix(' ').unwrap_or(text);
        if text.starts_with("  ") {
            if !prose_lines.is_empty() {
                flush(&mut prose_lines, &mut example);
            }
            example.push(text.to_owned());
        } else {
            if !example.is_empty() {
                flush(&mut prose_lines, &mut example);
            }
            prose_lines.extend((!text.trim().is_empty()).then_some(text));
        }
    }
    flush(&mut prose_lines, &mut example);
}

// req 142
#[test]
fn the_manual_pages_say_what_the_help_says() {
    let folder = Path::new(ROOT).join("deploy/man");
    let all = pages();
    let mut names = Vec::new();
    for page in &all {
        let name = match &page.command {
            Some(command) => format!("dotward-{command}.1"),
            None => "dotward.1".to_owned(),
        };
        is_current(&folder.join(&name), &command_page(page, &all));
        names.push(name);
    }
    let example = fs::read_to_string(Path::new(ROOT).join("deploy/dotward.toml")).expect("a text");
    is_current(&folder.join("dotward.toml.5"), &file_page(&example));
    names.push("dotward.toml.5".to_owned());
    let there = fs::read_dir(&folder).expect("the folder");
    for entry in there {
        let name = entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned();
        assert!(
            names.contains(&name),
            "deploy/man/{name} is of no command: remove it"
        );
    }
}

#[test]
fn each_key_and_each_option_has_its_place_in_a_manual_page() {
    let example = fs::read_to_string(Path::new(ROOT).join("deploy/dotward.toml")).expect("a text");
    let page = file_page(&example);
    let all = pages();
    let serve = all
        .iter()
        .find(|it| it.command.as_deref() == Some("serve"))
        .expect("serve");
    let options = serve.options();
    assert!(options.len() > 40, "{}", options.len());
    let manual = command_page(serve, &all);
    for row in options {
        let Some(name) = row.term.strip_prefix("--") else {
            continue;
        };
        assert!(manual.contains(&format!(".It Fl -{name}")), "{name}");
        let key = format!(".It Li \"{} = ", escaped(name));
        assert!(name == "config" || page.contains(&key), "{name}");
    }
}
