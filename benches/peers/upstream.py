"""The resolver that everybody forwards to, and the certificate authority that vouches for it."""

import pathlib
import shutil
import socket
import ssl
import string
import subprocess
import time

import processes

HERE = pathlib.Path(__file__).resolve().parent
NAME = "dot.test"  # the name in the certificate
START = 10.0  # seconds to be reachable


def free_port():
    """A port that is free for UDP and for TCP, just now."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue  # taken for UDP
            return tcp.getsockname()[1]


def certificates(folder):
    """Makes ca.pem, server.pem and server-key.pem."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=bench CA")
    openssl("req", *key, "-keyout", "server-key.pem", "-out", "server.csr", "-subj", f"/CN={NAME}")
    (folder / "extensions").write_text(f"subjectAltName=DNS:{NAME},IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions"]
    openssl("x509", "-req", "-in", "server.csr", *sign, "-out", "server.pem", "-days", "2")


def start(started, folder, protocol="tls", programs=None):
    """Starts the server for a protocol, unbound or examples/quic_server; gives its process and port."""
    certificates(folder)
    port = free_port()
    if protocol == "quic":
        return quic(started, folder, programs, "127.0.0.1", port), port
    if not shutil.which("unbound"):
        raise processes.Failed("unbound is needed as the upstream, whoever is measured")
    text = string.Template((HERE / "configs" / "upstream.conf").read_text())
    (folder / "upstream.conf").write_text(text.substitute(upstream_port=port, dir=folder, kind=protocol))
    process = started.start("upstream", ["unbound", "-d", "-c", str(folder / "upstream.conf")])
    await_tls(process, folder, "127.0.0.1", port)
    return process, port


def quic(started, folder, programs, address, port, inside=lambda command: command):
    """Starts a server for DNS over QUIC, and waits until it listens; `inside` puts its command into a network namespace."""
    files = [str(folder / "server.pem"), str(folder / "server-key.pem")]
    process = started.start("quic-server", inside([str(programs / "examples" / "quic_server"), f"{address}:{port}", *files]))
    end = time.monotonic() + START
    while "ready" not in process.log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > end:
            raise processes.Failed(f"quic-server: {processes.last_lines(process.log)}")
        time.sleep(0.02)
    return process


def await_tls(process, folder, address, port):
    """Until the server has answered a handshake."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    end = time.monotonic() + START
    while True:
        try:
            with socket.create_connection((address, port), 1) as tcp:
                context.wrap_socket(tcp, server_hostname=NAME).close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > end:
                raise processes.Failed(f"upstream: {error}\n{processes.last_lines(process.log)}") from error
            time.sleep(0.05)
