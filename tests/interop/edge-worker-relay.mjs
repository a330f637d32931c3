// DNS over HTTPS in, DNS over TLS out, and nothing between: what the Worker with the core is compared with. A connection for each
// request, for a plain Worker cannot share one. No checks, no deadline, no second attempt.

import { connect } from "cloudflare:sockets";

export default {
  async fetch(request, env) {
    const dns = new URL(request.url).searchParams.get("dns");
    const asked = dns === null ? new Uint8Array(await request.arrayBuffer()) : Uint8Array.fromBase64(dns, { alphabet: "base64url" });
    const socket = connect(env.UPSTREAM, { secureTransport: "on" });
    const writer = socket.writable.getWriter();
    const reader = socket.readable.getReader();
    const frame = new Uint8Array(2 + asked.length);
    new DataView(frame.buffer).setUint16(0, asked.length);
    frame.set(asked, 2);
    await writer.write(frame);
    let have = new Uint8Array(0);
    while (have.length < 2 || have.length < 2 + have[0] * 256 + have[1]) {
      const { value, done } = await reader.read();
      if (done) return new Response("closed\n", { status: 502 });
      const more = new Uint8Array(have.length + value.length);
      more.set(have);
      more.set(value, have.length);
      have = more;
    }
    await socket.close();
    return new Response(have.subarray(2), { headers: { "content-type": "application/dns-message" } });
  },
};
