# SPDX-License-Identifier: BSD-3-Clause
"""A viaductd under attack, and those who must not notice: the oracles of docs/reference/hostile.md §3.0.

    evil      the attacked port: BASE of the reference is evil()
    victim    another guest of the attacker's VLAN, whose memory is filled with a pattern
    left, right, fresh   ports of another VLAN: the witness's traffic, and a port to connect to
"""

import json
import operator
import os
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab.closes import Closes                                             # noqa: E402
from lab.frontend import HEADER, RX_BUFFERS, BUFFER, BUFFER_STEP, FrontEnd      # noqa: E402
from lab.process import Program, unprivileged_uid                       # noqa: E402
from lab.viaductd import Viaductd, build_folder                         # noqa: E402

EVIL_MAC, VICTIM_MAC = b"\x02evil\x01", b"\x02vict\x02"
BROADCAST, TYPE = b"\xff" * 6, b"\x88\xb5"             # of local experiments
SECRET = b"the victim's own bytes, 32 long."
SLACK_KIB = 256
PATIENCE = 5                    # seconds for what the oracles give less on a quiet machine
ANSWER_MS = 100                 # for 99 of 100 answers of another port, and of control
SLOWEST_MS = 500                # for the others: whatever else this machine has to do
LOG_LINES, LOG_SPAN = 20, 10    # what a port may log in so many seconds: lib/vhost/settle.c
SPIN = 0.3                      # of a CPU more than before: a worker that does not come to rest


class Failed(Exception):
    """A case did not end as it must."""


def frame(payload=b"", dst=BROADCAST, src=EVIL_MAC, size=64):
    return (dst + src + TYPE + payload).ljust(size, b"\0")


def eventually(condition, what, patience=PATIENCE):
    """The value of condition() once it is true."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed("not within %g s: %s" % (patience, what() if callable(what) else what))
        time.sleep(0.005)


class Witness:
    """The program beside: see witness.c."""

    def __init__(self, daemon, packed, rate):
        words = [build_folder() + "/tests/hostile/witness",
                 *(daemon.socket(name) for name in ("left", "right", "fresh")),
                 daemon.config["control"], "--rate", str(rate)] + ["--packed"] * packed
        self.program = Program(words, daemon.folder + "/witness.log", stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)

    def report(self):
        """What happened since the last report."""
        self.program.process.stdin.write(b"\n")
        self.program.process.stdin.flush()
        line = self.program.process.stdout.readline()
        if not line:
            raise Failed("the witness has died:\n" + self.program.log())
        return json.loads(line)


class Victim(FrontEnd):
    """Its memory is a pattern, but for rings and the parts of its buffers that frames may fill."""

    def __init__(self, path, packed):
        super().__init__(path, packed, mebibytes=4, start=False)
        self.pattern = (SECRET * (self.memory.size // len(SECRET)))
        self.memory.fill(0, self.pattern)
        for ring in self.ring:
            ring.clear()
        self.negotiate()
        self.share()
        self.start()
        self.post()

    def damage(self):
        """Where its memory is not as it was, outside of what the back-end may write; None: nowhere."""
        at, end = 0, self.memory.size
        holes = sorted([(r.desc, 16 * r.size) for r in self.ring if r.packed]
                       + [part for r in self.ring for part in r.parts()]
                       + [(RX_BUFFERS + i * BUFFER_STEP, BUFFER) for i in range(256)]
                       + [(2 * RX_BUFFERS + i * BUFFER_STEP, BUFFER) for i in range(256)])
        for hole, size in [*holes, (end, 0)]:
            if self.memory.map[at:hole] != self.pattern[at:hole]:
                return "0x%x to 0x%x" % (at, hole)
            at = max(at, hole + size)
        return None


class Stage(Closes):
    """
    packed      the ring format of all of them
    evil        more keys of the attacked port
    ports       more ports
    """

    def __init__(self, packed, evil=(), ports=(), rate=1000, quick=False, scale=1, **more):
        self.packed, self.log_seen, self.begins = packed, 0, []
        self.quick, self.scale = quick, scale
        self.is_sanitized = self.sanitized()
        self.null = os.open("/dev/null", os.O_RDWR)
        away = {"type": "vhost-user", "vlan": 1}
        near = {"type": "vhost-user", "vlan": 2}
        self.daemon = Viaductd(
            [{"name": "evil", **near, **dict(evil)}, {"name": "victim", **near},
             *({"name": name, **away} for name in ("left", "right", "fresh")), *ports],
            user=more.pop("user", unprivileged_uid()), workers=1, **more)
        self.closing = [lambda: os.close(self.null), self.daemon.close]
        try:
            self.victim = Victim(self.daemon.socket("victim"), packed)
            self.closing.append(self.victim.close)
            self.witness = Witness(self.daemon, packed, rate)
            self.closing.append(self.witness.program.stop)
            self._warm_up()
        except BaseException:
            self.close()
            raise

    def close(self):
        for close in reversed(self.closing):
            close()
        self.closing = []

    def _warm_up(self):
        eventually(lambda: self.witness.report()["received"] > 0, "no traffic of the witness")
        for _ in range(3):
            self.works()
        self.a_byte_each()
        self.pids, self.workers = self._identities(), self.daemon.workers()
        self.witness.report()
        self.load = self._load()

    def times(self, full, quick):
        """How often a case repeats itself."""
        return quick if self.quick else max(quick, int(full * self.scale))

    # ---------------------------------------------------------- the attacker

    def path(self, name="evil"):
        return self.daemon.socket(name)

    def evil(self, name="evil", **more):
        """BASE: a front-end on the attacked port, with receive buffers, its device running."""
        more.setdefault("mebibytes", 4)
        f = FrontEnd(self.path(name), more.pop("packed", self.packed), **more)
        try:
            f.post()
        except BaseException:
            f.close()
            raise
        return f

    def port(self, name="evil"):
        """What the switch says about a port: by its control socket, without a program in between."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.daemon.config["control"])
            s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "port.show",
                                  "params": {"name": name}}).encode() + b"\n")
            with s.makefile() as answer:
                return json.loads(answer.readline())["result"]

    def facts(self, name="evil"):
        return self.port(name)["facts"]

    def broken(self, queue=1, name="evil"):
        """Why a queue is broken or refused, once it is: 'VX-01', say, or the whole text."""
        def reason():
            text = self.facts(name).get("queue %d" % queue, "")
            return text if text.startswith(("broken", "refused")) else None
        return eventually(reason, lambda: "queue %d is broken: %s" % (queue, self.facts(name)))

    def drops(self, name="evil", direction="receive"):
        return self.port(name)[direction]["drops"]

    def counted(self, before, reason, count=1, name="evil", direction="receive"):
        """Waits until 'count' more packets were dropped for a reason than in 'before'."""
        eventually(lambda: self.drops(name, direction).get(reason, 0)
                   - before.get(reason, 0) >= count,
                   lambda: "%d drops %r: %s, then %s" % (count, reason, before,
                                                        self.drops(name, direction)))

    def arrives(self, front_end, payload, patience=PATIENCE):
        """A frame that 'front_end' sends now comes to the victim; one of several, as the victim may not
        have room at once."""
        def again():
            front_end.send(frame(payload))
            until = time.monotonic() + 0.2
            while time.monotonic() < until:
                if any(payload in f for f in self.victim.received()):
                    return True
            return False
        eventually(again, "%r comes to the victim" % payload, patience)

    def comes(self, payload, patience=PATIENCE):
        eventually(lambda: any(payload in f for f in self.victim.received()),
                   "%r comes to the victim" % payload, patience)

    def a_byte_each(self):
        """A frame in as many pieces as the largest ring has: a worker that has seen it has touched all
        memory that it keeps for packets."""
        with FrontEnd(self.path(), self.packed, 4, start=False) as f:
            ring = f.ring[1]
            ring.size = 32768
            ring.desc, ring.driver, ring.device = 1 << 20, 5 << 19, 6 << 19
            ring.clear()
            f.negotiate()
            f.share()
            f.start()
            f.memory.fill(1 << 19, bytes(HEADER) + frame(b"a byte each", size=32767 - HEADER))
            ring.offer([((1 << 19) + i, 1, 0) for i in range(32767)] + [(1 << 18, 32768, 0)])
            f.kick()
            eventually(ring.reap, "a frame of 32768 pieces is given back")

    def works(self):
        """O8: the attacked port takes a clean front-end again, and forwards both ways."""
        def connect():
            try:
                return self.evil()
            except OSError:              # the one before is being cleaned up after, or rests
                return None
        begin = time.monotonic()
        with eventually(connect, "the attacked port takes a clean front-end") as f:
            mark = os.urandom(16)
            self.arrives(f, mark)
            self.victim.send(frame(mark, EVIL_MAC, VICTIM_MAC))
            eventually(lambda: any(mark in got for got in f.received()),
                       "the victim's frame comes back")
        return time.monotonic() - begin

    def kernel_warnings(self):
        """How often the kernel has complained, as far as we may know."""
        said = subprocess.run(["dmesg"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return len(re.findall(r"WARNING:|BUG:|Oops", said.stdout))

    # ------------------------------------------------------------ the oracles

    def _identities(self):
        """Its processes, with when they were started."""
        found = {}
        for pid in self.daemon.pids():
            with open("/proc/%d/stat" % pid) as f:
                found[pid] = f.read().rpartition(")")[2].split()[19]
        return found

    def _load(self, seconds=0.1):
        """The share of a CPU that its workers use."""
        def used():
            total = 0
            for tid in self.workers:
                with open("/proc/%d/schedstat" % tid) as f:
                    total += int(f.read().split()[0])
            return total
        before, begin = used(), time.monotonic()
        time.sleep(seconds)
        return (used() - before) / 1e9 / (time.monotonic() - begin)

    def held(self):
        """Descriptors, mappings, threads, KiB of its own."""
        fds = maps = threads = resident = 0
        for pid in self.pids:
            fds += len(os.listdir("/proc/%d/fd" % pid))
            threads += len(os.listdir("/proc/%d/task" % pid))
            with open("/proc/%d/maps" % pid) as f:
                # A sanitizer's allocator maps what it likes: then only files count.
                maps += sum(not self.is_sanitized or "/" in line for line in f)
            with open("/proc/%d/status" % pid) as f:
                resident += int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))
        return fds, maps, threads, resident

    def settled(self):
        """What it holds when nobody is just being served."""
        time.sleep(0.01)
        return tuple(map(min, *(self.held() for _ in range(3))))

    def begin(self):
        self.before = self.settled()
        self.began = time.monotonic()
        self.log_seen = len(self.daemon.log())
        self.begins.append((self.began, self.log_seen))
        self.faults_before = self.faults()
        self.witness.report()

    def faults(self, name="evil"):
        """How often front-ends have broken which rule, as 'port show' says."""
        rows = self.facts(name).get("faults", "")
        return {what: int(count) for what, count in (row.rsplit(": ", 1)
                                                     for row in rows.split(" | ") if row)}

    def traced(self, text, name="evil"):
        """The operator is told, since the case began: 'port show' counts it, and the log has a line
        unless the port has had all of its lines."""
        eventually(lambda: self.faults(name) != self.faults_before,
                   lambda: "'port show' does not count %r: %s" % (text, self.facts(name)))
        eventually(lambda: text in self.news() or self._lines(name) >= LOG_LINES,
                   lambda: "no %r in the log:\n%s" % (text, self.news()))

    def _lines(self, name):
        """How many lines about a port's trouble there were in the last seconds, at least."""
        since = min((at for when, at in self.begins if when > time.monotonic() - 2 * LOG_SPAN),
                    default=0)
        return len(re.findall("(warning|error): %s: " % name, self.daemon.log()[since:]))

    def news(self):
        """What the daemon has logged since the case began."""
        return re.sub("viaductd: fresh: .*\n", "", self.daemon.log()[self.log_seen:])

    def check(self, canaries=()):
        """All oracles, after a case whose front-ends are gone. Returns what was measured."""
        if self._identities() != self.pids:
            raise Failed("O1: its processes were %s, now %s\n%s" % (
                self.pids, self._identities(), self.news()))
        complaint = re.search(r".*(Sanitizer|runtime error:).*", self.daemon.log())
        if complaint:
            raise Failed("O2: " + complaint.group())
        again = self.works()
        seen = self.witness.report()
        self._check_witness(seen)
        self._check_held()
        eventually(lambda: self._load() <= self.load + SPIN, "O6: its workers come to rest")
        where = self.victim.damage()
        if where:
            raise Failed("O7: the victim's memory has changed, in " + where)
        return {"seconds": round(time.monotonic() - self.began, 3), "again_s": round(again, 3),
                **seen}

    def _check_witness(self, seen):
        lost = seen["sent"] - seen["received"]
        if lost > seen["sent"] / 1000 or seen["wrong"] or seen["down"]:
            raise Failed("O4: the witness's frames: %s" % seen)
        for who in ("fresh_us", "control_us"):
            if (seen[who]["failed"] or seen[who]["p99"] > ANSWER_MS * 1000
                    or seen[who]["max"] > SLOWEST_MS * 1000):
                raise Failed("O3: %s: %s" % (who, seen[who]))

    def _check_held(self):
        before = self.before

        def same():
            now = self.held()
            return all(map(operator.le, now[:3], before)) and (
                self.is_sanitized or now[3] <= before[3] + SLACK_KIB)
        eventually(same, lambda: "O5: descriptors, mappings, threads, KiB were %s, now %s" % (
            before, self.held()))

    @staticmethod
    def sanitized():
        with open(os.path.join(build_folder(), "meson-info/intro-buildoptions.json")) as f:
            return '"value": "address' in f.read()
