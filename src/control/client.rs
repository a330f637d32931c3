//! The other end of the control socket: what the commands of the program do that speak to a running one.

use super::request::Request;
use super::screens;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a reply is waited for: longer than the program takes for any.
const TIME_LIMIT: Duration = Duration::from_secs(75);
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
    let reply = exchange(socket, &request.line())?;
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

/// Sends a line and reads one.
fn exchange(socket: &Path, line: &str) -> Result<String, String> {
    let at = socket.display();
    let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!(
            "there is no control socket {at}: is dotward running, and with control-socket = {at:?}? Another one is given by --control-socket"
        ),
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
            format!("{at}: no reply within {} s", TIME_LIMIT.as_secs())
        }
        _ => format!("{at}: {error}"),
    };
    let limit = Some(TIME_LIMIT);
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
