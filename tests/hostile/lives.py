# SPDX-License-Identifier: BSD-3-Clause
"""The daemon is killed and comes back (HX-47), and the campaigns whose figures the trust report has."""

import contextlib
import glob
import os
import random
import socket
import struct
import time

from lab.driver_ring import USED
from lab.frontend import Connection, FrontEnd
from lab.process import Program
from lab.viaductd import Viaductd, build_folder

import catalogue
from catalogue import case
from framing import is_closed, more_ports, require
from life import victim_answers
from memory import truncations
from stage import EVIL_MAC, VICTIM_MAC, Failed, Stage, Witness, eventually, frame

BURST = 64                      # packets that may be lost, or come twice, when a worker is killed


# ------------------------------------------------------------ the daemon is killed

class Guest(FrontEnd):
    """Listens, as a VMM does that outlives its back-ends: its rings go on where they are."""

    def __init__(self, path, packed):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(1)
        self.listener.settimeout(10)
        super().__init__(path, packed, 4, start=False)

    def connect(self, path, patience):
        return None                         # serve() waits for the back-end

    def serve(self):
        if self.sock:
            self.sock.close()
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(10)
        self.negotiate()
        self.share()
        for queue in (0, 1):                # as QEMU does: what a disabled ring has is discarded
            self.enable(queue)
        for queue in (0, 1):
            self.set_up(queue)

    def close(self):
        self.listener.close()
        if self.sock:
            self.sock.close()
        self.close_memory()


class Counted:
    """Numbered frames from one guest to another, and what became of them."""

    def __init__(self, sender, receiver):
        self.sender, self.receiver = sender, receiver
        self.sent, self.seen, self.twice, self.back = 0, set(), 0, 0

    def turn(self, outstanding):
        """Sends as long as no more than so many are under way; takes what came."""
        if self.sender.ring[1].room() > 256 - outstanding:
            self.sender.send(frame(struct.pack("<Q", self.sent), VICTIM_MAC))
            self.sent += 1
        self.back += len(self.sender.ring[1].reap())
        for got in self.receiver.received():
            number = struct.unpack_from("<Q", got, 14)[0]
            self.twice += number in self.seen
            self.seen.add(number)

    def go(self, seconds, outstanding):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.turn(outstanding)


def serve(guests):
    """The receiver first: what comes for nobody is dropped."""
    for guest in reversed(guests):
        guest.serve()


@contextlib.contextmanager
def two_guests(packed):
    ports = [{"name": name, "type": "vhost-user", "mode": "client"} for name in ("one", "two")]
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(Viaductd(ports, start=False))
        guests = [stack.enter_context(Guest(daemon.socket(name), packed)) for name in ("one", "two")]
        daemon.start()
        guests[1].post(255)
        serve(guests)
        yield daemon, guests


@case("HX-47", {"%d outstanding" % n: n for n in (1, 16, 64, 128)})
def killed_under_traffic(stage, outstanding):
    """Everything resumes where it was, but for a burst."""
    rng, times = random.Random(47), stage.times(50, 3)
    with two_guests(stage.packed) as (daemon, guests):
        counted = Counted(*guests)
        for _ in range(times):
            counted.go(0.02 + rng.random() * 0.02, outstanding)
            seen = len(counted.seen)
            daemon.kill()
            counted.go(0.005, outstanding)
            daemon.start()
            serve(guests)
            eventually(lambda: counted.turn(outstanding) or len(counted.seen) > seen,
                       lambda: "no frame after a restart: %s" % daemon.ctl("port", "show"))
        eventually(lambda: counted.turn(0) or counted.sender.ring[1].room() == 256,
                   "everything is given back")
        counted.go(0.05, 0)
        lost = counted.sent - len(counted.seen)
        require(lost <= BURST * times and counted.twice <= BURST * times,
                "%d sent, %d lost, %d twice in %d lives" % (counted.sent, lost, counted.twice, times))


def looks_untouched(ring):
    """Where a packed ring's every second lap has just ended: it can only be at its beginning."""
    return not any(ring.memory.u16[(ring.desc + 16 * i) // 2 + 7] & USED for i in range(ring.size))


@case("HX-47")
def killed_and_its_positions_lost(stage):
    """A split ring says itself where it is. A packed one does not: it is refused, never guessed."""
    with two_guests(stage.packed) as (daemon, guests):
        counted = Counted(*guests)
        counted.go(0.05, 64)
        require(counted.seen, "no traffic")
        daemon.kill()
        for path in glob.glob(daemon.folder + "/*.state"):
            os.unlink(path)
        clear = not stage.packed or looks_untouched(guests[0].ring[1])
        daemon.start()
        serve(guests)
        if clear:
            seen = len(counted.seen)
            eventually(lambda: counted.turn(64) or len(counted.seen) > seen, "frames come again")
            return
        text = eventually(lambda: daemon.port("one")["facts"].get("queue 1"), "it is told")
        require("refused" in text, "a packed ring was guessed: " + text)


@case("HX-47")
def a_stale_socket_is_in_the_way(stage):
    with Viaductd([{"name": "vm", "type": "vhost-user"}]) as daemon:
        daemon.kill()
        require(os.path.exists(daemon.socket("vm")), "the socket went away by itself")
        daemon.start()
        FrontEnd(daemon.socket("vm"), stage.packed).close()


# ----------------------------------------------------------------------- campaigns

def guest(stage, times):
    """Our driver on the attacked port: see guest.c."""
    words = [build_folder() + "/tests/hostile/guest", stage.path(), EVIL_MAC.hex(":"),
             VICTIM_MAC.hex(":"), str(times)] + ["--packed"] * stage.packed
    return Program(words, stage.daemon.folder + "/guest.log")


def reconnects(o, packed):
    """A guest comes, sends until its frames are taken, and goes."""
    count = int(100000 * o.scale)
    with Stage(packed, scale=o.scale) as stage:
        stage.begin()
        begin = time.monotonic()
        program = guest(stage, count)
        try:
            while program.process.poll() is None:
                victim_answers(stage, 0.001)
                time.sleep(0.01)
        finally:
            program.stop()
        require(program.process.returncode == 0, program.log())
        return {"count": count, "seconds": round(time.monotonic() - begin), **stage.check()}


def front_end_kills(o, packed):
    """A guest that sends and receives is killed: from while it starts to under full traffic."""
    count, rng = int(10000 * o.scale), random.Random(45)
    with Stage(packed, scale=o.scale) as stage:
        stage.begin()
        before = stage.port()["receive"]["packets"]
        for _ in range(count):
            program = guest(stage, 0)
            try:
                victim_answers(stage, rng.random() * 0.02)
            finally:
                program.kill()
        carried = stage.port()["receive"]["packets"] - before
        require(carried > count, "%d guests sent %d frames" % (count, carried))
        return {"count": count, "carried": carried, **stage.check()}


def memory_truncations(o, packed):
    count = int(10000 * o.scale)
    with Stage(packed, scale=o.scale) as stage:
        stage.begin()
        noticed = truncations(stage, count)
        return {"count": count, "noticed": noticed, **stage.check()}


def daemon_kills(o, packed):
    """The peers are our driver's; they find each daemon by themselves."""
    count, rng = int(1000 * o.scale), random.Random(47)
    ports = [{"name": name, "type": "vhost-user"} for name in ("left", "right", "fresh")]
    with Viaductd(ports) as daemon:
        witness = Witness(daemon, packed, 1000)
        try:
            first = None
            for _ in range(count):
                eventually(lambda: witness.report()["received"], "traffic comes back", 30)
                first = first or holds(daemon)
                time.sleep(rng.random() * 0.03)
                daemon.kill()
                daemon.start()
                with open(daemon.folder + "/log", "w"):
                    pass
            eventually(lambda: witness.report()["received"], "traffic comes back", 30)
            eventually(lambda: all(a <= b for a, b in zip(holds(daemon), first)),
                       lambda: "leaked: %s, then %s" % (first, holds(daemon)))
        finally:
            witness.program.stop()
    return {"count": count, "stuck": 0, "leaked": 0}


def holds(daemon):
    """Descriptors, and files in its folder."""
    return min(daemon.held()[0] for _ in range(5)), len(os.listdir(daemon.folder))


def stalled_peer(o, packed):
    """22 connections that stop in the middle of a message: when they are dropped, and how long others
    wait meanwhile."""
    names = ["stalled%d" % i for i in range(22)]
    with Stage(packed, scale=o.scale) as stage, more_ports(stage, names), contextlib.ExitStack() as stack:
        stage.begin()
        begin = time.monotonic()
        peers = [stack.enter_context(Connection(stage.path(name))) for name in names]
        for i, peer in enumerate(peers):
            peer.send_bytes(struct.pack("<III", 8, 1, 8)[:1 + i % 11])
        dropped = [is_closed(peer, 30) and time.monotonic() - begin for peer in peers]
        seen = stage.witness.report()
        require(all(dropped), "some are not dropped")
        return {"count": len(names), "dropped_after_s": round(max(dropped), 2), **seen}


def noisy_neighbour(o, packed):
    """HX-51: cases of the catalogue in random order against one port, and a witness of many packets.
    The attacker has what is left of the CPUs (SCHED_IDLE): what is measured is the switch, not who gets
    the CPUs."""
    seconds, rng = 3600 * o.scale, random.Random(51)
    cases = [c for c in catalogue.ORDER if c.quick and c.needs == "plain" and c.number not in
             ("HX-47", "HX-50", "HX-51")]
    with Stage(packed, quick=True, rate=o.rate) as stage:
        stage.begin()
        time.sleep(min(60, max(3, seconds / 4)))
        alone = stage.witness.report()
        count, until = 0, time.monotonic() + seconds
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        try:
            stage.begin()
            while time.monotonic() < until:
                with contextlib.suppress(Failed, OSError, AssertionError, ValueError):
                    rng.choice(cases).run(stage)
                count += 1
        finally:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        noisy = stage.witness.report()
        stage.check()
    kept = noisy["received"] / max(1, noisy["sent"])
    ratio = {who: round(noisy[who]["p99"] / max(1, alone[who]["p99"]), 2)
             for who in ("fresh_us", "control_us", "latency_us")}
    return {"seconds": round(seconds), "attacks": count, "rate": o.rate, "kept": round(kept, 5),
            "p99_ratio": ratio, "alone": alone, "noisy": noisy}


CAMPAIGNS = {"reconnects": reconnects, "front-end-kills": front_end_kills, "daemon-kills": daemon_kills,
             "truncations": memory_truncations, "stalled-peer": stalled_peer,
             "noisy-neighbour": noisy_neighbour}


def figures(name, packed, record):
    """One line."""
    shown = {key: record[key] for key in record if key not in (
        "campaign", "packed", "passed", "alone", "noisy", "latency_us", "fresh_us", "control_us")}
    for who in ("fresh_us", "control_us"):
        if who in record:
            shown[who] = "p99 %(p99)d, max %(max)d" % record[who]
    return "%s %s: %s" % (name, "packed" if packed else "split",
                          ", ".join("%s %s" % item for item in shown.items()))
