"""The upstream and the clients of `memory`: see there.

memory.py upstream PORT CERTIFICATE KEY
memory.py hit|joined|own|large PORT PID SECONDS
"""

import asyncio
import os
import socket
import ssl
import struct
import sys
import threading
import time

LIMIT = 128 << 20
# What the program's own bounds leave: 64 MiB of queues, the cache, and the program itself.
MOST = 72 * 1024
BACK_WITHIN = 30
CONNECTIONS, QUESTIONS = 100, 100
# What may be left then, in KiB. Large questions are read into memory of the allocator, which keeps what lies between small pieces that
# live for long, such as cached responses: at most what one attack takes, a buffer of 68 KiB for each connection and the queries in flight
# (2,048 of 2 KiB, and their copies on the way), however often it comes again.
LEFT = {"large": CONNECTIONS * 68 + 2 * 4 * 1024, "joined": 3 * 1024}


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def query(text, number, qtype=16, options=b""):
    opt = b"\0" + struct.pack("!2HIH", 41, 1232, 0, len(options)) + options
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 1) + name(text) + struct.pack("!2H", qtype, 1) + opt


def framed(message):
    return struct.pack("!H", len(message)) + message


# --- The upstream: what it does is in the second label ----------------------------------------------------------------


def answer(message, ttl, octets):
    end = 12
    while message[end]:
        end += 1 + message[end]
    question = message[12 : end + 5]
    text = b"".join(b"\xff" + bytes(255) for _ in range(octets // 256)) + b"\1x"
    record = b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, ttl, len(text)) + text
    return message[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0) + question + record


async def serve(reader, writer):
    try:
        while True:
            message = await reader.readexactly(struct.unpack("!H", await reader.readexactly(2))[0])
            labels, at = [], 12
            while message[at]:
                labels.append(message[at + 1 : at + 1 + message[at]])
                at += 1 + message[at]
            how = labels[1] if len(labels) > 1 else b""
            if how == b"never":
                continue
            ttl, octets = {b"kept": (60, 59_000), b"passing": (0, 59_000)}.get(how, (60, 10))
            send = lambda it=framed(answer(message, ttl, octets)): writer.is_closing() or writer.write(it)
            asyncio.get_running_loop().call_later(0.3 if how == b"passing" else 0.01, send)
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


async def upstream(port, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with await asyncio.start_server(serve, "127.0.0.1", port, ssl=context) as server:
        print("ready", flush=True)
        await server.serve_forever()


# --- What the program costs -------------------------------------------------------------------------------------------


def confine(pid):
    """A cgroup of its own, of whichever version there is."""
    if os.path.isdir("/sys/fs/cgroup/memory"):
        group = f"/sys/fs/cgroup/memory/dotward-interop-{pid}"
        os.mkdir(group)
        limit, kills = "memory.limit_in_bytes", "memory.oom_control"
    else:
        root = "/sys/fs/cgroup/unified" if os.path.isdir("/sys/fs/cgroup/unified") else "/sys/fs/cgroup"
        with open(f"{root}/cgroup.subtree_control", "w") as control:
            control.write("+memory")
        group = f"{root}/dotward-interop-{pid}"
        os.mkdir(group)
        limit, kills = "memory.max", "memory.events"
    with open(f"{group}/{limit}", "w") as file:
        file.write(str(LIMIT))
    with open(f"{group}/cgroup.procs", "w") as file:
        file.write(str(pid))
    return group, f"{group}/{kills}"


def status(pid, field):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field))


class Honest(threading.Thread):
    """Twenty questions a second, each with a name of its own, each from a new socket."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.asked, self.lost, self.stopped = port, 0, 0, False

    def run(self):
        while not self.stopped:
            self.asked += 1
            self.lost += not ask(self.port, f"h{self.asked}.honest.test", self.asked & 0xFFFF)
            time.sleep(0.05)


def ask(port, text, number):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(query(text, number), ("127.0.0.1", port))
        try:
            got = client.recv(4096)
        except OSError:
            return False
        return got[3] & 15 == 0 and got[:2] == struct.pack("!H", number)


def attack(kind, port, round_):
    """One hundred connections with a hundred questions each; nothing is read."""
    clients = []
    padding = struct.pack("!2H", 65_001, 60_000) + bytes(60_000)
    for i in range(CONNECTIONS):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0.2)
        names = {
            "hit": lambda k: query("one.kept.test", k),
            "joined": lambda k: query(f"r{round_}c{i}.passing.test", k),
            "own": lambda k: query(f"r{round_}c{i}k{k}.passing.test", k),
            "large": lambda k: query(f"r{round_}c{i}k{k}.never.test", k, options=padding),
        }[kind]
        try:
            client.connect(("127.0.0.1", port))
            for k in range(QUESTIONS):
                client.sendall(framed(names(k)))
        except OSError:
            pass  # It is not read any more, or closed: both are ways to protect oneself.
        clients.append(client)
        if kind == "own":
            time.sleep(0.05)  # One upstream must be able to answer all that.
    return clients


def main(kind, port, pid, seconds):
    group, kills = confine(pid)
    for number in range(200):
        ask(port, f"warm{number}.honest.test", number)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(framed(query("one.kept.test", 1)))
        client.recv(65_536)
    time.sleep(1)
    idle = status(pid, "VmRSS")
    honest = Honest(port)
    honest.start()
    end, round_ = time.monotonic() + seconds, 0
    try:
        while time.monotonic() < end:
            clients = attack(kind, port, round_)
            time.sleep(3)
            for client in clients:
                client.close()
            round_ += 1
        honest.stopped = True
        honest.join()
        back, now = time.monotonic() + BACK_WITHIN, status(pid, "VmRSS")
        while now > idle + LEFT.get(kind, 2048) and time.monotonic() < back:
            time.sleep(0.5)
            now = status(pid, "VmRSS")
        peak = status(pid, "VmHWM")
    except FileNotFoundError:
        sys.exit("it was killed")
    with open(kills) as file:
        print(f"{round_} rounds; idle {idle} KiB, peak {peak}, afterwards {now}; honest {honest.asked} asked, {honest.lost} lost; {file.read().split()[-2:]}")
    if honest.lost or peak > MOST or now > idle + LEFT.get(kind, 2048):
        sys.exit(1)


if sys.argv[1] == "upstream":
    asyncio.run(upstream(int(sys.argv[2]), *sys.argv[3:]))
else:
    main(sys.argv[1], *map(int, sys.argv[2:]))
