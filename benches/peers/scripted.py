"""The scripted server of scripted.rs, and dotward in front of such servers: started, commanded, watched."""

import os
import random
import re
import select
import signal
import socket
import time

import load
import processes
import upstream

# Below those that Linux gives to connections that name none (32768 and up): nobody connects from the port of a server that is
# down just now, and so to itself.
PORTS = range(15_000, 32_000)
PATIENCE = 5.0  # seconds until a server answers a command


def free_port():
    """A port that nobody uses, and that stays free while its server is down."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue  # taken
            return port


class Server:
    """One server on a port of its own. It may be killed and started again."""

    def __init__(self, started, programs, folder, name, idle_ms=None):
        self.started, self.folder, self.name = started, folder, name
        self.port, self.starts = free_port(), 0
        self.command = [str(programs / "examples" / "scripted"), f"127.0.0.1:{self.port}"]
        self.command += [str(folder / "server.pem"), str(folder / "server-key.pem")]
        self.command += [] if idle_ms is None else [str(idle_ms)]
        self.start()

    def start(self):
        self.starts += 1
        self.process = self.started.start(f"{self.name}-{self.starts}", self.command, talk=True)
        # It listens before it reads commands.
        self.say("serve")

    def kill(self):
        self.started.stop(self.process, signal.SIGKILL)

    def say(self, command):
        """Gives a command; gives what the server says to it."""
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended: it says nothing
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        said = self.process.stdout.readline().strip() if ready else ""
        if not said or said.startswith("no "):
            raise processes.Failed(f"{self.name} said {said!r} to {command!r}\n" + processes.last_lines(self.process.log))
        return said

    def counts(self):
        """Connections and questions since it was started."""
        connections, questions = self.say("counts").split()
        return int(connections), int(questions)


class Dotward:
    """dotward in front of some ports, once it answers."""

    def __init__(self, started, programs, folder, ports, *options, name="dotward"):
        self.port = free_port()
        command = [str(programs / "dotward"), "serve", "--listen", f"127.0.0.1:{self.port}"]
        for port in ports:
            command += ["--upstream", f"tls://127.0.0.1:{port}#{upstream.NAME}"]
        command += ["--ca-file", str(folder / "ca.pem"), *options]
        # Variables of the caller's own dotward must not reach this one.
        clean = ["env", *(f"--unset={key}" for key in os.environ if key.startswith("DOTWARD_"))]
        self.started, begun = started, time.monotonic()
        self.process = started.start(name, [*clean, *command])
        # `env` becomes the program, so that the id is the program's.
        self.pid = self.process.pid
        load.first_answer(self.port, begun, self.process, echo=True)

    def ask(self, name, patience=load.PATIENCE):
        """Seconds until a question is answered without an error; none if it is not."""
        with load.Asker(self.port, echo=True) as asker:
            asker.ask(1, name)
            asker.finish(patience)
            return asker.times[0] / 1e9 if asker.times else None

    def cpu_ns(self):
        return processes.cpu_ns(self.pid)

    def threads(self):
        """Of each thread, by its id: its name, CPU nanoseconds, and how often it has waited."""
        found = {}
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            folder = f"/proc/{self.pid}/task/{thread}"
            with open(f"{folder}/comm") as comm, open(f"{folder}/schedstat") as times, open(f"{folder}/status") as status:
                waits = next(line for line in status if line.startswith("voluntary_ctxt_switches"))
                found[int(thread)] = comm.read().strip(), int(times.read().split()[0]), int(waits.split()[1])
        return found

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def dropped(self):
        """Questions that the kernel had no room for on the UDP socket."""
        with open("/proc/net/udp") as table:
            rows = [line.split() for line in table][1:]
        return sum(int(row[-1]) for row in rows if row[1].endswith(f":{self.port:04X}"))

    def held(self):
        """What there is now, by name, as it reports at SIGUSR1."""
        reports = lambda: re.findall(r" worker 1: .*; (.*)", self.process.log.read_text(errors="replace"))
        before, end = len(reports()), time.monotonic() + PATIENCE
        self.process.send_signal(signal.SIGUSR1)
        while len(reports()) == before:
            if time.monotonic() > end:
                raise processes.Failed("no report; its log ends:\n" + processes.last_lines(self.process.log))
            time.sleep(0.05)
        return {name: int(count) for name, count in (part.split() for part in reports()[-1].split(", "))}

    def stop(self):
        """Asks it to end; gives how many seconds it took, its exit code and the last line of its log."""
        begun = time.monotonic()
        self.started.stop(self.process)
        return time.monotonic() - begun, self.process.returncode, processes.last_lines(self.process.log, 1)
