//! What `dotward query`, `dotward bench` and `dotward prove` are to do: of the settings only those count that say how upstreams are reached, so that nothing
//! of the daemon is read, checked or in the way.

use super::super::UsageError;
use super::super::file::Missing;
use super::super::given::Given;
use super::super::options::Options;
use super::super::origin::Origin;
use super::super::settings::Settings;
use super::super::sources::Sources;
use super::super::typed::Typed;
use super::super::units::duration;
use super::super::values::Values;
use super::super::words::number;
use super::Question;
pub use super::prove::Proving;
use crate::config::{Config, ConfigError, Domain, Modes, Route, Target, Upstream};
use domain::base::iana::Rtype;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The settings by which upstreams are chosen and reached.
const USED: [&str; 9] = [
    "config",
    "upstream",
    "allow_plaintext",
    "bootstrap",
    "ca_file",
    "padding",
    "timeout",
    "key_log",
    "runtime",
];
/// Where nothing is listened on, so that a dotward on this host may be asked.
const NOWHERE: &str = "127.0.0.1:0";
/// Queries to each resolver. More would be a load on somebody else's server.
const COUNTS: RangeInclusive<usize> = 1..=1000;
const COUNT: usize = 100;
const TIME: Duration = Duration::from_secs(10);
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);
/// As for a probe: signed with DNSSEC, and known to every resolver of the Internet (RFC 2606).
const NAME: &str = "example.com";

/// A question to be asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The name of the runtime.
    pub runtime: String,
    /// How upstreams are reached.
    pub config: Config,
    /// Who is asked, in the order of preference.
    pub upstreams: Vec<Upstream>,
    /// What is asked.
    pub question: Question,
    /// All of them are asked.
    pub all: bool,
    /// Signatures are asked for (the DO bit, RFC 3225).
    pub dnssec: bool,
    /// One JSON document is printed.
    pub json: bool,
}

/// A comparison of resolvers.
#[derive(Clone, Debug)]
pub struct Contest {
    /// The name of the runtime.
    pub runtime: String,
    /// How resolvers are reached.
    pub config: Config,
    /// Which are compared.
    pub upstreams: Vec<Upstream>,
    /// The name whose addresses they are asked for.
    pub name: Domain,
    /// Names outside of the domain of a route are not for them.
    pub is_confined: bool,
    /// How many queries each gets at most.
    pub count: usize,
    /// How long all of it takes at most.
    pub time: Duration,
    /// One JSON document is printed.
    pub json: bool,
}

impl Ask {
    /// Reads what was typed, and the settings.
    pub(in super::super) fn read(
        sources: &Sources,
        options: Options,
        typed: &Typed,
    ) -> Result<Self, UsageError> {
        let question = Question::read(typed)?;
        let servers = typed.list("--server").map(str::to_owned).collect();
        let given = sources.given(options)?;
        let Settings {
            runtime, config, ..
        } = settings(sources, given, servers, "--server")?;
        let upstreams = upstreams(&config, &question)?.to_vec();
        Ok(Self {
            runtime,
            config,
            upstreams,
            question,
            all: typed.has("--all"),
            dnssec: typed.has("--dnssec"),
            json: typed.has("--json"),
        })
    }
}

impl Contest {
    /// Reads what was typed, and the settings.
    pub(in super::super) fn read(
        sources: &Sources,
        options: Options,
        typed: &Typed,
    ) -> Result<Self, UsageError> {
        let wrong =
            |option: &str, text: &str, why: &str| UsageError(format!("{option} {text:?}: {why}"));
        let text = typed.one("--name").unwrap_or(NAME);
        let name: Domain = text
            .parse()
            .map_err(|error: ConfigError| wrong("--name", text, &error.reason))?;
        let question = Question {
            name: name.wire(),
            rtype: Rtype::A.to_int(),
        };
        let count = typed.one("--count").map_or(Ok(COUNT), |text| {
            number(text, &COUNTS).map_err(|why| wrong("--count", text, &why))
        })?;
        let time = typed.one("--time").map_or(Ok(TIME), |text| {
            let time = duration(text).map_err(|why| wrong("--time", text, &why))?;
            let fits = TIMES.contains(&time).then_some(time);
            fits.ok_or_else(|| wrong("--time", text, "is not from 1s to 10m"))
        })?;
        let words = typed.words().iter();
        let specs = words.flat_map(|word| word.split(',')).map(str::to_owned);
        let given = sources.given(options)?;
        let Settings {
            runtime, config, ..
        } = settings(sources, given, specs.collect(), "SPEC")?;
        let upstreams = upstreams(&config, &question)?.to_vec();
        Ok(Self {
            is_confined: upstreams != config.upstreams(),
            runtime,
            config,
            upstreams,
            name,
            count,
            time,
            json: typed.has("--json"),
        })
    }
}

/// The settings, with these servers in the place of the upstreams if there are any. They may be without encryption, as the user names them
/// here and now.
pub(super) fn settings(
    sources: &Sources,
    given: Given,
    servers: Vec<String>,
    option: &str,
) -> Result<Settings, UsageError> {
    let upstream = given.values("upstream").map(|values| &values.origin);
    let is_typed = upstream == Some(&Origin::Option);
    let mut given = given.reduced_to(&USED);
    let nowhere = Values::new([NOWHERE.to_owned()], &Origin::Default);
    given = given.with("listen", nowhere);
    if servers.is_empty() {
        return read(sources, &given);
    }
    if is_typed {
        let why = "say the same: leave one of them out";
        return Err(UsageError(format!("--upstream and {option} {why}")));
    }
    let mut values = Values::new(servers, &Origin::Option);
    for written in &mut values.texts {
        written.allow_plaintext = Some(true);
    }
    given = given.with("upstream", values);
    given.routes.clear();
    // As the user wrote it.
    read(sources, &given).map_err(|UsageError(text)| {
        let rest = text.strip_prefix("--upstream");
        UsageError(rest.map_or(text.clone(), |rest| format!("{option}{rest}")))
    })
}

fn read(sources: &Sources, given: &Given) -> Result<Settings, UsageError> {
    Settings::read(Modes::UdpAndTcp, given, sources, Missing::Ignore)
}

/// Who is asked: the upstreams of the route that the question takes, or else those of the configuration. Names for which there is a route
/// are not told to others.
pub(super) fn upstreams<'c>(
    config: &'c Config,
    question: &Question,
) -> Result<&'c [Upstream], UsageError> {
    let name = question.name.as_slice();
    let routed = match question.rtype {
        // The DS record of a domain belongs to the domain above (RFC 4035 section 3.1.4.1).
        rtype if rtype == Rtype::DS.to_int() => {
            let parent = name
                .split_first()
                .and_then(|(len, rest)| rest.get(usize::from(*len)..));
            parent.filter(|parent| !parent.is_empty()).unwrap_or(name)
        }
        _ => name,
    };
    let Some(route) = longest(config.routes(), routed) else {
        return Ok(config.upstreams());
    };
    match route.target() {
        Target::Upstreams { upstreams, .. } => Ok(upstreams),
        Target::Refuse | Target::NxDomain | Target::Local => {
            let domains: Vec<String> = route.domains().iter().map(ToString::to_string).collect();
            Err(UsageError(format!(
                "the route of {} forwards nothing, so that nobody is asked for this name; name a --server, or write --config none",
                domains.join(", ")
            )))
        }
    }
}

/// The route with the longest domain that a name is in.
fn longest<'c>(routes: &'c [Route], name: &[u8]) -> Option<&'c Route> {
    let name = name.to_ascii_lowercase();
    let mut suffix = name.as_slice();
    loop {
        let mut routes = routes.iter();
        let is_suffix = |route: &&Route| route.domains().iter().any(|it| it.wire() == suffix);
        if let Some(route) = routes.find(is_suffix) {
            return Some(route);
        }
        // Lengths are below the letters, so that lower case changes none of them.
        let (len, rest) = suffix.split_first()?;
        suffix = rest.get(usize::from(*len)..).filter(|_| *len > 0)?;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Command, Sources};
    use super::*;
    use std::ffi::OsString;

    fn read_with(file: &str, line: &str) -> Result<Command, UsageError> {
        let words = line.split_whitespace().map(OsString::from);
        let folder = std::env::temp_dir();
        let mut sources = Sources::new(words, []);
        let path = folder.join(format!("dotward-queries-{}.toml", std::process::id()));
        if !file.is_empty() {
            std::fs::write(&path, file).unwrap();
            sources = sources.with_usual_files([path.clone()]);
        }
        let read = sources.read();
        if !file.is_empty() {
            std::fs::remove_file(path).unwrap();
        }
        read
    }

    fn ask(line: &str) -> Ask {
        match read_with("", line).unwrap() {
            Command::Query(ask) => *ask,
            other => panic!("{line} asks nothing: {other:?}"),
        }
    }

    fn labels(upstreams: &[Upstream]) -> Vec<&str> {
        upstreams.iter().map(Upstream::label).collect()
    }

    // req 120
    #[test]
    fn servers_take_the_place_of_upstreams_and_only_there_encryption_may_lack() {
        let asked = ask("query a.test --server quad9,udp://127.0.0.1 --all --json");
        assert_eq!(labels(&asked.upstreams), ["quad9", "udp://127.0.0.1"]);
        assert!(asked.all && asked.json && !asked.dnssec);
        let bare = ask("query a.test --server 127.0.0.1 --dnssec");
        assert_eq!(bare.upstreams[0].scheme(), "tls");
        assert!(bare.dnssec);
        assert_eq!(labels(&ask("query a.test").upstreams), ["cloudflare"]);
        for (line, expected) in [
            (
                "query a.test --upstream udp://127.0.0.1",
                "is not encrypted",
            ),
            ("query a.test --server nobody", "--server \"nobody\": "),
            (
                "query a.test --server quad9 --upstream google",
                "--upstream and --server say the same",
            ),
            ("query a.test --serve quad9", "did you mean --server?"),
            ("bench nobody", "SPEC \"nobody\": "),
        ] {
            let error = read_with("", line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn what_concerns_only_the_daemon_is_not_read() {
        let line = "query a.test --listen-tls 192.0.2.1 --certificate /no/such --server quad9";
        let read = read_with("", line).map(|_| ());
        let has_listener = cfg!(feature = "listen-tls");
        assert!(read.is_ok() || !has_listener, "{read:?}");
    }

    #[test]
    fn a_comparison_is_bounded() {
        let contest = |line: &str| match read_with("", line) {
            Ok(Command::Bench(contest)) => Ok(*contest),
            Ok(other) => panic!("{line} compares nothing: {other:?}"),
            Err(error) => Err(error.to_string()),
        };
        let usual = contest("bench").unwrap();
        assert_eq!((usual.count, usual.time), (COUNT, TIME));
        assert_eq!(labels(&usual.upstreams), ["cloudflare"]);
        let given =
            contest("bench quad9 udp://127.0.0.1,google --count 7 --time 1.5s --name a.test");
        let given = given.unwrap();
        assert_eq!(
            labels(&given.upstreams),
            ["quad9", "udp://127.0.0.1", "google"]
        );
        assert_eq!((given.count, given.time.as_millis()), (7, 1500));
        assert_eq!(given.name.name(), "a.test");
        for (line, expected) in [
            (
                "bench --count 0",
                "--count \"0\": is not a number from 1 to 1000",
            ),
            ("bench --count 1001", "--count \"1001\": "),
            ("bench --time 11m", "--time \"11m\": is not from 1s to 10m"),
            ("bench --time soon", "--time \"soon\": is not a duration"),
            ("bench --name a..b", "--name \"a..b\": "),
        ] {
            let error = contest(line).unwrap_err();
            assert!(error.starts_with(expected), "{line}: {error}");
        }
    }

    #[test]
    fn a_route_says_who_is_asked() {
        let file = "upstream = \"quad9\"\n\
                    [[route]]\ndomain = \"corp.test\"\nupstreams = \"192.0.2.1#a.test\"\n\
                    [[route]]\ndomain = \"in.corp.test\"\nupstreams = \"192.0.2.2#b.test\"\n\
                    [[route]]\ndomain = \"no.test\"\nto = \"refuse\"\n";
        let asked = |line: &str| match read_with(file, line) {
            Ok(Command::Query(ask)) => Ok(labels(&ask.upstreams).join(" ")),
            Ok(other) => panic!("{line}: {other:?}"),
            Err(error) => Err(error.to_string()),
        };
        for (line, expected) in [
            ("query a.test", "quad9"),
            ("query ecorp.test", "quad9"),
            ("query A.Corp.TEST", "192.0.2.1#a.test"),
            ("query in.corp.test", "192.0.2.2#b.test"),
            ("query in.corp.test DS", "192.0.2.1#a.test"),
            ("query corp.test DS", "quad9"),
            ("query . DS", "quad9"),
            ("query no.test --server google", "google"),
        ] {
            assert_eq!(asked(line).as_deref(), Ok(expected), "{line}");
        }
        let error = asked("query a.no.test").unwrap_err();
        assert!(
            error.starts_with("the route of no.test forwards nothing"),
            "{error}"
        );
    }
}
