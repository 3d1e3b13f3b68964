# SPDX-License-Identifier: BSD-3-Clause
"""The two clients, on LOAD_CPU: testpmd's net_virtio_user, and our own generator (bench/client).

The host takes a core away, or moves it far from the other one, for parts of a second and for seconds, and
whatever runs is several times slower then. So a client and its back-end are a Session: it is there as long
as a figure is measured, stands still but for short passes, and passes of several of them take turns
quickly. What a pass shows are these:

    packets     millions a second that the client got (or sent, where nothing is to come back)
    cycles      busy cycles of the back-end for each of them"""

import contextlib
import json
import os
import signal
import subprocess
import time

from backends import NOBODY, station
from harness import LOAD_CPU, LabError
from lab.process import bind_to_us
from lab.testpmd import PATHS, Testpmd
from lab.viaductd import build_folder

FCS = 4                         # bytes that a frame has on a wire only
BURSTS = 4                      # of 32 frames in each direction, in a closed loop
WARM_UP = 0.03                  # seconds of a pass before it counts
WINDOW = 0.1                    # seconds that count
RENEWED = 5                     # after so many passes by other processes, with other memory
FOR_EVER = 600
PATIENCE = 15                   # until frames flow
FLOWS = 1000                    # frames in WARM_UP


class Session:
    """A back-end and a client in front of it. Nothing of it runs between two passes.

    client      function of the back-end: a client that runs. It has pids(), arrived(): frames that it
                got so far, or None if those count that the back-end had, and end(): its last pass is
                over, [the share of its time in which it had nothing to do], if it can say
    lossy       whether not all frames that the back-end has arrive"""

    def __init__(self, backend, client, *, lossy=False):
        self.backend, self.client, self.lossy = backend, client, lossy
        self.stack, self.passes = None, 0
        self.idle = []                  # %, of each client of our own that has ended

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.stack:
            self._signal(signal.SIGCONT)
            self.stack.close()
            self.stack = None

    def once(self):
        """A pass: {key: value}."""
        if self.passes % RENEWED == 0:
            again(self._renew)
        else:
            self._signal(signal.SIGCONT)
        self.passes += 1
        with away_from_the_back_end():
            time.sleep(WARM_UP)
            before = self._look()
            time.sleep(WINDOW)
            found = self._between(before, self._look())
        if self.passes % RENEWED == 0:
            self.idle += self.running.end()
        self._signal(signal.SIGSTOP)
        return found

    def _renew(self):
        self.__exit__()
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.backend.awake())
            self.running = stack.enter_context(self.client(self.backend))
            self._wait_for_traffic()
            self.stack = stack.pop_all()

    def _wait_for_traffic(self):
        deadline = time.monotonic() + PATIENCE
        frames = seen = self.backend.busy()[1]
        while frames - seen < FLOWS:
            if time.monotonic() > deadline:
                raise LabError("no traffic after %g s" % PATIENCE)
            time.sleep(WARM_UP)
            seen, frames = frames, self.backend.busy()[1]

    def _signal(self, number):
        pids = [*self.backend.pids(), *self.running.pids()]
        for pid in pids if number == signal.SIGCONT else reversed(pids):
            os.kill(pid, number)

    def _look(self):
        """Counters, each with the middle of the call that told it."""
        begin = time.monotonic()
        cycles, frames = self.backend.busy()
        middle = time.monotonic()
        arrived = self.running.arrived()
        if arrived is None:
            return (begin + middle) / 2, cycles, frames, (begin + middle) / 2, frames
        return (begin + middle) / 2, cycles, frames, (middle + time.monotonic()) / 2, arrived

    def _between(self, before, after):
        seconds, cycles, frames, spent, arrived = (b - a for a, b in zip(before, after))
        if self.lossy:
            frames = seconds * arrived / spent
        # A back-end that writes its counters while they are read may seem to go backwards.
        told = frames > 0 and cycles >= 0
        return {"packets": arrived / spent / 1e6, "cycles": cycles / frames if told else None}


def again(function):
    """Once more if it fails: of hundreds of starts of a peer one does."""
    try:
        function()
    except LabError:
        function()


@contextlib.contextmanager
def away_from_the_back_end():
    """We look at it from the load's CPU."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CPU})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)


# ---------------------------------------------------------------------------------- testpmd

class Virtio(Testpmd):
    """A client in one of PATHS, on all ports of the back-end. For the open loop, in which frames of
    'open_size' bytes come from a device of its own, each port is paired with such a device."""

    counter = "RX-packets"

    def __init__(self, backend, path, *, forward="mac", huge=True, open_size=None):
        self.ports = range(len(backend.sockets))
        vdevs = ["net_virtio_user%d,path=%s,%s,mac=%s" % (i, backend.sockets[i], PATHS[path][0],
                                                        station(i)) for i in self.ports]
        if open_size:
            vdevs = [vdev for i, port in enumerate(vdevs)
                     for vdev in (port, "net_null%d,size=%d" % (i, open_size - FCS))]
        step = 2 if open_size else 1
        partner = (lambda i: NOBODY) if len(self.ports) == 1 else (lambda i: i ^ 1)
        peers = ["--eth-peer=%d,%s" % (step * i, station(partner(i))) for i in self.ports
                 if forward == "mac"]         # else addresses that nobody has
        super().__init__(vdevs, forward=forward, cpu=LOAD_CPU, start=False, huge=huge,
                         words=["--disable-link-check", *peers])
        if self.ring_paths() != [PATHS[path][1]] * len(self.ports):
            self.close()
            raise LabError("this CPU has no path '%s'" % path)

    def pids(self):
        return [self.program.pid]

    def arrived(self):
        stats = self.stats()
        return sum(port[self.counter] for port in stats[::len(stats) // len(self.ports)])

    @staticmethod
    def end():
        return []


def closed_loop(path, size, *, forward="mac", huge=True):
    """So many frames go round for ever."""
    def client(backend):
        running = Virtio(backend, path, forward=forward, huge=huge)
        running.command("set txpkts %d" % (size - FCS))
        running.command("start tx_first %d" % BURSTS)
        return running
    return client


def open_loop(path, size):
    """As many frames as the client can send, whether they arrive or not."""
    def client(backend):
        running = Virtio(backend, path, open_size=size)
        running.command("start")
        return running
    return client


def takes(path, size):
    """One-sided: what the back-end takes, and drops."""
    def client(backend):
        running = open_loop(path, size)(backend)
        running.counter = "TX-packets"
        return running
    return client


def gives(path):
    """One-sided: what the back-end gives, which makes frames itself."""
    def client(backend):
        running = Virtio(backend, path, forward="rxonly")
        running.command("start")
        return running
    return client


# -------------------------------------------------------------------------------------- ours

class Generator:
    """Our own client, in a closed loop unless 'words' (its options) say otherwise: all arrives."""

    def __init__(self, backend, words):
        self.words = [build_folder() + "/bench/bench-client", "-j", *backend.sockets, "--hugepages",
                      "--cpu", str(LOAD_CPU), "--seconds", str(FOR_EVER), "--warmup", "0", *words]
        self.process = subprocess.Popen(self.words, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, preexec_fn=bind_to_us)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.communicate()

    def pids(self):
        return [] if self.process.returncode is not None else [self.process.pid]

    def arrived(self):
        if self.process.poll() is not None:
            raise LabError("%s\n%s" % (" ".join(self.words), self.process.stderr.read()))

    def end(self):
        self.process.terminate()
        said, _ = self.process.communicate(timeout=PATIENCE)
        return [100 * json.loads(said)["idle_share"]]


def generator(words):
    return lambda backend: Generator(backend, words)
