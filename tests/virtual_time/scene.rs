//! A small network in memory: dotward, its upstreams, and a client that tells the story.

use crate::support::memory::{Datagrams, Memory, Stream};
use crate::support::messages::address_or_error;
pub use crate::support::messages::edns_query as query;
use dotward::config::{Config, ConfigBuilder, Upstream};
use dotward::engine::{Stats, Time};
use dotward::runtime::Runtime;
use dotward::serve::{Command, Control, Options, Sockets, serve};
use dotward::transport::Transport;
use dotward::transports::{Protocols, SCHEMES};
use dotward::wire::{self, Frames, append_frame};
use futures::future::{Either, join, join4, select};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::stream::{FuturesUnordered, StreamExt};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

pub const PROXY: &str = "127.0.0.1:53";
pub const FIRST: &str = "192.0.2.1:53";
pub const SECOND: &str = "192.0.2.2:53";
pub const THIRD: &str = "192.0.2.3:53";
pub const FOURTH: &str = "192.0.2.4:53";

/// An address that no interface has at the start.
pub const LATE: &str = "10.8.0.1:53";

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What an upstream does with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Answer,
    AnswerAfter(Duration),
    Rcode(u8),
    /// A response code with an extended error, which only a query with an OPT record gets (RFC 8914).
    Why(u8, u16),
    /// FORMERR without OPT, as a server does that does not know EDNS.
    RefuseEdns,
    Silence,
    /// Closes the connection instead of answering.
    Close,
    /// The same, after so long.
    CloseAfter(Duration),
    /// An answer with an octet behind its last record.
    Malformed,
    /// An answer with another id.
    WrongId,
    AnswerThenClose,
    /// An answer that says how long an idle connection is kept, in tenths of a second, if that was asked (RFC 7828).
    AnswerSaying(u16),
    /// An answer with so many addresses.
    Addresses(u8),
}

/// What an upstream was asked: the query, how many were unanswered on its connection, and how many were asked on it in all.
pub struct Asked {
    pub in_flight: usize,
    pub in_all: usize,
    pub query: Vec<u8>,
}

/// An upstream's record and its behaviour, which the story may change at any time.
pub struct Server {
    pub asked: Vec<Asked>,
    pub connections: usize,
    pub act: Box<dyn FnMut(&Asked) -> Act>,
    /// Closes a connection that was idle for so long.
    pub idle: Option<Duration>,
    /// Connections that it closed for that reason.
    pub closed_idle: usize,
    /// It takes the questions of a connection one by one, in their order.
    pub in_order: bool,
}

pub type Actor = Rc<RefCell<Server>>;

/// Changes what an upstream does.
pub fn direct(server: &Actor, act: impl FnMut(&Asked) -> Act + 'static) {
    server.borrow_mut().act = Box::new(act);
}

/// A story's stage.
pub struct Scene {
    pub world: Memory,
    pub first: Actor,
    pub second: Actor,
    pub third: Actor,
    pub fourth: Actor,
    pub client: Datagrams,
    pub control: Control,
    next_id: u16,
}

/// What became of a question of [`Scene::play`].
#[derive(Debug)]
pub struct Played {
    pub name: String,
    /// When it was asked, from the start.
    pub asked: Duration,
    pub took: Duration,
    pub rcode: u16,
}

/// An answer that arrived at the client.
#[derive(Debug)]
pub struct Got {
    pub id: u16,
    pub rcode: u16,
    pub message: Vec<u8>,
    pub after: Duration,
}

impl Scene {
    /// Sends a question and returns its id.
    pub fn ask(&mut self, name: &str) -> u16 {
        self.next_id = self.next_id.wrapping_add(1);
        let query = query(name, self.next_id);
        self.client.send(addr(PROXY), &query);
        self.next_id
    }

    /// Has the proxy serve by another configuration: that of [`tell_with`], and nothing of what held before.
    pub async fn reload(
        &self,
        tweak: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
        upstreams: &[&str],
    ) {
        self.control
            .reload(tweak(builder(upstreams)).build().unwrap());
        // So that the proxy has its turn.
        self.world.sleep(Duration::from_nanos(1)).await;
    }

    /// Asks without EDNS and waits for the answer.
    pub async fn get_plain(&mut self, name: &str) -> Got {
        self.next_id = self.next_id.wrapping_add(1);
        let mut query = query(name, self.next_id);
        query.truncate(query.len() - 11);
        query[11] = 0;
        self.client.send(addr(PROXY), &query);
        self.next().await
    }

    /// Asks and waits for the answer.
    pub async fn get(&mut self, name: &str) -> Got {
        let before = self.world.now().mono;
        let id = self.ask(name);
        let (from, message) = self.client.recv().await;
        assert_eq!(from, addr(PROXY));
        let got = Self::read(message, self.world.now().mono.since(before));
        assert_eq!(got.id, id);
        got
    }

    /// As [`Scene::get`], whatever other answers come before this one.
    pub async fn get_own(&mut self, name: &str) -> Got {
        let before = self.world.now().mono;
        let id = self.ask(name);
        loop {
            let got = self.next().await;
            if got.id == id {
                let after = self.world.now().mono.since(before);
                return Got { after, ..got };
            }
        }
    }

    /// Asks so many questions at once and waits until all of them are answered well.
    pub async fn get_many(&mut self, count: usize) {
        for number in 0..count {
            self.ask(&format!("m{number}.test"));
        }
        for _ in 0..count {
            assert_eq!(self.next().await.rcode, 0);
        }
    }

    /// The next answer, whenever it comes.
    pub async fn next(&mut self) -> Got {
        let before = self.world.now().mono;
        let (_, message) = self.client.recv().await;
        Self::read(message, self.world.now().mono.since(before))
    }

    fn read(message: Vec<u8>, after: Duration) -> Got {
        let answer = wire::parse_response(&message).expect("what the proxy sends is well formed");
        Got {
            id: answer.header.id,
            rcode: answer.rcode().0,
            after,
            message,
        }
    }

    /// Asks for each name at its time, counted from now, and waits for all answers.
    pub async fn play(
        &mut self,
        questions: impl IntoIterator<Item = (Duration, String)>,
    ) -> Vec<Played> {
        let start = self.world.now().mono;
        let mut questions = questions.into_iter().peekable();
        let mut open: HashMap<u16, (String, Time)> = HashMap::new();
        let mut played = Vec::new();
        loop {
            let now = self.world.now().mono;
            while let Some((_, name)) = questions.next_if(|(at, _)| start + *at <= now) {
                open.insert(self.ask(&name), (name, now));
            }
            let next = questions.peek().map(|(at, _)| (start + *at).since(now));
            if open.is_empty() && next.is_none() {
                return played;
            }
            let wait = next.unwrap_or(Duration::from_secs(60));
            if let Some((_, message)) = self.world.within(wait, self.client.recv()).await {
                let got = Self::read(message, Duration::ZERO);
                let (name, asked) = open.remove(&got.id).expect("one answer to each");
                let took = self.world.now().mono.since(asked);
                played.push(Played {
                    name,
                    asked: asked.since(start),
                    took,
                    rcode: got.rcode,
                });
            } else {
                assert!(next.is_some(), "no answer to {open:?}");
            }
        }
    }

    /// Nothing arrives for so long.
    pub async fn assert_quiet(&mut self, span: Duration) {
        let sleep = pin!(self.world.sleep(span));
        let next = pin!(self.client.recv());
        if let Either::Right((got, _)) = select(sleep, next).await {
            panic!("an answer too many: {got:?}");
        }
    }
}

/// The info-code of the first extended error in an answer (RFC 8914).
pub fn ede(message: &[u8]) -> Option<u16> {
    why(message).map(|(code, _)| code)
}

/// The code of the extended error, and its text.
pub fn why(message: &[u8]) -> Option<(u16, String)> {
    let opt = wire::parse_response(message).ok()?.opt?;
    let (_, data) = wire::options(message, &opt).find(|(code, _)| *code == 15)?;
    let (code, text) = data.split_first_chunk()?;
    let text = String::from_utf8(text.to_vec()).ok()?;
    Some((u16::from_be_bytes(*code), text))
}

/// Tells a story with these upstreams, in this order, and no cache, so that each question is asked; returns what the proxy
/// counted.
pub fn tell<F>(upstreams: &[&str], story: F) -> Stats
where
    F: AsyncFnOnce(&mut Scene),
{
    tell_with_cache(0, upstreams, story)
}

/// As [`tell`], with a cache of so many octets.
pub fn tell_with_cache<F>(bytes: usize, upstreams: &[&str], story: F) -> Stats
where
    F: AsyncFnOnce(&mut Scene),
{
    tell_with(|config| config.cache_bytes(bytes), upstreams, story)
}

/// The upstream at this address.
pub fn upstream(at: &str) -> Upstream {
    Upstream::parse(&format!("tcp://{at}"), SCHEMES).unwrap()
}

fn builder(upstreams: &[&str]) -> ConfigBuilder {
    let upstreams: Vec<Upstream> = upstreams.iter().map(|at| upstream(at)).collect();
    Config::builder()
        .cache_bytes(0)
        .listen([addr(PROXY).into()])
        .upstreams(upstreams)
}

/// As [`tell`], with whatever `tweak` makes of the configuration.
pub fn tell_with<F>(
    tweak: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    upstreams: &[&str],
    story: F,
) -> Stats
where
    F: AsyncFnOnce(&mut Scene),
{
    tell_over(|protocols| protocols, tweak, upstreams, story)
}

/// As [`tell_with`], over whatever `transport` makes of the protocols.
pub fn tell_over<T, F>(
    transport: impl FnOnce(Protocols<Memory>) -> T,
    tweak: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    upstreams: &[&str],
    story: F,
) -> Stats
where
    T: Transport,
    F: AsyncFnOnce(&mut Scene),
{
    let transport = |protocols, _: &Memory| transport(protocols);
    tell_on(|world, _| world, transport, tweak, upstreams, story)
}

/// As [`tell_over`], over the network, serving on whatever `runtime` makes of it.
pub fn tell_on<R, T, F>(
    runtime: impl FnOnce(Memory, &Config) -> R,
    transport: impl FnOnce(Protocols<Memory>, &Memory) -> T,
    tweak: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    upstreams: &[&str],
    story: F,
) -> Stats
where
    R: Runtime,
    T: Transport,
    F: AsyncFnOnce(&mut Scene),
{
    let world = Memory::new();
    world.set_absent(addr(LATE).ip(), true);
    let config = tweak(builder(upstreams)).build().unwrap();
    let protocols = transport(Protocols::new(&world, &config).unwrap(), &world);
    let runtime = runtime(world.clone(), &config);
    let sockets = Sockets::bind(&runtime, &config).unwrap();
    let control = Control::new();
    let options = Options::with_seed(config, [7; 32]).unwrap();
    let proxy = serve(runtime, protocols, sockets, options.control(&control));
    let [first, second, third, fourth] = [(); 4].map(|()| server());
    let mut scene = Scene {
        client: world.bind(addr("127.0.0.1:40000"), false).unwrap(),
        world: world.clone(),
        control: control.clone(),
        first: first.clone(),
        second: second.clone(),
        third: third.clone(),
        fourth: fourth.clone(),
        next_id: 0,
    };
    let told = async {
        story(&mut scene).await;
        control.send(Command::Drain);
    };
    let servers = join4(
        listen(world.clone(), addr(FIRST), first),
        listen(world.clone(), addr(SECOND), second),
        listen(world.clone(), addr(THIRD), third),
        listen(world.clone(), addr(FOURTH), fourth),
    );
    world.block_on(async {
        let servers = pin!(servers);
        let played = pin!(join(proxy, told));
        match select(played, servers).await {
            Either::Left(((stats, ()), _)) => stats,
            Either::Right(_) => unreachable!("servers never end"),
        }
    })
}

fn server() -> Actor {
    Rc::new(RefCell::new(Server {
        asked: Vec::new(),
        connections: 0,
        act: Box::new(|_| Act::Answer),
        idle: None,
        closed_idle: 0,
        in_order: false,
    }))
}

async fn listen(world: Memory, at: SocketAddr, server: Actor) {
    let mut listener = world.listen(at, false).unwrap();
    let mut connections = FuturesUnordered::new();
    loop {
        let accept = pin!(listener.accept());
        let stream = if connections.is_empty() {
            accept.await.0
        } else {
            match select(accept, connections.next()).await {
                Either::Left(((stream, _), _)) => stream,
                Either::Right(_) => continue,
            }
        };
        server.borrow_mut().connections += 1;
        connections.push(converse(world.clone(), stream, server.clone()));
    }
}

/// What an upstream that does this answers to a query.
fn answer_by(act: Act, query: &[u8], rcode: u8) -> Vec<u8> {
    let asked_opt = has_edns(query);
    let opt = match act {
        Act::RefuseEdns => false,
        Act::Why(..) => asked_opt,
        _ => true,
    };
    let option = match act {
        Act::Why(_, code) => Some((15, code.to_be_bytes())),
        Act::AnswerSaying(tenths) if asks_for_keepalive(query) => Some((11, tenths.to_be_bytes())),
        _ => None,
    };
    let mut answer = address_or_error(query, rcode.into());
    if let Act::Addresses(count) = act {
        for number in 2..=count {
            answer = answer.a(300, [192, 0, 2, number]);
        }
    }
    if opt {
        let option = option.as_ref().map(|(code, data)| (*code, &data[..]));
        answer = answer.edns(1232, 0, option.as_slice());
    }
    let mut answer = answer.build();
    match act {
        Act::Malformed => answer.push(0),
        Act::WrongId => answer[0] ^= 1,
        Act::CloseAfter(_) => answer.clear(),
        _ => {}
    }
    answer
}

/// One connection of an upstream: queries in, answers out, by the server's behaviour at that moment.
async fn converse(world: Memory, stream: Stream, server: Actor) {
    let (mut reading, mut writing) = stream.split();
    let mut frames = Frames::new();
    let mut later = FuturesUnordered::new();
    let (mut in_flight, mut in_all) = (0, 0);
    // When it has answered all that it was asked, if it takes one after the other.
    let mut free_at = world.now().mono;
    loop {
        while let Some(query) = frames.next() {
            in_flight += 1;
            in_all += 1;
            let asked = Asked {
                in_flight,
                in_all,
                query: query.to_vec(),
            };
            let act = (server.borrow_mut().act)(&asked);
            let query = asked.query.clone();
            server.borrow_mut().asked.push(asked);
            let (rcode, wait) = match act {
                Act::Answer
                | Act::AnswerThenClose
                | Act::AnswerSaying(_)
                | Act::Addresses(_)
                | Act::Malformed
                | Act::WrongId => (0, Duration::ZERO),
                Act::AnswerAfter(wait) | Act::CloseAfter(wait) => (0, wait),
                Act::Rcode(rcode) | Act::Why(rcode, _) => (rcode, Duration::ZERO),
                Act::RefuseEdns => (1, Duration::ZERO),
                Act::Silence => continue,
                Act::Close => return,
            };
            let mut wait = wait;
            if server.borrow().in_order {
                let now = world.now().mono;
                free_at = free_at.max(now) + wait;
                wait = free_at.since(now);
            }
            let world = world.clone();
            later.push(async move {
                world.sleep(wait).await;
                let answer = answer_by(act, &query, rcode);
                (answer, act == Act::AnswerThenClose)
            });
        }
        let idle = server.borrow().idle.unwrap_or(Duration::from_secs(86_400));
        let read = pin!(world.within(idle, reading.read(frames.space())));
        let n = if later.is_empty() {
            match read.await {
                Some(Ok(n)) => n,
                Some(Err(_)) => return,
                None => {
                    server.borrow_mut().closed_idle += 1;
                    return;
                }
            }
        } else {
            match select(read, later.next()).await {
                Either::Left((Some(Ok(n)), _)) => n,
                Either::Left(_) => return,
                Either::Right((done, _)) => {
                    let (message, last) = done.expect("it is not empty");
                    in_flight -= 1;
                    if message.is_empty() {
                        return;
                    }
                    let mut octets = Vec::new();
                    append_frame(&message, &mut octets);
                    if writing.write_all(&octets).await.is_err() || last {
                        return;
                    }
                    continue;
                }
            }
        };
        if n == 0 {
            return;
        }
        frames.filled(n);
    }
}

/// Does a query ask how long an idle connection is kept, as RFC 7828 section 3.2.1 has it?
pub fn asks_for_keepalive(query: &[u8]) -> bool {
    let opt = wire::parse_query(query).expect("a good query").opt;
    let asks = |(code, data): (u16, &[u8])| code == 11 && data.is_empty();
    opt.is_some_and(|opt| wire::options(query, &opt).any(asks))
}

/// Has the query an OPT record?
pub fn has_edns(query: &[u8]) -> bool {
    wire::parse_query(query)
        .expect("a good query")
        .opt
        .is_some()
}
