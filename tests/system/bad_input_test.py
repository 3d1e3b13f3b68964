# SPDX-License-Identifier: BSD-3-Clause
"""Mistakes, each with the sentence that it must be answered with: configurations, starts, calls of the
control API, command lines. Runs the real programs; what depends on the machine is cut off."""

import array
import json
import os
import signal
import socket
import struct
import subprocess
import time
import unittest

from support import USER, SystemTest, Viaductd, build_folder, needs_root

VIADUCTD, VIADUCT = (os.path.join(build_folder(), name) for name in ("viaductd", "viaduct"))

# What is wrong with a configuration; each line of output but the last one, without "FILE:".
CONFIGURATIONS = {
    "ports: [a, b\n":
        ["2: not YAML: did not find expected ',' or ']', column 1 (while parsing a flow sequence that "
         "begins in line 1)"],
    "ports:\n\t- {name: a, type: sink}\n":
        ["2: not YAML: column 1 has a character that nothing can begin with: indent with spaces, "
         "never with tabs, and quote what begins with @ or `"],
    "prots: []\n": ["1: there is no key 'prots'; did you mean 'ports'?"],
    "ports:\n  - {name: vm1, type: vhost-user}\n":
        ["2: port 'vm1': the key 'socket' is missing: the UNIX socket between us and the VMM"],
    "ports:\n  - {name: vm1, type: vhost, socket: /run/x}\n":
        ["2: port 'vm1': there is no port type 'vhost'; this build has: *"],
    "ports:\n  - {name: vm1, type: vhost-user, socket: vm1.sock}\n":
        ["2: port 'vm1': socket 'vm1.sock' is a relative path; give the whole path, such as "
         "/run/viaduct/vm1.sock"],
    "ports:\n  - {name: vm1, type: vhost-user, socket: /%s}\n" % ("x" * 107):
        ["2: port 'vm1': socket '/%s' is 108 bytes long; the path of a UNIX socket has at most 107"
         % ("x" * 107)],
    "ports:\n  - {name: vm1, type: vhost-user, socket: /run/x, queue_pairs: 200}\n":
        ["2: port 'vm1': queue_pairs is '200'; it must be a number from 1 to 128"],
    "ports:\n  - {name: vm1, type: vhost-user, socket: /run/x, features: {paked: off}}\n":
        ["2: port 'vm1': features has no 'paked'; did you mean 'packed'?"],
    "ports:\n  - {name: vm1, type: vhost-user, socket: /run/x, memory: shared}\n":
        ["2: port 'vm1': memory is 'shared'; it must be one of guarded|sealed"],
    "ports:\n  - {name: vm1, type: vhost-user, socket: /run/x}\n"
    "  - {name: vm2, type: vhost-user, socket: /run/x}\n":
        ["3: port 'vm2': the socket '/run/x' is already that of port 'vm1' in line 2"],
    "workers: 0\npoll_us: often\nports:\n  - name: a\n    type: sink\n    mtu: 10\n  - name: a\n"
    "    type: sinc\n    vlan: 5000\n":
        ["1: workers is '0'; it must be a number from 1 to 64, or a list such as [{cpu: 2}, {cpu: "
         "3}]",
         "2: poll_us is 'often'; it must be a number of microseconds from 0 to 1000000, or always",
         "6: port 'a': mtu is '10'; it must be a number from 68 to 65521",
         "8: port 'a': there is no port type 'sinc'; did you mean 'sink'?",
         "9: port 'a': vlan is '5000'; it must be a number from 1 to 4094"],
}

# Words behind viaductd; its exit code and what it says.
DAEMON_WORDS = {
    ("--cofnig", "x"): (2, "viaductd: there is no option '--cofnig'; 'viaductd --help' shows what "
                           "there is"),
    ("--config",): (2, "viaductd: a file name must follow '--config'; 'viaductd --help' shows what "
                       "there is"),
    ("x.yaml",): (2, "viaductd: what is meant by 'x.yaml'; 'viaductd --help' shows what there is"),
    ("--config", "/nowhere/x.yaml"): (1, "viaductd: cannot open '/nowhere/x.yaml': No such file or "
                                         "directory"),
    ("--check", "/"): (1, "viaductd: '/': cannot read it: Is a directory"),
}

# Words behind viaduct, with a switch of two ports that runs; exit code and what it says.
COMMAND_WORDS = {
    "prot show": (2, "there is no command 'prot'; did you mean 'port'?"),
    "make coffee": (2, "there is no command 'make'; 'viaduct help' lists them"),
    "stauts": (2, "there is no command 'stauts'; did you mean 'status'?"),
    "-x status": (2, "there is no option '-x'; 'viaduct --help' shows what there is"),
    "status now": (2, "too many words; it is: viaduct status"),
    "port": (2, "'port' needs one more word: show, add, del, set"),
    "port list": (2, "there is no 'port list'; there are: show, add, del, set"),
    "port show x": (1, "there is no port 'x'"),
    "port add": (2, "too few words; it is: viaduct port add NAME type=TYPE [KEY=VALUE]…"),
    "port add c sink": (2, "'sink' is not KEY=VALUE; for example: viaduct port add vm1 "
                           "type=vhost-user socket=/run/viaduct/vm1.sock"),
    "port add type=sink name=c": (2, "first comes the name, then KEY=VALUE; for example: viaduct port "
                                     "add vm1 type=vhost-user socket=/run/viaduct/vm1.sock"),
    "port add c mtu=1500": (1, "port.add: the parameter 'type' is missing: such as vhost-user"),
    "port add c type=sink type=tap": (2, "'type' is given twice"),
    "port add a type=sink": (1, "port 'a': there is already a port of this name"),
    "port add c type=sink vlan=x mtu=1":
        (1, "port 'c': vlan is 'x'; it must be a number from 1 to 4094; port 'c': mtu is '1'; it must "
            "be a number from 68 to 65521"),
    "port add c type=vhost-user socket=/nowhere/at/all.sock":
        (1, "port 'c': cannot listen on '/nowhere/at/all.sock': the directory '/nowhere/at' and the "
            "one above it do not exist; make them first"),
    "port add c type=vhost-user socket=/var/c.sock":
        (1, "port 'c': the socket '/var/c.sock' is not in the configuration file, nor in a directory of "
            "its socket_dirs, nor beside the control socket; add it there and reload"),
    "port add c type=vhost-user socket=/dev/null":
        (1, "port 'c': cannot listen on '/dev/null': a file that is no socket has this name; remove it "
            "or choose another path"),
    "port add c type=vhost-user socket=/tmp/x.sock owner=nobody-of-that-name": (1, "*"),
    "port del x": (1, "there is no port 'x'"),
    "port set a": (2, "too few words; it is: viaduct port set NAME KEY=VALUE…"),
    "port set a type=tap": (1, "port 'a' is of type 'sink' and stays so; delete it and add another"),
    "port set a name=c": (2, "a port keeps its name; delete it and add another"),
    "port set a trunk=1-9999": (1, "port 'a': trunk is '1-9999'; it must be a list of VLANs and "
                                   "ranges, such as [10, 20-30], or all"),
    "fdb add 52:54 port=a": (1, "fdb entry: mac is '52:54'; it must be the MAC address of one station, "
                                "such as 52:54:00:12:34:56"),
    "fdb add 52:54:00:12:34:56 port=x": (1, "fdb entry: there is no port 'x'"),
    "fdb del 52:54:00:12:34:56 vlan=x": (1, "fdb.del: the parameter 'vlan' must be a number, 0 or "
                                            "more"),
    "fdb flush x": (1, "there is no port 'x'"),
    "stats x": (1, "there is no port 'x'"),
    "top fast": (2, "'fast' is no number of seconds from 0.1 to 3600"),
    "capture x": (1, "there is no port 'x'"),
    "capture a big": (2, "'big' is no number of bytes from 14 to 65589; it is: viaduct capture "
                         "PORT|all [-w FILE] [SNAPLEN]"),
    "capture a -w": (2, "a file must follow '-w'"),
    "-j capture a": (2, "pcap goes to standard output; -j needs -w FILE"),
    "capture a -w /nowhere/x": (1, "cannot write '/nowhere/x': No such file or directory"),
    "save /nowhere/x": (1, "cannot write beside '/nowhere/x': No such file or directory"),
    "set speed=1": (1, "set has no parameter 'speed'; its first is poll_us"),
    "set poll_us=-5": (1, "poll_us is '-5'; it must be a number of microseconds from 0 to 1000000, or "
                          "always"),
    "call nothing": (1, "there is no method 'nothing'; 'help' lists them"),
    "call port.show": (1, "port.show: the parameter 'name' is missing: the port's name"),
    "bench long": (2, "'long' is no number of seconds from 1 to 600, no path of a socket and not "
                      "'rings'"),
    "bench /a /b --sise 64": (2, "there is no option '--sise'"),
    "bench /a /b --size": (2, "a value must follow --size"),
    "bench /a /b --size 12": (2, "--size takes a number from 60 to 65549, not '12'"),
    "bench /a /b --touch me": (2, "--touch is header, all or none, not 'me'"),
    "bench /a /b --seconds -1": (2, "--seconds takes seconds from 0 to 600, not '-1'"),
    "bench --seconds 1": (2, "which sockets? 'viaduct help bench' says more"),
    "bench /a": (2, "an odd number of sockets are no pairs: give another one, or --dequeue or "
                    "--enqueue"),
    "bench /a --dequeue --enqueue": (2, "either --dequeue or --enqueue"),
    "bench /a /b --fill --rate 5": (2, "either --fill or --rate"),
    "bench /a /b --ring 100": (2, "a split ring has a power of two of slots, not 100"),
    "bench /a /b --in-order --cut 3": (2, "--in-order needs a ring of a multiple of 3 slots (--cut)"),
    "bench /a /b --no-mergeable --rx-buffer 128 --size 1514":
        (2, "without mergeable buffers --rx-buffer must be 1526 at least"),
    "bench /nowhere/a /nowhere/b": (1, "no back-end on '/nowhere/a': cannot connect to '/nowhere/a': *"),
}

# Lines to the control socket; code and message of the answer. More of them are in rpc_test.c.
CALLS = {
    b"status\n": (-32700, "not JSON: invalid token near 'status', column 6"),
    b"[{}]\n": (-32600, "a request is an object on a line of its own; batches are not supported"),
    b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.shw\"}\n":
        (-32601, "there is no method 'port.shw'; did you mean 'port.show'?"),
    b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"status\", \"params\": {\"a\": 1}}\n":
        (-32602, "status has no parameter 'a'"),
    b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.del\", \"params\": {\"name\": \"x\"}}\n":
        (-32000, "there is no port 'x'"),
    b"\xff\xfe{}\n": (-32700, "*"),
    b"[" * 100000 + b"\n": (-32700, "*"),
}


def cut(said, expected):
    """What was said, as far as the expectation goes before its '*'."""
    return said[:len(expected) - 1] + "*" if expected.endswith("*") else said


def say(*words, **more):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20,
                          **more)
    return done.returncode, done.stderr.rstrip("\n"), done.stdout


class BadInput(SystemTest):
    maxDiff = None

    def two_sinks(self, **more):
        return self.switch([{"name": "a", "type": "sink"}, {"name": "b", "type": "sink"}], **more)

    def assert_same(self, said, expected):
        """Shows only what differs."""
        self.assertEqual(*({key: table[key] for key in expected if said[key] != expected[key]}
                           for table in (said, expected)))

    def test_configurations(self):
        daemon = self.enterContext(Viaductd([], start=False))
        path = daemon.folder + "/x.yaml"
        said, expected = {}, {}
        for text, lines in CONFIGURATIONS.items():
            with open(path, "w") as f:
                f.write(text)
            expected[text] = (1, lines, "viaductd: %d mistake%s in '%s'" % (
                len(lines), "" if len(lines) == 1 else "s", path))
            for words in ("--check", path), ("--config", path):
                code, err, out = say(VIADUCTD, *words)
                rows = [row.removeprefix(path + ":") for row in err.split("\n")]
                said[text] = (code, list(map(cut, rows[:-1], lines)), rows[-1].removeprefix(path))
                self.assertEqual((said[text], out), (expected[text], ""))

    def test_check_of_a_good_file(self):
        daemon = self.enterContext(Viaductd([{"name": "a", "type": "sink"}], start=False))
        path = daemon.folder + "/viaductd.yaml"
        self.assertEqual(say(VIADUCTD, "--check", path),
                         (0, "", "%s: no mistakes; 1 port\n" % path))

    def test_daemon_words(self):
        said = {words: say(VIADUCTD, *words)[:2] for words in DAEMON_WORDS}
        self.assert_same(said, DAEMON_WORDS)

    def test_command_words(self):
        daemon = self.two_sinks(socket_dirs=["/nowhere/at", "/dev", "/tmp"])
        said = {}
        for words, (_, expected) in COMMAND_WORDS.items():
            code, err, _ = say(VIADUCT, "-s", daemon.config["control"], *words.split())
            self.assertTrue(err.startswith("viaduct: "), (words, err))
            said[words] = (code, cut(err[len("viaduct: "):], expected))
        self.assert_same(said, COMMAND_WORDS)
        self.assertEqual([port["name"] for port in daemon.ctl("port", "show")], ["a", "b"])

    def test_calls(self):
        daemon = self.two_sinks()
        said = {}
        for line, (_, expected) in CALLS.items():
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(10)
                s.connect(daemon.config["control"])
                s.sendall(line)
                error = json.loads(s.makefile().readline())["error"]
                said[line] = (error["code"], cut(error["message"], expected))
        self.assert_same(said, CALLS)
        daemon.ctl("status")

    def test_nobody_there(self):
        daemon = self.enterContext(Viaductd([], start=False))
        path = daemon.folder + "/control.sock"
        start = "it running? start it with 'viaductd --config FILE', or name its socket with -s"
        self.assertEqual(say(VIADUCT, "-s", path, "status")[:2], (
            1, "viaduct: cannot reach viaductd at '%s': there is no such socket; is %s" % (path, start)))
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
        self.assertEqual(say(VIADUCT, "-s", path, "status")[:2], (
            1, "viaduct: cannot reach viaductd at '%s': nobody answers, the socket is of an earlier "
               "run; start it with 'viaductd --config FILE'" % path))
        self.assertEqual(say(VIADUCT, "-s", "/" + "x" * 107, "status")[:2], (
            1, "viaduct: the path of the control socket is 108 bytes long; the path of a UNIX socket "
               "has at most 107"))
        # A daemon starts over the stale socket, and a second one does not.
        daemon.start()
        code, err, _ = say(VIADUCTD, "--config", daemon.folder + "/viaductd.yaml")
        self.assertEqual((code, err), (
            1, "viaductd: error: control: cannot listen on '%s': another program, such as a second "
               "switch or a VMM in server mode, listens there" % path))
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(path))

    @needs_root
    def test_without_permission(self):
        daemon = self.enterContext(Viaductd([{"name": "t", "type": "tap", "ifname": "via-none"}],
                                            start=False, user=USER))
        words = [daemon.programs + "/viaductd", "--config", daemon.folder + "/viaductd.yaml"]
        code, err, _ = say(*words, user=USER, group=USER)
        self.assertEqual(code, 1)
        first, last = err.split("\n")
        self.assertRegex(first, r"^viaductd: error: port 't': .*(CAP_NET_ADMIN|/dev/net/tun)")
        self.assertEqual(last, "viaductd: error: 1 of the ports cannot be opened; not starting")
        with open(daemon.folder + "/x.yaml", "w") as f:
            f.write("control: /run/viaduct-of-nobody/control.sock\n")
        code, err, _ = say(*words[:2], daemon.folder + "/x.yaml", user=USER, group=USER)
        self.assertEqual(code, 1)
        self.assertRegex(err, r"^viaductd: error: control: cannot listen on "
                              r"'/run/viaduct-of-nobody/control.sock': the directory "
                              r"'/run/viaduct-of-nobody' does not exist and user \S+ may not make it; "
                              r"make it first, or choose another place$")
        running = self.two_sinks()
        os.chmod(running.config["control"], 0o600)
        code, err, _ = say(daemon.programs + "/viaduct", "-s", running.config["control"], "status",
                           user=USER, group=USER)
        self.assertEqual((code, err), (
            1, "viaduct: cannot reach viaductd at '%s': no permission; run this as the user that runs "
               "viaductd, or as root" % running.config["control"]))

    def test_reload_with_mistakes_changes_nothing(self):
        daemon = self.two_sinks()
        path = daemon.folder + "/viaductd.yaml"
        with open(path) as f:
            good = f.read()
        before = daemon.ctl("save")["yaml"]
        with open(path, "w") as f:
            f.write(good + "  - {name: c, type: sink}\n  - {name: d, type: sinc}\nports2: 1\n")
        line = good.count("\n")
        self.assertEqual(say(VIADUCT, "-s", daemon.config["control"], "reload")[:2], (
            1, "viaduct: the file has mistakes, nothing was changed: line %d: port 'd': there is no "
               "port type 'sinc'; did you mean 'sink'?; line %d: there is no key 'ports2'; did you "
               "mean 'ports'?" % (line + 2, line + 3)))
        self.assertEqual(daemon.ctl("save")["yaml"], before)
        with open(path, "w") as f:
            f.write(good.replace("name: b", "name: c"))
        self.assertEqual(daemon.ctl("reload"), {"removed": ["b"], "added": ["c"]})
        os.unlink(path)
        self.assertEqual(say(VIADUCT, "-s", daemon.config["control"], "reload")[:2], (
            1, "viaduct: cannot open '%s': No such file or directory" % path))
        daemon.say("save")
        self.assertEqual(daemon.ctl("reload"), {})

    def test_reload_says_what_was_done_all_the_same(self):
        daemon = self.two_sinks()
        with open(daemon.folder + "/viaductd.yaml", "a") as f:
            f.write("  - {name: c, type: sink}\n"
                    "  - {name: d, type: vhost-user, socket: /nowhere/at/all.sock}\n")
        code, err, _ = say(VIADUCT, "-s", daemon.config["control"], "reload")
        self.assertEqual(code, 1)
        self.assertRegex(err, "^viaduct: port 'd': cannot listen on .*; added all the same: c$")

    def test_save_leaves_links_and_writes_with_json_too(self):
        daemon = self.two_sinks()
        path, link = daemon.folder + "/saved", daemon.folder + "/link"
        self.assertIn("name: a", daemon.ctl("save", path)["yaml"])
        os.symlink(path, link)
        os.truncate(path, 0)
        daemon.say("save", link)
        self.assertTrue(os.path.islink(link))
        with open(path) as f:
            self.assertIn("name: a", f.read())

    def test_a_capture_ends_with_its_port_and_loses_no_file(self):
        daemon = self.two_sinks()
        path = daemon.folder + "/x.pcap"
        words = [VIADUCT, "-s", daemon.config["control"], "capture", "a", "-w"]
        with open(path, "w") as f:
            f.write("old")
        first = self.start_capture(words)
        deadline = time.monotonic() + 20
        while say(*words, "/dev/full")[1] != ("viaduct: there is a capture already; only one runs at "
                                              "a time"):
            self.assertLess(time.monotonic(), deadline)
            if first.poll() is not None:            # ours was there before it
                first = self.start_capture(words)
        self.assertEqual(say(*words, path)[0], 1)
        with open(path) as f:
            self.assertEqual(f.read(), "old")
        daemon.say("port", "del", "a")
        self.assertEqual(first.wait(20), 1)
        self.assertIn("its port was closed", first.stderr.read())

    def start_capture(self, words):
        process = subprocess.Popen(words + ["/dev/null"], stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        return process

    def test_output_that_cannot_be_written(self):
        daemon = self.two_sinks()
        with open("/dev/full", "w") as full:
            done = subprocess.run([VIADUCT, "-s", daemon.config["control"], "port", "show"],
                                  stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
        self.assertEqual((done.returncode, done.stderr), (
            1, "viaduct: cannot write the output: No space left on device\n"))
        code, err, _ = say(VIADUCT, "-s", daemon.config["control"], "capture", "a", "-w", "/dev/full")
        self.assertEqual((code, err), (
            1, "viaduct: cannot write to '/dev/full': No space left on device"))

    def test_a_last_line_without_an_end_is_answered(self):
        daemon = self.two_sinks()
        for line, key in ((b'{"jsonrpc": "2.0", "id": 1, "method": "status"}', "result"),
                          (b'{"jsonrpc"', "error")):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(10)
                s.connect(daemon.config["control"])
                s.sendall(line)
                s.shutdown(socket.SHUT_WR)
                self.assertIn(key, json.loads(s.makefile().readline()))

    def test_two_daemons_do_not_share_ring_positions(self):
        first = self.switch([{"name": "vm1", "type": "vhost-user"}])
        second = self.enterContext(Viaductd([{"name": "vm1", "type": "vhost-user"}], start=False))
        path = second.folder + "/x.yaml"
        with open(second.folder + "/viaductd.yaml") as f, open(path, "w") as out:
            out.write(f.read().replace("run_dir: " + second.folder, "run_dir: " + first.folder))
        code, err, _ = say(VIADUCTD, "--config", path)
        self.assertEqual((code, err.split("\n")[0]), (
            1, "viaductd: error: port 'vm1': another viaductd keeps its ring positions in "
               "'%s/vm1.state'; give one of the two another run_dir, or the port another name"
               % first.folder))

    def test_positions_of_another_version_are_no_reason_not_to_start(self):
        daemon = self.switch([{"name": "vm1", "type": "vhost-user"}])
        self.assertEqual(daemon.stop(), 0)
        path = daemon.folder + "/vm1.state"
        with open(path, "r+b") as f:
            f.write(b"another version")
        daemon.start()
        self.assertRegex(daemon.log(), "warning: port vm1: its ring positions of an earlier run are lost")
        with open(path, "rb") as f:
            self.assertNotEqual(f.read(15), b"another version")

    def test_too_many_clients(self):
        daemon = self.two_sinks()
        clients = [self.enterContext(socket.socket(socket.AF_UNIX)) for _ in range(64)]
        for s in clients:
            s.connect(daemon.config["control"])
        self.assertEqual(say(VIADUCT, "-s", daemon.config["control"], "status")[:2], (
            1, "viaduct: too many clients"))

    def test_doctor_says_what_a_front_end_lacked(self):
        daemon = self.switch([{"name": "vm1", "type": "vhost-user"}])
        fd = os.open(daemon.folder + "/memory", os.O_CREAT | os.O_RDWR)
        os.truncate(fd, 4096)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(daemon.socket("vm1"))
            table = struct.pack("<IIQQQQ", 1, 0, 0, 1 << 20, 1 << 32, 0)
            # SET_OWNER, SET_PROTOCOL_FEATURES (REPLY_ACK), SET_MEM_TABLE with an answer wanted.
            s.sendall(struct.pack("<III", 3, 1, 0) + struct.pack("<IIIQ", 16, 1, 8, 8))
            s.sendmsg([struct.pack("<III", 5, 9, len(table)) + table],
                      [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
            s.settimeout(10)
            s.recv(20)
            code, _, out = say(VIADUCT, "-s", daemon.config["control"], "doctor")
        os.close(fd)
        self.assertEqual(code, 1)
        self.assertIn("warning: port 'vm1': its peer is connected, but no queue runs", out)
        self.assertRegex(out, "error: port 'vm1': a request of its front-end was refused: "
                              "SET_MEM_TABLE: memory region 0: the memory's file ")

    def test_what_was_changed_outlives_a_crash(self):
        daemon = self.two_sinks()
        daemon.say("port", "add", "c", "type=sink", "vlan=7")
        daemon.kill_data_process()
        self.assertEqual([port["name"] for port in daemon.ctl("port", "show")], ["a", "b", "c"])

    def test_sockets_go_with_the_daemon(self):
        daemon = self.switch([{"name": "vm1", "type": "vhost-user"}],
                             metrics="unix:/tmp/viaduct-test-%d.sock" % os.getpid())
        paths = [daemon.config["control"], daemon.config["metrics"][5:], daemon.socket("vm1")]
        self.assertEqual(list(map(os.path.exists, paths)), [True] * 3)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(list(map(os.path.exists, paths)), [False] * 3)


if __name__ == "__main__":
    unittest.main()
