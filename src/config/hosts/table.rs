//! A hash table of names by the octets that they have on the wire, with their addresses, and the way back from an address to a name.
//!
//! One look into the slots says for most names that they are not in it, because a slot has a part of the name's hash. Names lie one behind
//! the other, and a domain that a name lies in is the end of its octets, so that it costs no octets of its own.

use super::Hosts;
use std::collections::BTreeMap;
use std::iter;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// No index.
const NONE: u32 = u32::MAX;

/// The names are chosen by the user; what clients ask for is looked up and never enters the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// Names in lower case.
    octets: Vec<u8>,
    names: Vec<Name>,
    /// Their places by their hash, a power of two; half of them are free.
    slots: Vec<Slot>,
    addresses: Vec<Link>,
    by_address: BTreeMap<IpAddr, u32>,
    hosts: usize,
}

/// A name: where its octets are, and the first of its addresses, if it has some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    at: u32,
    len: u8,
    first: u32,
}

/// A name in its place: the upper half of its hash, and its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    tag: u32,
    name: u32,
}

const FREE: Slot = Slot { tag: 0, name: NONE };

/// An address, and the index of the next one of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    address: IpAddr,
    next: u32,
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Names,
    Addresses,
}

/// The addresses of a name, in the order in which they were inserted.
#[derive(Clone, Debug)]
pub(crate) struct Addresses<'a> {
    links: &'a [Link],
    next: u32,
}

impl Iterator for Addresses<'_> {
    type Item = IpAddr;

    fn next(&mut self) -> Option<IpAddr> {
        let link = self.links.get(self.next as usize)?;
        self.next = link.next;
        Some(link.address)
    }
}

impl Table {
    /// How many names have addresses.
    pub(super) fn hosts(&self) -> usize {
        self.hosts
    }

    /// Those names with their addresses.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Addresses<'_>)> {
        let hosts = self.names.iter().filter(|name| name.first != NONE);
        hosts.map(|name| (self.octets_of(*name), self.addresses_of(*name)))
    }

    /// The addresses of a name in any letter case, unless it has none.
    #[inline]
    pub(super) fn addresses(&self, name: &[u8]) -> Option<Addresses<'_>> {
        let name = *self.names.get(self.find(name)?)?;
        (name.first != NONE).then(|| self.addresses_of(name))
    }

    /// Whether there is a name in any letter case, with or without addresses.
    pub(super) fn contains(&self, name: &[u8]) -> bool {
        self.find(name).is_some()
    }

    /// The first name that has this address.
    pub(super) fn name_of(&self, address: IpAddr) -> Option<&[u8]> {
        let index = *self.by_address.get(&address)?;
        self.names
            .get(index as usize)
            .map(|name| self.octets_of(*name))
    }

    /// Whether a name has an address in this range.
    pub(super) fn any_address_in(&self, range: RangeInclusive<IpAddr>) -> bool {
        self.by_address.range(range).next().is_some()
    }

    /// Adds an address of a name in lower case, and the domains that it lies in.
    pub(super) fn insert(&mut self, name: &[u8], address: IpAddr) -> Result<(), Full> {
        let index = match self.find(name) {
            Some(index) => index,
            None => self.enter(name)?,
        };
        let Some(mut at) = self.names.get(index).map(|name| name.first) else {
            return Ok(());
        };
        let (mut last, mut count) = (None, 0);
        while let Some(link) = self.addresses.get(at as usize) {
            if link.address == address {
                return Ok(());
            }
            (last, at, count) = (Some(at as usize), link.next, count + 1);
        }
        if count == Hosts::MAX_ADDRESSES {
            return Err(Full::Addresses);
        }
        let new = self.addresses.len() as u32;
        let next = NONE;
        self.addresses.push(Link { address, next });
        if let Some(last) = last.and_then(|last| self.addresses.get_mut(last)) {
            last.next = new;
        } else if let Some(name) = self.names.get_mut(index) {
            name.first = new;
            self.hosts += 1;
        }
        self.by_address.entry(address).or_insert(index as u32);
        Ok(())
    }

    /// Adds a name without addresses, and the domains that it lies in. Gives its index.
    fn enter(&mut self, name: &[u8]) -> Result<usize, Full> {
        let domains = || {
            let longer = iter::successors(Some(name), |name| parent(name));
            longer.take_while(|name| name.len() > 1)
        };
        let new = domains().take_while(|name| !self.contains(name)).count();
        if self.names.len() + new > Hosts::MAX_NAMES {
            return Err(Full::Names);
        }
        let (index, start) = (self.names.len(), self.octets.len());
        self.octets.extend_from_slice(name);
        for domain in domains().take(new) {
            self.names.push(Name {
                at: (start + name.len() - domain.len()) as u32,
                len: domain.len() as u8,
                first: NONE,
            });
        }
        if self.names.len() * 2 > self.slots.len() {
            let slots = (self.names.len() * 2).next_power_of_two();
            self.slots = vec![FREE; slots];
            self.place(0);
        } else {
            self.place(index);
        }
        Ok(index)
    }

    /// Puts the names from this one on into free slots.
    fn place(&mut self, from: usize) {
        for index in from..self.names.len() {
            let Some(name) = self.names.get(index).copied() else {
                return;
            };
            let hash = hash(self.octets_of(name));
            let free = self.places(hash).find(|at| {
                let slot = self.slots.get(*at);
                slot.is_some_and(|slot| slot.name == NONE)
            });
            if let Some(slot) = free.and_then(|at| self.slots.get_mut(at)) {
                *slot = Slot {
                    tag: tag(hash),
                    name: index as u32,
                };
            }
        }
    }

    /// The slots in which a name may be, in order.
    #[inline]
    fn places(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.slots.len().wrapping_sub(1);
        (0..self.slots.len()).map(move |step| (hash as usize).wrapping_add(step) & mask)
    }

    /// The index of a name in any letter case.
    #[inline]
    fn find(&self, name: &[u8]) -> Option<usize> {
        let hash = hash(name);
        for at in self.places(hash) {
            let slot = self.slots.get(at)?;
            let found = self.names.get(slot.name as usize)?;
            if slot.tag == tag(hash) && self.octets_of(*found).eq_ignore_ascii_case(name) {
                return Some(slot.name as usize);
            }
        }
        None
    }

    fn octets_of(&self, name: Name) -> &[u8] {
        let start = name.at as usize;
        let octets = self.octets.get(start..start + usize::from(name.len));
        octets.unwrap_or_default()
    }

    fn addresses_of(&self, name: Name) -> Addresses<'_> {
        Addresses {
            links: &self.addresses,
            next: name.first,
        }
    }
}

/// The name without its first label; nothing of the root.
fn parent(name: &[u8]) -> Option<&[u8]> {
    let (len, behind) = name.split_first()?;
    behind.get(usize::from(*len)..)
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// A hash that is the same in any letter case: letters differ in the bit that is set here in all octets.
fn hash(name: &[u8]) -> u64 {
    let mut hash = name.len() as u64;
    for octets in name.chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(octets) {
            *to = *from;
        }
        let word = u64::from_le_bytes(word) | 0x2020_2020_2020_2020;
        hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 32;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::super::Domain;
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn octets(name: &str) -> Vec<u8> {
        name.parse::<Domain>().unwrap().wire()
    }

    fn table(pairs: &[(&str, &str)]) -> Table {
        let mut table = Table::default();
        for (name, address) in pairs {
            table.insert(&octets(name), ip(address)).unwrap();
        }
        table
    }

    fn addresses(table: &Table, name: &[u8]) -> Option<Vec<IpAddr>> {
        table.addresses(name).map(Iterator::collect)
    }

    #[test]
    fn names_are_found_in_any_letter_case_and_no_others() {
        let table = table(&[("a-b_c.example", "192.0.2.1"), ("b.example", "192.0.2.2")]);
        let found = Some(vec![ip("192.0.2.1")]);
        assert_eq!(addresses(&table, b"\x05a-b_c\x07example\x00"), found);
        assert_eq!(addresses(&table, b"\x05A-B_C\x07ExamplE\x00"), found);
        for other in [
            // What differs in that bit alone hashes alike, and is another name.
            &b"\x05a\x0db_c\x07example\x00"[..],
            b"\x05a-b\x7fc\x07example\x00",
            b"\x07example\x00",
            b"\x01x\x05a-b_c\x07example\x00",
            b"\x05a-b_c\x00",
            b"\x00",
            b"",
        ] {
            assert_eq!(addresses(&table, other), None, "{other:?}");
        }
        assert_eq!(addresses(&Table::default(), b"\x01a\x00"), None);
    }

    #[test]
    fn the_domains_of_a_name_are_there_without_addresses() {
        let mut table = table(&[("a.b.example", "192.0.2.1")]);
        for name in ["a.b.example", "b.example", "example"] {
            assert!(table.contains(&octets(name)), "{name}");
        }
        assert!(!table.contains(b"\x00") && !table.contains(&octets("a.example")));
        assert_eq!(addresses(&table, &octets("b.example")), None);
        // It may get addresses of its own later.
        table.insert(&octets("b.example"), ip("::1")).unwrap();
        assert_eq!(
            addresses(&table, &octets("b.example")),
            Some(vec![ip("::1")])
        );
        assert_eq!((table.hosts(), table.names.len()), (2, 3));
        assert_eq!(table.octets.len(), 13, "one name's octets for all three");
    }

    #[test]
    fn the_first_name_of_an_address_is_its_name() {
        let table = table(&[
            ("first.test", "192.0.2.1"),
            ("second.test", "192.0.2.1"),
            ("second.test", "2001:db8::1"),
        ]);
        let name = |address| table.name_of(ip(address));
        assert_eq!(name("192.0.2.1"), Some(&b"\x05first\x04test\x00"[..]));
        assert_eq!(name("2001:db8::1"), Some(&b"\x06second\x04test\x00"[..]));
        assert_eq!(name("192.0.2.2"), None);
        let within = |from, to| table.any_address_in(ip(from)..=ip(to));
        assert!(within("192.0.2.0", "192.0.2.255"));
        assert!(within("2001:db8::", "2001:db8::ffff"));
        assert!(!within("192.0.3.0", "192.0.3.255"));
        assert!(!within("::", "2001:db8::"));
    }

    #[test]
    fn many_names_are_all_found_in_short_runs() {
        let name = |n: usize| octets(&format!("host-{n}.lan"));
        let address = |n: usize| IpAddr::from(std::net::Ipv4Addr::from_bits(n as u32));
        let mut table = Table::default();
        for n in 0..10_000 {
            table.insert(&name(n), address(n)).unwrap();
        }
        for n in 0..10_000 {
            assert_eq!(addresses(&table, &name(n)), Some(vec![address(n)]));
            assert_eq!(table.name_of(address(n)), Some(&name(n)[..]));
        }
        assert_eq!(addresses(&table, &name(10_000)), None);
        // Runs of names in slots of their own: the longest search for what is not there.
        let runs = table.slots.split(|slot| slot.name == NONE);
        let longest = runs.map(<[_]>::len).max().unwrap();
        assert!(longest <= 40, "{longest}");
    }
}
