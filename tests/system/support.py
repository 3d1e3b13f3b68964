# SPDX-License-Identifier: BSD-3-Clause
"""What the system tests share."""

import itertools
import json
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab.process import unprivileged_uid                # noqa: E402
from lab.viaductd import Viaductd, build_folder         # noqa: E402, F401

XFER = os.path.join(build_folder(), "tests/lab/xfer")
USER = unprivileged_uid()
MEBIBYTE = 1 << 20


def thorough(test):
    """A test of the longer suites (make check-SUITE), not of make check."""
    test.thorough = True
    return test


def needs_root(test):
    return unittest.skipUnless(os.geteuid() == 0, "needs root, for a network namespace")(test)


def each(cases, quick):
    """Makes a test of each case: a decorator for method(self, case). 'cases' is {name: case}; those
    not in 'quick' are thorough."""
    def decorate(method):
        method.cases, method.quick = cases, quick
        return method
    return decorate


def sanitized():
    """Whether the programs keep what they free, as sanitizers do: their memory says nothing
    then."""
    with open(os.path.join(build_folder(), "meson-info/intro-buildoptions.json")) as f:
        return '"value": "address' in f.read()


def not_sanitized(test):
    """What holds for programs as users have them."""
    return unittest.skipIf(sanitized(), "sanitizers need more than that")(test)


class SystemTest(unittest.TestCase):
    """Ends what a test has started, in reverse order, and shows logs when it failed."""

    def __init_subclass__(cls):
        for name, method in list(vars(cls).items()):
            if hasattr(method, "cases"):
                delattr(cls, name)
                for title, case in method.cases.items():
                    cls._add(name + "_" + re.sub(r"\W+", "_", title), method, case,
                             title in method.quick)

    @classmethod
    def _add(cls, name, method, case, quick):
        def test(self):
            method(self, case)
        for mark in ("__unittest_skip__", "__unittest_skip_why__"):
            if hasattr(method, mark):
                setattr(test, mark, getattr(method, mark))
        setattr(cls, name, test if quick else thorough(test))

    def switch(self, ports, **more):
        """Starts a viaductd for the test. It must end cleanly, and sanitizers have said nothing."""
        daemon = self.enterContext(Viaductd(ports, **more))
        self.addCleanup(self._check_end, daemon)
        return daemon

    def _check_end(self, daemon):
        self.assertEqual(daemon.stop(), 0, "viaductd's end:\n" + daemon.log())
        self.assertNotRegex(daemon.log(), "Sanitizer|runtime error:")

    def enterContext(self, context):         # unittest has it since Python 3.11
        value = type(context).__enter__(context)
        self.addCleanup(type(context).__exit__, context, None, None, None)
        return value

    # ------------------------------------------------- what two ends must do

    def assert_talk(self, a, b, addresses=("10.9.0.1", "10.9.0.2"), mtu=1500, **payload):
        """Ping, TCP and UDP between two ends that run scripts, and payload that arrives as it left.
        'payload' goes to assert_payload()."""
        for source, target in ((addresses[0], addresses[1]), (addresses[1], addresses[0])):
            end = a if source == addresses[0] else b
            self.assert_ping(end, target, 56)
            self.assert_ping(end, target, mtu - (48 if ":" in target else 28))
        self.assert_payload(a, b, addresses[1], **payload)
        self.assert_payload(b, a, addresses[0], **payload)
        self.assert_tcp(a, b, addresses[1])

    def assert_ping(self, end, target, size):
        said = end.run("busybox ping -c 3 -i 0.2 -W 5 -s %d %s" % (size, target)).out
        self.assertIn(" 0% packet loss", said)

    def assert_payload(self, sender, receiver, target, uso=False, arrive=0.9):
        """What arrives is intact: all of it by TCP, 'arrive' of it by UDP."""
        total = 4 * MEBIBYTE
        job = receiver.spawn("xfer recv tcp 7001")
        sender.run("xfer send tcp %s 7001 %d" % (target, total))
        self.assertEqual(job.wait().out.strip(), str(total))
        # Datagrams that fit a frame, that are fragmented, and that are cut by the sender's offload.
        for words in ("400 1400", "100 6000") + (("50 12000 1200",) if uso else ()):
            job = receiver.spawn("xfer recv udp 7002")
            sender.run("xfer send udp %s 7002 %s" % (target, words))
            came, sent = map(int, re.match(r"(\d+) of (\d+), 0 wrong", job.wait().out).groups())
            self.assertGreaterEqual(came, sent * arrive, "UDP datagrams of %s" % words)

    def assert_tcp(self, a, b, target):
        """iperf3 both ways: it must flow, at whatever speed."""
        rates = []
        server = b.spawn("iperf3 -s")
        for words in ("", "-R"):
            # With -J its exit code says nothing; the server may not listen yet.
            said = a.run("for i in $(seq 50); do\n"
                         "  iperf3 -J -c %s -t 1 %s >/mnt/iperf\n"
                         "  grep -q sum_received /mnt/iperf && break\n"
                         "  sleep 0.2\ndone\ncat /mnt/iperf" % (target, words)).out
            end = json.loads(said)["end"]
            self.assertIn("sum_received", end, said[-300:])
            rates.append(end["sum_received"]["bits_per_second"] / 1e6)
        server.kill()
        self.note("TCP %.0f and %.0f Mbit/s" % tuple(rates))
        self.assertGreater(min(rates), 8, "TCP stalls: %s Mbit/s" % rates)

    # ---------------------------------------------------- what a port counted

    @staticmethod
    def packets(daemon, name):
        """How many packets the switch received from a port, and sent to it."""
        port = daemon.port(name)
        return port["receive"]["packets"], port["transmit"]["packets"]

    @staticmethod
    def drops(daemon, name):
        """The reasons of what was dropped at a port, with their counts."""
        port = daemon.port(name)
        return {**port["receive"]["drops"], **port["transmit"]["drops"]}

    @staticmethod
    def queue_packets(daemon, name):
        """The same as packets() for each queue."""
        return [(queue["receive"]["packets"], queue["transmit"]["packets"])
                for queue in daemon.port(name)["per_queue"]]

    def note(self, text):
        """Shown beside the test's name."""
        self.notes = [*getattr(self, "notes", []), text]


def pairwise(factors, fits=lambda row: True):
    """Rows (dicts) in which any two values of any two factors meet at least once, as far as they fit:
    greedily, always with the value that adds the most new meetings. 'fits' judges unfinished rows."""
    missing = {meeting for one, two in itertools.combinations(factors, 2)
               for meeting in itertools.product([(one, x) for x in factors[one]],
                                                [(two, y) for y in factors[two]])
               if fits(dict(meeting))}
    rows = []
    while missing:
        row = dict(min(missing, key=repr))
        for name in factors:
            if name not in row:
                row[name] = max((value for value in factors[name] if fits({**row, name: value})),
                                key=lambda value: len(_meetings({**row, name: value}, factors)
                                                      & missing))
        missing -= _meetings(row, factors)
        rows.append({name: row[name] for name in factors})
    return rows


def _meetings(row, factors):
    return set(itertools.combinations([(name, row[name]) for name in factors if name in row], 2))


def row_name(row):
    return " ".join("%s=%s" % item for item in row.items())
