//! How much of everything there may be at once.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The bounds on everything that grows with load. What is beyond a bound waits or is refused, never
/// stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Questions in flight per worker: 2,048. At 20 ms per answer that is 100,000 questions a
    /// second. One counts as many as it has started 2,048 octets. At the bound the client that has
    /// most in flight gives way, its oldest question first.
    pub in_flight: usize,
    /// Questions in flight per worker of one client, by its IPv4 address or its IPv6 /64: 1,000,
    /// as unbound has it. Whoever forges an address cannot pile up more answers that hit its owner
    /// together (CVE-2024-33655). On loopback there is no such bound: all clients of a machine share
    /// that address, and nobody can forge it from outside.
    pub in_flight_per_client: usize,
    /// Questions in flight per upstream connection: 1,000. Ids are 16 bits, and large resolvers
    /// allow about as many.
    pub link_in_flight: usize,
    /// TCP connections of clients in all: 1,000, which fits the usual 1,024 open files.
    pub tcp_connections: usize,
    /// TCP connections per client, by its IPv4 address or its IPv6 /64: 100, so that one cannot
    /// crowd out the rest. There is no such bound on loopback, whose address all clients of a
    /// machine share.
    pub tcp_per_client: usize,
    /// Questions in flight per client connection: 100. Beyond that its reading pauses (RFC 7766
    /// asks for pipelining).
    pub tcp_in_flight: usize,
    /// How long a client connection may be silent: 10 s, "of the order of seconds" as RFC 7766
    /// says.
    pub tcp_idle: Duration,
    /// Memory in octets for questions that wait for their answers and for answers that wait to be read, of all workers and beside the
    /// cache: 64 MiB, which leaves a container of 128 MiB half of its memory, and 4 MiB for each worker where there are more than 16.
    pub queue_bytes: usize,
    /// The largest answer over UDP in octets: 1,232 (RFC 9715, DNS flag day 2020), which no path
    /// fragments.
    pub udp_payload: u16,
}

impl Limits {
    /// Counts: a bound of 0 would refuse everybody; more than 65,535 exceeds ids and open files
    /// alike.
    pub const COUNTS: RangeInclusive<usize> = 1..=65_535;

    /// Below 1 s a client on a slow path never gets to its second question; an hour is a leak.
    pub const TCP_IDLES: RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(3_600);

    /// The default of [`Limits::queue_bytes`].
    pub const QUEUE: usize = 64 << 20;

    /// The least of [`Limits::queue_bytes`] for one worker: 32 clients whose answers are as large as answers get.
    pub const MIN_QUEUE: usize = 4 << 20;

    /// 512 octets is what every client accepts (RFC 1035); above 4,096 answers travel in fragments.
    pub const UDP_PAYLOADS: RangeInclusive<usize> = 512..=4_096;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 2_048,
            in_flight_per_client: 1_000,
            link_in_flight: 1_000,
            tcp_connections: 1_000,
            tcp_per_client: 100,
            tcp_in_flight: 100,
            tcp_idle: Duration::from_secs(10),
            queue_bytes: Self::QUEUE,
            udp_payload: 1_232,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_ranges_and_fit_each_other() {
        let limits = Limits::default();
        assert!(Limits::UDP_PAYLOADS.contains(&limits.udp_payload.into()));
        assert!(Limits::TCP_IDLES.contains(&limits.tcp_idle));
        let counts = [
            limits.in_flight,
            limits.in_flight_per_client,
            limits.link_in_flight,
            limits.tcp_connections,
        ];
        assert!(counts.iter().all(|count| Limits::COUNTS.contains(count)));
        // fault 64: one UDP client cannot take all questions in flight.
        assert!(limits.in_flight_per_client < limits.in_flight);
        // fault 73: one client prefix cannot take all connections.
        assert!(limits.tcp_per_client < limits.tcp_connections);
        assert!(limits.link_in_flight <= limits.in_flight);
    }
}
