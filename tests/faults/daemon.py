# SPDX-License-Identifier: BSD-3-Clause
"""The life of a viaductd in which one call fails, in any of its processes: it starts or says why not,
serves a front-end, a client, Prometheus and a reload, and ends; or gets over it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab.cache import LabError                          # noqa: E402, F401
from lab.frontend import FrontEnd                       # noqa: E402
from lab.netns import Namespace                         # noqa: E402
from lab.viaductd import Viaductd, build_folder         # noqa: E402

PROGRAMS = os.path.join(build_folder(), "tests/faults")
HAS_EXPORTER = os.path.exists(PROGRAMS + "/viaduct-exporter")
PATIENCE = 20           # seconds for whatever must happen


class Finding(Exception):
    pass


class Refused(Exception):
    """It did not start, and said why."""


class NotNow(Exception):
    """What was asked for did not work; it may be asked for again."""


class Life:
    """
    table       the Table with the order; the programs carry it out
    netns       a Namespace for the TAP; None: no TAP
    """

    def __init__(self, table, netns):
        self.table, self.netns = table, netns
        ports = [{"name": "vm1", "type": "vhost-user"},
                 {"name": "vm2", "type": "vhost-user", "vlan": 10},
                 {"name": "driver", "type": "virtio-user", "socket": "vm2.sock", "vlan": 20},
                 {"name": "traffic", "type": "gen", "rate": 1000, "vlan": 10},
                 {"name": "hole", "type": "sink", "vlan": 20}]
        if netns:
            ports.append({"name": "kernel", "type": "tap", "ifname": "faults0", "vlan": 20})
        self.daemon = Viaductd(ports, netns=netns, programs=PROGRAMS, start=False,
                               under=["env", "FAULTS_TABLE=" + table.path])
        self.metrics = self.daemon.folder + "/metrics.sock"
        self._configure()

    def _configure(self):
        path = self.daemon.folder + "/viaductd.yaml"
        with open(path) as f:
            lines = f.read().replace("socket: vm2.sock", "socket: " + self.daemon.socket("vm2"))
        with open(path, "w") as f:
            f.write("metrics: unix:%s\n" % self.metrics if HAS_EXPORTER else "")
            f.write("workers: 2\n" + lines)

    def run(self):
        """Returns a note about how it went; raises Finding."""
        try:
            self.daemon.launch()
            self._wait_until_it_serves()
            self._use()
            self._end()
        except Refused:
            return "refused"
        finally:
            self._check_log()
            self.daemon.close()
        return "unharmed"

    # ---------------------------------------------------------------- parts

    def _wait_until_it_serves(self):
        deadline = time.monotonic() + PATIENCE
        while self.daemon.program.process.poll() is None:
            with contextlib.suppress(OSError, NotNow):
                self.call("status")
                return
            if time.monotonic() > deadline:
                raise Finding("it neither serves nor ends")
            time.sleep(0.02)
        self._check_refusal()
        raise Refused

    def _check_refusal(self):
        code = self.daemon.program.process.returncode
        lines = [line for line in self.daemon.log().splitlines() if line.strip()]
        if code != 1:
            raise Finding("it did not start, and ended with %d" % code)
        if not lines or len(lines[-1]) < 20 or "(null)" in lines[-1]:
            raise Finding("it did not start, and did not say why: %s" % lines[-1:])
        left = [name for name in os.listdir(self.daemon.folder) if name.endswith(".sock")]
        if left:
            raise Finding("it did not start, and left %s" % left)

    def _use(self):
        self.twice(lambda: self.call("status"))
        front_end = self.twice(lambda: FrontEnd(self.daemon.socket("vm1")))
        self.twice(lambda: self.call("port.add", name="more", type="sink"))
        self.twice(lambda: self.call("port.set", name="more", vlan=10))
        if HAS_EXPORTER:
            self.twice(self._scrape)
        self.twice(lambda: self.call("reload"))
        os.kill(self.daemon.program.pid, signal.SIGHUP)
        self.twice(lambda: self.call("port.del", name="hole"))
        front_end.close()
        if len(self.twice(lambda: self.call("port.list"))) < 4:
            raise Finding("ports are missing")

    def _end(self):
        process = self.daemon.program.process
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Finding("it does not end") from None
        if process.returncode:
            raise Finding("it ended with %d" % process.returncode)

    def _check_log(self):
        wrong = re.search(r".*(Sanitizer|runtime error:|died of signal|does not end; killing).*",
                          self.daemon.log())
        if wrong:
            raise Finding("the log: " + wrong.group(0))

    # ------------------------------------------------------------- asking it

    def call(self, method, **params):
        """The result of a call; NotNow if it is an error or the connection ends."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(self.daemon.config["control"])
            sock.sendall(json.dumps(request).encode() + b"\n")
            try:
                line = sock.makefile().readline()
            except TimeoutError:
                raise Finding("%s is not answered" % method) from None
        if not line:
            raise NotNow("the connection was closed")
        answer = json.loads(line)
        if "result" in answer:
            return answer["result"]
        message = answer["error"]["message"]
        if len(message) < 8 or "(null)" in message:
            raise Finding("%s: no sentence: %r" % (method, message))
        if re.search("already|there is no|has no", message):
            return None             # an earlier call has done it, and only its answer was lost
        raise NotNow(message)

    def _scrape(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(self.metrics)
            sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            said = b""
            while chunk := sock.recv(65536):
                said += chunk
        if b" 200 " not in said[:20] or b"viaduct_" not in said:
            raise NotNow("metrics: %r" % said[:100])
        return True

    def twice(self, ask):
        """Asks until it works: one failure may be in the way, and what follows from it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return ask()
            except (OSError, NotNow, AssertionError) as error:
                if time.monotonic() > deadline:
                    raise Finding("it does not get over it: %s" % error) from None
                if self.daemon.program.process.poll() is not None:
                    raise Finding("it has ended: %s" % self.daemon.log()[-300:]) from None
            time.sleep(0.05)


def namespace():
    """For TAPs, where that is allowed."""
    return Namespace() if os.geteuid() == 0 else contextlib.nullcontext()
