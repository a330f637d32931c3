#!/usr/bin/env python3
"""socks.py PORT FILE: a SOCKS5 proxy on loopback that takes any username, as that of Tor does, and writes each into FILE."""

import asyncio
import socket
import struct
import sys


async def relay(reader, writer):
    try:
        while octets := await reader.read(65536):
            writer.write(octets)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def text(reader):
    return await reader.readexactly((await reader.readexactly(1))[0])


async def serve(reader, writer):
    try:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        username = b""
        if 2 in methods:
            writer.write(b"\5\2")
            await reader.readexactly(1)
            username, _ = await text(reader), await text(reader)
            writer.write(b"\1\0")
        else:
            writer.write(b"\5\0")
        with open(sys.argv[2], "ab") as names:
            names.write(username + b"\n")
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await text(reader)).decode()
        else:
            family, length = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, await reader.readexactly(length))
        (port,) = struct.unpack("!H", await reader.readexactly(2))
        upstream_reader, upstream_writer = await asyncio.open_connection(host, port)
        writer.write(b"\5\0\0\1" + bytes(6))
        await asyncio.gather(relay(reader, upstream_writer), relay(upstream_reader, writer))
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
