//! The file of the socket, from one process to the next.

use std::fs;
use std::os::unix::net::UnixListener;

use super::{Stand, started};
use crate::support::checks::canary;
use crate::support::command::{Outcome, command, run};

/// What becomes of another program with the same socket.
fn another(stand: &Stand) -> Outcome {
    let socket = stand.socket.to_str().expect("a text");
    let spec = stand.upstream.spec();
    let args = stand.trust.args(&[&spec], &["--control-socket", socket]);
    run(command(&args))
}

// fault 144
#[test]
fn what_a_killed_program_leaves_is_replaced() {
    let mut stand = Stand::answering();
    stand.proxy.signal("KILL");
    stand.proxy.wait();
    assert!(stand.socket.exists(), "nobody has removed it");
    let outcome = stand.run("status");
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("nobody listens at"), "{outcome:?}");
    stand.proxy = started(&stand.trust, &stand.upstream, &stand.socket, &[]);
    canary(stand.address(), "a.test");
    assert_eq!(stand.json("status")["clients"]["queries"], 1);
    assert_eq!(stand.proxy.terminate().code(), Some(0));
    let left = fs::read_dir(stand.files.path()).expect("a folder").count();
    assert_eq!(left, 0, "nothing is left behind");
}

// fault 144
#[test]
fn the_socket_of_a_living_program_is_its_own() {
    let stand = Stand::answering();
    let outcome = another(&stand);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let expected = format!(
        "the control socket (control-socket) {}: another process listens there",
        stand.socket.display()
    );
    assert!(outcome.stderr.contains(&expected), "{outcome:?}");
    assert!(stand.json("status")["ready"].is_boolean());
}

// fault 144
#[test]
fn what_is_no_socket_ends_the_start_and_stays() {
    let mut stand = Stand::answering();
    assert_eq!(stand.proxy.terminate().code(), Some(0));
    fs::write(&stand.socket, "a text").expect("a file");
    let outcome = another(&stand);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("this file is no socket"),
        "{outcome:?}"
    );
    assert_eq!(fs::read_to_string(&stand.socket).expect("a file"), "a text");
    fs::remove_file(&stand.socket).expect("it can go");
    stand.socket = stand.files.path().join("none").join("control.sock");
    let outcome = another(&stand);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("there is no folder"), "{outcome:?}");
}

// fault 144
#[test]
fn a_file_that_has_taken_its_place_is_not_removed() {
    let mut stand = Stand::answering();
    fs::remove_file(&stand.socket).expect("somebody removes it");
    let other = UnixListener::bind(&stand.socket).expect("and takes its place");
    assert_eq!(stand.proxy.terminate().code(), Some(0));
    assert!(stand.socket.exists());
    drop(other);
}
