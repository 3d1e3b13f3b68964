# SPDX-License-Identifier: BSD-3-Clause
"""Small Linux guests: user-mode Linux and QEMU, behind one interface.

    with UmlGuest(["/tmp/a.sock"]) as a, QemuGuest([{"path": "/tmp/b.sock"}]) as b:
        a.address("10.9.0.1/24")
        b.address("10.9.0.2/24")
        print(a.run("ping -c 3 10.9.0.2").out)

The i-th of 'netdevs' is eth<i> in the guest. The constructor starts the guest and does not wait for
it: the first run() does, so that guests boot side by side.
"""

import base64
import collections
import contextlib
import ctypes
import glob
import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import zlib

from . import accel, cache
from .cache import LabError
from .closes import Closes
from .cpio import Archive

Result = collections.namedtuple("Result", "code out err")
GUESTFS = os.path.join(cache.HERE, "guestfs")
BOOT_SECONDS, START_SECONDS = 120, 30
VECTOR_OPTIONS = "depth=128,gro=1"      # as user-mode Linux's documentation has them
_counter = itertools.count(1)


class CommandFailed(LabError):
    """A command in the guest ended with another exit code than 0."""


class GuestTimeout(LabError):
    """A guest, or a command in it, took longer than it was given."""


class GuestDied(LabError):
    """The guest ended on its own."""


class Lines:
    """Lines of text over a socket, each read with a deadline."""

    def __init__(self, sock):
        self.sock = sock
        self.rest = bytearray()

    def send(self, line):
        try:
            self.sock.sendall(line.encode() + b"\n")
        except OSError as error:
            raise GuestDied("the guest closed the connection") from error

    def line(self, deadline):
        while True:
            line, found, rest = self.rest.partition(b"\n")
            if found:
                self.rest = rest
                return line.decode(errors="replace").rstrip("\r")
            left = max(0, deadline - time.monotonic())
            if not select.select([self.sock], [], [], left)[0]:
                raise GuestTimeout("no answer in time")
            try:
                chunk = self.sock.recv(1 << 16)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                raise GuestDied("the guest closed the connection")
            self.rest += chunk


class Guest(Closes):
    """What both kinds share: a folder, a process, and an agent that runs scripts.

    name        for messages; the MAC addresses of a QEMU guest come of it
    user        uid (and gid) to run as; None: the caller's
    programs    programs of this machine to take along, in the guest's PATH
    cpus        CPUs of this machine that it may use; None: all
    """

    one_process = True

    def __init__(self, name, user, programs, cpus):
        self.name = name or "guest%d" % next(_counter)
        self.user = user
        self.programs = list(programs)
        self.cpus = cpus
        self.folder = tempfile.mkdtemp(prefix="viaduct-guest-")
        self.process = None
        self._ready = False
        self._started, self._answers = set(), {}
        self._ids = itertools.count(1)
        self._agent, self._agent_end = self._line()
        try:
            self._start()
            self._agent_end.close()             # so that the guest's end is an end of file
        except BaseException:
            self.close()
            raise

    def _line(self):
        """A stream to the guest: our end, and the end that it inherits."""
        ours, theirs = socket.socketpair()
        return Lines(ours), theirs

    def _launch(self, words, fds, environment, stdin=subprocess.DEVNULL):
        if self.user is not None:
            for path in [self.folder, *glob.glob(self.folder + "/**", recursive=True)]:
                os.chown(path, self.user, self.user)
        with open(os.path.join(self.folder, "log"), "w") as log:
            self.process = subprocess.Popen(
                words, stdin=stdin, stdout=log, stderr=log, pass_fds=fds,
                env={**os.environ, "HOME": self.folder, **environment}, cwd=self.folder,
                start_new_session=True, preexec_fn=self._preexec, user=self.user, group=self.user,
                extra_groups=None if self.user is None else accel.kvm_groups())

    def _end(self):
        self.process.kill()

    def _preexec(self):
        if self.one_process:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if self.cpus is not None:
            os.sched_setaffinity(0, self.cpus)

    def close(self):
        """Ends the guest at once: none keeps anything on a disk."""
        if self.process:
            self._end()
            self.process.wait()
            self.process = None
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        self._agent.sock.close()
        self._agent_end.close()

    def address(self, *addresses, device="eth0", mtu=None):
        """Gives addresses (with their prefix length) to a device and brings it up."""
        script = "ip link set %s up%s\n" % (device, " mtu %d" % mtu if mtu else "")
        for address in addresses:
            script += "ip addr add %s dev %s%s\n" % (address, device,
                                                     " nodad" if ":" in address else "")
        self.run("set -e\n" + script)

    def offloads(self, on, device="eth0"):
        """Switches all that the device can offload, in both directions, on or off."""
        word = "on" if on else "off"
        for feature in ("rx", "tx", "sg", "tso", "gso", "gro"):
            self.run("ethtool -K %s %s %s" % (device, feature, word), check=False)

    # ------------------------------------------------------------- commands

    def wait_ready(self, timeout=BOOT_SECONDS):
        deadline = time.monotonic() + timeout
        with self._explained():
            while not self._ready:
                self._pump(deadline)

    def run(self, script, timeout=60, check=True):
        """Runs a shell script in the guest; its (code, out, err). Raises CommandFailed if 'check'
        and the code is not 0, GuestTimeout if it takes longer (then all in its session is killed)."""
        return self.spawn(script).wait(timeout, check)

    def spawn(self, script):
        """Starts a shell script in the guest and returns when it runs; a Job to wait for."""
        self.wait_ready()
        ident = str(next(self._ids))
        with self._explained():
            self._agent.send("%s %s" % (ident, base64.b64encode(script.encode()).decode()))
            deadline = time.monotonic() + START_SECONDS
            while ident not in self._started:
                self._nudge(deadline)
        return Job(self, ident, script)

    def _nudge(self, deadline):
        """Waits for a line; user-mode Linux overlooks input now and then until there is more."""
        try:
            self._pump(min(deadline, time.monotonic() + 0.5))
        except GuestTimeout:
            if time.monotonic() > deadline:
                raise
            self._agent.send("")

    def log(self):
        """The guest's console, and what its emulator said."""
        text = ""
        for name in ("console", "log"):
            with contextlib.suppress(OSError):
                with open(os.path.join(self.folder, name), errors="replace") as f:
                    text += f.read()
        return text

    def _pump(self, deadline):
        line = self._agent.line(deadline)
        if line == "ready":
            self._ready = True
            return
        if line.startswith("started "):
            self._started.add(line.split()[1])
            return
        ident, code, rest = line.split(" ", 2)
        out, err = (base64.b64decode(part).decode(errors="replace") for part in rest.split("|"))
        self._answers[ident] = Result(int(code), out, err)

    @contextlib.contextmanager
    def _explained(self):
        """Adds to an error what the guest said last."""
        try:
            yield
        except (GuestDied, GuestTimeout) as error:
            raise type(error)("%s: %s\n...%s" % (self.name, error, self.log()[-3000:])) from None


class Job:
    """A script that runs in a guest."""

    def __init__(self, guest, ident, script):
        self.guest, self.ident, self.script = guest, ident, script

    def done(self):
        """Whether it has ended."""
        with contextlib.suppress(GuestTimeout):
            self._take(time.monotonic())
        return self.ident in self.guest._answers

    def wait(self, timeout=60, check=True):
        try:
            self._take(time.monotonic() + timeout)
        except GuestTimeout:
            self.kill()
            raise GuestTimeout("%s: %r takes longer than %g s" % (
                self.guest.name, self.script, timeout)) from None
        result = self.guest._answers.pop(self.ident)
        if check and result.code:
            raise CommandFailed("%s: %r: exit code %d\n%s%s" % (
                self.guest.name, self.script, result.code, result.out, result.err))
        return result

    def kill(self):
        """Kills the script and all that runs in its session."""
        killer = self.guest.spawn("kill -KILL -$(cat /mnt/agent/%s.pid)" % self.ident)
        killer._take(time.monotonic() + 10)

    def _take(self, deadline):
        with self.guest._explained():
            while self.ident not in self.guest._answers:
                self.guest._pump(deadline)


class UmlGuest(Guest):
    """User-mode Linux: Linux 6.1 as an ordinary process, up in two seconds without KVM. Its root is
    this machine's, read-only. One CPU. There is no VMM: the back-end itself serves the control queue.

    netdevs     paths of vhost-user sockets, on which somebody listens already
    taps        TAPs of the host's for user-mode Linux's own driver (vector); the i-th is vec<i>
    netns       the Namespace of those TAPs (needs root)
    memory      MiB, in a file on a tmpfs
    """

    one_process = False

    def __init__(self, netdevs, *, taps=(), netns=None, name=None, user=None, memory=192,
                 programs=(), cpus=None):
        self.netdevs, self.taps, self.netns, self.memory = list(netdevs), taps, netns, memory
        super().__init__(name, user, programs, cpus)

    def _start(self):
        kernel, modules = cache.uml()
        os.mkdir(self.folder + "/modules")
        for number, module in enumerate(modules):
            shutil.copy(module, "%s/modules/%02d-%s" % (self.folder, number,
                                                        os.path.basename(module)))
        for program in [*glob.glob(GUESTFS + "/*"), *self.programs]:
            shutil.copy(program, self.folder)
        os.chmod(self.folder + "/init", 0o755)
        words = [kernel, "mem=%dM" % self.memory, "rootfstype=hostfs", "rootflags=/", "ro",
                 "init=%s/init" % self.folder, "uml_dir=" + self.folder, "umid=" + self.name,
                 "con=null", "con0=null,fd:1", "ssl0=fd:%d" % self._agent_end.fileno(), "quiet"]
        words += ["virtio_uml.device=%s:1" % os.path.realpath(path) for path in self.netdevs]
        words += ["vec%d:transport=tap,ifname=%s,%s" % (i, tap, VECTOR_OPTIONS)
                  for i, tap in enumerate(self.taps)]
        # It is a session of several processes. A shell beside it ends them when the pipe is closed:
        # by close(), or by our end.
        keeper, self._lifeline = os.pipe()
        agent = self._agent_end.fileno()
        inside = self.netns.words if self.netns else []
        script = '"$@" & exec %d>&-; read; kill -KILL -$! $!' % agent
        self._launch([*inside, "bash", "-c", script, "bash", *words], [agent],
                     {"TMPDIR": memory_folder(self.memory)}, keeper)
        os.close(keeper)

    def _end(self):
        os.close(self._lifeline)


def memory_folder(mebibytes):
    """A tmpfs with room for a user-mode Linux, which runs code from there."""
    for path in (os.environ.get("TMPDIR", "/dev/shm"), "/dev/shm"):
        fs = os.statvfs(path)
        if fs.f_bavail * fs.f_frsize >= mebibytes << 20 and not fs.f_flag & os.ST_NOEXEC:
            return path
    raise LabError("user-mode Linux needs a tmpfs with %d MiB free, not mounted noexec; "
                   "/dev/shm is not, and TMPDIR names no other" % mebibytes)


class QemuGuest(Guest):
    """QEMU with Linux 6.12.

    netdevs     dicts: 'path' of a vhost-user socket; 'server' True: QEMU listens on it; 'queues'
                (pairs, default 1); 'reconnect' (seconds); 'offloads' False: none in the device;
                all others go to QEMU's virtio-net-pci as they are (packed="on", host_mtu=9000)
    memory      MiB, in a shared memfd
    vcpus       virtual CPUs
    """

    CMDLINE = ("console=ttyS0 panic=-1 quiet nokaslr mitigations=off random.trust_cpu=on "
               "cryptomgr.notests rdinit=/lab/init")
    # What an emulating QEMU dies of on its own, now and then, while it boots on a busy machine.
    OWN_CRASH = "iotlb_to_section: Assertion"
    OFFLOADS = ("csum gso guest_csum guest_tso4 guest_tso6 guest_ecn guest_ufo host_tso4 host_tso6 "
                "host_ecn host_ufo host_uso guest_uso4 guest_uso6").split()

    def __init__(self, netdevs, *, name=None, user=None, memory=256, vcpus=1, programs=(),
                 cpus=None):
        self.netdevs, self.memory, self.vcpus = list(netdevs), memory, vcpus
        self._qmp, self._qmp_end = self._line()
        self._greeted = self._is_second = False
        super().__init__(name, user, programs, cpus)

    def wait_ready(self, timeout=BOOT_SECONDS):
        try:
            super().wait_ready(timeout)
        except GuestDied:
            if self._is_second or self.OWN_CRASH not in self.log():
                raise
            self._start_again()
            super().wait_ready(timeout)

    def _start_again(self):
        self._is_second = True
        self.process.wait()
        self._agent.sock.close()
        self._qmp.sock.close()
        self._agent, self._agent_end = self._line()
        self._qmp, self._qmp_end = self._line()
        self._start()
        self._agent_end.close()

    def _start(self):
        qemu, environment = cache.qemu()
        kernel, modules = cache.kernel()
        self.accel = accel.choose(qemu, environment)
        self._initramfs(modules)
        fds = [self._agent_end.fileno(), self._qmp_end.fileno()]
        words = [
            *qemu, "-name", self.name, "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-machine", "q35,accel=%s,memory-backend=ram" % self.accel,
            "-cpu", "host" if self.accel == "kvm" else "max,la57=off", "-smp", str(self.vcpus),
            "-m", "%dM" % self.memory,
            "-object", "memory-backend-memfd,id=ram,size=%dM,share=on" % self.memory,
            "-kernel", kernel, "-initrd", self.folder + "/initramfs", "-append", self.CMDLINE,
            "-serial", "file:%s/console" % self.folder,
            "-chardev", "socket,id=agent,fd=%d" % fds[0],
            "-chardev", "socket,id=monitor,fd=%d" % fds[1],
            "-mon", "chardev=monitor,mode=control",
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=lab"]
        for index, netdev in enumerate(self.netdevs):
            words += self._netdev(index, dict(netdev))
        self._launch(words, fds, environment)
        self._qmp_end.close()

    def _initramfs(self, modules):
        with open(self.folder + "/initramfs", "wb") as out:
            with open(cache.tools(), "rb") as f:
                shutil.copyfileobj(f, out)
            with Archive(out) as archive:
                for path in glob.glob(GUESTFS + "/*"):
                    archive.file("lab/" + os.path.basename(path), path)
                for path in modules:
                    archive.file("lab/modules/" + os.path.basename(path), path)
                cache.add_programs(archive, [os.path.abspath(path) for path in self.programs])
                for path in self.programs:
                    archive.link("lab/" + os.path.basename(path), os.path.realpath(path))

    def _netdev(self, index, spec):
        chardev = {"id": "char%d" % index, "path": spec.pop("path")}
        if spec.pop("server", False):
            chardev.update(server="on", wait="off")
        if "reconnect" in spec:
            chardev["reconnect-ms"] = 1000 * spec.pop("reconnect")
        queues = spec.pop("queues", 1)
        device = {"netdev": "net%d" % index, "id": "nic%d" % index, "romfile": "",
                  "mac": "52:54:%s:%02x" % (zlib.crc32(self.name.encode()).to_bytes(4, "big")
                                            [1:].hex(":"), index)}
        if queues > 1:
            device.update(mq="on", vectors=2 * queues + 2)
        if not spec.pop("offloads", True):
            device.update(dict.fromkeys(self.OFFLOADS, "off"))
        device.update(spec)
        return ["-chardev", _join("socket", chardev),
                "-netdev", _join("vhost-user", {"id": "net%d" % index, "chardev": chardev["id"],
                                                "queues": queues}),
                "-device", _join("virtio-net-pci", device)]

    def qmp(self, command, timeout=20, **arguments):
        """Runs a command of QEMU's monitor: guest.qmp("query-status")."""
        deadline = time.monotonic() + timeout
        with self._explained():
            if not self._greeted:
                self._qmp.line(deadline)
                self._greeted = True
                self.qmp("qmp_capabilities", timeout)
            self._qmp.send(json.dumps({"execute": command, "arguments": arguments}))
            while True:
                answer = json.loads(self._qmp.line(deadline))
                if "error" in answer:
                    raise LabError("QMP %s: %s" % (command, answer["error"]["desc"]))
                if "return" in answer:
                    return answer["return"]

    def close(self):
        super().close()
        self._qmp.sock.close()
        self._qmp_end.close()


def _join(kind, words):
    return ",".join([kind, *("%s=%s" % (key, str(value).replace(",", ",,"))
                             for key, value in words.items())])
