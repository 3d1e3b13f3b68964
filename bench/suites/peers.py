# SPDX-License-Identifier: BSD-3-Clause
"""Forwarding between vhost-user ports: viaductd as it is installed, a learning switch; dpdk-testpmd's
net_vhost in io mode, which copies from one port to the other and does nothing else; Open vSwitch with DPDK
without any flows of its own.

Frames go to an address that was learned unless a figure says flood. The clients are testpmd's
net_virtio_user, which in a closed loop is slower itself than a quick back-end, and our own generator, which
says how long it had nothing to do. The memory of clients and of DPDK's back-ends is of 2 MiB pages unless a
figure says otherwise: with 4 KiB pages net_vhost needs half as many cycles more. Busy cycles are those of
bursts that had frames, as each back-end counts them, divided by its frames; in the open loop by the frames
that reached the client. Sizes include the FCS, which no virtual wire has.

All of a figure's back-ends and clients are there at once, and stand still but for their own passes of a tenth
of a second, which take turns."""

import contextlib
import functools
import os
import shutil

from backends import NetVhost, OvsDpdk, Viaduct, ViaductGives, ViaductTakes
from harness import LESS, MORE
from lab.hugepages import hugepages
from lab.ovs import VSWITCHD
from lab.testpmd import PATHS
import loads
from loads import FCS

NAME = "peers"
TITLE = "Against testpmd and Open vSwitch"

SIZES = (64, 1518)
GSO = 65536                     # a chain that stands for a segment of that size
METRICS = {"packets": ("packets a second", "Mpps", MORE),
           "cycles": ("busy cycles a packet", "cycles", LESS)}
FEW = ("split mergeable", "packed in-order mergeable")  # paths where ten would say the same
RINGS = {"split": [], "split in-order": ["--in-order"], "packed": ["--packed"],
         "packed in-order": ["--packed", "--in-order"]}
HUGE_MIB = 4096
TESTPMD = ("dpdk-testpmd --vdev=net_virtio_user0,path=P0,PATH%s … -- --forward-mode=%s --eth-peer=… "
           "--total-num-mbufs=6000 --mbcache=512, with tests/lab/testpmd.py's options for a PATH")
OURS = "viaduct bench P0 P1 --hugepages --cpu 0 %s"


def needs():
    if os.geteuid() != 0:
        return "needs root, for hugepages"
    if not shutil.which("dpdk-testpmd") or not os.path.exists(VSWITCHD):
        return "needs dpdk-testpmd and Open vSwitch with DPDK"
    return None


# ------------------------------------------------------------------ how

@contextlib.contextmanager
def opened(**backends):
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(backend) for name, backend in backends.items()}


def shown(size):
    return "64 KiB" if size == GSO else "%d B" % size


def metric(size, key):
    return "%s, %s" % (shown(size), METRICS[key][0])


def figure(name, size, key):
    """A figure's name, as bench.compare() makes it."""
    return "%s: %s" % (name, metric(size, key))


def compare(bench, name, backends, client, size, *, command, goal=None, lossy=False):
    """'client' is one of loads.py. 'goal' is for packets a second."""
    if not bench.wants(name):
        return
    unit, better = ({metric(size, key): METRICS[key][place] for key in METRICS}
                    for place in (1, 2))

    def turn(session):
        return {metric(size, key): value for key, value in session.once().items()
                if value is not None}

    with opened(**{who: loads.Session(backend, client, lossy=lossy)
                   for who, backend in backends.items()}) as sessions:
        bench.compare(name, unit, better, {who: functools.partial(turn, session)
                                           for who, session in sessions.items()},
                      baseline="testpmd", command=command, brief=True,
                      goal={metric(size, "packets"): goal},
                      size={metric(size, "packets"): size})
        idle = {who: session.idle for who, session in sessions.items() if session.idle}
    if idle:
        bench.record("%s: the client idle, %s" % (name, shown(size)), "% of its time", idle,
                     better=MORE, command=command)


# ------------------------------------------------------------------ what

def closed_loop(bench, name, backends, paths, huge=True):
    """The figures that goals over ten paths are about."""
    for path in paths:
        for size in SIZES:
            compare(bench, name + path, backends, loads.closed_loop(path, size, huge=huge), size,
                    command=TESTPMD % ("" if huge else " --no-huge", "mac"))
    for size, goal, worst in ((64, "<= 0.5", "<= 0.7"), (1518, "<= 0.6", None)):
        bench.over("%sten paths: %s" % (name, metric(size, "cycles")),
                   [figure(name + path, size, "cycles") for path in paths], "testpmd", goal, worst)
        bench.over("%sten paths: %s" % (name, metric(size, "packets")),
                   [figure(name + path, size, "packets") for path in paths], "testpmd",
                   ">= 1.0", ">= 1.0")


def ten_paths(bench, backends, paths):
    name = "testpmd client, closed loop, "
    closed_loop(bench, name, backends, paths)
    for size in SIZES:
        for key, title in (("cycles", "Busy cycles a packet"), ("packets", "Packets a second")):
            bench.plot("paths-%d-%s" % (size, key),
                       "%s, %d B, testpmd client in a closed loop" % (title, size),
                       {path: figure(name + path, size, key) for path in paths},
                       y=METRICS[key][1])
    for path in paths:
        for size in SIZES:
            compare(bench, "testpmd client, open loop, " + path, backends,
                    loads.open_loop(path, size), size, lossy=True,
                    command=TESTPMD % (" --vdev=net_null0", "mac"))


def variants(bench, backends):
    """OVS, and frames that nobody was heard of, by two of the ten paths."""
    for path in FEW:
        for size in SIZES:
            compare(bench, "testpmd client, closed loop, OVS as well, " + path, backends,
                    loads.closed_loop(path, size), size, command=TESTPMD % ("", "mac"),
                    goal={"ovs": ">= 2.5"} if size == 64 else None)
            compare(bench, "testpmd client, flood, two ports, " + path, backends,
                    loads.closed_loop(path, size, forward="io"), size,
                    command=TESTPMD % ("", "io"))


def generator(bench, backends, sizes, goals):
    """'goals' by size."""
    for ring, words in RINGS.items():
        for size in sizes:
            options = [*words, *(["--gso", "--ring", "1024"] if size == GSO
                                 else ["--size", str(size - FCS)])]
            compare(bench, "our client, " + ring, backends, loads.generator(options), size,
                    command=OURS % " ".join(options), goal=goals.get(size))


def short_frames(bench, backends):
    generator(bench, backends, (64, 256, 512, 1518),
              {64: {"testpmd": ">= 1.8", "ovs": ">= 2.5"}, 1518: {"testpmd": ">= 1.6"}})


def long_frames(bench):
    """What peers must be told to take. OVS has no offloads for sockets on which it listens."""
    large = ["--mbuf-size=9728"]
    with opened(testpmd=NetVhost(words=large), viaduct=Viaduct(),
                ovs=OvsDpdk(mtu=9000)) as backends:
        generator(bench, backends, (9000,), {})
    # Without the old flags net_vhost sums up all that it forwards.
    with opened(testpmd=NetVhost(options=",tso=1,legacy-ol-flags=1", words=large),
                viaduct=Viaduct()) as backends:
        generator(bench, backends, (GSO,), {GSO: {"testpmd": ">= 1.8"}})
    for key, title in (("cycles", "Busy cycles a packet"), ("packets", "Packets a second")):
        bench.plot("sizes-" + key, title + ", our client, split rings",
                   {size: figure("our client, split", size, key)
                    for size in (64, 256, 512, 1518, 9000)},
                   kind="lines", x="bytes of a frame", y=METRICS[key][1])


def sides(bench):
    """One side of a back-end: it takes frames and drops them, or makes frames and gives them."""
    goal = {"testpmd": ">= 1.3"}
    with opened(testpmd=NetVhost(1, forward="rxonly"), viaduct=ViaductTakes()) as backends:
        compare(bench, "our client, dequeue only", backends, loads.generator(["--dequeue"]), 64,
                command=OURS % "--dequeue", goal=goal)
        for path in FEW:
            compare(bench, "testpmd client, dequeue only, " + path, backends,
                    loads.takes(path, 64), 64, command=TESTPMD % (" --vdev=net_null0", "mac"))
    with opened(testpmd=NetVhost(1, forward="txonly", words=["--txpkts=%d" % (64 - FCS)]),
                viaduct=ViaductGives(64 - FCS)) as backends:
        compare(bench, "our client, enqueue only", backends, loads.generator(["--enqueue"]), 64,
                command=OURS % "--enqueue", goal=goal)
        for path in FEW:
            compare(bench, "testpmd client, enqueue only, " + path, backends, loads.gives(path), 64,
                    command=TESTPMD % ("", "rxonly"), lossy=True)


def many_ports(bench):
    for ports in (4, 8):
        with opened(testpmd=NetVhost(ports), viaduct=Viaduct(ports), ovs=OvsDpdk(ports)) as backends:
            compare(bench, "our client, %d ports" % ports, backends, loads.generator([]), 64,
                    command=OURS % "P2 …")
            for path in FEW:
                compare(bench, "testpmd client, closed loop, %d ports, %s" % (ports, path), backends,
                        loads.closed_loop(path, 64), 64, command=TESTPMD % ("", "mac"))


def run(bench):
    paths = FEW if bench.quick else PATHS
    with hugepages(HUGE_MIB):
        with opened(testpmd=NetVhost(), viaduct=Viaduct()) as backends:
            ten_paths(bench, backends, paths)
        with opened(testpmd=NetVhost(), viaduct=Viaduct(), ovs=OvsDpdk()) as backends:
            variants(bench, backends)
            short_frames(bench, backends)
        long_frames(bench)
        sides(bench)
        many_ports(bench)
    with opened(testpmd=NetVhost(huge=False), viaduct=Viaduct()) as backends:
        closed_loop(bench, "testpmd client, closed loop, 4 KiB pages, ", backends, paths,
                    huge=False)
