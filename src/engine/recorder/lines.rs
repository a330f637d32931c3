//! A record as a file: lines of JSON (RFC 8259), a thing that happened in each, with times in seconds from the arrival of the query. `docs/why.md`
//! has the members.

use super::entries::{Came, Event, Kind, Line, Sent, What};
use super::record::Record;
use crate::engine::keys::ConnectionKey;
use crate::engine::time::Time;
use crate::transport::{ConnectError, ConnectionError};
use data_encoding::HEXLOWER;
use std::fmt::{self, Display, Write};

/// The version of the format. A change after which a record cannot be read as before is another one.
pub const FORMAT: u32 = 1;

/// An object in the making.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    /// A member with a value that is JSON.
    fn with(mut self, name: &str, value: impl Display) -> Self {
        let comma = if self.0.len() > 1 { "," } else { "" };
        // Writing to a string cannot fail.
        let _infallible = write!(self.0, "{comma}\"{name}\":{value}");
        self
    }

    fn text(self, name: &str, value: impl Display) -> Self {
        self.with(name, Quoted(&value.to_string()))
    }

    /// A member, if there is a value.
    fn maybe<T: Display>(self, name: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// A member that is true, or not there.
    fn flag(self, name: &str, is: bool) -> Self {
        self.maybe(name, is.then_some(true))
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A string of JSON. What is not printable ASCII is escaped, so that the file can be shown as it is.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                ' '..='~' => f.write_char(c)?,
                c => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(f, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        f.write_char('"')
    }
}

/// A moment, in seconds from another one.
struct Seconds {
    at: Time,
    from: Time,
}

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.at < self.from { "-" } else { "" };
        let nanos = self.at.as_nanos().abs_diff(self.from.as_nanos());
        write!(
            f,
            "{sign}{}.{:09}",
            nanos / 1_000_000_000,
            nanos % 1_000_000_000
        )
    }
}

impl Record {
    /// The file: UTF-8, each line with its end.
    pub fn lines(&self) -> String {
        let mut lines = vec![self.head(), self.settings_line()];
        lines.extend(self.upstream_lines());
        lines.push(self.query_line());
        lines.extend(self.failed.connections.iter().map(|seen| {
            let line = self.line(Object::new().text("line", "connection"), seen.line);
            line.with("since", self.seconds(seen.since))
                .with("up", seen.is_up)
                .flag("suspect", seen.is_suspect)
                .flag("isolated", seen.is_isolated)
                .flag("streams", seen.streams)
                .with("answered", seen.answered)
                .end()
        }));
        lines.extend(self.events.iter().map(|event| self.event(event)));
        lines.extend(self.failed.sent.iter().map(|sent| self.attempt(sent)));
        lines.push(self.end_line());
        lines
            .iter()
            .fold(String::new(), |file, line| file + line + "\n")
    }

    fn head(&self) -> String {
        Object::new()
            .text("line", "failure")
            .with("format", FORMAT)
            .text("dotward", env!("CARGO_PKG_VERSION"))
            .text("id", self.failed.id)
            .with("alike", self.failed.count)
            .flag("forgotten_before", !self.is_whole)
            .end()
    }

    fn settings_line(&self) -> String {
        let settings = &self.settings;
        let timeout = Time::ZERO + settings.timeout;
        Object::new()
            .text("line", "settings")
            .with(
                "timeout",
                Seconds {
                    at: timeout,
                    from: Time::ZERO,
                },
            )
            .text("policy", settings.policy)
            .with("hedge", settings.hedge)
            .with("in_flight", settings.in_flight)
            .with("in_flight_per_client", settings.in_flight_per_client)
            .with("link_in_flight", settings.link_in_flight)
            .with("udp_payload", settings.udp_payload)
            .maybe("padding", settings.padding)
            .end()
    }

    fn upstream_lines(&self) -> impl Iterator<Item = String> {
        self.upstreams.iter().map(|known| {
            let states = &self.failed.upstreams;
            let state = states.iter().find(|state| state.number == known.number);
            let mut object = Object::new()
                .text("line", "upstream")
                .with("number", known.number)
                .text("label", &known.label)
                .text("protocol", known.protocol)
                .flag("named", known.is_named)
                .flag("opportunistic", known.is_opportunistic);
            if let Some(proxy) = known.proxy {
                object = object.text("proxy", proxy);
            }
            if let Some(state) = state {
                let retry = state.retry_at > self.failed.at;
                object = object
                    .with("addresses", state.addresses)
                    .with("healthy", state.is_healthy)
                    .with("failures", state.failures)
                    .maybe("answered", state.answered_at.map(|at| self.seconds(at)))
                    .maybe("retry", retry.then(|| self.seconds(state.retry_at)));
            }
            object.end()
        })
    }

    fn query_line(&self) -> String {
        let asked = &self.failed.asked;
        let mut object = Object::new()
            .text("line", "query")
            .with("at", self.seconds(self.failed.arrived));
        if let Some(transport) = asked.transport {
            object = object.text("transport", transport);
        }
        object = object
            .with("clients", asked.clients)
            .with("connects", self.failed.connects)
            .with("octets", asked.len)
            .flag("signed", asked.signed)
            .text("message", HEXLOWER.encode(&asked.message));
        if asked.from_upstreams > 0 {
            object = object.with("from_upstreams", asked.from_upstreams);
        }
        if let Some(crowd) = self.failed.crowd {
            object = object
                .with("queries_in_flight", crowd.in_flight)
                .with("of_its_client", crowd.of_client)
                .with("clients_in_flight", crowd.clients);
        }
        object.end()
    }

    fn event(&self, Event { at, what }: &Event) -> String {
        let object = |word: &str| {
            let object = Object::new()
                .text("line", "event")
                .with("at", self.seconds(*at))
                .text("event", word);
            match what.line() {
                Some(line) => self.line(object, line),
                None => object,
            }
        };
        let object = match what {
            What::Connect(_, isolated) => object("connect").flag("isolated", *isolated),
            What::Early(_) => object("early"),
            What::Connected(_, streams) => object("connected").flag("streams", *streams),
            What::ConnectFailed(_, why) => connect_error(object("connect_failed"), why),
            What::Lost(_, why, answered, in_flight) => connection_error(object("lost"), why)
                .with("answered", answered)
                .with("in_flight", in_flight),
            What::Closed(_) => object("closed"),
            // JSON has no larger whole number that all programs read alike.
            What::Limited(_, most) => {
                object("limited").with("in_flight", (*most as u64).min(1 << 32))
            }
            What::Unmatched(_) => object("unmatched"),
            What::Lookup(upstream) => object("lookup").with("upstream", upstream),
            What::LookedUp(upstream, found) => {
                let object = object("looked_up").with("upstream", upstream);
                match found {
                    Ok(addresses) => object.with("addresses", addresses),
                    Err(why) => connect_error(object, why),
                }
            }
            What::NetworkChanged => object("network_changed"),
            What::Resumed => object("resumed"),
            What::Reconfigured => object("reconfigured"),
        };
        object.end()
    }

    fn attempt(&self, sent: &Sent) -> String {
        let object = Object::new()
            .text("line", "attempt")
            .with("at", self.seconds(sent.at));
        let object = self.line(object, sent.line);
        let Some((at, came)) = &sent.end else {
            return object.text("came", "nothing").end();
        };
        let object = object.with("until", self.seconds(*at));
        let object = match came {
            Came::Message(message) => object
                .text("came", "message")
                .text("message", HEXLOWER.encode(message)),
            Came::ConnectionEnded => object.text("came", "connection_ended"),
            Came::NotSent => object.text("came", "not_sent"),
            Came::Failed => object.text("came", "failed"),
            Came::Lost(why) => connection_error(object.text("came", "lost"), why),
        };
        object.end()
    }

    fn end_line(&self) -> String {
        let end = &self.failed.end;
        let mut object = Object::new()
            .text("line", "end")
            .with("at", self.seconds(self.failed.at))
            .text("kind", end.kind.word());
        if let Kind::GaveWay(why) = end.kind {
            object = object.text("for", why.reason());
        }
        object = object.with("rcode", end.rcode.0);
        if let Some((code, text)) = &end.why {
            object = object.with("code", code).text("text", text);
        }
        object.end()
    }

    fn seconds(&self, at: Time) -> Seconds {
        let from = self.failed.arrived;
        Seconds { at, from }
    }

    /// The members for a connection.
    fn line(&self, object: Object, line: Line) -> Object {
        object
            .with("upstream", line.upstream)
            .with("connection", self.number(line.connection))
    }

    /// The number of a connection in this record: they count from 1 on.
    pub(super) fn number(&self, connection: ConnectionKey) -> usize {
        let mut known: Vec<ConnectionKey> = Vec::new();
        let seen = self.failed.connections.iter().map(|seen| seen.line);
        let events = self.events.iter().filter_map(|event| event.what.line());
        let sent = self.failed.sent.iter().map(|sent| sent.line);
        for line in seen.chain(events).chain(sent) {
            if !known.contains(&line.connection) {
                known.push(line.connection);
            }
            if line.connection == connection {
                break;
            }
        }
        known.len()
    }
}

fn connect_error(object: Object, why: &ConnectError) -> Object {
    match why {
        ConnectError::Unresolved(why) => object.text("why", "unresolved").text("text", why),
        ConnectError::Unreachable(why) => object.text("why", "unreachable").text("text", why),
        ConnectError::TimedOut => object.text("why", "timed_out"),
        ConnectError::Unauthenticated { why, remedy } => object
            .text("why", "unauthenticated")
            .text("text", why)
            .text("remedy", remedy),
        ConnectError::Handshake(why) => object.text("why", "handshake").text("text", why),
    }
}

fn connection_error(object: Object, why: &ConnectionError) -> Object {
    match why {
        ConnectionError::Closed => object.text("why", "closed"),
        ConnectionError::Truncated => object.text("why", "truncated"),
        ConnectionError::Io(why) => object.text("why", "io").text("text", why),
        ConnectionError::Protocol(why) => object.text("why", "protocol").text("text", why),
        ConnectionError::Silent => object.text("why", "silent"),
        ConnectionError::Unprocessed => object.text("why", "unprocessed"),
        ConnectionError::Rejected(why) => object.text("why", "rejected").text("text", why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn values_are_json_whatever_an_upstream_is_called() {
        let object = Object::new()
            .text("a", "q\"\\\n\u{202e}\u{1f600}")
            .flag("b", false)
            .flag("c", true)
            .maybe("d", None::<u8>);
        assert_eq!(
            object.end(),
            r#"{"a":"q\"\\\u000a\u202e\ud83d\ude00","c":true}"#
        );
        let from = Time::ZERO + Duration::from_secs(9);
        let seconds = |nanos| {
            Seconds {
                at: Time::from_nanos(nanos),
                from,
            }
            .to_string()
        };
        assert_eq!(seconds(8_999_999_999), "-0.000000001");
        assert_eq!(seconds(10_500_000_000), "1.500000000");
    }
}
