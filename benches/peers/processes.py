"""Processes: started in a folder of their own, watched through /proc, and always stopped by their ids."""

import os
import re
import shutil
import signal
import subprocess
import time

PATIENCE = 5.0  # seconds that a process gets to end when asked
SETTLE = 0.4  # seconds until a counter has attached itself


class Failed(Exception):
    """A program that did not do what was expected of it; the text says what it printed."""


class Processes:
    """All that one run started. A context manager: at its end nothing is left."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(list(self.running)):
            self.stop(process)

    def start(self, name, command, cwd=None, talk=False):
        """Starts it with its output in NAME.log; one to talk with has its standard input and output in pipes, as text."""
        path = self.folder / f"{name}.log"
        with open(path, "wb") as log:
            put, get = (subprocess.PIPE, subprocess.PIPE) if talk else (subprocess.DEVNULL, log)
            # A session of its own, so that a Ctrl-C reaches this script alone, which then stops everything in order.
            process = subprocess.Popen(
                command, stdin=put, stdout=get, stderr=log, cwd=cwd, text=True, start_new_session=True
            )
        process.log = path
        self.running.append(process)
        return process

    def stop(self, process, how=signal.SIGTERM):
        """Asks the process and its children to end, and waits; then by force."""
        tree = [pid for pid in family(process.pid) if pid != process.pid]
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in tree:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended with its parent
        if process in self.running:
            self.running.remove(process)


def last_lines(path, count=6):
    return "\n".join(path.read_text(errors="replace").splitlines()[-count:])


def family(pid):
    """The ids of a process and all its descendants that live."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
            children.setdefault(parent, []).append(int(entry))
    found = [pid]
    for each in found:
        found.extend(children.get(each, []))
    return found


def cpu_ns(pid):
    """CPU time of a process and its descendants, user and system, in nanoseconds.

    Each process has a clock that runs while any of its threads does, and that keeps the time of threads that have ended
    (clock_getcpuclockid(3)); /proc/PID/task/*/schedstat forgets those.
    """
    total = 0
    for each in family(pid):
        try:
            total += time.clock_gettime_ns((~each << 3) | 2)
        except OSError:
            pass  # it ended while we looked
    return total


def rss_kib(pid):
    """Resident memory of a process and its descendants."""
    total = 0
    for each in family(pid):
        try:
            with open(f"/proc/{each}/status") as status:
                found = re.search(r"^VmRSS:\s+(\d+)", status.read(), re.MULTILINE)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        total += int(found[1]) if found else 0
    return total


def connections_to(port):
    """Established TCP connections of this machine to a port of it."""
    command = ["ss", "-Htn", "state", "established", f"dport = :{port}"]
    return len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())


class SystemCalls:
    """Counts the system calls of a process while the context lasts: by perf, which does not slow it, or else by strace."""

    def __init__(self, processes, pid):
        self.processes = processes
        self.pids = [str(each) for each in family(pid)]
        self.count = None

    def __enter__(self):
        if tool() == "perf":
            command = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", ",".join(self.pids)]
        else:
            command = ["strace", "-c", "-f", *(f"-p{pid}" for pid in self.pids)]
        self.process = self.processes.start("syscalls", command)
        time.sleep(SETTLE)
        return self

    def __exit__(self, *_):
        self.processes.stop(self.process, signal.SIGINT)
        text = self.process.log.read_text(errors="replace")
        found = re.search(r"^(\d+),,raw_syscalls", text, re.MULTILINE) or re.search(
            r"^100\.00\s+\S+\s+(?:\S+\s+)?(\d+)\s+(?:\d+\s+)?total", text, re.MULTILINE
        )
        self.count = int(found[1]) if found else None


def tool():
    """What counts system calls here: "perf", "strace" or None."""
    if not hasattr(tool, "name"):
        tool.name = None
        # perf may be there and not be allowed to count, or lack the kernel's tracing.
        command = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "true"]
        if shutil.which("perf") and re.search(
            rb"^\d+,,raw_syscalls", subprocess.run(command, capture_output=True, check=False).stderr, re.MULTILINE
        ):
            tool.name = "perf"
        elif shutil.which("strace"):
            tool.name = "strace"
    return tool.name
