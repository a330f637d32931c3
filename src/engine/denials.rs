//! Says who is denied: one log line at a time, however many ask.

use super::failure::NOT_ALLOWED;
use super::remedies;
use super::time::Time;
use std::net::IpAddr;
use std::time::Duration;

/// A line names one client. The next one comes after this time at the earliest, so that a flood of queries is no flood of lines.
const SILENCE: Duration = Duration::from_secs(60);

/// How many queries of clients that may not ask the log does not tell of yet.
#[derive(Debug, Default)]
pub struct Denials {
    silent_until: Time,
    untold: u64,
}

impl Denials {
    /// This client is denied. Returns the line for the log, unless the last one was written too short a time ago.
    pub fn note(&mut self, client: IpAddr, now: Time) -> Option<String> {
        if now < self.silent_until {
            self.untold += 1;
            return None;
        }
        self.silent_until = now + SILENCE;
        let client = client.to_canonical();
        let more = match std::mem::take(&mut self.untold) {
            0 => String::new(),
            1 => "; 1 more query was refused since the last such line".into(),
            more => format!("; {more} more queries were refused since the last such line"),
        };
        Some(format!(
            "client {client}: its query is refused, because {NOT_ALLOWED}; {}{more}",
            remedies::OF_DENIAL
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_denied_queries_is_one_line_a_minute() {
        // fault 69
        let mut denials = Denials::default();
        let client = "::ffff:192.0.2.7".parse().unwrap();
        let start = Time::ZERO + Duration::from_secs(5);
        let line = |denials: &mut Denials, after| {
            denials.note(client, start + Duration::from_millis(after))
        };
        let first = "client 192.0.2.7: its query is refused, because this address is not allowed to query this server; \
                     if this client is to be served, name its network (allow-net)";
        assert_eq!(line(&mut denials, 0).as_deref(), Some(first));
        assert_eq!(line(&mut denials, 1), None);
        assert_eq!(line(&mut denials, 59_999), None);
        let second = format!("{first}; 2 more queries were refused since the last such line");
        assert_eq!(line(&mut denials, 60_000), Some(second));
        assert_eq!(line(&mut denials, 60_001), None);
        let third = format!("{first}; 1 more query was refused since the last such line");
        assert_eq!(line(&mut denials, 120_000), Some(third));
        assert_eq!(line(&mut denials, 1_000_000).as_deref(), Some(first));
    }
}
