//! The table of `docs/troubleshooting.md` that is made of what was told.

use std::fs;
use std::path::Path;

use super::stand::Told;
use super::stories::STORIES;

/// The head of the table, which stands once in the page.
const HEAD: &str = "| what is wrong | clients get | the log says | `dotward explain` says | what to do |\n| --- | --- | --- | --- | --- |\n";

/// Holds the page to what was told, or writes it. A row of a failure that this host cannot provoke stays as it is.
pub fn hold(told: &[Option<Told>]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/troubleshooting.md");
    let page = fs::read_to_string(&path).expect("the page");
    let (before, rest) = page.split_once(HEAD).expect("the table");
    let end = rest.find("\n\n").map_or(rest.len(), |at| at + 1);
    let (shown, behind) = rest.split_at(end);
    let kept = |what: &str| {
        let mut lines = shown.lines();
        lines.find(|line| line.starts_with(&format!("| {what} |")))
    };
    let rows = STORIES
        .iter()
        .zip(told)
        .filter_map(|(story, told)| match told {
            Some(told) => Some(row(told)),
            None => kept(story.what).map(str::to_owned),
        });
    let table: String = rows.map(|row| row + "\n").collect();
    if std::env::var_os("WRITE_PAGES").is_some() {
        fs::write(&path, format!("{before}{HEAD}{table}{behind}")).expect("written");
    } else {
        let again = "WRITE_PAGES=1 cargo test --features full --test suite failures_explained";
        assert_eq!(shown, table, "{again}");
    }
}

fn row(told: &Told) -> String {
    let Told {
        what,
        reply,
        log,
        explain,
        remedy,
    } = told;
    format!("| {what} | {reply} | {log} | {explain} | {remedy} |")
}
