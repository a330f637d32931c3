// A host that plays the whole world of the edge module: clients, upstreams, clock. Nothing happens outside this process.
// usage: node edge.mjs MODULE.wasm MAX-OCTETS

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { argv, exit, stdout } from "node:process";
import { Dotward } from "../../examples/edge/host.mjs";

const [NOERROR, FORMERR, SERVFAIL, NOTIMP] = [0, 1, 2, 4];
const [QUAD9, CLOUDFLARE] = ["9.9.9.9#dns.quad9.net", "1.1.1.1#one.one.one.one"];
const file = readFileSync(argv[2]);
const module = new WebAssembly.Module(file);

// --- Messages --------------------------------------------------------------------------------------------------------

const name = (text) => [...text.split(".").flatMap((label) => [label.length, ...Buffer.from(label)]), 0];
const OPT = [0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0];

const query = (id, host, { edns = true } = {}) =>
  Uint8Array.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, Number(edns), ...name(host), 0, 1, 0, 1, ...(edns ? OPT : [])]);

// The answer to a query: `count` addresses that hold for `ttl` seconds.
function answer(asked, { ttl = 300, count = 1, id = read(asked).id } = {}) {
  const end = read(asked).questionEnd;
  const records = Array.from({ length: count }, (_, i) =>
    [0xc0, 12, 0, 1, 0, 1, ttl >>> 24, (ttl >> 16) & 255, (ttl >> 8) & 255, ttl & 255, 0, 4, 192, 0, 2, i & 255]);
  return Uint8Array.from(
    [id >> 8, id & 255, 0x81, 0x80, 0, 1, count >> 8, count & 255, 0, 0, 0, 1, ...asked.subarray(12, end), ...records.flat(), ...OPT]);
}

function read(message) {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  let at = 12;
  while (at < message.length && message[at] !== 0) at += message[at] + 1;
  const [questionEnd, answers] = [at + 5, view.getUint16(6)];
  return {
    id: view.getUint16(0),
    isResponse: (message[2] & 0x80) !== 0,
    truncated: (message[2] & 0x02) !== 0,
    rcode: message[3] & 15,
    answers,
    name: Buffer.from(message.subarray(13, at)).toString("latin1"),
    questionEnd,
    ttl: answers > 0 ? view.getUint32(questionEnd + 6) : undefined,
  };
}

const framed = (message) => Uint8Array.from([message.length >> 8, message.length & 255, ...message]);
const unframed = (frame) => {
  assert.equal(new DataView(frame.buffer).getUint16(0), frame.length - 2, "the prefix is the message's length");
  return frame.subarray(2);
};

// --- The stage -------------------------------------------------------------------------------------------------------

// A module with a clock; `monotonic` and `wall` are moved by the story.
class Scene {
  constructor({ upstreams = [QUAD9], ...settings } = {}) {
    this.host = new Dotward(module);
    this.monotonic = 1_000;
    this.wall = 5_000_000;
    this.host.start({ upstreams, seed: new Uint8Array(48).fill(7), ...settings });
    this.tick();
  }

  tick(milliseconds = 0) {
    this.monotonic += milliseconds;
    this.wall += milliseconds;
    this.host.time(this.monotonic, this.wall);
  }

  take() {
    return [...this.host.actions()];
  }

  // The one action that there is, which has to be of this kind.
  only(kind) {
    const actions = this.take();
    assert.deepEqual(actions.map((action) => action.kind), [kind]);
    return actions[0];
  }

  ask(message, client, options) {
    const willReply = this.host.query(message, client, options);
    assert.equal(willReply, true, "a reply was promised");
  }

  // Dials for the first question, and leaves it unanswered: the link, and what was sent.
  connected(host = "www.example", client = 1, id = 0x1111) {
    this.ask(query(id, host), client);
    const { link } = this.only("dial");
    this.host.linkUp(link);
    const sent = this.only("send");
    assert.equal(sent.link, link);
    return { link, asked: unframed(sent.frame) };
  }

  // The alarm rings until a reply is there: the reply, and the milliseconds that it took.
  untilReply(limit = 10_000) {
    const start = this.monotonic;
    while (this.monotonic - start < limit) {
      assert.ok(Number.isFinite(this.host.alarm), "somebody waits, so there is an alarm");
      this.tick(Math.max(0, this.host.alarm - this.monotonic));
      const reply = this.take().find(({ kind }) => kind === "reply");
      if (reply) return { ...reply, after: this.monotonic - start };
    }
    return assert.fail("no reply in time");
  }
}

// --- The stories -----------------------------------------------------------------------------------------------------

const stories = {
  "the module imports nothing, and is small"() {
    assert.deepEqual(WebAssembly.Module.imports(module), []);
    assert.ok(file.length <= Number(argv[3]), `${file.length} octets`);
  },

  "before the start nothing happens, and a wrong start says why"() {
    const host = new Dotward(module);
    assert.equal(host.query(query(1, "www.example"), 1), false);
    host.time(1, 1);
    host.linkUp(7n);
    assert.deepEqual([[...host.actions()], host.alarm], [[], Infinity]);
    const seed = new Uint8Array(48);
    const wrong = (settings, why) => assert.throws(() => host.start({ upstreams: [QUAD9], seed, ...settings }), why);
    wrong({ seed: new Uint8Array(47), upstreams: [] }, /48 octets of randomness/);
    wrong({ upstreams: [] }, /at least one upstream/);
    wrong({ upstreams: ["clodflare"] }, /did you mean cloudflare/);
    wrong({ upstreams: ["tcp://192.0.2.1"] }, /no scheme tcp/);
    wrong({ timeout: 0 }, /timeout/);
  },

  "a question is dialled for, sent with our id and answered with the client's"() {
    const scene = new Scene();
    const asked = query(0xabcd, "www.example");
    scene.ask(asked, 42);
    const dial = scene.only("dial");
    assert.deepEqual([dial.upstream, dial.address, dial.name], [0, "9.9.9.9:853", "dns.quad9.net"]);
    scene.host.linkUp(dial.link);
    const sent = scene.only("send");
    const forwarded = unframed(sent.frame);
    assert.equal(sent.link, dial.link);
    assert.equal(read(forwarded).id, sent.id);
    assert.deepEqual(forwarded.subarray(2, 29), asked.subarray(2, 29), "header and question are the client's octets");
    scene.host.received(dial.link, framed(answer(forwarded)));
    const reply = scene.only("reply");
    assert.equal(reply.client, 42);
    const { id, rcode, answers, ttl } = read(reply.message);
    assert.deepEqual({ id, rcode, answers, ttl }, { id: 0xabcd, rcode: NOERROR, answers: 1, ttl: 300 });
    assert.equal(reply.freshness, 300, "HTTP may keep it for as long");
  },

  "the same question is answered from the cache, in the client's own letters, without the upstream"() {
    const scene = new Scene();
    const { link, asked } = scene.connected("www.example");
    scene.host.received(link, framed(answer(asked)));
    scene.only("reply");
    scene.ask(query(0x2222, "wWw.ExAmPlE"), 2);
    const reply = scene.only("reply");
    assert.equal(reply.client, 2);
    assert.deepEqual([read(reply.message).id, read(reply.message).name], [0x2222, "wWw\u0007ExAmPlE"]);
  },

  "TTLs age with the wall clock, through suspend, and what has ended is asked for again"() {
    const scene = new Scene();
    const { link, asked } = scene.connected();
    scene.host.received(link, framed(answer(asked, { ttl: 300 })));
    scene.only("reply");
    scene.wall += 100_000; // The machine slept.
    scene.tick();
    scene.take(); // What becomes of a link that slept, too, is the core's business.
    scene.ask(query(3, "www.example"), 3);
    const aged = scene.only("reply");
    assert.deepEqual([read(aged.message).ttl, aged.freshness], [200, 200]);
    scene.tick(200_000);
    scene.take();
    scene.ask(query(4, "www.example"), 4);
    const again = scene.only("dial").link;
    scene.host.linkUp(again);
    scene.host.received(again, framed(answer(unframed(scene.only("send").frame), { ttl: 60 })));
    assert.equal(read(scene.only("reply").message).ttl, 60);
  },

  "clocks that run backwards or are no numbers are ignored"() {
    const scene = new Scene();
    const { link, asked } = scene.connected();
    scene.host.received(link, framed(answer(asked)));
    scene.take();
    for (const time of [0, -1, NaN, -Infinity]) scene.host.time(time, time);
    assert.deepEqual(scene.take(), []);
    scene.ask(query(3, "www.example"), 3);
    assert.equal(read(scene.only("reply").message).ttl, 300);
  },

  "an answer may come in pieces, several in one, and out of order"() {
    const scene = new Scene();
    const { link, asked } = scene.connected("a.example", 1, 0x0101);
    scene.ask(query(0x0202, "b.example"), 2);
    const other = unframed(scene.only("send").frame);
    assert.notEqual(read(asked).id, read(other).id, "no id is in flight twice");
    const stream = Uint8Array.from([...framed(answer(other)), ...framed(answer(asked))]);
    for (const octet of stream) scene.host.received(link, Uint8Array.of(octet));
    const replies = scene.take().map(({ kind, client, message }) => [kind, client, read(message).id]);
    assert.deepEqual(replies, [["reply", 2, 0x0202], ["reply", 1, 0x0101]]);
  },

  "identical questions in flight are asked once, and everybody gets a reply"() {
    const scene = new Scene();
    const { link, asked } = scene.connected("www.example", 1, 0x1111);
    scene.ask(query(0x2222, "WWW.example"), 2);
    assert.deepEqual(scene.take(), []);
    scene.host.received(link, framed(answer(asked)));
    const replies = scene.take().map(({ client, message }) => [client, read(message).id, read(message).name]);
    assert.deepEqual(replies, [[1, 0x1111, "www\u0007example"], [2, 0x2222, "WWW\u0007example"]]);
  },

  "without an answer the client gets SERVFAIL when its time is over, not later"() {
    const scene = new Scene({ timeout: 2_000 });
    scene.connected();
    const { message, client, after, freshness } = scene.untilReply();
    assert.deepEqual([read(message).rcode, read(message).id, client, freshness], [SERVFAIL, 0x1111, 1, 0]);
    assert.ok(after > 1_000 && after < 2_100, `after ${after} ms`);
  },

  "a dial that never ends is no better"() {
    const scene = new Scene({ timeout: 1_000 });
    scene.ask(query(5, "www.example"), 5);
    scene.only("dial");
    const { message, after } = scene.untilReply();
    assert.equal(read(message).rcode, SERVFAIL);
    assert.ok(after < 1_100, `after ${after} ms`);
  },

  "a link that is lost costs no question: it is dialled and asked again"() {
    for (const broken of [false, true]) {
      const scene = new Scene();
      const { link, asked } = scene.connected();
      scene.host.received(link, framed(answer(asked)).subarray(0, 9));
      scene.host.linkDown(link, { broken });
      const dial = scene.only("dial");
      assert.notEqual(dial.link, link, "no link's number comes twice");
      scene.host.linkUp(dial.link);
      const again = unframed(scene.only("send").frame);
      assert.equal(read(again).name, read(asked).name);
      scene.host.received(dial.link, framed(answer(again)));
      assert.deepEqual([read(scene.only("reply").message).rcode, scene.take()], [NOERROR, []]);
    }
  },

  "who cannot prove its name gets no question; the next upstream does"() {
    const scene = new Scene({ upstreams: [QUAD9, CLOUDFLARE] });
    scene.ask(query(6, "www.example"), 6);
    scene.host.dialFailed(scene.only("dial").link, "unauthenticated");
    const dial = scene.only("dial");
    assert.deepEqual([dial.upstream, dial.address, dial.name], [1, "1.1.1.1:853", "one.one.one.one"]);
    scene.host.linkUp(dial.link);
    const sent = scene.only("send");
    assert.equal(sent.link, dial.link);
    scene.host.received(sent.link, framed(answer(unframed(sent.frame))));
    assert.equal(read(scene.only("reply").message).rcode, NOERROR);
  },

  "with nobody to ask the client gets SERVFAIL with the reason"() {
    const scene = new Scene();
    scene.ask(query(7, "www.example"), 7);
    scene.host.dialFailed(scene.only("dial").link, "unreachable");
    const { message } = scene.untilReply();
    const { rcode, questionEnd } = read(message);
    assert.equal(rcode, SERVFAIL);
    const option = message.subarray(questionEnd + 11);
    assert.deepEqual([option[1], option[5]], [15, 22], "EDE: no reachable authority");
  },

  "malformed messages from clients get FORMERR, or nothing"() {
    const scene = new Scene();
    const good = query(8, "www.example");
    for (let len = 0; len < 12; len += 1) {
      assert.equal(scene.host.query(good.subarray(0, len), 8), false, `${len} octets`);
    }
    const changed = (at, octet) => good.with(at, octet);
    assert.equal(scene.host.query(changed(2, 0x81), 8), false, "an answer");
    assert.deepEqual(scene.take(), []);
    const cases = [[good.subarray(0, 20), FORMERR], [changed(5, 2), FORMERR], [changed(12, 0xc0), FORMERR], [changed(2, 0x11), NOTIMP]];
    for (const [message, rcode] of cases) {
      scene.ask(message, 8);
      const reply = read(scene.only("reply").message);
      assert.deepEqual([reply.rcode, reply.id, reply.isResponse], [rcode, 8, true]);
    }
    assert.equal(scene.host.alarm, Infinity, "nothing was kept");
  },

  "answers that belong to no question are ignored"() {
    const scene = new Scene();
    const { link, asked } = scene.connected();
    for (const stray of [answer(asked, { id: read(asked).id ^ 1 }), answer(query(read(asked).id, "wrong.example"))]) {
      scene.host.received(link, framed(stray));
      assert.deepEqual(scene.take(), []);
    }
    scene.host.received(link, framed(answer(asked)));
    assert.equal(read(scene.only("reply").message).rcode, NOERROR);
  },

  "a message that is none concerns no other question; a flood of them ends the link, and its question is asked again"() {
    // fault 93
    for (const nonsense of [Uint8Array.of(0, 0), framed(Uint8Array.of(1, 2, 3))]) {
      const scene = new Scene();
      const { link, asked } = scene.connected();
      scene.host.received(link, nonsense);
      assert.deepEqual(scene.take(), []);
      scene.host.received(link, framed(answer(asked)));
      assert.equal(read(scene.only("reply").message).rcode, NOERROR);
      scene.ask(query(3, "again.example"), 3);
      const pending = unframed(scene.only("send").frame);
      for (let i = 0; i < 200; i += 1) scene.host.received(link, nonsense);
      const actions = scene.take();
      assert.deepEqual(actions.map(({ kind }) => kind), ["close", "dial"]);
      scene.host.received(link, framed(answer(pending)));
      assert.deepEqual(scene.take(), [], "too late");
      const dial = actions.at(-1);
      scene.host.linkUp(dial.link);
      const again = unframed(scene.only("send").frame);
      scene.host.received(dial.link, framed(answer(again)));
      assert.equal(read(scene.only("reply").message).rcode, NOERROR);
    }
  },

  "what does not fit into a datagram is cut; a stream gets all of it"() {
    const scene = new Scene();
    scene.ask(query(9, "www.example", { edns: false }), 9, { datagram: true });
    const { link } = scene.only("dial");
    scene.host.linkUp(link);
    scene.host.received(link, framed(answer(unframed(scene.only("send").frame), { count: 100 })));
    const cut = scene.only("reply").message;
    assert.ok(cut.length <= 512 && read(cut).truncated, `${cut.length} octets`);
    scene.ask(query(10, "www.example"), 9);
    const whole = scene.only("reply").message;
    assert.deepEqual([read(whole).answers, read(whole).truncated], [100, false]);
  },

  "an upstream that is given by name is looked up first"() {
    const scene = new Scene({ upstreams: ["tls://dns.quad9.net"] });
    scene.ask(query(11, "www.example"), 11);
    assert.deepEqual(scene.only("resolve"), { kind: "resolve", upstream: 0, name: "dns.quad9.net" });
    scene.host.resolved(0, ["2620:fe::fe", "no address"], 3_600);
    const dial = scene.only("dial");
    assert.deepEqual([dial.address, dial.name], ["[2620:fe::fe]:853", "dns.quad9.net"]);
    const lost = new Scene({ upstreams: ["tls://dns.quad9.net"] });
    lost.ask(query(12, "www.example"), 12);
    lost.only("resolve");
    lost.host.resolved(0, []);
    assert.equal(read(lost.untilReply().message).rcode, SERVFAIL);
  },

  "an idle link is closed before the server does it, and made anew for a minute after the last question"() {
    const scene = new Scene();
    const { link, asked } = scene.connected();
    scene.host.received(link, framed(answer(asked)));
    scene.only("reply");
    const start = scene.monotonic;
    const [dialled, closed] = [[link], []];
    while (scene.host.alarm !== Infinity) {
      scene.tick(scene.host.alarm - scene.monotonic);
      const after = scene.monotonic - start;
      assert.ok(after < 180_000, "it comes to rest");
      for (const { kind, link } of scene.take()) {
        if (kind === "close") {
          closed.push(link);
          if (closed.length === 1) assert.ok(after > 1_000 && after < 10_000, `servers close after 10 s, this was after ${after} ms`);
        } else {
          assert.equal(kind, "dial");
          assert.ok(after < 60_000, `nobody asked for ${after} ms`);
          dialled.push(link);
          scene.host.linkUp(link);
        }
      }
    }
    assert.deepEqual(closed, dialled, "each is closed");
    assert.ok(dialled.length > 1, "it was made anew");
  },

  "at the end everybody who waits gets a failure, and links are closed"() {
    const scene = new Scene();
    const { link } = scene.connected();
    scene.host.close();
    const actions = scene.take();
    assert.deepEqual(actions.map(({ kind }) => kind), ["reply", "close"]);
    assert.deepEqual([read(actions[0].message).rcode, actions[1].link], [SERVFAIL, link]);
  },

  "the same seed and the same story give the same octets; another seed gives other ids"() {
    const play = (octet) => {
      const scene = new Scene({ seed: new Uint8Array(48).fill(octet) });
      const { link } = scene.connected("n0.example");
      const ids = Array.from({ length: 20 }, (_, i) => {
        scene.ask(query(i, `n${i + 1}.example`), i);
        return scene.only("send").id;
      });
      return [link, ...ids].join();
    };
    assert.equal(play(1), play(1));
    assert.notEqual(play(1), play(2));
  },

  "whatever comes, in whatever order, nothing traps and the memory stays bounded"() {
    let state = 1;
    const random = (below) => {
      // A linear congruential generator (Numerical Recipes), so that a failure can be repeated.
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const octets = (most) => Uint8Array.from({ length: random(most) }, () => random(256));
    const damaged = (message) => message.map((octet) => (random(20) === 0 ? random(256) : octet));
    const scene = new Scene({ upstreams: [QUAD9, "tls://dns.example"], cache: 1 << 20 });
    const links = [0n, 1n, 2n ** 64n - 1n, 0x1_ffff_ffffn];
    const sent = [];
    let replies = 0;
    const events = [
      () => scene.host.query(damaged(query(random(65_536), `n${random(500)}.example`)), random(100), { datagram: random(2) === 0 }),
      () => scene.host.query(octets(100), random(100)),
      () => scene.host.linkUp(links[random(links.length)]),
      () => scene.host.received(links[random(links.length)], octets(100)),
      () => sent.length > 0 && scene.host.received(links.at(-1), framed(damaged(answer(sent[random(sent.length)])))),
      () => random(9) === 0 && scene.host.linkDown(links[random(links.length)], { broken: random(2) === 0 }),
      () => random(9) === 0 && scene.host.dialFailed(links[random(links.length)], ["timeout", "handshake", "nonsense"][random(3)]),
      () => scene.host.resolved(random(3), ["192.0.2.1", "", "x"].slice(random(4)), random(100)),
      () => scene.tick(random(300)),
    ];
    for (let turn = 0; turn < 50_000; turn += 1) {
      events[random(events.length)]();
      for (const action of scene.host.actions()) {
        if (action.kind === "dial") links[random(8)] = action.link;
        if (action.kind === "send") sent[random(50)] = unframed(action.frame);
        if (action.kind === "reply") replies += 1;
      }
      for (let i = 0; i < links.length; i += 1) links[i] ??= 5n;
      for (let i = 0; i < sent.length; i += 1) sent[i] ??= query(0, "n.example");
    }
    assert.ok(replies > 1_000, `${replies} replies`);
    assert.ok(scene.host.memory < 16 << 20, `${scene.host.memory} octets of memory`);
    scene.host.time(Infinity, Infinity);
    scene.take();
    scene.host.close();
    scene.take();
    scene.host.start({ upstreams: [QUAD9], seed: new Uint8Array(48) });
    scene.ask(query(1, "www.example"), 1);
    scene.only("dial");
  },
};

let [passed, failed] = [0, 0];
for (const [title, story] of Object.entries(stories)) {
  try {
    story();
    passed += 1;
    stdout.write(`PASS ${title}\n`);
  } catch (error) {
    failed += 1;
    stdout.write(`FAIL ${title}\n${String(error.stack).replace(/^/gm, "     | ")}\n`);
  }
}
stdout.write(`${passed} passed, ${failed} failed\n`);
exit(failed === 0 ? 0 : 1);
