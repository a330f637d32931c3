//! The loop inside an application's own tokio: spawned as any task, with no `block_on` of the library's.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use dotward::runtime::{Listener, Runtime};
use dotward::serve::Command;
use dotward::transports::tokio::Tokio;
use futures::future::{join, select};
use tokio::runtime::Builder;

use crate::serving::{answer_all, ask_udp, assert_answers, prepare};
use crate::support::codes::A;
use crate::support::messages::query;
use crate::upstream::Server;
use crate::world::{accept, loopback};

#[test]
fn an_application_spawns_the_loop() {
    let application = Builder::new_current_thread().enable_all().build().unwrap();
    let stats = application.block_on(async {
        let runtime = Tokio::default();
        let server = Server::new(&runtime, "tls");
        let (serving, at, control) = prepare(&runtime, &server);
        let serving = tokio::spawn(serving);
        let asked = query("embedded.test", A).id(1).build();
        let asking = async {
            let got = ask_udp(&runtime, at, std::slice::from_ref(&asked)).await;
            assert_answers(&got[0], &asked);
        };
        select(pin!(asking), pin!(answer_all(server))).await;
        control.send(Command::Drain);
        serving.await.expect("the task ends well")
    });
    assert_eq!((stats.queries, stats.answered), (1, 1));
}

#[test]
fn sockets_are_bound_before_any_reactor_and_say_so_without_one() {
    let runtime = Tokio::default();
    let mut listener = runtime.listen(loopback(), false).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let polled = listener.poll_accept(&mut cx);
    assert!(matches!(polled, Poll::Ready(Err(_))));
    // The same socket serves once there is one.
    let at = listener.local_addr().unwrap();
    runtime.block_on(async {
        let accepted = accept::<Tokio>(&mut listener);
        let (client, _) = join(runtime.connect(at), accepted).await;
        client.expect("a connection");
    });
}
