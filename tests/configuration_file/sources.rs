//! Which file is read, when, and what takes precedence over it.

use super::{Stand, settings, sources};
use crate::support::command::{command, run};
use dotward::config::Upstream;
use std::path::PathBuf;

#[test]
fn an_option_takes_precedence_over_its_variable_and_both_over_the_file() {
    let stand = Stand::new();
    let file = "timeout = 10\nupstream = [\"quad9\", \"google\"]\nhedge = true";
    let variable = [("DOTWARD_TIMEOUT", "20s")];
    let seconds = |arguments, variables| {
        stand
            .read(file, arguments, variables)
            .config
            .timeout()
            .as_secs()
    };
    assert_eq!(seconds("", &[]), 10);
    assert_eq!(seconds("", &variable), 20);
    assert_eq!(seconds("--timeout 30", &variable), 30);
    let read = stand.read(file, "--upstream cloudflare --hedge=false", &[]);
    let labels: Vec<&str> = read
        .config
        .upstreams()
        .iter()
        .map(Upstream::label)
        .collect();
    assert_eq!(
        (&labels[..], read.config.hedge()),
        (&["cloudflare"][..], false)
    );
    // A remedy is named where the user would look for it.
    let error = sources("check --min-ttl 2m", &[("DOTWARD_MAX_TTL", "60s")])
        .read()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "--min-ttl \"2m\": is more than the maximum, which is 60s (DOTWARD_MAX_TTL)"
    );
}

#[test]
fn a_permission_that_an_option_or_a_variable_takes_back_is_named() {
    let stand = Stand::new();
    let text = "upstream = \"tcp://192.0.2.1\"\nallow-plaintext = true";
    let file = stand.write("dotward.toml", text);
    let route =
        "allow-plaintext = true\n[[route]]\ndomain = \"a.test\"\nupstreams = \"tcp://192.0.2.1\"";
    let with_route = stand.write("route.toml", route);
    for (file, place) in [(&file, "1:12: upstream"), (&with_route, "4:13: upstreams")] {
        let line = format!("check --config {file}");
        assert!(sources(&line, &[]).read().is_ok(), "{line}");
        let by_variable = [("DOTWARD_ALLOW_PLAINTEXT", "no")];
        for (line, variables, source) in [
            (
                format!("{line} --allow-plaintext=false"),
                &[][..],
                "--allow-plaintext",
            ),
            (line, &by_variable, "DOTWARD_ALLOW_PLAINTEXT"),
        ] {
            let error = sources(&line, variables).read().unwrap_err().to_string();
            let expected = format!(
                "{file}:{place} \"tcp://192.0.2.1\": is not encrypted, so everybody on the way can read the queries; this must be permitted, and {source} is false"
            );
            assert_eq!(error, expected);
        }
    }
}

#[test]
fn the_first_usual_file_counts_unless_another_is_named() {
    let stand = Stand::new();
    let own = stand.write("own.toml", "workers = 2");
    let system = stand.write("system.toml", "workers = 3");
    let named = stand.write("named.toml", "workers = 4");
    let absent = stand.path("absent.toml").display().to_string();
    let workers = |line: &str, variables: &[(&str, &str)], usual: &[&str]| {
        let usual = usual.iter().map(PathBuf::from);
        let settings = settings(&sources(line, variables).with_usual_files(usual));
        (settings.config.workers().get(), settings.file)
    };
    for (line, variables, usual, count, file) in [
        ("serve", &[][..], &[&own, &system][..], 2, Some(&own)),
        ("serve", &[], &[&absent, &system], 3, Some(&system)),
        ("serve", &[], &[&absent], 1, None),
        ("serve --config none", &[], &[&own], 1, None),
        ("serve", &[("DOTWARD_CONFIG", "none")], &[&own], 1, None),
        (
            "serve",
            &[("DOTWARD_CONFIG", &named)],
            &[&own],
            4,
            Some(&named),
        ),
        (
            &format!("serve --config {system}"),
            &[("DOTWARD_CONFIG", &named)],
            &[&own],
            3,
            Some(&system),
        ),
    ] {
        let usual: Vec<&str> = usual.iter().map(|file| file.as_str()).collect();
        assert_eq!(
            workers(line, variables, &usual),
            (count, file.cloned()),
            "{line} {variables:?}"
        );
    }
    // One that is there and cannot be read is not passed over: it may forbid something.
    let folder = stand.files.path().to_owned();
    let error = sources("serve", &[])
        .with_usual_files([folder.clone()])
        .read()
        .unwrap_err();
    let expected = format!(
        "{}: Is a directory (os error 21); --config none starts without it",
        folder.display()
    );
    assert_eq!(error.to_string(), expected);
}

#[cfg(unix)]
#[test]
fn the_program_looks_in_the_folder_of_the_user_but_not_for_root() {
    use std::os::unix::fs::MetadataExt as _;
    let stand = Stand::new();
    std::fs::create_dir(stand.path("dotward")).expect("a folder");
    let own = stand.write("dotward/dotward.toml", "lisen = 1");
    let is_root = std::fs::metadata(&own).expect("a file").uid() == 0;
    let mut command = command(&["check"]);
    command.env_remove("DOTWARD_CONFIG");
    command.env("XDG_CONFIG_HOME", stand.files.path());
    let outcome = run(command);
    let error = format!("{own}:1:1: there is no key \"lisen\"");
    assert_eq!(outcome.stderr.contains(&error), !is_root, "{outcome:?}");
    // What comes of it for root depends on the file of the system.
    assert!(is_root || outcome.code == Some(2), "{outcome:?}");
}

#[test]
fn settings_are_read_again_from_the_same_sources() {
    let stand = Stand::new();
    let hosts = stand.write("hosts", "192.0.2.1 a.test\n");
    let before = stand.read(
        &format!("workers = 2\nhosts-file = {hosts:?}"),
        "--timeout 9",
        &[("DOTWARD_LOG", "debug")],
    );
    assert_eq!(
        (before.config.workers().get(), before.config.hosts().len()),
        (2, 1)
    );

    stand.write(
        "dotward.toml",
        &format!("workers = 3\ntimeout = 1\nhosts-file = {hosts:?}"),
    );
    stand.write("hosts", "192.0.2.1 a.test b.test\n");
    let after = before.reload().expect("a valid file");
    assert_eq!(
        (after.config.workers().get(), after.config.hosts().len()),
        (3, 2)
    );
    assert_eq!(
        after.config.timeout().as_secs(),
        9,
        "an option still takes precedence"
    );
    assert_eq!(after.log, before.log);
    assert_eq!(before.config.workers().get(), 2);

    stand.write("dotward.toml", "workers = 0");
    let error = after.reload().unwrap_err().to_string();
    assert!(
        error.ends_with(":1:11: workers \"0\": is not a number from 1 to 64"),
        "{error}"
    );
    std::fs::remove_file(stand.path("dotward.toml")).expect("a file");
    let error = after.reload().unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
    let text = stand.write("dotward.toml", "");
    assert_eq!(after.reload().expect("a valid file").file, Some(text));
}
