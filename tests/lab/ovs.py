# SPDX-License-Identifier: BSD-3-Clause
"""An Open vSwitch with DPDK of our own (Debian's packages), with one bridge in the userspace datapath:
its database, its sockets and its logs are in a folder that goes with it.

    with Ovs({"a": {"type": "internal"}, "b": {"type": "dpdkvhostuserclient",
                                               "options:vhost-server-path": "/tmp/b.sock"}}):
"""

import json
import os
import shutil
import tempfile

from .cache import LabError, sh
from .closes import Closes
from .process import Program

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
# Vhost-user ports need more memory than others, and OVS waits for ever if it is of small pages.
SMALL_PAGES = "--no-huge --legacy-mem -m 512"
HUGEPAGES = "--in-memory -m 1024"


class Ovs(Closes):
    """
    ports       {name: columns of its row in OVS's table Interface}
    cpu         CPU on which ports of DPDK are polled
    main_cpu    CPU of the main thread, which serves all other ports; None: any
    netns       a Namespace to run in, where the kernel's interfaces appear
    memory      HUGEPAGES or SMALL_PAGES
    """

    def __init__(self, ports, *, cpu=1, main_cpu=None, netns=None, memory=SMALL_PAGES):
        if not os.path.exists(VSWITCHD):
            raise LabError("OVS with DPDK is missing: apt-get install openvswitch-switch-dpdk")
        self.folder = tempfile.mkdtemp(prefix="viaduct-ovs-")
        self.netns = netns
        self.programs = []
        self.environment = {**os.environ, "OVS_RUNDIR": self.folder, "OVS_LOGDIR": self.folder,
                            "OVS_DBDIR": self.folder, "RUNTIME_DIRECTORY": self.folder}
        try:
            self._start_database()
            self._configure(cpu, memory)
            self._start(VSWITCHD, "unix:" + self._db, cpus=None if main_cpu is None else [main_cpu])
            self.vsctl("--", "add-br", "br0", "--", "set", "Bridge", "br0", "datapath_type=netdev")
            self.add_ports(ports)
        except BaseException:
            self.close()
            raise

    def close(self):
        for program in reversed(self.programs):
            program.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def vsctl(self, *words):
        return sh("ovs-vsctl", "--db=unix:" + self._db, "--timeout=20", *words)

    def appctl(self, *words):
        """What the switch answers: appctl("dpif-netdev/pmd-stats-show")."""
        return sh("ovs-appctl", "-t", self.folder + "/ovs-vswitchd-dpdk.ctl", *words)

    def add_ports(self, ports):
        self.vsctl("init", *(word for name, columns in ports.items()
                             for word in self._port(name, columns)))
        self._check()

    def del_ports(self, names):
        """Without a port of DPDK nothing is polled."""
        self.vsctl("init", *(word for name in names for word in ("--", "del-port", "br0", name)))

    @property
    def _db(self):
        return self.folder + "/db.sock"

    def _start(self, program, *words, **options):
        name = os.path.basename(program)
        self.programs.append(Program(
            [*(self.netns.words if self.netns else []), program, *words, "--no-chdir",
             "--unixctl=%s/%s.ctl" % (self.folder, name)],
            "%s/%s.log" % (self.folder, name), cwd=self.folder, env=self.environment, **options))
        return self.programs[-1]

    def _start_database(self):
        sh("ovsdb-tool", "create", self.folder + "/conf.db", SCHEMA)
        database = self._start("ovsdb-server", self.folder + "/conf.db",
                               "--remote=punix:" + self._db)
        database.wait_for(lambda: os.path.exists(self._db))

    def _configure(self, cpu, memory):
        self.vsctl("--no-wait", "--", "init", "--", "set", "Open_vSwitch", ".",
                   "other_config:dpdk-init=true", "other_config:pmd-cpu-mask=%#x" % (1 << cpu),
                   "other_config:dpdk-extra=%s --no-pci --no-telemetry" % memory)

    @staticmethod
    def _port(name, columns):
        return ["--", "add-port", "br0", name, "--", "set", "Interface", name,
                *("%s=%s" % (key, json.dumps(value)) for key, value in columns.items())]

    def _check(self):
        """It reports what failed in its database only."""
        failed = self.vsctl("--columns=name,error", "find", "Interface", "error!=[]")
        if failed.strip():
            raise LabError("OVS: %s\n%s" % (failed, self.programs[-1].log()[-3000:]))
