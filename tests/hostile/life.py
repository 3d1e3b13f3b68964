# SPDX-License-Identifier: BSD-3-Clause
"""How peers come, go and are replaced: docs/reference/hostile.md §3.4. What kills the daemon has a
daemon of its own: HX-47 and the campaign of reconnections in lives.py."""

import contextlib
import os
import random
import signal
import struct
import threading
import time

from lab import frontend as vu
from lab.frontend import Connection, FrontEnd, Memory
from lab.viaductd import Viaductd

from catalogue import case
from framing import Talker, more_ports, require, require_refused
from memory import Traffic
from stage import VICTIM_MAC, eventually, frame


def comes_and_goes(stage):
    """One front-end that connects and leaves; False if the port was not ready for it."""
    try:
        FrontEnd(stage.path(), stage.packed).close()
    except OSError:
        return False
    return True


@case("HX-44")
def connections(stage):
    for _ in range(stage.times(10000, 100)):
        eventually(lambda: comes_and_goes(stage), "a connection")


class Recorder(FrontEnd):
    """Notes what is sent, and how."""

    def send_bytes(self, data, fds=()):
        self.said.append((data, list(fds)))
        super().send_bytes(data, fds)

    def __init__(self, *words, **more):
        self.said = []
        super().__init__(*words, **more)


@case("HX-44")
def gone_after_every_byte(stage):
    """BASE, as far as each of its bytes."""
    with Recorder(stage.path(), stage.packed, 4) as f:
        total = sum(len(data) for data, _ in f.said)
        step = 1 if not stage.quick else 7
        f.sock.close()
        for cut in range(1, total + 1, step):
            left = cut
            with contextlib.suppress(OSError), Connection(stage.path()) as c:
                for data, fds in f.said:
                    c.send_bytes(data[:left], fds)
                    left -= len(data[:left])
                    if left == 0:
                        break


@case("HX-44")
def ports_come_and_go_meanwhile(stage):
    stop = threading.Event()
    name = "guest"

    def connect():
        while not stop.is_set():
            with contextlib.suppress(OSError, AssertionError):
                FrontEnd(stage.path(name), stage.packed).close()
    thread = threading.Thread(target=connect)
    thread.start()
    try:
        for _ in range(stage.times(300, 20)):
            with more_ports(stage, [name]):
                time.sleep(0.002)
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def child(run):
    """A process that runs something of ours until it is killed."""
    pid = os.fork()
    if pid == 0:
        try:
            run()
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def both_ways(stage, name="evil"):
    """A front-end that sends and receives for ever."""
    with FrontEnd(stage.path(name), stage.packed, 4) as f:
        f.post()
        while True:
            for _ in range(16):
                f.send(frame(b"both ways", VICTIM_MAC))
            f.ring[1].reap()
            f.received()


def victim_answers(stage, seconds):
    """It takes what comes, and sends back."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stage.victim.send(frame(b"back", b"\x02evil\x01", VICTIM_MAC))
        stage.victim.ring[1].reap()
        stage.victim.received()


@case("HX-45")
def killed_at_random(stage):
    rng = random.Random(45)
    for _ in range(stage.times(10000, 50)):
        with child(lambda: both_ways(stage)):
            victim_answers(stage, rng.random() * 0.02)


@case("HX-45")
def stopped_and_continued(stage):
    """Nobody waits for a front-end that does not run, and it goes on where it was."""
    with FrontEnd(stage.path(), stage.packed, 4) as f:
        f.post()
        with Traffic(f, frame(b"a while")) as traffic:
            for _ in range(stage.times(3, 2)):
                eventually(stage.victim.received, "frames come")
                os.kill(traffic.pid, signal.SIGSTOP)
                time.sleep(stage.times(10, 0.2))
                stage.victim.received()
                for _ in range(300):
                    stage.victim.send(frame(b"to who sleeps", b"\x02evil\x01", VICTIM_MAC))
                    stage.victim.ring[1].reap()
                os.kill(traffic.pid, signal.SIGCONT)
                eventually(stage.victim.received, "frames come again")


@case("HX-46")
def notifiers_and_enables_change_under_traffic(stage):
    """With and without descriptors, while others ask for facts and statistics."""
    rng, stop = random.Random(46), threading.Event()

    def ask():
        while not stop.is_set():
            stage.daemon.ctl("stats")
            stage.daemon.ctl("port", "show", "evil")
    thread = threading.Thread(target=ask)
    with FrontEnd(stage.path(), stage.packed, 4) as f:
        f.post()
        spare = [f.event() for _ in range(4)]
        with Traffic(f):
            thread.start()
            try:
                for _ in range(stage.times(100000, 1000)):
                    change(f, rng, spare)
            finally:
                stop.set()
                thread.join()


def change(f, rng, spare):
    queue, number = rng.randrange(2), rng.choice((12, 13, 14, 18))
    if number == vu.SET_VRING_ENABLE:
        f.confirmed(number, struct.pack("<II", queue, rng.randrange(2)))
    elif rng.randrange(4) == 0:
        f.confirmed(number, struct.pack("<Q", queue | vu.NOFD))
    else:
        f.confirmed(number, struct.pack("<Q", queue), [rng.choice(spare)])


@case("HX-48", {"set its descriptor": (vu.GET_STATUS + 2, struct.pack("<II", 0, 0)),
                "check it": (vu.GET_STATUS + 3, b"")})
def device_state(stage, request):
    """Its transfer is not offered, nor is a log of dirty pages."""
    with Talker(stage) as t, Memory(4096) as memory:
        require_refused(t.answer(*request, [memory.fd]), "a transfer of the device's state")
        require_refused(t.answer(vu.SET_FEATURES, struct.pack("<Q", 1 << 26)), "LOG_ALL")


class Limited:
    """In the place of a namespace: a viaductd that starts in it has this limit."""

    def __init__(self, what, value):
        self.words = ["prlimit", "--%s=%d" % (what, value)]


def address_space(pid):
    with open("/proc/%d/statm" % pid) as status:
        return int(status.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


@case("HX-50")
def memory_beyond_the_limit(stage):
    """The data process has no room for the front-end's memory: the port refuses it, and takes another
    one. (A sanitizer needs more room than there is.)"""
    if stage.is_sanitized:
        return
    ports = [{"name": "small", "type": "vhost-user"}]
    with Viaductd(ports) as daemon, FrontEnd(daemon.socket("small"), stage.packed):
        limit = max(map(address_space, daemon.pids())) + (32 << 20)
    with Viaductd(ports, netns=Limited("as", limit)) as daemon:
        with FrontEnd(daemon.socket("small"), stage.packed, 64, start=False) as f:
            f.negotiate()
            require(f.refused(vu.SET_MEM_TABLE, struct.pack("<II", 1, 0) + f.memory.region(),
                              [f.memory.fd]), "64 MiB were mapped")
        require("SET_MEM_TABLE" in daemon.port("small")["facts"]["refused"], "the operator is told")
        FrontEnd(daemon.socket("small"), stage.packed).close()


@case("HX-50")
def descriptors_beyond_the_limit(stage):
    """Those of all front-ends together do not fit: some are turned away, and all are served once the
    others have gone."""
    names = ["vm%d" % i for i in range(8)]
    ports = [{"name": name, "type": "vhost-user"} for name in names]
    with Viaductd(ports) as daemon:
        limit = max(len(os.listdir("/proc/%d/fd" % pid)) for pid in daemon.pids()) + 12

    def connect(name):
        try:
            return FrontEnd(daemon.socket(name), stage.packed, patience=1)
        except OSError:
            return None
    with Viaductd(ports, netns=Limited("nofile", limit)) as daemon:
        for _ in range(3):
            found = [connect(name) for name in names]
            require(None in found and any(found), "the limit is no limit")
            for f in filter(None, found):
                f.close()
        for name in names:
            eventually(lambda: connect(name), "%s is served" % name).close()
