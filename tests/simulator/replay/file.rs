//! The record of a failure, read from its file (`docs/why.md`). An error names the line.

use dotward::config::Policy;
use dotward::transport::{ConnectError, ConnectionError};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::time::Duration;

/// The version of the format that is read.
const FORMAT: u64 = 1;

/// A moment in nanoseconds from the arrival of the query.
pub type Moment = i64;

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct File {
    pub id: String,
    pub settings: Settings,
    pub upstreams: Vec<Upstream>,
    pub query: Query,
    pub connections: Vec<Seen>,
    pub events: Vec<Event>,
    pub attempts: Vec<Attempt>,
    pub end: End,
}

#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub timeout: Duration,
    pub policy: Policy,
    pub hedge: bool,
    pub in_flight: usize,
    pub in_flight_per_client: usize,
    pub link_in_flight: usize,
    pub udp_payload: u16,
    pub padding: Option<u16>,
}

#[derive(Clone, Debug)]
pub struct Upstream {
    pub number: u64,
    pub label: String,
    pub protocol: String,
    pub is_named: bool,
    pub is_opportunistic: bool,
    pub proxy: Option<SocketAddr>,
    pub addresses: usize,
    pub answered: Option<Moment>,
}

#[derive(Clone, Debug, Default)]
pub struct Query {
    pub transport: String,
    pub is_signed: bool,
    pub message: Vec<u8>,
    pub crowd: Option<Crowd>,
    /// Clients behind the first at the address of an upstream that it was sent to.
    pub from_upstreams: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    pub in_flight: usize,
    pub of_client: usize,
    pub clients: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub connection: u64,
    pub upstream: u64,
    pub since: Moment,
    pub is_up: bool,
    pub is_isolated: bool,
    pub streams: bool,
    pub answered: u64,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub at: Moment,
    pub upstream: u64,
    pub connection: u64,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Connect {
        isolated: bool,
    },
    Early,
    Connected {
        streams: bool,
    },
    ConnectFailed(ConnectError),
    Lost(ConnectionError, u64),
    Closed,
    Limited(usize),
    /// A message came that answers no query.
    Unmatched,
    Lookup,
    LookedUp(Result<usize, ConnectError>),
    Resumed,
    /// It changes nothing that is played again.
    Other,
}

#[derive(Clone, Debug)]
pub struct Attempt {
    pub at: Moment,
    pub until: Moment,
    pub upstream: u64,
    pub came: Came,
}

#[derive(Clone, Debug)]
pub enum Came {
    Nothing,
    Message(Vec<u8>),
    ConnectionEnded,
    NotSent,
    Failed,
    Lost(ConnectionError),
}

/// How the query ended.
#[derive(Clone, Debug, Default)]
pub struct End {
    pub at: Moment,
    /// In a word.
    pub kind: String,
    pub rcode: u16,
    pub why: Option<(u16, String)>,
}

/// The members of a line.
struct Members(Map<String, Value>);

impl Members {
    fn get(&self, name: &str) -> Result<&Value, String> {
        self.0
            .get(name)
            .ok_or_else(|| format!("the member {name:?} is missing"))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        let number = self.get(name)?.as_u64();
        number.ok_or_else(|| format!("the member {name:?} is no whole number"))
    }

    fn small<T: TryFrom<u64>>(&self, name: &str) -> Result<T, String> {
        let number = self.number(name)?;
        T::try_from(number).map_err(|_| format!("the member {name:?} is too large"))
    }

    fn text(&self, name: &str) -> Result<String, String> {
        let text = self.get(name)?.as_str().map(str::to_owned);
        text.ok_or_else(|| format!("the member {name:?} is no text"))
    }

    fn maybe_text(&self, name: &str) -> Result<String, String> {
        if self.has(name) {
            self.text(name)
        } else {
            Ok(String::new())
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        let Some(value) = self.0.get(name) else {
            return Ok(false);
        };
        let flag = value.as_bool();
        flag.ok_or_else(|| format!("the member {name:?} is neither true nor false"))
    }

    fn moment(&self, name: &str) -> Result<Moment, String> {
        let seconds = self.get(name)?.as_f64().filter(|it| it.abs() < 1e9);
        let seconds =
            seconds.ok_or_else(|| format!("the member {name:?} is no time in seconds"))?;
        Ok((seconds * 1e9).round() as Moment)
    }

    fn octets(&self, name: &str) -> Result<Vec<u8>, String> {
        let text = self.text(name)?;
        let digits = text.as_bytes().chunks(2);
        let octet = |two: &[u8]| {
            let two = std::str::from_utf8(two).ok().filter(|two| two.len() == 2)?;
            u8::from_str_radix(two, 16).ok()
        };
        let octets: Option<Vec<u8>> = digits.map(octet).collect();
        octets.ok_or_else(|| format!("the member {name:?} is not hexadecimal"))
    }
}

impl File {
    /// Reads a file.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut file = Self::default();
        let mut seen = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let word = file.line(line, index == 0);
            let word = word.map_err(|why| format!("line {}: {why}", index + 1))?;
            seen.push(word);
        }
        for needed in ["failure", "settings", "query", "end"] {
            match seen.iter().filter(|word| *word == needed).count() {
                1 => {}
                0 => {
                    return Err(format!(
                        "line {}: there is no line {needed:?}: this is not a whole record of a failure",
                        seen.len() + 1
                    ));
                }
                _ => return Err(format!("there is more than one line {needed:?}")),
            }
        }
        Ok(file)
    }

    /// Reads a line. Gives the word for what it is.
    fn line(&mut self, line: &str, is_first: bool) -> Result<String, String> {
        let value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
        let Value::Object(members) = value else {
            return Err("not a JSON object".to_owned());
        };
        let line = Members(members);
        let word = line.text("line")?;
        if is_first != (word == "failure") {
            return Err("a record begins with its line \"failure\", as `dotward why ID --output FILE` writes it".to_owned());
        }
        match word.as_str() {
            "failure" => {
                let format = line.number("format")?;
                if format != FORMAT {
                    return Err(format!(
                        "format {format} is not read by this program, but {FORMAT}"
                    ));
                }
                self.id = line.text("id")?;
            }
            "settings" => self.settings = settings(&line)?,
            "upstream" => self.upstreams.push(upstream(&line)?),
            "query" => self.query = query(&line)?,
            "connection" => self.connections.push(Seen {
                connection: line.number("connection")?,
                upstream: self.known(line.number("upstream")?)?,
                since: line.moment("since")?,
                is_up: line.flag("up")?,
                is_isolated: line.flag("isolated")?,
                streams: line.flag("streams")?,
                answered: line.number("answered")?,
            }),
            "event" => {
                let event = self.event(&line)?;
                self.events.push(event);
            }
            "attempt" => {
                let attempt = self.attempt(&line)?;
                self.attempts.push(attempt);
            }
            "end" => {
                self.end = End {
                    at: line.moment("at")?,
                    kind: line.text("kind")?,
                    rcode: line.small("rcode")?,
                    why: if line.has("code") {
                        Some((line.small("code")?, line.text("text")?))
                    } else {
                        None
                    },
                }
            }
            other => return Err(format!("{other:?} is no kind of line")),
        }
        Ok(word)
    }

    /// The number of an upstream, if it is one of the record.
    fn known(&self, number: u64) -> Result<u64, String> {
        if self.upstreams.iter().any(|one| one.number == number) {
            Ok(number)
        } else {
            Err(format!("there is no line of the upstream {number}"))
        }
    }

    fn event(&self, line: &Members) -> Result<Event, String> {
        let word = line.text("event")?;
        let of_upstream = |name: &str| {
            if line.has(name) {
                line.number(name)
            } else {
                Ok(u64::MAX)
            }
        };
        let what = match word.as_str() {
            "connect" => What::Connect {
                isolated: line.flag("isolated")?,
            },
            "early" => What::Early,
            "connected" => What::Connected {
                streams: line.flag("streams")?,
            },
            "connect_failed" => What::ConnectFailed(connect_error(line)?),
            "lost" => What::Lost(connection_error(line)?, line.number("answered")?),
            "closed" => What::Closed,
            "limited" => What::Limited(line.small("in_flight")?),
            "unmatched" => What::Unmatched,
            "lookup" => What::Lookup,
            "looked_up" if line.has("addresses") => What::LookedUp(Ok(line.small("addresses")?)),
            "looked_up" => What::LookedUp(Err(connect_error(line)?)),
            "resumed" => What::Resumed,
            "network_changed" | "reconfigured" => What::Other,
            other => return Err(format!("{other:?} is no event")),
        };
        let is_general = matches!(what, What::Resumed | What::Other);
        let is_lookup = matches!(what, What::Lookup | What::LookedUp(_));
        Ok(Event {
            at: line.moment("at")?,
            upstream: if is_general {
                u64::MAX
            } else {
                self.known(line.number("upstream")?)?
            },
            connection: if is_general || is_lookup {
                of_upstream("connection")?
            } else {
                line.number("connection")?
            },
            what,
        })
    }

    fn attempt(&self, line: &Members) -> Result<Attempt, String> {
        let came = match line.text("came")?.as_str() {
            "nothing" => Came::Nothing,
            "message" => Came::Message(line.octets("message")?),
            "connection_ended" => Came::ConnectionEnded,
            "not_sent" => Came::NotSent,
            "failed" => Came::Failed,
            "lost" => Came::Lost(connection_error(line)?),
            other => return Err(format!("{other:?} is nothing that comes of an attempt")),
        };
        let at = line.moment("at")?;
        Ok(Attempt {
            at,
            until: match came {
                Came::Nothing => at,
                _ => line.moment("until")?,
            },
            upstream: self.known(line.number("upstream")?)?,
            came,
        })
    }
}

fn settings(line: &Members) -> Result<Settings, String> {
    let policy = line.text("policy")?;
    Ok(Settings {
        timeout: Duration::from_nanos(line.moment("timeout")?.unsigned_abs()),
        policy: policy
            .parse()
            .map_err(|_| format!("{policy:?} is no policy"))?,
        hedge: line.flag("hedge")?,
        in_flight: line.small("in_flight")?,
        in_flight_per_client: line.small("in_flight_per_client")?,
        link_in_flight: line.small("link_in_flight")?,
        udp_payload: line.small("udp_payload")?,
        padding: if line.has("padding") {
            Some(line.small("padding")?)
        } else {
            None
        },
    })
}

fn upstream(line: &Members) -> Result<Upstream, String> {
    let proxy = line.maybe_text("proxy")?;
    Ok(Upstream {
        number: line.number("number")?,
        label: line.text("label")?,
        protocol: line.text("protocol")?,
        is_named: line.flag("named")?,
        is_opportunistic: line.flag("opportunistic")?,
        proxy: match proxy.as_str() {
            "" => None,
            proxy => Some(
                proxy
                    .parse()
                    .map_err(|_| format!("{proxy:?} is no address"))?,
            ),
        },
        addresses: if line.has("addresses") {
            line.small("addresses")?
        } else {
            1
        },
        answered: if line.has("answered") {
            Some(line.moment("answered")?)
        } else {
            None
        },
    })
}

fn query(line: &Members) -> Result<Query, String> {
    Ok(Query {
        transport: line.maybe_text("transport")?,
        is_signed: line.flag("signed")?,
        message: line.octets("message")?,
        from_upstreams: if line.has("from_upstreams") {
            line.small("from_upstreams")?
        } else {
            0
        },
        crowd: if line.has("queries_in_flight") {
            Some(Crowd {
                in_flight: line.small("queries_in_flight")?,
                of_client: line.small("of_its_client")?,
                clients: line.small("clients_in_flight")?,
            })
        } else {
            None
        },
    })
}

fn connect_error(line: &Members) -> Result<ConnectError, String> {
    let text = line.maybe_text("text")?;
    Ok(match line.text("why")?.as_str() {
        "unresolved" => ConnectError::Unresolved(text),
        "unreachable" => ConnectError::Unreachable(text),
        "timed_out" => ConnectError::TimedOut,
        "unauthenticated" => ConnectError::Unauthenticated {
            why: text,
            remedy: line.maybe_text("remedy")?,
        },
        "handshake" => ConnectError::Handshake(text),
        other => return Err(format!("{other:?} is no reason why a connect fails")),
    })
}

fn connection_error(line: &Members) -> Result<ConnectionError, String> {
    let text = line.maybe_text("text")?;
    Ok(match line.text("why")?.as_str() {
        "closed" => ConnectionError::Closed,
        "truncated" => ConnectionError::Truncated,
        "io" => ConnectionError::Io(text),
        // The program has these texts for as long as it runs, and so has this one.
        "protocol" => ConnectionError::Protocol(text.leak()),
        "silent" => ConnectionError::Silent,
        "unprocessed" => ConnectionError::Unprocessed,
        "rejected" => ConnectionError::Rejected(text),
        other => return Err(format!("{other:?} is no reason why a connection ends")),
    })
}
