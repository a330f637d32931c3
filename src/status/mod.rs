//! What the program does now, of all event loops together: for those who watch it over HTTP and over the control socket.
//!
//! - `totals` adds up what the loops have measured, and `health` says whether queries would be answered.
//! - `report` is the status in JSON, with failures by the `reasons` of the metrics, and `about` what of it does not change.

pub mod about;
pub mod health;
pub mod reasons;
pub mod report;
pub mod totals;
