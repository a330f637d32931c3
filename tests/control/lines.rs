//! What comes over the socket that is no request, or too much.

use std::time::{Duration, Instant};

use super::{Line, STATUS, Stand, code};
use crate::support::checks::{canary, load};
use crate::support::journal::DEADLINE;

/// Connections at once.
const MAX_CONNECTIONS: usize = 16;
/// Octets of a line.
const MAX_LINE: usize = 4_096;

// req 123, fault 145
#[test]
fn garbage_is_refused_line_by_line_and_the_connection_goes_on() {
    let stand = Stand::answering();
    let mut line = stand.connect();
    for garbage in [
        "",
        "status",
        "{}",
        "\u{0}\u{1b}",
        "[[[[",
        r#"{"version":1}"#,
    ] {
        assert_eq!(line.refused(garbage), "bad_request", "{garbage:?}");
    }
    assert_eq!(
        line.refused(r#"{"version":9,"command":"status"}"#),
        "version"
    );
    assert_eq!(
        line.refused(r#"{"version":1,"command":"stop"}"#),
        "unknown_command"
    );
    assert_eq!(
        line.refused(r#"{"version":1,"command":"flush","nmae":"a.test"}"#),
        "bad_request"
    );
    line.send(&[0xff, 0xfe, b'\n']);
    assert_eq!(code(&line.receive().expect("a reply")), "bad_request");
    // Nesting without end is no way to overflow a stack.
    assert_eq!(line.refused(&"[".repeat(MAX_LINE - 8)), "bad_request");
    assert_eq!(line.ask(STATUS)["ok"], true);
    canary(stand.address(), "a.test");
}

// req 123
#[test]
fn requests_may_come_in_any_pieces_and_several_at_once() {
    let stand = Stand::answering();
    let mut line = stand.connect();
    let (first, second) = STATUS.split_at(9);
    line.send(first.as_bytes());
    canary(stand.address(), "a.test");
    line.send(format!("{second}\n{STATUS}\n\n{STATUS}").as_bytes());
    line.0
        .get_ref()
        .shutdown(std::net::Shutdown::Write)
        .expect("the end of what is sent");
    assert_eq!(line.receive().expect("the first")["ok"], true);
    assert_eq!(line.receive().expect("the second")["ok"], true);
    assert_eq!(code(&line.receive().expect("an empty line")), "bad_request");
    assert_eq!(line.receive().expect("a line without an end")["ok"], true);
    assert!(line.ends());
}

// fault 145
#[test]
fn a_line_that_is_too_long_ends_its_connection() {
    let stand = Stand::answering();
    for octets in [vec![b'x'; MAX_LINE], vec![b' '; 100 * MAX_LINE]] {
        let mut line = stand.connect();
        line.send(&octets);
        assert_eq!(code(&line.receive().expect("a reply")), "too_long");
        assert!(line.ends());
    }
    let mut line = stand.connect();
    let padded = format!("{STATUS}{}", " ".repeat(MAX_LINE - STATUS.len() - 1));
    assert_eq!(line.ask(&padded)["ok"], true, "the longest line");
}

// fault 145
#[test]
fn many_connections_that_say_nothing_hold_up_nobody_for_long() {
    let stand = Stand::answering();
    let mut silent: Vec<Line> = (0..MAX_CONNECTIONS).map(|_| stand.connect()).collect();
    // Each of them was accepted once it is answered.
    for line in &mut silent {
        assert_eq!(line.ask(STATUS)["ok"], true);
    }
    let mut more = stand.connect();
    assert_eq!(code(&more.receive().expect("a reply")), "busy");
    assert!(more.ends());
    let outcome = stand.run("status");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("16 others are connected"),
        "{outcome:?}"
    );
    // Clients of DNS are not concerned.
    load(stand.address(), "beside", 50, 10);
    drop(silent.pop());
    let since = Instant::now();
    while stand.run("status").code != Some(0) {
        assert!(since.elapsed() < DEADLINE, "the place is not free again");
    }
    // The others are closed by themselves.
    let since = Instant::now();
    for line in silent {
        assert!(line.ends());
    }
    assert!(
        since.elapsed() < Duration::from_secs(15),
        "{:?}",
        since.elapsed()
    );
}

// fault 145
#[test]
fn a_flood_of_requests_that_nobody_reads_holds_up_nobody() {
    let stand = Stand::answering();
    canary(stand.address(), "before.test");
    let mut flood = stand.connect();
    let stream = flood.0.get_mut();
    stream.set_nonblocking(true).expect("it does not block");
    let lines = format!("{STATUS}\n").repeat(200);
    let mut sent = 0;
    while let Ok(count @ 1..) =
        std::io::Write::write(stream, &lines.as_bytes()[sent % STATUS.len()..])
    {
        sent += count;
        assert!(sent <= 8 << 20, "it reads without end");
    }
    assert_eq!(stand.json("status")["ready"], true);
    canary(stand.address(), "a.test");
}
