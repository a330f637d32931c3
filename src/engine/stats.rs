//! What is counted, and how a report of it reads.

use std::fmt;
use std::ops::AddAssign;

/// Makes a structure of counters, which knows their names.
macro_rules! counters {
    ($( $(#[$about:meta])* struct $Counters:ident { $( $(#[$doc:meta])* $name:ident, )* } )*) => { $(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $Counters { $( $(#[$doc])* pub $name: u64, )* }

        impl $Counters {
            /// All counters, by their names.
            fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$( (stringify!($name), self.$name) ),*].into_iter()
            }
        }

        /// The sums of two, such as those of two workers.
        impl AddAssign for $Counters {
            fn add_assign(&mut self, other: Self) {
                $( self.$name += other.$name; )*
            }
        }
    )* };
}

counters! {
    /// What happened so far. Every bound has its counter here.
    struct Stats {
        /// Queries from clients, whatever became of them.
        queries,
        /// Of those, queries over TCP; the others came over UDP.
        stream_queries,
        /// Messages that are no query and got no answer: too short, or answers themselves. They are not among the queries.
        dropped,
        /// Queries that repeat one whose answer is due, from the same client with the same id and letter case: that answer is for both.
        repeats,
        /// Queries from addresses that may not ask.
        denied,
        /// Queries answered with FORMERR at once, because they cannot be read.
        malformed,
        /// Queries answered with another error at once, because nothing is done here that they ask for: zone transfers, updates, versions of
        /// EDNS that do not exist yet.
        unsupported,
        /// Queries beyond the bound on those in flight, of clients that had as many as any other.
        shed,
        /// Queries beyond the bound on those in flight of one client.
        shed_per_client,
        /// Queries for names that are answered here and leave for nobody: hosts, special-use names, and the server itself.
        local,
        /// Queries given up to make room for those of clients with fewer in flight, or for a later one of the same client.
        yielded,
        /// Queries answered from the cache.
        hits,
        /// Queries answered with an answer out of date, for want of a better one in time.
        stale,
        /// Answers asked for anew because they end soon.
        prefetches,
        /// Queries that joined an identical query in flight.
        joined,
        /// Queries whose question simple-dns does not know how to read; they are forwarded all the same.
        opaque,
        /// Queries sent to upstreams, repetitions included.
        sent,
        /// Queries sent again.
        resent,
        /// Queries answered with an upstream's answer.
        answered,
        /// Of those, queries over TCP answered with SERVFAIL, because the upstream's answer is truncated.
        truncated,
        /// Queries answered with SERVFAIL for want of one.
        failed,
        /// Of those, queries sent to nobody, because no upstream could be connected to.
        failed_unconnected,
        /// Of those, queries that were sent, and to which no answer came in time.
        failed_unanswered,
        /// Of those, queries whose connections were all lost.
        failed_lost,
        /// Of those, queries to which only answers came that cannot be read.
        failed_malformed,
        /// Of those, queries that were in flight when the program ended.
        failed_ending,
        /// Answers from upstreams that belong to no query.
        strays,
        /// Answers from upstreams that cannot be read.
        malformed_answers,
        /// Answers that the system refused to send, or had no room for. Counted by the shell.
        unsent,
        /// Responses that the query log had no room for. Counted by the shell.
        unlogged,
        /// TCP clients that were not admitted because there were too many. Counted by the shell.
        rejected_clients,
        /// TCP connections that were closed because their clients held most of all, and all together more than may be. Counted by the shell.
        unread,
        /// Connects begun.
        dials,
        /// Connects begun for no query, because an idle connection ended a short while after the last one.
        renewed,
        /// Connects that failed.
        failed_connects,
        /// Connections that ended with queries in flight.
        connections_lost,
        /// Connections that were given up because the machine had been suspended or the process stopped.
        retired,
        /// Connections that were given up, or took no more queries, because the network path to their upstream changed.
        rerouted,
        /// Queries sent a second time because their answers were late; at most 5 % of all.
        hedges,
        /// Copies of queries sent to a suspect upstream, to see whether it is healthy again.
        probes,
        /// Questions for portal checks asked of the network's own resolver, in the clear.
        captive_asked,
        /// Queries answered with what that resolver says.
        captive_answered,
    }

    /// What happened with one upstream so far.
    struct UpstreamStats {
        /// Queries sent to it, repetitions included.
        sent,
        /// Answers from it that belong to a query.
        answered,
        /// Of those, SERVFAIL, REFUSED and truncated ones.
        useless,
        /// Connects begun.
        connects,
        /// Connects that failed.
        failed_connects,
        /// Connections that ended with queries in flight.
        lost_connections,
        /// How often it began to be passed over.
        passed_over,
        /// Connects that succeeded, with their handshake where there is one.
        connected,
        /// Of those, connections on which the upstream was authenticated, in this handshake or in that of the session that it resumes.
        verified,
        /// Of those, connections by TLS on which it was not authenticated (RFC 8310 section 5, opportunistic profile).
        unverified,
        /// Of those, connections that resumed a session of TLS.
        resumed,
        /// Connects that failed because its name was not found.
        failed_resolutions,
        /// Connects that failed because they were not done in time.
        failed_in_time,
        /// Connects that failed because it is not who it should be.
        failed_verifications,
        /// Connects that failed in another way within the handshake. The others of those that failed found no way to it.
        failed_handshakes,
    }
}

impl Stats {
    /// Queries that were accepted: well formed, of a kind that is forwarded, from a client that may ask.
    pub fn accepted(&self) -> u64 {
        self.queries
            .saturating_sub(self.denied + self.malformed + self.unsupported)
    }
}

/// Counters as a report has them: `queries 3, hits 1`.
fn write(
    mut counters: impl Iterator<Item = (&'static str, u64)>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let Some((name, count)) = counters.next() else {
        return f.write_str("nothing so far");
    };
    write!(f, "{name} {count}")?;
    counters.try_for_each(|(name, count)| write!(f, ", {name} {count}"))
}

impl fmt::Display for Stats {
    /// The counters that have counted something.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.named().filter(|(_, count)| *count > 0), f)
    }
}

impl fmt::Display for UpstreamStats {
    /// All counters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.named(), f)
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
        for (name, _) in Stats::default().named() {
            assert!(named(name), "{name} is not in the table");
        }
        let upstream = UpstreamStats::default().to_string();
        for counter in upstream.split(", ") {
            let name = counter.split(' ').next().unwrap_or_default();
            assert!(named(name), "{name} of an upstream is not in the section");
        }
    }
}
