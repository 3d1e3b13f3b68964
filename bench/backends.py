# SPDX-License-Identifier: BSD-3-Clause
"""Back-ends that clients measure: viaductd, testpmd's net_vhost, Open vSwitch with DPDK.

All have the same face. A back-end's queues are served on BACK_END_CPU, which is one back-end's at a time:
it uses that CPU only while it is awake.

    sockets     of its ports: frames that enter by the first leave by the second and the other way
                round, likewise the third and the fourth, ...
    awake()     a block in which it serves them
    pids()      of its processes, while it is awake
    busy()      cycles that it has spent on frames, and on how many; only differences mean something

Sides(...) have one port, at which the back-end only takes frames or only gives them."""

import contextlib
import os
import re
import tempfile

from harness import BACK_END_CPU, LOAD_CPU
from lab.ovs import HUGEPAGES, Ovs
from lab.testpmd import Testpmd
from lab.viaductd import Viaductd

NOBODY = 0xfffe                     # the station that the client's frames are for if nobody gets them


def station(number):
    """The address of a client's port, as bench/client/frame.c has it."""
    return "02:76:64:00:%02x:%02x" % divmod(number, 256)


class Viaduct:
    """In its default configuration, but that its worker has a CPU of its own."""

    def __init__(self, ports=2):
        self.ports = [{"name": "p%d" % i, "type": "vhost-user"} for i in range(ports)]
        self.addresses = {}             # of stations that never say a word: MAC address to port

    def __enter__(self):
        self.daemon = Viaductd(self.ports, workers=[{"cpu": BACK_END_CPU}], start=False)
        self.sockets = [self.daemon.socket(port["name"]) for port in self.ports
                        if port["type"] == "vhost-user"]
        return self

    def __exit__(self, *exc):
        self.daemon.close()

    @contextlib.contextmanager
    def awake(self):
        self.daemon.start()
        try:
            os.sched_setaffinity(self.daemon.pids()[0], {LOAD_CPU})
            for address, port in self.addresses.items():
                self.daemon.say("fdb", "add", address, "port=" + port)
            self.running = self.daemon.pids()
            with self.daemon.connection() as self.call:
                yield
        finally:
            self.daemon.stop()

    def pids(self):
        return self.running

    def busy(self):
        worker, = self.call("status")["workers"]
        return worker["busy_cycles"], worker["packets"]


class ViaductTakes(Viaduct):
    """What comes goes to a port that counts it."""

    def __init__(self):
        super().__init__(1)
        self.ports.append({"name": "hole", "type": "sink"})
        self.addresses = {station(NOBODY): "hole"}


class ViaductGives(Viaduct):
    def __init__(self, size):
        super().__init__(1)
        self.ports.append({"name": "source", "type": "gen", "size": size,
                           "dst_mac": '"%s"' % station(0)})
        self.addresses = {station(0): "p0"}


class NetVhost:
    """testpmd copies from one socket to the other and does nothing else, or only drops, or only
    sends.

    options     of its vdevs
    words       of testpmd's own"""

    def __init__(self, ports=2, *, forward="io", huge=True, options="", words=()):
        self.ports, self.forward, self.huge = ports, forward, huge
        self.options, self.words = options, words

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            self.sockets = ["%s/p%d" % (folder, i) for i in range(self.ports)]
            self.testpmd = stack.enter_context(Testpmd(
                ["net_vhost%d,iface=%s%s" % (i, path, self.options)
                 for i, path in enumerate(self.sockets)],
                forward=self.forward, cpu=BACK_END_CPU, control=LOAD_CPU, start=False,
                huge=self.huge,
                words=["--record-core-cycles", "--disable-link-check", *self.words]))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exc):
        self.stack.close()

    @contextlib.contextmanager
    def awake(self):
        self.testpmd.command("start")
        try:
            yield
        finally:
            self.testpmd.command("stop")

    def pids(self):
        return [self.testpmd.program.pid]

    def busy(self):
        return self.testpmd.busy()


class OvsDpdk:
    """The learning switch that it is without flows of anybody.

    mtu         bytes, if other than 1500"""

    def __init__(self, ports=2, *, mtu=None):
        columns = {"type": "dpdkvhostuser", **({"mtu_request": mtu} if mtu else {})}
        self.ports = {"p%d" % i: columns for i in range(ports)}

    def __enter__(self):
        self.ovs = Ovs({}, cpu=BACK_END_CPU, main_cpu=LOAD_CPU, memory=HUGEPAGES)
        self.sockets = ["%s/%s" % (self.ovs.folder, name) for name in self.ports]
        return self

    def __exit__(self, *exc):
        self.ovs.close()

    @contextlib.contextmanager
    def awake(self):
        self.ovs.add_ports(self.ports)
        try:
            yield
        finally:
            self.ovs.del_ports(self.ports)

    def pids(self):
        return [self.ovs.programs[-1].pid]

    def busy(self):
        said = self.ovs.appctl("dpif-netdev/pmd-stats-show").partition("main thread")[0]
        return tuple(sum(map(int, re.findall(what + r": (\d+)", said)))
                     for what in ("processing cycles", "packets received"))
