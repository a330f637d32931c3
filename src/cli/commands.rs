//! The commands as typed.

use argh::{CommandInfo, EarlyExit, FromArgs, SubCommand};

use super::options::Options;

/// A DNS forwarder: conventional DNS in, encrypted and authenticated DNS out.
#[derive(FromArgs, Debug)]
#[argh(
    help_triggers("-h", "--help", "help"),
    usage = "<command> [options]",
    example = "{command_name} serve\n{command_name} udp --listen 127.0.0.1:5300 --upstream quad9\n\
               {command_name} check --upstream 9.9.9.9#dns.quad9.net,dns4eu-protective",
    note = "`{command_name} serve --help` describes the options, which all commands but\ncertificate, import, providers and those to a running dotward take."
)]
pub(super) struct Arguments {
    /// print the version
    #[argh(switch, short = 'V')]
    pub(super) version: bool,
    #[argh(subcommand)]
    pub(super) subcommand: Option<Subcommand>,
}

#[derive(FromArgs, Debug)]
#[argh(subcommand)]
pub(super) enum Subcommand {
    Udp(Udp),
    Tcp(Tcp),
    Serve(Serve),
    Check(Check),
    Effective(Effective),
    ResolvConf(ResolvConf),
    Dnr(Dnr),
    Query(Query),
    Bench(Bench),
    Prove(Prove),
    Certificate(CertificateOptions),
    Import(ImportOptions),
    Providers(Providers),
    Status(Status),
    Explain(Explain),
    Why(Why),
    Flush(Flush),
    Reload(Reload),
    LogLevel(LogLevel),
    Trace(Trace),
}

/// Make a private authority, and a certificate for clients over TLS.
#[derive(FromArgs, Debug)]
#[argh(
    subcommand,
    name = "certificate",
    help_triggers("-h", "--help", "help"),
    usage = "--name NAME [--address IP ...] [options]",
    example = "{command_name} --name dns.home.example --address 192.168.1.1",
    note = "The authority may sign for these names and addresses alone, and is kept: the\nnext call makes a new certificate by it, which devices trust as before.\n\
            It takes a build with the feature certificate."
)]
#[cfg_attr(
    not(feature = "certificate"),
    expect(dead_code, reason = "only what makes certificates reads them")
)]
pub(super) struct CertificateOptions {
    /// NAME of this resolver, by which devices know it; repeatable, and the
    /// first one is what they are given
    #[argh(option)]
    pub(super) name: Vec<String>,
    /// IP address that devices ask; repeatable. Those that look for encryption
    /// by themselves go by it (RFC 9462)
    #[argh(option)]
    pub(super) address: Vec<String>,
    /// DIR that the files are in; it is made if it is not there. Default: this
    /// one
    #[argh(option)]
    pub(super) directory: Option<String>,
    /// NUMBER of days for which the certificate is valid, 1 to 398. Default: 397
    #[argh(option)]
    pub(super) days: Option<String>,
    /// tls or https: what the profile for Apple's systems uses. Default: tls
    #[argh(option)]
    pub(super) protocol: Option<String>,
    /// replace files that something else has made, and a certificate that is for
    /// more names and addresses
    #[argh(switch)]
    pub(super) force: bool,
}

/// Make a configuration file of that of another forwarder.
#[derive(FromArgs, Debug)]
#[argh(
    subcommand,
    name = "import",
    help_triggers("-h", "--help", "help"),
    usage = "FILE [--from FORMAT] [options]",
    example = "{command_name} /etc/stubby/stubby.yml\n{command_name} Corefile --output dotward.toml",
    note = "It is written to standard output. What is different in dotward, or was left\nout, stands in it as comments, and on standard error: read that first.\n\
            A FORMAT is one of stubby, unbound, systemd-resolved, dnscrypt-proxy, dnsdist,\ncoredns, blocky and cloudflared. docs/import.md says what is carried over.\n\
            It takes a build with the feature import.",
    error_code(1, "the file cannot be written"),
    error_code(2, "the arguments are wrong, or nothing can be made of FILE")
)]
#[cfg_attr(
    not(feature = "import"),
    expect(dead_code, reason = "only what imports reads them")
)]
pub(super) struct ImportOptions {
    /// FILE of the other program; - is standard input
    #[argh(positional)]
    pub(super) file: String,
    /// FORMAT of that file. Default: the one that its text shows
    #[argh(option)]
    pub(super) from: Option<String>,
    /// FILE to write, which must not be there. Default: standard output
    #[argh(option)]
    pub(super) output: Option<String>,
    /// replace that file
    #[argh(switch)]
    pub(super) force: bool,
}

/// List the resolvers that --upstream knows by name.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "providers", help_triggers("-h", "--help", "help"))]
pub(super) struct Providers {}

/// Show what the running dotward does: one screen.
#[derive(FromArgs, Debug)]
#[argh(
    subcommand,
    name = "status",
    help_triggers("-h", "--help", "help"),
    usage = "[options]",
    note = "Upstreams, health, connections, clients, the cache, and bounds that were hit.\nIt takes a running dotward with a control socket (docs/control.md).",
    error_code(1, "there is no running dotward, or it refuses"),
    error_code(2, "the arguments are wrong")
)]
#[cfg_attr(
    not(all(feature = "control", unix)),
    expect(dead_code, reason = "only what speaks to a running program reads them")
)]
pub(super) struct Status {
    /// PATH of its control socket. Default: the one that is configured here, or
    /// /run/dotward/control.sock
    #[argh(option, long = "control-socket")]
    pub(super) socket: Option<String>,
    /// print one JSON document alone
    #[argh(switch)]
    pub(super) json: bool,
}

/// Show all that the running dotward knows about a name, and ask it now.
#[derive(FromArgs, Debug)]
#[argh(
    subcommand,
    name = "explain",
    help_triggers("-h", "--help", "help"),
    usage = "NAME [TYPE] [options]",
    example = "{command_name} www.example.com\n{command_name} www.example.com AAAA --json",
    note = "Its route, what is cached and for how long, the upstreams and connections,\nthe queries in flight, recent failures of the name, and the same question\nasked now, as a client asks it: what came back, from where, how long it took,\nand why it failed if it did.",
    error_code(1, "there is no running dotward, or it refuses"),
    error_code(2, "the arguments are wrong")
)]
#[cfg_attr(
    not(all(feature = "control", unix)),
    expect(dead_code, reason = "only what speaks to a running program reads them")
)]
pub(super) struct Explain {
    /// NAME to explain
    #[argh(positional)]
    pub(super) name: String,
    /// TYPE of the question. Default: A
    #[argh(positional, arg_name = "type")]
    pub(super) qtype: Option<String>,
    /// PATH of its control socket. Default: the one that is configured here, or
    /// /run/dotward/control.sock
    #[argh(option, long = "control-socket")]
    pub(super) socket: Option<String>,
    /// print one JSON document alone
    #[argh(switch)]
    pub(super) json: bool,
}

/// Show what led to a failure, by the id that its client was told.
#[derive(FromArgs, Debug)]
#[argh(
    subcommand,
    name = "why",
    help_triggers("-h", "--help", "help"),
    usage = "ID [options]",
    example = "{command_name} 1a2b\n{command_name} 1a2b --output failure.jsonl",
    note = "The id stands at the end of the text of the extended error, as `dig` shows it:\n(id 1a2b). What happened is shown in order, with what can be done. The file has\nneither names nor clients, and `simulate --replay FILE` plays it again.",
    error_code(1, "there is no running dotward, or no record of this failure"),
    error_code(2, "the arguments are wrong")
)]
#[cfg_attr(
    not(all(feature = "control", unix)),
    expect(dead_code, reason = "only what speaks to a running program reads them")
)]
pub(super) struct Why {
    /// ID of the failure
    #[argh(positional)]
    pub(super) id: String,
    /// FILE that the record is written to, for the report of a fault and for `simulate --replay`
    #[argh(option)]
    pub(super) output: Option<String>,
    /// PATH of its control socket. Default: the one that is configured here, or
    /// /run/dotward/control.sock
    #[argh(option, long = "control-socket")]
    pub(super) socket: Option<String>,
    /// print one JSON document alone
    #[argh(switch)]
    pub(super) json: bool,
}

/// Have the running dotward forget what it has cached.
#[derive(FromArgs, Debug)]
#[argh(
    subcommand,
    name = "flush",
    help_triggers("-h", "--help", "help"),
    usage = "[NAME | --suffix NAME] [options]",
    example = "{command_name}\n{command_name} www.example.com\n{command_name} --suffix example.com",
    note = "Without a name all of it is forgotten.",
    error_code(1, "there is no running dotward, or it refuses"),
    error_code(2, "the arguments are wrong")
)]
#[cfg_attr(
    not(all(feature = "control", unix)),
    expect(dead_code, reason = "only what speaks to a running program reads them")
)]
pub(super) struct Flush {
    /// NAME to forget, for all types
    #[argh(positional)]
    pub(super) name: Option<String>,
    /// NAME to forget with all names below it
    #[argh(option)]
    pub(super) suffix: Option<String>,
    /// PATH of its control socket. Default: the one that is configured here, or
    /// /run/dotward/control.sock
    #[argh(option, long = "control-socket")]
    pub(super) socket: Option<String>,
    /// print one JSON document alone
    #[argh(switch)]
    pub(super) json: bool,
}

/// Have the running dotward read its configuration again.
#[derive(FromArgs, Debug)]
#[argh(
    subcommand,
    name = "reload",
    help_triggers("-h", "--help", "help"),
    usage = "[options]",
    note = "As SIGHUP does, but it says what came of it: exit code 1 if the configuration\nis refused, and the one before stays in force.",
    error_code(1, "there is no running dotward, or the configuration is refused"),
    error_code(2, "the arguments are wrong")
)]
#[cfg_attr(
    not(all(feature = "control", unix)),
    expect(dead_code, reason = "only what speaks to a running program reads them")
)]
pub(super) struct Reload {
    /// PATH of its control socket. Default: the one that is configured here, or
    /// /run/dotward/control.sock
    #[argh(option, long = "control-socket")]
    pub(super) socket: Option<String>,
    /// print one JSON document alone
    #[argh(switch)]
    pub(super) json: bool,
}

/// Set the level of the running dotward's log.
#[derive(FromArgs, Debug)]
#[argh(
    subcommand,
    name = "log-level",
    help_triggers("-h", "--help", "help"),
    usage = "LEVEL [options]",
    note = "Until the next reload or start, which take it from the configuration.",
    error_code(1, "there is no running dotward, or it refuses"),
    error_code(2, "the arguments are wrong")
)]
#[cfg_attr(
    not(all(feature = "control", unix)),
    expect(dead_code, reason = "only what speaks to a running program reads them")
)]
pub(super) struct LogLevel {
    /// LEVEL: off, error, warn, info or debug
    #[argh(positional)]
    pub(super) level: String,
    /// PATH of its control socket. Default: the one that is configured here, or
    /// /run/dotward/control.sock
    #[argh(option, long = "control-socket")]
    pub(super) socket: Option<String>,
    /// print one JSON document alone
    #[argh(switch)]
    pub(super) json: bool,
}

/// Have the running dotward log each query for a while, with its name.
#[derive(FromArgs, Debug)]
#[argh(
    subcommand,
    name = "trace",
    help_triggers("-h", "--help", "help"),
    usage = "on|off [options]",
    example = "{command_name} on --for 1m\n{command_name} off",
    note = "Lines of the level debug are logged, whatever the level is: they name what\nclients ask for, and who answers.",
    error_code(1, "there is no running dotward, or it refuses"),
    error_code(2, "the arguments are wrong")
)]
#[cfg_attr(
    not(all(feature = "control", unix)),
    expect(dead_code, reason = "only what speaks to a running program reads them")
)]
pub(super) struct Trace {
    /// on or off
    #[argh(positional)]
    pub(super) on: String,
    /// TIME after which it ends by itself, up to 24h. Default: 10m
    #[argh(option, long = "for")]
    pub(super) time: Option<String>,
    /// PATH of its control socket. Default: the one that is configured here, or
    /// /run/dotward/control.sock
    #[argh(option, long = "control-socket")]
    pub(super) socket: Option<String>,
    /// print one JSON document alone
    #[argh(switch)]
    pub(super) json: bool,
}

/// The commands that serve clients, and those that tell what these would do. All take the same options, which argh cannot share by itself.
macro_rules! commands {
    ($( $Command:ident: $name:literal, $usage:literal, $about:literal $(, $more:ident)?; )*) => { $(
        #[derive(Debug)]
        pub(super) struct $Command(pub(super) Options);

        impl FromArgs for $Command {
            fn from_args(command_name: &[&str], arguments: &[&str]) -> Result<Self, EarlyExit> {
                let about = [$about, $($more)?].concat();
                let told = |exit: EarlyExit| EarlyExit {
                    output: exit.output.replacen(USAGE, $usage, 1).replacen(ABOUT, &about, 1),
                    ..exit
                };
                Options::from_args(command_name, arguments).map(Self).map_err(told)
            }
        }

        impl SubCommand for $Command {
            const COMMAND: &'static CommandInfo = &CommandInfo {
                name: $name,
                short: &'\0',
                description: $about,
            };
        }
    )* };
}

commands! {
    Udp: "udp", "[options]", "Serve clients over UDP, without TCP.";
    Tcp: "tcp", "[options]", "Serve clients over TCP, without UDP.";
    Serve: "serve", "[options]", "Serve clients over UDP and TCP, as resolvers should.";
    Check: "check", "[udp|tcp|serve] [--probe] [options]", "Check options, variables and files, and say what would be done.", PROBING;
    Effective: "config", "[udp|tcp|serve] [options]", "Print the effective configuration as a file (TOML).";
    ResolvConf: "resolv-conf", "[udp|tcp|serve] [options]", "Say what makes this machine use dotward; change nothing.";
    Dnr: "dnr", "[udp|tcp|serve] [options]", "Print options of DHCP that tell devices of encrypted DNS.", DNR_OPTIONS;
    Query: "query", "NAME [TYPE] [--server SPEC ...] [--all] [options]", "Ask upstreams for the records of a name, and say what it took.", QUERYING;
    Prove: "prove", "[NAME] [--resolver ADDRESS] [options]", "Say whether this machine's queries are encrypted, and their way.", PROVING;
    Bench: "bench", "[SPEC ...] [--count NUMBER] [--time TIME] [options]", "Compare resolvers as they are from here.", BENCHING;
}

/// What argh says of the options, in place of which each command speaks of itself.
const USAGE: &str = "[options]";
const ABOUT: &str = "Options of all commands.";

/// The options that `argv` takes out before argh sees the others, for another command.
const DNR_OPTIONS: &str = "

They are those of RFC 9463, as octets and as lines for dnsmasq, Kea and odhcpd.
What is not given is taken from the encrypted listeners of the configuration.

Telling devices:
  --name            NAME in the certificate. Default: that of --listener-name.
  --address         IP address of this resolver; repeatable. Default: those of
                    the listeners.
  --alpn            what is spoken there: dot, doq, h2 or h3; repeatable.
                    Default: what the listeners speak, or dot.
  --port            NUMBER of the port, if it is not the usual one.
  --dohpath         PATH of DNS over HTTPS. Default: /dns-query{?dns}.
  --priority        NUMBER from 1; the lowest comes first. Default: 1.";

/// The options that `argv` takes out before argh sees the others.
const PROBING: &str = "

With --probe it also contacts all upstreams at once, for 5 s at most, and says
of each whether it can be used, what it is like, and what to do if it fails.

Probing:
  --probe           contact the upstreams, those of routes too. The exit code is
                    0 only if each of them can be used, else 1.
  --json            print what was found as one JSON document, and nothing else;
                    docs/probe.md describes it.
  --probe-name      NAME to look up; one that is signed shows who validates
                    DNSSEC. Upstreams of routes are asked for the domain of
                    their route. Default: example.com.";

/// The options of `query` that `argv` takes out.
const QUERYING: &str = "

The records come as in a zone file; lines that begin with ; say what else there
is to know. Without --server the upstreams of the configuration are asked, one
after the other until one answers; a route of the name counts. No daemon is
needed, and what one answers by itself or has cached is not seen. docs/query.md
says more. It takes a build with the feature query.

Exit code: 0 an answer came (NOERROR or NXDOMAIN), 1 another response or none,
2 wrong usage. With --all it is 0 only if each server has answered.

Asking:
  --server          SPEC to ask instead of the upstreams, as for --upstream;
                    repeatable. It may be udp://127.0.0.1 or tcp://[::1]:5300,
                    not encrypted: so one asks a dotward that runs here.
  --all             ask all of them at once, and show how their answers differ.
  -x                IP address whose name is looked up, instead of NAME.
  --dnssec          ask for signatures (DO), too.
  --json            print one JSON document, and nothing else.
A TYPE is a name such as MX, or TYPE and a number. Default: A, and PTR with -x.
How long each server is waited for is --timeout.";

/// The options of `prove` that `argv` takes out.
const PROVING: &str = "

It looks up names that only dotward answers as programs look names up, asks a
real question below NAME (default: example.com) on the same way, and shows that
way: listener, upstream, protocol, certificate, TLS, lengths, and who sees what.
Details come from the control socket of the running dotward if there is one, and
from a connection of its own to the upstream if that is configured here; it
says which. The last line is the verdict. docs/prove.md says more. It takes a
build with the feature query.

Exit code: 0 encrypted and verified, 1 not through dotward, 2 through dotward
but failing. Wrong usage is 2, too, with nothing on standard output.

Proving:
  --resolver        ADDRESS[:PORT] of a server to ask instead of the resolver of
                    this machine.
  --json            print one JSON document, and nothing else.";

/// The options of `bench` that `argv` takes out.
const BENCHING: &str = "

Each SPEC is a resolver as for --upstream, or udp:// or tcp:// with an address;
without one, those of the configuration are compared. All are measured side by
side: connections first, then queries, evenly over the time. docs/bench.md
says what the figures mean. It takes a build with the feature query.

Exit code: 0 each resolver has answered, 1 one has not, 2 wrong usage.

Measuring:
  --count           NUMBER of queries to each, 1 to 1000. Default: 100.
  --time            TIME that all of it may take, 1s to 10m. Default: 10s.
  --name            NAME to ask for. Default: example.com.
  --json            print one JSON document, and nothing else.";
