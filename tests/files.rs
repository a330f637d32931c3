//! Files that the configuration names: what is none is refused, and nobody waits for one.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::authority::TempDir;
use crate::support::checks::canary;
use crate::support::command::{command, run};
use crate::support::proxy::Proxy;
use crate::support::setup::Trust;

/// Makes a FIFO in this folder.
fn fifo(files: &TempDir, name: &str) -> String {
    let path = files.path().join(name).display().to_string();
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo").success());
    path
}

// fault 86
#[test]
fn a_fifo_is_refused_at_once_wherever_a_file_is_named() {
    let files = TempDir::new();
    let fifo = fifo(&files, "fifo");
    let root = files.path().join("root.pem").display().to_string();
    fs::write(&root, "").expect("a file");
    for (option, value) in [
        ("--config", fifo.clone()),
        ("--ca-file", fifo.clone()),
        ("--hosts-file", fifo.clone()),
        ("--split-key-file", fifo.clone()),
        (
            "--upstream",
            format!("192.0.2.1#a.test?client-certificate={fifo}"),
        ),
        (
            "--upstream",
            format!("192.0.2.1#a.test?client-certificate={root}&client-key={fifo}"),
        ),
    ] {
        for verb in ["check", "serve"] {
            let args = [verb, "--listen", "127.0.0.1:0", option, &value];
            let outcome = run(command(&args));
            assert_eq!(outcome.code, Some(2), "{outcome:?}");
            let why = "is not a regular file (it is a FIFO)";
            assert!(outcome.stderr.contains(why), "{outcome:?}");
            assert!(outcome.stderr.contains(&fifo), "{outcome:?}");
        }
    }
}

// fault 86: nobody has to read the FIFO; where somebody does, it is a key log.
#[test]
fn a_key_log_that_is_a_fifo_is_not_waited_for() {
    let files = TempDir::new();
    let fifo = fifo(&files, "fifo");
    let outcome = |verb| {
        let mut command = command(&[verb, "--listen", "127.0.0.1:0", "--key-log"]);
        command.env("SSLKEYLOGFILE", &fifo);
        run(command)
    };
    for verb in ["check", "serve"] {
        let outcome = outcome(verb);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        let why = "cannot be written: it is a FIFO that nobody reads";
        assert!(outcome.stderr.contains(why), "{outcome:?}");
    }
    let both = OpenOptions::new().read(true).write(true).open(&fifo);
    let reader = both.expect("a reader");
    let read = outcome("check");
    assert_eq!(read.code, Some(0), "{read:?}");
    drop(reader);
}

// fault 86
#[test]
fn a_fifo_in_the_place_of_a_file_changes_nothing_at_a_reload() {
    let trust = Trust::new();
    let files = TempDir::new();
    let upstream = crate::support::upstream::DotServer::with(trust.authority.good()).start();
    let hosts = files.path().join("hosts").display().to_string();
    fs::write(&hosts, "").expect("a file");
    let more = ["--hosts-file", &hosts];
    let mut proxy = Proxy::start(&trust.args(&[&upstream.spec()], &more));
    fs::remove_file(&hosts).expect("it was there");
    fifo(&files, "hosts");
    proxy.signal("HUP");
    let line = proxy.wait_log("the configuration stays as it was");
    assert!(
        line.contains("is not a regular file (it is a FIFO)"),
        "{line}"
    );
    canary(proxy.address(), "a.test");
    assert!(proxy.terminate().success());
}

/// The standard input, a pipe, ends for the start and has a writer again at the reload, which does not come to an end. So it is with a file on
/// a server that does not respond.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_being_read_keeps_no_signal_waiting() {
    let mut command = command(&["serve", "--listen", "127.0.0.1:0"]);
    command.args([
        "--upstream",
        "192.0.2.1#a.test",
        "--hosts-file",
        "/dev/stdin",
    ]);
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    command.stdin(Stdio::from(reader));
    writer.write_all(b"192.0.2.7 a.test\n").expect("written");
    drop(writer);
    let mut proxy = Proxy::spawn(command);
    let input = format!("/proc/{}/fd/0", proxy.id());
    let writer = OpenOptions::new().write(true).open(Path::new(&input));
    let writer: File = writer.expect("another writer");
    proxy.signal("HUP");
    assert!(proxy.terminate().success());
    drop(writer);
}

#[test]
fn the_certificates_of_the_system_are_counted_and_what_cannot_be_read_is_warned_of() {
    let trust = Trust::new();
    let files = TempDir::new();
    let path = files.path().join("root.pem");
    fs::write(&path, trust.authority.pem()).expect("a file");
    let check = |file: &Path| {
        let mut command = command(&["check", "--ca-file", "system"]);
        let absent = files.path().join("absent");
        command
            .env("SSL_CERT_FILE", file)
            .env("SSL_CERT_DIR", absent);
        run(command)
    };
    let outcome = check(&path);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let trusted = "1 certificate of this system is trusted";
    assert!(outcome.stdout.contains(trusted), "{outcome:?}");
    let warning = "dotward: warning: --ca-file \"system\": ";
    assert!(outcome.stderr.starts_with(warning), "{outcome:?}");
    assert!(outcome.stderr.contains("absent"), "{outcome:?}");
    let outcome = check(Path::new(&fifo(&files, "fifo")));
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    let why = "which SSL_CERT_FILE names, is not a regular file";
    assert!(outcome.stderr.contains(why), "{outcome:?}");
}

#[test]
fn the_start_says_how_many_certificates_are_trusted() {
    let setup = crate::support::setup::Setup::answering();
    let line = setup.proxy.wait_log("1 certificate of your own is trusted");
    assert!(
        line.ends_with("and none of the built-in ones (ca-file)"),
        "{line}"
    );
}
