//! Loops and threads: a worker has a loop of its own, and a control thread wakes it.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::mpsc;
use std::thread;

use futures::channel::oneshot;
use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{World, pair};

pub async fn another_thread_wakes_the_loop<R: World>(_runtime: R) {
    let (wake, mut woken) = oneshot::channel();
    let (wait, waits) = mpsc::channel();
    let other = thread::spawn(move || {
        // Not before the loop waits.
        waits.recv().expect("the loop waits");
        wake.send(7).expect("it waits still");
    });
    let mut told = false;
    let got = poll_fn(|cx| {
        let polled = Pin::new(&mut woken).poll(cx);
        if polled.is_pending() && !mem::replace(&mut told, true) {
            wait.send(()).expect("the thread waits");
        }
        polled
    });
    assert_eq!(got.await, Ok(7));
    other.join().expect("the thread ends");
}

pub async fn loops_run_side_by_side<R: World>(_runtime: R) {
    let one_loop = || {
        let runtime = R::default();
        runtime.block_on(async {
            let (mut client, mut server) = pair(&runtime).await;
            let mut heard = [0; 4];
            for _ in 0..100 {
                client.write_all(b"ping").await.unwrap();
                server.read_exact(&mut heard).await.unwrap();
                server.write_all(b"pong").await.unwrap();
                client.read_exact(&mut heard).await.unwrap();
            }
            heard
        })
    };
    // They must not wait for each other, nor for this thread, which waits for them.
    let heard: Vec<[u8; 4]> = thread::scope(|scope| {
        let loops = [scope.spawn(one_loop), scope.spawn(one_loop)];
        loops.map(|one| one.join().expect("a loop ends")).into()
    });
    assert_eq!(heard, [*b"pong", *b"pong"]);
}
