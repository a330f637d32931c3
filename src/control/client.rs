//! The other end of the control socket: what the commands of the program do that speak to a running one.

use super::request::Request;
use super::screens;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a reply is waited for that takes the program no time: longer than it waits for an event loop that hangs.
const SHORT: Duration = Duration::from_secs(5);
/// The same where a question is asked, or files are read: longer than the program takes for any.
const LONG: Duration = Duration::from_secs(75);
/// Octets of a reply that are read at most.
const MAX_REPLY: u64 = 16 << 20;

/// Has a running program carry out a request. Gives what is to be printed: the result, as JSON or for people. An error is for people, and says
/// what to do.
pub fn talk(
    socket: &Path,
    request: &Request,
    json: bool,
    output: Option<&Path>,
) -> Result<String, String> {
    let reply = exchange(socket, &request.line(), time_limit(request))?;
    let reply: Value = serde_json::from_str(&reply)
        .map_err(|error| format!("{}: what came is no JSON: {error}", socket.display()))?;
    if reply["ok"] != Value::Bool(true) {
        let why = reply["error"]["message"].as_str();
        return Err(why.unwrap_or("refused, without a reason").to_owned());
    }
    let result = &reply["result"];
    if let Some(output) = output {
        let record = result["record"].as_str().unwrap_or_default();
        std::fs::write(output, record).map_err(|error| {
            format!(
                "the record cannot be written to {}: {error}",
                output.display()
            )
        })?;
    }
    Ok(if json {
        format!("{result}\n")
    } else {
        screens::of(request, result)
    })
}

/// How long the reply to a request is waited for.
fn time_limit(request: &Request) -> Duration {
    match request {
        Request::Explain { .. } | Request::Reload => LONG,
        Request::Status
        | Request::Why(_)
        | Request::Flush(_)
        | Request::LogLevel(_)
        | Request::Trace(_) => SHORT,
    }
}

/// Whether there is something at this path that is no socket.
fn is_no_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|there| !there.file_type().is_socket())
}

/// Sends a line and reads one, within so long each.
fn exchange(socket: &Path, line: &str, limit: Duration) -> Result<String, String> {
    let at = socket.display();
    let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!(
            "there is no control socket {at}: is dotward running, and with control-socket = {at:?}? Another one is given by --control-socket"
        ),
        _ if is_no_socket(socket) => {
            format!("{at} is no socket: --control-socket takes the path that control-socket gives dotward")
        }
        ErrorKind::ConnectionRefused => {
            format!("nobody listens at {at}: a dotward that has ended left this file behind")
        }
        ErrorKind::PermissionDenied => format!(
            "this user may not connect to {at}: root may, the user that dotward runs as, and the group of that file"
        ),
        _ => format!("{at}: {error}"),
    })?;
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!(
                "{at}: no reply within {} s: dotward has this socket and does not go on, as where it is stopped (SIGSTOP) or has no processor",
                limit.as_secs()
            )
        }
        _ => format!("{at}: {error}"),
    };
    let limit = Some(limit);
    stream.set_read_timeout(limit).map_err(failed)?;
    stream.set_write_timeout(limit).map_err(failed)?;
    // Whoever is refused gets the reason at once, and may be told that nobody reads before that was read.
    let written = stream.write_all(line.as_bytes());
    let mut reply = String::new();
    let read = BufReader::new((&stream).take(MAX_REPLY)).read_line(&mut reply);
    match read {
        Ok(0) => {
            written.map_err(failed)?;
            Err(format!("{at}: the connection was closed without a reply"))
        }
        Ok(_) => Ok(reply),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Flush;
    use std::os::unix::net::UnixListener;

    // req 154, fault 183
    #[test]
    fn only_what_takes_a_while_is_waited_for() {
        let explain = Request::Explain {
            name: vec![0],
            qtype: 1,
        };
        let limits = [
            (Request::Status, SHORT),
            (Request::Flush(Flush::All), SHORT),
            (Request::Trace(None), SHORT),
            (Request::Reload, LONG),
            (explain, LONG),
        ];
        for (request, limit) in limits {
            assert_eq!(time_limit(&request), limit, "{request:?}");
        }
    }

    // req 154, fault 183
    #[test]
    fn a_program_that_does_not_go_on_is_given_up() {
        let name = format!("dotward-client-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _none = fs::remove_file(&path);
        // It takes the connection, as the system does for a program that is stopped.
        let listener = UnixListener::bind(&path).unwrap();
        let error = exchange(&path, "{}\n", Duration::from_millis(20)).unwrap_err();
        assert!(error.contains("no reply within "), "{error}");
        drop(listener);
        let error = exchange(&path, "{}\n", SHORT).unwrap_err();
        assert!(error.contains("left this file behind"), "{error}");
        fs::remove_file(&path).unwrap();
        for (no_socket, made) in [
            (&path, fs::write(&path, "")),
            (&std::env::temp_dir(), Ok(())),
        ] {
            made.unwrap();
            let error = exchange(no_socket, "{}\n", SHORT).unwrap_err();
            assert!(error.contains(" is no socket: "), "{error}");
        }
        fs::remove_file(&path).unwrap();
    }
}
