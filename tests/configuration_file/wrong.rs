//! Fault 86: whatever is wrong in a configuration file is named in one line, with its place.

use crate::support::authority::TempDir;
use crate::support::command::{command, run};
use dotward::cli::{Command, Sources};
use std::ffi::OsString;
use std::path::Path;

/// What the program says of this file, whose name is `FILE` in the error.
pub(super) fn read(folder: &Path, octets: &[u8]) -> Result<Command, String> {
    let path = folder.join("dotward.toml");
    std::fs::write(&path, octets).expect("a file");
    let arguments = ["check", "--config"].map(OsString::from);
    let read = Sources::new(arguments.into_iter().chain([path.clone().into()]), []).read();
    read.map_err(|error| {
        error
            .to_string()
            .replace(&path.display().to_string(), "FILE")
    })
}

#[test]
fn each_mistake_has_its_line() {
    let files = TempDir::new();
    let blocks: Vec<&str> = include_str!("wrong.txt").split("\n== ").skip(1).collect();
    assert!(blocks.len() >= 60, "{}", blocks.len());
    let mut failures = Vec::new();
    for block in blocks {
        let (expected, rest) = block.split_once('\n').expect("an error and a file");
        let lines = rest.lines().filter(|line| !line.starts_with("## "));
        let text = lines.collect::<Vec<_>>().join("\n");
        let told = read(files.path(), text.trim_end().as_bytes());
        let told = told.err().unwrap_or_else(|| "nothing".to_owned());
        if told != expected {
            failures.push(format!("{text}\n  says {told}\n  not  {expected}\n"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.concat());
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_remedy() {
    let files = TempDir::new();
    let path = |name: &str| files.path().join(name).display().to_string();
    std::fs::write(path("large"), vec![b'#'; (1 << 20) + 1]).expect("a file");
    std::fs::write(path("most"), vec![b'#'; 1 << 20]).expect("a file");
    let error = |path: &str, by_variable: bool| {
        let (arguments, variables) = if by_variable {
            (vec!["check"], vec![("DOTWARD_CONFIG".into(), path.into())])
        } else {
            (vec!["check", "--config", path], vec![])
        };
        let read = Sources::new(arguments.into_iter().map(OsString::from), variables).read();
        read.map_err(|error| error.to_string().replace(path, "PATH"))
            .err()
    };
    let missing = "No such file or directory (os error 2)";
    for (name, by_variable, expected) in [
        ("missing", false, format!("--config \"PATH\": {missing}; name a file that can be read, or write --config none to use no file")),
        ("missing", true, format!("DOTWARD_CONFIG \"PATH\": {missing}; name a file that can be read, or write DOTWARD_CONFIG=none to use no file")),
        ("large", false, "--config \"PATH\": the file is larger than 1 MiB; name a file that can be read, or write --config none to use no file".to_owned()),
    ] {
        assert_eq!(error(&path(name), by_variable), Some(expected));
    }
    assert_eq!(error(&path("most"), false), None);
    for (octets, expected) in [
        (
            &b"log = \"off\"\n# \xe9"[..],
            "FILE:2:3: the file is not valid UTF-8",
        ),
        (
            b"\xef\xbb\xbflog = \"x\"",
            "FILE:1:7: log \"x\": is not a level; those are off, error, warn, info, debug",
        ),
        (
            b"log = \"off\"\r\nlog = 1\r\n",
            "FILE:2:1: log: is given twice, first in line 1",
        ),
        (
            b"log = \"\0\"",
            "FILE:1:8: this is not TOML: invalid basic string, expected non-double-quote visible characters, `\\`",
        ),
    ] {
        assert_eq!(read(files.path(), octets).err().as_deref(), Some(expected));
    }
}

#[test]
fn the_program_ends_with_status_2_and_one_line() {
    let files = TempDir::new();
    let path = files.path().join("a\nb.toml");
    std::fs::write(&path, "lisen = 1").expect("a file");
    for what in ["serve", "check", "config"] {
        let mut command = command(&[what, "--config"]);
        command.arg(&path);
        let outcome = run(command);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
        assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{outcome:?}");
        assert!(
            outcome.stderr.contains("1:1: there is no key"),
            "{outcome:?}"
        );
    }
}
