// What the runtime allows between requests, tried: /worker/WORK in a plain Worker, /actor/WORK in a Durable Object.

import { connect } from "cloudflare:sockets";
import { DurableObject } from "cloudflare:workers";

// What comes of it, or its error.
const outcome = async (work) => {
  try {
    return await work();
  } catch (error) {
    return error.message;
  }
};

// Before the first request: a module that is evaluated has no request that its randomness and connections could belong to.
const atStart = [
  await outcome(() => crypto.getRandomValues(new Uint8Array(1)).length),
  await outcome(() => typeof connect("127.0.0.1:1")),
  Date.now(),
];

// The question for n1.numbers.test with its length prefix.
const NAME = "\x02n1\x07numbers\x04test\0";
const QUESTION = Uint8Array.from([0, 33, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...new TextEncoder().encode(NAME), 0, 1, 0, 1]);

class Scene {
  #kept;
  #wake;
  #madeAt = Date.now();

  constructor(upstream) {
    [this.address, this.name] = upstream.split("#");
  }

  start = () => atStart.join("; ");

  madeAt = () => (this.#madeAt > 0 ? "a time" : "0");

  // Connects, and leaves the connection to others.
  async keep() {
    const socket = connect(this.address, { secureTransport: "starttls" }).startTls({ expectedServerHostname: this.name });
    await socket.opened;
    this.#kept = { writer: socket.writable.getWriter(), reader: socket.readable.getReader() };
    return "kept";
  }

  // Asks on the connection of an earlier request.
  async use() {
    await this.#kept.writer.write(QUESTION);
    const { value } = await this.#kept.reader.read();
    return value?.length > 2 ? "answered" : "closed";
  }

  // Waits for another request.
  wait = () => new Promise((resolve) => (this.#wake = resolve));

  // The same, with something that will happen in this request.
  waitWithTimer() {
    setTimeout(() => {}, 4_000);
    return this.wait();
  }

  wake() {
    if (this.#wake === undefined) return "nobody waits";
    this.#wake("woken");
    this.#wake = undefined;
    return "done";
  }

  async handle(request) {
    const work = new URL(request.url).pathname.split("/").pop();
    return new Response(await outcome(() => this[work]()));
  }
}

export class Actor extends DurableObject {
  #scene = new Scene(this.env.UPSTREAM);

  fetch(request) {
    return this.#scene.handle(request);
  }
}

let shared;

export default {
  fetch(request, env) {
    if (new URL(request.url).pathname.startsWith("/actor/")) return env.ACTOR.get(env.ACTOR.idFromName("one")).fetch(request);
    shared ??= new Scene(env.UPSTREAM);
    return shared.handle(request);
  },
};
