"""The subjects: what is measured, how each is started, and what cannot be asked of it."""

import pathlib
import re
import shlex
import shutil
import string
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Subject:
    """A program that forwards to DNS over TLS.

    `command` and the file of `configs/` take $port, $upstream (an address), $upstream_port, $ca and $dir. `version` is a command, of whose
    output the first version number is taken.
    """

    def __init__(self, name, program, command, config=None, version=("--version",), echo=False):
        self.name, self.program, self.config, self.echo = name, program, config, echo
        self.command, self.version_arguments = command, version

    def is_installed(self):
        return shutil.which(self.program) is not None

    def version(self):
        if self.echo:
            return "-"
        ran = subprocess.run([self.program, *self.version_arguments], capture_output=True, text=True, timeout=10)
        found = re.search(r"\d+\.\d+(\.\d+)*", ran.stdout + ran.stderr)
        return found[0] if found else "?"

    def ready(self, values):
        """The command line, with the configuration written to the folder that is given as `dir`."""
        if self.config:
            text = string.Template((HERE / "configs" / self.config).read_text()).substitute(values)
            pathlib.Path(values["dir"], self.config).write_text(text)
        return [self.program, *(string.Template(part).substitute(values) for part in self.command)]


class Other(Subject):
    """One given on the command line: NAME='cmd with {port} {upstream_port} {ca} {dir}'."""

    def __init__(self, given):
        name, _, command = given.partition("=")
        program, *arguments = shlex.split(command) or [""]
        super().__init__(name, program, arguments)

    def version(self):
        return "as given"

    def ready(self, values):
        command = [self.program, *self.command]
        for key, value in values.items():
            command = [part.replace("{" + key + "}", str(value)) for part in command]
        return command


def build(*examples):
    """Builds dotward and these examples, and says in which folder they are."""
    # Apart, so that what an example needs changes nothing in the program.
    for target in (["--bin", "dotward"], *(["--example", example] for example in examples)):
        subprocess.run(["cargo", "build", "--quiet", "--release", *target], cwd=ROOT, check=True)
    metadata = ["cargo", "metadata", "--format-version=1", "--no-deps"]
    found = subprocess.run(metadata, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return pathlib.Path(re.search(r'"target_directory":"([^"]+)"', found)[1]) / "release"


def version_of(folder):
    """dotward's name and version, as a table names it."""
    return f"dotward {Subject('dotward', str(folder / 'dotward'), []).version()}"


def known(folder):
    """All subjects, in the order of the table."""
    upstream = "tls://$upstream:$upstream_port#dot.test"
    dotward = ["serve", "--listen", "127.0.0.1:$port", "--upstream", upstream, "--ca-file", "$ca"]
    return [
        Subject("floor", str(folder / "examples" / "floor"), ["127.0.0.1:$port"], echo=True),
        Subject("dotward", str(folder / "dotward"), dotward),
        Subject("dnsdist", "dnsdist", ["--supervised", "-C", "$dir/dnsdist.conf"], "dnsdist.conf"),
        Subject("unbound", "unbound", ["-d", "-c", "$dir/unbound.conf"], "unbound.conf", ("-V",)),
        # "-n": no console on standard input. The last argument is where its cache goes.
        Subject("knot-resolver", "kresd", ["-n", "-c", "$dir/kresd.conf", "$dir"], "kresd.conf"),
        Subject("stubby", "stubby", ["-C", "$dir/stubby.yml"], "stubby.yml", ("-V",)),
    ]
