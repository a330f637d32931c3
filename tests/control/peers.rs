//! Who may talk.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use super::Stand;
use crate::support::command::{Outcome, command, run};

/// Users and groups that no table has.
const STRANGER: u32 = 54_321;
const GROUP: u32 = 54_322;

/// What comes of `dotward status`, run by this user of this group. It takes root.
fn status_of(user: u32, group: u32, program: &Path, socket: &Path) -> Outcome {
    let mut status = std::process::Command::new(program);
    status.args(["status", "--control-socket"]).arg(socket);
    for (name, value) in command(&[]).get_envs() {
        match value {
            Some(value) => status.env(name, value),
            None => status.env_remove(name),
        };
    }
    status.uid(user).gid(group).current_dir("/");
    run(status)
}

// req 122
#[test]
fn the_file_is_for_its_owner_and_its_group() {
    let stand = Stand::answering();
    let metadata = fs::metadata(&stand.socket).expect("a socket");
    assert_eq!(metadata.mode() & 0o777, 0o660);
    assert_eq!(metadata.uid(), rustix::process::geteuid().as_raw());
    assert_eq!(stand.run("status").code, Some(0), "its own user may");
}

// req 122
#[test]
fn others_are_refused_by_the_file_and_by_who_they_are() {
    let stand = Stand::answering();
    let (files, socket) = (stand.files.path(), &stand.socket);
    if !rustix::process::geteuid().is_root() {
        // Nobody else can be tried.
        assert_eq!(stand.run("status").code, Some(0));
        return;
    }
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    };
    // A copy that others may run.
    let program = files.join("dotward");
    fs::copy(env!("CARGO_BIN_EXE_dotward"), &program).expect("a copy");
    mode(files, 0o755);
    mode(&program, 0o755);
    let stranger = |group| status_of(STRANGER, group, &program, socket);
    let outcome = stranger(STRANGER);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("this user may not connect to"),
        "{outcome:?}"
    );
    // Somebody opens the file for all: who they are counts still.
    mode(socket, 0o666);
    let outcome = stranger(STRANGER);
    assert_eq!(
        (outcome.code, &*outcome.stdout),
        (Some(1), ""),
        "{outcome:?}"
    );
    let expected = format!("user {STRANGER} may not control this program");
    assert!(outcome.stderr.contains(&expected), "{outcome:?}");
    // The group of the file may, as long as its mode says so.
    chown(socket, None, Some(GROUP)).expect("a group");
    mode(socket, 0o660);
    assert_eq!(stranger(STRANGER).code, Some(1));
    let outcome = stranger(GROUP);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    mode(socket, 0o606);
    let outcome = stranger(GROUP);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    mode(socket, 0o660);
    assert_eq!(stand.run("status").code, Some(0), "root may");
}
