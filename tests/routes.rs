//! Routes over real sockets: each domain has upstreams of its own, by TLS.

use crate::support::checks::canary;
use crate::support::client::{TcpClient, UdpClient};
use crate::support::codes::{A, REFUSED, SERVFAIL};
use crate::support::embedded::Embedded;
use crate::support::messages::query;
use crate::support::reading::read;
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;
use dotward::config::{Config, ConfigBuilder, Policy, Roots, Route, Target, Upstream};
use dotward::transports::SCHEMES;

fn upstream(server: &DotServer) -> Upstream {
    Upstream::parse(&server.spec(), SCHEMES).expect("a good one")
}

fn to(domains: &str, target: Target) -> Route {
    let domains = domains.split(' ').map(|name| name.parse().expect("a name"));
    Route::new(domains.collect(), target)
}

/// `corp.test` goes to the second server, everything else to the first.
fn split(trust: &Trust, first: &DotServer, second: &DotServer) -> ConfigBuilder {
    let pem = trust.authority.pem().into_bytes();
    let forward = Target::Upstreams {
        upstreams: vec![upstream(second)],
        policy: Policy::Failover,
    };
    Config::builder()
        .roots(Roots::from_pem("root", pem).expect("a certificate"))
        .upstreams([upstream(first)])
        .routes([to("corp.test", forward), to("refused.test", Target::Refuse)])
}

/// How many queries a server has seen.
fn asked(server: &DotServer) -> usize {
    server.seen().queries.len()
}

#[test]
fn each_domain_is_asked_of_its_own_upstream() {
    let trust = Trust::new();
    let [first, second] = [(); 2].map(|()| DotServer::with(trust.authority.good()).start());
    let proxy = Embedded::start(split(&trust, &first, &second));
    for number in 0..5 {
        canary(proxy.address(), &format!("n{number}.test"));
        canary(proxy.address(), &format!("n{number}.corp.test"));
    }
    let over_tcp = TcpClient::new(proxy.address());
    let answer = over_tcp.ask(&query("tcp.corp.test", A).build());
    assert_eq!(read(&answer).rcode(), 0);
    assert_eq!((asked(&first), asked(&second)), (5, 6));
    let refused = query("a.refused.test", A).edns(1232, 0, &[]).build();
    let refused = read(&UdpClient::new(proxy.address()).ask(&refused));
    assert_eq!(
        (refused.rcode(), refused.extended_errors()),
        (REFUSED, vec![18])
    );
}

#[test]
fn a_domain_is_answered_while_the_other_upstream_is_down_and_the_other_way_round() {
    let trust = Trust::new();
    let [mut first, mut second] = [(); 2].map(|()| DotServer::with(trust.authority.good()).start());
    let proxy = Embedded::start(split(&trust, &first, &second).cache_bytes(0));
    let fails = |name: &str| {
        let asked = query(name, A).build();
        let got = read(&UdpClient::new(proxy.address()).ask(&asked));
        assert_eq!(got.rcode(), SERVFAIL, "{name}");
    };
    first.stop();
    canary(proxy.address(), "a.corp.test");
    fails("a.test");
    canary(proxy.address(), "b.corp.test");
    first.start();
    second.stop();
    canary(proxy.address(), "c.test");
    fails("c.corp.test");
    canary(proxy.address(), "d.test");
}
