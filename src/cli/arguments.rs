//! The arguments as typed. Values stay text here, because a variable may take an argument's place.

use std::collections::BTreeMap;

use argh::{CommandInfo, EarlyExit, FromArgs, SubCommand};

use super::argv::{Kind, Known};

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
    Udp(Udp),
    Tcp(Tcp),
    Serve(Serve),
    Providers(Providers),
}

/// List the resolvers that --upstream knows by name.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "providers", help_triggers("-h", "--help", "help"))]
pub(super) struct Providers {}

/// The commands that serve clients. All take the same options, which argh cannot share by itself.
macro_rules! serving {
    ($( $Command:ident: $name:literal, $about:literal; )*) => { $(
        #[derive(Debug)]
        pub(super) struct $Command(pub(super) Options);

        impl FromArgs for $Command {
            fn from_args(command_name: &[&str], arguments: &[&str]) -> Result<Self, EarlyExit> {
                Options::from_args(command_name, arguments).map(Self)
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

serving! {
    Udp: "udp", "Serve clients over UDP only.";
    Tcp: "tcp", "Serve clients over TCP only.";
    Serve: "serve", "Serve clients over UDP and TCP, as resolvers should.";
}

/// Makes a structure of options, whose values stay text, and says of each how often it may be given: once, many times, or without a value.
macro_rules! options {
    (
        $(#[$($attribute:tt)*])*
        struct Options { $( $(#[$($doc:tt)*])* $kind:ident $name:ident, )* }
    ) => {
        $(#[$($attribute)*])*
        pub(super) struct Options {
            $( $(#[$($doc)*])* #[argh(option)] $name: Vec<String>, )*
        }

        impl Options {
            /// What is known of each option.
            pub(super) const KNOWN: &[Known] = &[
                $( Known { name: stringify!($name), kind: Kind::$kind }, )*
            ];

            /// What was typed for each option.
            pub(super) fn into_texts(self) -> BTreeMap<&'static str, Vec<String>> {
                BTreeMap::from([ $( (stringify!($name), self.$name), )* ])
            }
        }
    };
}

options! {
    /// Forwards plain DNS to a resolver over authenticated TLS until it is stopped.
    #[derive(FromArgs, Debug)]
    #[expect(
        clippy::doc_markdown,
        reason = "these comments are the help text, which is read without markup"
    )]
    #[argh(
        help_triggers("-h", "--help", "help"),
        usage = "[options]",
        note = "Every option can also be given as an environment variable: DOTWARD_LISTEN for\n\
                --listen, and so on. Commas or spaces separate the values of an option that\n\
                may be repeated. An option takes precedence over its variable, as\n\
                --hedge=false over DOTWARD_HEDGE=true.\n",
        note = "An upstream SPEC is one of\n  \
                quad9                     a provider; `dotward providers` lists them\n  \
                9.9.9.9#dns.quad9.net     an address, and the name in its certificate\n  \
                [2620:fe::fe]:853#dns.quad9.net, or 9.9.9.9@853#dns.quad9.net\n  \
                fe80::1%eth0#dns.test     a link-local address, with its interface\n  \
                tls://9.9.9.9             an address that is itself in the certificate\n  \
                tls://dns.quad9.net       a name; requires --bootstrap\n  \
                tcp://192.0.2.1           not encrypted; requires --allow-plaintext\n",
        note = "A policy NAME is one of\n  {{policies}}\n",
        note = "At SIGTERM or SIGINT the program answers what it has accepted, then exits; at\n\
                a second one it exits at once. SIGUSR1 logs the counters. SIGHUP reloads\n\
                nothing: changed options take effect at the next start.",
        error_code(1, "the program failed while it was running, or could not listen"),
        error_code(2, "an argument, a variable, or a file that they name is wrong")
    )]
    struct Options {
        /// ADDR[:PORT] to listen on; repeatable. An address that this host does not have yet is tried
        /// again until it has it. Default: 127.0.0.1:53, and [::1]:53 where there is IPv6.
        /// DOTWARD_LISTEN
        Many listen,

        /// SPEC of a resolver to forward to, in order of preference; repeatable. Default: cloudflare.
        /// DOTWARD_UPSTREAM
        Many upstream,

        /// NAME of the policy by which one of several upstreams is chosen; see below. Default: failover.
        /// DOTWARD_POLICY
        One policy,

        /// send a query a second time, to another upstream or on another connection, when its response
        /// is later than 95 % of them; for 5 % of the queries at most. Default: no. DOTWARD_HEDGE=true
        Switch hedge,

        /// IP[:PORT] of a resolver that finds the addresses of upstreams given by name, without
        /// encryption and for these names only; repeatable. Default: none. DOTWARD_BOOTSTRAP
        Many bootstrap,

        /// permit tcp:// upstreams, which are not encrypted: everybody on the way can read the queries.
        /// Default: no. DOTWARD_ALLOW_PLAINTEXT=true
        Switch allow_plaintext,

        /// PEM file of certificates to trust instead of the built-in ones: those of authorities, or an
        /// upstream's own, such as a self-signed one. DOTWARD_CA_FILE
        One ca_file,

        /// TIME until a query is answered with SERVFAIL, such as 4s, 1.5s or 1500ms. Default: 4s.
        /// DOTWARD_TIMEOUT
        One timeout,

        /// OCTETS of memory for cached responses, of all workers together, such as 4194304, 4M or 64k;
        /// 0 is off. Default: 4M. DOTWARD_CACHE_SIZE
        One cache_size,

        /// OCTETS of memory for queries in flight and responses that clients have not read, of all
        /// workers together and beside the cache; at least 4M for each worker. Default: 64M.
        /// DOTWARD_QUEUE_SIZE
        One queue_size,

        /// TIME for which a response with a lower TTL is cached all the same, up to 1h; TTL 0 stays 0.
        /// Default: 0. DOTWARD_MIN_TTL
        One min_ttl,

        /// TIME for which a response is cached at most, whatever its TTL, such as 300s or 1h. Default:
        /// 1d. DOTWARD_MAX_TTL
        One max_ttl,

        /// TIME for which an expired response is kept, to be served when upstreams give no fresh one
        /// (RFC 8767); off: never. Default: 1d. DOTWARD_SERVE_STALE
        One serve_stale,

        /// begin each response from the cache with the next of its addresses, for clients that take the
        /// first. Default: no, in the upstream's order. DOTWARD_ROTATE=true
        Switch rotate,

        /// forward special-use names too: localhost, onion, home.arpa, local, internal, invalid, alt,
        /// resolver.arpa, service.arpa, and the reverse zones of private addresses. By default they are
        /// answered here.
        /// DOTWARD_FORWARD_SPECIAL_NAMES=true
        Switch forward_special_names,

        /// answer queries for version.bind (class CH) with the version. Default: no.
        /// DOTWARD_SHOW_VERSION=true
        Switch show_version,

        /// NUMBER of event loops, each on its own thread. Default: 1. DOTWARD_WORKERS
        One workers,

        /// keep the scheduling policy that the program was started under. By default a worker does not
        /// preempt the process that woke it (SCHED_BATCH), which costs less; where all processors are
        /// busy with others, a response may take some milliseconds longer. DOTWARD_KEEP_SCHEDULING=true
        Switch keep_scheduling,

        /// LEVEL of the log: off, error, warn, info or debug. Default: info. DOTWARD_LOG
        One log,

        /// CIDR of clients to serve, such as 192.168.0.0/16, and of no others; repeatable. Default:
        /// 127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, fe80::/10,
        /// fc00::/7, and the networks that this host is on, if they are no wider than a /16 or an IPv6
        /// /48, not 100.64.0.0/10 and no tunnel; the log names them. DOTWARD_ALLOW_NET
        Many allow_net,

        /// NAME of the asynchronous runtime. Default: the first one built in, such as async-std.
        /// DOTWARD_RUNTIME
        One runtime,

        /// NUMBER of queries in flight per worker. Default: 2048. DOTWARD_MAX_IN_FLIGHT
        One max_in_flight,

        /// NUMBER of queries in flight per worker and client (IPv4 address or IPv6 /64); clients on
        /// loopback have no such limit. Default: 1000. DOTWARD_MAX_IN_FLIGHT_PER_CLIENT
        One max_in_flight_per_client,

        /// NUMBER of queries in flight per upstream connection. Default: 1000.
        /// DOTWARD_MAX_LINK_IN_FLIGHT
        One max_link_in_flight,

        /// NUMBER of TCP connections of all clients together. Default: 1000.
        /// DOTWARD_MAX_TCP_CONNECTIONS
        One max_tcp_connections,

        /// NUMBER of TCP connections per client (IPv4 address or IPv6 /64); clients on loopback have no
        /// such limit. Default: 100. DOTWARD_MAX_TCP_PER_CLIENT
        One max_tcp_per_client,

        /// NUMBER of queries in flight per TCP connection of a client; beyond it, reading pauses.
        /// Default: 100. DOTWARD_MAX_TCP_IN_FLIGHT
        One max_tcp_in_flight,

        /// TIME after which an idle TCP connection of a client is closed. Default: 10s.
        /// DOTWARD_TCP_IDLE
        One tcp_idle,

        /// OCTETS of the largest UDP response, 512 to 4096. Default: 1232. DOTWARD_UDP_PAYLOAD
        One udp_payload,

        /// check options, variables and files as the start does, say so in one line, and exit. Nothing
        /// is bound, and no upstream is contacted. DOTWARD_CHECK=true
        Switch check,
    }
}
