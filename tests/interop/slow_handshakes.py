#!/usr/bin/env python3
"""Clients over TLS that take their time, on 127.0.0.1.

slow_handshakes.py PORT COUNT SECONDS       COUNT connections at any time for so many seconds, which send nothing, or the head of a handshake and
                                            one octet a second. Exits with 1 if one of them is open for more than 15 seconds
slow_handshakes.py PORT COUNT idle CA-FILE  COUNT connections with their handshake done, one query each, then silence. Exits with 1 if one ends
                                            without close_notify
"""

import selectors
import socket
import ssl
import sys
import time

LIMIT = 15.0  # seconds: the limit on a handshake is 10
QUERY = bytes.fromhex("0001 0100 0001 0000 0000 0000 0378 2d31 0474 6573 7400 0001 0001".replace(" ", ""))


def connect(port):
    return socket.create_connection(("127.0.0.1", port), 5)


def slow(port, count, seconds):
    selector, opened, longest, closed = selectors.DefaultSelector(), {}, 0.0, 0
    end, talk = time.monotonic() + seconds, time.monotonic() + 1
    while time.monotonic() < end:
        while len(opened) < count:
            one = connect(port)
            one.setblocking(False)
            if len(opened) % 2:
                one.send(bytes([22, 3, 1, 2, 0, 1, 0, 1, 252]))
            opened[one] = time.monotonic()
            selector.register(one, selectors.EVENT_READ)
        for key, _ in selector.select(0.05):
            one = key.fileobj
            try:
                if one.recv(4096):
                    continue
            except (BlockingIOError, ConnectionResetError):
                pass
            longest = max(longest, time.monotonic() - opened.pop(one))
            closed += 1
            selector.unregister(one)
            one.close()
        if time.monotonic() > talk:
            talk += 1
            for number, one in enumerate(opened):
                try:
                    if number % 2:
                        one.send(b"\0")
                except OSError:
                    pass  # it is closed: the next round sees that
    longest = max([longest] + [time.monotonic() - since for since in opened.values()])
    print(f"{count} at a time: {closed} were closed, the longest was open for {longest:.1f} s")
    sys.exit(closed == 0 or longest > LIMIT)


def idle(port, count, ca):
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["dot"])
    held = []
    for _ in range(count):
        one = context.wrap_socket(connect(port), server_hostname="home.test", suppress_ragged_eofs=False)
        one.sendall(len(QUERY).to_bytes(2, "big") + QUERY)
        one.recv(4096)
        held.append(one)
    print("established", flush=True)
    unannounced = 0
    for one in held:
        one.settimeout(30)
        try:
            while one.recv(4096):
                pass
        except (ssl.SSLError, OSError) as error:
            unannounced += 1
            print(error)
    print(f"{count} ended, {unannounced} of them without close_notify")
    sys.exit(unannounced > 0)


if sys.argv[3] == "idle":
    idle(int(sys.argv[1]), int(sys.argv[2]), sys.argv[4])
else:
    slow(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
