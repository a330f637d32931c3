//! Says who is denied: one log line at a time, however many ask.

use super::time::Time;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A line names one client. The next one comes after this time at the earliest, so that a flood of questions is no flood of lines.
const SILENCE: Duration = Duration::from_secs(60);

/// Which questions of clients that may not ask are still to be told of.
#[derive(Debug, Default)]
pub struct Denials {
    silent_until: Time,
    untold: u64,
}

impl Denials {
    /// This client is denied. Returns the line for the log, unless the last one was written too short a time ago.
    pub fn note(&mut self, client: IpAddr, now: Time) -> Option<Denial> {
        if now < self.silent_until {
            self.untold += 1;
            return None;
        }
        self.silent_until = now + SILENCE;
        Some(Denial {
            client: client.to_canonical(),
            untold: std::mem::take(&mut self.untold),
        })
    }
}

/// A client that was denied, after so many of whom the log says nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Denial {
    client: IpAddr,
    untold: u64,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, untold } = self;
        write!(
            f,
            "client {client}: its question is refused, because no allowed network (allow-net) has this address"
        )?;
        match untold {
            0 => Ok(()),
            1 => f.write_str("; 1 more question was refused since the last such line"),
            more => write!(
                f,
                "; {more} more questions were refused since the last such line"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_denied_questions_is_one_line_a_minute() {
        // fault 69
        let mut denials = Denials::default();
        let client = "::ffff:192.0.2.7".parse().unwrap();
        let start = Time::ZERO + Duration::from_secs(5);
        let line = |denials: &mut Denials, after| {
            let denial = denials.note(client, start + Duration::from_millis(after));
            denial.map(|denial| denial.to_string())
        };
        let first = "client 192.0.2.7: its question is refused, because no allowed network (allow-net) has this address";
        assert_eq!(line(&mut denials, 0).as_deref(), Some(first));
        assert_eq!(line(&mut denials, 1), None);
        assert_eq!(line(&mut denials, 59_999), None);
        let second = format!("{first}; 2 more questions were refused since the last such line");
        assert_eq!(line(&mut denials, 60_000), Some(second));
        assert_eq!(line(&mut denials, 60_001), None);
        let third = format!("{first}; 1 more question was refused since the last such line");
        assert_eq!(line(&mut denials, 120_000), Some(third));
        assert_eq!(line(&mut denials, 1_000_000).as_deref(), Some(first));
    }
}
