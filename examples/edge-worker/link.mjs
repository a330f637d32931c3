// A TLS connection to an upstream, by the sockets of this runtime.

import { connect } from "cloudflare:sockets";
import { joined } from "./octets.mjs";

export class Link {
  #socket;
  #writer;
  #unsent = [];
  #isWriting = false;
  #isOver = false;
  #report;

  // Connects to `place`, which is { name, port } or { name, address }. `report` is told one of
  //   failed(why)              why as host.mjs has it; nothing follows
  //   up()                     connected, and the certificate is one for `name`
  // and after the latter
  //   received(octets)
  //   down(broken)             it ended by itself; nothing follows
  constructor(place, report) {
    this.#report = report;
    this.#run(place);
  }

  // Whatever is given in one event leaves in one write, as does what is given while another write is under way.
  send(frame) {
    this.#unsent.push(frame);
    if (!this.#isWriting) this.#write();
  }

  // Nothing more is reported.
  close() {
    this.#isOver = true;
    this.#socket?.close().catch(() => {});
  }

  async #run(place) {
    try {
      await this.#connect(place);
    } catch {
      // The runtime does not say what was wrong, neither here nor by a code: a certificate, or the network.
      return this.#end("failed", "unreachable");
    }
    if (this.#isOver) return undefined;
    this.#writer = this.#socket.writable.getWriter();
    const reader = this.#socket.readable.getReader();
    this.#report.up();
    for (;;) {
      const piece = await reader.read().catch(() => ({ done: true, isBroken: true }));
      if (this.#isOver) return undefined;
      if (piece.done) return this.#end("down", piece.isBroken === true);
      this.#report.received(piece.value);
    }
  }

  async #connect({ name, port, address }) {
    if (address === undefined) {
      this.#socket = connect({ hostname: name, port }, { secureTransport: "on" });
    } else {
      this.#socket = connect(address, { secureTransport: "starttls" });
      // Without this, a connect that fails would be heard of nowhere.
      await this.#socket.opened;
      if (this.#isOver) return;
      this.#socket = this.#socket.startTls({ expectedServerHostname: name });
    }
    await this.#socket.opened;
  }

  async #write() {
    this.#isWriting = true;
    try {
      await undefined; // The rest of this event's frames.
      while (this.#unsent.length > 0) await this.#writer.write(joined(this.#unsent.splice(0)));
    } catch {
      this.#end("down", true);
    }
    this.#isWriting = false;
  }

  #end(how, detail) {
    if (this.#isOver) return;
    this.close();
    this.#report[how](detail);
  }
}
