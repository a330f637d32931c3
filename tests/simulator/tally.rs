//! How often each name was asked for, and how often it was sent.

use super::messages;
use super::watch::MAX_SENDS;
use std::collections::BTreeMap;

/// By name: queries, and questions that an upstream got.
#[derive(Default)]
pub struct Tally(BTreeMap<String, (u64, u64)>);

impl Tally {
    /// A client asked.
    pub fn asked(&mut self, query: &[u8]) {
        self.0.entry(messages::name(query)).or_default().0 += 1;
    }

    /// An upstream was asked for a name so many times.
    pub fn sent(&mut self, name: String, times: u64) {
        self.0.entry(name).or_default().1 += times;
    }

    /// An upstream was asked for a name before it was clear that it could be connected to, and it could not be.
    pub fn not_sent(&mut self, name: &str) {
        if let Some((_, sent)) = self.0.get_mut(name) {
            *sent = sent.saturating_sub(1);
        }
    }

    /// No question was sent more often than the design allows. So many were asked beforehand, nobody knows for which names.
    pub fn check(&self, prefetches: u64) -> Result<(), String> {
        let allowed = |queries: u64| u64::from(MAX_SENDS) * (queries + prefetches);
        let mut names = self.0.iter();
        match names.find(|(_, (queries, sent))| *sent > allowed(*queries)) {
            Some((name, (queries, sent))) => {
                Err(format!("{name}: sent {sent} times for {queries} queries"))
            }
            None => Ok(()),
        }
    }
}
