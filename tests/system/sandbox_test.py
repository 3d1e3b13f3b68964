# SPDX-License-Identifier: BSD-3-Clause
"""What the processes of viaductd may still do: the kernel's word for it, and a broker that is asked by a
data process as somebody would who has taken it over."""

import ctypes
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
import unittest
import urllib.request

from support import SystemTest, build_folder, needs_root, not_sanitized

from lab.frontend import FrontEnd
from lab.netns import Namespace

MOST_CALLS = 30
VIADUCTD = os.path.join(build_folder(), "viaductd")
SERVICE = os.path.join(build_folder(), "docs/viaductd.service")
KEPT = sum(1 << number for number in (0, 1, 3, 12))     # CAP_CHOWN, DAC_OVERRIDE, FOWNER, NET_ADMIN
LEAVE = 0xffffffff
LISTEN, CONNECT, ACCOUNT, UNLINK, TAP, TAP_SETUP, STATE, FORGET, READ_CONFIG = range(1, 10)


def status_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


class Broker:
    """The broker's end of the channel of a running data process, taken out of that."""

    def __init__(self, pid):
        libc = ctypes.CDLL(None, use_errno=True)
        pidfd = libc.syscall(434, pid, 0)                # pidfd_open
        for fd in map(int, os.listdir("/proc/%d/fd" % pid)):
            copy = libc.syscall(438, pidfd, fd, 0)       # pidfd_getfd
            if copy >= 0 and self._is_channel(copy):
                self.sock = socket.socket(fileno=copy)
                self.sock.settimeout(10)
            elif copy >= 0:
                os.close(copy)
        os.close(pidfd)

    @staticmethod
    def _is_channel(fd):
        if not os.readlink("/proc/self/fd/%d" % fd).startswith("socket:"):
            return False
        with socket.socket(fileno=os.dup(fd)) as sock:
            return sock.type == socket.SOCK_SEQPACKET

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def ask(self, kind, text="", uid=LEAVE, gid=LEAVE, mode=LEAVE, number=0, size=0):
        """The errno (0: done), the sentence, and a descriptor or None."""
        self.sock.send(struct.pack("<6IQ256s", kind, uid, gid, mode, number, 0, size,
                                   text.encode()))
        answer, fds, _, _ = socket.recv_fds(self.sock, 4096, 4)
        ret, = struct.unpack_from("<i", answer)
        return -ret, answer[28:].split(b"\0")[0].decode(), fds[0] if fds else None


class Sandbox(SystemTest):
    def assert_no_privileges(self, pid):
        said = status_of(pid)
        self.assertEqual([int(said[key], 16) for key in ("CapEff", "CapPrm", "CapInh", "CapAmb")],
                         [0] * 4)
        self.assertEqual(said["NoNewPrivs"], "1")

    # ------------------------------------------------------------- what is left

    def test_processes_have_given_up_what_they_do_not_need(self):
        daemon = self.switch([{"name": "hole", "type": "sink"}],
                             metrics="unix:/tmp/viaduct-sandbox-%d.sock" % os.getpid())
        broker, *children = daemon.pids()
        self.assertEqual(len(children), 2)
        for pid in children:
            self.assert_no_privileges(pid)
            for thread in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/status" % (pid, thread)) as f:
                    self.assertIn("\nSeccomp:\t2\n", f.read())
        said = status_of(broker)
        self.assertEqual(int(said["CapEff"], 16), 0)
        self.assertEqual(int(said["CapPrm"], 16) & ~KEPT, 0)
        self.assertEqual(said["NoNewPrivs"], "1")
        if os.geteuid() == 0:
            self.assertEqual(int(said["CapBnd"], 16) & ~KEPT, 0)

    @not_sanitized
    def test_few_system_calls_are_left(self):
        said = subprocess.run([VIADUCTD, "--calls"], check=True, stdout=subprocess.PIPE, text=True)
        calls = int(re.match(r"(\d+) system calls:\n", said.stdout).group(1))
        self.assertLessEqual(calls, MOST_CALLS)
        self.note("%d system calls" % calls)
        daemon = self.switch([])
        self.assertEqual(daemon.ctl("status")["sandbox"]["calls"], calls)
        self.assertIn("%d system calls" % calls, daemon.say("status"))

    def test_a_life_under_the_filter(self):
        """What other suites do not do with one process; whatever it may not do would end it."""
        metrics = "/tmp/viaduct-sandbox-%d.sock" % os.getpid()
        daemon = self.switch([{"name": "vm1", "type": "vhost-user", "queue_pairs": 2},
                              {"name": "gen", "type": "gen", "rate": 1000}],
                             workers=2, metrics="unix:" + metrics)
        pid = daemon.ctl("status")["pid"]
        for _ in range(3):
            with FrontEnd(daemon.socket("vm1")):
                daemon.say("port", "add", "more", "type=gen", "rate=2000")
                daemon.say("port", "add", "back", "type=virtio-user",
                           "socket=" + daemon.socket("back"))
                daemon.say("port", "add", "vm9", "type=vhost-user",
                           "socket=" + daemon.socket("back"))
                daemon.say("port", "set", "gen", "size=60,1514", "vlan=4")
                daemon.say("fdb", "add", "52:54:00:00:00:01", "port=gen", "vlan=4")
                for words in (["stats"], ["doctor"], ["fdb", "show"], ["vlan"], ["call", "save"],
                              ["set", "poll_us=0"], ["fdb", "flush"], ["port", "show", "back"]):
                    subprocess.run(daemon._words(*words), stdout=subprocess.DEVNULL, timeout=30)
                deadline = time.monotonic() + 20
                while not daemon.port("back")["link"]:
                    self.assertLess(time.monotonic(), deadline, daemon.log())
                    time.sleep(0.05)
                for name in ("more", "back", "vm9"):
                    daemon.say("port", "del", name)
                daemon.say("reload")
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.05)
            os.kill(pid, signal.SIGCONT)
            os.kill(daemon.program.pid, signal.SIGHUP)
        self.assertEqual(daemon.ctl("status")["pid"], pid)

    def test_metrics_are_served_under_the_exporter_s_filter(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = "127.0.0.1:%d" % free.getsockname()[1]
        daemon = self.switch([{"name": "hole", "type": "sink"}], metrics=address)
        pids = daemon.pids()
        for _ in range(20):
            with urllib.request.urlopen("http://%s/metrics" % address, timeout=20) as answer:
                self.assertIn(b"viaduct_port_receive_bytes_total{port=\"hole\"", answer.read())
            with socket.create_connection(address.split(":"), timeout=20) as broken:
                broken.sendall(b"POST /metrics HTTP/1.1\r\nContent-Length: 99\r\n\r\n")
        self.assertEqual(daemon.pids(), pids)

    def test_who_breaks_the_list_is_killed_and_said_and_succeeded(self):
        daemon = self.switch([{"name": "vm1", "type": "vhost-user"}])
        with FrontEnd(daemon.socket("vm1")):
            os.kill(daemon.ctl("status")["pid"], signal.SIGSYS)      # as the filter does it
            with FrontEnd(daemon.socket("vm1")):
                self.assertTrue(daemon.port("vm1")["link"])
        self.assertEqual(daemon.log().count("was killed by its sandbox: it made a system call that is "
                                            "none of 'viaductd --calls'"), 1)

    # --------------------------------------------------------------- the broker

    @needs_root
    def test_the_broker_opens_nothing_for_who_has_taken_over_the_data_process(self):
        namespace = self.enterContext(Namespace())
        namespace.run("ip tuntap add dev given mode tap; "
                      "ip tuntap add dev others mode tap user 65533")
        daemon = self.switch([{"name": "vm1", "type": "vhost-user"}],
                             netns=namespace, metrics="unix:/tmp/viaduct-sandbox-%d.sock" % os.getpid())
        mtu = namespace.run("cat /sys/class/net/given/mtu").out
        outside = self.enterContext(_Folder("/tmp/viaduct-outside-%d" % os.getpid()))
        target = self.enterContext(socket.socket(socket.AF_UNIX))
        target.bind(outside + "/target.sock")
        target.listen()
        refused = [
            (LISTEN, outside + "/new.sock", {}),
            (LISTEN, daemon.folder + "/../" + os.path.basename(outside) + "/new.sock", {}),
            (LISTEN, "/run/viaduct-test-new.sock", {}),
            (LISTEN, "relative.sock", {}),
            (LISTEN, daemon.config["control"], {}),
            (LISTEN, daemon.config["metrics"][5:], {}),
            (CONNECT, outside + "/target.sock", {}),
            (CONNECT, daemon.config["control"], {}),
            (TAP, "others", {"number": 1}),
            (TAP, "x" * 40, {"number": 1}),
            (TAP_SETUP, "given", {"number": 68}),
            (TAP_SETUP, "lo", {"number": 1500}),
            (STATE, "../viaductd", {"size": 64}),
            (STATE, "big", {"size": 1 << 30}),
            (99, "", {}),
        ]
        with Broker(daemon.ctl("status")["pid"]) as broker:
            for kind, text, more in refused:
                error, sentence, fd = broker.ask(kind, text, **more)
                self.assertNotEqual(error, 0, (kind, text))
                self.assertIsNone(fd, (kind, text))
                self.assertGreater(len(sentence), 10, (kind, text))
            for path in (outside + "/target.sock", daemon.config["control"],
                         daemon.config["metrics"][5:], daemon.folder + "/viaductd.yaml"):
                broker.ask(UNLINK, path)
                self.assertTrue(os.path.exists(path), path)
            # What is granted is given, and the file as text, not as the file.
            error, sentence, fd = broker.ask(LISTEN, daemon.socket("vm2"), mode=0o6777)
            self.assertEqual(error, 0, sentence)
            self.assertEqual(os.stat(daemon.socket("vm2")).st_mode & 0o7777, 0o777)
            os.close(fd)
            error, sentence, fd = broker.ask(READ_CONFIG)
            self.assertEqual(error, 0, sentence)
            self.assertIn("memfd:", os.readlink("/proc/self/fd/%d" % fd))
            os.close(fd)
        self.assertEqual(namespace.run("cat /sys/class/net/given/mtu").out, mtu)
        self.assertFalse(os.path.exists(outside + "/new.sock"))
        self.assertEqual(daemon.ctl("status")["ports"], 1)

    def test_ports_of_a_client_stay_in_the_operator_s_directories(self):
        elsewhere = self.enterContext(_Folder("/tmp/viaduct-elsewhere-%d" % os.getpid()))
        daemon = self.switch([])
        words = daemon._words("port", "add", "vm1", "type=vhost-user",
                              "socket=%s/vm1.sock" % elsewhere)
        done = subprocess.run(words, stderr=subprocess.PIPE, text=True, timeout=20)
        self.assertEqual((done.returncode, done.stderr), (
            1, "viaduct: port 'vm1': the socket '%s/vm1.sock' is not in the configuration file, nor in "
               "a directory of its socket_dirs, nor beside the control socket; add it there and reload\n"
               % elsewhere))
        with open(daemon.folder + "/viaductd.yaml") as f:
            text = f.read()
        with open(daemon.folder + "/viaductd.yaml", "w") as f:
            f.write("socket_dirs: [%s]\n" % elsewhere + text)
        daemon.say("reload")
        daemon.say("port", "add", "vm1", "type=vhost-user", "socket=%s/vm1.sock" % elsewhere)
        with FrontEnd(elsewhere + "/vm1.sock"):
            self.assertTrue(daemon.port("vm1")["link"])
        self.assertIn("socket_dirs: [%s]\n" % elsewhere, daemon.ctl("save")["yaml"])

    # ----------------------------------------------------------- another user

    @needs_root
    def test_started_by_root_it_is_another_user_that_makes_taps_and_sockets_all_the_same(self):
        account = pwd.getpwnam("nobody")
        namespace = self.enterContext(Namespace())
        daemon = self.switch([{"name": "vm1", "type": "vhost-user", "owner": USER_OF_VM, "perm": "0600"},
                              {"name": "tap0", "type": "tap", "mtu": 1400}],
                             netns=namespace, become="nobody")
        for _ in range(2):
            pids = daemon.pids()
            for pid in pids:
                self.assertEqual(status_of(pid)["Uid"].split(), [str(account.pw_uid)] * 4)
                self.assertEqual(status_of(pid)["Gid"].split(), [str(account.pw_gid)] * 4)
            self.assertIn("1400", namespace.run("cat /sys/class/net/tap0/mtu").out)
            daemon.say("port", "add", "tap1", "type=tap")
            self.assertTrue(daemon.port("tap1")["link"])
            self.assertEqual(os.stat(daemon.socket("vm1")).st_uid, USER_OF_VM)
            daemon.say("port", "del", "tap1")
            # The next one is as the first: nothing had to be kept for it.
            os.kill(daemon.ctl("status")["pid"], signal.SIGKILL)
            with FrontEnd(daemon.socket("vm1")):
                pass

    @needs_root
    def test_a_user_with_the_service_s_capabilities_is_enough(self):
        namespace = self.enterContext(Namespace())
        # What runs is staged: the tree may be one that only root enters.
        stage = self.enterContext(_Folder("/tmp/viaduct-stage-%d" % os.getpid()))
        for name in ("viaductd", "viaduct"):
            shutil.copy(os.path.join(build_folder(), name), stage)
        few = "+net_admin,+chown,+fowner,+dac_override"
        become = ["setpriv", "--reuid", str(USER_OF_VM + 1), "--regid", str(USER_OF_VM + 1),
                  "--clear-groups", "--no-new-privs", "--bounding-set", "-all," + few,
                  "--inh-caps", "-all," + few, "--ambient-caps", "-all," + few]
        daemon = self.switch([{"name": "vm1", "type": "vhost-user", "owner": USER_OF_VM},
                              {"name": "tap0", "type": "tap", "mtu": 1400}],
                             netns=namespace, programs=stage, under=become)
        daemon.say("port", "add", "tap1", "type=tap")
        self.assertTrue(daemon.port("tap1")["link"])
        self.assertEqual(os.stat(daemon.socket("vm1")).st_uid, USER_OF_VM)
        broker, data = daemon.pids()
        self.assertEqual(status_of(broker)["Uid"].split(), [str(USER_OF_VM + 1)] * 4)
        self.assertEqual(int(status_of(broker)["CapPrm"], 16), KEPT)
        self.assertEqual(int(status_of(broker)["CapEff"], 16), 0)
        self.assert_no_privileges(data)

    # ---------------------------------------------------------------- systemd

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_the_service_is_sound_and_exposes_little(self):
        path = self.enterContext(_Folder("/tmp/viaduct-unit-%d" % os.getpid())) + "/viaductd.service"
        with open(SERVICE) as f, open(path, "w") as out:
            out.write(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=" + VIADUCTD, f.read()))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=30", path],
                              text=True, timeout=60, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.note(re.search(r"exposure level .*?: ([\d.]+)", done.stdout).group(1) + " of 10 exposed")


USER_OF_VM = 65531


class _Folder:
    def __init__(self, path):
        os.mkdir(path)
        self.path = path

    def __enter__(self):
        return self.path

    def __exit__(self, *exc):
        shutil.rmtree(self.path)


if __name__ == "__main__":
    unittest.main()
