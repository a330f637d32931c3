//! The end-to-end tests: one binary, one topic a file, nothing but loopback.

#[cfg(target_os = "linux")]
mod activation;
#[cfg(feature = "admin")]
mod admin;
mod arguments;
mod authentication;
mod battery;
mod certificates;
mod configuration;
mod configuration_file;
mod decisions;
mod designation;
mod early_data;
mod edns;
#[cfg(feature = "listen-tls")]
mod encrypted_listener;
mod failover;
mod faults_tls;
#[cfg(unix)]
mod files;
mod harness;
#[cfg(feature = "listen-tls")]
mod household;
#[cfg(feature = "listen-https")]
mod https_listener;
mod key_log;
mod lifecycle;
mod limits;
mod listening;
mod matching;
mod padding;
mod pages;
mod pins;
mod privacy;
mod probe;
mod queries;
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
