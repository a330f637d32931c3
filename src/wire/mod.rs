//! The wire format: DNS messages as octets, and the only code that knows offsets.
//!
//! The rule of this room: **the bytes are the message**. A message is walked once, and the walk remembers
//! where things are. A question is forwarded and an answer relayed as the bytes that came, edited only
//! where a hop must. Nothing is rebuilt from a parse, so nothing that we do not know can be lost.
//!
//! - Reading: [`query`] says whether a client's message is forwarded or what it earns instead; [`answer`]
//!   checks an
//!   upstream's. Both return a small `Copy` scan that the edits take.
//! - Asking about it: [`first_question`], [`same_question`], [`lowercase_into`], [`typed`], [`describe`], [`records`], [`options`].
//! - Editing: [`forward_query`], [`relay_answer`], [`own_answer`]. Each appends one whole message to a
//!   `Vec<u8>`; [`add_opt`] and [`add_option`] edit the query that was appended last.
//! - Framing: [`Frames`] and [`append_frame`], the two-octet length prefix of streams.
//!
//! Everything here is pure, and total on any input: offsets are checked, loops are bounded, and nothing is
//! allocated in proportion to a count that a message claims.

mod answer;
mod edit_answer;
mod edit_query;
mod edns;
mod frame;
mod header;
mod kept;
mod labels;
mod misplaced;
mod name;
mod names;
mod octets;
mod query;
mod question;
mod rdata;
mod rotation;
mod scan;
mod worth;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod simple_dns_pins;
#[cfg(test)]
pub(crate) mod testing;

pub use answer::{Answer, answer};
pub use edit_answer::{OwnRecord, Reply, own_answer, own_record, relay_answer};
pub use edit_query::{add_opt, add_option, forward_query};
pub use edns::{ClientEdns, Ede, OptAt, OptionCodes, is_hop_by_hop, options};
pub use frame::{Frames, append_frame};
pub use header::{Flags, HEADER_LEN, Header, Rcode, set_id, set_truncated};
pub use kept::Kept;
pub use labels::Labels;
pub use name::{NameDisplay, display};
pub use query::{Query, Refusal, query};
pub use question::{
    QuestionAt, QuestionDisplay, describe, first_question, lowercase_into, same_question, typed,
};
pub use scan::{Malformed, Record, Section, records};
pub use worth::{Worth, worth};
