//! EDNS(0), the extension that is spoken hop by hop (RFC 6891): the OPT record and its options.

use super::integers::{put_u16, set_u16, u16_at};

/// TYPE of the OPT record.
pub(super) const TYPE_OPT: u16 = 41;
/// Octets of an OPT record without options: root owner, type, size, flags and RDLENGTH.
pub(super) const BARE_OPT: usize = 11;
/// DO, "DNSSEC answer OK": the first of the 16 EDNS flags (RFC 3225).
pub(super) const FLAG_DO: u16 = 0x8000;
/// The smallest UDP size that can be meant; below, it counts as this (RFC 6891 §6.2.3).
const MIN_UDP_SIZE: u16 = 512;
/// Octets of an option before its data: code and length.
pub(super) const OPTION_FIXED: usize = 4;

/// The network of the client that asked first (RFC 7871).
pub const OPTION_CLIENT_SUBNET: u16 = 8;
/// A client's cookie and the server's (RFC 7873).
const OPTION_COOKIE: u16 = 10;
/// edns-tcp-keepalive: for how long an idle connection is kept (RFC 7828).
pub const OPTION_KEEPALIVE: u16 = 11;
/// Octets that hide the length of a message (RFC 7830).
pub const OPTION_PADDING: u16 = 12;
/// To a multiple of how many octets responses are padded (RFC 8467 section 4.1).
const RESPONSE_BLOCK: usize = 468;
/// EDE, extended DNS errors (RFC 8914).
pub(super) const OPTION_EDE: u16 = 15;

/// Whether an option speaks of one hop only, and so never crosses us: COOKIE, edns-tcp-keepalive and PADDING.
pub fn is_hop_by_hop(code: u16) -> bool {
    matches!(code, OPTION_COOKIE | OPTION_KEEPALIVE | OPTION_PADDING)
}

/// What becomes of the network of a client in its query (RFC 7871).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientSubnet {
    /// It is passed on, if the client sends it.
    Keep,
    /// It is removed: upstreams see the address of this host alone. One of no length and without an address stays: by it a client asks that
    /// none be sent on.
    #[default]
    Strip,
    /// It is removed, and every query says that none is to be sent on: SOURCE PREFIX-LENGTH 0 (section 7.1.2).
    Forbid,
}

impl ClientSubnet {
    /// Whether an option with this data never crosses us.
    pub fn ends_here(self, code: u16, data: &[u8]) -> bool {
        // FAMILY, SOURCE PREFIX-LENGTH, SCOPE PREFIX-LENGTH, and no octet of an address (section 6).
        let says_none = || matches!(data, [0, 0..=2, 0, 0]);
        is_hop_by_hop(code)
            || code == OPTION_CLIENT_SUBNET
                && match self {
                    Self::Keep => false,
                    Self::Strip => !says_none(),
                    Self::Forbid => true,
                }
    }
}

/// Where the OPT record is and what its fixed fields say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptAt {
    /// Where the record starts, with its owner.
    pub start: usize,
    /// Where its options start.
    pub options_at: usize,
    /// Where the record and its options end.
    pub end: usize,
    /// The sender's UDP payload size in octets, as it came.
    pub udp_size: u16,
    /// The upper eight bits of the response code.
    pub extended_rcode: u8,
    /// The EDNS version.
    pub version: u8,
    /// DO: the sender wants DNSSEC records.
    pub dnssec_ok: bool,
    /// All 16 EDNS flags, DO among them.
    pub flags: u16,
    /// Whether nothing stands behind it.
    pub last: bool,
}

/// The options of an OPT record, in order: code and data. It stops where they do not tile the record, which
/// a scanned message does not have.
pub fn options<'a>(
    message: &'a [u8],
    opt: &OptAt,
) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
    let mut rest = message.get(opt.options_at..opt.end).unwrap_or_default();
    std::iter::from_fn(move || {
        let (code, data, tail) = split_option(rest)?;
        rest = tail;
        Some((code, data))
    })
}

/// The extended errors in an OPT record (RFC 8914), in order. A text that is no UTF-8 is left out, and so is a null at its end (section 2).
pub fn extended_errors<'a>(
    message: &'a [u8],
    opt: Option<&OptAt>,
) -> impl Iterator<Item = Ede<'a>> + use<'a> {
    let options = opt.map(|opt| options(message, opt));
    options.into_iter().flatten().filter_map(|(code, data)| {
        let (info, text) = data.split_first_chunk::<2>()?;
        (code == OPTION_EDE).then(|| Ede {
            code: u16::from_be_bytes(*info),
            text: std::str::from_utf8(text)
                .unwrap_or_default()
                .trim_end_matches('\0'),
        })
    })
}

/// Whether options fill the RDATA without a remainder.
pub(super) fn options_tile(rdata: &[u8]) -> bool {
    let mut rest = rdata;
    while let Some((_, _, tail)) = split_option(rest) {
        rest = tail;
    }
    rest.is_empty()
}

/// The first option: code, data, and what comes behind.
fn split_option(rdata: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (code, len) = (u16_at(rdata, 0)?, u16_at(rdata, 2)?);
    let (data, tail) = rdata
        .get(OPTION_FIXED..)?
        .split_at_checked(usize::from(len))?;
    Some((code, data, tail))
}

/// A small set of option codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionCodes {
    codes: [u16; Self::MAX],
    len: usize,
}

impl OptionCodes {
    /// The most codes that are remembered of one query. Dig's fullest query has five; a code that is
    /// forgotten only means that the response comes without that option.
    pub const MAX: usize = 8;

    /// Whether the code is in the set.
    pub fn contains(&self, code: u16) -> bool {
        self.codes.iter().take(self.len).any(|&known| known == code)
    }

    fn insert(&mut self, code: u16) {
        if self.contains(code) {
            return;
        }
        if let Some(slot) = self.codes.get_mut(self.len) {
            *slot = code;
            self.len += 1;
        }
    }
}

/// What a client said in its OPT record that its response depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientEdns {
    /// The UDP size that it can take in octets, at least 512.
    pub udp_size: u16,
    /// DO: it wants DNSSEC records.
    pub dnssec_ok: bool,
    /// Its response is padded. That is for the caller to say: the way to the client must be encrypted (RFC 7830 section 6).
    pub pads: bool,
    /// The options that it sent, and so understands. Those that do not cross us are left out.
    pub options: OptionCodes,
}

impl ClientEdns {
    /// Reads a client's OPT record.
    pub fn of(message: &[u8], opt: &OptAt, subnet: ClientSubnet) -> ClientEdns {
        let mut codes = OptionCodes::default();
        for (code, data) in options(message, opt) {
            if !subnet.ends_here(code, data) {
                codes.insert(code);
            }
        }
        ClientEdns {
            udp_size: opt.udp_size.max(MIN_UDP_SIZE),
            dnssec_ok: opt.dnssec_ok,
            pads: false,
            options: codes,
        }
    }

    /// Whether an option of the response is for this client: one that it sent itself, or an EDE, which needs
    /// no asking.
    pub(super) fn takes(&self, code: u16) -> bool {
        code == OPTION_EDE || self.options.contains(code)
    }
}

/// Pads a response that begins at `start` of `out`, to at most `limit` octets. Our OPT record is the last of it, and begins at `opt_at`. The size
/// that the client's record names is one for UDP, where nothing is padded (RFC 7830 section 3).
#[cold]
pub(super) fn pad_response(start: usize, opt_at: usize, limit: usize, out: &mut Vec<u8>) {
    let bare = out.len() - start + OPTION_FIXED;
    if let Some(room) = limit.checked_sub(bare) {
        let padding = bare.next_multiple_of(RESPONSE_BLOCK) - bare;
        put_padding(out, padding.min(room));
        let options_at = opt_at + BARE_OPT;
        let len = out.len() - options_at;
        // RDLENGTH is the last field before the options.
        set_u16(out, options_at - 2, len as u16);
    }
}

/// An extended DNS error: why, in a number and some words (RFC 8914).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ede<'a> {
    /// INFO-CODE.
    pub code: u16,
    /// EXTRA-TEXT, which is for people. Keep it short: it travels in every such response.
    pub text: &'a str,
}

impl Ede<'static> {
    /// Other Error: none of the codes fits.
    pub const OTHER: Self = Ede::new(0);
    /// Stale Answer: no fresh one was to be had in time.
    pub const STALE_ANSWER: Self = Ede::new(3);
    /// Cached Error: the failure was remembered.
    pub const CACHED_ERROR: Self = Ede::new(13);
    /// Not Ready: the server is not (yet) up.
    pub const NOT_READY: Self = Ede::new(14);
    /// Prohibited: this client may not ask.
    pub const PROHIBITED: Self = Ede::new(18);
    /// Stale NXDOMAIN Answer: as [`Ede::STALE_ANSWER`], of a name that did not exist.
    pub const STALE_NXDOMAIN: Self = Ede::new(19);
    /// No Reachable Authority: no upstream answered.
    pub const NO_REACHABLE_AUTHORITY: Self = Ede::new(22);
    /// Network Error: what was reached failed.
    pub const NETWORK_ERROR: Self = Ede::new(23);

    const fn new(code: u16) -> Self {
        Ede { code, text: "" }
    }
}

impl<'a> Ede<'a> {
    /// The same code with other words.
    #[must_use]
    pub const fn with_text(self, text: &'a str) -> Self {
        Ede {
            code: self.code,
            text,
        }
    }

    /// Octets of the whole option.
    pub(super) fn option_len(&self) -> usize {
        OPTION_FIXED + 2 + self.text.len()
    }

    /// Appends the option.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_u16(out, OPTION_EDE);
        put_u16(out, (2 + self.text.len()) as u16);
        put_u16(out, self.code);
        out.extend_from_slice(self.text.as_bytes());
    }
}

/// Octets that an option with so much data takes.
pub(super) fn option_len(data: &[u8]) -> usize {
    OPTION_FIXED + data.len()
}

/// Appends one option.
pub(super) fn put_option(out: &mut Vec<u8>, code: u16, data: &[u8]) {
    put_u16(out, code);
    put_u16(out, data.len() as u16);
    out.extend_from_slice(data);
}

/// Appends the padding option with so many octets of zero (RFC 7830 section 3).
pub(super) fn put_padding(out: &mut Vec<u8>, padding: usize) {
    put_u16(out, OPTION_PADDING);
    put_u16(out, padding as u16);
    out.resize(out.len() + padding, 0);
}

/// What an OPT record of ours says besides its options. The version is 0 and all flags but DO are zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct OurOpt {
    pub(super) udp_size: u16,
    pub(super) extended_rcode: u8,
    pub(super) dnssec_ok: bool,
}

impl OurOpt {
    /// Appends the record up to its options, of which `options_len` octets must follow.
    pub(super) fn write(self, options_len: usize, out: &mut Vec<u8>) {
        out.push(0);
        put_u16(out, TYPE_OPT);
        put_u16(out, self.udp_size);
        out.extend_from_slice(&[self.extended_rcode, 0]);
        put_u16(out, if self.dnssec_ok { FLAG_DO } else { 0 });
        put_u16(out, options_len as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::super::query::parse_query;
    use super::super::testing;
    use super::*;

    /// A query with these options, and its OPT record.
    fn with_options(size: u16, bits: u32, sent: &[(u16, &[u8])]) -> (Vec<u8>, OptAt) {
        let message = testing::query("a.test.", 1).edns(size, bits, sent).build();
        let opt = parse_query(&message).unwrap().opt.unwrap();
        (message, opt)
    }

    #[test]
    fn a_response_is_padded_to_a_block_or_as_far_as_its_limit() {
        // req 105
        let ours = OurOpt {
            udp_size: 1232,
            extended_rcode: 0,
            dnssec_ok: false,
        };
        // A message of so many octets behind others, with the record as its end.
        let padded = |octets: usize, limit| {
            let mut out = vec![0xFF; 7 + octets - BARE_OPT];
            let opt_at = out.len();
            ours.write(0, &mut out);
            pad_response(7, opt_at, limit, &mut out);
            let len = u16_at(&out, opt_at + BARE_OPT - 2).unwrap();
            assert_eq!(usize::from(len), out.len() - opt_at - BARE_OPT);
            let padding = out.get(opt_at + BARE_OPT + OPTION_FIXED..);
            assert!(padding.is_none_or(|padding| padding.iter().all(|octet| *octet == 0)));
            out.len() - 7
        };
        for octets in [12 + BARE_OPT, 100, 463, 464] {
            assert_eq!(padded(octets, 65_535), 468, "{octets}");
        }
        assert_eq!((padded(465, 65_535), padded(468, 65_535)), (936, 936));
        assert_eq!(
            (padded(65_531, 65_535), padded(65_530, 65_535)),
            (65_535, 65_535)
        );
        assert_eq!(padded(65_532, 65_535), 65_532, "no room for the option");
    }

    #[test]
    fn options_come_in_order_with_their_data() {
        let sent: [(u16, &[u8]); 3] = [(3, b""), (65001, b"abc"), (3, b"again")];
        let (message, opt) = with_options(1232, 0, &sent);
        assert_eq!(options(&message, &opt).collect::<Vec<_>>(), sent);
    }

    #[test]
    fn extended_errors_come_without_a_null_at_the_end_and_in_utf_8() {
        let sent: [(u16, &[u8]); 5] = [
            (OPTION_EDE, b"\0\x0Fwhy\0"),
            (3, b"\0\x0Fid"),
            (OPTION_EDE, b"\0\x16"),
            (OPTION_EDE, b"\x01\0\xFF"),
            (OPTION_EDE, b"\0"),
        ];
        let (message, opt) = with_options(1232, 0, &sent);
        let told = extended_errors(&message, Some(&opt)).map(|ede| (ede.code, ede.text));
        assert_eq!(told.collect::<Vec<_>>(), [(15, "why"), (22, ""), (256, "")]);
        assert_eq!(extended_errors(&message, None).count(), 0);
    }

    #[test]
    fn another_message_than_the_scanned_one_has_no_options() {
        let (message, opt) = with_options(1232, 0, &[(3, b"abcdef")]);
        assert_eq!(options(&message[..40], &opt).count(), 0);
        assert_eq!(options(&[], &opt).count(), 0);
    }

    // fault 59
    #[test]
    fn options_tile_or_do_not() {
        assert!(options_tile(&[]));
        assert!(options_tile(&[0, 3, 0, 0]));
        assert!(options_tile(&[0, 3, 0, 1, 9, 0, 3, 0, 0]));
        assert!(!options_tile(&[0]));
        assert!(!options_tile(&[0, 3, 0]));
        assert!(!options_tile(&[0, 3, 0, 1]));
        assert!(!options_tile(&[0, 3, 0xFF, 0xFF, 9]));
    }

    // req 36
    #[test]
    fn a_size_below_512_counts_as_512() {
        for (sent, meant) in [(0, 512), (100, 512), (511, 512), (512, 512), (4096, 4096)] {
            let (message, opt) = with_options(sent, 0, &[]);
            assert_eq!(opt.udp_size, sent);
            assert_eq!(
                ClientEdns::of(&message, &opt, ClientSubnet::Keep).udp_size,
                meant
            );
        }
    }

    // req 34
    #[test]
    fn a_client_takes_what_it_sent_and_errors_but_nothing_of_another_hop() {
        let sent: [(u16, &[u8]); 6] = [
            (3, b""),
            (8, &[0, 1, 0, 0]),
            (10, &[1; 8]),
            (11, b""),
            (12, &[0; 9]),
            (100, b"x"),
        ];
        let (message, opt) = with_options(1232, 0x8000, &sent);
        let client = ClientEdns::of(&message, &opt, ClientSubnet::Keep);
        assert!(client.dnssec_ok);
        for code in [3, 8, 15, 100] {
            assert!(client.takes(code), "{code}");
        }
        for code in [9, 10, 11, 12, 14, 101] {
            assert!(!client.takes(code), "{code}");
        }
    }

    // fault 59
    #[test]
    fn many_codes_fill_the_set_and_repeats_do_not() {
        let mut sent: Vec<(u16, &[u8])> = vec![(500, b""); 5000];
        sent.extend((100..120).map(|code| (code, &b""[..])));
        let (message, opt) = with_options(1232, 0, &sent);
        let codes = ClientEdns::of(&message, &opt, ClientSubnet::Keep).options;
        assert!(codes.contains(500) && codes.contains(100) && codes.contains(106));
        assert!(!codes.contains(107));
        assert!(!codes.contains(0), "an empty slot is no code");
        assert!(!OptionCodes::default().contains(0));
    }

    #[test]
    fn an_extended_error_is_an_option_of_code_and_text() {
        let mut out = Vec::new();
        let ede = Ede::NETWORK_ERROR.with_text("refused");
        ede.write(&mut out);
        assert_eq!(out, b"\x00\x0F\x00\x09\x00\x17refused");
        assert_eq!(out.len(), ede.option_len());
        assert_eq!(Ede::NO_REACHABLE_AUTHORITY.option_len(), 6);
    }

    #[test]
    fn our_opt_has_version_zero_and_one_flag() {
        let mut out = Vec::new();
        let ours = OurOpt {
            udp_size: 1232,
            extended_rcode: 1,
            dnssec_ok: true,
        };
        ours.write(7, &mut out);
        assert_eq!(out, [0, 0, 41, 0x04, 0xD0, 1, 0, 0x80, 0, 0, 7]);
        assert_eq!(out.len(), BARE_OPT);
    }
}
