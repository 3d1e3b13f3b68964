# SPDX-License-Identifier: BSD-3-Clause
"""Everything else a user pays: CPU and memory of a switch on which nothing happens, the time until it
works, how long it sleeps in when a packet comes, what a restart costs, what ports and addresses that are
merely there cost others.

Idle ports have a connected front-end with started rings (tests/lab/frontend.py). Stations are spread
over both sides of a pair of ports, and each packet goes between another two of them, so that all entries
of the MAC table are used. Memory is RssAnon + RssFile of broker and data process."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import tempfile
import time

from harness import BACK_END_CPU, LESS, LOAD_CPU, MORE, LabError
from lab.frontend import FrontEnd
from lab.viaductd import Viaductd, build_folder

NAME, TITLE = "costs", "What else a user pays"
PAIR = ["a", "b"]
DESCRIPTORS = 8                     # of ours for an idle port, and some of its own
MIB, MEBI = 1024.0, 1 << 20
GAP_SECONDS = 3


def needs():
    if not os.path.exists(_program("bench-costs")):
        return "bench-costs is not built"
    return None


def run(bench):
    most = _most_ports(100 if bench.quick else 1000)
    idle(bench, [n for n in (0, 2, 100, 1000) if n <= most])
    start(bench, [n for n in (2, 100, 1000) if n <= most])
    wake_up(bench)
    restart(bench)
    idle_ports(bench, [n for n in (10, 100, 1000) if n <= most])
    addresses(bench, [1000, 10000, 100000, 1000000][::3 if bench.quick else 1])


# ------------------------------------------------------------------- subjects

def _most_ports(wanted):
    """As many ports as this user may have descriptors for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(wanted, hard // (DESCRIPTORS + 4))


def _ports(names):
    return [{"name": name, "type": "vhost-user"} for name in names]


@contextlib.contextmanager
def switch(nr_idle=0, pair=True, **top):
    """A switch with so many connected ports that do nothing, and a pair for traffic."""
    names = ["idle%d" % i for i in range(nr_idle)]
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(Viaductd(_ports((PAIR if pair else []) + names),
                                              workers=[{"cpu": BACK_END_CPU}], **top))
        for name in names:
            stack.enter_context(FrontEnd(daemon.socket(name)))
        yield daemon


def _program(name):
    return os.path.join(build_folder(), "bench", name)


def _words(mode, daemon, *more):
    """bench-costs on the pair's ports."""
    return ["taskset", "-c", str(LOAD_CPU), _program("bench-costs"), mode,
            *([] if daemon is None else map(daemon.socket, PAIR)), *map(str, more)]


def _ask(words):
    """What a program that prints JSON found."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120)
    if done.returncode:
        raise LabError("%s: %s" % (words[3], done.stderr.strip()))
    return json.loads(done.stdout)


# ----------------------------------------------------------------------- rest

def idle(bench, counts):
    """CPU time and memory of switches with so many ports, all of which rest at the same time."""
    seconds = 1 if bench.quick else 10
    if not bench.wants("idle"):
        return
    with contextlib.ExitStack() as stack:
        daemons = {n: stack.enter_context(switch(n, pair=False)) for n in counts}
        time.sleep(1)
        rounds = [_rest(daemons, seconds) for _ in range(min(bench.rounds, 3))]
        resident = {n: daemon.resident_kib() / MIB for n, daemon in daemons.items()}
    for place, what, goal in ((0, "clock ticks", "<= 2"), (1, "voluntary context switches", "<= 0")):
        for n in counts:
            bench.record("idle, %d ports: %s" % (n, what), "%s in %d s" % (what, seconds),
                         [found[n][place] for found in rounds],
                         goal=None if bench.quick else goal)
    for n in counts:
        bench.record("resident, %d ports" % n, "MiB", [resident[n]],
                     goal="<= 6" if n == 2 else None,
                     command="grep -e RssAnon -e RssFile /proc/PID/status")
    bench.record("resident, exporter (only where metrics are wanted)", "MiB", [_exporter()])


def _rest(daemons, seconds):
    """{ports: (ticks, context switches)} while nothing happens."""
    tids = {n: daemon.workers() for n, daemon in daemons.items()}

    def spent(n, daemon):
        return daemon.cpu_ticks(), sum(map(daemon.switches, tids[n]))

    before = {n: spent(n, daemon) for n, daemon in daemons.items()}
    time.sleep(seconds)
    return {n: [b - a for a, b in zip(before[n], spent(n, daemon))]
            for n, daemon in daemons.items()}


def _exporter():
    """MiB of the process that serves metrics."""
    with tempfile.TemporaryDirectory() as folder, \
            switch(metrics="unix:%s/metrics.sock" % folder) as daemon:
        time.sleep(0.5)
        return sum(daemon.resident_kib_of(pid) for pid in daemon.pids()
                   if _command(pid) == "viaduct-exporter"[:15]) / MIB


def _command(pid):
    with open("/proc/%d/comm" % pid) as f:
        return f.read().strip()


# ---------------------------------------------------------------------- start

def start(bench, counts):
    for n in counts:
        name = "start, %d ports" % n
        if not bench.wants(name):
            continue
        found = [_start(n) for _ in range(bench.rounds)]
        bench.record(name + ": until ready", "ms", [ready for ready, _ in found])
        bench.record(name + ": until the first packet between two", "ms",
                     [packet for _, packet in found])


def _start(nr_ports):
    """Milliseconds until it says that it is ready, and until a packet has come through."""
    with Viaductd(_ports(PAIR + ["idle%d" % i for i in range(nr_ports - 2)]),
                  workers=[{"cpu": BACK_END_CPU}], start=False) as daemon:
        begin = time.monotonic()
        daemon.launch()
        while "ready: " not in daemon.log():
            if daemon.program.process.poll() is not None:
                raise LabError("viaductd ended:\n" + daemon.log())
            time.sleep(0.0005)
        ready = time.monotonic()
        packet = _ask(_words("ready", daemon))["at"]
        return (ready - begin) * 1e3, (packet - begin) * 1e3


# -------------------------------------------------------------------- wake-up

def wake_up(bench):
    """A packet after a pause, beside a bare eventfd that wakes a thread on the same CPU."""
    name, pause_us, n = "wake-up", 1000, int(2000 * bench.seconds)
    if not bench.wants(name):
        return
    found = {"viaduct": [], "bare eventfd": []}
    with switch() as daemon:
        for _ in range(bench.rounds):
            found["viaduct"].append(_ask(_words("wake", daemon, n, pause_us)))
            found["bare eventfd"].append(_ask(_words("eventfd", None, n, pause_us)))
    for metric in ("p50", "p99", "p99.9"):
        bench.record("%s: %s" % (name, metric), "µs",
                     {who: [one[metric] for one in all_] for who, all_ in found.items()},
                     command="bench-costs wake a.sock b.sock %d %d" % (n, pause_us))


# -------------------------------------------------------------------- restart

def restart(bench):
    """The longest time without a packet when processes are killed under traffic."""
    for name, kill in (("the data process is killed", _kill_data),
                       ("all of it is killed and started again", _kill_all)):
        name = "gap, " + name
        if bench.wants(name):
            bench.record(name, "ms", [_gap(kill) for _ in range(min(bench.rounds, 5))],
                         command="bench-costs gap a.sock b.sock %d" % GAP_SECONDS)


def _kill_data(daemon):
    os.kill(daemon.pids()[1], signal.SIGKILL)


def _kill_all(daemon):
    daemon.kill()
    daemon.launch()


def _gap(kill):
    with switch() as daemon:
        client = subprocess.Popen(_words("gap", daemon, GAP_SECONDS), stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        try:
            if client.stdout.readline() != "running\n":
                raise LabError("bench-costs gap: " + client.stderr.read())
            time.sleep(0.5)
            kill(daemon)
            said, wrong = client.communicate(timeout=60)
        finally:
            client.kill()
            client.wait()
        if client.returncode:
            raise LabError("bench-costs gap: " + wrong)
        return json.loads(said)["ms"]


# --------------------------------------------------------- what is merely there

def idle_ports(bench, counts):
    """A busy pair of a switch with idle ports, beside one of a switch without."""
    for n in counts:
        name = "%d idle ports beside a busy pair" % n
        if not bench.wants(name):
            continue
        with switch() as alone, switch(n) as among:
            bench.compare(name, "Mpps", MORE,
                          {"alone": lambda d=alone: _busy(bench, d),
                           "viaduct": lambda d=among: _busy(bench, d)},
                          baseline="alone", goal={"alone": ">= 0.97"} if n == 1000 else None,
                          command="bench-client a.sock b.sock")


def _busy(bench, daemon):
    """Millions of packets a second that the pair exchanges."""
    found = _ask(["taskset", "-c", str(LOAD_CPU), _program("bench-client"), "-j",
                  *map(daemon.socket, PAIR), "--seconds", str(bench.seconds), "--warmup", "0.2"])
    return found["packets_per_second"] / 1e6


def addresses(bench, counts):
    """A busy pair with so many stations, and room for all in the MAC table. Its client has a frame to
    write for each packet, so with few stations it may be the bottleneck: hence a goal for the
    worker's cycles as well, the same loss in other words."""
    least, most = counts[0], counts[-1]
    name, room = "MAC entries", {"fdb": {"size": MEBI, "port_limit": MEBI}}
    if not bench.wants(name):
        return
    with contextlib.ExitStack() as stack:
        daemons = {n: stack.enter_context(switch(**room)) for n in (least, most, *counts[1:-1])}
        bench.compare(name, {"packets": "Mpps", "cycles": "busy cycles of the worker a packet"},
                      {"packets": MORE, "cycles": LESS},
                      {"{:,}".format(n): lambda n=n, d=d: _stations(bench, d, n)
                       for n, d in daemons.items()},
                      goal={"packets": {"{:,}".format(least): ">= 0.75"},
                            "cycles": {"{:,}".format(least): "<= 1.33"}},
                      command="bench-costs load a.sock b.sock SECONDS STATIONS")


def _stations(bench, daemon, n):
    before = daemon.ctl("status")["workers"][0]
    found = _ask(_words("load", daemon, max(1, round(bench.seconds)), n))
    after = daemon.ctl("status")["workers"][0]
    spent, packets = (after[key] - before[key] for key in ("busy_cycles", "packets"))
    return {"packets": found["pps"] / 1e6, "cycles": spent / packets}
