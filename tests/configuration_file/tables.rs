//! Routes and hosts, which only a file can say.

use super::{ALL, Stand, settings, sources};
use crate::support::authority::Authority;
use dotward::config::{Target, Upstream};

#[test]
fn routes_and_hosts_arrive() {
    let stand = Stand::new();
    let hosts = stand.write("hosts", "192.0.2.1 nas.home.arpa other\n192.0.2.2 other\n");
    let read = stand.read(ALL, &format!("--hosts-file {hosts}"), &[]);
    let targets: Vec<String> = read
        .config
        .routes()
        .iter()
        .map(|route| match route.target() {
            Target::Upstreams { upstreams, policy } => {
                let labels: Vec<&str> = upstreams.iter().map(Upstream::label).collect();
                format!("{} {policy}", labels.join(" "))
            }
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        targets,
        [
            "tcp://192.0.2.9 quad9 fastest",
            "NxDomain",
            "google failover"
        ]
    );
    let hosts: Vec<(String, Vec<String>)> = read
        .config
        .hosts()
        .iter()
        .map(|(name, addresses)| (name, addresses.map(|one| one.to_string()).collect()))
        .collect();
    let expected = [
        ("nas.home.arpa", &["192.168.1.10"][..]),
        ("b.home.arpa", &["192.168.1.11", "fd00::10"]),
        ("other", &["192.0.2.1", "192.0.2.2"]),
    ];
    let expected = expected.map(|(name, all)| {
        (
            name.to_owned(),
            all.iter().map(|one| (*one).to_owned()).collect(),
        )
    });
    assert_eq!(hosts, expected);
}

#[test]
fn what_has_no_effect_in_a_file_is_said_with_its_place() {
    let stand = Stand::new();
    let text = r#"
tcp-idle = 5
bootstrap = "192.0.2.53"

[[route]]
domain = "a.test"
upstreams = "quad9"
policy = "fastest"
allow-plaintext = true

[hosts]
listen = "192.0.2.1"
"#;
    let file = stand.write("dotward.toml", text);
    let warnings = settings(&sources(&format!("udp --config {file}"), &[])).warnings;
    let warnings: Vec<String> = warnings
        .iter()
        .map(|line| line.replace(&file, "FILE"))
        .collect();
    assert_eq!(
        warnings,
        [
            "FILE:3:13: bootstrap has no effect: no upstream is given by name",
            "FILE:2:12: tcp-idle has no effect: clients are served over UDP only",
            "FILE:8:10: policy has no effect: there is one upstream to choose from",
            "FILE:9:19: allow-plaintext has no effect: every upstream of this route is encrypted",
            "FILE:12:1: \"listen\" is taken for the name of a host, because it stands below [hosts]; a key stands above the first [table]",
        ]
    );
    // What concerns an upstream of a route has an effect.
    let named = "bootstrap = \"192.0.2.53\"\n[[route]]\ndomain = \"a.test\"\nupstreams = \"tls://dns.test\"";
    assert_eq!(stand.read(named, "", &[]).warnings, [""; 0]);
    let twice = "[[route]]\ndomain = \"a.test\"\nto = \"local\"\n[[route]]\ndomain = \"A.test.\"\nto = \"refuse\"";
    let file = stand.write("dotward.toml", twice);
    if let Err(error) = sources(&format!("check --config {file}"), &[]).read() {
        let error = error.to_string().replace(&file, "FILE");
        assert_eq!(
            error,
            "FILE:5:10: route \"a.test\": is given twice, first in line 2"
        );
    }
}

#[test]
fn the_parameters_of_an_upstream_are_keys_of_its_table() {
    let stand = Stand::new();
    let client = Authority::new().client_leaf();
    let both = client.pem() + &client.key_pem();
    let pem = stand.write("client.pem", &both);
    let odd = stand.write("a&b #1?,%.pem", &both);
    let pins = [
        "MK3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ];
    let table = format!(
        "[[upstream]]\naddress = \"192.0.2.1#a.test\"\npin-sha256 = {pins:?}\nclient-certificate = \"{pem}\"\n\
         socks5 = \"127.0.0.1\"\nisolate = true\n\
         [[upstream]]\naddress = \"192.0.2.2\"\nprofile = \"opportunistic\"\nearly-data = true"
    );
    let [one, other] = pins;
    let text = format!(
        "upstream = [\"192.0.2.1#a.test?pin-sha256={other}&client-certificate={pem}&pin-sha256={one}\
         &socks5=127.0.0.1:1080&isolate=true\", \
         \"192.0.2.2?profile=opportunistic&early-data=true\"]"
    );
    let upstreams = |text: &str| stand.read(text, "", &[]).config.upstreams().to_vec();
    let read = upstreams(&table);
    assert_eq!(read, upstreams(&text));
    assert_eq!(read, upstreams(&stand.effective(&table, "", &[])));
    let certificate = read[0].client_certificate().expect("the file was read");
    assert_eq!(certificate.key(), both.as_bytes());
    assert_eq!(read[0].label(), "192.0.2.1#a.test");
    // A value is any text: in a table nothing has to be kept apart.
    let table = format!(
        "upstream = {{ address = \"192.0.2.1#a.test?profile=strict\", client-certificate = {odd:?} }}"
    );
    let read = upstreams(&table);
    assert_eq!(read[0].client_files(), Some((&*odd, &*odd)));
    assert_eq!(read[0].label(), "192.0.2.1#a.test");
    assert_eq!(read, upstreams(&stand.effective(&table, "", &[])));
}
