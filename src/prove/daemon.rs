//! What the running dotward tells of itself over its control socket, where that is there and this user may ask.

use super::told::Told;
use crate::control::{Request, talk};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A dotward with a control socket.
#[derive(Debug)]
pub struct Daemon {
    socket: PathBuf,
    /// How many queries it had answered by itself.
    local: u64,
}

impl Daemon {
    /// Looks for one at this path. An error says why there is none.
    pub fn find(socket: &Path) -> Result<Self, String> {
        let status = ask(socket, &Request::Status)?;
        Ok(Self {
            socket: socket.to_owned(),
            local: local(&status),
        })
    }

    /// What it tells of itself and of this question, which it is asked now; an error says why it tells nothing. `answered` is how many queries it must
    /// have answered by itself meanwhile, unless another dotward was asked.
    pub fn tell(&self, name: &[u8], qtype: u16, answered: u64) -> Result<Told, String> {
        let status = ask(&self.socket, &Request::Status)?;
        let at = self.socket.display();
        if local(&status) < self.local + answered {
            return Err(format!(
                "the dotward with the control socket {at} is not the one that has answered"
            ));
        }
        let name = name.to_ascii_lowercase();
        let explained = ask(&self.socket, &Request::Explain { name, qtype })?;
        // What was asked just now has changed the connections.
        let status = ask(&self.socket, &Request::Status)?;
        Ok(read(at.to_string(), &status, &explained))
    }
}

fn ask(socket: &Path, request: &Request) -> Result<Value, String> {
    let reply = talk(socket, request, true, None)?;
    serde_json::from_str(&reply).map_err(|error| format!("what came is no JSON: {error}"))
}

fn local(status: &Value) -> u64 {
    status["clients"]["answered_here"].as_u64().unwrap_or(0)
}

fn read(socket: String, status: &Value, explained: &Value) -> Told {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let asked = &explained["asked"];
    let routed = explained["route"]["upstreams"].as_array();
    let routed = routed.map_or(&[][..], Vec::as_slice);
    // It is told as its label with the address behind it.
    let by = asked["answered_by"].as_str();
    let is_by = |it: &&Value| {
        let label = it["label"].as_str().unwrap_or_default();
        let behind = by.and_then(|by| by.strip_prefix(label));
        behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(' '))
    };
    let of_route = routed.iter().find(is_by).or_else(|| routed.first());
    let of_route = of_route.cloned().unwrap_or_default();
    let upstream = text(&of_route["label"]);
    let of_status = status["upstreams"].as_array();
    let of_status = of_status.map_or(&[][..], Vec::as_slice).iter();
    let mut of_status = of_status.filter(|it| it["label"] == of_route["label"]);
    let of_status = of_status.next().cloned().unwrap_or_default();
    let connections = of_route["connections"].as_array();
    let connections = connections.map_or(&[][..], Vec::as_slice).iter();
    let mut addresses: Vec<String> = connections.filter_map(|it| text(&it["address"])).collect();
    addresses.sort();
    addresses.dedup();
    Told {
        socket,
        version: text(&status["version"]).unwrap_or_default(),
        source: text(&asked["source"]),
        addresses,
        protocols: text(&of_status["protocols"]),
        connection: text(&of_status["last_connection"]),
        round_trip: asked["round_trip_ms"].as_f64(),
        trouble: text(&of_route["trouble"]).or_else(|| text(&of_status["last_error"])),
        upstream,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    // req 134
    #[test]
    fn the_upstream_that_has_answered_is_the_one_that_is_told_of() {
        let upstream = |label: &str, address: &str| json!({"label": label, "trouble": null, "connections": [{"address": address}, {"address": address}]});
        let explained = |by: Value| {
            let upstreams = [
                upstream("a", "192.0.2.1:853"),
                upstream("a.b", "192.0.2.2:853"),
            ];
            json!({"route": {"upstreams": upstreams}, "asked": {"source": "upstream", "answered_by": by, "round_trip_ms": 1.5}})
        };
        let status = json!({"version": "0.1.0", "upstreams": [
            {"label": "a", "protocols": "tls", "last_connection": "verified as a", "last_error": "one"},
            {"label": "a.b", "protocols": "https", "last_connection": null, "last_error": null},
        ]});
        let told = |by| read("/run/a".to_owned(), &status, &explained(by));
        let second = told("a.b 192.0.2.2:853".into());
        assert_eq!(second.upstream.as_deref(), Some("a.b"));
        assert_eq!(second.protocols.as_deref(), Some("https"));
        assert_eq!(second.addresses, ["192.0.2.2:853"]);
        assert_eq!((second.round_trip, second.trouble), (Some(1.5), None));
        // Nobody has answered: the one that comes first.
        let first = told(Value::Null);
        assert_eq!(first.upstream.as_deref(), Some("a"));
        assert_eq!(first.connection.as_deref(), Some("verified as a"));
        assert_eq!(first.trouble.as_deref(), Some("one"));
        let nothing = read(String::new(), &Value::Null, &Value::Null);
        assert_eq!((nothing.upstream, nothing.addresses.len()), (None, 0));
    }
}
