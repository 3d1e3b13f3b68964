# SPDX-License-Identifier: BSD-3-Clause
"""A switch with 100 connected ports on which nothing happens costs nothing."""

import contextlib
import time

from support import USER, SystemTest, each, sanitized

from lab.frontend import FrontEnd

PORTS, SECONDS, TICKS, KIBIBYTES = 100, 10, 2, 10 * 1024


class Idle(SystemTest):
    @each({"split": False, "packed": True}, {"split", "packed"})
    def test_hundred_ports(self, packed):
        names = ["vm%d" % i for i in range(PORTS)]
        daemon = self.switch([{"name": name, "type": "vhost-user"} for name in names], user=USER)
        with contextlib.ExitStack() as stack:
            for name in names:
                stack.enter_context(FrontEnd(daemon.socket(name), packed))
            time.sleep(1)
            workers = daemon.workers()
            switches = list(map(daemon.switches, workers))
            ticks = daemon.cpu_ticks()
            time.sleep(SECONDS)
            ticks = daemon.cpu_ticks() - ticks
            resident = daemon.resident_kib()
            self.note("%d ticks in %d s, %d KiB resident" % (ticks, SECONDS, resident))
            self.assertTrue(workers)
            self.assertEqual(list(map(daemon.switches, workers)), switches)
            self.assertLessEqual(ticks, TICKS)
            if not sanitized():
                self.assertLess(resident, KIBIBYTES)
