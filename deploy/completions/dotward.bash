# Completion of dotward for bash. Made by WRITE_PAGES=1 cargo test --test suite pages

_dotward() {
    local cur prev command word
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD-1]}
    # --option=VALUE is three words here.
    if [ "$cur" = = ]; then cur=; fi
    if [ "$prev" = = ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
    COMPREPLY=()
    command=
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
        -*) ;;
        *) command=$word; break ;;
        esac
    done
    case $command,$prev in
    udp,--config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    udp,--listen) COMPREPLY=(); return ;;
    udp,--listen-tls) COMPREPLY=(); return ;;
    udp,--listen-https) COMPREPLY=(); return ;;
    udp,--certificate) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    udp,--certificate-key) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    udp,--listener-name) COMPREPLY=(); return ;;
    udp,--upstream) mapfile -t COMPREPLY < <(compgen -W 'cloudflare cloudflare-security cloudflare-family quad9 quad9-unfiltered quad9-ecs google adguard adguard-family adguard-unfiltered cleanbrowsing-security cleanbrowsing-adult cleanbrowsing-family dns-sb dns4eu dns4eu-protective opendns opendns-family' -- "$cur"); return ;;
    udp,--policy) mapfile -t COMPREPLY < <(compgen -W 'failover round-robin fastest split' -- "$cur"); return ;;
    udp,--split-upstreams) COMPREPLY=(); return ;;
    udp,--split-key-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    udp,--bootstrap) COMPREPLY=(); return ;;
    udp,--ca-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    udp,--padding) COMPREPLY=(); return ;;
    udp,--ecs) mapfile -t COMPREPLY < <(compgen -W 'keep strip forbid' -- "$cur"); return ;;
    udp,--timeout) COMPREPLY=(); return ;;
    udp,--cache-size) COMPREPLY=(); return ;;
    udp,--queue-size) COMPREPLY=(); return ;;
    udp,--min-ttl) COMPREPLY=(); return ;;
    udp,--max-ttl) COMPREPLY=(); return ;;
    udp,--serve-stale) COMPREPLY=(); return ;;
    udp,--hosts-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    udp,--workers) COMPREPLY=(); return ;;
    udp,--log) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug' -- "$cur"); return ;;
    udp,--log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur"); return ;;
    udp,--query-log) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    udp,--query-log-clients) mapfile -t COMPREPLY < <(compgen -W 'none prefix full' -- "$cur"); return ;;
    udp,--admin) COMPREPLY=(); return ;;
    udp,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    udp,--allow-net) COMPREPLY=(); return ;;
    udp,--runtime) mapfile -t COMPREPLY < <(compgen -W 'async-std smol tokio mio wasi' -- "$cur"); return ;;
    udp,--max-in-flight) COMPREPLY=(); return ;;
    udp,--max-in-flight-per-client) COMPREPLY=(); return ;;
    udp,--max-link-in-flight) COMPREPLY=(); return ;;
    udp,--max-tcp-connections) COMPREPLY=(); return ;;
    udp,--max-tcp-per-client) COMPREPLY=(); return ;;
    udp,--max-tcp-in-flight) COMPREPLY=(); return ;;
    udp,--tcp-idle) COMPREPLY=(); return ;;
    udp,--udp-payload) COMPREPLY=(); return ;;
    tcp,--config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    tcp,--listen) COMPREPLY=(); return ;;
    tcp,--listen-tls) COMPREPLY=(); return ;;
    tcp,--listen-https) COMPREPLY=(); return ;;
    tcp,--certificate) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    tcp,--certificate-key) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    tcp,--listener-name) COMPREPLY=(); return ;;
    tcp,--upstream) mapfile -t COMPREPLY < <(compgen -W 'cloudflare cloudflare-security cloudflare-family quad9 quad9-unfiltered quad9-ecs google adguard adguard-family adguard-unfiltered cleanbrowsing-security cleanbrowsing-adult cleanbrowsing-family dns-sb dns4eu dns4eu-protective opendns opendns-family' -- "$cur"); return ;;
    tcp,--policy) mapfile -t COMPREPLY < <(compgen -W 'failover round-robin fastest split' -- "$cur"); return ;;
    tcp,--split-upstreams) COMPREPLY=(); return ;;
    tcp,--split-key-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    tcp,--bootstrap) COMPREPLY=(); return ;;
    tcp,--ca-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    tcp,--padding) COMPREPLY=(); return ;;
    tcp,--ecs) mapfile -t COMPREPLY < <(compgen -W 'keep strip forbid' -- "$cur"); return ;;
    tcp,--timeout) COMPREPLY=(); return ;;
    tcp,--cache-size) COMPREPLY=(); return ;;
    tcp,--queue-size) COMPREPLY=(); return ;;
    tcp,--min-ttl) COMPREPLY=(); return ;;
    tcp,--max-ttl) COMPREPLY=(); return ;;
    tcp,--serve-stale) COMPREPLY=(); return ;;
    tcp,--hosts-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    tcp,--workers) COMPREPLY=(); return ;;
    tcp,--log) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug' -- "$cur"); return ;;
    tcp,--log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur"); return ;;
    tcp,--query-log) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    tcp,--query-log-clients) mapfile -t COMPREPLY < <(compgen -W 'none prefix full' -- "$cur"); return ;;
    tcp,--admin) COMPREPLY=(); return ;;
    tcp,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    tcp,--allow-net) COMPREPLY=(); return ;;
    tcp,--runtime) mapfile -t COMPREPLY < <(compgen -W 'async-std smol tokio mio wasi' -- "$cur"); return ;;
    tcp,--max-in-flight) COMPREPLY=(); return ;;
    tcp,--max-in-flight-per-client) COMPREPLY=(); return ;;
    tcp,--max-link-in-flight) COMPREPLY=(); return ;;
    tcp,--max-tcp-connections) COMPREPLY=(); return ;;
    tcp,--max-tcp-per-client) COMPREPLY=(); return ;;
    tcp,--max-tcp-in-flight) COMPREPLY=(); return ;;
    tcp,--tcp-idle) COMPREPLY=(); return ;;
    tcp,--udp-payload) COMPREPLY=(); return ;;
    serve,--config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    serve,--listen) COMPREPLY=(); return ;;
    serve,--listen-tls) COMPREPLY=(); return ;;
    serve,--listen-https) COMPREPLY=(); return ;;
    serve,--certificate) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    serve,--certificate-key) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    serve,--listener-name) COMPREPLY=(); return ;;
    serve,--upstream) mapfile -t COMPREPLY < <(compgen -W 'cloudflare cloudflare-security cloudflare-family quad9 quad9-unfiltered quad9-ecs google adguard adguard-family adguard-unfiltered cleanbrowsing-security cleanbrowsing-adult cleanbrowsing-family dns-sb dns4eu dns4eu-protective opendns opendns-family' -- "$cur"); return ;;
    serve,--policy) mapfile -t COMPREPLY < <(compgen -W 'failover round-robin fastest split' -- "$cur"); return ;;
    serve,--split-upstreams) COMPREPLY=(); return ;;
    serve,--split-key-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    serve,--bootstrap) COMPREPLY=(); return ;;
    serve,--ca-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    serve,--padding) COMPREPLY=(); return ;;
    serve,--ecs) mapfile -t COMPREPLY < <(compgen -W 'keep strip forbid' -- "$cur"); return ;;
    serve,--timeout) COMPREPLY=(); return ;;
    serve,--cache-size) COMPREPLY=(); return ;;
    serve,--queue-size) COMPREPLY=(); return ;;
    serve,--min-ttl) COMPREPLY=(); return ;;
    serve,--max-ttl) COMPREPLY=(); return ;;
    serve,--serve-stale) COMPREPLY=(); return ;;
    serve,--hosts-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    serve,--workers) COMPREPLY=(); return ;;
    serve,--log) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug' -- "$cur"); return ;;
    serve,--log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur"); return ;;
    serve,--query-log) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    serve,--query-log-clients) mapfile -t COMPREPLY < <(compgen -W 'none prefix full' -- "$cur"); return ;;
    serve,--admin) COMPREPLY=(); return ;;
    serve,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    serve,--allow-net) COMPREPLY=(); return ;;
    serve,--runtime) mapfile -t COMPREPLY < <(compgen -W 'async-std smol tokio mio wasi' -- "$cur"); return ;;
    serve,--max-in-flight) COMPREPLY=(); return ;;
    serve,--max-in-flight-per-client) COMPREPLY=(); return ;;
    serve,--max-link-in-flight) COMPREPLY=(); return ;;
    serve,--max-tcp-connections) COMPREPLY=(); return ;;
    serve,--max-tcp-per-client) COMPREPLY=(); return ;;
    serve,--max-tcp-in-flight) COMPREPLY=(); return ;;
    serve,--tcp-idle) COMPREPLY=(); return ;;
    serve,--udp-payload) COMPREPLY=(); return ;;
    check,--probe-name) COMPREPLY=(); return ;;
    check,--config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    check,--listen) COMPREPLY=(); return ;;
    check,--listen-tls) COMPREPLY=(); return ;;
    check,--listen-https) COMPREPLY=(); return ;;
    check,--certificate) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    check,--certificate-key) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    check,--listener-name) COMPREPLY=(); return ;;
    check,--upstream) mapfile -t COMPREPLY < <(compgen -W 'cloudflare cloudflare-security cloudflare-family quad9 quad9-unfiltered quad9-ecs google adguard adguard-family adguard-unfiltered cleanbrowsing-security cleanbrowsing-adult cleanbrowsing-family dns-sb dns4eu dns4eu-protective opendns opendns-family' -- "$cur"); return ;;
    check,--policy) mapfile -t COMPREPLY < <(compgen -W 'failover round-robin fastest split' -- "$cur"); return ;;
    check,--split-upstreams) COMPREPLY=(); return ;;
    check,--split-key-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    check,--bootstrap) COMPREPLY=(); return ;;
    check,--ca-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    check,--padding) COMPREPLY=(); return ;;
    check,--ecs) mapfile -t COMPREPLY < <(compgen -W 'keep strip forbid' -- "$cur"); return ;;
    check,--timeout) COMPREPLY=(); return ;;
    check,--cache-size) COMPREPLY=(); return ;;
    check,--queue-size) COMPREPLY=(); return ;;
    check,--min-ttl) COMPREPLY=(); return ;;
    check,--max-ttl) COMPREPLY=(); return ;;
    check,--serve-stale) COMPREPLY=(); return ;;
    check,--hosts-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    check,--workers) COMPREPLY=(); return ;;
    check,--log) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug' -- "$cur"); return ;;
    check,--log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur"); return ;;
    check,--query-log) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    check,--query-log-clients) mapfile -t COMPREPLY < <(compgen -W 'none prefix full' -- "$cur"); return ;;
    check,--admin) COMPREPLY=(); return ;;
    check,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    check,--allow-net) COMPREPLY=(); return ;;
    check,--runtime) mapfile -t COMPREPLY < <(compgen -W 'async-std smol tokio mio wasi' -- "$cur"); return ;;
    check,--max-in-flight) COMPREPLY=(); return ;;
    check,--max-in-flight-per-client) COMPREPLY=(); return ;;
    check,--max-link-in-flight) COMPREPLY=(); return ;;
    check,--max-tcp-connections) COMPREPLY=(); return ;;
    check,--max-tcp-per-client) COMPREPLY=(); return ;;
    check,--max-tcp-in-flight) COMPREPLY=(); return ;;
    check,--tcp-idle) COMPREPLY=(); return ;;
    check,--udp-payload) COMPREPLY=(); return ;;
    config,--config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    config,--listen) COMPREPLY=(); return ;;
    config,--listen-tls) COMPREPLY=(); return ;;
    config,--listen-https) COMPREPLY=(); return ;;
    config,--certificate) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    config,--certificate-key) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    config,--listener-name) COMPREPLY=(); return ;;
    config,--upstream) mapfile -t COMPREPLY < <(compgen -W 'cloudflare cloudflare-security cloudflare-family quad9 quad9-unfiltered quad9-ecs google adguard adguard-family adguard-unfiltered cleanbrowsing-security cleanbrowsing-adult cleanbrowsing-family dns-sb dns4eu dns4eu-protective opendns opendns-family' -- "$cur"); return ;;
    config,--policy) mapfile -t COMPREPLY < <(compgen -W 'failover round-robin fastest split' -- "$cur"); return ;;
    config,--split-upstreams) COMPREPLY=(); return ;;
    config,--split-key-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    config,--bootstrap) COMPREPLY=(); return ;;
    config,--ca-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    config,--padding) COMPREPLY=(); return ;;
    config,--ecs) mapfile -t COMPREPLY < <(compgen -W 'keep strip forbid' -- "$cur"); return ;;
    config,--timeout) COMPREPLY=(); return ;;
    config,--cache-size) COMPREPLY=(); return ;;
    config,--queue-size) COMPREPLY=(); return ;;
    config,--min-ttl) COMPREPLY=(); return ;;
    config,--max-ttl) COMPREPLY=(); return ;;
    config,--serve-stale) COMPREPLY=(); return ;;
    config,--hosts-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    config,--workers) COMPREPLY=(); return ;;
    config,--log) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug' -- "$cur"); return ;;
    config,--log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur"); return ;;
    config,--query-log) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    config,--query-log-clients) mapfile -t COMPREPLY < <(compgen -W 'none prefix full' -- "$cur"); return ;;
    config,--admin) COMPREPLY=(); return ;;
    config,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    config,--allow-net) COMPREPLY=(); return ;;
    config,--runtime) mapfile -t COMPREPLY < <(compgen -W 'async-std smol tokio mio wasi' -- "$cur"); return ;;
    config,--max-in-flight) COMPREPLY=(); return ;;
    config,--max-in-flight-per-client) COMPREPLY=(); return ;;
    config,--max-link-in-flight) COMPREPLY=(); return ;;
    config,--max-tcp-connections) COMPREPLY=(); return ;;
    config,--max-tcp-per-client) COMPREPLY=(); return ;;
    config,--max-tcp-in-flight) COMPREPLY=(); return ;;
    config,--tcp-idle) COMPREPLY=(); return ;;
    config,--udp-payload) COMPREPLY=(); return ;;
    resolv-conf,--config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    resolv-conf,--listen) COMPREPLY=(); return ;;
    resolv-conf,--listen-tls) COMPREPLY=(); return ;;
    resolv-conf,--listen-https) COMPREPLY=(); return ;;
    resolv-conf,--certificate) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    resolv-conf,--certificate-key) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    resolv-conf,--listener-name) COMPREPLY=(); return ;;
    resolv-conf,--upstream) mapfile -t COMPREPLY < <(compgen -W 'cloudflare cloudflare-security cloudflare-family quad9 quad9-unfiltered quad9-ecs google adguard adguard-family adguard-unfiltered cleanbrowsing-security cleanbrowsing-adult cleanbrowsing-family dns-sb dns4eu dns4eu-protective opendns opendns-family' -- "$cur"); return ;;
    resolv-conf,--policy) mapfile -t COMPREPLY < <(compgen -W 'failover round-robin fastest split' -- "$cur"); return ;;
    resolv-conf,--split-upstreams) COMPREPLY=(); return ;;
    resolv-conf,--split-key-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    resolv-conf,--bootstrap) COMPREPLY=(); return ;;
    resolv-conf,--ca-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    resolv-conf,--padding) COMPREPLY=(); return ;;
    resolv-conf,--ecs) mapfile -t COMPREPLY < <(compgen -W 'keep strip forbid' -- "$cur"); return ;;
    resolv-conf,--timeout) COMPREPLY=(); return ;;
    resolv-conf,--cache-size) COMPREPLY=(); return ;;
    resolv-conf,--queue-size) COMPREPLY=(); return ;;
    resolv-conf,--min-ttl) COMPREPLY=(); return ;;
    resolv-conf,--max-ttl) COMPREPLY=(); return ;;
    resolv-conf,--serve-stale) COMPREPLY=(); return ;;
    resolv-conf,--hosts-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    resolv-conf,--workers) COMPREPLY=(); return ;;
    resolv-conf,--log) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug' -- "$cur"); return ;;
    resolv-conf,--log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur"); return ;;
    resolv-conf,--query-log) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    resolv-conf,--query-log-clients) mapfile -t COMPREPLY < <(compgen -W 'none prefix full' -- "$cur"); return ;;
    resolv-conf,--admin) COMPREPLY=(); return ;;
    resolv-conf,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    resolv-conf,--allow-net) COMPREPLY=(); return ;;
    resolv-conf,--runtime) mapfile -t COMPREPLY < <(compgen -W 'async-std smol tokio mio wasi' -- "$cur"); return ;;
    resolv-conf,--max-in-flight) COMPREPLY=(); return ;;
    resolv-conf,--max-in-flight-per-client) COMPREPLY=(); return ;;
    resolv-conf,--max-link-in-flight) COMPREPLY=(); return ;;
    resolv-conf,--max-tcp-connections) COMPREPLY=(); return ;;
    resolv-conf,--max-tcp-per-client) COMPREPLY=(); return ;;
    resolv-conf,--max-tcp-in-flight) COMPREPLY=(); return ;;
    resolv-conf,--tcp-idle) COMPREPLY=(); return ;;
    resolv-conf,--udp-payload) COMPREPLY=(); return ;;
    dnr,--name) COMPREPLY=(); return ;;
    dnr,--address) COMPREPLY=(); return ;;
    dnr,--alpn) mapfile -t COMPREPLY < <(compgen -W 'dot doq h2 h3' -- "$cur"); return ;;
    dnr,--port) COMPREPLY=(); return ;;
    dnr,--dohpath) COMPREPLY=(); return ;;
    dnr,--priority) COMPREPLY=(); return ;;
    dnr,--config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    dnr,--listen) COMPREPLY=(); return ;;
    dnr,--listen-tls) COMPREPLY=(); return ;;
    dnr,--listen-https) COMPREPLY=(); return ;;
    dnr,--certificate) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    dnr,--certificate-key) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    dnr,--listener-name) COMPREPLY=(); return ;;
    dnr,--upstream) mapfile -t COMPREPLY < <(compgen -W 'cloudflare cloudflare-security cloudflare-family quad9 quad9-unfiltered quad9-ecs google adguard adguard-family adguard-unfiltered cleanbrowsing-security cleanbrowsing-adult cleanbrowsing-family dns-sb dns4eu dns4eu-protective opendns opendns-family' -- "$cur"); return ;;
    dnr,--policy) mapfile -t COMPREPLY < <(compgen -W 'failover round-robin fastest split' -- "$cur"); return ;;
    dnr,--split-upstreams) COMPREPLY=(); return ;;
    dnr,--split-key-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    dnr,--bootstrap) COMPREPLY=(); return ;;
    dnr,--ca-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    dnr,--padding) COMPREPLY=(); return ;;
    dnr,--ecs) mapfile -t COMPREPLY < <(compgen -W 'keep strip forbid' -- "$cur"); return ;;
    dnr,--timeout) COMPREPLY=(); return ;;
    dnr,--cache-size) COMPREPLY=(); return ;;
    dnr,--queue-size) COMPREPLY=(); return ;;
    dnr,--min-ttl) COMPREPLY=(); return ;;
    dnr,--max-ttl) COMPREPLY=(); return ;;
    dnr,--serve-stale) COMPREPLY=(); return ;;
    dnr,--hosts-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    dnr,--workers) COMPREPLY=(); return ;;
    dnr,--log) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug' -- "$cur"); return ;;
    dnr,--log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur"); return ;;
    dnr,--query-log) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    dnr,--query-log-clients) mapfile -t COMPREPLY < <(compgen -W 'none prefix full' -- "$cur"); return ;;
    dnr,--admin) COMPREPLY=(); return ;;
    dnr,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    dnr,--allow-net) COMPREPLY=(); return ;;
    dnr,--runtime) mapfile -t COMPREPLY < <(compgen -W 'async-std smol tokio mio wasi' -- "$cur"); return ;;
    dnr,--max-in-flight) COMPREPLY=(); return ;;
    dnr,--max-in-flight-per-client) COMPREPLY=(); return ;;
    dnr,--max-link-in-flight) COMPREPLY=(); return ;;
    dnr,--max-tcp-connections) COMPREPLY=(); return ;;
    dnr,--max-tcp-per-client) COMPREPLY=(); return ;;
    dnr,--max-tcp-in-flight) COMPREPLY=(); return ;;
    dnr,--tcp-idle) COMPREPLY=(); return ;;
    dnr,--udp-payload) COMPREPLY=(); return ;;
    query,--server) mapfile -t COMPREPLY < <(compgen -W 'cloudflare cloudflare-security cloudflare-family quad9 quad9-unfiltered quad9-ecs google adguard adguard-family adguard-unfiltered cleanbrowsing-security cleanbrowsing-adult cleanbrowsing-family dns-sb dns4eu dns4eu-protective opendns opendns-family' -- "$cur"); return ;;
    query,-x) COMPREPLY=(); return ;;
    query,--config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    query,--listen) COMPREPLY=(); return ;;
    query,--listen-tls) COMPREPLY=(); return ;;
    query,--listen-https) COMPREPLY=(); return ;;
    query,--certificate) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    query,--certificate-key) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    query,--listener-name) COMPREPLY=(); return ;;
    query,--upstream) mapfile -t COMPREPLY < <(compgen -W 'cloudflare cloudflare-security cloudflare-family quad9 quad9-unfiltered quad9-ecs google adguard adguard-family adguard-unfiltered cleanbrowsing-security cleanbrowsing-adult cleanbrowsing-family dns-sb dns4eu dns4eu-protective opendns opendns-family' -- "$cur"); return ;;
    query,--policy) mapfile -t COMPREPLY < <(compgen -W 'failover round-robin fastest split' -- "$cur"); return ;;
    query,--split-upstreams) COMPREPLY=(); return ;;
    query,--split-key-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    query,--bootstrap) COMPREPLY=(); return ;;
    query,--ca-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    query,--padding) COMPREPLY=(); return ;;
    query,--ecs) mapfile -t COMPREPLY < <(compgen -W 'keep strip forbid' -- "$cur"); return ;;
    query,--timeout) COMPREPLY=(); return ;;
    query,--cache-size) COMPREPLY=(); return ;;
    query,--queue-size) COMPREPLY=(); return ;;
    query,--min-ttl) COMPREPLY=(); return ;;
    query,--max-ttl) COMPREPLY=(); return ;;
    query,--serve-stale) COMPREPLY=(); return ;;
    query,--hosts-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    query,--workers) COMPREPLY=(); return ;;
    query,--log) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug' -- "$cur"); return ;;
    query,--log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur"); return ;;
    query,--query-log) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    query,--query-log-clients) mapfile -t COMPREPLY < <(compgen -W 'none prefix full' -- "$cur"); return ;;
    query,--admin) COMPREPLY=(); return ;;
    query,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    query,--allow-net) COMPREPLY=(); return ;;
    query,--runtime) mapfile -t COMPREPLY < <(compgen -W 'async-std smol tokio mio wasi' -- "$cur"); return ;;
    query,--max-in-flight) COMPREPLY=(); return ;;
    query,--max-in-flight-per-client) COMPREPLY=(); return ;;
    query,--max-link-in-flight) COMPREPLY=(); return ;;
    query,--max-tcp-connections) COMPREPLY=(); return ;;
    query,--max-tcp-per-client) COMPREPLY=(); return ;;
    query,--max-tcp-in-flight) COMPREPLY=(); return ;;
    query,--tcp-idle) COMPREPLY=(); return ;;
    query,--udp-payload) COMPREPLY=(); return ;;
    bench,--count) COMPREPLY=(); return ;;
    bench,--time) COMPREPLY=(); return ;;
    bench,--name) COMPREPLY=(); return ;;
    bench,--config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    bench,--listen) COMPREPLY=(); return ;;
    bench,--listen-tls) COMPREPLY=(); return ;;
    bench,--listen-https) COMPREPLY=(); return ;;
    bench,--certificate) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    bench,--certificate-key) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    bench,--listener-name) COMPREPLY=(); return ;;
    bench,--upstream) mapfile -t COMPREPLY < <(compgen -W 'cloudflare cloudflare-security cloudflare-family quad9 quad9-unfiltered quad9-ecs google adguard adguard-family adguard-unfiltered cleanbrowsing-security cleanbrowsing-adult cleanbrowsing-family dns-sb dns4eu dns4eu-protective opendns opendns-family' -- "$cur"); return ;;
    bench,--policy) mapfile -t COMPREPLY < <(compgen -W 'failover round-robin fastest split' -- "$cur"); return ;;
    bench,--split-upstreams) COMPREPLY=(); return ;;
    bench,--split-key-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    bench,--bootstrap) COMPREPLY=(); return ;;
    bench,--ca-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    bench,--padding) COMPREPLY=(); return ;;
    bench,--ecs) mapfile -t COMPREPLY < <(compgen -W 'keep strip forbid' -- "$cur"); return ;;
    bench,--timeout) COMPREPLY=(); return ;;
    bench,--cache-size) COMPREPLY=(); return ;;
    bench,--queue-size) COMPREPLY=(); return ;;
    bench,--min-ttl) COMPREPLY=(); return ;;
    bench,--max-ttl) COMPREPLY=(); return ;;
    bench,--serve-stale) COMPREPLY=(); return ;;
    bench,--hosts-file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    bench,--workers) COMPREPLY=(); return ;;
    bench,--log) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug' -- "$cur"); return ;;
    bench,--log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur"); return ;;
    bench,--query-log) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    bench,--query-log-clients) mapfile -t COMPREPLY < <(compgen -W 'none prefix full' -- "$cur"); return ;;
    bench,--admin) COMPREPLY=(); return ;;
    bench,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    bench,--allow-net) COMPREPLY=(); return ;;
    bench,--runtime) mapfile -t COMPREPLY < <(compgen -W 'async-std smol tokio mio wasi' -- "$cur"); return ;;
    bench,--max-in-flight) COMPREPLY=(); return ;;
    bench,--max-in-flight-per-client) COMPREPLY=(); return ;;
    bench,--max-link-in-flight) COMPREPLY=(); return ;;
    bench,--max-tcp-connections) COMPREPLY=(); return ;;
    bench,--max-tcp-per-client) COMPREPLY=(); return ;;
    bench,--max-tcp-in-flight) COMPREPLY=(); return ;;
    bench,--tcp-idle) COMPREPLY=(); return ;;
    bench,--udp-payload) COMPREPLY=(); return ;;
    certificate,--name) COMPREPLY=(); return ;;
    certificate,--address) COMPREPLY=(); return ;;
    certificate,--directory) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    certificate,--days) COMPREPLY=(); return ;;
    certificate,--protocol) mapfile -t COMPREPLY < <(compgen -W 'tls https' -- "$cur"); return ;;
    import,--from) mapfile -t COMPREPLY < <(compgen -W 'stubby unbound systemd-resolved dnscrypt-proxy dnsdist coredns blocky cloudflared' -- "$cur"); return ;;
    import,--output) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    status,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    explain,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    flush,--suffix) COMPREPLY=(); return ;;
    flush,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    reload,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    log-level,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    trace,--for) COMPREPLY=(); return ;;
    trace,--control-socket) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    esac
    case $command in
    '') mapfile -t COMPREPLY < <(compgen -W 'udp tcp serve check config resolv-conf dnr query bench certificate import providers status explain flush reload log-level trace help --help --version' -- "$cur") ;;
    udp)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--config --listen --listen-tls --listen-https --certificate --certificate-key --listener-name --upstream --policy --split-upstreams --split-key-file --hedge --bootstrap --allow-plaintext --ca-file --key-log --padding --ecs --timeout --cache-size --queue-size --min-ttl --max-ttl --serve-stale --rotate --forward-special-names --hosts-file --show-version --workers --keep-scheduling --ignore-network-changes --log --log-format --query-log --query-log-clients --admin --control-socket --allow-net --runtime --max-in-flight --max-in-flight-per-client --max-link-in-flight --max-tcp-connections --max-tcp-per-client --max-tcp-in-flight --tcp-idle --udp-payload -h --help' -- "$cur") ;;
        *) COMPREPLY=() ;;
        esac
        ;;
    tcp)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--config --listen --listen-tls --listen-https --certificate --certificate-key --listener-name --upstream --policy --split-upstreams --split-key-file --hedge --bootstrap --allow-plaintext --ca-file --key-log --padding --ecs --timeout --cache-size --queue-size --min-ttl --max-ttl --serve-stale --rotate --forward-special-names --hosts-file --show-version --workers --keep-scheduling --ignore-network-changes --log --log-format --query-log --query-log-clients --admin --control-socket --allow-net --runtime --max-in-flight --max-in-flight-per-client --max-link-in-flight --max-tcp-connections --max-tcp-per-client --max-tcp-in-flight --tcp-idle --udp-payload -h --help' -- "$cur") ;;
        *) COMPREPLY=() ;;
        esac
        ;;
    serve)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--config --listen --listen-tls --listen-https --certificate --certificate-key --listener-name --upstream --policy --split-upstreams --split-key-file --hedge --bootstrap --allow-plaintext --ca-file --key-log --padding --ecs --timeout --cache-size --queue-size --min-ttl --max-ttl --serve-stale --rotate --forward-special-names --hosts-file --show-version --workers --keep-scheduling --ignore-network-changes --log --log-format --query-log --query-log-clients --admin --control-socket --allow-net --runtime --max-in-flight --max-in-flight-per-client --max-link-in-flight --max-tcp-connections --max-tcp-per-client --max-tcp-in-flight --tcp-idle --udp-payload -h --help' -- "$cur") ;;
        *) COMPREPLY=() ;;
        esac
        ;;
    check)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--probe --json --probe-name --config --listen --listen-tls --listen-https --certificate --certificate-key --listener-name --upstream --policy --split-upstreams --split-key-file --hedge --bootstrap --allow-plaintext --ca-file --key-log --padding --ecs --timeout --cache-size --queue-size --min-ttl --max-ttl --serve-stale --rotate --forward-special-names --hosts-file --show-version --workers --keep-scheduling --ignore-network-changes --log --log-format --query-log --query-log-clients --admin --control-socket --allow-net --runtime --max-in-flight --max-in-flight-per-client --max-link-in-flight --max-tcp-connections --max-tcp-per-client --max-tcp-in-flight --tcp-idle --udp-payload -h --help' -- "$cur") ;;
        *) mapfile -t COMPREPLY < <(compgen -W 'udp tcp serve' -- "$cur") ;;
        esac
        ;;
    config)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--config --listen --listen-tls --listen-https --certificate --certificate-key --listener-name --upstream --policy --split-upstreams --split-key-file --hedge --bootstrap --allow-plaintext --ca-file --key-log --padding --ecs --timeout --cache-size --queue-size --min-ttl --max-ttl --serve-stale --rotate --forward-special-names --hosts-file --show-version --workers --keep-scheduling --ignore-network-changes --log --log-format --query-log --query-log-clients --admin --control-socket --allow-net --runtime --max-in-flight --max-in-flight-per-client --max-link-in-flight --max-tcp-connections --max-tcp-per-client --max-tcp-in-flight --tcp-idle --udp-payload -h --help' -- "$cur") ;;
        *) mapfile -t COMPREPLY < <(compgen -W 'udp tcp serve' -- "$cur") ;;
        esac
        ;;
    resolv-conf)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--config --listen --listen-tls --listen-https --certificate --certificate-key --listener-name --upstream --policy --split-upstreams --split-key-file --hedge --bootstrap --allow-plaintext --ca-file --key-log --padding --ecs --timeout --cache-size --queue-size --min-ttl --max-ttl --serve-stale --rotate --forward-special-names --hosts-file --show-version --workers --keep-scheduling --ignore-network-changes --log --log-format --query-log --query-log-clients --admin --control-socket --allow-net --runtime --max-in-flight --max-in-flight-per-client --max-link-in-flight --max-tcp-connections --max-tcp-per-client --max-tcp-in-flight --tcp-idle --udp-payload -h --help' -- "$cur") ;;
        *) mapfile -t COMPREPLY < <(compgen -W 'udp tcp serve' -- "$cur") ;;
        esac
        ;;
    dnr)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--name --address --alpn --port --dohpath --priority --config --listen --listen-tls --listen-https --certificate --certificate-key --listener-name --upstream --policy --split-upstreams --split-key-file --hedge --bootstrap --allow-plaintext --ca-file --key-log --padding --ecs --timeout --cache-size --queue-size --min-ttl --max-ttl --serve-stale --rotate --forward-special-names --hosts-file --show-version --workers --keep-scheduling --ignore-network-changes --log --log-format --query-log --query-log-clients --admin --control-socket --allow-net --runtime --max-in-flight --max-in-flight-per-client --max-link-in-flight --max-tcp-connections --max-tcp-per-client --max-tcp-in-flight --tcp-idle --udp-payload -h --help' -- "$cur") ;;
        *) mapfile -t COMPREPLY < <(compgen -W 'udp tcp serve' -- "$cur") ;;
        esac
        ;;
    query)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--server --all -x --dnssec --json --config --listen --listen-tls --listen-https --certificate --certificate-key --listener-name --upstream --policy --split-upstreams --split-key-file --hedge --bootstrap --allow-plaintext --ca-file --key-log --padding --ecs --timeout --cache-size --queue-size --min-ttl --max-ttl --serve-stale --rotate --forward-special-names --hosts-file --show-version --workers --keep-scheduling --ignore-network-changes --log --log-format --query-log --query-log-clients --admin --control-socket --allow-net --runtime --max-in-flight --max-in-flight-per-client --max-link-in-flight --max-tcp-connections --max-tcp-per-client --max-tcp-in-flight --tcp-idle --udp-payload -h --help' -- "$cur") ;;
        *) COMPREPLY=() ;;
        esac
        ;;
    bench)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--count --time --name --json --config --listen --listen-tls --listen-https --certificate --certificate-key --listener-name --upstream --policy --split-upstreams --split-key-file --hedge --bootstrap --allow-plaintext --ca-file --key-log --padding --ecs --timeout --cache-size --queue-size --min-ttl --max-ttl --serve-stale --rotate --forward-special-names --hosts-file --show-version --workers --keep-scheduling --ignore-network-changes --log --log-format --query-log --query-log-clients --admin --control-socket --allow-net --runtime --max-in-flight --max-in-flight-per-client --max-link-in-flight --max-tcp-connections --max-tcp-per-client --max-tcp-in-flight --tcp-idle --udp-payload -h --help' -- "$cur") ;;
        *) mapfile -t COMPREPLY < <(compgen -W 'cloudflare cloudflare-security cloudflare-family quad9 quad9-unfiltered quad9-ecs google adguard adguard-family adguard-unfiltered cleanbrowsing-security cleanbrowsing-adult cleanbrowsing-family dns-sb dns4eu dns4eu-protective opendns opendns-family' -- "$cur") ;;
        esac
        ;;
    certificate)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--name --address --directory --days --protocol --force -h --help' -- "$cur") ;;
        *) COMPREPLY=() ;;
        esac
        ;;
    import)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--from --output --force -h --help' -- "$cur") ;;
        *) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        esac
        ;;
    providers)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '-h --help' -- "$cur") ;;
        *) COMPREPLY=() ;;
        esac
        ;;
    status)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--control-socket --json -h --help' -- "$cur") ;;
        *) COMPREPLY=() ;;
        esac
        ;;
    explain)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--control-socket --json -h --help' -- "$cur") ;;
        *) COMPREPLY=() ;;
        esac
        ;;
    flush)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--suffix --control-socket --json -h --help' -- "$cur") ;;
        *) COMPREPLY=() ;;
        esac
        ;;
    reload)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--control-socket --json -h --help' -- "$cur") ;;
        *) COMPREPLY=() ;;
        esac
        ;;
    log-level)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--control-socket --json -h --help' -- "$cur") ;;
        *) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug' -- "$cur") ;;
        esac
        ;;
    trace)
        case $cur in
        -*) mapfile -t COMPREPLY < <(compgen -W '--for --control-socket --json -h --help' -- "$cur") ;;
        *) mapfile -t COMPREPLY < <(compgen -W 'on off' -- "$cur") ;;
        esac
        ;;
    esac
}
complete -F _dotward dotward
