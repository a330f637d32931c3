# The Worker on this machine, under workerd:
#
#   UPSTREAMS=tls://dns.quad9.net workerd serve examples/edge-worker/config.capnp
#
# The core has to be built before, as ../edge/README.md says.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    # Where the Worker may connect to, and whose certificates it trusts. For a resolver in one's own network:
    # allow = ["private"], tlsOptions = (trustedCertificates = [embed "ca.pem"])
    (name = "internet", network = (allow = ["public"], tlsOptions = (trustBrowserCas = true))),
  ],
  # Without TLS, and so for this machine alone.
  sockets = [(name = "http", address = "127.0.0.1:8053", http = (), service = "worker")],
);

const worker :Workerd.Worker = (
  # The names are the paths by which the modules import each other.
  modules = [
    (name = "edge-worker/worker.mjs", esModule = embed "worker.mjs"),
    (name = "edge-worker/resolver.mjs", esModule = embed "resolver.mjs"),
    (name = "edge-worker/forwarder.mjs", esModule = embed "forwarder.mjs"),
    (name = "edge-worker/link.mjs", esModule = embed "link.mjs"),
    (name = "edge-worker/octets.mjs", esModule = embed "octets.mjs"),
    (name = "edge/host.mjs", esModule = embed "../edge/host.mjs"),
    (name = "edge/target/wasm32-unknown-unknown/release/dotward_edge.wasm",
      wasm = embed "../edge/target/wasm32-unknown-unknown/release/dotward_edge.wasm"),
  ],
  compatibilityDate = "2026-11-01",
  bindings = [
    (name = "UPSTREAMS", fromEnvironment = "UPSTREAMS"),
    (name = "TIMEOUT_MS", fromEnvironment = "TIMEOUT_MS"),
    (name = "RESOLVER", durableObjectNamespace = "Resolver"),
  ],
  durableObjectNamespaces = [(className = "Resolver", uniqueKey = "dotward-edge-worker")],
  # It stores nothing.
  durableObjectStorage = (inMemory = void),
);
