//! The query log: what was answered, to whom, how soon and from where, as lines of JSON in a file or on standard output. Off unless it is asked for.
//!
//! Event loops put what they have answered into a bounded queue and never wait ([`QueryLog`](crate::serve::QueryLog)); one thread takes it from there (`writer`). Where
//! that is too slow, because of a disk or of a reader who does not read, loops count what is lost and go on. `line` says what a line has.

mod line;
mod writer;

use crate::cli::QueryLogTo;
use crate::locks::lock;
use crate::serve::Control;
use log::{info, warn};
use std::sync::Mutex;
use std::time::Duration;
use writer::Writer;

/// How long an end waits until what is in the queue is written.
const PATIENCE: Duration = Duration::from_secs(1);

/// The query log that is in force, if there is one.
#[derive(Debug)]
pub struct QueryLogs {
    control: Control,
    current: Mutex<Option<(QueryLogTo, Writer)>>,
}

impl QueryLogs {
    /// None yet. The loops are told by `control`.
    pub fn new(control: Control) -> Self {
        Self {
            control,
            current: Mutex::new(None),
        }
    }

    /// Has queries logged there from now on, or nowhere. If that cannot be, it stays as it was. The text of an error is for the operator.
    pub fn apply(&self, to: Option<&QueryLogTo>) -> Result<(), String> {
        let mut current = lock(&self.current);
        if current.as_ref().map(|(to, _)| to) == to {
            return Ok(());
        }
        let next = to.map(|to| Ok::<_, String>((to.clone(), Writer::start(to)?)));
        let next = next.transpose()?;
        let log = next.as_ref().map(|(_, writer)| writer.log());
        match to {
            Some(to) => info!("names that clients ask for are logged to {to} (query-log)"),
            None => info!("queries are not logged any more (query-log)"),
        }
        self.control.log_queries(log);
        if let Some((_, before)) = std::mem::replace(&mut *current, next) {
            before.end(PATIENCE);
        }
        Ok(())
    }

    /// Opens the file anew: it may have been renamed, as log rotation does.
    pub fn reopen(&self) {
        if let Some((_, writer)) = &*lock(&self.current) {
            writer.reopen();
        }
    }

    /// Writes what is left. Waits for that, but not for long.
    pub fn end(&self) {
        self.control.log_queries(None);
        if let Some((to, writer)) = lock(&self.current).take()
            && !writer.end(PATIENCE)
        {
            warn!("the query log {to} takes no more lines: the last ones are lost");
        }
    }
}
