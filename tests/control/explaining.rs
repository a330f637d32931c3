//! `dotward explain`: what is known about a question, and what comes of asking it.

use std::time::Instant;

use serde_json::Value;

use super::{Stand, started};
use crate::support::authority::TempDir;
use crate::support::checks::canary;
use crate::support::client::UdpClient;
use crate::support::codes::A;
use crate::support::journal::DEADLINE;
use crate::support::messages::{address_or_error, query};
use crate::support::script::{Gate, Received, Step, right_answer};
use crate::support::setup::Trust;
use crate::support::upstream::DotServer;

// req 124
#[test]
fn a_cached_name_is_told_with_its_age_and_answered_from_the_cache() {
    let stand = Stand::answering();
    let label = stand.json("status")["upstreams"][0]["label"].clone();
    let first = stand.json("explain a.test");
    assert_eq!(
        first["question"],
        serde_json::json!({"name": "a.test.", "type": "A", "class": "IN"})
    );
    assert_eq!(first["cache"], serde_json::json!([]), "{first}");
    assert_eq!(first["route"]["action"], "forward");
    assert_eq!(first["route"]["upstreams"][0]["label"], label);
    let asked = &first["asked"];
    assert_eq!(
        (&asked["source"], &asked["rcode"]),
        (&"upstream".into(), &"NOERROR".into()),
        "{first}"
    );
    assert_eq!(
        (&asked["answers"], &asked["sent"]),
        (&1.into(), &1.into()),
        "{first}"
    );
    let by = asked["answered_by"].as_str().expect("an upstream");
    assert!(by.starts_with(label.as_str().expect("a text")), "{by}");
    assert!(asked["round_trip_ms"].as_f64() > Some(0.0), "{first}");
    canary(stand.address(), "a.test");
    let second = stand.json("explain A.TEST");
    let entry = &second["cache"][0];
    assert_eq!(
        (&entry["state"], &entry["rcode"]),
        (&"fresh".into(), &"NOERROR".into()),
        "{second}"
    );
    assert_eq!(entry["asked_with"], serde_json::json!(["rd"]));
    assert!(entry["remaining_seconds"].as_f64() > Some(1.0), "{second}");
    assert_eq!(second["asked"]["source"], "cache", "{second}");
    let connection = &second["route"]["upstreams"][0]["connections"][0];
    assert_eq!(
        (&connection["state"], &connection["in_flight"]),
        (&"up".into(), &0.into()),
        "{second}"
    );
    assert_eq!(connection["address"], stand.upstream.address().to_string());
    let text = stand.text("explain a.test");
    for part in ["question   a.test. A IN\n", "from the cache", "fresh for "] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(
        stand.upstream.seen().queries.len(),
        1,
        "all of it cost one query"
    );
}

// req 124
#[test]
fn a_query_in_flight_is_told_with_its_attempts_and_joined() {
    let gate = Gate::new();
    let held = gate.clone();
    let stand = Stand::new(
        move |upstream| {
            upstream.script(move |asked| {
                vec![
                    Step::HoldUntil(held.clone()),
                    Step::Answer(right_answer(asked)),
                ]
            })
        },
        &["--timeout", "30s"],
    );
    let client = UdpClient::new(stand.address());
    client.send(&query("slow.test", A).flags(0x0120).build());
    stand
        .upstream
        .wait("the query", |seen| seen.queries.len() == 1);
    let explained = std::thread::scope(|scope| {
        let explaining = scope.spawn(|| stand.json("explain slow.test"));
        // The program asks it too, and joins the client's.
        let since = Instant::now();
        while stand.json("status")["clients"]["queries"] != 2 {
            assert!(since.elapsed() < DEADLINE, "it is not asked");
            std::thread::yield_now();
        }
        gate.open();
        explaining.join().expect("explained")
    });
    let [in_flight] = &explained["in_flight"].as_array().expect("a list")[..] else {
        panic!("{explained}");
    };
    assert_eq!(
        (&in_flight["sent"], &in_flight["clients"]),
        (&1.into(), &1.into()),
        "{explained}"
    );
    assert_eq!(in_flight["waits_for"], "response");
    assert_eq!(
        in_flight["attempts"][0]["address"],
        stand.upstream.address().to_string()
    );
    assert_eq!(explained["asked"]["joined"], true, "{explained}");
    assert_eq!(explained["asked"]["rcode"], "NOERROR");
    assert!(explained["asked"]["answered_by"].is_string(), "{explained}");
    client.receive();
    assert_eq!(stand.upstream.seen().queries.len(), 1);
}

// req 153, fault 180
#[test]
fn it_asks_with_the_flags_that_clients_have_asked_with() {
    const RD_AD: u16 = 0x0120;
    const RD_CD: u16 = 0x0110;
    let stand = Stand::answering();
    let client = UdpClient::new(stand.address());
    client.ask(&query("a.test", A).flags(RD_AD).edns(1232, 0, &[]).build());
    client.ask(&query("b.test", A).flags(RD_CD).build());
    for (name, with) in [("a.test", &["rd", "ad"]), ("b.test", &["rd", "cd"])] {
        let explained = stand.json(&format!("explain {name}"));
        let entry = &explained["cache"][0];
        assert_eq!(entry["state"], "fresh", "{explained}");
        assert_eq!(entry["asked_with"], serde_json::json!(with));
        assert_eq!(explained["asked"]["source"], "cache", "{explained}");
    }
    assert_eq!(stand.upstream.seen().queries.len(), 2);
}

fn failures(of: &Value) -> &[Value] {
    of["recent_failures"].as_array().expect("a list")
}

// req 124
#[test]
fn a_name_that_failed_is_told_with_the_reason() {
    let stand = Stand::new(
        |upstream| upstream.script(|_| Vec::new()),
        &["--timeout", "2s"],
    );
    let client = UdpClient::new(stand.address());
    client.ask(&query("gone.test", A).build());
    let explained = stand.json("explain gone.test AAAA");
    let [failure] = failures(&explained) else {
        panic!("{explained}");
    };
    assert_eq!(
        (&failure["type"], &failure["rcode"]),
        (&"A".into(), &"SERVFAIL".into()),
        "{explained}"
    );
    assert_eq!(
        failure["extended_error"]["name"], "Network Error",
        "{explained}"
    );
    let text = failure["extended_error"]["text"].as_str().expect("a text");
    let id = failure["id"].as_str().expect("an id");
    let told = format!(": no answer in time (id {id})");
    assert!(text.ends_with(&told), "{text}");
    let asked = &explained["asked"];
    assert_eq!(
        (&asked["rcode"], &asked["source"]),
        (&"SERVFAIL".into(), &"upstream".into()),
        "{explained}"
    );
    assert!(asked["answered_by"].is_null(), "{explained}");
    assert_eq!(
        asked["extended_errors"][0]["name"], "Network Error",
        "{explained}"
    );
    let again = stand.json("explain gone.test");
    assert_eq!(
        failures(&again).len(),
        2,
        "what was asked counts, too: {again}"
    );
    assert!(failures(&stand.json("explain other.test")).is_empty());
    let text = stand.text("explain gone.test");
    assert!(text.contains("23 Network Error: "), "{text}");
}

// req 124
#[test]
fn an_upstream_that_refuses_is_a_failure_of_the_name() {
    let servfail = |asked: &Received| {
        let answer = address_or_error(&asked.bytes, 2).build();
        vec![Step::Answer(answer)]
    };
    let stand = Stand::new(move |upstream| upstream.script(servfail), &[]);
    UdpClient::new(stand.address()).ask(&query("bad.test", A).build());
    let explained = stand.json("explain bad.test");
    assert_eq!(failures(&explained)[0]["rcode"], "SERVFAIL", "{explained}");
    assert!(
        failures(&explained)[0]["sent"].as_u64() >= Some(1),
        "{explained}"
    );
    let upstreams = failures(&explained)[0]["asked_upstreams"].as_array();
    assert_eq!(upstreams.map(Vec::len), Some(1), "{explained}");
}

// req 124
#[test]
fn routes_and_names_that_are_answered_here_are_told() {
    let (trust, files) = (Trust::new(), TempDir::new());
    let upstream = DotServer::with(trust.authority.good()).start();
    let file = files.path().join("dotward.toml");
    let text = "[[route]]\ndomain = \"ads.test\"\nto = \"nxdomain\"\n[hosts]\n\"nas.home.arpa\" = \"192.0.2.7\"\n";
    std::fs::write(&file, text).expect("a file");
    let socket = files.path().join("control.sock");
    let file = file.display().to_string();
    // Whoever controls the program may ask, whatever the access list says.
    let more = ["--config", &file, "--allow-net", "192.0.2.0/24"];
    let proxy = started(&trust, &upstream, &socket, &more);
    let stand = Stand {
        proxy,
        upstream,
        socket,
        trust,
        files,
    };
    let ads = stand.json("explain x.ads.test");
    assert_eq!(
        (&ads["route"]["action"], &ads["route"]["domain"]),
        (&"nxdomain".into(), &"ads.test.".into()),
        "{ads}"
    );
    assert_eq!(
        (&ads["asked"]["rcode"], &ads["asked"]["source"]),
        (&"NXDOMAIN".into(), &"local".into()),
        "{ads}"
    );
    let nas = stand.json("explain nas.home.arpa");
    assert_eq!(
        (&nas["asked"]["answers"], &nas["asked"]["source"]),
        (&1.into(), &"local".into()),
        "{nas}"
    );
    assert!(stand.upstream.seen().queries.is_empty());
    let forwarded = stand.json("explain a.test");
    assert_eq!(forwarded["asked"]["rcode"], "NOERROR", "{forwarded}");
    let refused = UdpClient::new(stand.address()).ask(&query("a.test", A).build());
    assert_eq!(
        crate::support::checks::rcode_of(&refused),
        5,
        "clients are held to the list"
    );
    assert!(stand.files.path().exists());
}
