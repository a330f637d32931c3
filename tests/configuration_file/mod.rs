//! The configuration file: what it can say, what takes precedence over it, what it looks like, and what is said of its mistakes.

mod any;
mod bootstrap;
#[cfg(unix)]
mod hook_up;
mod printed;
mod samples;
mod sources;
mod tables;
mod wrong;

use crate::support::authority::TempDir;
use dotward::cli::{Command, Settings, Sources};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

/// A folder with files in it, and the program that reads them.
struct Stand {
    files: TempDir,
}

impl Stand {
    fn new() -> Self {
        Self {
            files: TempDir::new(),
        }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// The settings of this file beside these arguments and variables.
    fn read(&self, text: &str, arguments: &str, variables: &[(&str, &str)]) -> Settings {
        let file = self.write("dotward.toml", text);
        settings(&sources(
            &format!("serve --config {file} {arguments}"),
            variables,
        ))
    }

    /// What `dotward config` prints for them.
    fn effective(&self, text: &str, arguments: &str, variables: &[(&str, &str)]) -> String {
        let file = self.write("dotward.toml", text);
        effective(&sources(
            &format!("config --config {file} {arguments}"),
            variables,
        ))
    }
}

fn sources(line: &str, variables: &[(&str, &str)]) -> Sources {
    let variables = variables.iter();
    Sources::new(
        line.split_whitespace().map(OsString::from),
        variables.map(|(name, value)| (name.into(), value.into())),
    )
}

fn settings(sources: &Sources) -> Settings {
    match sources.read() {
        Ok(Command::Serve(settings)) => settings,
        other => panic!("{other:?}"),
    }
}

fn effective(sources: &Sources) -> String {
    match sources.read() {
        Ok(Command::Config(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// All that can differ between two settings.
fn told(settings: &Settings) -> String {
    let hosts: Vec<_> = settings
        .config
        .hosts()
        .iter()
        .map(|(name, addresses)| (name, addresses.collect::<Vec<_>>()))
        .collect();
    let Settings {
        config,
        runtime,
        log,
        log_format,
        admin,
        control_socket,
        query_log,
        warnings,
        ..
    } = settings;
    let warnings = warnings.len();
    format!(
        "{config:?} {runtime} {log} {log_format} {admin:?} {control_socket:?} {query_log:?} {warnings} {hosts:?}"
    )
}

/// The lines without what follows two spaces and a number sign.
fn without_comments(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split("  # ").next().unwrap_or_default())
        .collect()
}

/// The keys that `dotward config` prints: all that there are outside of tables.
fn keys() -> BTreeSet<String> {
    let text = effective(&sources("config", &[]));
    let lines = without_comments(&text);
    let keys: BTreeSet<String> = lines
        .iter()
        .filter_map(|line| Some(line.split_once(" = ")?.0.to_owned()))
        .collect();
    assert!(keys.len() > 25, "{keys:?}");
    keys
}

const ALL: &str = r#"
listen = ["127.0.0.1:5300", "[::1]:5300"]
upstream = ["quad9", { address = "tcp://192.0.2.1", allow-plaintext = true }]
bootstrap = "system"
timeout = 1.5
max-in-flight = 2_048
hedge = true

[[route]]
domain = "corp.example"
upstreams = ["tcp://192.0.2.9", "quad9"]
policy = "fastest"
allow-plaintext = true

[[route]]
domain = ["ads.example", "x.example."]
to = "nxdomain"

[[route]]
domain = "."
upstreams = [{ address = "google" }]

[hosts]
nas.home.arpa = "192.168.1.10"
"b.home.arpa" = ["192.168.1.11", "fd00::10"]
"#;
