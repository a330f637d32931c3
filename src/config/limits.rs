//! Limits on everything that grows with load.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The limits on everything that grows with load. What exceeds a limit waits or is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Queries in flight per worker. Default: 2,048, which at 20 ms per response are 100,000 queries a second. A query counts as many as it
    /// has started 2,048 octets. At the limit the client that has most in flight gives way, its oldest query first.
    pub in_flight: usize,
    /// Queries in flight per worker and client, by its IPv4 address or its IPv6 /64. Default: 1,000, as in unbound. Whoever forges an address
    /// cannot pile up more responses that reach its owner together (CVE-2024-33655). There is no such limit on loopback: all clients of a
    /// host share that address, and nobody can forge it from outside.
    pub in_flight_per_client: usize,
    /// Queries in flight per upstream connection. Default: 1,000, about as many as large resolvers allow. Message ids have 16 bits.
    pub link_in_flight: usize,
    /// TCP connections of all clients together. Default: 1,000, which fits into the usual 1,024 open files.
    pub tcp_connections: usize,
    /// TCP connections per client, by its IPv4 address or its IPv6 /64. Default: 100. There is no such limit on loopback.
    pub tcp_per_client: usize,
    /// Queries in flight per TCP connection of a client (RFC 7766 section 6.2.1.1). Default: 100. Beyond that the connection is not read.
    pub tcp_in_flight: usize,
    /// How long a TCP connection of a client may be idle. Default: 10 s, "on the order of seconds" (RFC 7766 section 6.2.3).
    pub tcp_idle: Duration,
    /// Memory in octets for queries in flight and for responses that clients have not read, of all workers together and beside the cache.
    /// Default: 64 MiB, half of a container of 128 MiB, and 4 MiB for each worker where there are more than 16.
    pub queue_bytes: usize,
    /// The largest response over UDP in octets. Default: 1,232, which no path fragments (RFC 9715, DNS flag day 2020).
    pub udp_payload: u16,
}

impl Limits {
    /// The range of each count: 0 would refuse every client; 65,535 exceeds message ids and open files alike.
    pub const COUNTS: RangeInclusive<usize> = 1..=65_535;

    /// The range of [`Limits::tcp_idle`]: in less than 1 s a client on a slow path does not send a second query; after an hour an idle
    /// connection is a leak.
    pub const TCP_IDLES: RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(3_600);

    /// The default of [`Limits::queue_bytes`].
    pub const QUEUE: usize = 64 << 20;

    /// The least of [`Limits::queue_bytes`] for one worker: 32 clients with responses of the largest size.
    pub const MIN_QUEUE: usize = 4 << 20;

    /// The range of [`Limits::udp_payload`]: every client accepts 512 octets (RFC 1035 section 2.3.4); above 4,096 responses are fragmented.
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
        // fault 64: one UDP client cannot take all queries in flight.
        assert!(limits.in_flight_per_client < limits.in_flight);
        // fault 73: one client prefix cannot take all connections.
        assert!(limits.tcp_per_client < limits.tcp_connections);
        assert!(limits.link_in_flight <= limits.in_flight);
    }
}
