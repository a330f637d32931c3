# The Worker of examples/edge-worker as its own configuration describes it, with the upstream of lib.sh, and beside it what it is
# compared with. The script puts ca.pem beside this file, and says at which addresses to listen.

using Workerd = import "/workerd/workerd.capnp";
using Example = import "../../examples/edge-worker/config.capnp";

const config :Workerd.Config = (
  services = [
    (name = "worker", worker = Example.worker),
    (name = "relay", worker = .relay),
    (name = "limits", worker = .limits),
    (name = "internet", network = (allow = ["private"], tlsOptions = (trustedCertificates = [embed "ca.pem"]))),
  ],
  sockets = [
    (name = "worker", http = (), service = "worker"),
    (name = "relay", http = (), service = "relay"),
    (name = "limits", http = (), service = "limits"),
  ],
);

const relay :Workerd.Worker = (
  modules = [(name = "relay.mjs", esModule = embed "edge-worker-relay.mjs")],
  compatibilityDate = "2026-11-01",
  bindings = [(name = "UPSTREAM", fromEnvironment = "RELAY_UPSTREAM")],
);

const limits :Workerd.Worker = (
  modules = [(name = "limits.mjs", esModule = embed "edge-worker-limits.mjs")],
  compatibilityDate = "2026-11-01",
  bindings = [
    (name = "UPSTREAM", fromEnvironment = "LIMITS_UPSTREAM"),
    (name = "ACTOR", durableObjectNamespace = "Actor"),
  ],
  durableObjectNamespaces = [(className = "Actor", uniqueKey = "limits")],
  durableObjectStorage = (inMemory = void),
);
