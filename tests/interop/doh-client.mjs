// A client of DNS over HTTPS that compares what it gets with what the upstream says when it is asked directly.
// usage: node doh-client.mjs compare URL DIRECT-PORT FIRST COUNT CONNECTIONS   exit code 1 if anything is lost or wrong
//        node doh-client.mjs outage URL DIRECT-PORT FIRST COUNT CONNECTIONS FILE   the same; FILE is written at a third of them
//        node doh-client.mjs time URL FIRST COUNT CONNECTIONS                  milliseconds per request
//        node doh-client.mjs refusals URL
// FIRST is the number of the first name to ask for, so that no run finds the names of another one in the cache.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { connect } from "node:net";
import { argv, exit, stdout } from "node:process";

const MEDIA_TYPE = "application/dns-message";
const [A, MX, TXT, AAAA, SVCB] = [1, 15, 16, 28, 64];
const [NOERROR, SERVFAIL, NXDOMAIN] = [0, 2, 3];
const OPT = 41;
// In the zone example.test of lib.sh; the SOA says for how long a "no" holds.
const SPECIAL = [["www", A], ["www", AAAA], ["@", MX], ["alias", A], ["text", TXT], ["big", TXT], ["svc", SVCB], ["www", MX], ["none", A]];
const NEGATIVE_TTL = 300;

// --- Messages --------------------------------------------------------------------------------------------------------

const name = (text) => [...text.split(".").flatMap((label) => [label.length, ...Buffer.from(label)]), 0];

function query({ host, type, edns, dnssecOk }, id) {
  const opt = edns ? [0, 0, OPT, 4, 0xd0, 0, 0, dnssecOk ? 0x80 : 0, 0, 0, 0] : [];
  return Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, Number(edns), ...name(host), 0, type, 0, 1, ...opt]);
}

function read(message) {
  let at = 12;
  const labels = (start) => {
    let [text, next] = ["", start];
    for (let here = start, jumped = false; ; ) {
      const length = message[here];
      if (length >= 0xc0) {
        if (!jumped) next = here + 2;
        [here, jumped] = [message.readUInt16BE(here) & 0x3fff, true];
      } else if (length === 0) {
        return [text, jumped ? next : here + 1];
      } else {
        text += `${message.toString("latin1", here + 1, here + 1 + length).toLowerCase()}.`;
        here += 1 + length;
      }
    }
  };
  const [asked, afterName] = labels(at);
  const question = `${asked} ${message.readUInt16BE(afterName)} ${message.readUInt16BE(afterName + 2)}`;
  at = afterName + 4;
  const answers = [];
  for (let i = message.readUInt16BE(6); i > 0; i -= 1) {
    const [owner, fixed] = labels(at);
    const end = fixed + 10 + message.readUInt16BE(fixed + 8);
    assert.ok(end <= message.length, "the records are whole");
    const kind = message.toString("hex", fixed, fixed + 4);
    answers.push({ ttl: message.readUInt32BE(fixed + 4), record: `${owner} ${kind} ${message.toString("hex", fixed + 10, end)}` });
    at = end;
  }
  answers.sort((one, other) => (one.record < other.record ? -1 : 1));
  const [id, isResponse, isTruncated] = [message.readUInt16BE(0), message[2] >> 7 === 1, (message[2] & 2) !== 0];
  return { id, isResponse, isTruncated, rcode: message[3] & 15, question, answers };
}

// Many names of their own, and between them those that come again and again: hits, and questions that are joined.
function question(number) {
  const edns = number % 3 !== 0;
  const dnssecOk = edns && number % 5 === 0;
  if (number % 10 === 9) {
    const [label, type] = SPECIAL[Math.floor(number / 10) % SPECIAL.length];
    return { host: label === "@" ? "example.test" : `${label}.example.test`, type, edns, dnssecOk };
  }
  const distinct = number % 10 >= 7 ? number - (number % 100) : number;
  return { host: `n${distinct}.numbers.test`, type: A, edns, dnssecOk };
}

// --- The two ways to ask ---------------------------------------------------------------------------------------------

// Asks the upstream itself, over plain TCP, all at once; the answers in the order of the questions.
function direct(port, questions) {
  const replies = [];
  let [left, have] = [questions.length, Buffer.alloc(0)];
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the upstream closed")));
    socket.on("data", (octets) => {
      have = Buffer.concat([have, octets]);
      for (; have.length >= 2 && have.length >= 2 + have.readUInt16BE(0); have = have.subarray(2 + have.readUInt16BE(0))) {
        const reply = read(have.subarray(2, 2 + have.readUInt16BE(0)));
        replies[reply.id] = reply;
        left -= 1;
      }
      if (left === 0) {
        resolve(replies);
        socket.destroy();
      }
    });
    for (const [id, asked] of questions.entries()) {
      const message = query(asked, id);
      socket.write(Buffer.from([message.length >> 8, message.length & 255, ...message]));
    }
  });
}

function fetched(agent, url, options, body) {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { agent, timeout: 30_000, ...options }, (response) => {
      const pieces = [];
      response.on("data", (piece) => pieces.push(piece));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces) }));
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error("no response")));
    request.on("error", reject);
    request.end(body);
  });
}

const get = (agent, url, message) => fetched(agent, `${url}?dns=${message.toString("base64url")}`, {});
const post = (agent, url, message, headers = { "content-type": MEDIA_TYPE }) => fetched(agent, url, { method: "POST", headers }, message);

// Calls `work` for each number, `width` at a time.
async function each(numbers, width, work) {
  const left = numbers.values();
  const one = async () => {
    for (const number of left) await work(number);
  };
  await Promise.all(Array.from({ length: width }, one));
}

const range = (first, count) => Array.from({ length: count }, (_, i) => first + i);

// --- Commands --------------------------------------------------------------------------------------------------------

// What is wrong with a response, or undefined.
function fault({ status, headers, body }, id, expected) {
  if (status !== 200) return `status ${status}: ${body}`;
  if (headers["content-type"] !== MEDIA_TYPE) return `content-type ${headers["content-type"]}`;
  const got = read(body);
  if (got.id !== id || !got.isResponse || got.isTruncated) return `id ${got.id} instead of ${id}, or no whole response`;
  if (got.question !== expected.question) return `it answers ${got.question}`;
  if (got.rcode !== expected.rcode) return `response code ${got.rcode} instead of ${expected.rcode}`;
  const records = (message) => message.answers.map(({ record }) => record).join("\n");
  if (records(got) !== records(expected)) return `records\n${records(got)}\ninstead of\n${records(expected)}`;
  const late = got.answers.findIndex(({ ttl }, i) => ttl > expected.answers[i].ttl);
  if (late >= 0) return `a TTL of ${got.answers[late].ttl} instead of ${expected.answers[late].ttl}`;
  const maxAge = Number(/^max-age=(\d+)$/.exec(headers["cache-control"])?.[1]);
  const lowest = Math.min(...got.answers.map(({ ttl }) => ttl));
  const fresh = got.answers.length > 0 ? maxAge === lowest : maxAge > 0 && maxAge <= NEGATIVE_TTL;
  return fresh ? undefined : `cache-control ${headers["cache-control"]} where the lowest TTL is ${lowest}`;
}

// Returns how many were lost, wrong, and SERVFAIL where the upstream says something else.
async function compare(url, port, first, count, connections, onNumber = () => {}) {
  const numbers = range(first, count);
  const expected = [];
  for (let at = 0; at < count; at += 1_000) expected.push(...(await direct(port, numbers.slice(at, at + 1_000).map(question))));
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  let [lost, wrong, failed] = [0, 0, 0];
  const complain = (text) => lost + wrong < 5 && stdout.write(`${text}\n`);
  const start = performance.now();
  await each(numbers, connections, async (number) => {
    onNumber(number - first);
    const asked = question(number);
    // Half of the clients ask with id 0, for the sake of caches (RFC 8484 section 4.1).
    const id = number % 2 === 0 ? 0 : (number * 7919) & 0xffff;
    try {
      const response = await (number % 4 < 2 ? get : post)(agent, url, query(asked, id));
      const why = fault(response, id, expected[number - first]);
      if (why === `response code ${SERVFAIL} instead of ${expected[number - first].rcode}`) failed += 1;
      else if (why !== undefined) {
        complain(`${asked.host} ${asked.type}: ${why}`);
        wrong += 1;
      }
    } catch (error) {
      complain(`${asked.host} ${asked.type}: ${error.message}`);
      lost += 1;
    }
  });
  agent.destroy();
  const seconds = (performance.now() - start) / 1e3;
  const negative = expected.filter(({ rcode, answers }) => rcode === NXDOMAIN || answers.length === 0).length;
  assert.ok(expected.every(({ rcode }) => rcode === NOERROR || rcode === NXDOMAIN), "the upstream knows all names");
  stdout.write(`${count} requests (${negative} with a negative answer) on ${connections} connections in ${seconds.toFixed(1)} s: ` +
    `${lost} lost, ${wrong} wrong, ${failed} SERVFAIL\n`);
  return { lost, wrong, failed };
}

async function time(url, first, count, connections) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const took = [];
  const begin = performance.now();
  await each(range(first, count), connections, async (number) => {
    const start = performance.now();
    const { status, body } = await post(agent, url, query({ host: `n${number}.numbers.test`, type: A, edns: true }, 0));
    took.push(performance.now() - start);
    assert.deepEqual([status, read(body).rcode, read(body).answers.length], [200, NOERROR, 1]);
  });
  const all = performance.now() - begin;
  agent.destroy();
  took.sort((one, other) => one - other);
  stdout.write(`${took[Math.floor(count / 2)].toFixed(2)} ${(all / count).toFixed(3)}\n`);
}

async function refusals(url) {
  const agent = new Agent({ keepAlive: true });
  const good = query({ host: "www.example.test", type: A, edns: true }, 0);
  const headers = { "content-type": MEDIA_TYPE };
  const chunked = { ...headers, "transfer-encoding": "chunked" };
  const cases = {
    "GET without dns": [400, () => fetched(agent, url, {})],
    "GET with what is not base64url": [400, () => fetched(agent, `${url}?dns=AA%2BA`, {})],
    "GET with a piece of base64url": [400, () => fetched(agent, `${url}?dns=A`, {})],
    "an empty body": [400, () => post(agent, url, Buffer.alloc(0))],
    "a message without a whole header": [400, () => post(agent, url, good.subarray(0, 11))],
    "a response": [400, () => post(agent, url, Buffer.from(good.with(2, 0x81)))],
    "another path": [404, () => post(agent, `${url}s`, good)],
    "the root": [404, () => fetched(agent, new URL("/", url), {})],
    "PUT": [405, () => fetched(agent, url, { method: "PUT", headers }, good)],
    "a body that is too long": [413, () => post(agent, url, Buffer.alloc(65_536, good))],
    "a body that is too long, in chunks": [413, () => post(agent, url, Buffer.alloc(300_000), chunked)],
    "a body in chunks": [200, () => post(agent, url, good, chunked)],
    "POST without a type": [415, () => post(agent, url, good, {})],
    "POST of another type": [415, () => post(agent, url, good, { "content-type": "application/dns-json" })],
    "a type with a parameter": [200, () => post(agent, url, good, { "content-type": "Application/DNS-Message; charset=x" })],
    "a query with half a question, which gets FORMERR": [200, () => post(agent, url, good.subarray(0, 20))],
  };
  let failed = 0;
  for (const [what, [status, ask]] of Object.entries(cases)) {
    const got = await ask();
    const right = got.status === status && (status !== 405 || got.headers.allow === "GET, POST");
    failed += Number(!right);
    if (!right) stdout.write(`${what}: status ${got.status} instead of ${status}\n`);
  }
  agent.destroy();
  stdout.write(`${Object.keys(cases).length} kinds of requests, ${failed} wrong\n`);
  return failed;
}

const [command, url, ...rest] = argv.slice(2);
const numbers = rest.map(Number);
if (command === "compare") {
  const { lost, wrong, failed } = await compare(url, ...numbers);
  exit(lost + wrong + failed === 0 ? 0 : 1);
} else if (command === "outage") {
  const [port, first, count, connections] = numbers;
  const at = Math.floor(count / 3);
  const { lost, wrong, failed } = await compare(url, port, first, count, connections, (done) => done === at && writeFileSync(rest[4], ""));
  exit(lost + wrong + failed === 0 ? 0 : 1);
} else if (command === "time") {
  await time(url, ...numbers);
} else if (command === "refusals") {
  exit(await refusals(url));
}
