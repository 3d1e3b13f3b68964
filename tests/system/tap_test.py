# SPDX-License-Identifier: BSD-3-Clause
"""A guest, the switch, a TAP, and this machine's own TCP stack in a network namespace."""

import os
import shlex

from support import XFER, SystemTest, each, needs_root
from uml_test import port

from lab.guest import UmlGuest
from lab.netns import Namespace

CASES = {"guest_%s_host_%s" % (guest, host): (guest, host)
         for guest in ("offloads", "plain") for host in ("offloads", "plain")}


class Host:
    """The namespace with what a guest has beside a shell: our programs in its PATH, and /mnt."""

    def __init__(self, namespace, folder):
        self.namespace = namespace
        self.prefix = "PATH=%s:$PATH; cd %s; mkdir -p mnt\n" % (
            shlex.quote(os.path.dirname(XFER)), shlex.quote(folder))

    def run(self, script):
        return self.spawn(script).wait()

    def spawn(self, script):
        return self.namespace.spawn(self.prefix + script.replace("/mnt/", "mnt/"))


@needs_root
class Tap(SystemTest):
    def ends(self, guest, host, queues=1):
        namespace = self.enterContext(Namespace())
        daemon = self.switch([port("vm1", guest, 1500, True),
                              {"name": "host", "type": "tap", "ifname": "tap0",
                               **({"queue_pairs": queues} if queues > 1 else {})}],
                             netns=namespace)
        namespace.run("ip link set tap0 up; ip addr add 10.9.0.2/24 dev tap0; "
                      "ip addr add fd09::2/64 dev tap0 nodad")
        if host == "plain":
            namespace.run("ethtool -K tap0 tx off sg off tso off gso off gro off")
        vm = self.enterContext(UmlGuest([daemon.socket("vm1")], programs=[XFER]))
        vm.address("10.9.0.1/24", "fd09::1/64")
        return vm, Host(namespace, daemon.folder)

    @each(CASES, set(CASES))
    def test_talk(self, case):
        vm, host = self.ends(*case)
        self.assert_talk(vm, host)
        self.assert_talk(vm, host, addresses=("fd09::1", "fd09::2"))
        # The host's stack hands over UDP segments (USO) where its kernel has that.
        self.assert_payload(host, vm, "10.9.0.1", uso=True)
        self.assert_payload(host, vm, "fd09::1", uso=True)

    def test_containers(self):
        """Two TAPs, one of them moved into another namespace, as a container's would be."""
        namespaces = [self.enterContext(Namespace()) for _ in range(2)]
        daemon = self.switch([{"name": "c%d" % i, "type": "tap", "ifname": "c%d" % i}
                              for i in (1, 2)], netns=namespaces[0])
        namespaces[0].run("ip link set c2 netns " + namespaces[1].name)
        for i, namespace in enumerate(namespaces, 1):
            namespace.run("ip link set c%d up; ip addr add 10.9.0.%d/24 dev c%d" % (i, i, i))
        self.assert_talk(*(Host(namespace, daemon.folder) for namespace in namespaces), uso=True)

    def test_data_process_killed(self):
        """The next one finds the interfaces free."""
        daemon = self.switch([{"name": "c%d" % i, "type": "tap"} for i in (1, 2)],
                             netns=self.enterContext(Namespace()))
        daemon.kill_data_process()
        self.assertEqual([port["name"] for port in daemon.ctl("port", "show")], ["c1", "c2"],
                         daemon.log())
