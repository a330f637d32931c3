//! The end-to-end tests: one binary, one topic a file, nothing but loopback.

#[cfg(target_os = "linux")]
mod activation;
#[cfg(feature = "admin")]
mod admin;
mod arguments;
mod authentication;
mod battery;
#[cfg(feature = "query")]
mod bench;
#[cfg(feature = "captive")]
mod captive;
mod certificates;
mod configuration;
mod configuration_file;
#[cfg(all(feature = "control", unix))]
mod control;
mod decisions;
mod designation;
mod early_data;
mod edns;
#[cfg(feature = "listen-tls")]
mod encrypted_listener;
mod failover;
#[cfg(all(feature = "control", unix))]
mod failures_explained;
mod faults_tls;
#[cfg(unix)]
mod files;
mod harness;
#[cfg(feature = "listen-tls")]
mod household;
#[cfg(feature = "listen-https")]
mod https_listener;
#[cfg(all(
    feature = "import",
    feature = "doh",
    feature = "doq",
    feature = "listen-tls"
))]
mod import;
mod key_log;
mod lifecycle;
mod limits;
mod listening;
mod log_lines;
mod matching;
mod padding;
mod pages;
mod pins;
mod privacy;
mod probe;
#[cfg(feature = "query")]
mod prove;
mod queries;
#[cfg(feature = "query")]
mod query;
mod query_log;
mod reload;
mod routes;
mod rude_clients;
mod sharing;
mod simulator;
mod socks;
mod split;
mod streams;
mod support;
mod tcp_clients;
mod transparency;
mod truncation;
mod virtual_time;
