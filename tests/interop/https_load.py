#!/usr/bin/env python3
"""Clients over HTTPS (HTTP/2), frame by frame, on 127.0.0.1.

https_load.py compare PORT UDP-PORT COUNT CA-FILE   COUNT queries on 20 connections, by GET and POST. Exits with 1 if an answer is not that of UDP
https_load.py idle PORT COUNT CA-FILE               COUNT connections, one query each, then silence. Exits with 1 if one ends without GOAWAY
https_load.py FLOOD PORT COUNT CA-FILE              COUNT connections at a time for ten seconds, each with one of the floods below
"""

import base64
import random
import socket
import ssl
import struct
import sys
import threading
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
CONNECTIONS = 20
IN_FLIGHT = 50
AA = 0x04  # of the first octet of flags


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def integer(value):
    if value < 127:
        return bytes([value])
    octets, value = b"\x7f", value - 127
    while value >= 128:
        octets, value = octets + bytes([value & 127 | 128]), value >> 7
    return octets + bytes([value])


def block(method, path, *fields):
    fields = ((":method", method), (":scheme", "https"), (":authority", "home.test"), (":path", path)) + fields
    return b"".join(b"\0" + integer(len(name)) + name.encode() + integer(len(value)) + value.encode() for name, value in fields)


def query(name, ident=0):
    labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split("."))
    return struct.pack(">HHHHHH", ident, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def get(stream, message):
    path = "/dns-query?dns=" + base64.urlsafe_b64encode(message).decode().rstrip("=")
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, block("GET", path))


def post_head(stream):
    return frame(HEADERS, END_HEADERS, stream, block("POST", "/dns-query", ("content-type", "application/dns-message")))


def post(stream, message):
    return post_head(stream) + frame(DATA, END_STREAM, stream, message)


def connect(port, ca, settings=b""):
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    tcp = socket.create_connection(("127.0.0.1", port), 10)
    one = context.wrap_socket(tcp, server_hostname="home.test", suppress_ragged_eofs=False)
    one.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
    return one


def frames(one):
    """The frames that come, up to the end."""
    held = b""
    while True:
        while len(held) < 9 or len(held) < 9 + int.from_bytes(held[:3], "big"):
            octets = one.recv(65536)
            if not octets:
                return
            held += octets
        length = int.from_bytes(held[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", held[3:9])
        yield kind, flags, stream, held[9 : 9 + length]
        held = held[9 + length :]


def told(message, name):
    """What an answer says, but for its id, its TTLs, AA, which no answer from the cache has, and the sections behind the first record."""
    end = len(query(name))
    flags = (message[2] & ~AA, message[3]) if len(message) > 3 else None
    return len(message), flags, message[4:end], message[end : end + 6], message[end + 10 : end + 16]


def compare(port, udp_port, count, ca):
    names = [f"n{random.randrange(100_000)}.numbers.test" for _ in range(count)]
    wrong, done, lock = [], [0], threading.Lock()

    def work(share):
        one = connect(port, ca)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.settimeout(10)
        udp.connect(("127.0.0.1", udp_port))
        stream, open_streams, bodies, rest = 1, {}, {}, list(share)
        answers = frames(one)
        while rest or open_streams:
            octets = b""
            while rest and len(open_streams) < IN_FLIGHT:
                name = rest.pop()
                open_streams[stream] = name
                octets += (get if stream % 4 == 1 else post)(stream, query(name))
                stream += 2
            if octets:
                one.sendall(octets)
            kind, flags, at, payload = next(answers)
            if kind == DATA:
                bodies[at] = bodies.get(at, b"") + payload
                one.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", max(1, len(payload)))))
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                name = open_streams.pop(at)
                udp.send(query(name, at & 0xFFFF))
                direct = udp.recv(65536)
                with lock:
                    done[0] += 1
                    if told(direct, name) != told(bodies.pop(at, b""), name) or direct[3] & 15:
                        wrong.append(name)
        one.close()

    start = time.monotonic()
    threads = [threading.Thread(target=work, args=(names[number::CONNECTIONS],)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{done[0]} of {count} answered in {time.monotonic() - start:.1f} s, {len(wrong)} of them not as over UDP: {wrong[:3]}")
    sys.exit(done[0] != count or bool(wrong))


def idle(port, count, ca):
    held = []
    for _ in range(count):
        one = connect(port, ca)
        one.sendall(get(1, query("n1.numbers.test")))
        answers = frames(one)
        for kind, flags, stream, _ in answers:
            if kind == DATA and stream == 1 and flags & END_STREAM:
                break
        held.append((one, answers))
    print("established", flush=True)
    unannounced = 0
    for one, answers in held:
        one.settimeout(30)
        try:
            kinds = [kind for kind, _, _, _ in answers]
        except OSError as error:
            print(error)
            kinds = []
        unannounced += GOAWAY not in kinds
    print(f"{count} ended, {unannounced} of them without GOAWAY and close_notify")
    sys.exit(unannounced > 0)


def resets(stream):
    return get(stream, query(f"n{stream}.numbers.test")) + frame(RST_STREAM, 0, stream, struct.pack(">I", 8))


def continuation(stream):
    first = frame(HEADERS, 0, 1, block("GET", "/dns-query")) if stream == 1 else b""
    return first + frame(CONTINUATION, 0, 1, b"\0") * 100


FLOODS = {
    "resets": resets,
    "pings": lambda stream: frame(PING, 0, 0, bytes(8)) * 100,
    "settings": lambda stream: frame(SETTINGS, 0, 0, b"\0\4" + struct.pack(">I", 65535)) * 100,
    "continuation": continuation,
    "bodies": lambda stream: post_head(stream) + frame(DATA, 0, stream, bytes(500)) if stream < 200 else frame(DATA, 0, 1 + stream % 100 * 2, b"\0"),
    "windows": lambda stream: get(stream, query("big.example.test")) if stream < 200 else b"",
    "refused": lambda stream: frame(HEADERS, END_HEADERS | END_STREAM, stream, block("GET", "/")),
}


def flood(kind, port, count, ca):
    """As fast as it goes, on connections that are made again when they are closed. What comes is not read, but for what frees the socket."""
    end, made = time.monotonic() + 10, [0]
    settings = b"\0\4" + struct.pack(">I", 0) if kind == "windows" else b""

    def work():
        while time.monotonic() < end:
            try:
                one = connect(port, ca, settings)
                made[0] += 1
                one.settimeout(0.5)
                stream = 1
                while time.monotonic() < end:
                    octets = b"".join(FLOODS[kind](stream + 2 * n) for n in range(20))
                    stream += 40
                    if octets:
                        one.sendall(octets)
                    else:
                        time.sleep(0.5)
            except (OSError, ValueError):
                time.sleep(0.01)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{kind}: {made[0]} connections in ten seconds, {count} at a time")
    sys.exit(made[0] == 0)


if __name__ == "__main__":
    mode, port, rest = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    if mode == "compare":
        compare(port, int(rest[0]), int(rest[1]), rest[2])
    elif mode == "idle":
        idle(port, int(rest[0]), rest[1])
    else:
        flood(mode, port, int(rest[0]), rest[1])
