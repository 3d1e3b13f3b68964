# SPDX-License-Identifier: BSD-3-Clause
"""The two clients, on LOAD_CPU: testpmd's net_virtio_user, and our own generator (bench/client).

A load is a function of an awake back-end. It returns {size of frames: values}, which are

    packets     millions a second that the client got (or sent, where nothing is to come back)
    cycles      busy cycles of the back-end for each of them
    idle        share of its cycles in which the client had nothing to do, where it says so"""

import json
import subprocess
import time

from backends import NOBODY, station
from harness import LOAD_CPU, LabError
from lab.testpmd import PATHS, Testpmd
from lab.viaductd import build_folder

FCS = 4                         # bytes that a frame has on a wire only
BURSTS = 4                      # of 32 frames in each direction, in a closed loop
WARM_UP = 0.2                   # seconds
SETTLE = 0.1


class Meter:
    """Cycles and frames of a back-end between two looks."""

    def __init__(self, backend):
        self.backend = backend
        self.seconds, self.cycles, self.frames = self._look()

    def _look(self):
        begin = time.monotonic()
        busy = self.backend.busy()
        return (begin + time.monotonic()) / 2, *busy

    def stop(self):
        now = self._look()
        self.seconds, self.cycles, self.frames = (
            after - before for before, after in
            zip((self.seconds, self.cycles, self.frames), now))

    def per_frame(self):
        return self.cycles / self.frames if self.frames else None

    def per_arrival(self, mpps):
        """For each of so many millions a second, where not all frames arrive."""
        return self.cycles / self.seconds / mpps / 1e6 if mpps else None


# ---------------------------------------------------------------------------------- testpmd

def testpmd(backend, path, *, forward="mac", huge=True, open_size=None):
    """A client in one of PATHS, on all ports of the back-end. For the open loop, in which frames of
    'open_size' bytes come from a device of its own, each port is paired with such a device."""
    ports = range(len(backend.sockets))
    vdevs = ["net_virtio_user%d,path=%s,%s,mac=%s" % (i, backend.sockets[i], PATHS[path][0],
                                                    station(i)) for i in ports]
    if open_size:
        vdevs = [vdev for i, port in enumerate(vdevs)
                 for vdev in (port, "net_null%d,size=%d" % (i, open_size - FCS))]
    step = 2 if open_size else 1
    partner = (lambda i: NOBODY) if len(ports) == 1 else (lambda i: i ^ 1)
    peers = ["--eth-peer=%d,%s" % (step * i, station(partner(i))) for i in ports
             if forward == "mac"]         # else addresses that nobody has
    client = Testpmd(vdevs, forward=forward, cpu=LOAD_CPU, start=False, huge=huge,
                     words=["--disable-link-check", *peers])
    if client.ring_paths() != [PATHS[path][1]] * len(ports):
        client.close()
        raise LabError("this CPU has no path '%s'" % path)
    return client


def virtio_ports(client, backend):
    """Counters of the client's ports that are the back-end's."""
    stats = client.stats()
    return stats[::len(stats) // len(backend.sockets)]


def measure(client, backend, seconds, counter="RX-packets"):
    """What a client that runs gets through a back-end."""
    time.sleep(WARM_UP)
    meter = Meter(backend)
    before, begin = virtio_ports(client, backend), time.monotonic()
    time.sleep(seconds)
    after, spent = virtio_ports(client, backend), time.monotonic() - begin
    meter.stop()
    frames = sum(b[counter] - a[counter] for a, b in zip(before, after))
    return frames / spent / 1e6, meter


def drain(client):
    """Takes what is still on its way."""
    client.command("set fwd rxonly")
    client.command("start")
    time.sleep(SETTLE)
    client.command("stop")


def closed_loop(backend, path, sizes, seconds, *, forward="mac", huge=True):
    """So many frames go round for ever."""
    found = {}
    with testpmd(backend, path, forward=forward, huge=huge) as client:
        for size in sizes:
            client.command("set fwd " + forward)
            client.command("set txpkts %d" % (size - FCS))
            client.command("start tx_first %d" % BURSTS)
            packets, meter = measure(client, backend, seconds)
            client.command("stop")
            drain(client)
            found[size] = {"packets": packets, "cycles": meter.per_frame()}
    return found


def open_loop(backend, path, sizes, seconds):
    """As many frames as the client can send, whether they arrive or not. Cycles are for each that
    arrives."""
    found = {}
    for size in sizes:
        with testpmd(backend, path, open_size=size) as client:
            client.command("start")
            packets, meter = measure(client, backend, seconds)
            found[size] = {"packets": packets, "cycles": meter.per_arrival(packets)}
    return found


def takes(backend, path, size, seconds):
    """One-sided: what the back-end takes, and drops."""
    with testpmd(backend, path, open_size=size) as client:
        client.command("start")
        packets, meter = measure(client, backend, seconds, "TX-packets")
        return {size: {"packets": packets, "cycles": meter.per_frame()}}


def gives(backend, path, size, seconds):
    """One-sided: what the back-end gives, which makes frames of that size."""
    with testpmd(backend, path, forward="rxonly") as client:
        client.command("start")
        packets, meter = measure(client, backend, seconds)
        return {size: {"packets": packets, "cycles": meter.per_arrival(packets)}}


# -------------------------------------------------------------------------------------- ours

def generator(backend, words, seconds):
    """Our own client, in a closed loop unless 'words' (its options) say otherwise."""
    meter = Meter(backend)
    command = [build_folder() + "/bench/bench-client", "-j", *backend.sockets, "--hugepages",
               "--cpu", str(LOAD_CPU), "--seconds", str(seconds), "--warmup", str(WARM_UP), *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=seconds + 20)
    meter.stop()
    if done.returncode:
        raise LabError("%s\n%s" % (" ".join(command), done.stderr))
    said = json.loads(done.stdout)
    return {"packets": said["packets_per_second"] / 1e6, "cycles": meter.per_frame(),
            "idle": 100 * said["idle_share"]}
