// dotward's core at work in this runtime: it is told of queries, connections and time, and what it wants is done.

import { Dotward } from "../edge/host.mjs";
import module from "../edge/target/wasm32-unknown-unknown/release/dotward_edge.wasm";
import { Link } from "./link.mjs";

const SEED_OCTETS = 48;
// The address that stands for "where the name leads": this runtime connects to names, and looks them up itself. It is one that no
// upstream has (RFC 5737).
const BY_NAME = "192.0.2.1";
// For how long that holds, in seconds.
const DAY = 86_400;
// Of the 128 MB that an isolate may have on Cloudflare.
const CACHE_OCTETS = 16 << 20;

export class Forwarder {
  #core = new Dotward(module);
  #waiting = new Map(); // client: what fulfils its promise
  #clients = 0; // how many have asked
  #links = new Map();
  #clock = new Clock();
  #timer = undefined;
  #timerAt = Infinity;
  #failed;

  // `timeout`: how long a query may take at most, in milliseconds. Throws when something is wrong with the settings.
  // `failed` is told the error after which this is of no use any more: a trap in the module, for want of memory if for anything.
  constructor({ upstreams, timeout, failed }) {
    this.#failed = failed;
    const seed = crypto.getRandomValues(new Uint8Array(SEED_OCTETS));
    this.#core.start({ upstreams, seed, timeout, cache: CACHE_OCTETS });
  }

  // Answers a DNS message: { message, freshness }, the latter in seconds; or null if it is no query.
  answer(message) {
    return new Promise((fulfil) => {
      this.#event(() => {
        // The core sees clients by 32 bits. Nobody waits for as long as it takes to use them up.
        const client = this.#clients++ >>> 0;
        if (this.#core.query(message, client)) this.#waiting.set(client, fulfil);
        else fulfil(null);
      });
    });
  }

  // Tells the core the time and what has happened, and does what it wants.
  #event(report) {
    try {
      const now = this.#clock.now();
      // There is one clock: what is remembered ages by it, too.
      this.#core.time(now, now);
      report();
      for (const action of this.#core.actions()) this.#carryOut(action);
      this.#setTimer(now);
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  #carryOut({ kind, ...action }) {
    const { link } = action;
    if (kind === "reply") {
      const { client, message, freshness } = action;
      this.#waiting.get(client)?.({ message, freshness });
      this.#waiting.delete(client);
    } else if (kind === "send") {
      this.#links.get(link)?.send(action.frame);
    } else if (kind === "dial") {
      this.#links.set(link, this.#dial(action));
    } else if (kind === "close") {
      this.#links.get(link)?.close();
      this.#links.delete(link);
    } else if (kind === "resolve") {
      this.#core.resolved(action.upstream, [BY_NAME], DAY);
    }
  }

  #dial({ link, address, name }) {
    // The core hears nothing more of a link that has ended, or that it has closed.
    const tell = (report) => this.#links.has(link) && this.#event(report);
    const end = (report) => this.#links.delete(link) && this.#event(report);
    const [host, port] = address.split(":");
    const place = host === BY_NAME ? { name, port: Number(port) } : { name, address };
    return new Link(place, {
      up: () => tell(() => this.#core.linkUp(link)),
      received: (octets) => tell(() => this.#core.received(link, octets)),
      failed: (why) => end(() => this.#core.dialFailed(link, why)),
      down: (broken) => end(() => this.#core.linkDown(link, { broken })),
    });
  }

  // A timer that goes off early enough is kept: most of what a timer is set for never comes, and it is set again when it goes off.
  #setTimer(now) {
    const { alarm } = this.#core;
    if (alarm >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = alarm;
    this.#timer = setTimeout(() => {
      this.#timerAt = Infinity;
      this.#event(() => {});
    }, Math.max(0, alarm - now));
  }
}

// Milliseconds that never go back. The runtime has one clock, that of Date, which may be put right. It may stand still until something
// comes in or goes out; each event is one of these.
class Clock {
  #before = Date.now();
  #elapsed = 0;

  now() {
    const date = Date.now();
    this.#elapsed += Math.max(0, date - this.#before);
    this.#before = date;
    return this.#elapsed;
  }
}
