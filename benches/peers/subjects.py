"""The subjects: what is measured, how each is started, and what cannot be asked of it."""

import pathlib
import re
import shlex
import shutil
import string
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


# What differs between the protocols in configurations: more values for them.
PROTOCOLS = {
    "tls": {"scheme": "tls", "path": "", "dnsdist_path": "", "hickory_protocol": '{ type = "tls", server_name = "dot.test" }'},
    "https": {
        "scheme": "https",
        "path": "/dns-query",
        "dnsdist_path": 'dohPath = "/dns-query",',
        "hickory_protocol": '{ type = "https", server_name = "dot.test", path = "/dns-query" }',
    },
    "quic": {"scheme": "quic", "path": "", "dnsdist_path": "", "hickory_protocol": '{ type = "quic", server_name = "dot.test" }'},
}


class Subject:
    """A program that forwards to encrypted DNS, over `protocols`.

    `command` and the file of `configs/` take $port, $upstream (an address), $upstream_port, $ca, $dir and what PROTOCOLS has. `version` is
    a command, of whose output the first version number is taken.
    """

    def __init__(self, name, program, command, config=None, version=("--version",), echo=False, protocols=("tls",)):
        self.name, self.program, self.config, self.echo, self.protocols = name, program, config, echo, protocols
        self.command, self.version_arguments = command, version

    def is_installed(self):
        return shutil.which(self.program) is not None

    def version(self):
        if self.echo:
            return "-"
        ran = subprocess.run([self.program, *self.version_arguments], capture_output=True, text=True, timeout=10)
        found = re.search(r"\d+\.\d+(\.\d+)*", ran.stdout + ran.stderr)
        return found[0] if found else "?"

    def ready(self, values, protocol="tls"):
        """The command line, with the configuration written to the folder that is given as `dir`."""
        values = values | PROTOCOLS[protocol]
        if self.config:
            text = string.Template((HERE / "configs" / self.config).read_text()).substitute(values)
            pathlib.Path(values["dir"], self.config).write_text(text)
        return [self.program, *(string.Template(part).substitute(values) for part in self.command)]


class Other(Subject):
    """One given on the command line: NAME='cmd with {port} {upstream_port} {ca} {dir}'."""

    def __init__(self, given):
        name, _, command = given.partition("=")
        program, *arguments = shlex.split(command) or [""]
        super().__init__(name, program, arguments, protocols=tuple(PROTOCOLS))

    def version(self):
        return "as given"

    def ready(self, values, _="tls"):
        command = [self.program, *self.command]
        for key, value in values.items():
            command = [part.replace("{" + key + "}", str(value)) for part in command]
        return command


class Hickory(Subject):
    """Started by env(1), which becomes the program."""

    def is_installed(self):
        return shutil.which("hickory-dns") is not None


def build(*examples, protocol="tls"):
    """Builds dotward and these examples, and says in which folder they are. The program is the default one if that has the protocol."""
    features = {"tls": [], "https": ["--features", "doh"], "quic": ["--features", "doq"]}[protocol]
    # Apart, so that what an example needs changes nothing in the program.
    examples += ("quic_server",) if protocol == "quic" else ()
    for target in (["--bin", "dotward", *features], *(["--example", example, *features] for example in examples)):
        subprocess.run(["cargo", "build", "--quiet", "--release", *target], cwd=ROOT, check=True)
    metadata = ["cargo", "metadata", "--format-version=1", "--no-deps"]
    found = subprocess.run(metadata, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return pathlib.Path(re.search(r'"target_directory":"([^"]+)"', found)[1]) / "release"


def version_of(folder):
    """dotward's name and version, as a table names it."""
    return f"dotward {Subject('dotward', str(folder / 'dotward'), []).version()}"


def known(folder, protocol="tls"):
    """All subjects that speak the protocol, in the order of the table."""
    upstream = "$scheme://$upstream:$upstream_port$path#dot.test"
    dotward = ["serve", "--listen", "127.0.0.1:$port", "--upstream", upstream, "--ca-file", "$ca"]
    every = tuple(PROTOCOLS)
    # It trusts what the system trusts, for which its verifier has this variable; its threads are as many as those of the others.
    hickory = ["SSL_CERT_FILE=$ca", "hickory-dns", "-q", "--workers", "1", "-c", "$dir/hickory.toml"]
    found = [
        Subject("floor", str(folder / "examples" / "floor"), ["127.0.0.1:$port"], echo=True, protocols=every),
        Subject("dotward", str(folder / "dotward"), dotward, protocols=every),
        Subject("dnsdist", "dnsdist", ["--supervised", "-C", "$dir/dnsdist.conf"], "dnsdist.conf", protocols=("tls", "https")),
        Subject("unbound", "unbound", ["-d", "-c", "$dir/unbound.conf"], "unbound.conf", ("-V",)),
        # "-n": no console on standard input. The last argument is where its cache goes.
        Subject("knot-resolver", "kresd", ["-n", "-c", "$dir/kresd.conf", "$dir"], "kresd.conf"),
        Subject("stubby", "stubby", ["-C", "$dir/stubby.yml"], "stubby.yml", ("-V",)),
        Hickory("hickory-dns", "env", hickory, "hickory.toml", ("hickory-dns", "--version"), protocols=every),
    ]
    return [subject for subject in found if protocol in subject.protocols]
