// The object that the requests share. It is a Durable Object because the requests of a plain Worker cannot share a connection: README.md
// says what the runtime does not allow, and tests/interop/edge-worker shows it. It stores nothing.

import { DurableObject } from "cloudflare:workers";
import { Forwarder } from "./forwarder.mjs";

const TIMEOUT_MS = 4_000;

export class Resolver extends DurableObject {
  #forwarder;

  constructor(ctx, env) {
    super(ctx, env);
    const upstreams = (env.UPSTREAMS ?? "").trim().split(/[\s,]+/);
    // The runtime ends this object then, and makes another one for the next request.
    const failed = (error) => ctx.abort(`the core failed: ${error.message}`);
    this.#forwarder = new Forwarder({ upstreams, timeout: Number(env.TIMEOUT_MS ?? TIMEOUT_MS), failed });
  }

  // Answers a DNS message: { message, freshness }, the latter in seconds; or null if it is no query.
  answer(message) {
    return this.#forwarder.answer(message);
  }
}
