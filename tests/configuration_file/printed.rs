//! What `dotward config` prints, and the annotated file.

use super::{ALL, Stand, effective, keys, settings, sources, told, without_comments};
use dotward::config::{Domain, Route};
use std::path::Path;

/// The lines of the annotated file that begin so, without that.
fn annotated(start: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/dotward.toml");
    let text = std::fs::read_to_string(path).expect("the annotated file");
    let lines = text.lines().filter_map(|line| line.strip_prefix(start));
    lines
        .filter(|line| !line.is_empty())
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[test]
fn the_annotated_file_holds_every_key_with_its_default() {
    let stand = Stand::new();
    let built_in = settings(&sources("serve", &[]));
    let text = annotated("#");
    let set: String = text
        .lines()
        .filter(|line| !line.starts_with(' '))
        .flat_map(|line| [line, "\n"])
        .collect();
    // The default is the first runtime of this build.
    let set = set.replace("\"async-std\"", &format!("{:?}", built_in.runtime));
    let read = stand.read(&set, "", &[]);
    assert_eq!(told(&read), told(&built_in));
    let printed = stand.effective(&set, "", &[]);
    assert_eq!(
        without_comments(&printed),
        without_comments(&effective(&sources("config", &[])))
    );
    for key in keys() {
        let line = printed
            .lines()
            .find(|line| line.starts_with(&format!("{key} = ")));
        let line = line.unwrap_or_else(|| panic!("{key} is not there"));
        assert!(
            !line.ends_with("# default"),
            "{key} is not in the annotated file"
        );
    }
}

#[test]
fn the_examples_of_the_annotated_file_are_valid() {
    let stand = Stand::new();
    let read = stand.read(&annotated("#     "), "", &[]);
    assert_eq!(read.warnings, [""; 0]);
    let routes = read.config.routes();
    let domains: Vec<String> = routes
        .iter()
        .flat_map(Route::domains)
        .map(Domain::to_string)
        .collect();
    assert_eq!(domains, ["corp.example", "10.in-addr.arpa", "ads.example"]);
    assert_eq!(read.config.hosts().len(), 2);
}

#[test]
fn what_is_printed_makes_the_same_configuration() {
    let stand = Stand::new();
    let upstreams = "[[upstream]]\naddress = \"quad9\"\n[[upstream]]\naddress = \"tcp://192.0.2.1\"\nallow-plaintext = true";
    let odd = stand.path("a \"b\" \\ \t\u{e9}");
    std::fs::write(&odd, "192.0.2.1 nas\n").expect("a file");
    let hosts_file = odd.display().to_string();
    for (text, arguments, variables) in [
        ("", "", &[][..]),
        (ALL, "", &[]),
        (
            ALL,
            "--listen 192.0.2.77 --hedge=no --max-in-flight 007",
            &[("DOTWARD_TIMEOUT", "3")],
        ),
        (upstreams, "", &[]),
        ("", "", &[("DOTWARD_HOSTS_FILE", hosts_file.as_str())]),
        (
            "allow-net = \"localnets\"",
            "--upstream google,quad9",
            &[("DOTWARD_ROTATE", "ON")],
        ),
    ] {
        let first = stand.read(text, arguments, variables);
        let printed = stand.effective(text, arguments, variables);
        let again = stand.read(&printed, "", &[]);
        assert_eq!(told(&first), told(&again), "{printed}");
        assert_eq!(first.config.hosts(), again.config.hosts());
        let twice = stand.effective(&printed, "", &[]);
        assert_eq!(without_comments(&printed), without_comments(&twice));
    }
}

#[test]
fn each_value_is_printed_with_its_origin() {
    let stand = Stand::new();
    let text = stand.effective(ALL, "--workers 2", &[("DOTWARD_POLICY", "fastest")]);
    let file = stand.path("dotward.toml").display().to_string();
    let text = text.replace(&file, "FILE");
    for line in [
        "listen = [\"127.0.0.1:5300\", \"[::1]:5300\"]  # FILE:2",
        "upstream = [\"quad9\", { address = \"tcp://192.0.2.1\", allow-plaintext = true }]  # FILE:3",
        "policy = \"fastest\"  # variable DOTWARD_POLICY",
        "hedge = true  # FILE:7",
        "bootstrap = \"system\"  # FILE:4",
        "workers = 2  # flag --workers",
        "timeout = \"1.5\"  # FILE:5",
        "cache-size = \"4M\"  # default",
        "# FILE:9\n[[route]]\ndomain = \"corp.example\"",
        "upstreams = [\"tcp://192.0.2.9\", \"quad9\"]",
        "\"b.home.arpa\" = [\"192.168.1.11\", \"fd00::10\"]  # FILE:25",
    ] {
        assert!(
            text.contains(&format!("\n{line}\n")),
            "{line:?} is not in {text}"
        );
    }
}
