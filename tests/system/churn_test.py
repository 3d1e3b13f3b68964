# SPDX-License-Identifier: BSD-3-Clause
"""What comes and goes leaves nothing: no descriptor, mapping, thread or memory, however often."""

import os
import socket
import time
import unittest

from support import SystemTest, build_folder, each, needs_root, sanitized

from lab.frontend import FrontEnd
from lab.netns import Namespace

HOLE = {"name": "hole", "type": "sink"}
VM = {"name": "vm1", "type": "vhost-user"}
ENOUGH_KIB = 96                     # that an allocator has more or less from one moment to the next

# How often, in make check and in the longer suite.
TIMES = {"ports": (1000, 5000), "taps": (60, 1200), "front_ends": (1000, 20000),
         "reloads": (200, 2000), "clients": (2000, 50000), "captures": (200, 2000),
         "addresses": (2000, 20000), "scrapes": (300, 5000)}
CASES = {"%d_%s" % (n, what): (what, n) for what, times in TIMES.items() for n in times}
QUICK = ["%d_%s" % (times[0], what) for what, times in TIMES.items()]


class Churn(SystemTest):
    def measured(self, daemon):
        fds, maps = daemon.held()
        return {"descriptors": fds, "mappings": maps, "threads": daemon.threads(),
                "KiB": daemon.resident_kib()}

    def assert_flat(self, daemon, n, turn):
        """Does 'turn' n times, after it was done for a while: that must leave nothing."""
        for number in range(max(n // 4, 20)):
            turn(number)
        before = self.measured(daemon)
        for number in range(n):
            turn(number)
        deadline = time.monotonic() + 10
        while self.left(daemon, before) and time.monotonic() < deadline:
            time.sleep(0.1)         # the last one may be going still
        self.assertEqual(self.left(daemon, before), {})
        self.note("%+d KiB" % (daemon.resident_kib() - before["KiB"]))

    def left(self, daemon, before):
        """What is there in addition. Mappings merge and split by where they happen to lie."""
        allowed = {"mappings": 4, "KiB": 1 << 30 if sanitized() else ENOUGH_KIB}
        return {what: "%d, before %d" % (now, before[what])
                for what, now in self.measured(daemon).items()
                if now > before[what] + allowed.get(what, 0)}

    @each(CASES, QUICK)
    def test_come_and_go_and_nothing_stays(self, case):
        what, n = case
        getattr(self, what)(n)

    def called(self, ports, **more):
        """A daemon, and a function that calls its methods."""
        daemon = self.switch(ports, **more)
        return daemon, self.enterContext(daemon.connection())

    def ports(self, n):
        daemon, call = self.called([HOLE])

        def turn(number):
            call("port.add", name="vm1", type="vhost-user", socket=daemon.socket("vm1"),
                 queue_pairs=1 + number % 3)
            call("port.del", name="vm1")

        self.assert_flat(daemon, n, turn)

    @needs_root
    def taps(self, n):
        daemon, call = self.called([HOLE], netns=self.enterContext(Namespace()))

        def turn(number):
            call("port.add", name="tap%d" % (number % 7), type="tap")
            time.sleep(0.03)        # for the kernel to announce its new address
            call("port.del", name="tap%d" % (number % 7))

        self.assert_flat(daemon, n, turn)

    def front_ends(self, n):
        daemon = self.switch([VM, HOLE])

        def turn(number):
            FrontEnd(daemon.socket("vm1"), packed=number % 2 == 1).close()

        self.assert_flat(daemon, n, turn)

    def reloads(self, n):
        daemon, call = self.called([VM, HOLE])
        path = daemon.folder + "/viaductd.yaml"
        with open(path) as f:
            text = f.read()

        def turn(number):
            with open(path, "w") as f:
                f.write(text + ("  - {name: other, type: sink}\n" if number % 2 else ""))
            call("reload")

        self.assert_flat(daemon, n, turn)

    def clients(self, n):
        daemon = self.switch([VM, HOLE])

        def turn(_):
            with daemon.connection() as call:
                call("status")

        self.assert_flat(daemon, n, turn)

    def captures(self, n):
        daemon, call = self.called([{"name": "gen", "type": "gen", "rate": 10000}, HOLE])

        def turn(_):
            reader, writer = os.pipe()
            call("capture.start", fds=[writer])
            call("capture.stop")
            os.close(reader)
            os.close(writer)

        self.assert_flat(daemon, n, turn)

    def addresses(self, n):
        daemon, call = self.called([HOLE])

        def turn(number):
            mac = "02:%02x:00:00:%02x:%02x" % (number & 7, number >> 8, number & 255)
            call("fdb.add", mac=mac, port="hole")
            call("fdb.del", mac=mac)

        self.assert_flat(daemon, n, turn)

    @unittest.skipUnless(os.path.exists(os.path.join(build_folder(), "viaduct-exporter")),
                         "built without libmicrohttpd")
    def scrapes(self, n):
        daemon = self.switch([VM, HOLE], metrics="unix:/tmp/viaduct-churn-%d.sock" % os.getpid())

        def turn(_):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(10)
                s.connect(daemon.config["metrics"][5:])
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                self.assertIn("200 OK", s.makefile().read())

        self.assert_flat(daemon, n, turn)


if __name__ == "__main__":
    unittest.main()
