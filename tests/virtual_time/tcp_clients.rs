//! Stories of clients over TCP that never ask anything.

use super::scene::{Act, FIRST, PROXY, Scene, addr, direct, ms, query, tell, tell_with};
use crate::support::memory::{Memory, Stream};
use dotward::engine::Stats;
use dotward::runtime::Runtime;
use dotward::wire::append_frame;
use futures::future::{Either, join, join_all, select};
use futures::io::{AsyncReadExt, AsyncWriteExt, ReadHalf};
use std::pin::pin;
use std::time::Duration;

/// The limit on silence of a client's connection.
const IDLE: Duration = Duration::from_secs(10);

fn framed(message: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    append_frame(message, &mut octets);
    octets
}

/// A query for this name whose header is changed.
fn changed(name: &str, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut message = query(name, 7);
    change(&mut message);
    framed(&message)
}

/// Reads until the proxy closes.
async fn closed(mut reading: ReadHalf<Stream>) {
    let mut octets = [0; 512];
    while reading.read(&mut octets).await.is_ok_and(|n| n > 0) {}
}

/// Sends these octets again and again until the connection is closed; says after how long that was.
async fn persist(world: &Memory, octets: &[u8], pause: Duration) -> Duration {
    let start = world.now().mono;
    let (reading, mut writing) = world.connect(addr(PROXY)).await.unwrap().split();
    let talking = async {
        while writing.write_all(octets).await.is_ok() {
            world.sleep(pause).await;
        }
    };
    let patience = pin!(world.sleep(ms(100_000)));
    let (closed, talking) = (pin!(closed(reading)), pin!(talking));
    let ends = pin!(select(closed, talking));
    match select(ends, patience).await {
        Either::Left(_) => world.now().mono.since(start),
        Either::Right(_) => panic!("still open after {:?}", world.now().mono.since(start)),
    }
}

fn persisted(octets: &[u8], pause: Duration) -> (Duration, Stats) {
    let mut after = Duration::ZERO;
    let stats = tell(&[FIRST], async |scene| {
        after = persist(&scene.world, octets, pause).await;
        assert_eq!(scene.get("a.test").await.rcode, 0);
    });
    (after, stats)
}

#[test]
fn what_is_no_question_does_not_keep_a_connection() {
    // fault 104: an empty frame, a response, a header of zeros, garbage in place of a question, an opcode that nobody forwards.
    let answered = framed(&[0; 12]);
    let garbage = framed(&[0xA5; 40]);
    let frames: [(&[u8], bool); 5] = [
        (&[0, 0], false),
        (&changed("a.test", |m| m[2] |= 0x80), false),
        (&answered, true),
        (&garbage, false),
        (&changed("a.test", |m| m[2] |= 0x28), true),
    ];
    for (frame, counts) in frames {
        let (after, stats) = persisted(frame, ms(1_000));
        assert!(after <= IDLE + ms(1_000), "{frame:?}: after {after:?}");
        assert_eq!(stats.queries > 1, counts, "{frame:?}: {stats}");
    }
}

#[test]
fn a_run_of_what_cannot_be_decoded_ends_a_connection_at_once() {
    // fault 104: as many empty frames as fit a second, for ever.
    let (after, stats) = persisted(&vec![0; 20_000], ms(500));
    assert!(after <= ms(500), "after {after:?}");
    assert_eq!(stats.queries, 1, "{stats}");
    assert!(stats.dropped < 1_000, "{stats}");
}

/// Asks for `localhost` without a pause, for ever.
async fn flood(world: &Memory) {
    let (mut reading, mut writing) = world.connect(addr(PROXY)).await.unwrap().split();
    let queries = framed(&query("localhost", 1)).repeat(50);
    let asking = async { while writing.write_all(&queries).await.is_ok() {} };
    let mut answers = [0; 4096];
    let taking = async { while reading.read(&mut answers).await.is_ok_and(|n| n > 0) {} };
    join(asking, taking).await;
}

/// Tells a story beside 80 clients that always have more to be read, which takes the proxy a millisecond each time.
fn among_floods(story: impl AsyncFnOnce(&mut Scene)) {
    tell(&[FIRST], async |scene| {
        let world = scene.world.clone();
        world.reads_take(ms(1));
        let floods = join_all((0..80).map(|_| flood(&world)));
        let ends = select(Box::pin(story(scene)), floods).await;
        assert!(matches!(ends, Either::Left(_)), "the floods have ended");
    });
}

#[test]
fn clients_over_tcp_that_always_have_more_leave_time_for_a_query_over_udp() {
    // fault 142: all of them were served before the socket of a client over UDP was looked at again, eight times.
    among_floods(async |scene| {
        for number in 0..30 {
            let got = scene.get(&format!("u{number}.test")).await;
            assert_eq!(got.rcode, 0);
            assert!(got.after < ms(60), "after {:?}", got.after);
            scene.world.sleep(ms(10)).await;
        }
    });
}

#[test]
fn clients_over_tcp_get_their_turn_one_after_another() {
    // fault 142: those that have waited come first, not those that were served last.
    among_floods(async |scene| {
        let world = &scene.world;
        let mut stream = world.connect(addr(PROXY)).await.unwrap();
        for _ in 0..3 {
            let before = world.now().mono;
            assert!(asks(&mut stream, "localhost").await);
            // Each of the others reads sixteen times in its turn.
            let after = world.now().mono.since(before);
            assert!(after < ms(3 * 81 * 17), "after {after:?}");
        }
    });
}

#[test]
fn a_stray_frame_between_questions_ends_nothing() {
    // fault 104: each question is a new beginning.
    tell(&[FIRST], async |scene| {
        let stream = scene.world.connect(addr(PROXY)).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        for id in 0..100 {
            let mut octets = vec![0; 8];
            append_frame(&query("a.test", id), &mut octets);
            writing.write_all(&octets).await.unwrap();
            let mut head = [0; 4];
            reading.read_exact(&mut head).await.unwrap();
            assert_eq!(head[2..], id.to_be_bytes());
            let rest = u16::from_be_bytes([head[0], head[1]]) - 2;
            reading.read_exact(&mut vec![0; rest.into()]).await.unwrap();
        }
    });
}

#[test]
fn a_late_answer_is_waited_for_and_a_question_asked_after_it() {
    // fault 104: the time for silence begins with the answer, also where the upstream takes longer than that.
    tell(&[FIRST], async |scene| {
        direct(&scene.first, |_| Act::AnswerAfter(ms(3_000)));
        let stream = scene.world.connect(addr(PROXY)).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        for id in 0..3 {
            writing
                .write_all(&framed(&query("a.test", id)))
                .await
                .unwrap();
            let mut answer = [0; 512];
            assert!(reading.read(&mut answer).await.unwrap() > 0);
            scene.world.sleep(ms(9_500)).await;
        }
    });
}

/// Asks once on this connection; says whether an answer came.
async fn asks(stream: &mut Stream, name: &str) -> bool {
    let asked = stream.write_all(&framed(&query(name, 1))).await;
    let mut answer = [0; 512];
    asked.is_ok() && stream.read(&mut answer).await.is_ok_and(|n| n > 0)
}

#[test]
fn connections_per_client_are_limited() {
    // req 67, fault 73: one client may hold so many connections and no more; the others stay usable.
    let stats = tell_with(
        |config| config.max_tcp_per_client(3),
        &[FIRST],
        async |scene| {
            let afar = "192.168.1.7".parse().unwrap();
            let mut held = Vec::new();
            for _ in 0..3 {
                let mut stream = scene.world.connect_from(afar, addr(PROXY)).await.unwrap();
                assert!(asks(&mut stream, "a.test").await);
                held.push(stream);
            }
            let mut fourth = scene.world.connect_from(afar, addr(PROXY)).await.unwrap();
            assert!(!asks(&mut fourth, "a.test").await, "it is closed");
            for stream in &mut held {
                assert!(asks(stream, "a.test").await);
            }
            let other = "192.168.1.8".parse().unwrap();
            let mut other = scene.world.connect_from(other, addr(PROXY)).await.unwrap();
            assert!(asks(&mut other, "b.test").await);
        },
    );
    assert_eq!(stats.rejected_clients, 1);
}

#[test]
fn clients_on_loopback_share_no_limit_but_the_one_on_all() {
    // fault 73: a frontend on the same host, or programs that ask by TCP alone.
    let stats = tell(&[FIRST], async |scene| {
        let mut held = Vec::new();
        for _ in 0..200 {
            let mut stream = scene.world.connect(addr(PROXY)).await.unwrap();
            assert!(asks(&mut stream, "a.test").await);
            held.push(stream);
        }
    });
    assert_eq!(stats.rejected_clients, 0);
}
