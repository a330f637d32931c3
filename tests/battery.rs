//! The battery of RFC 8906, with RD=1 as clients of a forwarder send it.

use crate::support::checks::assert_answered;
use crate::support::codes::{COOKIE, DO, NOERROR, NOTIMP, RD, SOA};
use crate::support::messages::{option, query};
use crate::support::reading::read;
use crate::support::setup::Setup;

// req 41: the battery of RFC 8906 section 8, with RD=1 as clients of a forwarder send it.
#[test]
fn the_battery_of_rfc_8906() {
    let setup = Setup::answering();
    let ask = |asked: &[u8]| read(&setup.udp().ask(asked));
    let soa = || query("example.test", SOA);
    for flags in [0, 0x10, 0x20, 0x40, 0x200, 0x480] {
        let got = ask(&soa().flags(RD | flags).build());
        assert_eq!(
            (got.rcode(), got.opt().is_none()),
            (NOERROR, true),
            "flags {flags:x}"
        );
        assert_eq!(got.answer.len(), 1);
    }
    assert_eq!(ask(&query("example.test", 666).build()).rcode(), NOERROR);
    assert_eq!(
        ask(&query(".", 0).flags(15 << 11).counts([0; 4]).build()[..12]).rcode(),
        NOTIMP
    );
    let over_tcp = soa().build();
    assert_answered(&over_tcp, &setup.tcp().ask(&over_tcp));
    for (ttl, options) in [
        (0, vec![]),
        (0, option(100, b"")),
        (0x40, vec![]),
        (DO, vec![]),
    ] {
        let got = ask(&soa().opt(1232, ttl, &options).build());
        assert_eq!(
            (got.rcode(), got.answer.len()),
            (NOERROR, 1),
            "OPT TTL {ttl:x}"
        );
        assert!(got.opt().is_some_and(|opt| opt.ttl & !DO == 0) && got.options().is_empty());
    }
    let many = [
        option(3, b""),
        option(COOKIE, &[1; 8]),
        option(9, b""),
        option(8, &[0, 1, 0, 0]),
    ]
    .concat();
    assert_eq!(ask(&soa().opt(1232, 0, &many).build()).rcode(), NOERROR);
}
