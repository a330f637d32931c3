//! The program's command line: run to its end, or with a signal sent to it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::journal::DEADLINE;

/// What a program left behind that was run to its end.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code.
    pub code: Option<i32>,
    /// Everything on its standard output.
    pub stdout: String,
    /// Everything on its standard error.
    pub stderr: String,
    /// How long it ran.
    pub time: Duration,
}

/// The program with these arguments, none of its variables in the environment, and no file but one that is named.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dotward"));
    command
        .args(args)
        .env_remove("JOURNAL_STREAM")
        .env_remove("SSLKEYLOGFILE")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC")
        .env_remove("LISTEN_PID")
        .stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DOTWARD_") {
            command.env_remove(name);
        }
    }
    command.env("DOTWARD_CONFIG", "none");
    command
}

/// The program with these arguments, allowed to open so many files.
pub fn command_with_files(files: usize, args: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
    shell
        .arg("-c")
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_dotward"))
        .args(args)
        .env("DOTWARD_CONFIG", "none")
        .stdin(Stdio::null());
    shell
}

/// Runs a command to its end, which must come by itself.
pub fn run(mut command: Command) -> Outcome {
    let start = Instant::now();
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let process = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(DEADLINE) else {
        signal(process, "KILL");
        panic!("the program did not end by itself");
    };
    // The thread has sent its only message.
    let _ = thread.join();
    let output = output.expect("the program's output");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Outcome {
        code: output.status.code(),
        stdout,
        stderr,
        time: start.elapsed(),
    }
}

/// Sends a signal by its name to a process.
pub fn signal(process: u32, name: &str) {
    // The shell's own `kill`: no crate and no `unsafe` for one system call.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("kill -{name} {process}"))
        .status()
        .expect("a shell");
    assert!(status.success(), "kill -{name} {process}");
}

/// Lets a process open so many files from now on.
#[cfg(target_os = "linux")]
pub fn allow_files(process: u32, files: usize) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    let limit = Rlimit {
        current: Some(files as u64),
        maximum: Some(files as u64),
    };
    prlimit(process, Resource::Nofile, limit).expect("the limit is set");
}
