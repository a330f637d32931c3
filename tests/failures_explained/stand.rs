//! The program with a control socket before upstreams that fail, and the four views of a failure.

use crate::simulator::replay::{File, play};
use std::any::Any;
use std::net::SocketAddr;

use serde_json::Value;

use super::stories::Story;
use crate::support::authority::TempDir;
use crate::support::client::UdpClient;
use crate::support::command::{command, run};
use crate::support::messages::edns_query;
use crate::support::proxy::Proxy;
use crate::support::reading::read;
use crate::support::setup::Trust;

/// The name that is asked for.
pub const NAME: &str = "q.test";

/// The program, and what it needs to fail. The program ends first.
pub struct Stand {
    pub proxy: Proxy,
    socket: String,
    _others: Box<dyn Any>,
    _trust: Trust,
    _files: TempDir,
}

/// What is told of a failure, without what is different each time.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// What is wrong.
    pub what: &'static str,
    /// The reply: its code, and its extended error.
    pub reply: String,
    pub log: String,
    pub explain: String,
    pub remedy: String,
}

impl Stand {
    /// The program before these upstreams, with more arguments. `others` stay as long as it does.
    pub fn new(trust: Trust, upstreams: &[&str], more: &[&str], others: impl Any) -> Self {
        let files = TempDir::new();
        let socket = files.path().join("control.sock").display().to_string();
        let args = [&["--control-socket", &*socket], more].concat();
        let proxy = trust.proxy(upstreams, &args);
        proxy.wait_log("the control socket is ");
        Self {
            proxy,
            socket,
            _others: Box::new(others),
            _trust: trust,
            _files: files,
        }
    }

    /// Where it can be asked.
    pub fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// Asks over UDP.
    pub fn ask(&self) -> Vec<u8> {
        UdpClient::new(self.address()).ask(&edns_query(NAME, 7))
    }

    fn command(&self, words: &[&str]) -> String {
        let outcome = run(command(
            &[words, &["--control-socket", &self.socket]].concat(),
        ));
        assert_eq!(outcome.code, Some(0), "{words:?}: {outcome:?}");
        outcome.stdout
    }

    fn json(&self, words: &[&str]) -> Value {
        let text = self.command(&[words, &["--json"]].concat());
        serde_json::from_str(&text).expect("JSON")
    }

    /// The record of a failure is told with this remedy, and ends as it did when it is played again.
    fn play_again(&self, what: &str, id: &str, advice: &str) {
        let told = self.command(&["why", id]);
        assert!(told.contains(advice), "{what}: {told}");
        let answered = self.json(&["why", id]);
        let record = answered["record"].as_str().expect("a record");
        assert!(!record.contains(NAME), "{what}: {record}");
        let file = File::read(record).unwrap_or_else(|why| panic!("{what}: {why}: {record}"));
        let replayed = play(&file).unwrap_or_else(|why| panic!("{what}: {why}: {record}"));
        assert!(
            replayed.is_same(),
            "{what}: {}, and not {}\n{record}{}",
            replayed.end,
            replayed.recorded,
            replayed.trace.join("\n")
        );
    }

    /// A client got this reply. Looks at it from all sides.
    pub fn told(&self, story: &Story, reply: &[u8]) -> Told {
        let Story {
            what,
            reason,
            rcode,
            ede,
            words,
            ..
        } = story;
        // What is told when it has happened, before the same is asked again.
        let status = self.json(&["status"]);
        let latest = status["latest_failures"].as_array().expect("a list");
        let of_reason = |one: &&Value| one["reason"] == *reason;
        let latest = latest.iter().find(of_reason);
        let latest = latest.unwrap_or_else(|| panic!("{what}: no {reason} in {status}"));
        let text = without_id(latest["text"].as_str().expect("a text"));
        assert!(text.contains(words), "{what}: {text}");
        let remedy = latest["what_to_do"].as_str();
        let remedy = remedy.unwrap_or_else(|| panic!("{what}: no remedy in {latest}"));

        // The client: a code, and the reason as an extended error.
        let (code, extra) = extended_error(reply);
        assert_eq!(
            (read(reply).rcode(), code),
            (*rcode, *ede),
            "{what}: {extra}"
        );
        assert!(extra.contains(words), "{what}: {extra}");
        let is_ours = extra == text;
        assert!(
            is_ours || [6, 15].contains(ede),
            "{what}: {extra} and {text}"
        );

        // The log: the same text and the same remedy, and no name that was asked for.
        let line = match *reason {
            "denied" => self.proxy.wait_log("its query is refused"),
            _ => self.proxy.wait_log("a query failed with "),
        };
        let line = without_id(&line);
        assert!(
            line.contains(&text) || *reason == "denied",
            "{what}: {line}"
        );
        assert!(line.contains(words), "{what}: {line}");
        assert!(line.contains(remedy), "{what}: {line} and {remedy}");
        let logs = self.proxy.logs();
        let named = logs.iter().find(|line| line.contains(NAME));
        assert_eq!(named, None, "{what}: names are not logged");

        // Where the upstream could not be connected to, a line of its own says so, too.
        if *reason == "not_connected" && !text.contains("in time") {
            let is_its_own = |line: &&String| {
                let connects = !line.contains("a query failed") && line.contains(words);
                connects && line.contains(remedy)
            };
            assert!(
                logs.iter().any(|line| is_its_own(&line)),
                "{what}: {logs:#?}"
            );
        }

        // `explain`: among the failures of the name, with the remedy, in JSON and in words.
        let explained = self.json(&["explain", NAME]);
        let failures = explained["recent_failures"].as_array().expect("a list");
        let failed = failures.last();
        let failed = failed.unwrap_or_else(|| panic!("{what}: {explained}"));
        assert_eq!(failed["extended_error"]["code"], *ede, "{what}: {failed}");
        let told = without_id(failed["extended_error"]["text"].as_str().expect("a text"));
        assert_eq!(told, extra, "{what}");
        assert_eq!(failed["what_to_do"], remedy, "{what}: {failed}");
        let screen = without_id(&self.command(&["explain", NAME]));
        let name = failed["extended_error"]["name"].as_str().expect("a name");
        let sentence = format!("{code} {name}: {extra}");
        assert!(
            screen.contains(&sentence),
            "{what}: no {sentence} in {screen}"
        );
        let advice = format!("what to do: {remedy}");
        assert!(screen.contains(&advice), "{what}: no {advice} in {screen}");

        let id = failed["id"].as_str();
        let id = id.unwrap_or_else(|| panic!("{what}: no id in {failed}"));
        self.play_again(what, id, &advice);

        let label = status["upstreams"][0]["label"].as_str().expect("a label");
        let plain = |text: &str| plain(text, label);
        let rcode = failed["rcode"].as_str().expect("a code");
        let at = line
            .find("a query failed")
            .or(line.find("client "))
            .unwrap_or(0);
        let line = line[at..]
            .split(&format!("; {remedy}"))
            .next()
            .unwrap_or_default();
        Told {
            what: story.what,
            reply: format!("{rcode}, {code}: `{}`", plain(&extra)),
            log: format!("`{}`", plain(line)),
            explain: format!("`{}`", plain(&sentence)),
            remedy: remedy.to_owned(),
        }
    }
}

/// The first extended error of a response that is a reason: its code and text. That it is a cached error is none.
fn extended_error(reply: &[u8]) -> (u16, String) {
    let options = read(reply).options().into_iter();
    let mut errors = options.filter(|(code, _)| *code == 15).map(|(_, data)| {
        let code = u16::from_be_bytes([data[0], data[1]]);
        let text = String::from_utf8(data[2..].to_vec()).expect("text");
        (code, without_id(&text))
    });
    errors.find(|(code, _)| *code != 13).expect("a reason")
}

/// A text without the numbers of failures, such as ` (id k3f7)`.
fn without_id(text: &str) -> String {
    let mut parts = text.split(" (id ");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        whole += part.split_once(')').map_or("", |(_, rest)| rest);
    }
    whole
}

/// A text with placeholders for what is different each time.
fn plain(text: &str, label: &str) -> String {
    let text = text.replace(label, "UPSTREAM");
    let mut words = Vec::new();
    for word in text.split(' ') {
        let bare = word.trim_end_matches([',', ';', ':', ')']);
        let (bare, rest) = word.split_at(bare.len());
        let stands_for = match bare {
            _ if bare.parse::<SocketAddr>().is_ok() => "IP:PORT",
            _ if bare.parse::<std::net::IpAddr>().is_ok() => "IP",
            _ if bare.len() == 20 && bare.ends_with('Z') => "TIME",
            _ if bare.len() == 44 && bare.ends_with('=') => "PIN",
            other => other,
        };
        words.push(format!("{stands_for}{rest}"));
    }
    words.join(" ")
}
