# shellcheck shell=bash
# Shared by the scripts of this folder: a temporary place, a throw-away CA, unbound as the peer, dotward between them.
# Source it first. Everything that it starts is stopped by its pid when the script ends, whatever happens.
set -euo pipefail
export LC_ALL=C.UTF-8 PATH=$PATH:/usr/sbin:/sbin

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
HERE=$ROOT/tests/interop
T=$(mktemp -d /tmp/interop.XXXXXX)
chmod 755 "$T"
PASSED=0
FAILED=0
STARTED=() # the pids to stop
UNDO=()    # commands to run after that, the last one first

# Variables of the caller's own dotward must not reach ours, but for the runtime that is to be tried.
for name in "${!DOTWARD_@}"; do [ "$name" = DOTWARD_RUNTIME ] || unset "$name"; done
# Neither must the file in /etc.
export DOTWARD_CONFIG=none

# --- Results ---------------------------------------------------------------------------------------------------------

pass() { PASSED=$((PASSED + 1)); echo "PASS $*"; }
fail() { FAILED=$((FAILED + 1)); echo "FAIL $*"; }

# check WHAT COMMAND...: passes if the command does; shows what it printed if not. No subshell, so that it can `wait`.
check() {
  local what=$1 status=0
  shift
  "$@" >"$T/output" 2>&1 || status=$?
  if [ "$status" = 0 ]; then pass "$what"; else
    fail "$what (status $status)"
    sed 's/^/     | /' "$T/output"
  fi
}

# same WHAT ONE OTHER: two texts are equal.
same() {
  if [ "$2" = "$3" ]; then pass "$1"; else
    fail "$1"
    { diff <(echo "$2") <(echo "$3") || true; } | sed 's/^/     | /'
  fi
}

# contains WHAT TEXT PATTERN: an extended regular expression is found in the text.
contains() {
  if grep -qE -- "$3" <<<"$2"; then pass "$1"; else
    fail "$1: no /$3/ in"
    sed 's/^/     | /' <<<"$2"
  fi
}

# The last line of every script.
finish() {
  echo "$PASSED passed, $FAILED failed"
  [ "$FAILED" = 0 ] && [ "$PASSED" -gt 0 ]
}

# --- Starting and stopping -------------------------------------------------------------------------------------------

# start NAME COMMAND...: runs it in the background with its output in $T/NAME.log; its pid is then in $PID.
start() {
  local name=$1
  shift
  "$@" >"$T/$name.log" 2>&1 </dev/null &
  PID=$!
  STARTED+=("$PID")
}

# stop PID [SIGNAL]: ends one process of ours, by force after eight seconds; gives its exit status.
stop() {
  kill -s "${2:-TERM}" "$1" 2>/dev/null || true
  for _ in $(seq 80); do
    kill -0 "$1" 2>/dev/null || break
    sleep 0.1
  done
  kill -s KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null
}

# within SECONDS COMMAND...: waits for the command to succeed.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

cleanup() {
  local status=$? pid i
  trap - EXIT
  for pid in "${STARTED[@]}"; do stop "$pid" || true; done
  for ((i = ${#UNDO[@]} - 1; i >= 0; i--)); do eval "${UNDO[i]}" >/dev/null 2>&1 || true; done
  if [ "$status" != 0 ]; then
    for log in "$T"/dotward*.log; do
      [ -s "$log" ] || continue
      echo "--- the end of $(basename "$log")"
      tail -n 15 "$log"
    done
  fi
  if [ -n "${KEEP:-}" ]; then echo "kept: $T"; else rm -rf "$T"; fi
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# need COMMAND=PACKAGE...: installs the Debian packages whose commands are missing, and starts none of their services.
need() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || missing+=("${pair##*=}")
  done
  [ "${#missing[@]}" = 0 ] && return
  apt-get update -qq
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# free_ports COUNT: ports that are free for UDP and TCP on both loopback addresses, on one line.
free_ports() {
  python3 - "$1" <<'PY'
import socket, sys
held, ports = [], []
while len(ports) < int(sys.argv[1]):
    port = 0
    try:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                held.append(socket.socket(family, kind))
                held[-1].bind((host, port))
                port = held[-1].getsockname()[1]
        ports.append(port)
    except OSError:
        continue
print(*ports)
PY
}

# --- The CA, its zones and unbound -----------------------------------------------------------------------------------

new_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null ||
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

# make_ca NAME: $T/NAME.pem and $T/NAME.key.
make_ca() {
  new_key "$T/$1.key"
  openssl req -x509 -new -key "$T/$1.key" -subj "/CN=interop $1" -days 2 -out "$T/$1.pem" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
}

# make_leaf NAME CA SUBJECT-ALTERNATIVE-NAMES [FROM UNTIL]: $T/NAME.crt and $T/NAME.key. No names: a common name alone.
make_leaf() {
  local now
  printf -v now '%(%Y%m%d%H%M%SZ)T' $((EPOCHSECONDS - 3600))
  new_key "$T/$1.key"
  mkdir "$T/$1.ca"
  : >"$T/$1.ca/index"
  printf '[ca]\ndefault_ca=ours\n[ours]\nnew_certs_dir=%s\ndatabase=%s/index\nrand_serial=yes\ndefault_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n[leaf]\nextendedKeyUsage=serverAuth\n%s\n' \
    "$T/$1.ca" "$T/$1.ca" "${3:+subjectAltName=$3}" >"$T/$1.cnf"
  openssl req -new -key "$T/$1.key" -subj /CN=dot.test -out "$T/$1.csr" -config /dev/null 2>/dev/null ||
    openssl req -new -key "$T/$1.key" -subj /CN=dot.test -out "$T/$1.csr"
  openssl ca -batch -notext -config "$T/$1.cnf" -extensions leaf -cert "$T/$2.pem" -keyfile "$T/$2.key" \
    -in "$T/$1.csr" -out "$T/$1.crt" -startdate "${4:-$now}" -enddate "${5:-20991231235959Z}" 2>/dev/null
}

# make_zones: $T/example.test (signed) and $T/numbers.test, where n0 to n99999 each have an address of their own.
make_zones() {
  local big
  big=$(printf '"%0248d" ' {1..12})
  cat >"$T/example.test.unsigned" <<ZONE
\$TTL 3600
@       SOA  ns.example.test. hostmaster.example.test. 1 7200 3600 86400 300
@       NS   ns
ns      A    192.0.2.53
@       MX   10 mail
@       MX   20 mail2.example.net.
www     A    192.0.2.1
www     A    192.0.2.2
www     AAAA 2001:db8::1
alias   CNAME www
text    TXT  "some text" "\" \\\\ \\000 \\255"
_853._tcp TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000
svc     SVCB 1 dot.example.net. alpn=dot port=853
opaque  TYPE65280 \\# 8 0011223344556677
\\000odd\\255\\ \\.\\@ A 192.0.2.9
big     TXT  $big
ZONE
  mkdir -p "$T/keys"
  dnssec-keygen -q -K "$T/keys" -a RSASHA256 -b 2048 -f KSK example.test >/dev/null
  dnssec-keygen -q -K "$T/keys" -a RSASHA256 -b 2048 example.test >/dev/null
  dnssec-signzone -q -S -K "$T/keys" -d "$T/keys" -o example.test -f "$T/example.test" "$T/example.test.unsigned" >/dev/null
  python3 - >"$T/numbers.test" <<'PY'
print("$TTL 3600\n@ SOA ns hostmaster 1 7200 3600 86400 300\n@ NS ns\nns A 192.0.2.53")
for i in range(100_000):
    print(f"n{i} A 10.{i >> 16}.{i >> 8 & 255}.{i & 255}")
PY
}

# start_unbound NAME TLS-PORT PLAIN-PORT LEAF [LINE...]: unbound with the zones over TLS and in the clear, on 127.0.0.1.
# Its queries are in $T/NAME.log. Lines are added to its `server:` clause or follow it.
start_unbound() {
  local name=$1 tls=$2 plain=$3 leaf=$4
  shift 4
  {
    cat <<CONF
server:
  directory: "$T"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  log-queries: yes
  interface: 127.0.0.1@$tls
  interface: 127.0.0.1@$plain
  tls-port: $tls
  tls-service-key: "$T/$leaf.key"
  tls-service-pem: "$T/$leaf.crt"
  access-control: 0.0.0.0/0 allow
  do-not-query-localhost: no
  module-config: "iterator"
  rrset-roundrobin: no
  outgoing-range: 4096
  num-queries-per-thread: 4096
  incoming-num-tcp: 100
  local-zone: "test." nodefault
CONF
    [ "$#" = 0 ] || printf '%s\n' "$@"
    for zone in example.test numbers.test; do
      printf 'auth-zone:\n  name: "%s"\n  zonefile: "%s"\n  for-downstream: yes\n  for-upstream: no\n' "$zone" "$T/$zone"
    done
    printf 'remote-control:\n  control-enable: no\n'
  } >"$T/$name.conf"
  start "$name" ${IN_NETNS:+ip netns exec "$IN_NETNS"} unbound -d -c "$T/$name.conf"
  within 15 ${IN_NETNS:+ip netns exec "$IN_NETNS"} dig +time=1 +tries=1 @127.0.0.1 -p "$plain" n1.numbers.test ||
    { cat "$T/$name.log"; return 1; }
}

# --- dotward ---------------------------------------------------------------------------------------------------------

# PROGRAM: the program under test. Built here, with these FEATURES beside the default ones, unless the caller names one.
find_program() {
  PROGRAM=${PROGRAM:-}
  if [ -z "$PROGRAM" ]; then
    local features=${DOTWARD_RUNTIME:-async-std}${FEATURES:+,$FEATURES}
    cargo build --quiet --release --manifest-path "$ROOT/Cargo.toml" --features "$features"
    PROGRAM=${CARGO_TARGET_DIR:-$ROOT/target}/release/dotward
  fi
}

# find_released_program: PROGRAM as it is released, with all features. Built once for all scripts that want it, unless the caller names one.
find_released_program() {
  [ -z "${PROGRAM:-}" ] || return 0
  PROGRAM=$T/released
  "$ROOT/.ci/program" "$PROGRAM" >"$T/build.log" 2>&1 || { tail -n 40 "$T/build.log"; return 1; }
}

# start_dotward NAME ARGUMENT...: its log is $T/NAME.log, its pid is in $PID. Waits until it serves.
start_dotward() {
  local name=$1
  shift
  start "$name" ${IN_NETNS:+ip netns exec "$IN_NETNS"} "${AS[@]}" "$PROGRAM" "$@"
  within 10 grep -q serving "$T/$name.log" || { fail "$name does not start: $*"; return 1; }
}
AS=() # a prefix that runs the program with other rights
