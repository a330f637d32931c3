//! For how long HTTP may keep a response.

use dotward::wire::{Cacheability, Section, cacheability, parse_response, records};

/// The freshness lifetime of a response, in seconds (RFC 8484 section 5.1): the lowest TTL of its answers; of a negative one, what the
/// SOA of the zone allows. A failure, or what cannot be read, has none: 0.
pub fn freshness(message: &[u8]) -> u32 {
    let Ok(response) = parse_response(message) else {
        return 0;
    };
    match cacheability(message, &response) {
        Cacheability::Data {
            lifetime,
            negative: false,
        } => records(message, &response)
            .filter(|record| record.section == Section::Answer)
            .map(|record| record.ttl)
            .min()
            .unwrap_or(lifetime),
        Cacheability::Data { lifetime, .. } => lifetime,
        _ => 0,
    }
}
