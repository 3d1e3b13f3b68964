# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's testpmd: a vhost-user front-end without a guest (net_virtio_user), or a back-end to compare
with (net_vhost). It needs no hugepages: its memory is then a memfd of small pages."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time

from .cache import LabError
from .closes import Closes
from .process import Program

MRG_RXBUF, PACKED, IN_ORDER = 1 << 15, 1 << 34, 1 << 35

# net_virtio_user's ten ring paths: the arguments that lead to each, the path that it then says it
# receives by, and the features that must be agreed for it. It falls back silently.
PATHS = {
    "split mergeable": ("in_order=0", "mergeable buffer", MRG_RXBUF),
    "split non-mergeable": ("in_order=0,mrg_rxbuf=0", "standard", 0),
    "split vectorized": ("in_order=0,mrg_rxbuf=0,vectorized=1", "vectorized", 0),
    "split in-order mergeable": ("in_order=1", "inorder", IN_ORDER | MRG_RXBUF),
    "split in-order non-mergeable": ("in_order=1,mrg_rxbuf=0", "inorder", IN_ORDER),
    "packed mergeable": ("packed_vq=1,in_order=0", "packed ring mergeable buffer",
                         PACKED | MRG_RXBUF),
    "packed non-mergeable": ("packed_vq=1,in_order=0,mrg_rxbuf=0", "packed ring standard", PACKED),
    "packed vectorized": ("packed_vq=1,in_order=1,mrg_rxbuf=0,vectorized=1",
                          "packed ring vectorized", PACKED | IN_ORDER),
    "packed in-order mergeable": ("packed_vq=1,in_order=1", "packed ring mergeable buffer",
                                  PACKED | IN_ORDER | MRG_RXBUF),
    "packed in-order non-mergeable": ("packed_vq=1,in_order=1,mrg_rxbuf=0",
                                      "packed ring standard", PACKED | IN_ORDER),
}

HUGE = ["--in-memory", "--single-file-segments"]    # pages that no other program sees as files


class Testpmd(Closes):
    """
    vdevs       its ports: "net_virtio_user0,path=/tmp/a.sock", "net_vhost0,iface=/tmp/b.sock"
    forward     io, macswap, rxonly, txonly, flowgen, ...
    cpu         CPU of this machine that forwards
    control     CPU of its command line and its sockets; None: the same
    queues      pairs of each port
    words       further arguments of testpmd's own
    eal         further arguments of EAL
    """

    def __init__(self, vdevs, *, forward="io", cpu=0, control=None, queues=1, words=(), eal=(),
                 start=True, memory=128, huge=False):
        if not shutil.which("dpdk-testpmd"):
            raise LabError("dpdk-testpmd is missing: apt-get install dpdk-dev")
        self.folder = tempfile.mkdtemp(prefix="viaduct-testpmd-")
        command = [
            "stdbuf", "-oL", "dpdk-testpmd", "--lcores",
            "0@%d,1@%d" % (cpu if control is None else control, cpu), "--no-pci",
            *(HUGE if huge else ["--no-huge"]), "-m", str(memory), "--no-telemetry",
            "--force-max-simd-bitwidth=512",
            "--file-prefix", os.path.basename(self.folder), "--log-level=pmd.net.virtio.*:debug"]
        command += [word for vdev in vdevs for word in ("--vdev", vdev)]
        command += [*eal, "--", "--interactive", "--forward-mode=" + forward, "--nb-cores=1",
                    "--rxq=%d" % queues, "--txq=%d" % queues, "--total-num-mbufs=6000",
                    "--mbcache=512", "--no-mlockall", *words]
        try:
            self.program = Program(command, self.folder + "/log", cwd=self.folder, text=True,
                                   stdin=subprocess.PIPE,
                                   env={**os.environ, "RUNTIME_DIRECTORY": self.folder})
            self.program.wait_for(lambda: "testpmd>" in self.program.log())
            if start:
                self.command("start")
        except BaseException:
            self.close()
            raise

    def close(self):
        if hasattr(self, "program"):
            with contextlib.suppress(OSError, ValueError):
                self.program.process.stdin.close()
            self.program.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        return self.program.log()

    def command(self, line, timeout=10):
        """Types a line at the prompt; what it prints until the next prompt."""
        before = self.program.logged()
        with contextlib.suppress(BrokenPipeError):      # seen below, where it has ended
            self.program.process.stdin.write(line + "\n")
            self.program.process.stdin.flush()
        deadline = time.monotonic() + timeout
        while "testpmd>" not in self.program.log(before):
            if time.monotonic() > deadline or self.program.process.poll() is not None:
                raise LabError("testpmd: %r:\n%s" % (line, self.log()[-3000:]))
            time.sleep(0.002)
        return self.program.log(before)

    def stats(self):
        """A dict of counters for each port: RX-packets, TX-packets, RX-missed, ..."""
        said = re.split(r"NIC statistics for port", self.command("show port stats all"))
        return [{key: int(value) for key, value in re.findall(r"([RT]X-[\w-]+):\s+(\d+)", port)}
                for port in said[1:]]

    def busy(self):
        """Cycles that it has spent on packets since its start, and on how many; --record-core-cycles
        is among its words."""
        said = re.search(r"total cycles=(\d+) / total \w+ packets=(\d+)",
                         self.command("show fwd stats all"))
        return tuple(map(int, said.groups())) if said else (0, 0)

    def ring_paths(self):
        """The paths by which net_virtio_user's ports receive, one a port, in its own words."""
        return re.findall(r"virtio: using (.*?) Rx path on port", self.log())

    def features(self):
        """What net_virtio_user's ports agreed on last, of the bits named above."""
        return [int(word, 16) & (MRG_RXBUF | PACKED | IN_ORDER) for word in
                re.findall(r"set features: 0x([0-9a-f]+)", self.log())]
