//! The commands as typed.

use argh::{CommandInfo, EarlyExit, FromArgs, SubCommand};

use super::options::Options;

/// Forwards plain DNS to a resolver over authenticated TLS.
#[derive(FromArgs, Debug)]
#[argh(
    help_triggers("-h", "--help", "help"),
    usage = "<command> [options]",
    example = "{command_name} serve\n{command_name} udp --listen 127.0.0.1:5300 --upstream quad9\n\
               {command_name} check --upstream 9.9.9.9#dns.quad9.net,dns4eu-protective",
    note = "`{command_name} serve --help` describes the options, which all commands but\ncertificate and providers take."
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
    Certificate(CertificateOptions),
    Providers(Providers),
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
    /// replace files that something else has made
    #[argh(switch)]
    pub(super) force: bool,
}

/// List the resolvers that --upstream knows by name.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "providers", help_triggers("-h", "--help", "help"))]
pub(super) struct Providers {}

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
    Udp: "udp", "[options]", "Serve clients over UDP only.";
    Tcp: "tcp", "[options]", "Serve clients over TCP only.";
    Serve: "serve", "[options]", "Serve clients over UDP and TCP, as resolvers should.";
    Check: "check", "[udp|tcp|serve] [--probe] [options]", "Check options, variables and files, and say what would be done.", PROBING;
    Effective: "config", "[udp|tcp|serve] [options]", "Print the effective configuration as a file (TOML).";
    ResolvConf: "resolv-conf", "[udp|tcp|serve] [options]", "Say what makes this machine use dotward; change nothing.";
    Dnr: "dnr", "[udp|tcp|serve] [options]", "Print options of DHCP that tell devices of encrypted DNS.", DNR_OPTIONS;
    Query: "query", "NAME [TYPE] [--server SPEC ...] [--all] [options]", "Ask upstreams for the records of a name, and say what it took.", QUERYING;
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
