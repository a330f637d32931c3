//! The arguments as typed. Values stay text here, because a variable may take an argument's place.

use std::marker::PhantomData;

use argh::{CommandInfo, EarlyExit, FromArgs, SubCommand};

use super::given::{Row, Typed};
use super::typed::Known;
use crate::config::Modes;

/// Forwards plain DNS to a resolver over authenticated TLS.
#[derive(FromArgs, Debug)]
#[argh(
    help_triggers("-h", "--help", "help"),
    usage = "<command> [options]",
    example = "{command_name} serve\n{command_name} udp --listen 127.0.0.1:5300 --upstream quad9\n\
               {command_name} serve --upstream 9.9.9.9#dns.quad9.net,dns4eu-protective --check",
    note = "`{command_name} serve --help` describes the options of udp, tcp and serve."
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
    Udp(Mode<OverUdp>),
    Tcp(Mode<OverTcp>),
    Serve(Mode<OverBoth>),
    Providers(Providers),
}

/// List the resolvers that --upstream knows by name.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "providers", help_triggers("-h", "--help", "help"))]
pub(super) struct Providers {}

/// A subcommand that serves clients. All take the same options; argh cannot share those by itself.
#[derive(Debug)]
pub(super) struct Mode<M> {
    options: Options,
    mode: PhantomData<M>,
}

/// What tells one serving subcommand from another.
pub(super) trait Serves {
    const COMMAND: CommandInfo;
    const MODES: Modes;
}

#[derive(Debug)]
pub(super) struct OverUdp;
#[derive(Debug)]
pub(super) struct OverTcp;
#[derive(Debug)]
pub(super) struct OverBoth;

impl Serves for OverUdp {
    const COMMAND: CommandInfo = CommandInfo {
        name: "udp",
        short: &'\0',
        description: "Serve clients over UDP only.",
    };
    const MODES: Modes = Modes::Udp;
}

impl Serves for OverTcp {
    const COMMAND: CommandInfo = CommandInfo {
        name: "tcp",
        short: &'\0',
        description: "Serve clients over TCP only.",
    };
    const MODES: Modes = Modes::Tcp;
}

impl Serves for OverBoth {
    const COMMAND: CommandInfo = CommandInfo {
        name: "serve",
        short: &'\0',
        description: "Serve clients over UDP and TCP, as resolvers should.",
    };
    const MODES: Modes = Modes::UdpAndTcp;
}

impl<M: Serves> Mode<M> {
    /// What clients may speak, and the options.
    pub(super) fn into_parts(self) -> (Modes, Options) {
        (M::MODES, self.options)
    }
}

impl<M: Serves> FromArgs for Mode<M> {
    fn from_args(command_name: &[&str], arguments: &[&str]) -> Result<Self, EarlyExit> {
        let options = Options::from_args(command_name, arguments)?;
        Ok(Self {
            options,
            mode: PhantomData,
        })
    }
}

impl<M: Serves> SubCommand for Mode<M> {
    const COMMAND: &'static CommandInfo = &M::COMMAND;
}

/// Forwards plain DNS to a resolver over authenticated TLS until it is stopped.
#[derive(FromArgs, Debug)]
#[expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, which is read without markup"
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
#[argh(
    help_triggers("-h", "--help", "help"),
    usage = "[options]",
    note = "Every option can also be given as a variable: DOTWARD_LISTEN for --listen, and\n\
            so on. Commas or blanks part the values of an option that may be repeated.\n\
            An option wins over its variable; --hedge=false over DOTWARD_HEDGE=true.\n",
    note = "An upstream SPEC is one of\n  \
            quad9                     a provider; `dotward providers` lists them\n  \
            9.9.9.9#dns.quad9.net     an address, and the name in its certificate\n  \
            [2620:fe::fe]:853#dns.quad9.net, or 9.9.9.9@853#dns.quad9.net\n  \
            fe80::1%eth0#dns.test     an address on the link of an interface\n  \
            tls://9.9.9.9             an address that is itself in the certificate\n  \
            tls://dns.quad9.net       a name; takes --bootstrap\n  \
            tcp://192.0.2.1           in the clear; takes --allow-plaintext\n",
    note = "SIGTERM and SIGINT end it when what it accepted is answered, a second one at\n\
            once. SIGUSR1 logs the counters. SIGHUP reads nothing again: a change of\n\
            options is a new start.",
    error_code(1, "the program failed while it was running, or could not listen"),
    error_code(2, "the arguments or variables are wrong")
)]
pub(super) struct Options {
    /// ADDR[:PORT] to listen on; repeatable. One that the host does not have yet is tried again
    /// until it does. Default: 127.0.0.1:53, and [::1]:53 where there is IPv6. DOTWARD_LISTEN
    #[argh(option)]
    listen: Vec<String>,

    /// SPEC of a resolver to ask, in order of preference; repeatable. Default: cloudflare.
    /// DOTWARD_UPSTREAM
    #[argh(option)]
    upstream: Vec<String>,

    /// NAME of the way in which an upstream is chosen among several: failover (the first that is
    /// well), round-robin, or fastest. Default: failover. DOTWARD_POLICY
    #[argh(option)]
    policy: Option<String>,

    /// ask a second time, of another upstream or on another connection, when an answer is later
    /// than 95 % of them; for 5 % of the questions at most. Default: no. DOTWARD_HEDGE=true
    #[argh(switch)]
    hedge: bool,

    /// IP[:PORT] of a resolver that finds upstreams given by name, asked in the clear for
    /// these names only; repeatable. Default: none. DOTWARD_BOOTSTRAP
    #[argh(option)]
    bootstrap: Vec<String>,

    /// permit tcp:// upstreams, which everybody on the way can read. Default: no.
    /// DOTWARD_ALLOW_PLAINTEXT=true
    #[argh(switch)]
    allow_plaintext: bool,

    /// PEM file of certificates to believe instead of the built-in ones: authorities', or an upstream's
    /// own, such as a self-signed one. DOTWARD_CA_FILE
    #[argh(option)]
    ca_file: Option<String>,

    /// TIME until a question is answered with a failure, such as 4s, 1.5s or 1500ms. Default: 4s.
    /// DOTWARD_TIMEOUT
    #[argh(option)]
    timeout: Option<String>,

    /// OCTETS of memory for answers, all workers together, such as 4194304, 4M or 64k; 0 is off.
    /// Default: 4M. DOTWARD_CACHE_SIZE
    #[argh(option)]
    cache_size: Option<String>,

    /// OCTETS of memory for questions that wait for answers and answers that wait for clients, all
    /// workers together and beside the cache; at least 4M for each. Default: 64M. DOTWARD_QUEUE_SIZE
    #[argh(option)]
    queue_size: Option<String>,

    /// TIME for which an answer with a lower TTL is remembered all the same, up to 1h; TTL 0 stays 0.
    /// Default: 0. DOTWARD_MIN_TTL
    #[argh(option)]
    min_ttl: Option<String>,

    /// TIME after which every answer is asked for anew, whatever its TTL, such as 300s or 1h.
    /// Default: 1d. DOTWARD_MAX_TTL
    #[argh(option)]
    max_ttl: Option<String>,

    /// TIME for which an outdated answer is kept, to be served when no fresh one is to be had
    /// (RFC 8767); off: never. Default: 1d. DOTWARD_SERVE_STALE
    #[argh(option)]
    serve_stale: Option<String>,

    /// begin each answer from memory with the next of its addresses, for clients that take the first.
    /// Default: no, in the upstream's order. DOTWARD_ROTATE=true
    #[argh(switch)]
    rotate: bool,

    /// forward names of special use too: localhost, onion, home.arpa, local, invalid,
    /// resolver.arpa, and the reverse zones of private addresses. By default they are answered
    /// here. DOTWARD_FORWARD_SPECIAL_NAMES=true
    #[argh(switch)]
    forward_special_names: bool,

    /// tell the version to whoever asks for version.bind (class CH). Default: no.
    /// DOTWARD_SHOW_VERSION=true
    #[argh(switch)]
    show_version: bool,

    /// NUMBER of event loops, each on its own thread. Default: 1. DOTWARD_WORKERS
    #[argh(option)]
    workers: Option<String>,

    /// keep the scheduling policy of whoever starts it. By default workers let those finish who
    /// wake them (SCHED_BATCH), which costs less; where all processors are busy with others, an
    /// answer may take some milliseconds longer. DOTWARD_KEEP_SCHEDULING=true
    #[argh(switch)]
    keep_scheduling: bool,

    /// LEVEL of the log: off, error, warn, info or debug. Default: info. DOTWARD_LOG
    #[argh(option)]
    log: Option<String>,

    /// CIDR of clients to serve, such as 192.168.0.0/16, and of no others; repeatable. Default:
    /// 127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, fe80::/10,
    /// fc00::/7, and the networks that this host is on, if they are no wider than a /16 or an
    /// IPv6 /48, not 100.64.0.0/10 and no tunnel; the log names them. DOTWARD_ALLOW_NET
    #[argh(option)]
    allow_net: Vec<String>,

    /// NAME of the asynchronous runtime. Default: the first one built in, such as async-std.
    /// DOTWARD_RUNTIME
    #[argh(option)]
    runtime: Option<String>,

    /// NUMBER of questions in flight per worker. Default: 2048. DOTWARD_MAX_IN_FLIGHT
    #[argh(option)]
    max_in_flight: Option<String>,

    /// NUMBER of questions in flight per worker of one client (IPv4 address or IPv6 /64), none
    /// for clients on loopback. Default: 1000. DOTWARD_MAX_IN_FLIGHT_PER_CLIENT
    #[argh(option)]
    max_in_flight_per_client: Option<String>,

    /// NUMBER of questions in flight per upstream connection. Default: 1000.
    /// DOTWARD_MAX_LINK_IN_FLIGHT
    #[argh(option)]
    max_link_in_flight: Option<String>,

    /// NUMBER of TCP clients in all. Default: 1000. DOTWARD_MAX_TCP_CONNECTIONS
    #[argh(option)]
    max_tcp_connections: Option<String>,

    /// NUMBER of TCP connections per client (IPv4 address or IPv6 /64), but for loopback.
    /// Default: 100. DOTWARD_MAX_TCP_PER_CLIENT
    #[argh(option)]
    max_tcp_per_client: Option<String>,

    /// NUMBER of questions in flight per TCP client; beyond it, reading pauses. Default: 100.
    /// DOTWARD_MAX_TCP_IN_FLIGHT
    #[argh(option)]
    max_tcp_in_flight: Option<String>,

    /// TIME after which a silent TCP client is disconnected. Default: 10s. DOTWARD_TCP_IDLE
    #[argh(option)]
    tcp_idle: Option<String>,

    /// OCTETS of the largest UDP answer, 512 to 4096. Default: 1232. DOTWARD_UDP_PAYLOAD
    #[argh(option)]
    udp_payload: Option<String>,

    /// check options, variables and files as the start does, say so in one line, and exit. Nothing
    /// is bound, and no upstream is asked. DOTWARD_CHECK=true
    #[argh(switch)]
    check: bool,
}

impl Options {
    /// All options.
    pub(super) fn known() -> Vec<Known> {
        // Nothing typed is nothing wrong.
        let rows = Self::from_args(&[], &[])
            .map(Self::rows)
            .unwrap_or_default();
        rows.into_iter()
            .map(|(name, typed)| Known {
                name,
                switch: matches!(typed, Typed::Switch(_)),
                repeatable: matches!(typed, Typed::Many(_)),
            })
            .collect()
    }

    /// One row per option: its name and what was typed.
    pub(super) fn rows(self) -> Vec<Row> {
        use Typed::{Many, One};
        let switch = |set: bool| Typed::Switch(set.then(|| "true".to_owned()));
        vec![
            ("listen", Many(self.listen)),
            ("upstream", Many(self.upstream)),
            ("policy", One(self.policy)),
            ("hedge", switch(self.hedge)),
            ("bootstrap", Many(self.bootstrap)),
            ("allow-plaintext", switch(self.allow_plaintext)),
            ("ca-file", One(self.ca_file)),
            ("timeout", One(self.timeout)),
            ("cache-size", One(self.cache_size)),
            ("queue-size", One(self.queue_size)),
            ("min-ttl", One(self.min_ttl)),
            ("max-ttl", One(self.max_ttl)),
            ("serve-stale", One(self.serve_stale)),
            ("rotate", switch(self.rotate)),
            ("forward-special-names", switch(self.forward_special_names)),
            ("show-version", switch(self.show_version)),
            ("workers", One(self.workers)),
            ("keep-scheduling", switch(self.keep_scheduling)),
            ("log", One(self.log)),
            ("allow-net", Many(self.allow_net)),
            ("runtime", One(self.runtime)),
            ("max-in-flight", One(self.max_in_flight)),
            (
                "max-in-flight-per-client",
                One(self.max_in_flight_per_client),
            ),
            ("max-link-in-flight", One(self.max_link_in_flight)),
            ("max-tcp-connections", One(self.max_tcp_connections)),
            ("max-tcp-per-client", One(self.max_tcp_per_client)),
            ("max-tcp-in-flight", One(self.max_tcp_in_flight)),
            ("tcp-idle", One(self.tcp_idle)),
            ("udp-payload", One(self.udp_payload)),
            ("check", switch(self.check)),
        ]
    }
}
