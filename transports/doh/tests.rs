//! What requests look like.

use super::*;
use crate::config::SCHEMES;
#[cfg(feature = "async-std")]
use crate::transports::async_std::AsyncStd;

// req 90, 96
#[test]
fn the_uri_of_requests_names_the_server_by_what_its_certificate_is_for() {
    for (spec, uri) in [
        ("https://dns.test", "https://dns.test/dns-query"),
        ("https://dns.test:443/q", "https://dns.test/q"),
        ("https://dns.test:8443/q", "https://dns.test:8443/q"),
        ("https://192.0.2.1/a%20b#dns.test", "https://dns.test/a%20b"),
        (
            "https://192.0.2.1:8443#dns.test",
            "https://dns.test:8443/dns-query",
        ),
        ("https://192.0.2.1", "https://192.0.2.1/dns-query"),
        (
            "https://[2001:db8::1]:8443",
            "https://[2001:db8::1]:8443/dns-query",
        ),
    ] {
        let request = target(&Upstream::parse(spec, SCHEMES).unwrap()).unwrap();
        assert_eq!(request.uri().to_string(), uri, "{spec}");
        assert_eq!(request.method(), Method::POST);
        let names: Vec<&str> = request
            .headers()
            .keys()
            .map(http::HeaderName::as_str)
            .collect();
        assert_eq!(names, ["accept", "content-type"]);
    }
}

#[cfg(feature = "async-std")]
fn config(upstreams: &[&str]) -> Config {
    let upstreams = upstreams.iter();
    let upstreams: Vec<Upstream> = upstreams
        .map(|spec| Upstream::parse(spec, SCHEMES).unwrap())
        .collect();
    Config::builder().upstreams(upstreams).build().unwrap()
}

#[cfg(feature = "async-std")]
#[test]
fn certificates_are_read_only_where_an_upstream_needs_them() {
    // fault 86
    let unread = "192.0.2.1#dns.test?client-certificate=/a.pem";
    assert!(check(&config(&[unread])).is_ok(), "TLS says what is wrong");
    let error = check(&config(&[&format!("https://{unread}")])).unwrap_err();
    assert!(error.reason.contains("/a.pem was not read"), "{error}");
    let (without, with) = (
        config(&["192.0.2.1#dns.test"]),
        config(&["192.0.2.1#dns.test", "https://192.0.2.1#dns.test"]),
    );
    let mut doh = Doh::new(AsyncStd::default(), &without).unwrap();
    assert!(doh.tls.is_none());
    doh.reconfigure(&without, &with).unwrap();
    assert!(doh.tls.is_some());
    doh.reconfigure(&with, &without).unwrap();
    assert!(Doh::new(AsyncStd::default(), &with).unwrap().tls.is_some());
}
