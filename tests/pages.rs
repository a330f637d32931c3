//! The pages for people: their links lead somewhere, the commands that they show are accepted, and what they name is there.

mod commands;
mod completions;
mod manual;

use crate::support::authority::{Authority, Leaf, TempDir};
use dotward::cli::{Command, parse};
use dotward::transports::RUNTIMES;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Folders with what was built or stored by tools.
const NOT_OURS: [&str; 4] = ["target", ".git", "node_modules", "corpus"];
/// Runtimes that some build has.
const ALL_RUNTIMES: [&str; 5] = ["async-std", "smol", "tokio", "mio", "wasi"];

/// All files with this extension, by their path from the root, and their text.
fn files(extension: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::from(ROOT)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !NOT_OURS.contains(&&*name) {
                folders.push(path);
            } else if has_extension(&path, extension) {
                let text = fs::read_to_string(&path).expect("a text");
                let path = path.strip_prefix(ROOT).expect("a path below the root");
                found.insert(path.to_owned(), text);
            }
        }
    }
    found
}

fn has_extension(path: impl AsRef<Path>, extension: &str) -> bool {
    let own = path.as_ref().extension();
    own.is_some_and(|own| own == extension)
}

/// The lines of a page with their numbers, and whether they stand in a fenced block.
fn lines(page: &str) -> impl Iterator<Item = (usize, &str, bool)> {
    let mut fenced = false;
    page.lines().enumerate().map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (index + 1, line, fenced && !fence)
    })
}

/// The anchors that a page's headings get where it is shown.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let headings = lines(page).filter(|(_, line, fenced)| !fenced && line.starts_with('#'));
    let anchor = |(_, line, _): (usize, &str, bool)| {
        let kept = line.trim_start_matches('#').trim().chars();
        let kept = kept.filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.flat_map(char::to_lowercase).collect();
        anchor.replace(' ', "-")
    };
    let numbered = headings.map(anchor).map(|anchor| {
        let before = seen.entry(anchor.clone()).or_default();
        *before += 1;
        match *before {
            1 => anchor,
            again => format!("{anchor}-{}", again - 1),
        }
    });
    numbered.collect()
}

/// The text of a line without its inline code.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The targets of the links in a line.
fn links(line: &str) -> Vec<String> {
    let prose = without_code(line);
    let behind = prose.split("](").skip(1);
    behind
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

/// What is wrong with a relative link.
fn broken(from: &Path, target: &str, pages: &BTreeMap<PathBuf, String>) -> Option<String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let mut at = from.parent().unwrap_or(Path::new("")).to_owned();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part != ".." {
            at.push(part);
        } else if !at.pop() {
            return Some("leads out of the repository".into());
        }
    }
    if path.is_empty() {
        from.clone_into(&mut at);
    }
    if !pages.contains_key(&at) && !Path::new(ROOT).join(&at).exists() {
        return Some(format!("there is no {}", at.display()));
    }
    if anchor.is_empty() {
        return None;
    }
    let Some(page) = pages.get(&at) else {
        return Some("has an anchor, and leads to no page".into());
    };
    (!anchors(page).contains(anchor)).then(|| format!("no heading of {} fits", at.display()))
}

/// Whether a path leads to a package within this one, and this is the package as it is published, which has none within it.
fn is_left_out(path: &str) -> bool {
    let within = [
        "examples/edge",
        "examples/wasi-http",
        "benches/key_exchange",
    ];
    within.iter().any(|within| path.contains(within))
        && Path::new(ROOT).join(".cargo_vcs_info.json").exists()
}

#[test]
fn no_page_has_the_marks_of_a_merge() {
    let is_mark = |line: &str| {
        let marks = ["<<<<<<< ", "||||||| ", ">>>>>>> "];
        line == "=======" || marks.iter().any(|mark| line.starts_with(mark))
    };
    for (path, page) in files("md") {
        let marked = page.lines().position(is_mark);
        assert_eq!(marked, None, "{}", path.display());
    }
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let pages = files("md");
    let (mut checked, mut wrong) = (0, Vec::new());
    for (path, page) in &pages {
        for (number, line, _) in lines(page).filter(|(_, _, fenced)| !fenced) {
            for target in links(line) {
                let elsewhere = target.contains("://") || target.starts_with("mailto:");
                if elsewhere || is_left_out(&target) {
                    continue;
                }
                checked += 1;
                if let Some(why) = broken(path, &target, &pages) {
                    wrong.push(format!("{}:{number}: {target}: {why}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 50, "{checked} links");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let page = "# A page\n\n## What it costs, and why\n\n## What it costs, and why\n";
    let pages = BTreeMap::from([(PathBuf::from("docs/a.md"), page.to_owned())]);
    let why = |target: &str| broken(Path::new("docs/a.md"), target, &pages);
    assert_eq!(why("../Cargo.toml"), None);
    assert!(why("Cargo.toml").is_some() && why("../../Cargo.toml").is_some());
    assert_eq!(why("#a-page"), None);
    assert!(why("#another-page").is_some() && why("../Cargo.toml#a-page").is_some());
    let costs = ["what-it-costs-and-why", "what-it-costs-and-why-1"];
    assert!(costs.iter().all(|anchor| anchors(page).contains(*anchor)));
    let line = "see [a](b.md) and `[c](d.md)`, ![e](f.svg)";
    assert_eq!(links(line), ["b.md", "f.svg"]);
}

/// The simple commands in a line of a shell, each as its words. A comment ends the line.
fn commands(line: &str) -> Vec<Vec<String>> {
    let (mut found, mut words) = (Vec::new(), Vec::new());
    let (mut word, mut quote): (Option<String>, Option<char>) = (None, None);
    for c in line.chars().chain([';']) {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            (' ' | '\t', None) => words.extend(word.take()),
            (';' | '&' | '|' | '(' | ')' | '<' | '>', None) => {
                words.extend(word.take());
                found.push(std::mem::take(&mut words));
            }
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word.take());
    found.push(words);
    found.retain(|words| !words.is_empty());
    found
}

/// A start of the program: its arguments, and its variables.
#[derive(Debug, Default, PartialEq)]
struct Start {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

/// The start that a command is, directly or in another program.
fn start(words: &[String]) -> Option<Start> {
    let variable = |word: &String| {
        let (name, value) = word.split_once('=')?;
        let is_ours = name.starts_with("DOTWARD_");
        is_ours.then(|| (name.to_owned(), value.to_owned()))
    };
    let is_prefix = |word: &&String| *word == "sudo" || variable(word).is_some();
    let prefix = words.iter().take_while(is_prefix).count();
    let (before, words) = words.split_at(prefix);
    let behind = |at: usize| words.get(at + 1..).unwrap_or_default().to_vec();
    let base = |word: &String| word.rsplit('/').next().unwrap_or_default().to_owned();
    let place = |so: &dyn Fn(&String) -> bool| words.iter().position(so);
    let mut variables: Vec<_> = before.iter().filter_map(variable).collect();
    let arguments = match (
        base(words.first()?).as_str(),
        words.get(1).map(String::as_str),
    ) {
        ("dotward", _) => behind(0),
        ("cargo", Some("run")) if !words.iter().any(|word| word == "--example") => {
            behind(place(&|word| word == "--")?)
        }
        ("wasmtime", Some("run")) => behind(place(&|word| base(word) == "dotward.wasm")?),
        ("podman" | "docker", Some("run")) => {
            let image = place(&|word| word == "dotward")?;
            variables.extend(words.iter().take(image).filter_map(variable));
            let arguments = behind(image);
            if arguments.is_empty() {
                vec!["serve".to_owned()]
            } else {
                arguments
            }
        }
        _ => return None,
    };
    Some(Start {
        arguments,
        variables,
    })
}

/// Puts what every machine and build has in the place of what only some have.
fn here(text: &str, ca_file: &str) -> String {
    if ALL_RUNTIMES.contains(&text) {
        return RUNTIMES.first().map_or("", |name| name).to_owned();
    }
    if text.starts_with('/') && has_extension(text, "pem") {
        return ca_file.to_owned();
    }
    text.replace("%eth0", "%lo")
}

/// The same without what a build lacks that has only the default features.
fn with_features(start: &Start) -> (Vec<String>, Vec<(String, String)>) {
    let (mut arguments, mut variables) = (start.arguments.clone(), start.variables.clone());
    for (option, is_built) in [
        ("--admin", cfg!(feature = "admin")),
        ("--control-socket", cfg!(feature = "control")),
    ] {
        let own = format!("DOTWARD_{}", option.trim_start_matches('-')).to_uppercase();
        let own = own.replace('-', "_");
        variables.retain(|(name, _)| is_built || *name != own);
        if let Some(at) = arguments
            .iter()
            .position(|word| word == option && !is_built)
        {
            arguments.drain(at..arguments.len().min(at + 2));
        }
    }
    (arguments, variables)
}

/// What the program says against a start.
fn refused(start: &Start, ca_file: &str) -> Option<String> {
    let (arguments, variables) = with_features(start);
    let arguments = arguments.iter().map(|word| here(word, ca_file).into());
    let variables = variables.iter();
    let variables = variables.map(|(name, value)| (name.into(), here(value, ca_file).into()));
    let error = parse(
        arguments.collect::<Vec<OsString>>(),
        variables.collect::<Vec<(OsString, OsString)>>(),
    );
    error.err().map(|error| error.to_string())
}

#[test]
fn every_command_line_that_is_shown_is_accepted() {
    let directory = TempDir::new();
    // With its key, so that it may be the certificate of a server as well.
    let (ca_file, leaf) = (directory.path().join("own.pem"), Leaf::self_signed());
    std::fs::write(&ca_file, leaf.pem() + &leaf.key_pem()).expect("a file");
    let ca_file = ca_file.to_str().expect("a text");
    let (mut checked, mut wrong) = (0, Vec::new());
    for (path, page) in files("md") {
        for (number, line, _) in lines(&page).filter(|(_, _, fenced)| *fenced) {
            for start in commands(line).iter().filter_map(|words| start(words)) {
                let has = |option: &str| start.arguments.iter().any(|word| word == option);
                if has("--listen-tls") && cfg!(not(feature = "listen-tls"))
                    || has("--listen-https") && cfg!(not(feature = "listen-https"))
                    || has("--captive") && cfg!(not(feature = "captive"))
                {
                    continue;
                }
                let is =
                    |command: &str| start.arguments.first().is_some_and(|word| word == command);
                if is("certificate") && cfg!(not(feature = "certificate"))
                    // The other program's file is not here.
                    || is("import")
                    || (is("query") || is("bench") || is("prove")) && cfg!(not(feature = "query"))
                {
                    continue;
                }
                let first = start.arguments.first().map_or("", String::as_str);
                let to_running = [
                    "status",
                    "explain",
                    "why",
                    "flush",
                    "reload",
                    "log-level",
                    "trace",
                ];
                if to_running.contains(&first) && cfg!(not(feature = "control")) {
                    continue;
                }
                checked += 1;
                if let Some(why) = refused(&start, ca_file) {
                    wrong.push(format!("{}:{number}: {line}: {why}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 15, "{checked} command lines");
}

#[test]
fn variables_that_are_deployed_or_named_in_pages_are_known() {
    let directory = TempDir::new();
    let ca_file = Authority::new().write_pem(directory.path());
    let ca_file = ca_file.to_str().expect("a text");
    let mut checked = 0;
    let deployed = [files("env"), files("yaml")];
    for (path, text) in deployed.into_iter().flatten() {
        for line in text.lines() {
            let line = line.trim_start_matches([' ', '#']);
            let Some((name, value)) = line.split_once(['=', ':']) else {
                continue;
            };
            if name.starts_with("DOTWARD_") {
                checked += 1;
                let value = value.trim().trim_matches('"');
                let start = Start {
                    arguments: vec!["serve".to_owned()],
                    variables: vec![(name.to_owned(), value.to_owned())],
                };
                assert_eq!(refused(&start, ca_file), None, "{}: {line}", path.display());
            }
        }
    }
    assert!(checked > 5, "{checked} variables");
    let help = help(&["serve", "--help"]);
    for (path, page) in files("md") {
        for word in page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            let ours = word.starts_with("DOTWARD_") && word.len() > "DOTWARD_".len();
            assert!(!ours || help.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn a_command_line_with_a_mistake_is_found() {
    let said = |line: &str| {
        let commands = commands(line);
        let mut starts = commands.iter().filter_map(|words| start(words));
        starts.find_map(|start| refused(&start, "/dev/null"))
    };
    for wrong in [
        "dotward serve --listn 127.0.0.1",
        "cd /tmp && sudo ./dotward tcp --upstream nobody   # a comment",
        "cargo run --release -- serve --timeout soon",
        "DOTWARD_LISTN=::1 dotward serve",
        "podman run --rm -e DOTWARD_LISTEN=nowhere dotward",
        "wasmtime run target/dotward.wasm serve --workers none",
    ] {
        assert!(said(wrong).is_some(), "{wrong}");
    }
    for fine in [
        "dotward serve --upstream 9.9.9.9#dns.quad9.net   # --nonsense",
        "dotward serve --listen '[::1]:5300' | head -1",
        "cargo run --release --features tokio -- serve --runtime tokio",
        "systemctl restart dotward --nonsense",
        "podman build -t dotward .",
        "cargo test --nonsense",
    ] {
        assert_eq!(said(fine), None, "{fine}");
    }
}

/// The blocks of a page in this language, with the number of the line above each.
fn blocks(page: &str, language: &str) -> Vec<(usize, String)> {
    let (mut found, mut open) = (Vec::new(), None::<(usize, String)>);
    for (index, line) in page.lines().enumerate() {
        match &mut open {
            None if line.strip_prefix("```") == Some(language) => {
                open = Some((index + 1, String::new()));
            }
            None => {}
            Some(_) if line == "```" => found.extend(open.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    found
}

#[test]
fn every_configuration_file_that_is_shown_is_accepted() {
    let directory = TempDir::new();
    let (file, hosts) = (
        directory.path().join("dotward.toml"),
        directory.path().join("hosts"),
    );
    fs::write(&hosts, "192.0.2.1 a.test\n").expect("written");
    let hosts = hosts.to_str().expect("a text");
    // A key can be made in it.
    let folder = directory.path().to_str().expect("a text");
    let here = |text: &str| {
        let text = text.replace("/etc/dotward/hosts", hosts);
        text.replace("/var/lib/dotward", folder)
    };
    let (mut checked, mut wrong) = (0, Vec::new());
    for (path, page) in files("md") {
        for (number, text) in blocks(&page, "toml") {
            fs::write(&file, here(&text)).expect("written");
            let arguments = ["check".into(), "--config".into(), file.clone().into()];
            checked += 1;
            match parse(arguments, []) {
                Ok(command) if command.warnings().is_empty() => {}
                Ok(command) => {
                    let warnings = command.warnings().join("\n");
                    wrong.push(format!("{}:{number}: {warnings}", path.display()));
                }
                Err(error) => wrong.push(format!("{}:{number}: {error}", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 4, "{checked} files");
}

/// A file that is made of something else is as that is now; `WRITE_PAGES` has it written.
fn is_current(path: &Path, text: &str) {
    if std::env::var_os("WRITE_PAGES").is_some() {
        fs::write(path, text).expect("written");
        return;
    }
    let there = fs::read_to_string(path).unwrap_or_default();
    let path = path.display();
    assert_eq!(
        there, text,
        "{path}: WRITE_PAGES=1 cargo test --test suite pages"
    );
}

fn help(arguments: &[&str]) -> String {
    match parse(arguments.iter().map(OsString::from), []) {
        Ok(Command::Help(text)) => text,
        other => panic!("{arguments:?} is no call for help: {other:?}"),
    }
}

#[test]
fn the_page_of_options_shows_the_help() {
    let path = Path::new(ROOT).join("docs/options.md");
    let page = fs::read_to_string(&path).expect("the page");
    let (before, rest) = page.split_once("```text\n").expect("a block");
    let (shown, behind) = rest.split_once("```\n").expect("its end");
    let help = help(&["serve", "--help"]);
    if std::env::var_os("WRITE_PAGES").is_some() {
        fs::write(&path, format!("{before}```text\n{help}```\n{behind}")).expect("written");
    } else {
        assert_eq!(shown, help, "WRITE_PAGES=1 cargo test --test suite pages");
    }
}

/// What stands in backticks in a page, outside of fenced blocks.
fn code(page: &str) -> Vec<(usize, String)> {
    let lines = lines(page).filter(|(_, _, fenced)| !fenced);
    let spans = lines.flat_map(|(number, line, _)| {
        let spans = line.split('`').skip(1).step_by(2);
        spans.map(move |span| (number, span.to_owned()))
    });
    spans.collect()
}

/// The source, and all files by their paths from the root.
fn source() -> BTreeMap<PathBuf, String> {
    let mut sources = files("rs");
    sources.retain(|path, _| !path.starts_with("tests"));
    sources
}

#[test]
fn files_and_functions_that_pages_name_are_there() {
    let (pages, sources) = (files("md"), source());
    let all: String = sources.values().map(String::as_str).collect();
    let words: BTreeSet<&str> = all
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .collect();
    let (mut checked, mut wrong) = (0, Vec::new());
    for page in [
        "CONTRIBUTING.md",
        "docs/life-of-a-query.md",
        "docs/transports.md",
    ] {
        for (number, span) in code(&pages[Path::new(page)]) {
            let is_path = span.contains('/') || has_extension(&span, "rs");
            let plain = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
            let missing = if is_path && span.chars().all(plain) && !span.starts_with(".ci") {
                let ends = |(path, _): (&PathBuf, _)| path.ends_with(span.trim_end_matches('/'));
                let exists = Path::new(ROOT).join(&span).exists()
                    || Path::new(ROOT).join("src").join(&span).exists();
                !exists
                    && !span.contains("NAME")
                    && !is_left_out(&span)
                    && !sources.iter().any(ends)
            } else if let Some((of, name)) = span.split_once("::")
                && of.starts_with(|c: char| c.is_ascii_uppercase())
            {
                !words.contains(of) || !words.contains(name)
            } else {
                continue;
            };
            checked += 1;
            if missing {
                wrong.push(format!("{page}:{number}: there is no {span}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 80, "{checked} names");
}

#[test]
fn lines_of_the_log_read_as_the_page_says() {
    let pages = files("md");
    let page = &pages[Path::new("docs/troubleshooting.md")];
    let all: String = source().into_values().collect();
    // A text that goes on in the next line goes on there without its indentation.
    let mut texts = String::new();
    let mut parts = all.split("\\\n");
    texts.push_str(parts.next().unwrap_or_default());
    parts.for_each(|part| texts.push_str(part.trim_start()));
    let mut checked = 0;
    let section = page
        .split("\n## ")
        .find(|it| it.starts_with("The lines of the log"));
    let section = section.expect("the section");
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split(" | ").next().unwrap_or_default();
        for (_, line) in code(cell) {
            // What stands around punctuation may come from several places.
            for part in line.split(['…', ',', ':', ';']).map(str::trim) {
                if part.len() < 4 {
                    continue;
                }
                checked += 1;
                assert!(
                    texts.contains(part),
                    "no line of the log says {part:?}: {row}"
                );
            }
        }
    }
    assert!(checked > 40, "{checked} texts");
}

/// What each room may name of the others: the table in CONTRIBUTING.md.
fn rooms() -> BTreeMap<String, BTreeSet<String>> {
    let pages = files("md");
    let page = &pages[Path::new("CONTRIBUTING.md")];
    let mut rooms = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').collect();
        let spans = |cell: usize| code(cells[cell]).into_iter().map(|(_, span)| span);
        for room in spans(1) {
            rooms.insert(room, spans(3).collect());
        }
    }
    rooms
}

/// How other rooms name this one: `src/engine/` is `engine`.
fn name_of(room: &str) -> &str {
    let room = room.trim_end_matches('/').trim_end_matches(".rs");
    room.rsplit('/').next().unwrap_or_default()
}

/// The modules of this crate that a file names in its code.
fn named(text: &str) -> BTreeSet<&str> {
    let word = |text: &str| {
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        end.unwrap_or(text.len())
    };
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let mut found = BTreeSet::new();
    for line in code {
        for rest in line
            .split("crate::")
            .skip(1)
            .chain(line.split("dotward::").skip(1))
        {
            let list = rest
                .strip_prefix('{')
                .and_then(|rest| rest.split('}').next());
            for one in list
                .unwrap_or(rest)
                .split(',')
                .take(if list.is_some() { 99 } else { 1 })
            {
                let one = one.trim_start();
                found.insert(&one[..word(one)]);
            }
        }
    }
    found
}

#[test]
fn imports_go_in_one_direction() {
    let rooms = rooms();
    let names: BTreeSet<&str> = rooms.keys().map(|room| name_of(room)).collect();
    let mut needless = BTreeSet::new();
    for (room, may) in &rooms {
        needless.extend(may.iter().map(|named| (name_of(room), named.clone())));
    }
    for (path, text) in source() {
        let path = path.to_string_lossy().into_owned();
        let room = rooms.iter().find(|(room, _)| path.starts_with(&***room));
        let Some((room, may)) = room else {
            let elsewhere = !path.starts_with("src/") && !path.starts_with("transports/");
            assert!(elsewhere || path == "src/lib.rs", "{path} is in no room");
            continue;
        };
        let own = name_of(room);
        for named in named(&text)
            .intersection(&names)
            .filter(|named| **named != own)
        {
            assert!(may.contains(*named), "{path} names {named}");
            needless.remove(&(own, (*named).to_owned()));
        }
    }
    assert!(needless.is_empty(), "not needed: {needless:?}");
}
