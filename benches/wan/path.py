"""The path to the far end: two network namespaces, joined by two tun devices between which this process carries the packets.

Real kernels, so real TCP, on both sides; and no netem, which kernels in containers often lack. The namespaces have no name: each
is gone with the last process in it, whatever ends this one, and a tun device is gone with its descriptor.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time

import processes

NEAR, FAR = "10.9.0.1", "10.9.0.2"
MTU = 1400
CLONE_NEWNET = 0x40000000  # of <linux/sched.h>; os.unshare() needs Python 3.12
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # of <linux/if_tun.h>
BATCH = 64  # packets taken from a device before the other one gets its turn
START = 5.0  # seconds until the far namespace is there


class Path:
    """The near namespace is this process's own from now on; the far one is that of a process that reads until this one is gone."""

    def __init__(self, started):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET):
            raise processes.Failed(f"no network namespace: {os.strerror(ctypes.get_errno())}; this needs root")
        own = os.readlink("/proc/self/ns/net")
        self.holder = started.start("far-namespace", ["unshare", "--net", "cat"], talk=True)
        end = time.monotonic() + START
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == own:
            if self.holder.poll() is not None or time.monotonic() > end:
                raise processes.Failed("no far namespace\n" + processes.last_lines(self.holder.log))
            time.sleep(0.01)
        near, far = tun("near"), tun("far")
        ip("link", "set", "far", "netns", str(self.holder.pid))
        for inside, device, address, other in (([], "near", NEAR, FAR), (self.far([]), "far", FAR, NEAR)):
            ip("link", "set", "lo", "up", inside=inside)
            ip("address", "add", address, "peer", other, "dev", device, inside=inside)
            ip("link", "set", device, "mtu", str(MTU), "up", inside=inside)
            # Programs that look for a route before they ask find one.
            ip("route", "add", "default", "dev", device, inside=inside)
        self.link = Link(near, far)
        self.link.start()

    def far(self, command):
        """The command, run in the far namespace. nsenter becomes the program, so that the id is the program's."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--", *command]


def ip(*arguments, inside=()):
    ran = subprocess.run([*inside, "ip", *arguments], capture_output=True, text=True, timeout=10, check=False)
    if ran.returncode:
        raise processes.Failed(f"ip {' '.join(arguments)}: {ran.stderr.strip()}")


def tun(name):
    """A tun device of this namespace, as the descriptor that gives and takes its packets."""
    try:
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        raise processes.Failed(f"/dev/net/tun: {error.strerror}") from error
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


class Link(threading.Thread):
    """Carries each packet after half the round trip, or loses it."""

    def __init__(self, near, far):
        super().__init__(daemon=True)
        self.other = {near: far, far: near}
        self.set(0.0, 0.0)

    def set(self, round_trip, loss):
        """From now on: the round trip in seconds, the loss as a share. The same dice for every subject."""
        self.one_way, self.loss, self.is_down = round_trip / 2, loss, False
        self.dice = random.Random(1)
        self.packets = self.lost = 0

    def run(self):
        # (when due, number, device, packet): the number keeps the order of packets that are due at once.
        waiting, number = [], 0
        while True:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, device, packet = heapq.heappop(waiting)
                self.deliver(device, packet)
            left = max(0.0, waiting[0][0] - now) if waiting else None
            # Not poll(), whose whole milliseconds would add to each way.
            ready, _, _ = select.select(list(self.other), [], [], left)
            for device in ready:
                for packet in packets_of(device):
                    number += 1
                    self.packets += 1
                    if self.is_down or self.dice.random() < self.loss:
                        self.lost += 1
                        continue
                    heapq.heappush(waiting, (time.monotonic() + self.one_way, number, self.other[device], packet))

    @staticmethod
    def deliver(device, packet):
        try:
            os.write(device, packet)
        except OSError:
            pass  # its queue is full, or the device is gone at the end: one more packet lost


def packets_of(device):
    for _ in range(BATCH):
        try:
            yield os.read(device, 65536)
        except OSError:
            return  # none left
