//! DNS over HTTPS in and out through the host, and nothing between: what the component with the core is compared with. It takes requests,
//! sends queries and responds as that does, by the same code.

#[path = "../src/exchange.rs"]
mod exchange;
#[path = "../../../transports/wasi/reactor.rs"]
mod reactor;
#[path = "../src/requests.rs"]
mod requests;

use exchange::{Target, exchange};
use reactor::Reactor;
use requests::{Answer, Refusal, message_of, respond};
use std::time::Duration;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

struct Relay;

wasip2::http::proxy::export!(Relay);

impl Guest for Relay {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let answer = message_of(&request).and_then(|message| {
            let target = Target {
                encrypted: false,
                authority: std::env::var("RELAY_UPSTREAM").unwrap_or_default(),
                path: "/dns-query".to_owned(),
            };
            let reactor = Reactor::default();
            let sent = exchange(&reactor, &target, Duration::from_secs(8), &message);
            let message = reactor.block_on(sent).map_err(|why| {
                eprintln!("{why}");
                Refusal::FAILED
            })?;
            Ok(Answer {
                message,
                freshness: 0,
            })
        });
        respond(response_out, answer);
    }
}
