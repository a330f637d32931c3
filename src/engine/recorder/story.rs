//! A record as people read it: what happened in order, what followed, and what can be done.

use super::entries::{Came, Event, Kind, Sent, What};
use super::record::Record;
use crate::engine::remedies;
use crate::engine::time::Time;
use crate::engine::words::{Lasting, counted};
use crate::transport::ConnectError;
use crate::wire::{Rcode, parse_response};

/// Rows that are told of what happened at most, the last ones; the file has all.
const MAX_ROWS: usize = 24;

impl Record {
    /// What happened, a sentence a row, the oldest first; then how it ended, and what to do.
    pub fn story(&self) -> Vec<String> {
        let mut rows: Vec<(Time, String)> = Vec::new();
        rows.extend(self.events.iter().filter_map(|event| {
            let told = self.tell(event)?;
            Some((event.at, told))
        }));
        rows.push((self.failed.arrived, self.arrival()));
        for sent in &self.failed.sent {
            rows.push((sent.at, self.tell_sent(sent)));
            if let Some((at, came)) = &sent.end {
                rows.push((*at, self.tell_came(sent, came)));
            }
        }
        // Stable: what happens at one moment stays in its order.
        rows.sort_by_key(|(at, _)| *at);
        let left_out = rows.len().saturating_sub(MAX_ROWS);
        let mut story = Vec::new();
        if left_out > 0 {
            story.push(format!(
                "{} before that, which the file has",
                counted(left_out as u64, "thing happened", "things happened")
            ));
        }
        let shown = rows.drain(left_out..);
        story.extend(shown.map(|(at, told)| format!("{}  {told}", self.when(at))));
        story.push(format!("{}  {}", self.when(self.failed.at), self.ending()));
        if self.failed.count > 1 {
            let more = counted(self.failed.count - 1, "query more", "queries more");
            story.push(format!("{more} failed like this one within a second"));
        }
        story.push(format!("what to do: {}", self.advice()));
        story
    }

    fn when(&self, at: Time) -> String {
        let from = self.failed.arrived;
        let text = if at < from {
            format!("-{}", Lasting(from.since(at)))
        } else {
            format!("+{}", Lasting(at.since(from)))
        };
        format!("{text:>9}")
    }

    fn label(&self, upstream: usize) -> &str {
        let known = self.upstreams.iter().find(|known| known.number == upstream);
        known.map_or("an upstream that is configured no more", |known| {
            &known.label
        })
    }

    /// One event, if people should know of it.
    fn tell(&self, Event { what, .. }: &Event) -> Option<String> {
        let line = what.line();
        let on = line.map_or(0, |line| self.number(line.connection));
        let label = line.map_or("", |line| self.label(line.upstream));
        Some(match what {
            What::Connect(..) => format!("{label}: connect begins (connection {on})"),
            What::Early(_) => return None,
            What::Connected(..) => format!("{label}: connected (connection {on})"),
            What::ConnectFailed(_, why) => format!("{label}: {why} (connection {on})"),
            What::Lost(_, why, _, in_flight) => {
                let queries = counted(*in_flight as u64, "query", "queries");
                format!("{label}: connection {on} lost with {queries} in flight: {why}")
            }
            What::Closed(_) => format!("{label}: connection {on} closed here"),
            What::Limited(_, most) => {
                let queries = counted(*most as u64, "query", "queries");
                format!("{label}: connection {on} takes {queries} at once")
            }
            What::Unmatched(_) => {
                format!("{label}: a message that answers no query (connection {on})")
            }
            What::Lookup(upstream) => format!("{}: its name is looked up", self.label(*upstream)),
            What::LookedUp(upstream, found) => {
                let label = self.label(*upstream);
                match found {
                    Ok(count) => {
                        let addresses = counted(*count as u64, "address", "addresses");
                        format!("{label}: {addresses} found")
                    }
                    Err(why) => format!("{label}: {why}"),
                }
            }
            What::NetworkChanged => "the network has changed".to_owned(),
            What::Resumed => "the machine was suspended, or the program stopped".to_owned(),
            What::Reconfigured => "another configuration holds".to_owned(),
        })
    }

    fn arrival(&self) -> String {
        let asked = &self.failed.asked;
        let by = match asked.transport {
            Some("udp") => "over UDP",
            Some("tcp") => "over TCP",
            Some("encrypted") => "over an encrypted connection",
            Some(_) => "from dotward itself",
            None => "that no client waits for, before what is cached expires",
        };
        let crowd = self.failed.crowd.filter(|crowd| crowd.in_flight > 0);
        let crowd = crowd.map_or_else(String::new, |crowd| {
            let queries = counted(crowd.in_flight as u64, "query is", "queries are");
            format!("; {queries} in flight, {} of this client", crowd.of_client)
        });
        format!("a query of {} octets arrives {by}{crowd}", asked.len)
    }

    fn tell_sent(&self, sent: &Sent) -> String {
        let (label, on) = (
            self.label(sent.line.upstream),
            self.number(sent.line.connection),
        );
        let waits = if sent.end.is_none() {
            ", and nothing comes"
        } else {
            ""
        };
        format!("sent to {label} on connection {on}{waits}")
    }

    fn tell_came(&self, sent: &Sent, came: &Came) -> String {
        let (label, on) = (
            self.label(sent.line.upstream),
            self.number(sent.line.connection),
        );
        match came {
            Came::Message(message) => match parse_response(message) {
                Ok(response) if response.end == message.len() => {
                    let truncated =
                        response.header.flags.tc() && response.rcode() == Rcode::NOERROR;
                    let what = if truncated {
                        "a truncated response".to_owned()
                    } else {
                        response.rcode().to_string()
                    };
                    format!("{label} answers with {what}")
                }
                _ => format!("{label} answers with a message that cannot be read"),
            },
            Came::ConnectionEnded => format!("the query is lost with connection {on} to {label}"),
            Came::NotSent => format!("it was not sent: connection {on} to {label} did not come up"),
            Came::Failed => format!("{label} fails it, on a connection that goes on"),
            Came::Lost(why) => format!("{label}: the query is lost: {why}"),
        }
    }

    fn ending(&self) -> String {
        let end = &self.failed.end;
        let why = match &end.why {
            Some((code, text)) if text.is_empty() => format!(", extended error {code}"),
            Some((code, text)) => format!(", extended error {code}: {text}"),
            None => String::new(),
        };
        let how = match end.kind {
            Kind::Failed(_) => "it fails with",
            Kind::GaveWay(_) => "it makes room for another query, with",
            Kind::Relayed => "the client gets the upstream's",
        };
        format!("{how} {}{why}", end.rcode)
    }

    /// What an operator can do.
    fn advice(&self) -> String {
        let remedy = self
            .events
            .iter()
            .rev()
            .find_map(|event| match &event.what {
                What::ConnectFailed(_, ConnectError::Unauthenticated { remedy, .. })
                    if !remedy.is_empty() =>
                {
                    Some(remedy.clone())
                }
                _ => None,
            });
        let end = &self.failed.end;
        let (code, text) = end
            .why
            .as_ref()
            .map_or((None, ""), |(code, text)| (Some(*code), &**text));
        remedy
            .or_else(|| remedies::what_to_do(end.rcode, code, text).map(Into::into))
            .unwrap_or_else(|| {
                "`dotward check --probe` says what is wrong with the upstreams".into()
            })
    }
}
