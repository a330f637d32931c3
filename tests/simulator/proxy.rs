//! The forwarder of a story: the real shell and the real core, looked at after each of their steps.

use super::stage::Stage;
use super::story::{PROXY, Protocol, SERVER_NAME, Story, upstream_addr};
use super::watch::{self, Watch};
use dotward::config::{Config, Policy, Upstream};
use dotward::engine::Stats;
use dotward::serve::{Control, EventLoop, Options, Sockets};
use dotward::transports::{Protocols, SCHEMES};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Octets of records: enough for all failures of a story.
const RECORDS: usize = 4 << 20;

/// The configuration of a story's house, with these of its upstreams. With a split they are all.
pub fn configure(story: &Story, upstreams: &[usize], policy: Policy) -> Config {
    let upstream = |index: &usize| {
        let protocol = story.upstreams[*index].protocol;
        let name = match protocol {
            Protocol::Tcp => String::new(),
            Protocol::Https | Protocol::Quic => format!("#{SERVER_NAME}"),
        };
        let text = format!("{}://{}{name}", protocol.scheme(), upstream_addr(*index));
        Upstream::parse(&text, SCHEMES).expect("a good address")
    };
    let mut upstreams: Vec<Upstream> = upstreams.iter().map(upstream).collect();
    let mut routes = Vec::new();
    if let Some(split) = story.split {
        (upstreams, routes) = split.routes(&upstreams, policy, story.names());
    }
    let config = story.house.config(upstreams).routes(routes).policy(policy);
    let config = config.listen([PROXY.into()]).record_bytes(RECORDS);
    #[cfg(any(feature = "doh", feature = "doq"))]
    let config = if story.has_streams() {
        config.roots(super::certificates::roots())
    } else {
        config
    };
    config.build().expect("a sound configuration")
}

/// Serves as the story's house has it, until `control` ends that.
pub fn serve(stage: &Rc<Stage>, control: &Control) -> impl Future<Output = Stats> + 'static {
    let (stage, world) = (stage.clone(), stage.world.clone());
    let all: Vec<usize> = (0..stage.upstreams.len()).collect();
    let config = configure(&stage.story, &all, stage.story.house.policy);
    let protocols = Protocols::new(&world, &config).expect("nothing to go wrong");
    let sockets = Sockets::bind(&world, &config).expect("free");
    let as_it_was = config.clone();
    let seed = [stage.story.seed as u8; 32];
    let mut watch = Watch::new(&config);
    let options = Options::with_seed(config, seed).expect("one worker");
    let mut event_loop = EventLoop::new(world, protocols, sockets, options.control(control));
    async move {
        let step = |cx: &mut Context<'_>| {
            let polled = event_loop.poll(cx);
            let connects = stage.world.connects() - stage.visits.get();
            stage.log.check(watch.look(event_loop.core(), connects));
            stage.log.check(watch.crowd(event_loop.clients()));
            let busy = (!event_loop.is_idle()).then(|| "at rest, the shell is busy".into());
            *stage.unrest.borrow_mut() = busy.or_else(|| watch::at_rest(event_loop.core()).err());
            // What goes wrong ends the story: what follows from it says nothing more.
            if stage.log.is_clean() {
                polled
            } else {
                Poll::Ready(())
            }
        };
        poll_fn(step).await;
        let core = event_loop.core();
        let of = |id| Some(core.why(id, &as_it_was)?.lines());
        let records = core.recorded_failures().into_iter().filter_map(of);
        stage.records.borrow_mut().extend(records);
        event_loop.stats()
    }
}
