# SPDX-License-Identifier: BSD-3-Clause
"""dpdk-testpmd as a front-end, in each of the ten ring paths of its net_virtio_user."""

import os
import random
import shutil
import struct
import time
import unittest

from support import SystemTest, each

from lab.testpmd import PATHS, Testpmd

MACS = ("02:00:00:00:0a:01", "02:00:00:00:0a:02")
FRAMES = 200                    # fewer than a ring has slots: none may be lost
PCAP_HEAD = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
QUICK = {"split mergeable", "split vectorized", "packed in-order mergeable", "packed vectorized"}


def packet_file(path):
    """Frames of every kind of size with pseudo-random payload, from one address to another."""
    source = random.Random(1)
    frames = []
    for number in range(FRAMES):
        size = (60, 61, 64, 127, 128, 129, 256, 1000, 1513, 1514)[number % 10]
        head = bytes.fromhex("02000000cc02" "02000000cc01" "88b5")
        frames.append(head + source.randbytes(size - len(head)))
    with open(path, "wb") as f:
        f.write(PCAP_HEAD)
        for frame in frames:
            f.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
    return frames


def frames_of(path):
    """The frames in a packet file."""
    with open(path, "rb") as f:
        data = f.read()
    at, frames = len(PCAP_HEAD), []
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        frames.append(data[at + 16:at + 16 + size])
        at += 16 + size
    return frames


@unittest.skipUnless(shutil.which("dpdk-testpmd"), "dpdk-testpmd is missing: "
                     "apt-get install dpdk-dev")
class TestpmdClient(SystemTest):
    def client(self, daemon, name, **more):
        """testpmd with a port on each of the switch's; checks that it took the path."""
        options, says, features = PATHS[name]
        vdevs = ["net_virtio_user%d,path=%s,%s,mac=%s" % (i, daemon.socket(port), options, mac)
                 for i, (port, mac) in enumerate(zip(("a", "b"), MACS))]
        client = self.enterContext(Testpmd(more.pop("first", []) + vdevs + more.pop("last", []),
                                           cpu=os.cpu_count() - 1, start=False, **more))
        if says.endswith("vectorized") and client.ring_paths() != [says] * 2 \
                and "packed" in says and not has_avx512():
            self.skipTest("this CPU has no AVX-512, which the vectorized packed path needs")
        self.assertEqual(client.ring_paths(), [says] * 2)
        self.assertEqual(client.features()[-2:], [features] * 2)
        return client

    def two_ports(self):
        return self.switch([{"name": "a", "type": "vhost-user"},
                            {"name": "b", "type": "vhost-user"}])

    @each({name: name for name in PATHS}, QUICK)
    def test_closed_loop(self, name):
        """What is in a loop through the switch goes round for ever: nothing is lost."""
        daemon = self.two_ports()
        client = self.client(daemon, name, words=[
            "--eth-peer=0," + MACS[1], "--eth-peer=1," + MACS[0]])
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
        for port in ("a", "b"):
            self.assertEqual(self.drops(daemon, port), {})
        # All that the client has sent has entered the switch, and left it on the other side.
        for one, other, stats in (("a", "b", end[0]), ("b", "a", end[1])):
            received = self.packets(daemon, one)[0]
            self.assertEqual(received, stats["TX-packets"])
            self.assertEqual(received, self.packets(daemon, other)[1])

    @each({name: name for name in PATHS}, QUICK)
    def test_contents(self, name):
        """A file of frames goes through the switch, in one port and out of the other."""
        daemon = self.two_ports()
        folder = daemon.folder
        sent = packet_file(folder + "/in.pcap")
        client = self.client(
            daemon, name, words=["--no-flush-rx"],
            first=["net_pcap0,rx_pcap=%s/in.pcap,tx_pcap=%s/none.pcap" % (folder, folder)],
            last=["net_pcap1,rx_pcap=%s/empty.pcap,tx_pcap=%s/out.pcap" % (
                self.empty(folder), folder)])
        client.command("start")
        deadline = time.monotonic() + 10
        while client.stats()[3]["TX-packets"] < FRAMES and time.monotonic() < deadline:
            time.sleep(0.1)
        client.command("stop")
        client.command("port stop all")
        client.close()
        self.assertEqual(frames_of(folder + "/out.pcap"), sent)

    @staticmethod
    def empty(folder):
        with open(folder + "/empty.pcap", "wb") as f:
            f.write(PCAP_HEAD)
        return folder


def has_avx512():
    with open("/proc/cpuinfo") as f:
        return "avx512f" in f.read()
