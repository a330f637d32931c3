//! Whether the program lives, and is ready.

use super::{Stand, admin_of, get};
use crate::support::authority::Leaf;
use crate::support::checks::canary;
use crate::support::codes::A;
use crate::support::journal::DEADLINE;
use crate::support::messages::query;
use crate::support::script::{Gate, gated};
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;
use std::time::Instant;

/// Asks for a page until it has this status.
fn wait(admin: std::net::SocketAddr, path: &str, status: u16) -> String {
    let since = Instant::now();
    loop {
        let reply = get(admin, path);
        if reply.status == status {
            return reply.body;
        }
        assert!(since.elapsed() < DEADLINE, "{path}: {reply:?}");
        std::thread::yield_now();
    }
}

#[test]
fn it_is_ready_once_an_upstream_was_verified_although_nobody_asks() {
    let trust = Trust::new();
    let mut upstream = DotServer::with(trust.authority.good()).stopped();
    let proxy = trust.proxy(&[&upstream.spec()], &["--admin", "127.0.0.1:0"]);
    let admin = admin_of(&proxy);
    let unready = get(admin, "/readyz");
    assert_eq!(unready.status, 503);
    let why = format!(
        "no upstream was connected to since the start ({}), and the cache is empty\n",
        upstream.spec()
    );
    assert_eq!(unready.body, why);
    assert_eq!(get(admin, "/livez").status, 200, "it lives all the same");
    upstream.start();
    assert_eq!(wait(admin, "/readyz", 200), "ok\n");
    let seen = upstream.wait("its handshake", |seen| seen.handshakes.len() == 1);
    assert!(seen.queries.is_empty());
    // It stays so: stale answers are served, and what fails shows in other metrics.
    upstream.stop();
    assert_eq!(get(admin, "/readyz").status, 200);
}

#[test]
fn an_upstream_that_is_not_verified_does_not_count() {
    let trust = Trust::new();
    let upstream = DotServer::with(Leaf::unknown_authority()).start();
    let proxy = trust.proxy(&[&upstream.spec()], &["--admin", "127.0.0.1:0"]);
    let admin = admin_of(&proxy);
    for _ in 0..3 {
        assert_eq!(get(admin, "/readyz").status, 503);
        upstream.wait("a try", |seen| !seen.hellos.is_empty());
    }
    let status = get(admin, "/api/status").body;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["ready"], false);
    assert_eq!(status["upstreams"][0]["was_connected"], false);
    let why = status["not_ready_because"].as_str().expect("a reason");
    assert!(why.starts_with("no upstream was connected to"), "{why}");
}

#[test]
fn it_is_not_ready_while_it_ends() {
    let gate = Gate::new();
    let stand = Stand::new(|upstream| upstream.script(gated(&gate, "slow")), &[]);
    canary(stand.address(), "a.test");
    let client = crate::support::client::UdpClient::new(stand.address());
    client.send(&query("slow.test", A).build());
    stand.upstreams[0].wait("it", |seen| seen.queries.len() == 2);
    assert_eq!(stand.get("/readyz").status, 200);
    stand.proxy.signal("TERM");
    assert_eq!(
        wait(stand.admin, "/readyz", 503),
        "the program is about to end\n"
    );
    assert_eq!(stand.get("/livez").status, 200);
    gate.open();
    client.receive();
}

#[cfg(feature = "async-std")]
#[test]
fn a_loop_that_hangs_or_has_ended_is_told() {
    use dotward::config::Upstream;
    use dotward::runtime::Runtime;
    use dotward::serve::{Command, Control};
    use dotward::transports::{Protocols, SCHEMES, async_std::AsyncStd};
    use dotward::{Config, Options, Sockets, serve};

    let upstream = Upstream::parse("127.0.0.1:1#u.test", SCHEMES).expect("an upstream");
    let listen = "127.0.0.1:0".parse().expect("an address");
    let config = Config::builder().listen([listen]).upstreams([upstream]);
    let config = config.build().expect("a configuration");
    let runtime = AsyncStd::default();
    let sockets = Sockets::bind(&runtime, &config).expect("sockets");
    let protocols = Protocols::new(&runtime, &config).expect("protocols");
    let control = Control::new();
    let options = Options::new(config).expect("options").control(&control);
    let serving = serve(runtime.clone(), protocols, sockets, options);

    let admin = dotward::admin::Admin::bind("127.0.0.1:0".parse().expect("an address"));
    let admin = admin.expect("a socket");
    let address = admin.address();
    admin.serve(&control, "async-std").expect("a thread");
    for path in ["/livez", "/readyz", "/metrics", "/api/status"] {
        let hangs = get(address, path);
        let told = (hangs.status, &*hangs.body);
        assert_eq!(told, (503, "an event loop does not go round\n"), "{path}");
    }
    control.send(Command::Stop);
    runtime.block_on(serving);
    let ended = get(address, "/livez");
    assert_eq!((ended.status, &*ended.body), (503, "no event loop runs\n"));
}

#[test]
fn the_status_tells_what_is_there() {
    let stand = Stand::new(|upstream| upstream, &["--max-in-flight", "77"]);
    canary(stand.address(), "a.test");
    canary(stand.address(), "a.test");
    let status = stand.get("/api/status").body;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["workers"], 1);
    assert!(status["uptime_seconds"].as_f64().expect("a number") >= 0.0);
    assert_eq!(
        (&status["ready"], status["not_ready_because"].is_null()),
        (&true.into(), true)
    );
    let upstream = &status["upstreams"][0];
    assert_eq!(upstream["label"], stand.upstreams[0].spec());
    assert_eq!(upstream["state"], "connected");
    assert_eq!(
        (&upstream["sent"], &upstream["answered"]),
        (&1.into(), &1.into())
    );
    assert!(upstream["round_trip_ms"].as_f64().expect("a time") > 0.0);
    assert!(
        upstream["certificate_seconds_left"]
            .as_u64()
            .expect("a time")
            > 0
    );
    assert_eq!(status["cache"]["entries"], 1);
    assert_eq!(status["cache"]["limit_bytes"], 4 << 20);
    assert_eq!(status["clients"]["queries"], 2);
    assert_eq!(status["clients"]["answered_from_cache"], 1);
    assert_eq!(status["bounds"]["in_flight"], 77);
}
