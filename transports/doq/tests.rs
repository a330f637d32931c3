//! What is made for which configuration.

#![cfg(feature = "async-std")]

use super::*;
use crate::config::SCHEMES;
use crate::transports::async_std::AsyncStd;

fn config(upstreams: &[&str]) -> Config {
    let upstreams = upstreams.iter();
    let upstreams: Vec<Upstream> = upstreams
        .map(|spec| Upstream::parse(spec, SCHEMES).unwrap())
        .collect();
    Config::builder().upstreams(upstreams).build().unwrap()
}

#[test]
fn certificates_are_read_only_where_an_upstream_needs_them() {
    // fault 86
    let unread = "192.0.2.1#dns.test?client-certificate=/a.pem";
    assert!(check(&config(&[unread])).is_ok(), "TLS says what is wrong");
    let error = check(&config(&[&format!("quic://{unread}")])).unwrap_err();
    assert!(error.reason.contains("/a.pem was not read"), "{error}");
    let (without, with) = (
        config(&["192.0.2.1#dns.test"]),
        config(&["192.0.2.1#dns.test", "quic://192.0.2.1#dns.test"]),
    );
    let mut doq = Doq::new(AsyncStd::default(), &without).unwrap();
    assert!(doq.used.is_none());
    doq.reconfigure(&without, &with).unwrap();
    assert!(doq.used.is_some());
    doq.reconfigure(&with, &without).unwrap();
    assert!(Doq::new(AsyncStd::default(), &with).unwrap().used.is_some());
}
