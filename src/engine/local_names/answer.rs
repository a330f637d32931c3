//! An answer that is made here: some records, or that there are none.

use crate::config::Addresses;
use crate::wire::{Ede, LocalRdata, LocalRecord, Rcode, Section};
use std::net::IpAddr;

pub const TYPE_A: u16 = 1;
pub const TYPE_NS: u16 = 2;
pub const TYPE_SOA: u16 = 6;
pub const TYPE_PTR: u16 = 12;
pub const TYPE_TXT: u16 = 16;
pub const TYPE_AAAA: u16 = 28;
pub const TYPE_ANY: u16 = 255;

/// How long what follows from an RFC may be cached: RFC 6303 section 3 has it so.
pub const FIXED_TTL: u32 = 10_800;
/// How long what follows from the configuration may be cached. A client has what was changed there within a minute, and asks no more often
/// than once a minute meanwhile. With 0, as dnsmasq has it by default, programs that look up an address for each request would each time
/// ask anew; with an hour, as unbound has it, a corrected mistake would seem to have no effect.
pub const CONFIGURED_TTL: u32 = 60;

/// Of an SOA, what stands behind the primary server: the mailbox `nobody.invalid.`, the serial number, the times, and how long a negative
/// answer may be cached (RFC 6303 section 3) if the TTL of the SOA is not less (RFC 2308 section 5).
const SOA_REST: &[u8] =
    b"\x06nobody\x07invalid\x00\0\0\0\x01\0\0\x0e\x10\0\0\x04\xb0\0\x09\x3a\x80\0\0\x2a\x30";

/// An answer that is made here.
#[derive(Clone, Debug)]
pub struct LocalAnswer<'a> {
    pub rcode: Rcode,
    pub records: Records<'a>,
    /// Why the answer is none of an upstream's.
    pub ede: Option<Ede<'a>>,
}

impl<'a> LocalAnswer<'a> {
    /// One record of the name that was asked for.
    pub fn data(rtype: u16, ttl: u32, rdata: LocalRdata<'a>) -> Self {
        let record = LocalRecord {
            section: Section::Answer,
            owner_at: 0,
            rtype,
            ttl,
            rdata,
        };
        Self::with(Rcode::NOERROR, Records::One(Some(record)), None)
    }

    /// Those addresses of the name that are of this type, A or AAAA.
    pub fn addresses(rtype: u16, ttl: u32, addresses: Addresses<'a>) -> Self {
        let records = Records::Addresses {
            rtype,
            ttl,
            addresses,
        };
        Self::with(Rcode::NOERROR, records, None)
    }

    /// These addresses, of this type. Nobody may cache them.
    pub fn made(rtype: u16, addresses: Vec<IpAddr>) -> Self {
        let left = addresses.into_iter();
        Self::with(Rcode::NOERROR, Records::Made { rtype, left }, None)
    }

    /// Records of the name with this RDATA.
    pub fn listed(rtype: u16, ttl: u32, rdata: &'a [Vec<u8>]) -> Self {
        let records = Records::Listed {
            rtype,
            ttl,
            rdata: rdata.iter(),
        };
        Self::with(Rcode::NOERROR, records, None)
    }

    /// There is no such name (NXDOMAIN), or nothing of that type at it (NOERROR): with an SOA of the domain that starts at octet `apex` of
    /// the name, so that this is cached (RFC 2308). `why` is for people.
    pub fn negative(rcode: Rcode, apex: usize, ttl: u32, why: &'a str) -> Self {
        let record = LocalRecord {
            section: Section::Authority,
            owner_at: apex,
            ..soa(ttl, apex)
        };
        let why = Ede::OTHER.with_text(why);
        Self::with(rcode, Records::One(Some(record)), Some(why))
    }

    /// The SOA of the domain that was asked for.
    pub fn soa(ttl: u32) -> Self {
        Self::with(Rcode::NOERROR, Records::One(Some(soa(ttl, 0))), None)
    }

    /// This is not answered. `why` is for people.
    pub fn refused(why: &'a str) -> Self {
        let why = Ede::PROHIBITED.with_text(why);
        Self::with(Rcode::REFUSED, Records::One(None), Some(why))
    }

    fn with(rcode: Rcode, records: Records<'a>, ede: Option<Ede<'a>>) -> Self {
        Self {
            rcode,
            records,
            ede,
        }
    }
}

/// The SOA of the domain that starts at this octet of the name, which is its own primary server.
fn soa(ttl: u32, apex: usize) -> LocalRecord<'static> {
    LocalRecord {
        section: Section::Answer,
        owner_at: apex,
        rtype: TYPE_SOA,
        ttl,
        rdata: LocalRdata::NameThen(apex, SOA_REST),
    }
}

/// The records of an answer.
#[derive(Clone, Debug)]
pub enum Records<'a> {
    One(Option<LocalRecord<'a>>),
    Addresses {
        rtype: u16,
        ttl: u32,
        addresses: Addresses<'a>,
    },
    Made {
        rtype: u16,
        left: std::vec::IntoIter<IpAddr>,
    },
    Listed {
        rtype: u16,
        ttl: u32,
        rdata: std::slice::Iter<'a, Vec<u8>>,
    },
}

impl<'a> Iterator for Records<'a> {
    type Item = LocalRecord<'a>;

    fn next(&mut self) -> Option<LocalRecord<'a>> {
        match self {
            Self::One(record) => record.take(),
            Self::Addresses {
                rtype,
                ttl,
                addresses,
            } => {
                let wants_v4 = *rtype == TYPE_A;
                let address = addresses.find(|address| address.is_ipv4() == wants_v4)?;
                Some(LocalRecord {
                    section: Section::Answer,
                    owner_at: 0,
                    rtype: *rtype,
                    ttl: *ttl,
                    rdata: LocalRdata::Address(address),
                })
            }
            Self::Made { rtype, left } => Some(LocalRecord {
                section: Section::Answer,
                owner_at: 0,
                rtype: *rtype,
                ttl: 0,
                rdata: LocalRdata::Address(left.next()?),
            }),
            Self::Listed { rtype, ttl, rdata } => Some(LocalRecord {
                section: Section::Answer,
                owner_at: 0,
                rtype: *rtype,
                ttl: *ttl,
                rdata: LocalRdata::Octets(rdata.next()?),
            }),
        }
    }
}
