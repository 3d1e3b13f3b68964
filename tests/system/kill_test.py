# SPDX-License-Identifier: BSD-3-Clause
"""Front-ends and the daemon killed under traffic, and what they leave behind: nothing."""

import os
import shutil
import time
import unittest

from support import USER, XFER, SystemTest, each, sanitized

from lab.frontend import FrontEnd
from lab.guest import QemuGuest
from lab.testpmd import Testpmd
from lab.viaductd import Viaductd

FORMATS = {"split": False, "packed": True}
TIMES, CONNECTS = 20, 1000
SLACK_KIB = 512                 # what malloc keeps, however often a front-end comes and goes


class Kill(SystemTest):
    def settled(self, daemon):
        """What the daemon holds, once what it closes is closed."""
        time.sleep(0.5)
        return (*daemon.held(), daemon.resident_kib())

    def assert_no_leak(self, daemon, before):
        """Descriptors at once; mappings and memory but for what an allocator keeps."""
        after = self.settled(daemon)
        self.note("descriptors, mappings, KiB: %s, then %s" % (before, after))
        self.assertEqual(after[0], before[0], daemon.log())
        self.assertLessEqual(after[1], before[1] + 4)
        if not sanitized():
            self.assertLessEqual(after[2], before[2] + SLACK_KIB)

    @each(FORMATS, set(FORMATS))
    def test_connects(self, packed):
        """1,000 front-ends come and go."""
        daemon = self.switch([{"name": "vm1", "type": "vhost-user"}], user=USER)

        def connect(times):
            for _ in range(times):
                FrontEnd(daemon.socket("vm1"), packed).close()
        connect(50)
        before = self.settled(daemon)
        connect(CONNECTS)
        self.assert_no_leak(daemon, before)

    def kill_front_ends(self, packed, times):
        daemon = self.switch([{"name": "a", "type": "vhost-user"},
                              {"name": "b", "type": "vhost-user"}])
        vdevs = ["net_virtio_user%d,path=%s,packed_vq=%d" % (i, daemon.socket(name), packed)
                 for i, name in enumerate("ab")]
        before = None
        for _ in range(times):
            client = Testpmd(vdevs, cpu=os.cpu_count() - 1, start=False)
            try:
                client.command("start tx_first 2")
                time.sleep(0.2)
                carried = client.stats()[0]["RX-packets"]
                client.program.kill()
            finally:
                client.close()
            self.assertGreater(carried, 0, "no traffic after a reconnection:\n" + daemon.log())
            before = before or self.settled(daemon)
        self.assert_no_leak(daemon, before)

    @unittest.skipUnless(shutil.which("dpdk-testpmd"), "dpdk-testpmd is missing: "
                         "apt-get install dpdk-dev")
    @each(FORMATS, set())
    def test_front_end_killed(self, packed):
        self.kill_front_ends(packed, TIMES)

    @unittest.skipUnless(shutil.which("dpdk-testpmd"), "dpdk-testpmd is missing: "
                         "apt-get install dpdk-dev")
    @each(FORMATS, set(FORMATS))
    def test_front_end_killed_thrice(self, packed):
        self.kill_front_ends(packed, 3)

    def end_daemons(self, packed, times, end):
        """QEMU listens; the guests go on without a reboot, and with the same TCP connection."""
        daemon = self.switch([{"name": name, "type": "vhost-user", "mode": "client"}
                              for name in ("vm1", "vm2")], user=USER)
        a, b = (self.enterContext(QemuGuest(
            [{"path": daemon.socket(name), "server": True, "packed": "on" if packed else "off"}],
            user=USER, programs=[XFER], name=name)) for name in ("vm1", "vm2"))
        a.address("10.9.0.1/24")
        b.address("10.9.0.2/24")
        boots = [guest.run("cat /proc/sys/kernel/random/boot_id").out for guest in (a, b)]
        server = b.spawn("iperf3 -s -1")
        stream = a.spawn("sleep 1; iperf3 -c 10.9.0.2 -t 3600 >/mnt/stream 2>&1")
        for _ in range(times):
            time.sleep(1)
            end(daemon)
            daemon.start()
            self.assert_traffic_returns(a)
        self.assertFalse(stream.done(), "the TCP connection of before has ended")
        stream.kill()
        server.kill()
        self.assertEqual(boots, [guest.run("cat /proc/sys/kernel/random/boot_id").out
                                 for guest in (a, b)])
        self.assert_payload(a, b, "10.9.0.2")
        self.assert_payload(b, a, "10.9.0.1")

    def assert_traffic_returns(self, guest):
        begin = time.monotonic()
        while guest.run("busybox ping -c 1 -W 1 10.9.0.2", check=False).code:
            self.assertLess(time.monotonic() - begin, 20, "the guests no longer reach each other")

    @each(FORMATS, set())
    def test_daemon_killed(self, packed):
        self.end_daemons(packed, TIMES, Viaductd.kill)

    @each(FORMATS, set())
    def test_daemon_restarted(self, packed):
        """As by an upgrade: SIGTERM, then a new one."""
        self.end_daemons(packed, 3, Viaductd.stop)

    @each(FORMATS, set(FORMATS))
    def test_daemon_killed_twice(self, packed):
        self.end_daemons(packed, 2, Viaductd.kill)
