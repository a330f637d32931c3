//! How an upstream is authenticated beyond a name: pins (RFC 7858 section 4.2), the opportunistic profile (RFC 8310 section 5), and the
//! certificate by which this host authenticates itself.

use std::fs;

use rustls::SupportedProtocolVersion;

use crate::support::authority::{Authority, Leaf, TempDir};
use crate::support::checks::{canary, rcode_of};
use crate::support::client::UdpClient;
use crate::support::codes::{A, AD, SERVFAIL};
use crate::support::messages::{query, response_to};
use crate::support::proxy::Proxy;
use crate::support::reading::{extra_text, read};
use crate::support::script::{Received, Step, right_answer};
use crate::support::setup::Trust;
use crate::support::upstream::{Builder, DotServer};

static VERSIONS: [&[&SupportedProtocolVersion]; 2] =
    [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];

/// A pin that no key has.
const NOBODY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Asks with EDNS: SERVFAIL, with the words of the extended error.
fn refusal(proxy: &Proxy) -> String {
    let asked = query("secret.test", A).edns(1232, 0, &[]).build();
    let got = UdpClient::new(proxy.address()).ask(&asked);
    assert_eq!(rcode_of(&got), SERVFAIL);
    extra_text(&got)
}

/// Answers, and ends the connection, so that the next query needs another handshake.
fn hang_up(asked: &Received) -> Vec<Step> {
    vec![
        Step::Answer(right_answer(asked)),
        Step::CloseNotify,
        Step::Fin,
    ]
}

/// What the server shows; whether a name is given; which pins, `%` being its own and `@` that of the authority; why it is refused.
type Row = (
    fn(&Authority) -> Leaf,
    bool,
    &'static [&'static str],
    Option<&'static str>,
);

// req 74, 77: what is wrong never gets an octet of a question, with either version of TLS.
#[test]
fn each_certificate_is_accepted_or_refused_by_pins_and_name() {
    let trust = Trust::new();
    let authority = &trust.authority;
    let wrong_pin = "no public key in its chain is pinned; its own is ";
    let rows: &[Row] = &[
        (Authority::good, true, &["%"], None),
        (Authority::good, true, &[NOBODY, "%"], None),
        (Authority::good, true, &["@"], None),
        (Authority::good, true, &[NOBODY], Some(wrong_pin)),
        (Authority::good, false, &["%"], None),
        (Authority::good, false, &[NOBODY], Some(wrong_pin)),
        (|_| Leaf::self_signed(), false, &["%"], None),
        (|_| Leaf::self_signed(), false, &[NOBODY], Some(wrong_pin)),
        (|_| Leaf::self_signed(), true, &["%"], Some("self-signed")),
        (|_| Leaf::unknown_authority(), false, &["%"], None),
        (
            |_| Leaf::unknown_authority(),
            false,
            &["@"],
            Some(wrong_pin),
        ),
        (
            |_| Leaf::unknown_authority(),
            true,
            &["%"],
            Some("unknown issuer"),
        ),
        (Authority::wrong_name, false, &["%"], None),
        (
            Authority::wrong_name,
            true,
            &["%"],
            Some("it is for elsewhere.test"),
        ),
        (Authority::expired, false, &["%"], None),
        (Authority::expired, true, &["%"], Some("expired at 2001")),
        (
            Authority::not_yet_valid,
            true,
            &["%"],
            Some("not valid before 2999"),
        ),
        (
            Authority::common_name_only,
            true,
            &["%"],
            Some("it is for no host at all"),
        ),
    ];
    for (number, (leaf, named, pins, refused)) in rows.iter().enumerate() {
        for versions in VERSIONS {
            let leaf = leaf(authority);
            let pins: Vec<String> = pins
                .iter()
                .map(|pin| match *pin {
                    "%" => leaf.pin(),
                    "@" => authority.pin(),
                    other => other.to_owned(),
                })
                .map(|pin| format!("pin-sha256={pin}"))
                .collect();
            let own = leaf.pin();
            let upstream = DotServer::with(leaf).versions(versions).start();
            let place = if *named {
                upstream.spec()
            } else {
                upstream.address().to_string()
            };
            let spec = format!("{place}?{}", pins.join("&"));
            let proxy = trust.proxy(&[&spec], &["--timeout", "300ms"]);
            let Some(why) = refused else {
                canary(proxy.address(), "a.test");
                continue;
            };
            let told = refusal(&proxy);
            assert!(
                told.starts_with(&place) && told.contains(why),
                "row {number}: {told}"
            );
            assert!(
                *why != wrong_pin || told.contains(&own),
                "row {number}: {told}"
            );
            let seen = upstream.seen();
            assert!(!seen.hellos.is_empty(), "row {number}: it was tried");
            assert_eq!(
                (seen.application_data, seen.queries.len()),
                (0, 0),
                "row {number}"
            );
        }
    }
}

// req 77: a session that was verified by one pin is not resumed by another one.
#[test]
fn a_pin_that_is_changed_by_a_reload_holds_for_stored_sessions_too() {
    let (authority, files) = (Authority::new(), TempDir::new());
    let leaf = authority.good();
    let pin = leaf.pin();
    let upstream = DotServer::with(leaf).script(hang_up).start();
    let path = files.path().join("dotward.toml");
    let write = |pin: &str| {
        let address = upstream.address().to_string();
        let upstream = format!("{{ address = {address:?}, pin-sha256 = {pin:?} }}");
        let text = format!("upstream = {upstream}\ntimeout = 1\nserve-stale = \"off\"\n");
        fs::write(&path, text).expect("a file");
    };
    write(&pin);
    let file = path.display().to_string();
    let proxy = Proxy::start(&["serve", "--config", &file, "--listen", "127.0.0.1:0"]);
    for name in ["a.test", "b.test", "c.test"] {
        canary(proxy.address(), name);
    }
    let handshakes = upstream.seen().handshakes;
    assert!(handshakes.iter().any(|one| one.resumed), "{handshakes:?}");
    write(NOBODY);
    proxy.signal("HUP");
    proxy.wait_log("the configuration is in force");
    let asked = upstream.seen().queries.len();
    assert!(refusal(&proxy).contains("no public key in its chain is pinned"));
    assert_eq!(upstream.seen().queries.len(), asked);
}

// RFC 8310 section 5: encrypted, not authenticated, and nothing that such a server says is authentic.
#[test]
fn an_opportunistic_upstream_is_asked_whoever_it_is() {
    let trust = Trust::new();
    let authentic = |asked: &Received| {
        let answer = response_to(&asked.bytes).on(AD).a(300, [192, 0, 2, 1]);
        vec![Step::Answer(answer.build())]
    };
    for leaf in [
        Leaf::self_signed(),
        trust.authority.wrong_name(),
        trust.authority.expired(),
    ] {
        let upstream = DotServer::with(leaf).script(authentic).start();
        let spec = format!("{}?profile=opportunistic", upstream.spec());
        let proxy = trust.proxy(&[&spec], &[]);
        let client = UdpClient::new(proxy.address());
        for _ in 0..2 {
            // The second response comes from the cache.
            let got = client.ask(&query("a.test", A).on(AD).build());
            assert_eq!((read(&got).answer.len(), read(&got).has(AD)), (1, false));
        }
        assert_eq!(upstream.seen().queries.len(), 1);
        proxy.wait_log("is not authenticated (profile=opportunistic)");
        proxy.wait_log("connected, not authenticated, TLS 1.3");
    }
    let upstream = DotServer::with(trust.authority.good())
        .script(authentic)
        .start();
    let proxy = trust.proxy(&[&upstream.spec()], &[]);
    let got = UdpClient::new(proxy.address()).ask(&query("a.test", A).on(AD).build());
    assert!(read(&got).has(AD));
}

/// A server that wants certificates of this authority from its clients.
fn wanting(trust: &Trust, versions: &'static [&'static SupportedProtocolVersion]) -> Builder {
    DotServer::with(trust.authority.good())
        .versions(versions)
        .clients_of(&trust.authority)
}

#[test]
fn a_client_certificate_is_shown_to_an_upstream_that_wants_one() {
    let (trust, files) = (Trust::new(), TempDir::new());
    let write = |name: &str, text: String| {
        let path = files.path().join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let client = trust.authority.client_leaf();
    let both = write("both.pem", client.pem() + &client.key_pem());
    let chain = write("client.pem", client.pem());
    let key = write("client.key", client.key_pem());
    let strange = Authority::new().client_leaf();
    let strange = write("strange.pem", strange.pem() + &strange.key_pem());
    for versions in VERSIONS {
        for parameters in [
            format!("client-certificate={both}"),
            format!("client-certificate={chain}&client-key={key}"),
        ] {
            let upstream = wanting(&trust, versions).start();
            let spec = format!("{}?{parameters}", upstream.spec());
            canary(trust.proxy(&[&spec], &[]).address(), "a.test");
        }
        // Without one, and with one of somebody else: no question is answered, and clients learn why.
        for parameters in [String::new(), format!("?client-certificate={strange}")] {
            let upstream = wanting(&trust, versions).start();
            let spec = format!("{}{parameters}", upstream.spec());
            let told = refusal(&trust.proxy(&[&spec], &["--timeout", "300ms"]));
            let found = if parameters.is_empty() {
                "the server demands a client certificate: none is configured"
            } else {
                "the server demands a client certificate: it refused the one that is configured"
            };
            let before_tls13 = "or it wants a client certificate";
            assert!(
                [found, before_tls13, "decrypt error"]
                    .iter()
                    .any(|part| told.contains(part)),
                "{told}"
            );
            assert!(upstream.seen().queries.is_empty());
        }
        // A server that wants none is shown none.
        let upstream = DotServer::with(trust.authority.good())
            .versions(versions)
            .start();
        let spec = format!("{}?client-certificate={both}", upstream.spec());
        canary(trust.proxy(&[&spec], &[]).address(), "a.test");
    }
}
