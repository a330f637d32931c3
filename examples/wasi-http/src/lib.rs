//! dotward's core as a component of the world `wasi:http/proxy`: it answers DNS over HTTPS (RFC 8484), and asks its resolver over the
//! same, through the host.
//!
//! `requests` is HTTP towards clients, `resolver` drives the core, `upstreams` is what it reaches: `https` and `exchange` by the host, with
//! the feature `dot` also by TLS over sockets. The component lives as long as the host wants: everything is kept between requests.

mod exchange;
#[path = "../../forwarding/mod.rs"]
mod forwarding;
mod https;
mod log_lines;
#[cfg(not(feature = "dot"))]
#[path = "../../../transports/wasi/reactor.rs"]
mod reactor;
mod requests;
mod resolver;
mod settings;
mod upstreams;

#[cfg(feature = "dot")]
use dotward::transports::wasi as reactor;
use requests::{Answer, Refusal, message_of, respond};
use resolver::Resolver;
use std::cell::RefCell;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

thread_local! {
    /// What requests to one instance share, one after the other.
    static RESOLVER: RefCell<Option<Resolver>> = const { RefCell::new(None) };
}

struct Component;

wasip2::http::proxy::export!(Component);

impl Guest for Component {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let answer = message_of(&request).and_then(|message| answer(&message));
        respond(response_out, answer);
    }
}

fn answer(message: &[u8]) -> Result<Answer, Refusal> {
    RESOLVER.with_borrow_mut(|shared| {
        let resolver = match shared {
            Some(resolver) => resolver,
            None => shared.insert(start()?),
        };
        let no_query = Refusal::new(400, "no DNS query");
        resolver.answer(message).ok_or(no_query)
    })
}

fn start() -> Result<Resolver, Refusal> {
    log_lines::start();
    Resolver::new().map_err(|why| {
        log::error!("{why}");
        Refusal::FAILED
    })
}
