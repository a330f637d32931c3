// The host's side of the module, without its sockets: memory, numbers and actions as JavaScript sees them.
// It runs wherever there is WebAssembly; it asks for nothing of Node's own.

const KINDS = ["", "reply", "send", "dial", "resolve", "close", "wrong"];
const DIAL_FAILURES = ["unreachable", "timeout", "unauthenticated", "handshake"];
const MAX_ROOM = 65_536;
const text = new TextDecoder();

export class Dotward {
  #exports;

  // `module` is a compiled WebAssembly.Module. It imports nothing, so that nothing is handed to it.
  constructor(module) {
    this.#exports = new WebAssembly.Instance(module, {}).exports;
  }

  // `seed`: 48 octets that nobody can guess. Throws when something is wrong with the settings.
  start({ upstreams, seed, timeout = 4_000, cache = 4 << 20 }) {
    const list = new TextEncoder().encode(upstreams.join("\n"));
    const settings = new Uint8Array(seed.length + list.length);
    settings.set(seed);
    settings.set(list, seed.length);
    const wrong = this.#exports.dotward_start(this.#write(settings), timeout, cache);
    if (wrong !== 0) throw new Error(text.decode(this.#read(wrong).octets));
  }

  // Before each batch of events, and when the alarm has come. Milliseconds, as of performance.now() and Date.now().
  time(monotonic, wall) {
    this.#exports.dotward_time(monotonic, wall);
  }

  // When time() has something to do.
  get alarm() {
    return this.#exports.dotward_alarm();
  }

  // Octets of WebAssembly's memory in use, for whoever bounds it.
  get memory() {
    return this.#exports.memory.buffer.byteLength;
  }

  // A client, any number of 32 bits, asks. True: there will be exactly one reply.
  query(message, client, { datagram = false } = {}) {
    if (message.length > MAX_ROOM) return false;
    return this.#exports.dotward_query(this.#write(message), client, Number(datagram)) === 1;
  }

  // The connection stands, and its certificate was verified for the name that the dial named.
  linkUp(link) {
    this.#exports.dotward_link_up(link);
  }

  // `why`: unreachable, timeout, unauthenticated or handshake.
  dialFailed(link, why) {
    this.#exports.dotward_dial_failed(link, Math.max(0, DIAL_FAILURES.indexOf(why)));
  }

  // Any part of a link's stream.
  received(link, octets) {
    for (let at = 0; at < octets.length; at += MAX_ROOM) {
      const piece = octets.subarray(at, at + MAX_ROOM);
      this.#exports.dotward_received(link, this.#write(piece));
    }
  }

  // A link ended by itself.
  linkDown(link, { broken = false } = {}) {
    this.#exports.dotward_link_down(link, Number(broken));
  }

  // The answer to a "resolve"; no addresses if there are none.
  resolved(upstream, addresses, seconds = 0) {
    const list = new TextEncoder().encode(addresses.join("\n"));
    this.#exports.dotward_resolved(upstream, this.#write(list), seconds);
  }

  // Everybody who waits gets a failure, all links are closed.
  close() {
    this.#exports.dotward_close();
  }

  // What to do now, one object each. Whoever reports an event meanwhile finds its actions at the end.
  *actions() {
    for (let at = this.#exports.dotward_next(); at !== 0; at = this.#exports.dotward_next()) {
      const { kind, number, link, octets } = this.#read(at);
      // `freshness`: the seconds that Cache-Control may name as max-age.
      if (kind === "reply") yield { kind, client: number, message: octets, freshness: Number(link) };
      if (kind === "send") yield { kind, link, id: number, frame: octets };
      if (kind === "close") yield { kind, link };
      if (kind === "resolve") yield { kind, upstream: number, name: text.decode(octets) };
      if (kind === "dial") {
        const [address, name] = text.decode(octets).split(" ");
        yield { kind, link, upstream: number, address, name };
      }
    }
  }

  // Says how much was written.
  #write(octets) {
    const at = this.#exports.dotward_room(octets.length) >>> 0;
    // The memory is looked at anew each time: when it grows, older views of it are dead.
    if (octets.length > 0) new Uint8Array(this.#exports.memory.buffer, at, octets.length).set(octets);
    return octets.length;
  }

  // Copies an action out, since it holds only until the next call.
  #read(at) {
    const view = new DataView(this.#exports.memory.buffer, at >>> 0, 24);
    const [octets, length] = [view.getUint32(16, true), view.getUint32(20, true)];
    return {
      kind: KINDS[view.getUint32(0, true)],
      number: view.getUint32(4, true),
      link: view.getBigUint64(8, true),
      octets: new Uint8Array(this.#exports.memory.buffer, octets, length).slice(),
    };
  }
}
