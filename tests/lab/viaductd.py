# SPDX-License-Identifier: BSD-3-Clause
"""A viaductd of our own: its configuration, its sockets and its log are in a folder that goes with it.

    with Viaductd([{"name": "vm1", "type": "vhost-user"}, {"name": "hole", "type": "sink"}]) as d:
        print(d.socket("vm1"), d.ctl("port", "show"))
"""

import array
import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from .cache import HERE, LabError
from .closes import Closes
from .process import Program

TICKS = os.sysconf("SC_CLK_TCK")
PROGRAMS = ("viaductd", "viaduct", "viaduct-exporter")


def build_folder():
    """Where the programs under test are: VIADUCT_BUILD, else build/ of this tree."""
    return os.environ.get("VIADUCT_BUILD") or os.path.join(os.path.dirname(os.path.dirname(HERE)),
                                                           "build")


def yaml(value):
    """Scalars, lists and mappings in YAML's flow style."""
    if isinstance(value, dict):
        return "{%s}" % ", ".join("%s: %s" % (key, yaml(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return "[%s]" % ", ".join(map(yaml, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


class Viaductd(Closes):
    """
    ports       dicts as in the configuration; a vhost-user port's socket is NAME.sock in the folder
                unless it says otherwise
    top         further keys of the configuration: workers=2, poll_us=0
    user        uid (and gid) to run as; None: the caller's
    become      the key 'user' of the configuration: whom to become, started as root
    netns       a Namespace to run in, for TAPs
    programs    folder of viaductd and viaduct
    under       words of a program that becomes viaductd: ["prlimit", "--nofile=64"]
    """

    def __init__(self, ports, *, user=None, become=None, netns=None, programs=None, under=(),
                 start=True, **top):
        self.folder = tempfile.mkdtemp(prefix="viaduct-")
        self.programs = programs or build_folder()
        self.user, self.netns, self.under = user, netns, list(under)
        os.chmod(self.folder, 0o755)
        self.config = {"control": self.folder + "/control.sock", "run_dir": self.folder, **top,
                       **({"user": become} if become else {})}
        self.ports = [dict(port) for port in ports]
        for port in self.ports:
            if port["type"] in ("vhost-user", "virtio-user"):
                port.setdefault("socket", self.socket(port["name"]))
        with open(self.folder + "/viaductd.yaml", "w") as f:
            f.write("".join("%s: %s\n" % (key, yaml(value)) for key, value in self.config.items()))
            f.write("ports:\n" + "".join("  - %s\n" % yaml(port) for port in self.ports))
        if user is not None:
            self._hand_over()
        self.program = None
        try:
            if start:
                self.start()
        except BaseException:
            self.close()
            raise

    def _hand_over(self):
        """What the user runs is staged in the folder: the tree may be one that only root enters."""
        stage = self.folder + "/bin"
        os.mkdir(stage)
        for name in PROGRAMS:
            if os.path.exists(os.path.join(self.programs, name)):
                shutil.copy(os.path.join(self.programs, name), stage)
        self.programs = stage
        for path in [self.folder, *glob.glob(self.folder + "/**", recursive=True)]:
            os.chown(path, self.user, self.user)

    def socket(self, name):
        return os.path.join(self.folder, name + ".sock")

    def start(self):
        self.launch()
        self.program.wait_for(self._serves)

    def launch(self):
        """Starts it without waiting until it serves."""
        words = self.under + [self.programs + "/viaductd", "--config",
                              self.folder + "/viaductd.yaml"]
        if self.netns:
            words = self.netns.words + words
        self.program = Program(words, self.folder + "/log", user=self.user, cwd=self.folder)

    def _serves(self):
        return subprocess.run(self._words("status"), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=10).returncode == 0

    def kill(self):
        """SIGKILL to all of its processes. The first one is stopped before, lest it act on the end
        of the others."""
        pids = self.pids()
        os.kill(pids[0], signal.SIGSTOP)
        for pid in reversed(pids):
            os.kill(pid, signal.SIGKILL)
        self.program.process.wait()

    def kill_data_process(self):
        """SIGKILL to it alone, until the next one is ready."""
        before = self.log().count("ready: ")
        os.kill(self.ctl("status")["pid"], signal.SIGKILL)
        self.program.wait_for(lambda: self.log().count("ready: ") > before)

    def stop(self):
        """SIGTERM; its exit code."""
        return self.program.stop()

    def close(self):
        if self.program:
            self.program.stop()
        if os.environ.get("VIADUCT_KEEP"):
            print("kept " + self.folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        return self.program.log()

    # --------------------------------------------------------------- control

    def _words(self, *words):
        return [self.programs + "/viaduct", "-s", self.config["control"], *words]

    def say(self, *words):
        """What 'viaduct WORDS' prints."""
        done = subprocess.run(self._words(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=30)
        if done.returncode:
            raise LabError("viaduct %s: exit code %d\n%s%s" % (
                " ".join(words), done.returncode, done.stdout, done.stderr))
        return done.stdout

    def ctl(self, *words):
        """What 'viaduct -j WORDS' answers."""
        return json.loads(self.say("-j", *words))

    @contextlib.contextmanager
    def connection(self):
        """A function that calls a method of the control API, passing 'fds', without a program that starts
        for it."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(self.config["control"])
            stream = line.makefile()

            def call(method, fds=(), **params):
                request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method,
                                      "params": params}) + "\n"
                passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                line.sendmsg([request.encode()], passed if fds else [])
                answer = json.loads(stream.readline())
                if "error" in answer:
                    raise LabError("%s: %s" % (method, answer["error"]["message"]))
                return answer["result"]

            yield call

    def port(self, name):
        """What the switch says about a port."""
        return self.ctl("port", "show", name)

    def workers(self):
        """Thread ids of its workers."""
        return [worker["tid"] for worker in self.ctl("status")["workers"]]

    # ------------------------------------------------------------- resources

    def pids(self):
        """Its processes, the first one first."""
        children = {}
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path) as f:
                    pid, _, rest = f.read().partition(" ")
            except OSError:
                continue
            children.setdefault(int(rest.rpartition(")")[2].split()[1]), []).append(int(pid))
        found = [self.program.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def resident_kib(self):
        """Memory of all its processes, without what they share with guests."""
        return sum(map(self.resident_kib_of, self.pids()))

    def resident_kib_of(self, pid):
        return self._status(pid, "RssAnon") + self._status(pid, "RssFile")

    def cpu_ticks(self):
        """CPU time of all its processes, in clock ticks (TICKS a second)."""
        ticks = 0
        for pid in self.pids():
            with open("/proc/%d/stat" % pid) as f:
                ticks += sum(map(int, f.read().rpartition(")")[2].split()[11:13]))
        return ticks

    def switches(self, tid):
        """Voluntary context switches of a thread."""
        return self._status(tid, "voluntary_ctxt_switches")

    def held(self):
        """How many descriptors and mappings its processes hold."""
        fds = maps = 0
        for pid in self.pids():
            fds += len(os.listdir("/proc/%d/fd" % pid))
            with open("/proc/%d/maps" % pid) as f:
                maps += len(f.readlines())
        return fds, maps

    def threads(self):
        """How many threads its processes have."""
        return sum(len(os.listdir("/proc/%d/task" % pid)) for pid in self.pids())

    @staticmethod
    def _status(pid, key):
        with open("/proc/%s/status" % pid) as f:
            for line in f:
                if line.startswith(key + ":"):
                    return int(line.split()[1])
        return 0
