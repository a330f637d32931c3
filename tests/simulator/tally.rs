//! How often each name was asked for, and how often it was sent.

use super::messages;
use super::watch::{MAX_SENDS, MAX_UNPROCESSED};
use std::collections::BTreeMap;

/// By name.
#[derive(Default)]
pub struct Tally {
    names: BTreeMap<String, Counts>,
    /// Questions that an upstream did not process, of all names.
    unprocessed: u64,
}

#[derive(Default)]
struct Counts {
    /// Of clients.
    queries: u64,
    /// Questions that an upstream got.
    sent: u64,
    /// Those of them that count so far: all that it was not heard of that they were not processed.
    counted: u64,
    /// The most that there were of these at a time. What was not processed makes up for what is sent later, and for nothing before.
    peak: u64,
}

impl Tally {
    /// A client asked.
    pub fn asked(&mut self, query: &[u8]) {
        let name = messages::name(query);
        self.names.entry(name).or_default().queries += 1;
    }

    /// An upstream was asked for a name so many times.
    pub fn sent(&mut self, name: String, times: u64) {
        let of_name = self.names.entry(name).or_default();
        of_name.sent += times;
        of_name.counted += times;
        of_name.peak = of_name.peak.max(of_name.counted);
    }

    /// An upstream was asked for a name before it was clear that it could be connected to, and it could not be.
    pub fn not_sent(&mut self, name: &str) {
        if let Some(of_name) = self.names.get_mut(name) {
            of_name.sent = of_name.sent.saturating_sub(1);
            of_name.counted = of_name.counted.saturating_sub(1);
        }
    }

    /// An upstream said of a question that it has not processed it: it may be sent once more (RFC 9113 section 8.7).
    pub fn unprocessed(&mut self, name: &str) {
        self.unprocessed += 1;
        if let Some(of_name) = self.names.get_mut(name) {
            of_name.counted = of_name.counted.saturating_sub(1);
        }
    }

    /// How many questions were not processed.
    pub fn all_unprocessed(&self) -> u64 {
        self.unprocessed
    }

    /// No question was sent more often than the design allows. So many were asked beforehand, nobody knows for which names.
    pub fn check(&self, prefetches: u64) -> Result<(), String> {
        for (name, of_name) in &self.names {
            let queries = of_name.queries + prefetches;
            let counted = queries * u64::from(MAX_SENDS);
            let in_all = counted + queries * u64::from(MAX_UNPROCESSED);
            if of_name.peak > counted || of_name.sent > in_all {
                let (sent, queries) = (of_name.sent, of_name.queries);
                return Err(format!("{name}: sent {sent} times for {queries} queries"));
            }
        }
        Ok(())
    }
}
