#!/usr/bin/env python3
"""slow.py PORT MILLISECONDS: a name server on 127.0.0.1 that answers nN.TEXT with N's address, after a while."""

import asyncio
import sys


class Slow(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, query, peer):
        digits = query[14 : 13 + query[12]]  # behind the header, the label's length and its "n"
        number = int(digits) if digits.isdigit() else 0
        end = query.index(b"\0", 12) + 5
        address = bytes([10, number >> 16, number >> 8 & 255, number & 255])
        reply = query[:2] + b"\x85\x80\0\1\0\1\0\0\0\0" + query[12:end]
        reply += b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + address
        asyncio.get_running_loop().call_later(int(sys.argv[2]) / 1000, self.transport.sendto, reply, peer)


async def main():
    await asyncio.get_running_loop().create_datagram_endpoint(Slow, ("127.0.0.1", int(sys.argv[1])))
    await asyncio.Event().wait()


asyncio.run(main())
