# SPDX-License-Identifier: BSD-3-Clause
"""Two QEMU guests (Linux 6.12): a pairwise cover of what the driver and the device can agree on."""

from support import USER, XFER, SystemTest, each, pairwise

from lab.guest import QemuGuest

SWITCHES = ["mrg_rxbuf", "event_idx", "indirect_desc", "csum", "guest_csum", "host_tso4",
            "host_tso6", "host_uso", "guest_tso4", "guest_tso6", "guest_uso4"]
FACTORS = {"packed": ["off", "on"], "pairs": [1, 4], "mtu": [1500, 9000],
           **{name: ["on", "off"] for name in SWITCHES}}
# An offload stands on another one, or is off. (QEMU 10.0 takes USO away from vhost-user devices by
# itself; TAPs have it, see tap_test.py.)
STANDS_ON = {"host_tso4": "csum", "host_tso6": "csum", "host_uso": "csum",
             "guest_tso4": "guest_csum", "guest_tso6": "guest_csum", "guest_uso4": "guest_csum"}


def stands(row):
    return not any(row.get(name) == "on" and row.get(base) == "off"
                   for name, base in STANDS_ON.items())


ROWS = pairwise(FACTORS, stands)
# Each test has one row on one side and another on the other, so that unequal guests meet, too.
CASES = {"row_%d" % i: (row, ROWS[i - 3]) for i, row in enumerate(ROWS)}
QUICK = {"row_0", "row_1"}


def device(row):
    """QEMU's properties for a row."""
    return {"packed": row["packed"], "queues": row["pairs"], "host_mtu": row["mtu"],
            "guest_uso6": row["guest_uso4"], **{name: row[name] for name in SWITCHES}}


def brief(row):
    return " ".join(["packed" if row["packed"] == "on" else "split", "%dq" % row["pairs"],
                     "mtu %d" % row["mtu"], *("-" + name for name in SWITCHES
                                              if row[name] == "off")])


class Qemu(SystemTest):
    def pair(self, rows):
        ports = [{"name": "vm%d" % i, "type": "vhost-user", "queue_pairs": row["pairs"],
                  "mtu": row["mtu"]} for i, row in enumerate(rows, 1)]
        daemon = self.switch(ports, user=USER)
        guests = [self.enterContext(QemuGuest(
            [{"path": daemon.socket(port["name"]), **device(row)}], user=USER, programs=[XFER],
            vcpus=row["pairs"], name=port["name"])) for port, row in zip(ports, rows)]
        for number, (guest, row) in enumerate(zip(guests, rows), 1):
            guest.address("10.9.0.%d/24" % number, "fd09::%d/64" % number, mtu=row["mtu"])
        return daemon, *guests

    @each(CASES, QUICK)
    def test_talk(self, rows):
        self.note(" | ".join(map(brief, rows)))
        _, a, b = self.pair(rows)
        mtu = min(row["mtu"] for row in rows)
        for guest in (a, b):
            guest.address(mtu=mtu)
        # A sender's window says nothing of queues other than its own: then rings may overflow.
        arrive = 0.5 if any(row["pairs"] > 1 for row in rows) else 0.9
        self.assert_talk(a, b, mtu=mtu, uso=True, arrive=arrive)
        self.assert_payload(a, b, "fd09::2", uso=True, arrive=arrive)

    @each({"split": "off", "packed": "on"}, {"packed"})
    def test_every_queue_of_four_pairs_carries_packets(self, packed):
        row = {**{name: "on" for name in SWITCHES}, "packed": packed, "pairs": 4, "mtu": 1500}
        daemon, a, b = self.pair([row, row])
        jobs = [b.spawn("xfer recv tcp %d" % (7100 + flow)) for flow in range(8)]
        # A guest sends on the queue of the CPU that the sender runs on.
        a.run("".join("taskset %x xfer send tcp 10.9.0.2 %d 2000000 &\n" % (
            1 << flow % 4, 7100 + flow) for flow in range(8)) + "wait", timeout=120)
        for job in jobs:
            self.assertEqual(job.wait().out.strip(), "2000000")
        for name in ("vm1", "vm2"):
            queues = self.queue_packets(daemon, name)
            self.assertEqual(len(queues), 4)
            for received, sent in queues:
                self.assertGreater(min(received, sent), 0, "%s: %s" % (name, queues))
