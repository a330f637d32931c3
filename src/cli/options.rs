//! The options as typed, and what is known of each setting. Values stay text here, because a variable or a file may take an option's place.

use std::collections::BTreeMap;

use argh::FromArgs;

use super::known::{Kind, Known};
use crate::transports::RUNTIMES;

/// The runtime that the program has unless another one is named: the first that was built in, if any.
const FIRST_RUNTIME: &[&str] = if RUNTIMES.is_empty() {
    RUNTIMES
} else {
    RUNTIMES.split_at(1).0
};

/// Makes a structure of options, whose values stay text, and says of each what its values are, and its default.
macro_rules! options {
    (
        $(#[$($attribute:tt)*])*
        struct Options { $( $(#[$($doc:tt)*])* $kind:ident $name:ident = $default:expr, )* }
    ) => {
        $(#[$($attribute)*])*
        pub(super) struct Options {
            $( $(#[$($doc)*])* #[argh(option)] $name: Vec<String>, )*
        }

        impl Options {
            /// What is known of each option.
            pub(super) const KNOWN: &[Known] = &[
                $( Known { name: stringify!($name), kind: Kind::$kind, default: $default }, )*
            ];

            /// What was typed for each option.
            pub(super) fn into_texts(self) -> BTreeMap<&'static str, Vec<String>> {
                BTreeMap::from([ $( (stringify!($name), self.$name), )* ])
            }
        }
    };
}

options! {
    /// Options of all commands.
    #[derive(FromArgs, Debug)]
    #[expect(
        clippy::doc_markdown,
        reason = "these comments are the help text, which is read without markup"
    )]
    #[argh(
        help_triggers("-h", "--help", "help"),
        usage = "[options]",
        note = "Every option can also be given as an environment variable, --listen as\n\
                DOTWARD_LISTEN; and in the configuration file, as listen = \"127.0.0.1\".\n\
                Commas or spaces separate the values of an option that may be repeated. An\n\
                option takes precedence over its variable, as --hedge=false over\n\
                DOTWARD_HEDGE=true, and both over the file. Only the file has routes, by which\n\
                queries for some domains take another way, and hosts of your own; the example\n\
                deploy/dotward.toml describes all that it can hold.\n",
        note = "An upstream SPEC is one of\n  \
                quad9                     a provider; `dotward providers` lists them\n  \
                9.9.9.9#dns.quad9.net     an address, and the name in its certificate\n  \
                [2620:fe::fe]:853#dns.quad9.net, or 9.9.9.9@853#dns.quad9.net\n  \
                fe80::1%eth0#dns.test     a link-local address, with its interface\n  \
                tls://9.9.9.9             an address that is itself in the certificate\n  \
                tls://dns.quad9.net       a name; see --bootstrap\n  \
                https://dns.quad9.net     DNS over HTTPS, in a build with the feature doh;\n                            \
                also https://9.9.9.9/dns-query#dns.quad9.net\n  \
                quic://94.140.14.14#dns.adguard-dns.com\n                            \
                DNS over QUIC, in a build with the feature doq\n  \
                tls+https://9.9.9.9/dns-query#dns.quad9.net\n                            \
                the same server by several protocols, tried in\n                            \
                this order; other ports: tls:8853+https:8443://\n  \
                ddr://192.0.2.1           a resolver that says where it is reached with\n                            \
                encryption; its address is in the certificate\n  \
                tcp://192.0.2.1           not encrypted; requires --allow-plaintext\n  \
                udp://192.0.2.1           the same over UDP; prefer TCP where it works\n\n\
                Behind each may follow ? and parameters with & between them:\n  \
                pin-sha256=BASE64         a public key; one of them must be in the chain of\n                            \
                certificates. With an address and no name, nothing\n                            \
                else counts. Repeatable\n  \
                profile=opportunistic     send queries even if it cannot be authenticated\n  \
                client-certificate=FILE   what it is shown if it asks, and client-key=FILE\n  \
                early-data=true           queries leave while a connection is resumed, and\n                            \
                somebody on the path can repeat them\n  \
                socks5=IP[:PORT]          a proxy to connect through; isolate=true: for each\n                            \
                registrable domain by connections of its own\n",
        note = "A policy NAME is one of\n  {{policies}}\n",
        note = "At SIGTERM or SIGINT the program answers what it has accepted, then exits; at\n\
                a second one it exits at once. SIGUSR1 logs the counters. SIGHUP has\n\
                the configuration read again.",
        error_code(1, "the program failed while it was running, or could not listen"),
        error_code(2, "the arguments, variables or files are wrong")
    )]
    struct Options {
        /// FILE of settings (TOML), or none. Default: the first that there is of
        /// $XDG_CONFIG_HOME/dotward/dotward.toml or ~/.config/dotward/dotward.toml (not for root), and
        /// /etc/dotward/dotward.toml. DOTWARD_CONFIG
        ConfigFile config = &[],

        /// ADDR[:PORT] to listen on; repeatable. An address that this host does not have yet is tried
        /// again until it has it. Default: loopback, which is 127.0.0.1:53, and [::1]:53 where there is
        /// IPv6. DOTWARD_LISTEN
        List listen = &["loopback"],

        /// ADDR[:PORT] to listen on for DNS over TLS, beside --listen; repeatable. The port is 853 unless
        /// one is given. Takes a certificate, and a build with the feature listen-tls. Default: none.
        /// DOTWARD_LISTEN_TLS
        List listen_tls = &["none"],

        /// ADDR[:PORT] to listen on for DNS over HTTPS, as --listen-tls does for DNS over TLS; repeatable.
        /// The port is 443 unless one is given; the URI is https://NAME/dns-query. Takes a certificate, and
        /// a build with the feature listen-https. Default: none. DOTWARD_LISTEN_HTTPS
        List listen_https = &["none"],

        /// PEM file of the certificate that clients over TLS and HTTPS are shown, with those of the
        /// authorities between it and the root; read again when it changes. Default: none.
        /// DOTWARD_CERTIFICATE
        Path certificate = &["none"],

        /// PEM file of the private key of that certificate; none: the key is in the same file. Default:
        /// none. DOTWARD_CERTIFICATE_KEY
        Path certificate_key = &["none"],

        /// NAME of the addresses of --listen-tls and --listen-https, which clients are told that ask for
        /// encryption (RFC 9462); certificate is the first one in the certificate, and none: they are told
        /// nothing. Default: certificate. DOTWARD_LISTENER_NAME
        Word listener_name = &["certificate"],

        /// SPEC of a resolver to forward to, in order of preference; repeatable. Default: cloudflare.
        /// DOTWARD_UPSTREAM
        Upstreams upstream = &["cloudflare"],

        /// NAME of the policy by which one of several upstreams is chosen; see below. Default: failover.
        /// DOTWARD_POLICY
        Word policy = &["failover"],

        /// NUMBER of upstreams to which policy split sends the queries for a domain: one, and the others
        /// in its place. Default: 1. DOTWARD_SPLIT_UPSTREAMS
        Count split_upstreams = &["1"],

        /// FILE of the key by which policy split chooses: 16 or more random octets; it is made if it is
        /// not there. Default: none, which is another key at each start. DOTWARD_SPLIT_KEY_FILE
        Path split_key_file = &["none"],

        /// send a query a second time, to another upstream or on another connection, when its response
        /// is later than 95 % of them; for 5 % of the queries at most. Default: no. DOTWARD_HEDGE=true
        Switch hedge = &["false"],

        /// IP[:PORT] of a resolver that finds the addresses of upstreams given by name, without
        /// encryption and for these names only; repeatable. Default: system, which is the name servers of
        /// /etc/resolv.conf without dotward itself. DOTWARD_BOOTSTRAP
        List bootstrap = &["system"],

        /// what is done in a network where one has to log in first: off; or "allow-plaintext-for TIME", by
        /// which the names that systems look for portals with, and no others, are asked of the network's own
        /// resolver without encryption, while no upstream can be reached, for TIME at most on each network.
        /// Takes a build with the feature captive. Default: off. DOTWARD_CAPTIVE
        Word captive = &["off"],

        /// IP[:PORT] of the network's own resolver for captive, or file:PATH of a resolv.conf that names it;
        /// repeatable. Default: system, which is what the network itself names (DHCP), or else the default
        /// gateway. DOTWARD_CAPTIVE_RESOLVER
        List captive_resolver = &["system"],

        /// permit tcp:// and udp:// upstreams, which are not encrypted: everybody on the way can read the
        /// queries. Default: no. DOTWARD_ALLOW_PLAINTEXT=true
        Switch allow_plaintext = &["false"],

        /// PEM file of certificates to trust instead of the built-in ones: those of authorities, or an
        /// upstream's own, such as a self-signed one; system is those that this system trusts, or that the
        /// variables SSL_CERT_FILE and SSL_CERT_DIR name. Default: built-in. DOTWARD_CA_FILE
        Path ca_file = &["built-in"],

        /// write the secrets of TLS connections to the file that the variable SSLKEYLOGFILE names, to decrypt
        /// recordings: whoever reads it can. Default: no, and that variable is ignored. DOTWARD_KEY_LOG=true
        Switch key_log = &["false"],

        /// OCTETS to a multiple of which queries are padded on encrypted connections, so that their length
        /// shows less (RFC 8467), 16 to 4096, or off. Default: 128. DOTWARD_PADDING
        Octets padding = &["128"],

        /// what becomes of the client subnet that a query has (RFC 7871): keep; strip, which removes it; or
        /// forbid, by which each query also says that none is to be sent on. Default: strip. DOTWARD_ECS
        Word ecs = &["strip"],

        /// TIME until a query is answered with SERVFAIL, such as 4s, 1.5s or 1500ms. Default: 4s.
        /// DOTWARD_TIMEOUT
        Time timeout = &["4s"],

        /// OCTETS of memory for cached responses, of all workers together, such as 4194304, 4M or 64k;
        /// 0 is off. Default: 4M. DOTWARD_CACHE_SIZE
        Octets cache_size = &["4M"],

        /// OCTETS of memory for queries in flight and responses that clients have not read, of all
        /// workers together and beside the cache; at least 4M for each worker. Default: 64M.
        /// DOTWARD_QUEUE_SIZE
        Octets queue_size = &["64M"],

        /// TIME for which a response with a lower TTL is cached all the same, up to 1h; TTL 0 stays 0.
        /// Default: 0. DOTWARD_MIN_TTL
        Time min_ttl = &["0"],

        /// TIME for which a response is cached at most, whatever its TTL, such as 300s or 1h. Default:
        /// 1d. DOTWARD_MAX_TTL
        Time max_ttl = &["1d"],

        /// TIME for which an expired response is kept, to be served when upstreams give no fresh one
        /// (RFC 8767); off: never. Default: 1d. DOTWARD_SERVE_STALE
        Time serve_stale = &["1d"],

        /// begin each response from the cache with the next of its addresses, for clients that take the
        /// first. Default: no, in the upstream's order. DOTWARD_ROTATE=true
        Switch rotate = &["false"],

        /// forward special-use names too: localhost, onion, home.arpa, local, internal, invalid, alt,
        /// resolver.arpa, service.arpa, and the reverse zones of private addresses. By default they are
        /// answered here.
        /// DOTWARD_FORWARD_SPECIAL_NAMES=true
        Switch forward_special_names = &["false"],

        /// FILE of hosts as /etc/hosts, which are answered here. Default: none. DOTWARD_HOSTS_FILE
        Path hosts_file = &["none"],

        /// answer queries for version.bind (class CH) with the version. Default: no.
        /// DOTWARD_SHOW_VERSION=true
        Switch show_version = &["false"],

        /// NUMBER of event loops, each on its own thread. Default: 1. DOTWARD_WORKERS
        Count workers = &["1"],

        /// keep the scheduling policy that the program was started under. By default a worker does not
        /// preempt the process that woke it (SCHED_BATCH), which costs less; where all processors are
        /// busy with others, a response may take some milliseconds longer. DOTWARD_KEEP_SCHEDULING=true
        Switch keep_scheduling = &["false"],

        /// ask nothing about the routes of this host. By default a change of routes, addresses or links is
        /// noticed at once (Linux): connections whose path to the upstream is gone are given up, and
        /// their queries are sent again. Default: no. DOTWARD_IGNORE_NETWORK_CHANGES=true
        Switch ignore_network_changes = &["false"],

        /// LEVEL of the log: off, error, warn, info or debug. Default: info. DOTWARD_LOG
        Word log = &["info"],

        /// FORMAT of the log's lines: text, or json for one object a line with time, level, target and
        /// message. Where standard error is the journal, each begins with its priority. Default: text.
        /// DOTWARD_LOG_FORMAT
        Word log_format = &["text"],

        /// FILE that gets a line of JSON for each response: the name that was asked for, where the
        /// answer came from, and how long it took; - is standard output. It is opened anew on SIGHUP.
        /// Default: off. DOTWARD_QUERY_LOG
        Word query_log = &["off"],

        /// what query-log tells of clients: none, prefix (a /24 of IPv4, a /56 of IPv6) or full.
        /// Default: none. DOTWARD_QUERY_LOG_CLIENTS
        Word query_log_clients = &["none"],

        /// ADDR[:PORT] at which metrics and health are served over HTTP, such as 127.0.0.1, or off.
        /// Whoever can connect to it can read them. It takes a program with the feature admin. Default:
        /// off. The port is 9553 unless one is given. DOTWARD_ADMIN
        Word admin = &["off"],

        /// PATH of a Unix socket by which `dotward status`, explain, why, flush, reload, log-level and
        /// trace speak to this program, or off. Root, its own user and the group of the file may
        /// connect. It takes a program with the feature control. Default: off. DOTWARD_CONTROL_SOCKET
        Path control_socket = &["off"],

        /// OCTETS of memory for the records of failures, which `dotward why` shows, of all workers
        /// together; 16k to 64M, or 0 for none. There are none without a control-socket. Default:
        /// 256k. DOTWARD_RECORD_SIZE
        Octets record_size = &["256k"],

        /// CIDR of clients to serve, such as 192.168.0.0/16, and of no others; repeatable. Default:
        /// 127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, fe80::/10,
        /// fc00::/7, and localnets: the networks that this host is on, if they are no wider than a /16
        /// or an IPv6 /48, not 100.64.0.0/10 and no tunnel; the log names them. DOTWARD_ALLOW_NET
        List allow_net = &[
            "127.0.0.0/8",
            "::1",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "169.254.0.0/16",
            "fe80::/10",
            "fc00::/7",
            "localnets",
        ],

        /// NAME of the asynchronous runtime. Default: the first one built in, such as async-std.
        /// DOTWARD_RUNTIME
        Word runtime = FIRST_RUNTIME,

        /// NUMBER of queries in flight per worker. Default: 2048. DOTWARD_MAX_IN_FLIGHT
        Count max_in_flight = &["2048"],

        /// NUMBER of queries in flight per worker and client (IPv4 address or IPv6 /64); clients on
        /// loopback have no such limit. Default: 1000. DOTWARD_MAX_IN_FLIGHT_PER_CLIENT
        Count max_in_flight_per_client = &["1000"],

        /// NUMBER of queries in flight per upstream connection. Default: 1000.
        /// DOTWARD_MAX_LINK_IN_FLIGHT
        Count max_link_in_flight = &["1000"],

        /// NUMBER of TCP connections of all clients together, those over TLS and HTTPS, too.
        /// Default: 1000. DOTWARD_MAX_TCP_CONNECTIONS
        Count max_tcp_connections = &["1000"],

        /// NUMBER of TCP connections per client (IPv4 address or IPv6 /64); clients on loopback have no
        /// such limit. Default: 100. DOTWARD_MAX_TCP_PER_CLIENT
        Count max_tcp_per_client = &["100"],

        /// NUMBER of queries in flight per TCP connection of a client; beyond it, reading pauses.
        /// Default: 100. DOTWARD_MAX_TCP_IN_FLIGHT
        Count max_tcp_in_flight = &["100"],

        /// TIME after which an idle TCP connection of a client is closed, over TLS and HTTPS, too.
        /// Default: 10s. DOTWARD_TCP_IDLE
        Time tcp_idle = &["10s"],

        /// OCTETS of the largest UDP response, 512 to 4096. Default: 1232. DOTWARD_UDP_PAYLOAD
        Count udp_payload = &["1232"],
    }
}
