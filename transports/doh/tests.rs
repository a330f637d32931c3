//! What requests look like.

use super::*;
use crate::config::SCHEMES;

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
        let names: Vec<&str> = request.headers().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["accept", "content-type"]);
    }
}
