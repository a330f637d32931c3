//! The wire format: DNS messages as octets, and the only code that knows offsets.
//!
//! The rule of this module: **the bytes are the message**. A message is walked once, and the walk remembers
//! where things are. A query is forwarded and a response relayed as the bytes that came, edited only
//! where a hop must. Nothing is rebuilt from a parse, so nothing that we do not know can be lost.
//!
//! - Reading: [`parse_query`] says whether a client's message is forwarded or which response it gets instead;
//!   [`parse_response`] checks an upstream's. Both return a small `Copy` value with the offsets that the edits need.
//! - Inspecting: [`same_question`], [`lowercase_into`], [`typed`], [`describe`], [`records`], [`uncompressed`], [`Svcb`], [`options`].
//! - Editing: [`forward_query`], [`relay_response`], [`relay_error`], [`local_response`], [`local_records`]. Each appends one whole message to a
//!   `Vec<u8>`.
//! - Caching: [`cacheability`] says whether a response may be cached and for how long; [`CachedResponse`] is its stored form.
//!   [`freshness`] says for how long a cache of HTTP may keep one.
//! - Records of failures: [`masked_query`], [`masked_response`].
//! - Framing: [`Frames`] and [`append_frame`], the two-octet length prefix of streams.
//!
//! Everything here is pure, and total on any input: offsets are checked, loops are bounded, and nothing is
//! allocated in proportion to a count that a message claims.

mod cacheability;
mod cached_response;
mod compression;
mod edit_query;
mod edit_response;
mod edns;
mod frame;
mod freshness;
mod header;
mod integers;
mod labels;
mod local_response;
mod malformed;
mod masked;
mod name;
mod name_text;
mod opt_removal;
mod query;
mod question;
mod rdata;
mod response;
mod rotation;
mod scan;
mod stored_response;
mod svcb;
mod svcb_params;

#[cfg(test)]
mod simple_dns_tests;
pub use cacheability::{Cacheability, cacheability};
pub use cached_response::CachedResponse;
pub use edit_query::{Rewrite, forward_query, set_udp_size};
pub use edit_response::{Recipient, relay_error, relay_response};
pub use edns::{
    ClientEdns, ClientSubnet, Ede, OPTION_KEEPALIVE, OPTION_PADDING, OptAt, OptionCodes,
    extended_errors, is_hop_by_hop, options,
};
pub use frame::{Frames, append_frame};
pub use freshness::freshness;
pub use header::{Flags, HEADER_LEN, Header, Rcode, clear_ad, set_id};
pub use labels::Labels;
pub use local_response::{LocalRdata, LocalRecord, local_records, local_response};
pub use malformed::Malformed;
pub use masked::{masked_query, masked_response};
pub use name::{NameDisplay, display, uncompressed};
pub use name_text::name_from_text;
pub use query::{Query, Refusal, parse_query};
pub use question::{
    QuestionAt, QuestionDisplay, TYPE_DS, describe, lowercase_into, question_words, same_question,
    typed, typed_labels,
};
pub use response::{Response, lower_ttls, parse_response, records};
pub use scan::{Record, Section};
pub use svcb::{Svcb, TYPE_SVCB};
pub use svcb_params::{SvcbParams, svcb_rdata};

#[cfg(test)]
#[path = "../../tests/support"]
#[expect(
    dead_code,
    reason = "the helpers are those of all tests; these use some of them"
)]
pub(crate) mod testing {
    mod codes;
    mod messages;

    pub use messages::*;
}
