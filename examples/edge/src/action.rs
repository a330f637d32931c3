//! What the host is asked to do, laid out for it to read.
#![forbid(unsafe_code)]

use slotmap::KeyData;
use std::ptr;

/// One thing to do. In WebAssembly's memory: `kind` at offset 0, `number` at 4, `link` at 8, `octets` at 16, `len` at 20; all
/// little-endian.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Action {
    /// What to do, which also says what the other fields mean.
    pub kind: Kind,
    /// The client of a reply, the id of a question, the index of an upstream in the list.
    pub number: u32,
    /// Which link: the host hands it back as it is. In a reply, for how many seconds it is fresh.
    pub link: u64,
    /// Where the octets are that belong to it.
    pub octets: *const u8,
    /// How many.
    pub len: usize,
}

/// The kinds of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Give the octets, a DNS message, to the client `number`.
    Reply = 1,
    /// Write the octets, a DNS message with its length prefix, to `link`. Several in a row leave best in one write.
    Send = 2,
    /// Connect; the octets are the text `ADDRESS:PORT NAME`. Then report that `link` is up or failed.
    Dial = 3,
    /// Look the name of upstream `number` up; the octets are the name. Then report what was found.
    Resolve = 4,
    /// Close `link`, or give up dialling it. Nothing more is reported of it.
    Close = 5,
    /// Not to do: the start failed, and the octets say why in English.
    Wrong = 6,
}

impl Action {
    /// An action with no link and no octets yet.
    pub(crate) const fn new(kind: Kind, number: u32) -> Self {
        Self {
            kind,
            number,
            link: 0,
            octets: ptr::null(),
            len: 0,
        }
    }

    /// On this link.
    pub(crate) fn on(mut self, link: KeyData) -> Self {
        self.link = link.as_ffi();
        self
    }

    /// Fresh for so many seconds.
    pub(crate) fn fresh_for(mut self, seconds: u32) -> Self {
        self.link = seconds.into();
        self
    }

    /// With these octets, which have to stay where they are.
    pub(crate) const fn showing(mut self, octets: &[u8]) -> Self {
        self.octets = octets.as_ptr();
        self.len = octets.len();
        self
    }
}
