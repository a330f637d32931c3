#!/usr/bin/env python3
"""A DNS-over-TLS server with OpenSSL that closes each connection after one answer, and says how each handshake went.

resumption.py PORT CERTIFICATE KEY GROUP KEY-LOG

GROUP is X25519, and the server has no other, or X25519MLKEM768, and the server has what its OpenSSL has, which must be 3.5 or later: Python's
own, or else that of pyOpenSSL. Of each handshake there is a line: `resumed` or `full`, the group, and how many messages ServerHello there
were, of which one too many is a HelloRetryRequest (RFC 8446 section 4.1.4). n0 to n99999.numbers.test have an address each, as everywhere here.
"""

import socket
import ssl
import sys
import threading

GROUPS = {0x001D: "X25519", 0x11EC: "X25519MLKEM768", 0x0017: "secp256r1", 0x0018: "secp384r1"}
PORT, CERTIFICATE, KEY, GROUP, KEY_LOG = sys.argv[1:]


class Own:
    """A session of Python's own OpenSSL."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    context.keylog_filename = KEY_LOG
    if GROUP == "X25519":
        context.set_ecdh_curve("X25519")

    def __init__(self):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = self.context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def attempt(self, work):
        """What the work gives, or None if it wants octets first."""
        try:
            return work()
        except ssl.SSLWantReadError:
            return None

    def shake(self):
        return self.session.do_handshake() or True

    def read(self):
        return self.session.read(65536)

    def write(self, octets):
        self.session.write(octets)

    def hear(self, octets):
        self.incoming.write(octets)

    def say(self):
        return self.outgoing.read()

    def is_resumed(self):
        return self.session.session_reused

    def close(self):
        self.attempt(self.session.unwrap)


def other():
    """The same with the OpenSSL that pyOpenSSL brings."""
    from OpenSSL import SSL
    from OpenSSL._util import lib

    version = SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode()
    print(version, file=sys.stderr, flush=True)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(CERTIFICATE)
    context.use_privatekey_file(KEY)
    context.set_session_id(b"resumption")
    log = open(KEY_LOG, "ab", buffering=0)
    context.set_keylog_callback(lambda _, line: log.write(line + b"\n"))

    class Other(Own):
        def __init__(self):
            self.session = SSL.Connection(context, None)
            self.session.set_accept_state()

        def attempt(self, work):
            try:
                return work()
            except SSL.WantReadError:
                return None

        def hear(self, octets):
            self.session.bio_write(octets)

        def say(self):
            octets = b""
            while True:
                try:
                    octets += self.session.bio_read(65536)
                except SSL.WantReadError:
                    return octets

        def is_resumed(self):
            return lib.SSL_session_reused(self.session._ssl) == 1

        def close(self):
            self.session.shutdown()

    return Other


def server_hellos(octets):
    """The group of each ServerHello at the beginning of what the server says."""
    groups = []
    while octets[:1] == b"\x16" and octets[5:6] == b"\x02":
        length = int.from_bytes(octets[3:5], "big")
        hello = octets[9 : 5 + length]
        rest = hello[35 + hello[34] + 3 :]
        extensions = rest[2 : 2 + int.from_bytes(rest[:2], "big")]
        while extensions:
            kind, size = int.from_bytes(extensions[:2], "big"), int.from_bytes(extensions[2:4], "big")
            if kind == 51:  # key_share
                number = int.from_bytes(extensions[4:6], "big")
                groups.append(GROUPS.get(number, hex(number)))
            extensions = extensions[4 + size :]
        octets = octets[5 + length :]
        # The one message ChangeCipherSpec, which means nothing in TLS 1.3.
        if octets[:1] == b"\x14":
            octets = octets[6:]
    return groups


def answer(query):
    """That to a question for n1.numbers.test or the like."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]])
        at += 1 + query[at]
    number = int(labels[0][1:].decode()) if labels[0][1:].isdigit() else 0
    address = bytes([10, number >> 16, number >> 8 & 255, number & 255])
    head = query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0"
    message = head + query[12 : at + 5] + b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + address
    return len(message).to_bytes(2, "big") + message


def serve(stream, session):
    said = b""

    def until_done(work):
        nonlocal said
        while True:
            done = session.attempt(work)
            octets = session.say()
            said += octets
            stream.sendall(octets)
            if done is not None:
                return done
            heard = stream.recv(65536)
            if not heard:
                raise ConnectionResetError
            session.hear(heard)

    stream.settimeout(20)
    try:
        until_done(session.shake)
        hellos = server_hellos(said)
        print("resumed" if session.is_resumed() else "full", hellos[-1] if hellos else "none", len(hellos), flush=True)
        query = until_done(session.read)
        while len(query) < 2 or len(query) < 2 + int.from_bytes(query[:2], "big"):
            query += until_done(session.read)
        session.write(answer(query[2:]))
        session.close()
        stream.sendall(session.say())
        stream.shutdown(socket.SHUT_WR)
        # Closing with octets unread would reset the connection.
        while stream.recv(65536):
            pass
    except OSError:
        pass
    except Exception as error:  # of pyOpenSSL, whose errors are of its own
        print("error", type(error).__name__, error, file=sys.stderr, flush=True)
    finally:
        stream.close()


def main():
    kind = Own if GROUP == "X25519" or ssl.OPENSSL_VERSION_INFO >= (3, 5) else other()
    listener = socket.create_server(("127.0.0.1", int(PORT)), backlog=128)
    print("listening", flush=True)
    while True:
        stream, _ = listener.accept()
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(stream, kind()), daemon=True).start()


if __name__ == "__main__":
    main()
