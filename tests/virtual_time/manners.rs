//! Stories of upstreams and clients without manners: they do not read, drip, or come from odd places.

use super::scene::{FIRST, PROXY, SECOND, addr, ede, ms, query, tell};
use crate::support::codes::NXDOMAIN;
use crate::support::memory::{Memory, Stream};
use crate::support::messages::response_to;
use dotward::runtime::Runtime;
use dotward::wire::{Frames, append_frame};
use futures::future::{Either, join, pending, select};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use std::cell::Cell;
use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

/// An upstream that the story itself plays.
const ODD: &str = "192.0.2.9:53";

#[test]
fn an_upstream_that_does_not_read_costs_time_and_nothing_else() {
    // fault 9: its window holds two questions. What waits for room is bounded as questions in flight are.
    let stats = tell(&[ODD], async |scene| {
        scene.world.conditions(addr(ODD), |w| w.window = 100);
        let mut listener = scene.world.listen(addr(ODD), false).unwrap();
        let deaf = pin!(async {
            let mut held = Vec::new();
            loop {
                held.push(listener.accept().await);
            }
        });
        let clients = pin!(async {
            for i in 0..3_000 {
                scene.ask(&format!("n{i}.test"));
            }
            for _ in 0..3_000 {
                let got = scene.next().await;
                assert_eq!(got.rcode, 2);
                assert!(ede(&got.message).is_some());
                assert!(got.after <= ms(4_000), "{:?}", got.after);
            }
            scene.assert_quiet(ms(20_000)).await;
        });
        match select(clients, deaf).await {
            Either::Left(((), _)) => {}
            Either::Right(_) => unreachable!("it listens for ever"),
        }
    });
    // 2,048 questions in flight are the bound; the rest is turned away at once.
    assert_eq!((stats.failed, stats.shed), (2_048, 952));
    assert!(stats.dials <= 10, "{}", stats.dials);
}

/// The upstream's name does not exist: an answer without records.
fn no_such_name(query: &[u8]) -> Vec<u8> {
    response_to(query).rcode(NXDOMAIN).build()
}

/// Answers everything that it is asked, an octet every `gap`.
async fn drip(world: Memory, stream: Stream, gap: Duration) {
    let (mut reading, mut writing) = stream.split();
    let mut frames = Frames::new();
    loop {
        while let Some(query) = frames.next() {
            let mut octets = Vec::new();
            append_frame(&no_such_name(query), &mut octets);
            for octet in octets {
                if writing.write_all(&[octet]).await.is_err() {
                    return;
                }
                world.sleep(gap).await;
            }
        }
        match reading.read(frames.space()).await {
            Ok(n) if n > 0 => frames.filled(n),
            Ok(_) | Err(_) => return,
        }
    }
}

#[test]
fn an_answer_that_drips_in_does_not_hold_up_the_others() {
    // fault 10: an octet a second is no sign of life, and the next connection is healthy.
    let stats = tell(&[ODD], async |scene| {
        let mut listener = scene.world.listen(addr(ODD), false).unwrap();
        let world = scene.world.clone();
        let upstream = pin!(async {
            let slow = drip(world.clone(), listener.accept().await.0, ms(1_000));
            let well = async {
                // One for the other questions, and one for the question that may hold them up.
                let one = drip(world.clone(), listener.accept().await.0, ms(0));
                let other = async { drip(world.clone(), listener.accept().await.0, ms(0)).await };
                join(one, other).await;
                pending::<()>().await;
            };
            join(slow, well).await
        });
        let clients = pin!(async {
            let mut waiting = HashSet::from([scene.ask("slow.test")]);
            scene.world.sleep(ms(100)).await;
            waiting.extend((0..20).map(|i| scene.ask(&format!("n{i}.test"))));
            let start = scene.world.now().mono;
            while !waiting.is_empty() {
                let got = scene.next().await;
                assert_eq!(got.rcode, 3);
                assert!(waiting.remove(&got.id), "one answer to each");
            }
            scene.world.now().mono.since(start)
        });
        match select(clients, upstream).await {
            Either::Left((took, _)) => assert!(took <= ms(2_000), "{took:?}"),
            Either::Right(_) => unreachable!("it listens for ever"),
        }
    });
    assert_eq!(stats.failed, 0);
    // One for the others, one for the question that may hold them up.
    assert!(stats.dials <= 3, "{}", stats.dials);
}

#[test]
fn a_query_that_drips_in_ends_with_its_connection() {
    // req 66, fault 71: the idle limit counts whole queries, so that no octet buys more time.
    tell(&[FIRST], async |scene| {
        let world = scene.world.clone();
        let stream = world.connect(addr(PROXY)).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        let mut octets = Vec::new();
        append_frame(&query("slow.test", 1), &mut octets);
        let start = world.now().mono;
        let drip = pin!(async {
            for octet in octets {
                if writing.write_all(&[octet]).await.is_err() {
                    break;
                }
                world.sleep(ms(1_000)).await;
            }
        });
        let mut heard = [0; 16];
        let end = pin!(reading.read(&mut heard));
        match select(end, drip).await {
            Either::Left((end, _)) => assert!(matches!(end, Ok(0) | Err(_)), "{end:?}"),
            Either::Right(_) => panic!("it was heard to its end"),
        }
        let took = world.now().mono.since(start);
        assert!((ms(9_000)..=ms(11_000)).contains(&took), "{took:?}");
        assert_eq!(scene.get("canary.test").await.rcode, 0);
        assert_eq!(scene.first.borrow().asked.len(), 1);
    });
}

#[test]
fn a_link_local_client_is_answered_where_it_is() {
    // req 8, fault 68: the same address on two interfaces is two clients.
    tell(&[FIRST], async |scene| {
        for scope in [3, 4] {
            let at = addr(&format!("[fe80::1%{scope}]:40000"));
            let mut client = scene.world.bind(at, false).unwrap();
            client.send(addr(PROXY), &query("a.test", scope));
            let (_, message) = client.recv().await;
            assert_eq!(message[..2], scope.to_be_bytes());
        }
        scene.assert_quiet(ms(100)).await;
    });
}

#[test]
fn a_network_that_comes_and_goes_is_found_again() {
    // fault 88: no route for a while, as when an interface goes down. Whoever waits is told at once, and it ends at once.
    let stats = tell(&[FIRST, SECOND], async |scene| {
        scene.get("a.test").await;
        for at in [FIRST, SECOND] {
            scene.world.conditions(addr(at), |w| w.refuses = true);
            scene.world.reset(addr(at));
        }
        let got = scene.get("b.test").await;
        assert_eq!((got.rcode, ede(&got.message)), (2, Some(22)));
        assert!(got.after <= ms(1_100), "{:?}", got.after);
        for at in [FIRST, SECOND] {
            scene.world.conditions(addr(at), |w| w.refuses = false);
        }
        let back = scene.world.now().mono;
        while scene.get("c.test").await.rcode != 0 {}
        let took = scene.world.now().mono.since(back);
        assert!(took <= ms(2_000), "{took:?}");
    });
    assert!(stats.dials <= 8, "{}", stats.dials);
}

#[test]
fn a_client_that_does_not_read_is_closed() {
    // fault 77: when nothing was written for the idle limit. Its questions are read as far as their answers have room.
    let stats = tell(&[FIRST], async |scene| {
        let world = scene.world.clone();
        world.conditions(addr(PROXY), |w| w.window = 1_000);
        let mut stream = world.connect(addr(PROXY)).await.unwrap();
        let mut octets = Vec::new();
        for id in 0..20 {
            append_frame(&query(&format!("n{id}.test"), id), &mut octets);
        }
        stream.write_all(&octets).await.unwrap();
        world.sleep(ms(12_000)).await;
        // What had room is there, and then the end: nothing is written any more.
        let mut heard = Vec::new();
        let end = world.within(ms(1_000), stream.read_to_end(&mut heard));
        assert!(end.await.is_some(), "it is closed");
        assert_eq!(heard.len(), 1_000);
        assert_eq!(scene.get("canary.test").await.rcode, 0);
    });
    assert_eq!((stats.queries, stats.answered, stats.failed), (21, 21, 0));
}

/// The largest answer that there is, once the OPT of this hop is added: one record of nobody's type.
fn largest(query: &[u8]) -> Vec<u8> {
    const LEN: usize = u16::MAX as usize - 11;
    let plain = response_to(query);
    let rdata = vec![0; LEN - plain.len() - 12];
    plain.answer(0xFF00, 0, &rdata).build()
}

#[test]
fn a_client_that_does_not_read_holds_so_much_and_no_more() {
    // fault 77, 103: 64 KiB that it has not read, and the answers to a hundred questions in flight by then. Here is the worst case: one
    // answer nearly fills the 64 KiB, and a hundred more are under way, all as large as answers get.
    const FRAME: usize = 2 + u16::MAX as usize;
    const WINDOW: usize = 1_000;
    const ASKED: usize = 200;
    let stats = tell(&[ODD], async |scene| {
        let world = scene.world.clone();
        let told = Cell::new(0);
        let mut listener = world.listen(addr(ODD), false).unwrap();
        let upstream = pin!(async {
            let (mut reading, mut writing) = listener.accept().await.0.split();
            let mut frames = Frames::new();
            loop {
                while let Some(query) = frames.next() {
                    if told.get() == 1 {
                        // Before the next answer, whatever there is still room for is read.
                        world.sleep(ms(10)).await;
                    }
                    let mut octets = Vec::new();
                    append_frame(&largest(query), &mut octets);
                    writing.write_all(&octets).await.unwrap();
                    told.set(told.get() + 1);
                }
                match reading.read(frames.space()).await {
                    Ok(n) if n > 0 => frames.filled(n),
                    end => panic!("the only connection ended: {end:?}"),
                }
            }
        });
        let client = pin!(async {
            let mut stream = world.connect(addr(PROXY)).await.unwrap();
            let mut octets = Vec::new();
            for id in 0..ASKED as u16 {
                append_frame(&query(&format!("n{id}.test"), id), &mut octets);
            }
            stream.write_all(&octets).await.unwrap();
            world.conditions(addr(PROXY), |w| w.window = WINDOW);
            // Not for so long that the connection to the upstream would seem stale.
            world.sleep(ms(900)).await;
            let held = told.get() * FRAME - WINDOW;
            assert_eq!(held, (FRAME - WINDOW) + 100 * FRAME);
            assert!(held < (64 << 10) + 100 * FRAME);
            // It reads at last, and gets everything.
            let mut heard = vec![0; ASKED * FRAME];
            stream.read_exact(&mut heard).await.unwrap();
            assert_eq!(told.get(), ASKED);
        });
        match select(client, upstream).await {
            Either::Left(((), _)) => {}
            Either::Right(_) => unreachable!("it listens for ever"),
        }
    });
    assert_eq!((stats.answered, stats.failed), (ASKED as u64, 0));
}
