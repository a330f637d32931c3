//! Which name servers find the addresses of upstreams given by name when none is configured: those of this host.

use super::{Stand, effective, settings, sources};
use dotward::cli::{Settings, Sources};

/// A host whose `/etc/resolv.conf` has this text.
fn host(text: &str) -> Stand {
    let stand = Stand::new();
    std::fs::create_dir(stand.path("etc")).expect("a folder");
    stand.write("etc/resolv.conf", text);
    stand
}

fn on(stand: &Stand, line: &str) -> Sources {
    sources(line, &[]).with_root(stand.files.path())
}

fn error(stand: &Stand, line: &str) -> String {
    on(stand, line).read().unwrap_err().to_string()
}

fn found(settings: &Settings) -> Vec<String> {
    let servers = settings.config.bootstrap().iter();
    servers.map(ToString::to_string).collect()
}

const NAMED: &str = "serve --upstream tls://dns.test";

#[test]
fn the_name_servers_of_this_host_find_upstreams_unless_others_are_named() {
    let stand = host("nameserver 127.0.0.1\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n");
    let both = ["192.0.2.1:53", "[2001:db8::1]:53"];
    for (line, expected) in [
        (NAMED.to_owned(), &both[..]),
        (format!("{NAMED} --bootstrap system"), &both),
        (
            format!("{NAMED} --listen 127.0.0.1:5300"),
            &["127.0.0.1:53", "192.0.2.1:53", "[2001:db8::1]:53"],
        ),
        (
            format!("{NAMED} --bootstrap 192.0.2.9,system,192.0.2.1"),
            &["192.0.2.9:53", "192.0.2.1:53", "[2001:db8::1]:53"],
        ),
        (format!("{NAMED} --bootstrap 192.0.2.9"), &["192.0.2.9:53"]),
        // Others need none.
        ("serve --upstream quad9".to_owned(), &[]),
        ("serve --upstream 192.0.2.7#dns.test".to_owned(), &[]),
    ] {
        let settings = settings(&on(&stand, &line));
        assert_eq!(found(&settings), expected, "{line}");
        let says = settings.bootstrap_note().is_some();
        let from_host = expected.contains(&"[2001:db8::1]:53");
        assert_eq!(says, from_host, "{line}");
        let shown = settings.to_string().contains("(/etc/resolv.conf)");
        assert_eq!(shown, from_host, "{settings}");
    }
    let route = "[[route]]\ndomain = \"a.test\"\nupstreams = \"tls://dns.test\"";
    let file = stand.write("dotward.toml", route);
    let by_route = settings(&on(&stand, &format!("serve --config {file}")));
    assert_eq!(found(&by_route), both);
    assert_eq!(
        by_route.bootstrap_note().as_deref(),
        Some(
            "the addresses of upstreams given by name are asked for at 192.0.2.1:53, [2001:db8::1]:53, without encryption; /etc/resolv.conf names these servers (bootstrap)"
        )
    );
    let text = effective(&on(&stand, "config --upstream tls://dns.test"));
    assert!(
        text.contains("\nbootstrap = \"system\"  # default\n"),
        "{text}"
    );
}

// fault 51
#[test]
fn a_host_without_another_server_is_told_what_to_write() {
    let stand = host("nameserver 127.0.0.1\nnameserver ::1\n");
    let start = "--upstream \"tls://dns.test\": is a name, and finding its address takes a bootstrap resolver, but";
    let end = ": name one, or write IP#NAME (--bootstrap)";
    let itself = "/etc/resolv.conf names none but dotward itself (127.0.0.1:53, [::1]:53)";
    for line in [
        NAMED.to_owned(),
        format!("{NAMED} --listen 0.0.0.0 --listen ::"),
    ] {
        assert_eq!(error(&stand, &line), format!("{start} {itself}{end}"));
    }
    assert!(on(&stand, "serve --upstream quad9").read().is_ok());
    assert!(
        on(&stand, &format!("{NAMED} --bootstrap 192.0.2.1"))
            .read()
            .is_ok()
    );
    stand.write("etc/resolv.conf", "# nothing yet\n");
    let none = "/etc/resolv.conf names none";
    assert_eq!(error(&stand, NAMED), format!("{start} {none}{end}"));
    std::fs::remove_file(stand.path("etc/resolv.conf")).expect("a file");
    let absent = "/etc/resolv.conf cannot be read (No such file or directory (os error 2))";
    assert_eq!(error(&stand, NAMED), format!("{start} {absent}{end}"));
}

// fault 51: the stub of systemd-resolved may forward to dotward.
#[test]
fn behind_the_stub_of_systemd_resolved_its_own_servers_are_taken() {
    let stand = host("nameserver 127.0.0.53\noptions edns0 trust-ad\n");
    assert_eq!(found(&settings(&on(&stand, NAMED))), ["127.0.0.53:53"]);
    std::fs::create_dir_all(stand.path("run/systemd/resolve")).expect("a folder");
    stand.write(
        "run/systemd/resolve/resolv.conf",
        "nameserver 127.0.0.1\nnameserver 192.0.2.1\n",
    );
    let settings = settings(&on(&stand, NAMED));
    assert_eq!(found(&settings), ["192.0.2.1:53"]);
    let note = settings.bootstrap_note().expect("a line");
    assert!(
        note.contains("/run/systemd/resolve/resolv.conf names"),
        "{note}"
    );
    stand.write("run/systemd/resolve/resolv.conf", "nameserver 127.0.0.1\n");
    let error = error(&stand, NAMED);
    assert!(
        error.contains("/run/systemd/resolve/resolv.conf names none but dotward itself"),
        "{error}"
    );
}

#[test]
fn a_reload_reads_the_name_servers_again() {
    let stand = host("nameserver 192.0.2.1\n");
    let before = settings(&on(&stand, NAMED));
    stand.write("etc/resolv.conf", "nameserver 192.0.2.2\n");
    let after = before.reload().expect("valid settings");
    assert_eq!(
        (found(&before), found(&after)),
        (
            vec!["192.0.2.1:53".to_owned()],
            vec!["192.0.2.2:53".to_owned()]
        )
    );
    stand.write("etc/resolv.conf", "nameserver 127.0.0.1\n");
    let error = after.reload().unwrap_err().to_string();
    assert!(error.contains("names none but dotward itself"), "{error}");
}
