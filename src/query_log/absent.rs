//! A build without threads logs no queries. Stands in for `src/query_log/mod.rs`.

use crate::cli::QueryLogTo;
use crate::serve::Control;

/// Nothing.
#[derive(Debug)]
pub struct QueryLogs(());

impl QueryLogs {
    /// Nothing.
    pub fn new(_control: Control) -> Self {
        Self(())
    }

    /// An error if there is something to be done: this build cannot.
    pub fn apply(&self, to: Option<&QueryLogTo>) -> Result<(), String> {
        match to {
            None => Ok(()),
            Some(_) => Err("queries cannot be logged (query-log): this program was built without sockets and threads".to_owned()),
        }
    }

    /// Nothing.
    pub fn reopen(&self) {}

    /// Nothing.
    pub fn end(&self) {}
}
