//! What is counted, and how a report of it reads.

use std::fmt;

/// What happened so far. Every bound has its counter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Queries from clients, whatever became of them.
    pub queries: u64,
    /// Messages that are no query and got no answer: too short, or answers themselves. They are not among the queries.
    pub dropped: u64,
    /// Queries that repeat one whose answer is due, from the same client with the same id and letter case: that answer is for both.
    pub repeats: u64,
    /// Queries from addresses that may not ask.
    pub denied: u64,
    /// Queries answered with FORMERR at once, because they cannot be read.
    pub malformed: u64,
    /// Queries answered with another error at once, because nothing is done here that they ask for: zone transfers, updates, versions of
    /// EDNS that do not exist yet.
    pub unsupported: u64,
    /// Queries beyond the bound on those in flight, of clients that had as many as any other.
    pub shed: u64,
    /// Queries beyond the bound on those in flight of one client.
    pub shed_per_client: u64,
    /// Queries for names that are answered here and leave for nobody.
    pub local: u64,
    /// Queries given up to make room for those of clients with fewer in flight, or for a later one of the same client.
    pub yielded: u64,
    /// Queries answered from the cache.
    pub hits: u64,
    /// Queries answered with an answer out of date, for want of a better one in time.
    pub stale: u64,
    /// Answers asked for anew because they end soon.
    pub prefetches: u64,
    /// Queries that joined an identical query in flight.
    pub joined: u64,
    /// Queries whose question simple-dns does not know how to read; they are forwarded all the same.
    pub opaque: u64,
    /// Queries sent to upstreams, repetitions included.
    pub sent: u64,
    /// Queries sent again.
    pub resent: u64,
    /// Queries answered with an upstream's answer.
    pub answered: u64,
    /// Queries answered with SERVFAIL for want of one.
    pub failed: u64,
    /// Answers from upstreams that belong to no query.
    pub strays: u64,
    /// Answers from upstreams that cannot be read.
    pub malformed_answers: u64,
    /// Answers that the system refused to send, or had no room for. Counted by the shell.
    pub unsent: u64,
    /// TCP clients that were not admitted because there were too many. Counted by the shell.
    pub rejected_clients: u64,
    /// TCP connections that were closed because their clients held most of all, and all together more than may be. Counted by the shell.
    pub unread: u64,
    /// Connects begun.
    pub dials: u64,
    /// Connects begun for no query, because an idle connection ended a short while after the last one.
    pub renewed: u64,
    /// Connects that failed.
    pub failed_connects: u64,
    /// Connections that ended with queries in flight.
    pub connections_lost: u64,
    /// Connections that were given up because the machine had been suspended or the process stopped.
    pub retired: u64,
    /// Queries sent a second time because their answers were late; at most 5 % of all.
    pub hedges: u64,
    /// Copies of queries sent to a suspect upstream, to see whether it is healthy again.
    pub probes: u64,
}

impl Stats {
    /// Queries that were accepted: well formed, of a kind that is forwarded, from a client that may ask.
    pub fn accepted(&self) -> u64 {
        self.queries
            .saturating_sub(self.denied + self.malformed + self.unsupported)
    }
}

/// What happened with one upstream so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamStats {
    /// Queries sent to it, repetitions included.
    pub sent: u64,
    /// Answers from it that belong to a query.
    pub answered: u64,
    /// Of those, SERVFAIL, REFUSED and truncated ones.
    pub useless: u64,
    /// Connects begun.
    pub connects: u64,
    /// Connects that failed.
    pub failed_connects: u64,
    /// Connections that ended with queries in flight.
    pub lost_connections: u64,
    /// How often it began to be passed over.
    pub passed_over: u64,
}

impl fmt::Display for UpstreamStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            answered,
            useless,
            connects,
            failed_connects,
            lost_connections,
            passed_over,
        } = self;
        write!(
            f,
            "sent {sent}, answered {answered}, useless {useless}, connects {connects}, failed_connects {failed_connects}, \
             lost_connections {lost_connections}, passed_over {passed_over}"
        )
    }
}

/// The counters with their names. A new one that is missing here does not compile.
macro_rules! named {
    ($stats:expr; $($name:ident)*) => {{
        let Stats { $($name),* } = $stats;
        [$((stringify!($name), $name)),*]
    }};
}

impl Stats {
    /// All counters, by their names.
    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counters = named! { *self;
            queries dropped repeats denied malformed unsupported shed shed_per_client yielded local
            hits
            stale prefetches joined opaque sent resent
            answered failed strays malformed_answers unsent rejected_clients unread dials renewed
            failed_connects connections_lost retired hedges probes
        };
        counters.into_iter()
    }
}

impl fmt::Display for Stats {
    /// The counters that have counted something, by their names: `queries 3, hits 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counted = self.counters().filter(|(_, count)| *count > 0);
        let Some((name, count)) = counted.next() else {
            return f.write_str("nothing so far");
        };
        write!(f, "{name} {count}")?;
        counted.try_for_each(|(name, count)| write!(f, ", {name} {count}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_what_was_counted_and_nothing_else() {
        let mut stats = Stats::default();
        assert_eq!(stats.to_string(), "nothing so far");
        (stats.queries, stats.probes, stats.connections_lost) = (3, 1, 2);
        assert_eq!(stats.to_string(), "queries 3, connections_lost 2, probes 1");
    }

    #[test]
    fn the_table_of_counters_has_them_all() {
        const PAGE: &str = include_str!("../../docs/troubleshooting.md");
        let (_, section) = PAGE.split_once("\n## The counters").expect("the section");
        let section = section.split("\n## ").next().unwrap_or_default();
        let named = |name: &str| section.contains(&format!("`{name}`"));
        for (name, _) in Stats::default().counters() {
            assert!(named(name), "{name} is not in the table");
        }
        let upstream = UpstreamStats::default().to_string();
        for counter in upstream.split(", ") {
            let name = counter.split(' ').next().unwrap_or_default();
            assert!(named(name), "{name} of an upstream is not in the section");
        }
    }
}
