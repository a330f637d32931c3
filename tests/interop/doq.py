#!/usr/bin/env python3
"""A server of DNS over QUIC (RFC 9250) on aioquic that answers by itself, to see how an implementation with nothing in common with ours takes
and sends what it does: n7.numbers.test has the address 10.0.0.7, reset.test gets a reset of its stream, close.test a close of the connection,
and every other name 192.0.2.1. The responses to numbers come in another order than the queries.

doq.py PORT CERTIFICATE KEY [ALPN [ADDRESS]]
"""

import asyncio
import re
import struct
import sys

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import HandshakeCompleted, StreamDataReceived

INTERNAL_ERROR = 1  # DOQ_INTERNAL_ERROR
EXCESSIVE_LOAD = 4  # DOQ_EXCESSIVE_LOAD
OPTION_KEEPALIVE = b"\0\x0b"


def name_of(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    return ".".join(labels).lower(), at + 5


def response(query, end, address):
    header = query[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0)
    return header + query[12:end] + b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, 4) + address


class Server(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.partial, self.held = {}, []
        self.flusher = None

    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            print("handshake", event.alpn_protocol, "resumed" if event.session_resumed else "full", flush=True)
        elif isinstance(event, StreamDataReceived):
            octets = self.partial.pop(event.stream_id, b"") + event.data
            if event.end_stream:
                self.query(event.stream_id, octets)
            else:
                self.partial[event.stream_id] = octets

    def query(self, stream, octets):
        query = octets[2:]
        if len(query) != int.from_bytes(octets[:2], "big") or query[:2] != b"\0\0":
            print("malformed", octets.hex(), flush=True)
        name, end = name_of(query)
        if OPTION_KEEPALIVE in query[end + 11 : end + 13]:
            print("keepalive", flush=True)
        number = re.fullmatch(r"n(\d+)\.(numbers|slow)\.test", name)
        if name == "reset.test":
            self._quic.reset_stream(stream, INTERNAL_ERROR)
        elif name == "close.test":
            self._quic.close(error_code=EXCESSIVE_LOAD, reason_phrase="try later")
        elif number:
            self.held.append((stream, response(query, end, struct.pack("!I", 10 << 24 | int(number[1])))))
            if self.flusher is None:
                self.flusher = asyncio.get_running_loop().call_soon(self.flush)
            return
        else:
            print("query", name, flush=True)
            self.answer(stream, response(query, end, bytes([192, 0, 2, 1])))
        self.transmit()

    def answer(self, stream, message):
        self._quic.send_stream_data(stream, len(message).to_bytes(2, "big") + message, end_stream=True)

    def flush(self):
        self.flusher = None
        while self.held:
            self.answer(*self.held.pop())
        self.transmit()


class Tickets:
    """Session tickets, each for one use."""

    def __init__(self):
        self.tickets = {}

    def add(self, ticket):
        self.tickets[ticket.ticket] = ticket

    def pop(self, label):
        return self.tickets.pop(label, None)


async def main(port, certificate, key, alpn="doq", address="127.0.0.1"):
    configuration = QuicConfiguration(is_client=False, alpn_protocols=[alpn])
    configuration.load_cert_chain(certificate, key)
    tickets = Tickets()
    await serve(
        address,
        int(port),
        configuration=configuration,
        create_protocol=Server,
        session_ticket_fetcher=tickets.pop,
        session_ticket_handler=tickets.add,
    )
    print("ready", flush=True)
    await asyncio.Future()


asyncio.run(main(*sys.argv[1:]))
