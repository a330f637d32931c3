use super::*;

fn read(format: Option<Format>, text: &str) -> Result<Page, String> {
    let draft = translate("their.conf", text.as_bytes(), format);
    draft.map(Page::from).map_err(|error| error.to_string())
}

fn page(text: &str) -> Page {
    read(None, text).unwrap()
}

#[test]
fn what_is_no_text_is_refused_with_its_line() {
    for (octets, expected) in [
        (&b""[..], "f: the file is empty"),
        (b" \n\t\n", "f: the file is empty"),
        (b"server:\n\xff\xfe", "f:2: this is not text (UTF-8)"),
        (
            b"server:\na\0b",
            "f:2: this is not text: it has an octet of 0",
        ),
    ] {
        let error = translate("f", octets, None).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let error = translate("a\nb", b"", None).unwrap_err();
    assert_eq!(error.to_string(), "a\u{fffd}b: the file is empty");
}

#[test]
fn a_file_without_servers_is_refused() {
    for (format, text, expected) in [
        (
            Format::Stubby,
            "upstream_recursive_servers: []\n",
            "their.conf: as a file of stubby it names no server",
        ),
        (
            Format::Resolved,
            "[Resolve]\nDNS=\n",
            "their.conf: as a file of systemd-resolved it names no server",
        ),
        (
            Format::CoreDns,
            ". {\n forward . /etc/resolv.conf\n}\n",
            "their.conf:2: the server /etc/resolv.conf is left out: the servers of another file",
        ),
        (
            Format::DnscryptProxy,
            "server_names = ['nobody']\n",
            "their.conf:1: the server nobody is left out: its address stands in a list",
        ),
    ] {
        let error = read(Some(format), text).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_text_cannot_leave_its_comment_or_its_string() {
    let text = "server_names = ['a']\nblocked_x = \"\\nlisten = []\\n\"\n[static.a]\nstamp = 'sdns://AgcAAAAAAAAABzEuMC4wLjEAEmRucy5jbG91ZGZsYXJlLmNvbQovZG5zLXF1ZXJ5'\n";
    let page = page(text);
    assert!(
        !page.text().lines().any(|line| line.starts_with("listen")),
        "{}",
        page.text()
    );
    assert!(page.remarks().iter().all(|remark| !remark.contains('\n')));
}

#[test]
fn what_dotward_refuses_becomes_a_comment() {
    let mut page = page(
        "forward-zone:\n name: .\n forward-tls-upstream: yes\n forward-addr: 192.0.2.1#a.test\n forward-addr: 192.0.2.2#a.test\nforward-zone:\n name: corp.test\n forward-addr: 192.0.2.3\n",
    );
    let line_of = |page: &Page, part: &str| {
        let text = page.text();
        text.lines()
            .position(|line| !line.trim_start().starts_with('#') && line.contains(part))
            .map(|at| at + 1)
    };
    let line = line_of(&page, "192.0.2.1").unwrap();
    assert!(page.refuse(line, "it is wrong"));
    assert_eq!(line_of(&page, "192.0.2.1"), None);
    assert!(page.has_upstreams());
    let line = line_of(&page, "192.0.2.3").unwrap();
    assert!(page.refuse(line, "it is wrong"));
    // Its names are not forwarded to others instead.
    assert!(
        page.text()
            .contains("\ndomain = \"corp.test\"\nto = \"refuse\"\n"),
        "{}",
        page.text()
    );
    let line = line_of(&page, "192.0.2.2").unwrap();
    assert!(page.refuse(line, "it is wrong"));
    assert!(!page.has_upstreams());
    assert!(!page.refuse(1, "it is wrong") && !page.refuse(9999, "it is wrong"));
    assert!(page.remarks().iter().any(|remark| remark
        == "their.conf:4: what comes of this is a comment, since dotward refuses it: it is wrong"));
}

#[test]
fn names_that_their_program_resolved_itself_go_to_nobody() {
    let page = page("forward-zone:\n name: corp.test\n forward-addr: 192.0.2.3\n");
    assert!(
        page.text().contains("\ndomain = \".\"\nto = \"refuse\"\n"),
        "{}",
        page.text()
    );
    assert!(
        page.remarks()
            .iter()
            .any(|remark| remark.contains("no server is named for all other names"))
    );
}
