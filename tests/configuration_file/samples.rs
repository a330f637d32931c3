//! Each key has an option and a variable that say the same.

use super::{Stand, keys, settings, sources, told};
use crate::support::authority::{Authority, Leaf};
use dotward::cli::Sources;
use std::collections::BTreeSet;
use std::ffi::OsString;

/// Keys, a value of each as it is written in a file, and the same for an option. `FOLDER` has some files.
const SAMPLES: &[(&str, &str, &str)] = &[
    (
        "listen",
        "[\"192.0.2.1:5300\", \"::1\"]",
        "192.0.2.1:5300,::1",
    ),
    #[cfg(feature = "listen-tls")]
    ("listen-tls", "\"192.0.2.1\"", "192.0.2.1:853"),
    #[cfg(feature = "listen-https")]
    ("listen-https", "\"192.0.2.1\"", "192.0.2.1:443"),
    ("certificate", "\"FOLDER/own.pem\"", "FOLDER/own.pem"),
    ("certificate-key", "\"FOLDER/own.pem\"", "FOLDER/own.pem"),
    ("listener-name", "\"dns.home.example\"", "dns.home.example"),
    ("upstream", "\"quad9\"", "quad9"),
    ("policy", "\"fastest\"", "fastest"),
    ("split-upstreams", "2", "2"),
    ("split-key-file", "\"FOLDER/key\"", "FOLDER/key"),
    ("hedge", "true", "true"),
    ("bootstrap", "\"192.0.2.53\"", "192.0.2.53"),
    (
        "captive",
        "\"allow-plaintext-for 60s\"",
        "allow-plaintext-for 60 s",
    ),
    (
        "captive-resolver",
        "[\"192.0.2.1\", \"system\"]",
        "192.0.2.1 system",
    ),
    ("allow-plaintext", "true", "true"),
    ("ca-file", "\"FOLDER/ca.pem\"", "FOLDER/ca.pem"),
    ("key-log", "true", "true"),
    ("padding", "256", "256"),
    ("ecs", "\"forbid\"", "forbid"),
    ("timeout", "1.5", "1500ms"),
    ("cache-size", "1_048_576", "1M"),
    ("queue-size", "\"32M\"", "32M"),
    ("min-ttl", "60", "1m"),
    ("max-ttl", "\"1h\"", "1h"),
    ("serve-stale", "false", "off"),
    ("rotate", "\"yes\"", "on"),
    ("forward-special-names", "true", "true"),
    ("hosts-file", "\"FOLDER/hosts\"", "FOLDER/hosts"),
    ("show-version", "true", "true"),
    ("workers", "2", "2"),
    ("keep-scheduling", "true", "true"),
    ("ignore-network-changes", "true", "true"),
    ("log", "\"debug\"", "debug"),
    ("log-format", "\"json\"", "json"),
    ("query-log", "\"FOLDER/queries\"", "FOLDER/queries"),
    ("query-log-clients", "\"prefix\"", "prefix"),
    ("admin", "\"127.0.0.1:9553\"", "127.0.0.1"),
    (
        "control-socket",
        "\"/run/dotward/control.sock\"",
        "/run/dotward/control.sock",
    ),
    ("record-size", "\"64k\"", "64k"),
    (
        "allow-net",
        "[\"127.0.0.1\", \"localnets\"]",
        "127.0.0.1 localnets",
    ),
    ("runtime", "\"RUNTIME\"", "RUNTIME"),
    ("max-in-flight", "3_000", "3000"),
    ("max-in-flight-per-client", "0x10", "16"),
    ("max-link-in-flight", "17", "17"),
    ("max-tcp-connections", "\"500\"", "500"),
    ("max-tcp-per-client", "18", "18"),
    ("max-tcp-in-flight", "19", "19"),
    ("tcp-idle", "\"20s\"", "20"),
    ("udp-payload", "512", "512"),
];

#[test]
fn a_file_says_what_options_and_variables_say() {
    let sampled: BTreeSet<String> = SAMPLES.iter().map(|(key, ..)| (*key).to_owned()).collect();
    let mut keys = keys();
    if cfg!(not(feature = "listen-tls")) {
        assert!(keys.remove("listen-tls"));
    }
    if cfg!(not(feature = "listen-https")) {
        assert!(keys.remove("listen-https"));
    }
    assert_eq!(sampled, keys, "each key has a sample");
    let stand = Stand::new();
    stand.write("ca.pem", &Authority::new().pem());
    stand.write("key", "0123456789abcdef");
    stand.write("hosts", "192.0.2.7 nas.home.arpa\n");
    let own = Leaf::self_signed();
    let own = stand.write("own.pem", &(own.pem() + &own.key_pem()));
    let defaults = settings(&sources("serve", &[]));
    // A build without the feature refuses the value.
    let lacks = |key: &str| match key {
        "admin" => !cfg!(feature = "admin"),
        "control-socket" | "record-size" => !cfg!(feature = "control"),
        "captive" | "captive-resolver" => !cfg!(feature = "captive"),
        "certificate" | "certificate-key" | "listen-tls" => !cfg!(feature = "listen-tls"),
        _ => false,
    };
    for (key, in_file, typed) in SAMPLES.iter().filter(|(key, ..)| !lacks(key)) {
        let filled = |text: &str| {
            let folder = stand.files.path().display().to_string();
            text.replace("FOLDER", &folder)
                .replace("RUNTIME", &defaults.runtime)
        };
        let (in_file, typed) = (filled(in_file), filled(typed));
        // Without a certificate these two are mistakes.
        let beside: &[(&str, &str)] = match *key {
            "listen-tls" | "listen-https" | "certificate-key" => &[("DOTWARD_CERTIFICATE", &own)],
            // Without the log nothing is told of clients.
            "query-log-clients" => &[("DOTWARD_QUERY_LOG", "-")],
            "captive-resolver" => &[("DOTWARD_CAPTIVE", "allow-plaintext-for 60s")],
            // Without the socket nobody asks for records.
            "record-size" => &[("DOTWARD_CONTROL_SOCKET", "/run/dotward/control.sock")],
            _ => &[],
        };
        let by_file = stand.read(&format!("{key} = {in_file}"), "", beside);
        let variable = format!("DOTWARD_{}", key.replace('-', "_").to_uppercase());
        let variables = [&[(&*variable, &*typed)], beside].concat();
        let by_variable = settings(&sources("serve", &variables));
        let words = ["serve".to_owned(), format!("--{key}={typed}")].map(OsString::from);
        let beside = beside
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        let by_option = settings(&Sources::new(words, beside));
        assert_eq!(told(&by_file), told(&by_option), "{key}");
        assert_eq!(told(&by_file), told(&by_variable), "{key}");
        assert!(
            *key == "runtime" || told(&by_file) != told(&defaults),
            "{key} changes nothing"
        );
    }
}
