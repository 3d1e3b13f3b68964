# SPDX-License-Identifier: BSD-3-Clause
"""Two user-mode Linux guests: offloads agreed on or not on either side, MTU, mergeable buffers."""

from support import USER, XFER, SystemTest, each, pairwise, row_name

from lab.guest import UmlGuest

# What a port takes away from a guest that shall have no offloads at all.
NO_OFFLOADS = dict.fromkeys(["csum", "guest_csum", "host_tso4", "host_tso6", "guest_tso4",
                             "guest_tso6", "host_ecn", "guest_ecn", "host_uso",
                             "guest_uso4", "guest_uso6"], False)

FACTORS = {"one": ["plain", "offloads"], "two": ["offloads", "plain"], "mtu": [1500, 9000],
           "mergeable": [True, False]}
ROWS = {row_name(row): row for row in (
    {"one": one, "two": two, "mtu": mtu, "mergeable": mergeable}
    for one in FACTORS["one"] for two in FACTORS["two"]
    for mtu in FACTORS["mtu"] for mergeable in FACTORS["mergeable"])}
QUICK = {row_name(row) for row in pairwise(FACTORS)}


def port(name, offloads, mtu, mergeable):
    features = {} if offloads == "offloads" else dict(NO_OFFLOADS)
    if not mergeable:
        features["mrg_rxbuf"] = False
    spec = {"name": name, "type": "vhost-user", "mtu": mtu}
    return {**spec, "features": features} if features else spec


class Uml(SystemTest):
    def pair(self, ports):
        daemon = self.switch(ports, user=USER)
        guests = [self.enterContext(UmlGuest([daemon.socket(p["name"])], user=USER,
                                             programs=[XFER])) for p in ports]
        for number, guest in enumerate(guests, 1):
            guest.address("10.9.0.%d/24" % number, "fd09::%d/64" % number,
                          mtu=ports[number - 1].get("mtu"))
        return daemon, *guests

    @each(ROWS, QUICK)
    def test_talk(self, row):
        _, a, b = self.pair([port("vm1", row["one"], row["mtu"], row["mergeable"]),
                             port("vm2", row["two"], row["mtu"], row["mergeable"])])
        self.assert_talk(a, b, mtu=row["mtu"])
        self.assert_payload(a, b, "fd09::2")
        self.assert_payload(b, a, "fd09::1")

    def test_offloads_switched_by_the_guest(self):
        """ethtool -K while the ring runs, on one side and on the other."""
        _, a, b = self.pair([port("vm1", "offloads", 1500, True),
                             port("vm2", "offloads", 1500, True)])
        for guest, on in ((a, False), (b, False), (a, True)):
            guest.offloads(on)
            self.assert_payload(a, b, "10.9.0.2")
            self.assert_payload(b, a, "10.9.0.1")
            self.assert_tcp(a, b, "10.9.0.2")

    def test_driver_unloaded_and_loaded_again(self):
        """The driver says good-bye without a VMM's messages, and comes back to the same device."""
        _, a, b = self.pair([port("vm1", "offloads", 1500, True),
                             port("vm2", "offloads", 1500, True)])
        for _ in range(5):
            a.run("device=$(basename $(readlink /sys/class/net/eth0/device))\n"
                  "echo $device >/sys/bus/virtio/drivers/virtio_net/unbind\n"
                  "echo $device >/sys/bus/virtio/drivers/virtio_net/bind")
            a.address("10.9.0.1/24")
            self.assert_ping(a, "10.9.0.2", 56)
        self.assert_tcp(a, b, "10.9.0.2")
