//! Certificates of upstreams that end soon.

use std::time::Duration;

use crate::support::checks::canary;
use crate::support::command::{command, run};
use crate::support::proxy::Proxy;
use crate::support::script::{Received, Step, right_answer};
use crate::support::setup::Trust;
use crate::support::socks::{Does, Socks};
use crate::support::upstream::DotServer;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const WARNING: &str = "its certificate ends at ";

/// Answers, and ends the connection, so that the next query needs another handshake.
fn hang_up(asked: &Received) -> Vec<Step> {
    vec![
        Step::Answer(right_answer(asked)),
        Step::CloseNotify,
        Step::Fin,
    ]
}

/// A server whose certificate ends after so long; each handshake with it shows that.
fn server(trust: &Trust, left: Duration) -> DotServer {
    let leaf = trust.authority.valid_for(left);
    DotServer::with(leaf).tickets(0).script(hang_up).start()
}

/// The seconds that the report after SIGUSR1 says of the certificate.
fn reported(proxy: &Proxy) -> u64 {
    proxy.signal("USR1");
    let line = proxy.wait_log(", certificate_seconds ");
    let (_, seconds) = line.rsplit_once(' ').expect("a number");
    seconds.parse().expect("a number of seconds")
}

/// The report knows how long a certificate of 13 days is valid, and the log warns of it once.
fn assert_reported_and_warned_of_once(mut proxy: Proxy) {
    let seconds = reported(&proxy);
    assert!(seconds + 60 > (13 * DAY).as_secs(), "{seconds}");
    assert!(proxy.terminate().success());
    let logs = proxy.logs();
    let warnings = logs.iter().filter(|line| line.contains(WARNING)).count();
    assert_eq!(warnings, 1, "{logs:#?}");
}

#[test]
fn a_certificate_is_warned_of_once_in_its_last_14_days() {
    let trust = Trust::new();
    // One second more: the encoding leaves out fractions.
    for (days, warned) in [(13, true), (15, false)] {
        let left = days * DAY + Duration::from_secs(1);
        let upstream = server(&trust, left);
        let spec = upstream.spec();
        let mut proxy = trust.proxy(&[&spec], &[]);
        for name in ["a.test", "b.test", "c.test"] {
            canary(proxy.address(), name);
        }
        let seconds = reported(&proxy);
        assert!(
            seconds <= left.as_secs() && seconds + 60 > left.as_secs(),
            "{seconds}"
        );
        assert!(proxy.terminate().success());
        let handshakes = upstream.seen().handshakes;
        assert!(handshakes.len() >= 3 && handshakes.iter().all(|one| !one.resumed));
        let logs = proxy.logs();
        let warnings: Vec<_> = logs.iter().filter(|line| line.contains(WARNING)).collect();
        assert_eq!(warnings.len(), usize::from(warned), "{logs:#?}");
        if let [warning] = warnings[..] {
            let named = format!("WARN {spec} {}: {WARNING}", upstream.address());
            assert!(warning.contains(&named), "{warning}");
            assert!(
                warning.contains("Z, in 13 days: renew it on the server, or tell the operator"),
                "{warning}"
            );
        }
    }
}

#[test]
fn a_session_that_is_resumed_leaves_what_is_known_of_the_certificate() {
    let trust = Trust::new();
    let leaf = trust.authority.valid_for(13 * DAY);
    let upstream = DotServer::with(leaf).script(hang_up).start();
    let proxy = trust.proxy(&[&upstream.spec()], &[]);
    for name in ["a.test", "b.test", "c.test"] {
        canary(proxy.address(), name);
    }
    let handshakes = upstream.seen().handshakes;
    assert!(handshakes.iter().any(|one| one.resumed), "{handshakes:?}");
    assert_reported_and_warned_of_once(proxy);
}

#[test]
fn a_certificate_past_its_end_does_not_end_soon() {
    let trust = Trust::new();
    let leaf = trust.authority.expired();
    let spec = format!("127.0.0.1?pin-sha256={}", leaf.pin());
    let upstream = DotServer::with(leaf).start();
    let spec = spec.replacen("127.0.0.1", &upstream.address().to_string(), 1);
    let outcome = run(command(&["check", "--probe", "--upstream", &spec]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let expired = "certificate  expired at 2001-01-01T00:00:00Z";
    assert!(outcome.stdout.contains(expired), "{outcome:?}");
    assert!(!outcome.stdout.contains("ends soon"), "{outcome:?}");
}

#[test]
fn the_certificate_of_an_isolated_upstream_is_known_too() {
    let trust = Trust::new();
    let upstream = server(&trust, 13 * DAY);
    let socks = Socks::start(upstream.address(), Does::Connect);
    let spec = format!("{}?socks5={}&isolate=true", upstream.spec(), socks.address);
    let proxy = trust.proxy(&[&spec], &[]);
    for name in ["a.one.example", "a.two.example"] {
        canary(proxy.address(), name);
    }
    assert_reported_and_warned_of_once(proxy);
}

#[test]
fn a_probe_warns_of_a_certificate_that_ends_soon() {
    let trust = Trust::new();
    for (days, warned) in [(13, true), (15, false)] {
        let upstream = server(&trust, days * DAY + Duration::from_secs(60));
        let spec = upstream.spec();
        let args = [
            "check",
            "--probe",
            "--ca-file",
            &trust.root,
            "--upstream",
            &spec,
        ];
        let outcome = run(command(&args));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let warning = "\n  warning      the certificate ends soon: renew it on the server, or ";
        assert_eq!(outcome.stdout.contains(warning), warned, "{outcome:?}");
        let outcome = run(command(&[&args[..], &["--json"]].concat()));
        let member = format!("\"ends_soon\":{warned}");
        assert!(outcome.stdout.contains(&member), "{outcome:?}");
    }
}
