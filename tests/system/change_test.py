# SPDX-License-Identifier: BSD-3-Clause
"""Changes at run time, and what shows them: who is not concerned must not notice."""

import os
import re
import select
import signal
import socket
import struct
import subprocess
import time
import unittest

from support import SystemTest, build_folder, needs_root

from lab.frontend import FrontEnd

VIADUCT = os.path.join(build_folder(), "viaduct")


def is_connected(front_end):
    readable, _, _ = select.select([front_end.sock], [], [], 0.3)
    return not readable


class Change(SystemTest):
    def two_ports(self, **more):
        daemon = self.switch([{"name": "vm1", "type": "vhost-user"},
                              {"name": "vm2", "type": "vhost-user"}], **more)
        ends = [self.enterContext(FrontEnd(daemon.socket(name))) for name in ("vm1", "vm2")]
        return daemon, *ends

    def links(self, daemon):
        return {port["name"]: port["link"] for port in daemon.ctl("port", "show")}

    def rewrite(self, daemon, change):
        with open(daemon.folder + "/viaductd.yaml") as f:
            text = f.read()
        with open(daemon.folder + "/viaductd.yaml", "w") as f:
            f.write(change(text))

    def test_reload_disturbs_only_what_differs(self):
        daemon, one, two = self.two_ports()
        self.rewrite(daemon, lambda text: text.replace("name: vm2,", "name: vm2, queue_pairs: 2,")
                     + "  - {name: hole, type: sink}\npoll_us: 10\nworkers: 2\n")
        self.assertEqual(daemon.ctl("reload"), {
            "reopened": ["vm2"], "added": ["hole"],
            "notes": ["'workers' has changed: that takes effect when viaductd is restarted"]})
        self.assertTrue(is_connected(one))
        self.assertFalse(is_connected(two))
        self.assertEqual(daemon.ctl("status")["poll_us"], 10)
        self.assertEqual(self.links(daemon), {"vm1": True, "vm2": False, "hole": True})

    def test_vlans_change_without_disturbing_the_port(self):
        daemon, one, two = self.two_ports()
        self.assertEqual(daemon.ctl("port", "set", "vm1", "vlan=5", "isolated=on"),
                         {"changed": ["vm1"]})
        self.assertEqual(daemon.ctl("port", "set", "vm2", "trunk=5,10-12"), {"changed": ["vm2"]})
        self.assertEqual(daemon.ctl("vlan"), [
            {"port": "vm1", "mode": "access", "vlan": 5, "trunk": "", "isolated": True},
            {"port": "vm2", "mode": "trunk", "vlan": 0, "trunk": "5,10-12", "isolated": False}])
        self.assertEqual(daemon.ctl("port", "set", "vm1", "vlan=", "isolated="),
                         {"changed": ["vm1"]})
        self.assertTrue(is_connected(one) and is_connected(two))

    def test_a_deleted_port_s_socket_can_be_used_at_once(self):
        daemon, one, _ = self.two_ports()
        daemon.say("port", "del", "vm1")
        self.assertFalse(is_connected(one))
        self.assertFalse(os.path.exists(daemon.socket("vm1")))
        daemon.say("port", "add", "other", "type=vhost-user", "socket=" + daemon.socket("vm1"))
        self.enterContext(FrontEnd(daemon.socket("vm1")))
        self.assertTrue(self.links(daemon)["other"])

    def test_what_is_saved_starts_the_same(self):
        daemon, _, _ = self.two_ports()
        daemon.say("port", "add", "hole", "type=sink", "trunk=1,5-7", "mtu=1400")
        daemon.say("fdb", "add", "52:54:00:00:00:01", "port=hole", "vlan=5")
        daemon.say("set", "poll_us=always")
        daemon.say("save")
        before = daemon.ctl("save")
        self.assertEqual(daemon.stop(), 0)
        daemon.start()
        self.assertEqual(daemon.ctl("save"), before)
        self.assertEqual(daemon.ctl("fdb", "show")["entries"][0]["static"], True)

    def test_sighup_reloads(self):
        daemon, one, _ = self.two_ports()
        self.rewrite(daemon, lambda text: text + "  - {name: hole, type: sink}\n")
        os.kill(daemon.program.pid, signal.SIGHUP)
        deadline = time.monotonic() + 10
        while "reload: done" not in daemon.log():
            self.assertLess(time.monotonic(), deadline, daemon.log())
            time.sleep(0.02)
        self.assertIn("hole", self.links(daemon))
        self.assertTrue(is_connected(one))

    def test_front_ends_come_back_after_a_crash(self):
        daemon, one, _ = self.two_ports()
        os.kill(daemon.ctl("status")["pid"], signal.SIGKILL)
        again = self.enterContext(FrontEnd(daemon.socket("vm1")))   # waits; is not refused
        self.assertFalse(is_connected(one))
        self.assertTrue(is_connected(again))
        self.assertTrue(self.links(daemon)["vm1"])

    def test_many_ports_come_and_go(self):
        daemon = self.switch([])
        before = daemon.held()
        for number in range(30):
            daemon.say("port", "add", "p%d" % number, "type=vhost-user",
                       "socket=%s/p%d.sock" % (daemon.folder, number))
        for number in range(30):
            daemon.say("port", "del", "p%d" % number)
        time.sleep(0.2)
        self.assertEqual(daemon.held()[0], before[0])
        self.assertEqual([name for name in os.listdir(daemon.folder) if name.startswith("p")
                          and name.endswith(".sock")], [])

    def test_capture(self):
        daemon = self.switch([{"name": "gen", "type": "gen", "rate": 2000},
                              {"name": "hole", "type": "sink"}])
        path = daemon.folder + "/x.pcap"
        capture = subprocess.Popen([VIADUCT, "-s", daemon.config["control"], "capture", "hole", "-w",
                                    path, "32"], stderr=subprocess.PIPE, text=True)
        time.sleep(0.7)
        capture.send_signal(signal.SIGINT)
        said = capture.communicate(timeout=10)[1]
        frames, lost = map(int, re.search(r"(\d+) frames captured, (\d+) lost", said).groups())
        with open(path, "rb") as f:
            data = f.read()
        self.assertEqual(struct.unpack_from("<I", data)[0] & 0xffff0000, 0xa1b20000)
        at, found = 24, 0
        while at < len(data):
            size, length = struct.unpack_from("<II", data, at + 8)
            self.assertEqual((size, length), (32, 60))
            at, found = at + 16 + size, found + 1
        self.assertEqual((found, lost), (frames, 0))
        self.assertGreater(frames, 100)
        self.assertEqual(capture.returncode, 0)

    def test_a_capture_that_nobody_reads_costs_no_packet(self):
        daemon = self.switch([{"name": "gen", "type": "gen", "rate": 20000},
                              {"name": "hole", "type": "sink"}])
        capture = subprocess.Popen([VIADUCT, "-s", daemon.config["control"], "capture", "all"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1)
        capture.kill()
        capture.communicate(timeout=10)
        daemon.say("port", "set", "gen", "rate=1")
        stats = {port["name"]: port for port in daemon.ctl("stats")["ports"]}
        self.assertEqual(stats["hole"]["transmit"]["dropped"], 0)
        self.assertIn("there is no capture", subprocess.run(
            [VIADUCT, "-s", daemon.config["control"], "call", "capture.stop"],
            stderr=subprocess.PIPE, text=True, check=False).stderr)

    @unittest.skipUnless(os.path.exists(os.path.join(build_folder(), "viaduct-exporter")),
                         "built without libmicrohttpd")
    def test_metrics(self):
        daemon = self.switch([{"name": "hole", "type": "sink"},
                              {"name": "gen", "type": "gen", "count": 100}],
                             metrics="unix:/tmp/viaduct-test-%d.sock" % os.getpid())
        time.sleep(0.3)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(daemon.config["metrics"][5:])
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            head, _, text = s.makefile().read().partition("\n\n")
        self.assertIn("200 OK", head)
        self.assertIn('viaduct_port_receive_packets_total{port="gen",type="gen"} 100\n', text)
        self.assertIn('viaduct_port_transmit_packets_total{port="hole",type="sink"} 100\n', text)
        self.assertIn('viaduct_port_up{port="hole",type="sink"} 1\n', text)
        names = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                self.assertRegex(line, r'^viaduct_[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? '
                                       r'-?[0-9.e+-]+$')
                names[re.match(r"\w+", line)[0]] = True
        for name in names:
            self.assertIn("# TYPE %s " % name, text)

    def test_top_and_doctor(self):
        daemon = self.switch([{"name": "gen", "type": "gen", "rate": 1000},
                              {"name": "hole", "type": "sink"},
                              {"name": "vm1", "type": "vhost-user"}])
        self.assertRegex(daemon.say("top", "-1", "0.5"), r"(?m)^gen +gen +up +\S+")
        doctor = subprocess.run([VIADUCT, "-s", daemon.config["control"], "doctor"], text=True,
                                stdout=subprocess.PIPE, timeout=20, check=False)
        self.assertEqual(doctor.returncode, 1)
        self.assertIn("no front-end is connected to '%s'" % daemon.socket("vm1"), doctor.stdout)
        self.assertIn("memory-backend-memfd,share=on", doctor.stdout)

    def test_another_port_of_the_same_name_begins_anew(self):
        daemon, _, _ = self.two_ports()
        self.assertIn("vm1.state", os.listdir(daemon.folder))
        daemon.say("port", "del", "vm1")
        self.assertNotIn("vm1.state", os.listdir(daemon.folder))

    @needs_root
    def test_the_data_process_gives_up_its_rights(self):
        daemon = self.switch([{"name": "hole", "type": "sink"}])
        self.rewrite(daemon, lambda text: text + "user: nobody\n")
        self.assertEqual(daemon.stop(), 0)
        daemon.start()
        with open("/proc/%d/status" % daemon.ctl("status")["pid"]) as f:
            status = f.read()
        self.assertRegex(status, r"CapEff:\t0000000000000000")
        self.assertRegex(status, r"NoNewPrivs:\t1")
        self.assertNotRegex(status, r"(?m)^Uid:\t0")


if __name__ == "__main__":
    unittest.main()
