use super::*;
use crate::cli::{Command, parse};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// About the end of 2025.
const NOW: Duration = Duration::from_secs(1_767_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// A folder that goes with its test.
struct Stand(PathBuf);

impl Drop for Stand {
    fn drop(&mut self) {
        // What is left is in the folder for what is temporary.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Stand {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("dotward-certificate-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn order(&self, more: &str) -> Order {
        let line = format!("certificate --directory {} {more}", self.0.display());
        match parse(line.split_whitespace().map(OsString::from), []).unwrap() {
            Command::Certificate(order) => order,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn make(&self, more: &str) -> Result<String, String> {
        self.order(more).carry_out_at(NOW)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.0.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    }

    /// Reads the folder, and finds no other file than these.
    fn files(&self) -> Vec<String> {
        let all = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = all
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

const ALL: [&str; 6] = [AUTHORITY_KEY, AUTHORITY_DER, AUTHORITY, CHAIN, PROFILE, KEY];
const HOME: &str = "--name dns.home.example --address 192.168.1.1,fd00::1";

fn names(pem: &str) -> crate::transports::CertificateNames {
    crate::transports::CertificateNames::read(pem.as_bytes()).unwrap()
}

// req 116
#[test]
fn an_authority_and_a_certificate_are_made() {
    let stand = Stand::new();
    let told = stand.make(HOME).unwrap();
    assert!(told.starts_with("A new private authority was made: dotward authority "));
    let mut all = ALL;
    all.sort_unstable();
    assert_eq!(stand.files(), all);
    let modes = ALL.map(|name| stand.mode(name));
    assert_eq!(modes, [0o600, 0o644, 0o644, 0o644, 0o644, 0o600]);
    let server = names(&stand.read(CHAIN));
    for host in ["dns.home.example", "192.168.1.1", "fd00::1"] {
        assert!(server.covers(host), "{host}");
    }
    let days = (server.end().unwrap() - NOW.as_secs() + 3_600) / DAY.as_secs();
    assert_eq!(days, u64::from(DAYS));
    // The authority is the same in both forms.
    let key = authority::key(&stand.read(AUTHORITY_KEY)).unwrap();
    let authority = Authority::read(&stand.read(AUTHORITY), key).unwrap();
    assert_eq!(
        fs::read(stand.0.join(AUTHORITY_DER)).unwrap(),
        authority.der()
    );
}

// req 116
#[test]
fn a_renewal_is_by_the_same_authority_and_with_the_same_key() {
    let stand = Stand::new();
    stand.make(HOME).unwrap();
    let before = ALL.map(|name| fs::read(stand.0.join(name)).unwrap());
    let later = stand.order(HOME).carry_out_at(NOW + 30 * DAY).unwrap();
    assert!(later.starts_with("The private authority that was there has signed: "));
    let after = ALL.map(|name| fs::read(stand.0.join(name)).unwrap());
    let changed: Vec<&str> = (ALL.iter().zip(before.iter().zip(&after)))
        .filter(|(_, (before, after))| before != after)
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(changed, [CHAIN]);
    // Nobody takes the two for one.
    let again = stand.order(HOME).carry_out_at(NOW + 30 * DAY);
    again.unwrap();
    assert_ne!(stand.read(CHAIN).as_bytes(), after[3]);
}

// fault 140
#[test]
fn a_renewal_leaves_nothing_out_unless_it_is_forced() {
    let stand = Stand::new();
    stand.make(HOME).unwrap();
    let before = stand.read(CHAIN);
    let error = stand.make("--name dns.home.example").unwrap_err();
    assert!(error.contains("is for 192.168.1.1 as well"), "{error}");
    assert_eq!(stand.read(CHAIN), before);
    stand.make("--name dns.home.example --force").unwrap();
    assert_ne!(stand.read(CHAIN), before);
}

// req 116, fault 140
#[test]
fn an_authority_signs_for_what_it_was_made_for_alone() {
    let stand = Stand::new();
    stand.make(HOME).unwrap();
    let before = stand.read(CHAIN);
    for other in [
        "--name www.bank.example",
        "--name dns.home.example --address 192.168.1.2",
        "--name dns.home.example --address fd00::2",
        "--name dns.home.example,elsewhere.example",
    ] {
        let error = stand.make(other).unwrap_err();
        assert!(
            error.contains("ca.pem: this authority was made for other names"),
            "{error}"
        );
        assert!(error.contains("ca-key.pem for a new authority"), "{error}");
    }
    assert_eq!(stand.read(CHAIN), before);
    assert!(stand.make("--name dns.home.example --force").is_ok());
    assert!(stand.make("--name x.dns.home.example --force").is_ok());
    // One that was made without an address signs for none.
    let bare = Stand::new();
    bare.make("--name dns.home.example").unwrap();
    for address in ["192.168.1.1", "fd00::1"] {
        let more = format!("--name dns.home.example --address {address}");
        assert!(bare.make(&more).is_err(), "{address}");
    }
}

// fault 140
#[test]
fn what_something_else_has_made_is_kept_unless_it_is_forced() {
    for name in ALL {
        let stand = Stand::new();
        fs::create_dir_all(&stand.0).unwrap();
        fs::write(stand.0.join(name), "precious").unwrap();
        let error = stand.make(HOME).unwrap_err();
        let path = fs::canonicalize(&stand.0).unwrap().join(name);
        let expected = format!("{}: is there and was not made by dotward", path.display());
        assert!(error.starts_with(&expected), "{error}");
        assert!(
            error.ends_with("--directory, or replace it with --force"),
            "{error}"
        );
        assert_eq!(
            (stand.files(), stand.read(name)),
            (vec![name.to_owned()], "precious".to_owned())
        );
        stand.make(&format!("{HOME} --force")).unwrap();
        assert_eq!(stand.files().len(), ALL.len());
        assert!(
            !fs::read(stand.0.join(name))
                .unwrap()
                .starts_with(b"precious")
        );
    }
}

// fault 140
#[test]
fn files_that_do_not_belong_together_are_named_with_what_to_do() {
    let (stand, other) = (Stand::new(), Stand::new());
    stand.make(HOME).unwrap();
    other.make(HOME).unwrap();
    let key = |from: &Stand| fs::copy(from.0.join(AUTHORITY_KEY), stand.0.join(AUTHORITY_KEY));
    key(&other).unwrap();
    let error = stand.make(HOME).unwrap_err();
    assert!(
        error.contains("the key beside it is not the one of this authority"),
        "{error}"
    );
    fs::remove_file(stand.0.join(AUTHORITY_KEY)).unwrap();
    let error = stand.make(HOME).unwrap_err();
    assert!(
        error.contains("ca-key.pem: is not there, so that the authority of"),
        "{error}"
    );
    fs::rename(other.0.join(AUTHORITY_KEY), stand.0.join(AUTHORITY_KEY)).unwrap();
    fs::remove_file(stand.0.join(AUTHORITY)).unwrap();
    let error = stand.make(HOME).unwrap_err();
    assert!(
        error.contains("ca.pem: is not there, but its key is"),
        "{error}"
    );
    let folder = Path::new("/dev/null/folder");
    let error = Folder::open(folder, false).err().unwrap();
    assert!(error.starts_with("/dev/null/folder: "), "{error}");
}

// fault 140
#[test]
fn an_authority_that_ends_signs_nothing_that_lasts_longer() {
    let stand = Stand::new();
    stand.make(HOME).unwrap();
    let order = |days: u32| stand.order(&format!("{HOME} --days {days}"));
    let late = NOW + 3_600 * DAY;
    assert!(order(40).carry_out_at(late).is_ok());
    let error = order(60).carry_out_at(late).unwrap_err();
    assert!(
        error.contains("this authority ends before the certificate would"),
        "{error}"
    );
}

// req 116
#[test]
fn the_profile_has_the_authority_and_the_resolver() {
    let stand = Stand::new();
    stand.make(HOME).unwrap();
    let profile = stand.read(PROFILE);
    let der = fs::read(stand.0.join(AUTHORITY_DER)).unwrap();
    let base64 = data_encoding::BASE64.encode(&der);
    for part in [
        "<string>com.apple.security.root</string>",
        "<string>com.apple.dnsSettings.managed</string>",
        "<key>DNSProtocol</key><string>TLS</string>",
        "<key>ServerName</key><string>dns.home.example</string>",
        "<array><string>192.168.1.1</string><string>fd00::1</string></array>",
        &format!("<data>{base64}</data>"),
    ] {
        assert!(profile.contains(part), "{part}");
    }
    stand
        .make("--name dns.home.example --protocol https --force")
        .unwrap();
    let profile = stand.read(PROFILE);
    let server = "<key>ServerURL</key><string>https://dns.home.example/dns-query</string>";
    assert!(profile.contains("<string>HTTPS</string>") && profile.contains(server));
    assert!(!profile.contains("ServerAddresses"));
}

// fault 86
#[test]
fn wrong_options_are_named() {
    for (line, part) in [
        ("", "--name is missing"),
        ("--name a..b", r#"--name "a..b": "a..b" is not a host name"#),
        ("--name *.home.example", "is not a host name"),
        ("--name 192.0.2.1", "is an IP address: write --address"),
        ("--name com", "is a domain below which others have names"),
        (
            "--name localhost",
            "name this resolver in a domain of your own",
        ),
        (
            "--name a.test --address here",
            r#"--address "here": is not an IP address"#,
        ),
        (
            "--name a.test --address fe80::1%eth0",
            "write fe80::1, without the interface",
        ),
        (
            "--name a.test --address 0.0.0.0",
            "is not the address of one host",
        ),
        (
            "--name a.test --days 399",
            r#"--days "399": is not a number of days from 1 to 398"#,
        ),
        ("--name a.test --days 0", "from 1 to 398"),
        ("--name a.test --protocol quic", "is neither tls nor https"),
        ("--name a.test --directory=", "is empty"),
        ("--name a.test --xyzzy", "--xyzzy"),
    ] {
        let line = format!("certificate {line}");
        let error = parse(line.split_whitespace().map(OsString::from), []).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains(part) && !error.contains('\n'),
            "{line}: {error}"
        );
    }
}
