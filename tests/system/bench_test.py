# SPDX-License-Identifier: BSD-3-Clause
"""viaduct bench SOCKET...: our generator as the front-end of the switch's ports. How fast it is says
nothing here; what it counts must be what went."""

import os

from support import SystemTest, build_folder, each

from lab.process import Program

VIADUCT = os.path.join(build_folder(), "viaduct")
PATHS = {
    "split": "",
    "packed": "--packed",
    "split in-order": "--in-order",
    "packed in-order": "--packed --in-order --event-idx",
    "non-mergeable": "--no-mergeable",
    "packed non-mergeable": "--packed --no-mergeable --event-idx",
    "header and payload": "--cut 2",
    "tables": "--cut 3 --indirect --size 1514",
    "packed tables": "--packed --cut 3 --indirect --size 1514 --touch all",
    "long frames": "--size 9000 --touch all",
    "GSO": "--gso",
    "packed GSO": "--gso --packed --in-order --cut 8 --ring 512",
    "GSO in large buffers": "--gso --no-mergeable --touch none",
}
QUICK = {"split", "packed", "packed in-order", "packed tables", "GSO"}


class Bench(SystemTest):
    def ports(self, n, *more):
        return self.switch([{"name": "p%d" % i, "type": "vhost-user"} for i in range(n)]
                           + list(more))

    def bench(self, daemon, n, words, seconds=0.5):
        return daemon.ctl("bench", *(daemon.socket("p%d" % i) for i in range(n)), "--seconds",
                          str(seconds), "--warmup", "0.1", *words.split())

    @each(PATHS, QUICK)
    def test_closed_loop(self, words):
        """Nothing is lost, known unicast reaches its port alone, and the switch has counted the
        same."""
        daemon = self.ports(4)
        said = self.bench(daemon, 4, words)
        self.note("%.2f Mpps, client %.0f %% idle, %.0f busy cycles a packet" % (
            said["packets_per_second"] / 1e6, said["idle_share"] * 100,
            said["busy_cycles_per_packet"]))
        self.assertEqual(said["lost"], 0)
        self.assertGreater(said["busy_cycles_per_packet"], 0)
        self.assertTrue(0 <= said["idle_share"] < 1)
        for number, port in enumerate(said["ports"]):
            self.assertGreater(port["received"], 100)
            self.assertEqual(port["others"], 0)
            received, transmitted = self.packets(daemon, "p%d" % number)
            self.assertGreaterEqual(received, port["sent"])
            self.assertGreaterEqual(transmitted, port["received"])
            self.assertEqual(self.drops(daemon, "p%d" % number), {})

    def test_flood(self):
        """What goes to nobody goes to everybody."""
        said = self.bench(self.ports(4), 4, "--flood")
        self.assertEqual(said["lost"], 0)
        for port in said["ports"]:
            self.assertGreater(port["others"], port["received"])

    def test_open_loop(self):
        """It sends at its rate, also when every frame finds the switch asleep."""
        daemon = self.ports(2)
        said = self.bench(daemon, 2, "--rate 200 --latency", seconds=1)
        self.assertEqual(said["lost"], 0)
        for port in said["ports"]:
            self.assertTrue(100 <= port["sent"] <= 220, said)
        self.assertGreater(said["latency_us"]["p50"], 0)
        self.assertLessEqual(said["latency_us"]["p99.9"], said["latency_us"]["max"])

    def test_one_sided(self):
        """It only sends, to a sink; it only receives, from a generator."""
        daemon = self.ports(1, {"name": "hole", "type": "sink"})
        said = self.bench(daemon, 1, "--dequeue")
        self.assertGreater(said["packets_per_second"], 1000)
        self.assertGreaterEqual(self.packets(daemon, "hole")[1], said["ports"][0]["sent"])
        daemon = self.ports(1, {"name": "gen", "type": "gen"})
        said = self.bench(daemon, 1, "--enqueue --no-mergeable")
        self.assertGreater(said["packets_per_second"], 1000)
        self.assertGreaterEqual(self.packets(daemon, "p0")[1], said["ports"][0]["others"])

    def test_end_of_the_backend(self):
        """A back-end that goes away is an error, not a figure."""
        daemon = self.ports(2)
        client = Program([VIADUCT, "bench", daemon.socket("p0"), daemon.socket("p1"), "--seconds",
                          "20"], daemon.folder + "/client")
        self.addCleanup(client.stop)
        client.wait_for(lambda: self.packets(daemon, "p1")[1] > 1000)
        daemon.kill()
        client.process.wait(10)
        self.assertEqual(client.process.returncode, 1)
        self.assertRegex(client.log(), r"^viaduct: the back-end on '.*/p[01].sock': it has closed "
                         "the connection\n$")
        daemon.start()
