# What one does with dotward, by name. `just` alone lists it.

# List the recipes
default:
    @{{ just_executable() }} --list --unsorted

# Forward from 127.0.0.1:5300: MODE is what clients speak (udp, tcp, or serve for both), RUNTIME what it runs on
run MODE RUNTIME="async-std":
    @echo "then: dig {{ if MODE == "tcp" { "+tcp " } else { "" } }}@127.0.0.1 -p 5300 example.com"
    cargo run --release{{ if RUNTIME == "async-std" { "" } else { " --features " + RUNTIME } }} -- {{ MODE }} --runtime {{ RUNTIME }} --listen 127.0.0.1:5300

# Show some queries on their way, with no network: a TLS upstream, dotward, and a client, all on loopback
demo:
    cargo run --release --example demo

# Run the tests: no network but loopback, no root
test:
    cargo test

# Hold a runtime, and each protocol over it, to what the shell relies on: async-std, smol, tokio, mio, or the network in memory
conform RUNTIME:
    cargo test --test conform{{ if RUNTIME =~ "^(async-std|memory)$" { "" } else { " --features " + RUNTIME } }} -- {{ replace(RUNTIME, "-", "_") }}::

# Hold the catalogue of faults to the tests that it names, or make docs/faults.md from it (--write)
faults *OPTIONS:
    tests/catalogue/check {{ OPTIONS }}

# Tell the random story of a seed with all that happens (--shrink: a shorter one that fails alike; --core: the core alone; --all: with promises not kept yet; --protocol https or quic: an upstream speaks it), or try many: FROM..TO
simulate SEED *OPTIONS:
    cargo run --profile simulate --features doh,doq --example simulate -- {{ SEED }} {{ OPTIONS }}

# Fuzz the wire format, the cache's form of a response and the core, SECONDS for each; what finds a fault stays in tests/fuzz/corpus
fuzz SECONDS TARGET="":
    FUZZ_SECONDS={{ SECONDS }} cargo test --profile simulate --test fuzz -- --nocapture --test-threads 1 {{ TARGET }}

# Check every combination of features, and that a build with one runtime depends on no other
features:
    .ci/features

# Check that clippy reports a clock, a thread or I/O in the pure modules, and what is newer than the oldest Rust
guards:
    .ci/guards

# Compare the public items of the library with .ci/api.txt, or make that list anew (--write)
api *OPTIONS:
    .ci/api {{ OPTIONS }}

# Check the format, the lints, the documentation's links and the shell scripts
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
    shellcheck -x .ci/run .ci/aarch64 .ci/book .ci/dependencies .ci/features .ci/guards .ci/helm .ci/manifests .ci/packages .ci/program .ci/release .ci/reproducible .ci/tools .ci/wasi $(grep -l '^#!.*bash' tests/interop/*)

# Format the code
fmt:
    cargo fmt

# Build the documentation and open it
doc:
    cargo doc --no-deps --open

# Try dotward with real peers (unbound, dig, kdig, podman, ...): Debian, as root
interop:
    tests/interop/all

# Measure dotward beside the forwarders that are installed: takes minutes, wants a quiet machine
bench *SUBJECTS:
    benches/peers/run {{ SUBJECTS }}

# Measure with an upstream that is far away: 20 ms of round trip added, over one connection
bench-far *OPTIONS:
    benches/peers/far {{ OPTIONS }}

# Measure over a link with delay, loss and outages, beside the forwarders that are installed: root
bench-wan *OPTIONS:
    benches/wan/run {{ OPTIONS }}

# Measure what two workers make of 16 clients
bench-workers *OPTIONS:
    benches/peers/workers {{ OPTIONS }}

# Measure what the admin server, the control socket and the records cost: CPU time per query, and memory
bench-observed:
    cargo build --release --features full
    benches/observed target/release/dotward

# Let it run for MINUTES under half of its peak, with faults of all kinds, and hold it to its bounds
soak MINUTES *OPTIONS:
    benches/soak/run {{ MINUTES }} {{ OPTIONS }}

# Compare the providers of the key exchange: size, ClientHello, handshakes, records (valgrind; compiles AWS-LC)
key-exchange *PARTS:
    benches/key_exchange/run {{ PARTS }}

# Time the parts of the core
micro:
    cargo bench --bench micro

# Count instructions, against the recorded budget (valgrind)
counting:
    tests/counting/run

# Try the packages: build, install, upgrade and remove them, and read the recipes of what is not built here (Debian, as root: many minutes)
packages:
    tests/interop/all deb rpm tarball openwrt recipes

# Build the container image, with its health check
image:
    podman build --format docker -t dotward .

# Make the Kubernetes manifests from the chart (--write), or hold them to it
manifests *OPTIONS:
    .ci/manifests {{ OPTIONS }}

# Build the program twice, in two places and by two users, and compare: root
reproducible:
    .ci/reproducible

# Make all that is published of VERSION in dist/: Debian, as root (--trial: of a version that is not ready)
release VERSION *OPTIONS:
    .ci/release {{ VERSION }} {{ OPTIONS }}

# Check the dependencies: licences, sources, duplicates and security advisories, that each is used, and that the oldest versions build
audit:
    cargo deny check
    .ci/dependencies

# Run all that continuous integration runs: Debian, as root
ci:
    bash .ci/run
