// DNS over HTTPS (RFC 8484) in a Worker: this file is its HTTP side. The DNS message of a request goes to the Resolver, an object that
// all requests share, and comes back as the body of the response.

import { joined } from "./octets.mjs";
export { Resolver } from "./resolver.mjs";

const PATH = "/dns-query";
const MEDIA_TYPE = "application/dns-message";
// A DNS message has no more octets than its length prefix can say (RFC 1035 section 4.2.2).
const MAX_MESSAGE = 65_535;
// Clients that arrive at one data centre of Cloudflare share an object, which is created near it. Elsewhere there is one object.
const EVERYWHERE = "everywhere";

export default {
  async fetch(request, env) {
    try {
      const message = await messageOf(request);
      const place = request.cf?.colo ?? EVERYWHERE;
      const answer = await env.RESOLVER.get(env.RESOLVER.idFromName(place)).answer(message);
      if (answer === null) throw new Refusal(400, "no DNS query");
      return new Response(answer.message, {
        headers: { "content-type": MEDIA_TYPE, "cache-control": `max-age=${answer.freshness}` },
      });
    } catch (error) {
      if (error instanceof Refusal) return error.response();
      // The object could not be reached, or was replaced with the query in it. What a client sends again is asked again.
      console.error(`the resolver failed: ${error.stack}`);
      return new Refusal(502, "the resolver failed").response();
    }
  },
};

// A request that gets an HTTP error.
class Refusal extends Error {
  constructor(status, why, headers = {}) {
    super(why);
    this.status = status;
    this.headers = headers;
  }

  response() {
    return new Response(`${this.message}\n`, { status: this.status, headers: { ...this.headers, "cache-control": "no-store" } });
  }
}

// The DNS message in a request (RFC 8484 section 4.1).
async function messageOf(request) {
  const url = new URL(request.url);
  if (url.pathname !== PATH) throw new Refusal(404, `DNS over HTTPS is at ${PATH}`);
  if (request.method === "GET") return decoded(url.searchParams.get("dns"));
  if (request.method !== "POST") throw new Refusal(405, "GET or POST", { allow: "GET, POST" });
  const type = request.headers.get("content-type") ?? "";
  if (type.split(";")[0].trim().toLowerCase() !== MEDIA_TYPE) throw new Refusal(415, `the body has to be ${MEDIA_TYPE}`);
  return bodyOf(request);
}

// base64url without padding (RFC 4648 section 5).
function decoded(text) {
  if (text === null) throw new Refusal(400, "the parameter dns is missing");
  let message;
  try {
    if (!/^[\w-]*$/.test(text)) throw new SyntaxError("a character of another alphabet");
    message = Uint8Array.fromBase64(text, { alphabet: "base64url" });
  } catch {
    throw new Refusal(400, "the parameter dns is not base64url");
  }
  check(message.length);
  return message;
}

// Reads no more of a body than a message can have.
async function bodyOf(request) {
  const length = request.headers.get("content-length");
  if (length !== null) {
    check(Number(length));
    return new Uint8Array(await request.arrayBuffer());
  }
  const pieces = [];
  let sum = 0;
  for await (const piece of request.body ?? []) {
    sum += piece.length;
    check(sum);
    pieces.push(piece);
  }
  return joined(pieces);
}

function check(length) {
  if (length > MAX_MESSAGE) throw new Refusal(413, "too long for a DNS message");
}
