//! Plays a story: the real shell and the real core, with upstreams, clients and a network in memory.

use super::clients::Session;
use super::judging;
use super::log::Log;
use super::messages;
use super::proxy;
use super::story::{self, AFTERMATH, PROXY, Story, What, after, client_addr, upstream_addr};
use super::tally::Tally;
use super::upstream::{self, Memoir};
use super::watch::{MAX_DIALS, MAX_LINKS};
use crate::support::memory::{Conditions, Datagrams, Memory};
use dotward::config::Config;
use dotward::engine::{Stats, Time};
use dotward::runtime::Runtime;
use dotward::serve::{Command, Control};
use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// After the last fault everything works again at the latest after so long: the longest back-off is 10 seconds and a quarter.
pub const RECOVERY: Duration = Duration::from_millis(12_500);
/// Then nobody asks. Links end after a minute without a question at the latest, clients' connections after 10 seconds.
const REST: Duration = Duration::from_secs(200);

/// Where everybody meets.
pub struct Stage {
    pub world: Memory,
    pub story: Story,
    pub log: Log,
    pub upstreams: Vec<RefCell<Memoir>>,
    /// What was asked for over TCP, and what upstreams were asked for.
    pub tally: RefCell<Tally>,
    /// TCP clients that have connected.
    pub visits: Cell<u64>,
    pub control: Control,
    /// When other configurations came.
    pub reloads: RefCell<Vec<Time>>,
    /// Why the forwarder is not at rest, if it is not.
    pub unrest: RefCell<Option<String>>,
    /// Records of the failures, as files.
    pub records: RefCell<Vec<String>>,
    clients: RefCell<Vec<Datagrams>>,
    newcomers: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
}

/// What came of a story.
pub struct Outcome {
    pub faults: Vec<String>,
    pub trace: Vec<String>,
    pub stats: Stats,
    /// Records of the failures, as files.
    pub records: Vec<String>,
}

impl Stage {
    /// Somebody else takes part.
    pub fn join(&self, actor: impl Future<Output = ()> + 'static) {
        self.newcomers.borrow_mut().push(Box::pin(actor));
    }

    /// Runs all who take part, until `is_over`.
    async fn run(&self, is_over: &Cell<bool>) {
        let mut actors = FuturesUnordered::new();
        poll_fn(|cx| {
            loop {
                actors.extend(self.newcomers.take());
                match actors.poll_next_unpin(cx) {
                    _ if is_over.get() => return Poll::Ready(()),
                    Poll::Pending if self.newcomers.borrow().is_empty() => return Poll::Pending,
                    Poll::Pending | Poll::Ready(_) => {}
                }
            }
        })
        .await;
    }
}

/// Plays a story to its end.
pub fn play(story: &Story, traced: bool) -> Outcome {
    let world = Memory::seeded(story.seed);
    world.keep_journal();
    let clock = world.clone();
    let stage = Rc::new(Stage {
        log: Log::new(move || clock.now().mono, traced),
        story: story.clone(),
        upstreams: story.upstreams.iter().map(|_| RefCell::default()).collect(),
        tally: RefCell::default(),
        visits: Cell::default(),
        control: Control::new(),
        reloads: RefCell::default(),
        unrest: RefCell::default(),
        records: RefCell::default(),
        clients: RefCell::default(),
        newcomers: RefCell::default(),
        world,
    });
    let ended = Rc::new(Cell::new(None));
    let is_over = Rc::new(Cell::new(false));
    let proxy = proxy::serve(&stage, &stage.control);
    stage.join({
        let (ended, is_over) = (ended.clone(), is_over.clone());
        async move {
            ended.set(Some(proxy.await));
            is_over.set(true);
        }
    });
    for index in 0..story.upstreams.len() {
        stage.join(upstream::listen(stage.clone(), index));
    }
    stage.join(direct(stage.clone()));
    stage.world.block_on(stage.run(&is_over));
    let stats = ended.take().unwrap_or_default();
    if stage.log.is_clean() {
        judging::judge(&stage, &stats);
    }
    let (faults, trace) = stage.log.take();
    Outcome {
        faults,
        trace,
        stats,
        records: stage.records.take(),
    }
}

/// Lets happen what happens, in time.
async fn direct(stage: Rc<Stage>) {
    let socket = |index| stage.world.bind(client_addr(index), false).expect("free");
    let clients = (0..stage.story.clients).map(socket).collect();
    *stage.clients.borrow_mut() = clients;
    for index in 0..stage.story.upstreams.len() {
        set_good(&stage, index);
    }
    let steps = stage.story.steps.clone();
    let mut sessions = 0;
    for step in steps {
        let at = Time::ZERO + step.at;
        if at >= Time::ZERO + stage.story.calm_at {
            break;
        }
        stage.world.sleep_until(at).await;
        act(&stage, step.what, &mut sessions);
        look(&stage);
    }
    let calm_at = Time::ZERO + stage.story.calm_at;
    stage.world.sleep_until(calm_at).await;
    stage.log.note(|| "all faults end".into());
    let all: Vec<usize> = (0..stage.story.upstreams.len()).collect();
    let policy = stage.story.house.policy;
    reload(&stage, proxy::configure(&stage.story, &all, policy));
    for index in 0..stage.story.upstreams.len() {
        set_good(&stage, index);
    }
    set_clients(&stage, Conditions::default());
    for second in 0..AFTERMATH {
        let id = 60_000 + second as u16;
        ask(&stage, 0, &messages::query(&after(second), id, true));
        stage.world.sleep(Duration::from_secs(1)).await;
        look(&stage);
    }
    stage.log.note(|| "nobody asks any more".into());
    stage.world.sleep(REST).await;
    judging::at_rest(&stage);
    stage.control.send(Command::Drain);
}

/// An upstream and the way to it are as they are in good times.
fn set_good(stage: &Stage, index: usize) {
    let conditions = stage.story.upstreams[index].conditions;
    stage
        .world
        .conditions(upstream_addr(index), |w| *w = conditions);
    let mut memoir = stage.upstreams[index].borrow_mut();
    memoir.mood = super::story::Mood::default();
    memoir.is_shut = false;
    memoir.manner = super::story::Manner::default();
    memoir.changed();
}

fn set_clients(stage: &Stage, conditions: Conditions) {
    stage.world.conditions(PROXY, |w| *w = conditions);
    for index in 0..stage.story.clients {
        stage
            .world
            .conditions(client_addr(index), |w| *w = conditions);
    }
}

fn ask(stage: &Stage, client: usize, query: &[u8]) {
    let line = || {
        let (name, id) = (messages::name(query), messages::id(query));
        format!("client {client}: asks for {name}, id {id}")
    };
    stage.log.note(line);
    if let Some(socket) = stage.clients.borrow().get(client) {
        socket.send(PROXY, query);
    }
}

fn act(stage: &Rc<Stage>, what: What, sessions: &mut usize) {
    match &what {
        What::Ask { .. } | What::Connect { .. } => {}
        what => stage.log.note(|| format!("{what:?}")),
    }
    match what {
        What::Ask {
            client,
            id,
            name,
            edns,
            again,
        } => {
            let query = messages::query(&name, id, edns);
            ask(stage, client, &query);
            if let Some(wait) = again {
                let again = stage.clone();
                stage.join(async move {
                    again.world.sleep(wait).await;
                    ask(&again, client, &query);
                });
            }
        }
        What::Connect { questions, end } => {
            *sessions += 1;
            let session = Session::new(stage.clone(), *sessions, questions.len(), end);
            stage.join(session.hold(questions));
        }
        What::Conditions {
            upstream,
            conditions,
        } => {
            stage
                .world
                .conditions(upstream_addr(upstream), |w| *w = conditions);
        }
        What::Clients { conditions } => set_clients(stage, conditions),
        What::Mood { upstream, mood } => stage.upstreams[upstream].borrow_mut().mood = mood,
        What::Door { upstream, is_shut } => {
            stage.upstreams[upstream].borrow_mut().is_shut = is_shut;
        }
        What::Manner { upstream, manner } => {
            let mut memoir = stage.upstreams[upstream].borrow_mut();
            memoir.manner = manner;
            memoir.changed();
        }
        What::Reset { upstream } => {
            stage.world.reset(upstream_addr(upstream));
            let mut memoir = stage.upstreams[upstream].borrow_mut();
            memoir.resets += 1;
            memoir.changed();
        }
        What::Forget { upstream } => stage.world.forget(upstream_addr(upstream)),
        What::Suspend(span) => stage.world.suspend(span),
        What::Reload { upstreams, policy } => {
            let config = proxy::configure(&stage.story, &upstreams, policy);
            reload(stage, config);
        }
    }
}

fn reload(stage: &Stage, config: Config) {
    stage.reloads.borrow_mut().push(stage.world.now().mono);
    stage.control.reload(config);
}

/// May the question for this name fail?
pub fn may_fail(stage: &Stage, name: &str) -> bool {
    !stage.story.promise.all_answered || story::is_spoiled(name)
}

/// What must hold at any time.
fn look(stage: &Stage) {
    for index in 0..stage.story.upstreams.len() {
        let held = stage.world.held(upstream_addr(index));
        if held > MAX_LINKS + MAX_DIALS {
            stage
                .log
                .wrong(format!("{held} connections to upstream {index}"));
        }
    }
}
