//! The arguments as typed. Values stay text here, because a variable may take an argument's place.

use std::collections::BTreeMap;

use argh::{CommandInfo, EarlyExit, FromArgs, SubCommand};

use super::typed::{Kind, Known};

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
    struct Options {
        /// ADDR[:PORT] to listen on; repeatable. One that the host does not have yet is tried again
        /// until it does. Default: 127.0.0.1:53, and [::1]:53 where there is IPv6. DOTWARD_LISTEN
        Many listen,

        /// SPEC of a resolver to ask, in order of preference; repeatable. Default: cloudflare.
        /// DOTWARD_UPSTREAM
        Many upstream,

        /// NAME of the way in which an upstream is chosen among several: failover (the first that is
        /// well), round-robin, or fastest. Default: failover. DOTWARD_POLICY
        One policy,

        /// ask a second time, of another upstream or on another connection, when an answer is later
        /// than 95 % of them; for 5 % of the questions at most. Default: no. DOTWARD_HEDGE=true
        Switch hedge,

        /// IP[:PORT] of a resolver that finds upstreams given by name, asked in the clear for
        /// these names only; repeatable. Default: none. DOTWARD_BOOTSTRAP
        Many bootstrap,

        /// permit tcp:// upstreams, which everybody on the way can read. Default: no.
        /// DOTWARD_ALLOW_PLAINTEXT=true
        Switch allow_plaintext,

        /// PEM file of certificates to believe instead of the built-in ones: authorities', or an upstream's
        /// own, such as a self-signed one. DOTWARD_CA_FILE
        One ca_file,

        /// TIME until a question is answered with a failure, such as 4s, 1.5s or 1500ms. Default: 4s.
        /// DOTWARD_TIMEOUT
        One timeout,

        /// OCTETS of memory for answers, all workers together, such as 4194304, 4M or 64k; 0 is off.
        /// Default: 4M. DOTWARD_CACHE_SIZE
        One cache_size,

        /// OCTETS of memory for questions that wait for answers and answers that wait for clients, all
        /// workers together and beside the cache; at least 4M for each. Default: 64M. DOTWARD_QUEUE_SIZE
        One queue_size,

        /// TIME for which an answer with a lower TTL is remembered all the same, up to 1h; TTL 0 stays 0.
        /// Default: 0. DOTWARD_MIN_TTL
        One min_ttl,

        /// TIME after which every answer is asked for anew, whatever its TTL, such as 300s or 1h.
        /// Default: 1d. DOTWARD_MAX_TTL
        One max_ttl,

        /// TIME for which an outdated answer is kept, to be served when no fresh one is to be had
        /// (RFC 8767); off: never. Default: 1d. DOTWARD_SERVE_STALE
        One serve_stale,

        /// begin each answer from memory with the next of its addresses, for clients that take the first.
        /// Default: no, in the upstream's order. DOTWARD_ROTATE=true
        Switch rotate,

        /// forward names of special use too: localhost, onion, home.arpa, local, invalid,
        /// resolver.arpa, and the reverse zones of private addresses. By default they are answered
        /// here. DOTWARD_FORWARD_SPECIAL_NAMES=true
        Switch forward_special_names,

        /// tell the version to whoever asks for version.bind (class CH). Default: no.
        /// DOTWARD_SHOW_VERSION=true
        Switch show_version,

        /// NUMBER of event loops, each on its own thread. Default: 1. DOTWARD_WORKERS
        One workers,

        /// keep the scheduling policy of whoever starts it. By default workers let those finish who
        /// wake them (SCHED_BATCH), which costs less; where all processors are busy with others, an
        /// answer may take some milliseconds longer. DOTWARD_KEEP_SCHEDULING=true
        Switch keep_scheduling,

        /// LEVEL of the log: off, error, warn, info or debug. Default: info. DOTWARD_LOG
        One log,

        /// CIDR of clients to serve, such as 192.168.0.0/16, and of no others; repeatable. Default:
        /// 127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, fe80::/10,
        /// fc00::/7, and the networks that this host is on, if they are no wider than a /16 or an
        /// IPv6 /48, not 100.64.0.0/10 and no tunnel; the log names them. DOTWARD_ALLOW_NET
        Many allow_net,

        /// NAME of the asynchronous runtime. Default: the first one built in, such as async-std.
        /// DOTWARD_RUNTIME
        One runtime,

        /// NUMBER of questions in flight per worker. Default: 2048. DOTWARD_MAX_IN_FLIGHT
        One max_in_flight,

        /// NUMBER of questions in flight per worker of one client (IPv4 address or IPv6 /64), none
        /// for clients on loopback. Default: 1000. DOTWARD_MAX_IN_FLIGHT_PER_CLIENT
        One max_in_flight_per_client,

        /// NUMBER of questions in flight per upstream connection. Default: 1000.
        /// DOTWARD_MAX_LINK_IN_FLIGHT
        One max_link_in_flight,

        /// NUMBER of TCP clients in all. Default: 1000. DOTWARD_MAX_TCP_CONNECTIONS
        One max_tcp_connections,

        /// NUMBER of TCP connections per client (IPv4 address or IPv6 /64), but for loopback.
        /// Default: 100. DOTWARD_MAX_TCP_PER_CLIENT
        One max_tcp_per_client,

        /// NUMBER of questions in flight per TCP client; beyond it, reading pauses. Default: 100.
        /// DOTWARD_MAX_TCP_IN_FLIGHT
        One max_tcp_in_flight,

        /// TIME after which a silent TCP client is disconnected. Default: 10s. DOTWARD_TCP_IDLE
        One tcp_idle,

        /// OCTETS of the largest UDP answer, 512 to 4096. Default: 1232. DOTWARD_UDP_PAYLOAD
        One udp_payload,

        /// check options, variables and files as the start does, say so in one line, and exit. Nothing
        /// is bound, and no upstream is asked. DOTWARD_CHECK=true
        Switch check,
    }
}
