//! Each failure, and how it is provoked on loopback.
#![expect(
    clippy::unnecessary_wraps,
    reason = "a story may find that this host lacks what it needs"
)]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};

use super::stand::{NAME, Stand, Told};
use crate::support::authority::{Authority, Leaf};
use crate::support::client::{TcpClient, UdpClient};
use crate::support::codes::{A, FORMERR, REFUSED, SERVFAIL, TC};
use crate::support::messages::{edns_query, query, response_to};
use crate::support::odd::Odd;
use crate::support::script::{Conduct, Gate, Received, Step, gated, right_answer};
use crate::support::setup::Trust;
use crate::support::socks::{Does, Socks};
use crate::support::upstream::{Builder, DotServer};

/// A failure.
pub struct Story {
    /// What is wrong, in the words of the page.
    pub what: &'static str,
    /// The reason in a word, as the status has it.
    pub reason: &'static str,
    /// What the client gets: a response code, and the code of an extended error.
    pub rcode: u16,
    pub ede: u16,
    /// Words that all views have.
    pub words: &'static str,
    /// Provokes it, and looks at it from all sides. `None` if this host cannot.
    pub provoke: fn(&Story) -> Option<Told>,
}

/// Not one query was sent.
const fn unsent(
    what: &'static str,
    words: &'static str,
    provoke: fn(&Story) -> Option<Told>,
) -> Story {
    Story {
        what,
        reason: "not_connected",
        rcode: SERVFAIL,
        ede: 22,
        words,
        provoke,
    }
}

/// It was sent, and came to nothing.
const fn sent(
    what: &'static str,
    reason: &'static str,
    words: &'static str,
    provoke: fn(&Story) -> Option<Told>,
) -> Story {
    Story {
        what,
        reason,
        rcode: SERVFAIL,
        ede: 23,
        words,
        provoke,
    }
}

/// An upstream answers with an error, or this program refuses.
const fn error(
    what: &'static str,
    reason: &'static str,
    (rcode, ede): (u16, u16),
    words: &'static str,
    provoke: fn(&Story) -> Option<Told>,
) -> Story {
    Story {
        what,
        reason,
        rcode,
        ede,
        words,
        provoke,
    }
}

pub const STORIES: [Story; 33] = [
    unsent(
        "the certificate is for another name",
        "it is for elsewhere.test, 192.0.2.1, not for dot.test",
        |story| shows(story, Authority::wrong_name),
    ),
    unsent("the certificate has expired", "expired at ", |story| {
        shows(story, Authority::expired)
    }),
    unsent(
        "the certificate is not valid yet, or this machine's clock is wrong",
        "not valid before ",
        |story| shows(story, Authority::not_yet_valid),
    ),
    unsent(
        "the certificate is of an authority that is not known",
        "unknown issuer",
        |story| shows(story, |_| Leaf::unknown_authority()),
    ),
    unsent("the certificate is self-signed", "self-signed", |story| {
        shows(story, |_| Leaf::self_signed())
    }),
    unsent(
        "the server has another key than the pinned one",
        "no public key in its chain is pinned",
        wrong_pin,
    ),
    unsent(
        "nothing listens at the port, or a firewall refuses it",
        "connection refused",
        |story| {
            let trust = Trust::new();
            let upstream = DotServer::with(trust.authority.good()).stopped();
            asked(story, trust, &upstream.spec(), &[], upstream)
        },
    ),
    unsent(
        "the port takes connections and says nothing",
        "not connected in time",
        |story| odd(story, &["--timeout", "300ms"], |_| {}),
    ),
    unsent(
        "the handshake is begun and not finished",
        "not connected in time",
        |story| {
            odd(story, &["--timeout", "300ms"], |socket| {
                // The head of a record that does not come.
                let _gone = socket.write_all(&[22, 3, 3, 0, 100, 2]);
            })
        },
    ),
    unsent("the handshake is cut off", "handshake failed", |story| {
        conducted(story, Conduct::ResetAfterHello)
    }),
    unsent(
        "the port speaks plain DNS",
        "what the server says is not TLS",
        |story| {
            odd(story, &[], |socket| {
                let _gone = socket.write_all(b"\0\x0c\x12\x34\x81\x81\0\0\0\0\0\0\0\0");
            })
        },
    ),
    unsent(
        "the port speaks another protocol, such as HTTP",
        "what the server says is not TLS",
        |story| {
            odd(story, &[], |socket| {
                let _gone = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            })
        },
    ),
    unsent(
        "the upstream's name has no address, or its bootstrap resolver does not answer",
        "address not found",
        |story| {
            let trust = Trust::new();
            let nobody = DotServer::with(trust.authority.good()).stopped();
            let bootstrap = nobody.address().to_string();
            let more = ["--bootstrap", &*bootstrap];
            asked(story, trust, "tls://dot.test", &more, nobody)
        },
    ),
    unsent(
        "this machine has no network, or no way to that address",
        "network is unreachable",
        |story| {
            // Nobody can be connected to at the address for all on loopback.
            asked(story, Trust::new(), "127.255.255.255#dot.test", &[], ())
        },
    ),
    unsent("the proxy refuses", "the SOCKS5 proxy", |story| {
        proxied(story, Does::Refuse(2))
    }),
    unsent(
        "the proxy wants a login",
        "wants a username and a password",
        |story| proxied(story, Does::AcceptNothing),
    ),
    sent(
        "the server never answers",
        "not_answered",
        "no answer in time",
        |story| scripted(story, SLOW, |_| Vec::new()),
    ),
    sent(
        "the server answers too late",
        "not_answered",
        "no answer in time",
        late,
    ),
    sent(
        "the server asks this program in turn: a loop",
        "loop",
        "a loop",
        looped,
    ),
    sent(
        "the answers are to other questions",
        "not_answered",
        "it sends answers to other questions",
        |story| {
            scripted(story, SLOW, |asked| {
                let other = query("other.test", A).id(id(asked)).build();
                vec![Step::Answer(
                    response_to(&other).a(300, [192, 0, 2, 1]).build(),
                )]
            })
        },
    ),
    sent(
        "the answers cannot be read",
        "malformed",
        "malformed answer",
        |story| {
            scripted(story, &[], |asked| {
                let mut answer = right_answer(asked);
                answer.truncate(answer.len() - 3);
                vec![Step::Answer(answer)]
            })
        },
    ),
    sent(
        "the server closes the connection at each query",
        "connection_lost",
        "connection lost: closed by the upstream",
        |story| scripted(story, &[], |_| vec![Step::Fin]),
    ),
    sent(
        "the connection is reset at each query",
        "connection_lost",
        "connection lost: connection reset by peer",
        |story| scripted(story, &[], |_| vec![Step::Reset]),
    ),
    sent(
        "the server wants a certificate of this machine",
        "connection_lost",
        "the server demands a client certificate",
        |story| {
            let trust = Trust::new();
            let upstream = DotServer::with(trust.authority.good());
            let upstream = upstream.clients_of(&trust.authority).start();
            asked(story, trust, &upstream.spec(), &[], upstream)
        },
    ),
    error(
        "the upstream cannot resolve the name",
        "servfail",
        (SERVFAIL, 0),
        "cannot resolve this name (SERVFAIL)",
        |story| scripted(story, &[], |asked| fails(asked, SERVFAIL, None)),
    ),
    error(
        "the domain's signatures are wrong",
        "not_validated",
        (SERVFAIL, 6),
        "DNSSEC",
        |story| {
            let told = Some((6, "no valid signature (DNSSEC)"));
            scripted(story, &[], move |asked| fails(asked, SERVFAIL, told))
        },
    ),
    error(
        "the upstream filters the name",
        "blocked",
        (REFUSED, 15),
        "blocks this name",
        |story| {
            let told = Some((15, "a rule blocks this name"));
            scripted(story, &[], move |asked| fails(asked, REFUSED, told))
        },
    ),
    error(
        "the upstream does not serve this machine",
        "refused",
        (REFUSED, 0),
        "refuses this query (REFUSED)",
        |story| scripted(story, &[], |asked| fails(asked, REFUSED, None)),
    ),
    error(
        "the upstream does not implement what is asked",
        "not_understood",
        (FORMERR, 0),
        "does not understand this query (FORMERR)",
        |story| scripted(story, &[], |asked| fails(asked, FORMERR, None)),
    ),
    error(
        "the upstream sends half an answer",
        "truncated",
        (SERVFAIL, 0),
        "the upstream's answer is truncated",
        cut,
    ),
    error(
        "too much is asked for at once",
        "in_flight",
        (SERVFAIL, 0),
        "too many queries in flight",
        shed,
    ),
    error(
        "one client asks for too much at once",
        "in_flight_per_client",
        (SERVFAIL, 0),
        "too many queries in flight from this client",
        shed_of_one,
    ),
    error(
        "the client may not ask",
        "denied",
        (REFUSED, 18),
        "this address is not allowed to query this server",
        |story| {
            let trust = Trust::new();
            let upstream = DotServer::with(trust.authority.good()).start();
            let more = ["--allow-net", "192.0.2.0/24"];
            asked(story, trust, &upstream.spec(), &more, upstream)
        },
    ),
];

/// For upstreams that have to be connected to first, on a slow machine.
const SLOW: &[&str] = &["--timeout", "2s"];

/// A client asks once.
fn asked(
    story: &Story,
    trust: Trust,
    upstream: &str,
    more: &[&str],
    others: impl std::any::Any,
) -> Option<Told> {
    let stand = Stand::new(trust, &[upstream], more, others);
    let reply = stand.ask();
    Some(stand.told(story, &reply))
}

/// An upstream that shows this certificate.
fn shows(story: &Story, leaf: fn(&Authority) -> Leaf) -> Option<Told> {
    let trust = Trust::new();
    let upstream = DotServer::with(leaf(&trust.authority)).start();
    asked(story, trust, &upstream.spec(), &[], upstream)
}

fn wrong_pin(story: &Story) -> Option<Told> {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let other = Leaf::self_signed().pin();
    let spec = format!("{}?pin-sha256={other}", upstream.spec());
    asked(story, trust, &spec, &[], upstream)
}

/// A server that does this with each connection, and then waits for its end.
fn odd(
    story: &Story,
    more: &[&str],
    says: impl Fn(&mut std::net::TcpStream) + Send + 'static,
) -> Option<Told> {
    let server = Odd::start(move |socket| {
        // Behind the client's first words, so that what is said is not lost by a reset.
        if socket.read(&mut [0; 4096])? > 0 {
            says(socket);
        }
        socket.read(&mut [0; 4096]).map(|_| ())
    });
    asked(story, Trust::new(), &server.spec(), more, server)
}

fn conducted(story: &Story, conduct: Conduct) -> Option<Told> {
    served(story, &[], move |upstream| {
        upstream.conduct(move |_| conduct)
    })
}

fn scripted(
    story: &Story,
    more: &[&str],
    script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static,
) -> Option<Told> {
    served(story, more, |upstream| upstream.script(script))
}

fn served(story: &Story, more: &[&str], build: impl FnOnce(Builder) -> Builder) -> Option<Told> {
    let trust = Trust::new();
    let upstream = build(DotServer::with(trust.authority.good())).start();
    asked(story, trust, &upstream.spec(), more, upstream)
}

/// An upstream behind a SOCKS5 proxy that does this.
fn proxied(story: &Story, does: Does) -> Option<Told> {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).start();
    let socks = Socks::start(upstream.address(), does);
    let spec = format!("{}?socks5={}", upstream.spec(), socks.address);
    asked(story, trust, &spec, &[], (socks, upstream))
}

/// The id of a query.
fn id(asked: &Received) -> u16 {
    u16::from_be_bytes([asked.bytes[0], asked.bytes[1]])
}

/// An error, with an extended error or without.
fn fails(asked: &Received, rcode: u16, told: Option<(u16, &str)>) -> Vec<Step> {
    let mut answer = response_to(&asked.bytes).rcode(rcode);
    let data = told.map(|(code, text)| [&code.to_be_bytes(), text.as_bytes()].concat());
    if let Some(data) = &data {
        answer = answer.edns(1232, 0, &[(15, data)]);
    }
    vec![Step::Answer(answer.build())]
}

fn late(story: &Story) -> Option<Told> {
    let (trust, gate) = (Trust::new(), Gate::new());
    let upstream = DotServer::with(trust.authority.good());
    let upstream = upstream.script(gated(&gate, "")).start();
    let spec = upstream.spec();
    let stand = Stand::new(trust, &[&spec], SLOW, upstream);
    let reply = stand.ask();
    gate.open();
    Some(stand.told(story, &reply))
}

/// The upstream asks this program for what it is asked.
fn looped(story: &Story) -> Option<Told> {
    let (trust, back) = (Trust::new(), Arc::new(OnceLock::<SocketAddr>::new()));
    let to = Arc::clone(&back);
    let upstream = DotServer::with(trust.authority.good());
    let upstream = upstream.script(move |_| {
        if let Some(address) = to.get() {
            UdpClient::new(*address).send(&edns_query(NAME, 9));
        }
        Vec::new()
    });
    let upstream = upstream.start();
    let spec = upstream.spec();
    let stand = Stand::new(trust, &[&spec], SLOW, upstream);
    back.set(stand.address()).expect("it is set once");
    let reply = stand.ask();
    Some(stand.told(story, &reply))
}

/// A client asks over TCP, where it cannot ask for more.
fn cut(story: &Story) -> Option<Told> {
    let trust = Trust::new();
    let upstream = DotServer::with(trust.authority.good()).script(|asked| {
        let answer = response_to(&asked.bytes).on(TC);
        vec![Step::Answer(answer.build())]
    });
    let upstream = upstream.start();
    let spec = upstream.spec();
    let stand = Stand::new(trust, &[&spec], &[], upstream);
    let reply = TcpClient::new(stand.address()).ask(&edns_query(NAME, 7));
    Some(stand.told(story, &reply))
}

fn shed(story: &Story) -> Option<Told> {
    crowded(
        story,
        "127.0.0.1".parse().expect("an address"),
        &["--max-in-flight", "10"],
        10,
    )
}

/// On loopback there is no bound for each client.
fn shed_of_one(story: &Story) -> Option<Told> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: this only asks by which address it would be.
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    let more = ["--max-in-flight-per-client", "1", "--listen", "0.0.0.0:0"];
    (!own.is_loopback()).then(|| crowded(story, own, &more, 1))?
}

/// One query too many is asked at this address, while so many others are held.
fn crowded(story: &Story, at: IpAddr, more: &[&str], held: u16) -> Option<Told> {
    let (trust, gate) = (Trust::new(), Gate::new());
    let upstream = DotServer::with(trust.authority.good());
    let upstream = Arc::new(upstream.script(gated(&gate, "held")).start());
    let spec = upstream.spec();
    let stand = Stand::new(trust, &[&spec], more, Arc::clone(&upstream));
    let client = UdpClient::new((at, stand.address().port()).into());
    for number in 0..held {
        client.send(&edns_query(&format!("held{number}.test"), 100 + number));
    }
    let all = usize::from(held);
    upstream.wait("all that fit", |seen| seen.queries.len() == all);
    let reply = client.ask(&edns_query(NAME, 7));
    gate.open();
    for _ in 0..held {
        client.receive();
    }
    Some(stand.told(story, &reply))
}
