//! A request: a line of JSON. What is not exactly known is refused, since a word that is misspelt could mean more than was meant.

use super::names::{type_name, type_names, type_of};
use crate::config::hint;
use crate::engine::{FailureId, Flush};
use crate::json::Json;
use crate::wire;
use log::LevelFilter;
use serde_json::{Map, Value};
use std::time::Duration;

/// The version of the protocol.
pub const VERSION: u64 = 1;
/// Octets of the longest line: a name of 255 octets with all of them escaped is a quarter of this.
pub const MAX_LINE: usize = 4_096;
/// For how long the log traces queries unless something else is said.
pub const TRACE: Duration = Duration::from_secs(600);
/// The longest time.
pub const LONGEST_TRACE: Duration = Duration::from_secs(86_400);

/// The levels of the log.
const LEVELS: [&str; 5] = ["off", "error", "warn", "info", "debug"];

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// What the program does.
    Status,
    /// All that is known about a question, which is then asked.
    Explain {
        /// The name in lower case, as it stands on the wire.
        name: Vec<u8>,
        /// Its type.
        qtype: u16,
    },
    /// What led to a failure.
    Why(FailureId),
    /// The configuration is read again.
    Reload,
    /// A part of the cache is forgotten.
    Flush(Flush),
    /// The log has this level from now on.
    LogLevel(LevelFilter),
    /// The log traces queries for so long; `None`: no more.
    Trace(Option<Duration>),
}

/// Why a request is refused, with a word for programs and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: &'static str,
    pub text: String,
}

impl Refusal {
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    /// The request is none of this protocol.
    fn bad(text: impl Into<String>) -> Self {
        Self::new("bad_request", text)
    }
}

/// The members of a request that are not read yet.
struct Members(Map<String, Value>);

impl Members {
    fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::bad(format!("the member {name} must be a string"))),
        }
    }

    fn needed(&mut self, name: &str) -> Result<String, Refusal> {
        let missing = || Refusal::bad(format!("the member {name} is missing"));
        self.text(name)?.ok_or_else(missing)
    }

    fn name(&mut self, member: &str) -> Result<Option<Vec<u8>>, Refusal> {
        let text = self.text(member)?;
        let read = |text: String| read_name(&text).map_err(Refusal::bad);
        text.map(read).transpose()
    }

    /// Nothing else may be there.
    fn end(self) -> Result<(), Refusal> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(unknown) => Err(Refusal::bad(format!(
                "there is no member {unknown:?} of this command"
            ))),
        }
    }
}

/// A name, as people write it. An error says what is wrong with it.
pub fn read_name(text: &str) -> Result<Vec<u8>, String> {
    wire::name_from_text(text).ok_or_else(|| {
        format!("{text:?} is no domain name: labels have 1 to 63 octets, and all of it 255 at most")
    })
}

/// The number of a type, by its name. An error says what may be meant.
pub fn question_type(text: &str) -> Result<u16, String> {
    type_of(text).ok_or_else(|| {
        let like = text.to_uppercase();
        let near = hint(&like, type_names());
        format!("{text:?} is no type of records; others can be given by number, as TYPE65{near}")
    })
}

/// A level of the log. An error names those that there are.
pub fn log_level(text: &str) -> Result<LevelFilter, String> {
    let known = LEVELS.contains(&text).then(|| text.parse().ok()).flatten();
    known.ok_or_else(|| {
        let near = hint(text, LEVELS.into_iter());
        format!(
            "{text:?} is not a level; those are {}{near}",
            LEVELS.join(", ")
        )
    })
}

impl Request {
    /// Reads a line, with or without its end.
    pub fn read(line: &[u8]) -> Result<Self, Refusal> {
        let value = serde_json::from_slice(line)
            .map_err(|error| Refusal::bad(format!("this line is no JSON: {error}")))?;
        let Value::Object(members) = value else {
            return Err(Refusal::bad("a request is a JSON object"));
        };
        let mut members = Members(members);
        match members.0.remove("version") {
            Some(version) if version.as_u64() == Some(VERSION) => {}
            Some(_) => {
                let text = format!("this program speaks version {VERSION} of the protocol");
                return Err(Refusal::new("version", text));
            }
            None => return Err(Refusal::bad("the member version is missing")),
        }
        let request = match members.needed("command")?.as_str() {
            "status" => Self::Status,
            "explain" => {
                let missing = || Refusal::bad("the member name is missing");
                Self::Explain {
                    name: members.name("name")?.ok_or_else(missing)?,
                    qtype: match members.text("type")? {
                        Some(text) => question_type(&text).map_err(Refusal::bad)?,
                        None => 1,
                    },
                }
            }
            "why" => Self::Why(members.needed("id")?.parse().map_err(Refusal::bad)?),
            "reload" => Self::Reload,
            "flush" => match (members.name("name")?, members.name("suffix")?) {
                (None, None) => Self::Flush(Flush::All),
                (Some(name), None) => Self::Flush(Flush::Name(name)),
                (None, Some(suffix)) => Self::Flush(Flush::Suffix(suffix)),
                (Some(_), Some(_)) => {
                    return Err(Refusal::bad("name and suffix exclude each other"));
                }
            },
            "log_level" => {
                let level = members.needed("level")?;
                Self::LogLevel(log_level(&level).map_err(Refusal::bad)?)
            }
            "trace" => Self::Trace(read_trace(&mut members)?),
            unknown => {
                let text = format!("there is no command {unknown:?}");
                return Err(Refusal::new("unknown_command", text));
            }
        };
        members.end()?;
        Ok(request)
    }

    /// The line that asks for it, with its end.
    pub fn line(&self) -> String {
        let version = i64::try_from(VERSION).unwrap_or_default();
        let mut members = vec![
            ("version", Json::Number(version)),
            ("command", Json::text(self.command())),
        ];
        let name = |name: &[u8]| Json::text(wire::display(name).to_string());
        match self {
            Self::Status | Self::Reload | Self::Flush(Flush::All) => {}
            Self::Explain { name: of, qtype } => {
                members.push(("name", name(of)));
                members.push(("type", Json::text(type_name(*qtype))));
            }
            Self::Why(id) => members.push(("id", Json::text(id.to_string()))),
            Self::Flush(Flush::Name(of)) => members.push(("name", name(of))),
            Self::Flush(Flush::Suffix(of)) => members.push(("suffix", name(of))),
            Self::LogLevel(level) => {
                members.push(("level", Json::text(level.to_string().to_lowercase())));
            }
            Self::Trace(None) => members.push(("on", Json::Bool(false))),
            Self::Trace(Some(time)) => {
                let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
                members.push(("on", Json::Bool(true)));
                members.push(("seconds", Json::Number(seconds)));
            }
        }
        format!("{}\n", Json::Object(members))
    }

    fn command(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Explain { .. } => "explain",
            Self::Why(_) => "why",
            Self::Reload => "reload",
            Self::Flush(_) => "flush",
            Self::LogLevel(_) => "log_level",
            Self::Trace(_) => "trace",
        }
    }
}

fn read_trace(members: &mut Members) -> Result<Option<Duration>, Refusal> {
    let Some(Value::Bool(on)) = members.0.remove("on") else {
        return Err(Refusal::bad("the member on must be true or false"));
    };
    if !on {
        return Ok(None);
    }
    let most = LONGEST_TRACE.as_secs();
    match members.0.remove("seconds") {
        None => Ok(Some(TRACE)),
        Some(seconds) => match seconds.as_u64() {
            Some(seconds) if (1..=most).contains(&seconds) => {
                Ok(Some(Duration::from_secs(seconds)))
            }
            _ => Err(Refusal::bad(format!(
                "the member seconds must be a number from 1 to {most}"
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn read(line: &str) -> Result<Request, Refusal> {
        Request::read(line.as_bytes())
    }

    fn asks(members: &str) -> Result<Request, Refusal> {
        read(&format!(r#"{{"version":1,"command":{members}}}"#))
    }

    // req 123
    #[test]
    fn each_command_is_read() {
        let name = b"\x01a\x04test\0".to_vec();
        for (members, expected) in [
            (r#""status""#, Request::Status),
            (r#""reload""#, Request::Reload),
            (
                r#""explain","name":"A.test""#,
                Request::Explain {
                    name: name.clone(),
                    qtype: 1,
                },
            ),
            (
                r#""explain","name":"a.test.","type":"https""#,
                Request::Explain {
                    name: name.clone(),
                    qtype: 65,
                },
            ),
            (
                r#""why","id":"1a2b""#,
                Request::Why("1A2B".parse().unwrap()),
            ),
            (r#""flush""#, Request::Flush(Flush::All)),
            (
                r#""flush","name":"a.test""#,
                Request::Flush(Flush::Name(name.clone())),
            ),
            (
                r#""flush","suffix":"a.test""#,
                Request::Flush(Flush::Suffix(name)),
            ),
            (
                r#""log_level","level":"debug""#,
                Request::LogLevel(LevelFilter::Debug),
            ),
            (r#""trace","on":false"#, Request::Trace(None)),
            (r#""trace","on":true"#, Request::Trace(Some(TRACE))),
            (
                r#""trace","on":true,"seconds":5"#,
                Request::Trace(Some(Duration::from_secs(5))),
            ),
        ] {
            assert_eq!(asks(members), Ok(expected.clone()), "{members}");
            assert_eq!(read(&expected.line()), Ok(expected), "{members}");
        }
    }

    // req 123
    #[test]
    fn the_requests_on_the_page_are_requests() {
        let page = include_str!("../../docs/control.md");
        let lines = page.lines().filter(|line| line.contains("\"command\":"));
        let lines: Vec<&str> = lines.collect();
        assert!(lines.len() > 8, "{lines:?}");
        for line in lines {
            assert!(read(line).is_ok(), "{line}");
        }
    }

    // req 123, fault 145
    #[test]
    fn what_is_not_exactly_known_is_refused() {
        for (line, code, part) in [
            ("", "bad_request", "no JSON"),
            ("status", "bad_request", "no JSON"),
            ("[1]", "bad_request", "a JSON object"),
            ("{}", "bad_request", "version is missing"),
            (
                r#"{"version":2,"command":"status"}"#,
                "version",
                "speaks version 1",
            ),
            (
                r#"{"version":"1","command":"status"}"#,
                "version",
                "speaks version 1",
            ),
            (r#"{"version":1}"#, "bad_request", "command is missing"),
            (
                r#"{"version":1,"command":7}"#,
                "bad_request",
                "must be a string",
            ),
            (
                r#"{"version":1,"command":"stop"}"#,
                "unknown_command",
                "\"stop\"",
            ),
            (
                r#"{"version":1,"command":"status"} {}"#,
                "bad_request",
                "no JSON",
            ),
        ] {
            let refusal = read(line).unwrap_err();
            assert_eq!(refusal.code, code, "{line}");
            assert!(refusal.text.contains(part), "{line}: {}", refusal.text);
        }
        for (members, part) in [
            (r#""status","verbose":true"#, "no member \"verbose\""),
            (r#""flush","sufix":"a.test""#, "no member \"sufix\""),
            (r#""flush","name":"a","suffix":"b""#, "exclude each other"),
            (r#""flush","name":"a..b""#, "is no domain name"),
            (r#""explain""#, "name is missing"),
            (r#""explain","name":"a","type":"AAA""#, "is no type"),
            (r#""log_level","level":"loud""#, "those are off, error"),
            (r#""log_level","level":"trace""#, "is not a level"),
            (r#""trace","on":"yes""#, "true or false"),
            (r#""trace","on":true,"seconds":0"#, "from 1 to 86400"),
            (r#""trace","on":true,"seconds":86401"#, "from 1 to 86400"),
            (r#""trace","on":false,"seconds":5"#, "no member \"seconds\""),
        ] {
            let refusal = asks(members).unwrap_err();
            assert_eq!(refusal.code, "bad_request", "{members}");
            assert!(refusal.text.contains(part), "{members}: {}", refusal.text);
        }
    }

    /// Values of JSON, some of them like those of requests.
    fn values() -> impl Strategy<Value = Value> {
        let word = prop_oneof![
            Just("status"),
            Just("explain"),
            Just("flush"),
            Just("trace"),
            Just("log_level"),
            Just("a.test"),
            Just("debug"),
            Just("A"),
            Just("\u{0}"),
            Just("\\"),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            Just(Value::from(1)),
            any::<f64>().prop_map(Value::from),
            word.prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Value::from),
                members(inner).prop_map(Value::Object),
            ]
        })
    }

    fn members(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
        let key = prop_oneof![
            Just("version".to_owned()),
            Just("command".to_owned()),
            Just("name".to_owned()),
            Just("suffix".to_owned()),
            Just("type".to_owned()),
            Just("level".to_owned()),
            Just("on".to_owned()),
            Just("seconds".to_owned()),
            any::<String>(),
        ];
        vec((key, inner), 0..6).prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

        // fault 145
        #[test]
        fn any_octets_are_a_request_or_refused(octets in vec(any::<u8>(), 0..200)) {
            if let Ok(request) = Request::read(&octets) {
                prop_assert_eq!(read(&request.line()), Ok(request));
            }
        }

        // fault 145
        #[test]
        fn any_value_is_a_request_or_refused(mut value in values(), versioned in any::<bool>()) {
            if let (Value::Object(members), true) = (&mut value, versioned) {
                members.insert("version".to_owned(), Value::from(1));
            }
            match Request::read(value.to_string().as_bytes()) {
                Ok(request) => prop_assert_eq!(read(&request.line()), Ok(request)),
                Err(refusal) => prop_assert!(!refusal.text.is_empty()),
            }
        }

        // fault 145
        #[test]
        fn a_request_with_an_octet_changed_is_one_or_refused(
            at in any::<proptest::sample::Index>(), octet in any::<u8>(), name in "[a-zA-Z0-9._\\\\-]{0,40}",
        ) {
            let value = serde_json::json!({"version": 1, "command": "explain", "name": name, "type": "AAAA"});
            let mut line = value.to_string().into_bytes();
            let at = at.index(line.len());
            line[at] = octet;
            if let Ok(request) = Request::read(&line) {
                prop_assert!(request.line().len() <= MAX_LINE);
                prop_assert_eq!(read(&request.line()), Ok(request));
            }
        }
    }
}
