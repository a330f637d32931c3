//! Decisions of the core, event by event: the forwarder driven by hand, without a shell.

use dotward::config::{Config, Modes, Upstream};
use dotward::engine::{Action, Cache, Client, Forwarder, LinkKey, Now, Output, Time, Times, Via};
use dotward::transport::{DialError, LinkError};
use dotward::transports::SCHEMES;
use dotward::wire;
use std::sync::Arc;
use std::time::Duration;

/// A forwarder, and all that it wanted so far.
struct Rig {
    f: Forwarder,
    out: Output,
    now: Time,
    next: u16,
    dials: Vec<(LinkKey, usize)>,
    sends: Vec<(LinkKey, u16, Vec<u8>)>,
    replies: Vec<Vec<u8>>,
    resolves: usize,
    closes: Vec<LinkKey>,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Rig {
    fn new(ups: &[&str]) -> Self {
        Self::with(ups, |_| {})
    }
    fn with(ups: &[&str], tweak: impl FnOnce(&mut Config)) -> Self {
        let mut c = Config::defaults(Modes {
            udp: true,
            tcp: true,
        });
        c.upstreams = ups
            .iter()
            .map(|u| Upstream::parse(u, SCHEMES).unwrap())
            .collect();
        tweak(&mut c);
        let f = Forwarder::new(
            &c,
            Arc::new(Cache::new(0, [1; 16], Times::default())),
            [9; 32],
        );
        Self {
            f,
            out: Output::new(),
            now: Time::ZERO + Duration::from_secs(100),
            next: 0,
            dials: vec![],
            sends: vec![],
            replies: vec![],
            resolves: 0,
            closes: vec![],
        }
    }
    fn n(&self) -> Now {
        Now {
            mono: self.now,
            boot: self.now,
        }
    }
    fn drain(&mut self) {
        for a in self.out.actions().to_vec() {
            match a {
                Action::Reply { message, .. } => {
                    self.replies.push(self.out.message(&message).to_vec());
                }
                Action::Send { link, id, message } => {
                    self.sends
                        .push((link, id, self.out.message(&message).to_vec()));
                }
                Action::Dial { link, upstream, .. } => self.dials.push((link, upstream)),
                Action::Resolve { .. } => self.resolves += 1,
                Action::Close { link } => self.closes.push(link),
            }
        }
        self.out.clear();
    }
    /// A client of its own asks.
    fn ask(&mut self, name: &str) {
        self.next += 1;
        self.ask_as(self.next, name);
    }
    /// The client of this number asks, with that number as id. Says whether a reply will come.
    fn ask_as(&mut self, number: u16, name: &str) -> bool {
        let client = Client {
            addr: format!("127.0.0.1:{}", 1000 + number).parse().unwrap(),
            via: Via::Datagram {
                socket: 0,
                local: None,
            },
        };
        let n = self.n();
        let accepted = self.f.query(&query(name, number), client, n, &mut self.out);
        self.drain();
        accepted
    }
    fn up(&mut self, l: LinkKey) {
        let n = self.n();
        self.f.link_up(l, "", n, &mut self.out);
        self.drain();
    }
    fn down(&mut self, l: LinkKey) {
        let n = self.n();
        self.f.link_down(l, &LinkError::Closed, n, &mut self.out);
        self.drain();
    }
    fn refuse(&mut self, l: LinkKey) {
        let n = self.n();
        self.f
            .dial_failed(l, &DialError::Unreachable("x".into()), n, &mut self.out);
        self.drain();
    }
    fn answer(&mut self, i: usize, rcode: u8, opt: bool) {
        let (l, _, q) = self.sends[i].clone();
        let n = self.n();
        self.f.answer(l, &answer(&q, rcode, opt), n, &mut self.out);
        self.drain();
    }
    /// Time passes, alarms are served. Panics at a busy loop.
    fn pass(&mut self, d: Duration) {
        let end = self.now + d;
        let mut spins = 0;
        while let Some(at) = self.f.next_alarm().filter(|at| *at <= end) {
            if at > self.now {
                self.now = at;
                spins = 0;
            } else {
                spins += 1;
            }
            assert!(spins < 50, "busy loop at {:?}: alarm {:?}", self.now, at);
            let n = self.n();
            self.f.time(n, &mut self.out);
            self.drain();
        }
        self.now = end;
    }
    fn rcodes(&self) -> Vec<u8> {
        self.replies.iter().map(|r| r[3] & 15).collect()
    }
}

fn query(name: &str, id: u16) -> Vec<u8> {
    let mut q = id.to_be_bytes().to_vec();
    q.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    for l in name.split('.') {
        q.push(l.len() as u8);
        q.extend_from_slice(l.as_bytes());
    }
    q.extend_from_slice(&[0, 0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    q
}
fn answer(q: &[u8], rcode: u8, opt: bool) -> Vec<u8> {
    let s = wire::query(q).unwrap();
    let mut a = q[..s.question.end()].to_vec();
    a[2] |= 0x80;
    a[3] = 0x80 | rcode;
    a[6..12].copy_from_slice(&[0, u8::from(rcode == 0), 0, 0, 0, u8::from(opt)]);
    if rcode == 0 {
        a.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 1]);
    }
    if opt {
        a.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    a
}
const A: &str = "tcp://192.0.2.1:53";
const B: &str = "tcp://192.0.2.2:53";

#[test]
fn one_question_waiting_for_the_second_upstream_does_not_block_those_for_the_first() {
    let mut r = Rig::new(&[A, B]);
    r.ask("servfail.test");
    let first = r.dials[0].0;
    r.up(first);
    r.answer(0, 2, true); // goes elsewhere: B is dialled, and hangs
    assert_eq!(r.dials.len(), 2);
    r.down(first); // A closes its idle link
    r.pass(ms(5));
    r.ask("good.test");
    r.pass(ms(1_400));
    assert!(
        r.dials.iter().skip(2).any(|(_, u)| *u == 0),
        "A is not dialled: {:?}",
        r.dials
    );
}

#[test]
fn two_questions_at_once_to_a_server_without_edns() {
    let mut r = Rig::new(&[A]);
    r.ask("a.test");
    r.ask("b.test");
    let l = r.dials[0].0;
    r.up(l);
    r.answer(0, 1, false);
    r.answer(1, 1, false);
    assert_eq!(
        r.rcodes(),
        [] as [u8; 0],
        "FORMERR must not be relayed, the question is to be asked without EDNS"
    );
    assert_eq!(r.sends.len(), 4);
}

#[test]
fn edns_is_given_up_only_when_it_was_the_cause() {
    let mut r = Rig::new(&[A]);
    r.ask("odd.test");
    let l = r.dials[0].0;
    r.up(l);
    r.answer(0, 1, false);
    r.answer(1, 1, false); // without EDNS the same: EDNS was not the reason
    r.ask("b.test");
    assert_eq!(r.sends[2].2[11], 1, "asked with EDNS");
}

#[test]
fn never_more_than_three_sends() {
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    let l = r.dials[0].0;
    r.up(l);
    r.down(l); // 1
    let l = r.dials[1].0;
    r.up(l); // 2
    assert_eq!(r.sends.len(), 2);
    r.answer(1, 2, true); // SERVFAIL: elsewhere
    let l = r.dials.last().unwrap().0;
    r.up(l); // 3
    assert_eq!(r.sends.len(), 3);
    r.answer(2, 1, false); // FORMERR without OPT
    assert!(r.f.stats().sent <= 3, "{}", r.f.stats().sent);
}

#[test]
fn no_id_is_leaked_when_a_question_goes_round() {
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    let a = r.dials[0].0;
    r.up(a);
    r.pass(ms(1_550)); // late: goes to B
    let b = r.dials.iter().find(|d| d.1 == 1).expect("B dialled").0;
    r.up(b);
    let nb = r.sends.iter().position(|s| s.0 == b).unwrap();
    r.answer(0, 1, false); // A does not know EDNS: asked plain - of B!
    println!(
        "sends {:?}",
        r.sends.iter().map(|s| (s.0 == b, s.1)).collect::<Vec<_>>()
    );
    r.answer(nb, 0, true);
    assert_eq!(r.replies.len(), 1);
    assert_eq!(r.f.in_flight(), 0);
    let (ba, bb) = (r.f.in_flight_on(a), r.f.in_flight_on(b));
    assert_eq!((ba, bb), (0, 0), "nothing is in flight any more");
}

#[test]
fn one_dead_name_does_not_close_a_busy_link() {
    // A and AAAA of a dead name time out in one tick, while the link answers everything else.
    let mut r = Rig::new(&[A]);
    r.ask("dead1.test");
    r.ask("dead2.test");
    let l = r.dials[0].0;
    r.up(l);
    for i in 0..410 {
        r.pass(ms(5));
        r.ask(&format!("n{i}.test"));
        let last = r.sends.len() - 1;
        r.pass(ms(5));
        r.answer(last, 0, true);
    }
    let failed: Vec<u8> = r.rcodes().into_iter().filter(|c| *c == 2).collect();
    assert_eq!(failed, [2, 2]);
    assert!(
        !r.closes.contains(&l),
        "a link that answered 5 ms ago is closed as silent"
    );
}

#[test]
fn servfail_while_the_other_upstream_is_being_dialled() {
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    let l = r.dials[0].0;
    r.up(l);
    r.pass(ms(1_550)); // late: B is dialled
    assert!(r.dials.iter().any(|d| d.1 == 1));
    r.answer(0, 2, true); // SERVFAIL from A; B is up in a moment
    assert_eq!(r.rcodes(), [] as [u8; 0], "B has not been asked yet");
}

#[test]
fn two_poor_answers_from_one_upstream_do_not_hide_the_other() {
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    let l = r.dials[0].0;
    r.up(l);
    r.pass(ms(1_100)); // in doubt: A is dialled anew
    let l2 = r.dials[1];
    assert_eq!(l2.1, 0);
    r.up(l2.0); // and asked on it, too
    assert_eq!(r.sends.len(), 2);
    r.answer(0, 2, true);
    r.answer(1, 2, true);
    assert_eq!(r.rcodes(), [] as [u8; 0], "B was never asked");
}

#[test]
fn a_failed_dial_beside_a_look_up_does_not_start_a_second_look_up() {
    let mut r = Rig::new(&["tcp://192.0.2.9:53"]);
    r = {
        let _ = r;
        Rig::with(&[A], |c| {
            c.upstreams[0] = Upstream::parse("tls://dns.test", SCHEMES).unwrap();
        })
    };
    r.ask("a.test");
    assert_eq!(r.resolves, 1);
    let n = r.n();
    r.f.resolved(
        0,
        Ok((vec!["192.0.2.1:853".parse().unwrap()], ms(30_000))),
        n,
        &mut r.out,
    );
    r.drain();
    let l = r.dials[0].0;
    r.up(l);
    r.answer(0, 0, true);
    r.pass(ms(60_000)); // idle; the name's address is old now, and has changed
    r.ask("b.test");
    assert_eq!(r.resolves, 2, "looked up again beside the dial");
    r.refuse(r.dials.last().unwrap().0);
    r.pass(ms(900));
    r.ask("c.test");
    r.pass(ms(900));
    assert_eq!(r.resolves, 2, "the look-up that is under way has not ended");
}

#[test]
fn an_answer_does_not_end_the_back_off_for_connects() {
    let mut r = Rig::with(&[A], |c| c.limits.link_in_flight = 2);
    for i in 0..40 {
        r.ask(&format!("n{i}.test"));
    }
    let l = r.dials[0].0;
    r.up(l);
    let mut refused = 1;
    for next in 0..36 {
        while let Some(d) = r.dials.get(refused).copied() {
            r.refuse(d.0);
            refused += 1;
        }
        r.pass(ms(1));
        r.answer(next, 0, true);
    }
    assert!(r.dials.len() <= 4, "{} connects in 36 ms", r.dials.len());
}

#[test]
fn a_replacement_for_a_silent_link_is_dialled_again() {
    let mut r = Rig::new(&[A]);
    r.ask("a.test");
    let l = r.dials[0].0;
    r.up(l);
    r.answer(0, 0, true);
    r.pass(ms(2_000));
    r.ask("b.test"); // the link is dead
    r.pass(ms(260));
    assert_eq!(r.dials.len(), 2);
    r.refuse(r.dials[1].0); // a short outage
    r.pass(ms(1_000));
    r.ask("c.test");
    r.pass(ms(1_000));
    assert!(
        r.dials.len() > 2,
        "nobody dials, questions go into the dead link"
    );
}

#[test]
fn the_preferred_one_is_dialled_first_after_a_quiet_hour() {
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    r.refuse(r.dials[0].0);
    assert_eq!(r.dials[1].1, 1);
    r.up(r.dials[1].0);
    r.answer(0, 0, true);
    r.pass(Duration::from_secs(3_600));
    r.ask("b.test");
    assert_eq!(r.dials[2].1, 0, "the back-off is long over");
}

#[test]
fn a_look_up_that_finds_nothing_is_a_failure() {
    let mut r = Rig::with(&[A], |c| {
        c.upstreams[0] = Upstream::parse("tls://dns.test", SCHEMES).unwrap();
    });
    r.ask("a.test");
    let n = r.n();
    r.f.resolved(0, Ok((vec![], ms(30_000))), n, &mut r.out);
    r.drain();
    r.pass(ms(5_000));
}

#[test]
fn relieve_respects_learned_bounds() {
    let mut r = Rig::new(&[A, B]);
    for i in 0..3 {
        r.ask(&format!("n{i}.test"));
    }
    let l = r.dials[0].0;
    r.up(l);
    let n = r.n();
    r.f.link_limits(l, 1, n);
    r.pass(ms(1_100));
    let l2 = r.dials[1].0;
    r.up(l2);
    assert!(r.f.in_flight_on(l2) <= 1, "{}", r.f.in_flight_on(l2));
}

/// The link of the last dial.
fn last_dial(r: &Rig) -> LinkKey {
    r.dials.last().unwrap().0
}

/// A rig with one upstream whose link has answered once, and then been quiet for so long.
fn after_quiet(quiet: Duration) -> (Rig, LinkKey) {
    let mut r = Rig::new(&[A]);
    r.ask("a.test");
    let link = last_dial(&r);
    r.up(link);
    r.answer(0, 0, true);
    r.pass(quiet);
    (r, link)
}

#[test]
fn a_link_that_may_be_stale_is_used_while_a_fresh_one_is_prepared() {
    // fault 8: the question goes out at once, and what it would need if the link is dead begins at once, too.
    let (mut r, old) = after_quiet(ms(5_000));
    r.ask("b.test");
    assert_eq!((r.sends[1].0, r.dials.len()), (old, 2));
    let fresh = last_dial(&r);
    r.up(fresh);
    r.pass(ms(200));
    assert_eq!(
        r.sends.len(),
        2,
        "not asked twice while the old one may live"
    );
    r.pass(ms(60));
    assert_eq!((r.sends.len(), r.sends[2].0), (3, fresh), "it is dead");
    r.answer(2, 0, true);
    r.pass(ms(20));
    assert_eq!((r.replies.len(), r.closes.as_slice()), (2, &[old][..]));
}

#[test]
fn a_quiet_that_links_survive_needs_no_second_link() {
    let (mut r, link) = after_quiet(ms(5_000));
    r.ask("b.test");
    r.answer(1, 0, true);
    assert_eq!(r.dials.len(), 2);
    r.down(last_dial(&r));
    r.pass(ms(5_500));
    r.ask("c.test");
    assert_eq!((r.dials.len(), r.sends[2].0), (2, link));
}

#[test]
fn the_timer_belongs_to_the_oldest_unanswered_question() {
    // fault 7: a question every 100 ms does not keep a dead link alive.
    let (mut r, link) = after_quiet(ms(500));
    let start = r.now;
    for i in 0..20 {
        r.ask(&format!("n{i}.test"));
        if r.dials.len() > 1 {
            break;
        }
        r.pass(ms(100));
    }
    assert!(r.now.since(start) <= ms(1_100), "{:?}", r.now.since(start));
    let fresh = last_dial(&r);
    r.up(fresh);
    let moved = r.sends.iter().filter(|send| send.0 == fresh).count();
    assert_eq!(
        moved,
        r.f.in_flight_on(link),
        "all are asked on the fresh one"
    );
}

#[test]
fn one_stale_link_retires_its_elders() {
    // Two links in use, then a quiet in which both die; the first question finds out for both.
    let mut r = Rig::with(&[A], |c| c.limits.link_in_flight = 2);
    for i in 0..3 {
        r.ask(&format!("n{i}.test"));
    }
    r.up(r.dials[0].0);
    r.pass(ms(300));
    r.up(r.dials[1].0);
    assert_eq!(r.sends.len(), 3);
    for i in 0..3 {
        r.answer(i, 0, true);
    }
    r.pass(ms(5_000));
    r.ask("b.test");
    let fresh = last_dial(&r);
    r.up(fresh);
    r.pass(ms(1_000));
    assert_eq!(r.closes, [r.dials[0].0], "the one that has no question");
    r.answer(4, 0, true);
    r.pass(ms(20));
    assert_eq!(r.closes.len(), 2);
    r.ask("c.test");
    assert_eq!(r.sends[5].0, fresh);
}

#[test]
fn answers_overdue_in_a_row_retire_a_link() {
    // fault 7: the kernel says established, nothing can be dialled instead, and yet the link goes.
    let (mut r, link) = after_quiet(ms(500));
    r.ask("b.test");
    r.ask("c.test");
    for _ in 0..100 {
        r.pass(ms(50));
        if let Some((dial, _)) = r.dials.get(1..).and_then(<[_]>::last).copied() {
            r.refuse(dial);
        }
    }
    assert_eq!(r.rcodes(), [0, 2, 2]);
    assert!(r.closes.contains(&link));
}

#[test]
fn a_stopped_process_trusts_no_link_afterwards() {
    // fault 83: SIGSTOP for a minute, then SIGCONT: both clocks went on, and no alarm was served.
    let (mut r, link) = after_quiet(ms(2_000));
    r.now = r.now + Duration::from_secs(60);
    r.ask("b.test");
    assert_eq!((r.closes.as_slice(), r.dials.len()), (&[link][..], 2));
    assert_eq!(r.f.stats().retired, 1);
    r.up(last_dial(&r));
    r.answer(1, 0, true);
    assert_eq!(r.rcodes(), [0, 0]);
}

#[test]
fn a_loop_that_is_merely_late_keeps_its_links() {
    let (mut r, link) = after_quiet(ms(2_000));
    r.now = r.now + ms(3_500);
    r.ask("b.test");
    assert_eq!((r.closes.len(), r.sends[1].0), (0, link));
}

#[test]
fn an_absence_ends_all_back_offs() {
    // The machine wakes in another network: what was out of reach there may be near here.
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    r.refuse(last_dial(&r));
    let b = last_dial(&r);
    r.up(b);
    r.answer(0, 0, true);
    for _ in 0..8 {
        r.pass(ms(4_000));
        r.ask("b.test");
        let last = r.sends.len() - 1;
        r.answer(last, 0, true);
        if let Some((dial, 0)) = r.dials.last().copied() {
            r.refuse(dial);
        }
    }
    r.now = r.now + Duration::from_secs(60);
    r.ask("c.test");
    assert_eq!(r.dials.last().unwrap().1, 0, "the preferred one, at once");
}

#[test]
fn a_dead_link_is_found_although_others_answer_its_questions() {
    // fault 7: each question is overtaken by the second upstream before the first one's silence is long enough.
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    let a = last_dial(&r);
    r.up(a);
    r.pass(ms(1_550));
    let b = r.dials.iter().rfind(|dial| dial.1 == 1).unwrap().0;
    r.up(b);
    let on_b = r.sends.iter().position(|send| send.0 == b).unwrap();
    r.answer(on_b, 0, true);
    r.pass(ms(50));
    r.ask("b.test");
    assert_eq!(
        r.sends.last().unwrap().0,
        b,
        "the silent one is passed over"
    );
}

#[test]
fn more_than_a_hundred_answers_to_no_question_end_a_link() {
    // fault 19, 25: on a link that has answered nothing yet. What was asked on it is asked once more elsewhere.
    let mut r = Rig::new(&[A]);
    r.ask("a.test");
    let link = last_dial(&r);
    r.up(link);
    let mut stray = answer(&r.sends[0].2, 0, true);
    stray[1] ^= 1;
    for _ in 0..10_000 {
        let n = r.n();
        r.f.answer(link, &stray, n, &mut r.out);
        r.drain();
    }
    assert_eq!(
        (r.closes.as_slice(), r.f.stats().strays),
        (&[link][..], 101)
    );
    r.pass(ms(300));
    let fresh = last_dial(&r);
    assert_ne!(fresh, link);
    r.up(fresh);
    r.answer(1, 0, true);
    assert_eq!(r.rcodes(), [0]);
}

#[test]
fn a_truncated_answer_is_asked_for_elsewhere() {
    // fault 26: over a stream nothing need be cut, so the next upstream may know better.
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    let a = last_dial(&r);
    r.up(a);
    let mut cut = answer(&r.sends[0].2, 0, true);
    cut[2] |= 2;
    let n = r.n();
    r.f.answer(a, &cut, n, &mut r.out);
    r.drain();
    assert_eq!((r.replies.len(), r.dials[1].1), (0, 1));
    r.up(last_dial(&r));
    r.answer(1, 0, true);
    assert_eq!((r.rcodes(), r.replies[0][2] & 2), (vec![0], 0));
}

#[test]
fn of_an_answer_in_many_messages_the_first_is_used() {
    // fault 32: as in a zone transfer (RFC 5936): one id, one message after the other. The stream stays usable.
    let mut r = Rig::new(&[A]);
    r.ask("a.test");
    let link = last_dial(&r);
    r.up(link);
    for _ in 0..50 {
        r.answer(0, 0, true);
    }
    r.ask("b.test");
    r.answer(1, 0, true);
    assert_eq!((r.rcodes(), r.closes.len()), (vec![0, 0], 0));
    assert_eq!((r.replies.len(), r.dials.len()), (2, 1));
}

/// Where a link is dialled to, by the actions that are not drained yet.
fn dialled(r: &Rig) -> Vec<String> {
    let addresses = r.out.actions().iter().filter_map(|action| match action {
        Action::Dial { addr, .. } => Some(addr.to_string()),
        _ => None,
    });
    addresses.collect()
}

/// A rig whose first upstream is known by name alone.
fn by_name(more: &[&str]) -> Rig {
    let upstreams = [&[A], more].concat();
    Rig::with(&upstreams, |c| {
        c.upstreams[0] = Upstream::parse("tls://dns.test", SCHEMES).unwrap();
    })
}

#[test]
fn an_upstream_whose_name_leads_nowhere_leaves_the_other() {
    // fault 51: no address, and no answer about it.
    for found in [
        Ok((vec![], ms(30_000))),
        Err(DialError::Unreachable("no address".into())),
    ] {
        let mut r = by_name(&[B]);
        r.ask("a.test");
        assert_eq!(r.resolves, 1);
        let n = r.n();
        r.f.resolved(0, found, n, &mut r.out);
        r.drain();
        r.pass(ms(500));
        assert_eq!(r.dials.last().map(|(_, upstream)| *upstream), Some(1));
        r.up(last_dial(&r));
        r.answer(0, 0, true);
        assert_eq!(r.rcodes(), [0]);
    }
}

#[test]
fn an_upstream_that_moved_is_found_where_it_is() {
    // fault 53: its name is looked up again when that is due, and the old link serves until it ends.
    let mut r = by_name(&[]);
    let found = |address: &str| Ok((vec![address.parse().unwrap()], ms(30_000)));
    r.ask("a.test");
    let n = r.n();
    r.f.resolved(0, found("192.0.2.1:853"), n, &mut r.out);
    assert_eq!(dialled(&r), ["192.0.2.1:853"]);
    r.drain();
    let old = last_dial(&r);
    r.up(old);
    r.answer(0, 0, true);
    r.pass(ms(120_000));
    r.down(old);
    r.ask("b.test");
    assert_eq!(r.resolves, 2, "it is looked up again");
    let n = r.n();
    r.f.resolved(0, found("192.0.2.2:853"), n, &mut r.out);
    r.drain();
    r.refuse(last_dial(&r));
    for _ in 0..20 {
        let n = r.n();
        r.now = r.now + ms(100);
        r.f.time(n, &mut r.out);
        let addresses = dialled(&r);
        r.drain();
        if !addresses.is_empty() {
            assert_eq!(addresses, ["192.0.2.2:853"]);
            return;
        }
    }
    panic!("it is not dialled where it is now");
}

#[test]
fn port_zero_is_nobodys() {
    // fault 60: nothing can be sent there, so nothing is asked for it.
    let mut r = Rig::new(&[A]);
    let client = Client {
        addr: "127.0.0.1:0".parse().unwrap(),
        via: Via::Datagram {
            socket: 0,
            local: None,
        },
    };
    let n = r.n();
    assert!(!r.f.query(&query("a.test", 1), client, n, &mut r.out));
    r.drain();
    assert_eq!((r.dials.len(), r.replies.len()), (0, 0));
    assert_eq!(r.f.stats().dropped, 1);
}

#[test]
fn a_message_of_another_length_than_its_frame_breaks_the_link() {
    // fault 17: where the next message begins is lost with it, so the question is asked once more elsewhere.
    for excess in [-3_isize, -1, 1, 3] {
        let mut r = Rig::new(&[A]);
        r.ask("a.test");
        let link = last_dial(&r);
        r.up(link);
        let mut cut = answer(&r.sends[0].2, 0, true);
        cut.resize(cut.len().saturating_add_signed(excess), 0);
        let n = r.n();
        r.f.answer(link, &cut, n, &mut r.out);
        r.drain();
        assert_eq!((r.replies.len(), r.closes.as_slice()), (0, &[link][..]));
        r.pass(ms(300));
        let fresh = last_dial(&r);
        assert_ne!(fresh, link);
        r.up(fresh);
        r.answer(1, 0, true);
        assert_eq!((r.rcodes(), r.f.stats().sent), (vec![0], 2));
    }
}

#[test]
fn a_repeated_datagram_gets_one_answer_although_the_bound_is_reached() {
    // fault 62: it asks for nothing new, so the bound on questions in flight is not its business.
    let mut r = Rig::with(&[A], |c| c.limits.in_flight = 2);
    r.ask("a.test");
    r.ask("b.test");
    assert!(!r.ask_as(1, "a.test") && !r.ask_as(2, "b.test"));
    assert_eq!((r.f.stats().dropped, r.f.stats().shed), (2, 0));
    assert!(r.ask_as(1, "B.test"), "another question");
    assert!(r.ask_as(3, "a.test"), "another client");
    assert_eq!((r.rcodes(), r.f.stats().shed), (vec![2, 2], 2));
    r.up(r.dials[0].0);
    r.answer(0, 0, true);
    r.answer(1, 0, true);
    assert_eq!(r.rcodes(), [2, 2, 0, 0]);
}
