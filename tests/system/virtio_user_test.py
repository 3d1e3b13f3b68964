# SPDX-License-Identifier: BSD-3-Clause
"""viaductd as a driver (port type virtio-user), of DPDK's back-end (net_vhost) and of another viaductd."""

import os
import shutil
import time
import unittest

from support import SystemTest, each

from lab.testpmd import Testpmd

# net_vhost's ports have these addresses.
MACS = ("56:48:4f:53:54:00", "56:48:4f:53:54:01")

# What the driver is not to accept, and what it then says that it has.
RINGS = {
    "packed": ("", "packed"),
    "packed non-mergeable": ("mrg_rxbuf", "packed"),
    "split": ("packed", "split"),
    "split bare": ("packed,mrg_rxbuf,in_order,event_idx,indirect", "split"),
}
QUICK = {"packed", "split"}


@unittest.skipUnless(shutil.which("dpdk-testpmd"), "dpdk-testpmd is missing: "
                     "apt-get install dpdk-dev")
class VirtioUser(SystemTest):
    def wait_for_link(self, daemon, port):
        deadline = time.monotonic() + 10
        while self.facts(daemon, port).get("backend") != "connected":
            self.assertLess(time.monotonic(), deadline, daemon.log())
            time.sleep(0.05)

    def facts(self, daemon, port):
        return daemon.ctl("port", "show", port)["facts"]

    def check_loop(self, daemon, client, ports=("a", "b")):
        """What testpmd has sent once goes round for ever, and nothing of it is lost."""
        client.command("start tx_first 2")
        time.sleep(1)
        early = client.stats()
        time.sleep(1)
        late = client.stats()
        client.command("stop")
        for before, after in zip(early, late):
            self.assertGreater(after["RX-packets"] - before["RX-packets"], 1000)
        self.note("%.2f Mpps" % (sum(after["RX-packets"] - before["RX-packets"]
                                     for before, after in zip(early, late)) / 1e6))
        time.sleep(0.1)
        end = client.stats()
        for port in ports:
            self.assertEqual(self.drops(daemon, port), {})
        for one, other, stats in ((*ports, end[0]), (*ports[::-1], end[1])):
            received = self.packets(daemon, one)[0]
            self.assertEqual(received, stats["TX-packets"])
            self.assertEqual(received, self.packets(daemon, other)[1])

    def start_testpmd(self, vdevs, **more):
        return self.enterContext(Testpmd(vdevs, cpu=os.cpu_count() - 1, start=False,
                                         words=["--eth-peer=0," + MACS[1],
                                                "--eth-peer=1," + MACS[0]], **more))

    @each(RINGS, QUICK)
    def test_dpdk(self, ring):
        """Two ports drive two devices of DPDK's; they were there before, or come later."""
        off, says = ring
        ports = [{"name": name, "type": "virtio-user"} for name in ("a", "b")]
        for port in ports:
            if off:
                port["features"] = {name: "off" for name in off.split(",")}
        daemon = self.switch(ports)
        client = self.start_testpmd(["net_vhost0,iface=" + daemon.socket("a"),
                               "net_vhost1,iface=" + daemon.socket("b")], memory=1024)
        for port in ("a", "b"):
            self.wait_for_link(daemon, port)
            self.assertIn(says, self.facts(daemon, port)["queues"])
        self.check_loop(daemon, client)

    def test_chain(self):
        """testpmd's driver, a switch, our driver, another switch, and back again."""
        inner = self.switch([{"name": "up", "type": "vhost-user"},
                             {"name": "b", "type": "vhost-user"}])
        outer = self.switch([{"name": "a", "type": "vhost-user"},
                             {"name": "down", "type": "virtio-user",
                              "socket": inner.socket("up")}])
        self.wait_for_link(outer, "down")
        client = self.start_testpmd([
            "net_virtio_user0,path=%s,mac=%s" % (outer.socket("a"), MACS[0]),
            "net_virtio_user1,path=%s,mac=%s" % (inner.socket("b"), MACS[1])])
        self.check_loop(outer, client, ports=("a", "down"))


if __name__ == "__main__":
    unittest.main()
