//! `dotward why`: what led to a failure of the running program, told and played again.

use super::{Stand, started};
use crate::simulator::replay::{File, play};
use crate::support::authority::{Leaf, TempDir};
use crate::support::client::UdpClient;
use crate::support::codes::{A, SERVFAIL};
use crate::support::messages::{address_or_error, edns_query, query};
use crate::support::script::{Conduct, Received, Step};
use crate::support::setup::Trust;
use crate::support::upstream::{Builder, DotServer};

/// The id in the text of an extended error.
fn id_in(reply: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(reply);
    let (_, after) = text.rsplit_once("(id ")?;
    Some(after.split_once(')')?.0.to_owned())
}

/// Asks for a name, which fails. Its record is told, written and played again to the same end. Gives what was told, and that end.
fn told(stand: &Stand, name: &str) -> (String, String) {
    let client = UdpClient::new(stand.address());
    let reply = client.ask(&edns_query(name, 7));
    let known = stand.json(&format!("explain {name}"));
    let first = known["recent_failures"].as_array().expect("a list").last();
    let noted = first.expect("a failure")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    if let Some(id) = id_in(&reply) {
        assert_eq!(id, noted);
    }
    let path = stand.files.path().join(format!("{noted}.jsonl"));
    let line = format!("why {noted} --output {}", path.display());
    let text = stand.text(&line);
    let record = std::fs::read_to_string(&path).expect("a record");
    assert!(!record.contains(name), "{record}");
    assert!(!record.contains(&client.port().to_string()), "{record}");
    assert_eq!(stand.json(&format!("why {noted}"))["record"], record);
    let file = File::read(&record).unwrap_or_else(|why| panic!("{why}: {record}"));
    assert_eq!(file.id, noted);
    let replayed = play(&file).expect("it can be played");
    assert!(
        replayed.is_same(),
        "{}, and not {}\n{record}{}",
        replayed.end,
        replayed.recorded,
        replayed.trace.join("\n")
    );
    (text, replayed.end)
}

fn scripted(script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> Stand {
    Stand::new(
        |upstream: Builder| upstream.script(script),
        &["--timeout", "1s"],
    )
}

// req 143, 144, 145
#[test]
fn each_failure_of_the_program_is_told_and_played_again() {
    let silent = scripted(|_| Vec::new());
    let (text, end) = told(&silent, "gone.test");
    assert!(end.ends_with("no answer in time (not_answered)"), "{end}");
    for part in ["connected", "and nothing comes", "what to do: "] {
        assert!(text.contains(part), "{part} in {text}");
    }

    let servfail = |asked: &Received| {
        vec![Step::Answer(
            address_or_error(&asked.bytes, SERVFAIL).build(),
        )]
    };
    let (text, end) = told(&scripted(servfail), "gone.test");
    assert_eq!(end, "SERVFAIL, EDE 0 (upstream_error)");
    assert!(text.contains("answers with SERVFAIL"), "{text}");

    let cut = |asked: &Received| {
        let whole = address_or_error(&asked.bytes, 0).build();
        vec![Step::Answer(whole[..whole.len() - 1].to_vec())]
    };
    let (text, end) = told(&scripted(cut), "gone.test");
    assert!(end.ends_with("malformed answer (malformed)"), "{end}");
    assert!(text.contains("a message that cannot be read"), "{text}");

    let (text, end) = told(&scripted(|_| vec![Step::Reset]), "gone.test");
    assert!(text.contains("lost with"), "{text}");
    assert!(end.contains("connection lost: "), "{end}");

    let plain = Stand::new(
        |upstream| upstream.conduct(|_| Conduct::Plaintext),
        &["--timeout", "1s"],
    );
    let (_, end) = told(&plain, "gone.test");
    assert!(
        end.contains("EDE 22") && end.ends_with("(not_connected)"),
        "{end}"
    );
}

// req 145
#[test]
fn a_refused_port_and_a_certificate_are_told_with_what_to_do() {
    let mut stand = Stand::new(|upstream| upstream, &["--timeout", "1s"]);
    stand.upstream.stop();
    let (text, end) = told(&stand, "gone.test");
    assert!(end.contains("connection refused"), "{end}");
    assert!(
        text.contains("what to do: see that the server runs"),
        "{text}"
    );

    let (trust, files) = (Trust::new(), TempDir::new());
    let upstream = DotServer::with(Leaf::unknown_authority()).start();
    let socket = files.path().join("control.sock");
    let proxy = started(&trust, &upstream, &socket, &["--timeout", "1s"]);
    let stand = Stand {
        proxy,
        upstream,
        socket,
        trust,
        files,
    };
    let (text, end) = told(&stand, "gone.test");
    assert!(end.contains("certificate"), "{end}");
    assert!(text.contains("what to do: "), "{text}");
}

// req 143, 146
#[test]
fn an_id_without_a_record_is_refused_and_without_records_there_is_none() {
    let stand = scripted(|_| Vec::new());
    let outcome = stand.run("why 1a2b");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("there is no record"), "{outcome:?}");
    let mut line = stand.connect();
    let code = line.refused(r#"{"version":1,"command":"why","id":"1a2b"}"#);
    assert_eq!(code, "unknown_id");
    assert_eq!(
        line.refused(r#"{"version":1,"command":"why"}"#),
        "bad_request"
    );

    let none = Stand::new(
        |upstream| upstream.script(|_| Vec::new()),
        &["--timeout", "1s", "--record-size", "0"],
    );
    let reply = UdpClient::new(none.address()).ask(&edns_query("gone.test", 7));
    let text = String::from_utf8_lossy(&reply);
    assert!(text.ends_with("no answer in time"), "{text}");
    assert!(none.json("explain gone.test")["recent_failures"][0]["id"].is_null());
}

// req 143
#[test]
fn failures_of_all_workers_are_found() {
    let stand = Stand::new(
        |upstream| upstream.script(|_| Vec::new()),
        &["--timeout", "1s", "--workers", "2"],
    );
    let clients: Vec<UdpClient> = (0..16).map(|_| UdpClient::new(stand.address())).collect();
    for (number, client) in clients.iter().enumerate() {
        client.send(&edns_query(&format!("gone{number}.test"), 7));
    }
    let mut ids = std::collections::BTreeSet::new();
    for client in &clients {
        let id = id_in(&client.receive()).expect("an id");
        let text = stand.text(&format!("why {id}"));
        assert!(text.contains("no answer in time"), "{text}");
        ids.insert(id);
    }
    assert_eq!(ids.len(), clients.len());
    UdpClient::new(stand.address()).send(&query("last.test", A).build());
}
