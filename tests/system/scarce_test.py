# SPDX-License-Identifier: BSD-3-Clause
"""A viaductd that has too few descriptors or too little memory: it says why it does not start, or refuses
what it has no room for and serves the rest; it does not die, and is whole again when there is room."""

import contextlib
import json
import os
import socket
import time
import unittest

from support import SystemTest, Viaductd, each, sanitized

from lab.frontend import FrontEnd

PORTS = [{"name": "vm%d" % i, "type": "vhost-user"} for i in range(4)] \
    + [{"name": "hole", "type": "sink"}]
PATIENCE = 10
GROUPS = ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")        # version 1, version 2
LIMITS = ("memory.limit_in_bytes", "memory.max")


@contextlib.contextmanager
def memory_group(limit):
    """The folder of a control group with a limit of memory; None: they cannot be made here."""
    for top, key in zip(GROUPS, LIMITS):
        folder = "%s/viaduct-test-%d" % (top, os.getpid())
        try:
            os.mkdir(folder)
        except OSError:
            continue
        try:
            with open(os.path.join(folder, key), "w") as f:
                f.write(str(limit))
            yield folder
        except OSError:
            yield None
        finally:
            with contextlib.suppress(OSError):      # a process of a test that failed is in it
                os.rmdir(folder)
        return
    yield None


class Scarce(SystemTest):
    def scarce(self, under, ports=PORTS):
        """A viaductd under a limit that serves, or None if it said why it does not."""
        daemon = self.enterContext(Viaductd(ports, under=under, start=False))
        daemon.launch()
        deadline = time.monotonic() + PATIENCE
        while daemon.program.process.poll() is None:
            with contextlib.suppress(OSError):
                self.status(daemon)
                return daemon
            self.assertLess(time.monotonic(), deadline, "neither serves nor ends: " + daemon.log())
            time.sleep(0.01)
        last = daemon.log().strip().splitlines()[-1:]
        self.assertEqual(daemon.program.process.returncode, 1, daemon.log())
        self.assertRegex("".join(last), "^viaductd: .{15}", "says nothing")
        self.assert_no_death(daemon)
        return None

    def assert_no_death(self, daemon):
        self.assertNotRegex(daemon.log(), "died of signal|killed by|Sanitizer|runtime error:")

    @staticmethod
    def status(daemon):
        """Asks without a process of its own, which would need memory as well."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(daemon.config["control"])
            sock.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "status"}\n')
            line = sock.makefile().readline()
        if not line or "result" not in json.loads(line):
            raise ConnectionError("no status: %r" % line)

    def connect(self, daemon, mebibytes=1):
        """Front-ends on as many ports as get one; which they are."""
        front_ends = {}
        for port in PORTS[:-1]:
            with contextlib.suppress(OSError, AssertionError):
                front_ends[port["name"]] = self.enterContext(
                    FrontEnd(daemon.socket(port["name"]), mebibytes=mebibytes, patience=1))
        return front_ends

    def assert_recovers(self, daemon, front_ends):
        """When front-ends go, there is room for others, if there ever was, and for a client."""
        for front_end in front_ends.values():
            front_end.close()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.status(daemon)
                if front_ends:
                    FrontEnd(daemon.socket("vm0"), patience=1).close()
                break
            except (OSError, AssertionError) as error:
                self.assertLess(time.monotonic(), deadline, "%s\n%s" % (error, daemon.log()))
            time.sleep(0.05)
        self.assertEqual(daemon.stop(), 0, daemon.log())
        self.assert_no_death(daemon)

    @each({"few": (5, 24, 1), "some": (24, 72, 6)}, {"some"})
    def test_descriptors(self, limits):
        served = refused = 0
        for limit in range(*limits):
            daemon = self.scarce(["prlimit", "--nofile=%d:%d" % (limit, limit)])
            if not daemon:
                refused += 1
                continue
            front_ends = self.connect(daemon)
            served += len(front_ends)
            self.assert_recovers(daemon, front_ends)
        self.note("%d starts refused, %d front-ends served" % (refused, served))
        self.assertTrue(refused or limits[0] >= 24)
        self.assertTrue(served or limits[1] <= 24)

    @unittest.skipIf(sanitized(), "a sanitizer's shadow needs terabytes")
    def test_address_space(self):
        """The front-ends' memory is 64 MiB each, so that at some limits there is room for some."""
        served, refused = [], 0
        for mebibytes in (8, 12, 16, 20, 24, 32, 48, 64, 96, 128, 160, 224, 288, 352):
            daemon = self.scarce(["prlimit", "--as=%d" % (mebibytes << 20)])
            if not daemon:
                refused += 1
                continue
            front_ends = self.connect(daemon, mebibytes=64)
            served.append(len(front_ends))
            self.assert_recovers(daemon, front_ends)
        self.note("%d starts refused, front-ends served: %s" % (refused, served))
        self.assertTrue(refused)
        self.assertEqual(served[-1], 4)

    @unittest.skipIf(sanitized(), "a sanitizer takes memory of its own")
    def test_memory_group(self):
        with memory_group(64 << 20) as folder:
            if not folder:
                self.skipTest("control groups cannot be made here")
            join = ["sh", "-c", 'echo $$ >"$0"/cgroup.procs && exec "$@"', folder]
            daemon = self.scarce(join)
            front_ends = self.connect(daemon, mebibytes=64)
            self.assertEqual(len(front_ends), 4)
            self.assert_recovers(daemon, front_ends)
