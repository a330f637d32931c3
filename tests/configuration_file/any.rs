//! Fault 86: no file makes the program panic; it is obeyed, or one line names what is wrong.

use super::wrong::read;
use crate::support::authority::TempDir;
use dotward::cli::Command;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const KEYS: &[&str] = &[
    "listen",
    "upstream",
    "policy",
    "bootstrap",
    "allow-plaintext",
    "timeout",
    "cache-size",
    "hosts-file",
    "min-ttl",
    "max-ttl",
    "workers",
    "allow-net",
    "log",
    "domain",
    "upstreams",
    "to",
    "address",
    "a.b.c",
    "\"x.test\"",
    "\"\"",
];

const VALUES: &[&str] = &[
    "\"127.0.0.1\"",
    "\"::1\"",
    "[\"::1\", \"127.0.0.1\"]",
    "[]",
    "\"quad9\"",
    "[\"quad9\", \"google\"]",
    "{ address = \"google\" }",
    "\"tcp://192.0.2.1\"",
    "\"failover\"",
    "true",
    "false",
    "1",
    "0",
    "-1",
    "1.5",
    "inf",
    "nan",
    "0xff",
    "\"4s\"",
    "\"4M\"",
    "\"a.test\"",
    "\".\"",
    "[\"a.test\", \"b.test\"]",
    "\"local\"",
    "\"none\"",
    "\"\"",
    "'x'",
    "\"\"\"\nx\"\"\"",
    "1979-05-27",
    "[[1]]",
    "{}",
    "\"\\u001b[2J\"",
    "\"\\u0000\"",
];

/// Lines as somebody may write them.
fn line() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        6 => select(KEYS).prop_map(str::to_owned),
        1 => "[a-z-]{0,8}",
    ];
    let value = prop_oneof![
        4 => select(VALUES).prop_map(str::to_owned),
        1 => "[0-9a-f:.%@#/\\[\\]{}\"',smMk -]{0,24}",
        1 => ".{0,12}",
    ];
    prop_oneof![
        6 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
        2 => select(&["[[route]]", "[hosts]", "[[upstream]]", "[x]", "[", ""][..]).prop_map(str::to_owned),
        1 => ".{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    // fault 86
    #[test]
    fn any_file_is_obeyed_or_named(lines in vec(line(), 0..8)) {
        let files = TempDir::new();
        let text = lines.join("\n");
        match read(files.path(), text.as_bytes()) {
            Ok(Command::Check(settings)) => {
                prop_assert!(!settings.warnings.iter().any(|line| line.contains(char::is_control)));
            }
            Ok(other) => prop_assert!(false, "{other:?}"),
            Err(error) => {
                prop_assert!(!error.contains(char::is_control), "{error:?}");
                // A default that does not fit what the file says is named as the option that would replace it.
                prop_assert!(error.starts_with("FILE:") || error.starts_with("--"), "{error:?}");
            }
        }
    }
}
