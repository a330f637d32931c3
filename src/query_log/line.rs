//! A line of the query log. `docs/query-log.md` describes it.

use crate::cli::LoggedClients;
use crate::json::Json;
use crate::serve::Logged;
use crate::wire::question_words;
use humantime::format_rfc3339_millis;
use ipnet::IpNet;
use std::net::IpAddr;

/// What an IPv4 address is cut to: a network of 256.
const PREFIX_V4: u8 = 24;
/// What an IPv6 address is cut to: what many providers give a household.
const PREFIX_V6: u8 = 56;

/// The line, without its end.
pub fn line(of: &Logged, clients: LoggedClients) -> String {
    let mut members = vec![("time", Json::text(format_rfc3339_millis(of.at).to_string()))];
    if let Some((name, qtype, qclass)) = question_words(&of.question) {
        members.push(("name", Json::text(name)));
        members.push(("type", Json::text(qtype)));
        if qclass != "IN" {
            members.push(("class", Json::text(qclass)));
        }
    }
    if let Some(client) = client(of.client.ip(), clients) {
        members.push(("client", Json::text(client)));
    }
    members.push(("protocol", Json::text(of.protocol)));
    members.push(("rcode", Json::text(of.rcode.to_string())));
    members.push(("source", Json::text(of.source)));
    if let Some(upstream) = &of.upstream {
        members.push(("upstream", Json::text(&**upstream)));
    }
    members.push(("ms", Json::Fraction(of.took.as_secs_f64() * 1e3)));
    if let Some(reason) = of.reason {
        members.push(("reason", Json::text(reason)));
    }
    if let Some((code, text)) = &of.ede {
        members.push(("ede", Json::Number(i64::from(*code))));
        if !text.is_empty() {
            members.push(("text", Json::text(&**text)));
        }
    }
    Json::Object(members).to_string()
}

/// Who asked, as far as the log may tell.
fn client(ip: IpAddr, clients: LoggedClients) -> Option<String> {
    let ip = ip.to_canonical();
    match clients {
        LoggedClients::None => None,
        LoggedClients::Full => Some(ip.to_string()),
        LoggedClients::Prefix => {
            let length = if ip.is_ipv4() { PREFIX_V4 } else { PREFIX_V6 };
            // No length is too long for its family.
            IpNet::new(ip, length)
                .ok()
                .map(|net| net.trunc().to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // req 127
    #[test]
    fn clients_are_told_of_as_far_as_is_asked_for() {
        let of = |ip: &str, clients| client(ip.parse().unwrap(), clients);
        for (ip, prefix) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2ff::77", "2001:db8:1:200::/56"),
        ] {
            assert_eq!(of(ip, LoggedClients::None), None);
            assert_eq!(of(ip, LoggedClients::Prefix).as_deref(), Some(prefix));
        }
        assert_eq!(
            of("::ffff:192.0.2.77", LoggedClients::Full).as_deref(),
            Some("192.0.2.77")
        );
    }
}
