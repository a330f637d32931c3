//! What is asked about the server itself, in class CH.

use super::answer::{LocalAnswer, TYPE_ANY, TYPE_TXT};
use crate::wire::LocalRdata;

/// Names for the version, which the user may want told.
const VERSION_NAMES: [&[u8]; 2] = [b"\x07version\x04bind\x00", b"\x07version\x06server\x00"];
/// Names for this server among others, which are told to nobody.
const HOST_NAMES: [&[u8]; 2] = [b"\x08hostname\x04bind\x00", b"\x02id\x06server\x00"];

/// The text of a TXT record, behind its length.
const VERSION: &[u8] = &const {
    let mut octets = [0; TEXT.len() + 1];
    octets[0] = TEXT.len() as u8;
    let mut at = 0;
    while at < TEXT.len() {
        octets[at + 1] = TEXT.as_bytes()[at];
        at += 1;
    }
    octets
};
const TEXT: &str = concat!("dotward ", env!("CARGO_PKG_VERSION"));

/// The answer to a question of class CH, if it is about this server. The version is told if `shows_version`.
pub fn answer(shows_version: bool, name: &[u8], qtype: u16) -> Option<LocalAnswer<'static>> {
    let is_one_of = |names: &[&[u8]; 2]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let asks_version = is_one_of(&VERSION_NAMES);
    if asks_version && shows_version && matches!(qtype, TYPE_TXT | TYPE_ANY) {
        let rdata = LocalRdata::Octets(VERSION);
        return Some(LocalAnswer::data(TYPE_TXT, 0, rdata));
    }
    let is_known = asks_version || is_one_of(&HOST_NAMES);
    is_known.then(|| LocalAnswer::refused("not told here"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Rcode;
    use crate::wire::testing::name_octets;

    #[test]
    fn the_version_is_hidden_unless_the_user_wants_it_told() {
        let ask = |shown, name: &str| answer(shown, &name_octets(name), TYPE_TXT);
        for name in [
            "version.bind.",
            "VERSION.server.",
            "id.server.",
            "hostname.bind.",
        ] {
            assert_eq!(ask(false, name).unwrap().rcode, Rcode::REFUSED, "{name}");
        }
        let mut told = ask(true, "Version.bind.").unwrap();
        assert_eq!(told.rcode, Rcode::NOERROR);
        let LocalRdata::Octets([len, text @ ..]) = told.records.next().unwrap().rdata else {
            panic!("{told:?}")
        };
        assert_eq!((usize::from(*len), text), (text.len(), TEXT.as_bytes()));
        assert_eq!(ask(true, "id.server.").unwrap().rcode, Rcode::REFUSED);
        assert!(ask(true, "a.version.bind.").is_none());
        assert!(ask(true, "other.bind.").is_none());
    }
}
