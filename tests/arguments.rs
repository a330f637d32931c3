//! No command line, environment or file makes the program panic: it starts, or one line names what is wrong.

use crate::support::authority::{Authority, TempDir};
use crate::support::command::{command, run};
use dotward::cli::{Command, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::ffi::OsString;
use std::path::Path;

/// What somebody might write for a value, well or badly.
const VALUES: &[&str] = &[
    "",
    " ",
    ",",
    "-",
    "--",
    "=",
    "0",
    "1",
    "-1",
    "+1",
    "00",
    "65535",
    "65536",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "1e9",
    "0x10",
    "1.5s",
    "1.s",
    ".s",
    ".",
    "s",
    "ms",
    "0.0000000001s",
    "4M",
    "17179869184G",
    "k",
    "true",
    "false",
    "off",
    "debug",
    "127.0.0.1",
    "127.0.0.1:53",
    "127.0.0.1@53",
    "127.0.0.1:0",
    "127.0.0.1:99999",
    "0.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "[::1]",
    "[::1",
    "::1]",
    "[]",
    "[]:53",
    "[::1]:53:53",
    "fe80::1:5300",
    "fe80::1%lo",
    "fe80::1%",
    "fe80::1%99999999999",
    "[fe80::1%2]:53",
    "%",
    "@",
    "@@",
    "#",
    "##",
    ":",
    "::::",
    "quad9",
    "cloudflare,google",
    "quad9-unfiltered",
    "clodflare",
    "9.9.9.9#",
    "9.9.9.9#dns.quad9.net",
    "9.9.9.9@853#dns.quad9.net",
    "#dns.quad9.net",
    "tls://",
    "tls://dns.quad9.net",
    "TLS://9.9.9.9",
    "tcp://9.9.9.9",
    "://",
    "https://x",
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
    "10.0.0.1/8",
    "10.0.0.0/",
    "/",
    "/8",
    "::/129",
    "10.0.0.0/99999999999",
    "::ffff:10.0.0.0/104",
    "failover",
    "fastes",
    "async-std",
    "async_std",
    "/",
    "/dev/null",
    "/nonexistent",
    "\u{0}",
    "\n",
    "\u{1b}[2J",
    "é",
    "٣",
    "\u{202e}",
    "\u{1f980}",
    "xn--",
    "\u{1b}://x",
    "a.b:\u{1b}",
    "a.\u{1b}",
    "fe80::1%\u{1b}:53",
    "\u{1b}=\u{1b}",
    "a.b.c.d.e",
    "-h",
    "--help",
    "--listen",
];

const COMMANDS: &[&str] = &[
    "udp",
    "tcp",
    "serve",
    "check",
    "config",
    "resolv-conf",
    "providers",
    "help",
    "-h",
    "--help",
    "-V",
    "--version",
    "serv",
    "",
    "-",
    "--",
];

/// The names of all options, from the help: a new one is among them.
fn options() -> Vec<String> {
    let Ok(Command::Help(text)) = parse(["serve", "--help"].map(OsString::from), []) else {
        panic!("no help")
    };
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
    let names = words.filter_map(|word| word.strip_prefix("--"));
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    assert!(names.len() > 20, "{names:?}");
    names
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(VALUES).prop_map(str::to_owned),
        2 => "[0-9a-f:.%@#/\\[\\],smMk -]{0,24}",
        1 => ".{0,12}",
    ]
}

/// Words as somebody may type them: mostly options with values, in any order.
fn words() -> impl Strategy<Value = Vec<String>> {
    let option = || select(options()).prop_map(|name| format!("--{name}"));
    let pair = prop_oneof![
        8 => (option(), value()).prop_map(|(option, value)| vec![option, value]),
        4 => (option(), value()).prop_map(|(option, value)| vec![format!("{option}={value}")]),
        1 => option().prop_map(|option| vec![option]),
        1 => value().prop_map(|value| vec![value]),
    ];
    let command = prop_oneof![
        8 => select(&["udp", "tcp", "serve", "check", "config"][..]),
        1 => select(COMMANDS),
    ];
    (command, vec(pair, 0..5)).prop_map(|(command, pairs)| {
        let mut words = vec![command.to_owned()];
        words.extend(pairs.into_iter().flatten());
        words
    })
}

fn variables() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        8 => select(options()).prop_map(|name| name.replace('-', "_").to_uppercase()),
        1 => "[A-Z0-9_]{0,12}",
        1 => "(DNS_)?(SERVICE_HOST|SERVICE_PORT|PORT|PORT_[0-9]{0,3}_(TCP|UDP|QUIC))(_ADDR)?",
    ];
    vec(
        (name.prop_map(|name| format!("DOTWARD_{name}")), value()),
        0..3,
    )
}

/// A command, or an error of one line that names a word of these.
fn judge(words: &[String], variables: &[(String, String)]) -> Result<(), TestCaseError> {
    let read = parse(
        words.iter().map(OsString::from),
        variables
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    let error = match read {
        Ok(Command::Serve(settings) | Command::Check(settings)) => {
            // As `run` makes another of it.
            prop_assert!(settings.config.into_builder().build().is_ok());
            prop_assert!(
                !settings
                    .warnings
                    .iter()
                    .any(|line| line.contains(char::is_control))
            );
            return Ok(());
        }
        Ok(other) => {
            prop_assert!(other.text().is_some());
            return Ok(());
        }
        Err(error) => error.to_string(),
    };
    prop_assert!(!error.contains(char::is_control), "{error:?}");
    let named = |word: &str| {
        let name = word.split('=').next().unwrap_or_default();
        error.contains(&format!("{word:?}")) || (!name.is_empty() && error.contains(name))
    };
    let variable = |(name, _): &(String, String)| error.contains(name);
    // An upstream by default that does not fit the rest is named all the same.
    let option = error.starts_with("--upstream") || error.starts_with("--listen");
    prop_assert!(
        option || words.iter().any(|word| named(word)) || variables.iter().any(variable),
        "{:?} names nothing of {:?} {:?}",
        error,
        words,
        variables
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    // fault 86
    #[test]
    fn any_words_and_variables_are_obeyed_or_named(words in words(), variables in variables()) {
        judge(&words, &variables)?;
    }
}

// fault 86: each value for each option, alone.
#[test]
fn every_odd_value_of_every_option_is_obeyed_or_named() {
    for option in options() {
        for value in VALUES {
            let words = [
                "serve".to_owned(),
                format!("--{option}"),
                (*value).to_owned(),
            ];
            judge(&words, &[]).unwrap_or_else(|why| panic!("{why}"));
            let name = format!("DOTWARD_{}", option.replace('-', "_").to_uppercase());
            let variables = [(name, (*value).to_owned())];
            judge(&["serve".to_owned()], &variables).unwrap_or_else(|why| panic!("{why}"));
        }
    }
}

/// Reads these octets as a file of root certificates. An error names the file.
fn read_roots(path: &Path, octets: &[u8]) -> Result<(), TestCaseError> {
    std::fs::write(path, octets).expect("a file");
    let words = ["serve", "--ca-file"].map(OsString::from);
    let read = parse(words.into_iter().chain([path.into()]), []);
    if let Err(error) = read {
        let error = error.to_string();
        prop_assert!(
            error.starts_with(&format!("--ca-file {:?}: ", path.display().to_string())),
            "{error}"
        );
        prop_assert!(!error.contains(char::is_control), "{error:?}");
    }
    Ok(())
}

// faults 86, 116: whatever is in the file of root certificates.
#[test]
fn any_file_of_roots_is_read_or_named() {
    let files = TempDir::new();
    let path = files.path().join("roots.pem");
    let good = Authority::new().pem().into_bytes();
    let config = ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let change = (any::<Index>(), any::<u8>());
    let changed = (vec(change, 0..4), any::<Index>(), any::<bool>());
    runner
        .run(&changed, |(changes, end, twice)| {
            let mut octets = good.clone();
            for (at, octet) in changes {
                let len = octets.len();
                octets[at.index(len)] = octet;
            }
            octets.truncate(end.index(octets.len() + 1));
            if twice {
                octets.extend_from_within(..);
                octets.extend(&good);
            }
            read_roots(&path, &octets)
        })
        .unwrap_or_else(|why| panic!("{why}"));
    runner
        .run(&vec(any::<u8>(), 0..400), |octets| {
            read_roots(&path, &octets)
        })
        .unwrap_or_else(|why| panic!("{why}"));
}

// fault 86: the same through the program, where a panic would end it with another status.
#[test]
fn the_program_ends_with_status_2_and_one_line() {
    let files = TempDir::new();
    let directory = files.path().display().to_string();
    let long = "9".repeat(100_000);
    for args in [
        &["serv"][..],
        &["serve", "--polcy", "fastest"],
        &["serve", "--ca-file", &directory],
        &["serve", "--ca-file", "/dev/null"],
        &["serve", "--ca-file", ""],
        &["serve", "--timeout", &long],
        &["serve", "--cache-size", &long],
        &["serve", "--upstream", &long],
        &["serve", "--listen", "[::1"],
        &["serve", "--listen", "0.0.0.0:5300,127.0.0.1:5300"],
        &["serve", "--listen", "fe80::1:5300"],
        &["serve", "--workers", "\u{0663}"],
        &["serve", "--hedge=perhaps"],
        &["serve", "extra"],
        &["--listen", "::1", "serve"],
        &["providers", "--listen", "::1"],
    ] {
        let outcome = run(command(args));
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{outcome:?}");
        assert!(outcome.stderr.starts_with("dotward: "), "{outcome:?}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt as _;
        let wild = || OsString::from_vec(vec![b'-', b'-', 0xff, b'\n']);
        let mut argument = command(&["serve"]);
        argument.arg(wild());
        let mut variable = command(&["serve"]);
        variable.env("DOTWARD_LISTEN", wild());
        for command in [argument, variable] {
            let outcome = run(command);
            assert_eq!(outcome.code, Some(2), "{outcome:?}");
            assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{outcome:?}");
        }
    }
}
