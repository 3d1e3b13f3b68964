# SPDX-License-Identifier: BSD-3-Clause
"""Measures subjects beside each other, and keeps what they showed.

A suite is a module of bench/suites:

    NAME, TITLE         "peers", "Against peers"; its docstring goes into the report
    needs()             why it cannot run here, or None
    run(bench)          measures, by the methods of Bench

Every subject's back-end runs on BACK_END_CPU, its client (or load) and control threads on LOAD_CPU."""

import fnmatch
import json
import os
import re
import subprocess
import sys
import time

from judge import LESS, MORE, Figure, Limits
from lab.cache import LabError
from lab.viaductd import build_folder

LOAD_CPU, BACK_END_CPU = 0, 1
AGAIN = "again"                     # the second pass of the baseline
PATIENCE = 2                        # times as many rounds, while the machine is noisy
TRIES = 3                           # of a pass, while the cores are far apart
BRIEF = 3                           # times as many rounds of brief passes
PACKAGES = ("dpdk", "openvswitch-switch-dpdk", "iperf3", "valgrind")

__all__ = ["BACK_END_CPU", "LOAD_CPU", "LESS", "MORE", "Bench", "LabError"]


def passes(subjects, baseline, number):
    """The order of a round: the baseline first and last, and all of it backwards in every other
    round, so that nobody has an advantage of a place."""
    order = [baseline, *(name for name in subjects if name != baseline), AGAIN]
    return order[::-1] if number % 2 else order


def machine():
    """What a figure depends on besides the code."""
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*:\s*(.*)", f.read()).group(1)
    with open(build_folder() + "/viaductd", "rb") as f:
        compiler = re.search(rb"(GCC: |clang version )[^\0]+", f.read()).group().decode()
    versions = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return {"cpu": model, "cores": os.cpu_count(), "kernel": os.uname().release,
            "compiler": compiler, "packages": versions.stdout.splitlines()}


def commit():
    """Which code it is, with a mark when the tree differs from it."""
    said = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"],
                          cwd=os.path.dirname(__file__), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return said.stdout.strip() or "unknown"


class Records:
    """What the suites found, a JSON file each: figures of an earlier run stay until they are measured
    again, unless they are another machine's."""

    def __init__(self, folder):
        self.folder, self.suites = folder, {}
        os.makedirs(folder, exist_ok=True)
        for name in sorted(os.listdir(folder)):
            if name.endswith(".json"):
                with open(os.path.join(folder, name)) as f:
                    self.suites[name[:-5]] = json.load(f)

    def open(self, suite, here):
        old = self.suites.get(suite.NAME, {})
        keep = old if old.get("machine") == here else {}
        self.suites[suite.NAME] = {
            "title": suite.TITLE, "about": (suite.__doc__ or "").strip(), "machine": here,
            **{kind: keep.get(kind, {}) for kind in ("figures", "overs", "plots")}}
        return self.suites[suite.NAME]

    def skip(self, suite, reason):
        self.suites.setdefault(suite.NAME, {"title": suite.TITLE, "about": "", "machine": None,
                                            "figures": {}, "overs": {}, "plots": {}})
        self.suites[suite.NAME]["skipped"] = reason

    def save(self, name):
        path = os.path.join(self.folder, name + ".json")
        with open(path + ".new", "w") as f:
            json.dump(self.suites[name], f, indent=1)
        os.replace(path + ".new", path)


class Cores:
    """How far apart the two cores are: cycles that a cache line takes to the other one and back.

    The host of a virtual machine moves its cores at times, from one cache to another, and everything
    that two cores do together is several times slower then, for a part of a second or for minutes. So a
    pass counts only if the cores were near before and after it, whoever the subject is. At times they
    are even two threads of one core, which is not what near means: it is what they often are, for some
    seconds at least."""

    NEAR = 1.5                      # times the quartile of some looks, where that was lowest
    LOOKS = 20
    WAIT = 0.25                     # seconds for them to come back
    PATIENCE = 40                   # times that it waits, in each comparison

    def __init__(self, tries):
        self.tries, self.looks, self.often = tries, [], None
        for _ in range(self.LOOKS):
            self.near()
            time.sleep(self.WAIT)
        self.begin()

    def begin(self):
        """Of a comparison."""
        self.patience = self.PATIENCE
        self.far = 0                # passes while they were far apart all the time

    def near(self):
        """Whether they are near now. They always are where that cannot be said."""
        now = self.distance()
        if now is None:
            return True
        self.looks = [*self.looks[1 - self.LOOKS:], now]
        quartile = sorted(self.looks)[len(self.looks) // 4]
        if self.often is None or len(self.looks) == self.LOOKS:
            self.often = min(self.often or quartile, quartile)
        return now <= self.NEAR * self.often

    @staticmethod
    def distance():
        done = subprocess.run([build_folder() + "/bench/bench-limits", "-a", str(LOAD_CPU),
                               "-b", str(BACK_END_CPU), "-t", "0.01", "lines", "1"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found = re.search(r"([\d.]+) cycles", done.stdout)
        return float(found.group(1)) if found else None

    def measure(self, function):
        """What it returns, while the cores are near. When patience is at its end, or after some tries, it
        is taken as it is, and counted."""
        for _ in range(self.tries):
            self._wait()
            value = function()
            if self.near():
                return value
            if self.patience <= 0:
                break
        self.far += 1
        return value

    def _wait(self):
        while self.patience > 0 and not self.near():
            time.sleep(self.WAIT)
            self.patience -= 1


class Bench:
    """What a suite measures with.

    rounds, seconds     how often, and for how long each time, as the user wants it
    quick               a short look: suites leave out what takes long
    """

    def __init__(self, records, suite, *, rounds, seconds, quick=False, pattern="",
                 here=None, cores=None):
        self.records, self.name, self.pattern = records, suite.NAME, pattern
        self.rounds, self.seconds, self.quick = rounds, seconds, quick
        self.commit, self.cores = commit(), cores or Cores(1 if quick else TRIES)
        self.store = records.open(suite, here or machine())

    def wants(self, name):
        """Whether the user has asked for figures that begin like this."""
        return fnmatch.fnmatch(name, self.pattern + "*")

    def compare(self, name, unit, better, subjects, *, baseline=None, goal=None, command="",
                size=None, brief=False):
        """Measures subjects beside each other.

        subjects    {name: function}: it measures once and returns a number, or {metric: number};
                    then each metric becomes a figure "NAME: METRIC", and 'unit', 'better' and 'goal'
                    are dicts by metric
        better      LESS or MORE
        baseline    whom the others are compared with; the first if not said
        goal        ">= 1.8", for the ratio of the first of the others to the baseline; or a dict by
                    peer: {"testpmd": ">= 1.8", "ovs": ">= 2.5"}
        command     what a reader may type to see the same
        size        bytes of a frame, for the share of what the machine can do (suites/limits.py)
        brief       passes are: there are BRIEF times as many rounds
        """
        if not self.wants(name):
            return
        shape = {"name": name, "unit": unit, "better": better, "goal": goal, "command": command,
                 "size": size, "baseline": baseline or next(iter(subjects)),
                 "rounds": self.rounds * (BRIEF if brief else 1)}
        rounds, failed = [], {}
        self.cores.begin()
        while self._goes_on(rounds, shape):
            self._say("%s: round %d" % (name, len(rounds) + 1))
            rounds.append(self._round(subjects, shape["baseline"], len(rounds), failed))
        for figure in figures_of(rounds, shape, subjects):
            self._keep({**figure, "failed": failed, "far": self.cores.far})

    def record(self, name, unit, samples, *, better=LESS, goal=None, command="", size=None,
               limit=False):
        """Keeps samples of a figure without a peer: a list, or {subject: list}. 'goal' is about the
        first subject's median. A 'limit' is what figures with its unit and size are a share of."""
        if not self.wants(name):
            return
        if not isinstance(samples, dict):
            samples = {"viaduct": samples}
        self._keep({"name": name, "unit": unit, "better": better, "command": command, "size": size,
                    "limit": limit, "goals": {"": goal} if goal else {}, "samples": samples})

    def over(self, name, of, peer, goal=None, worst=None):
        """A goal for several figures (their names) at once: 'goal' for the median of their ratios to
        'peer', 'worst' for each."""
        self.store["overs"][name] = {"name": name, "of": list(of), "peer": peer, "goal": goal,
                                     "worst": worst}
        self.records.save(self.name)

    def plot(self, name, title, figures, *, kind="bars", x="", y=""):
        """Draws figures: {label: name of a figure}. With 'bars' each label is a group of bars, one a
        subject; with 'lines' it is a number, of an axis that is logarithmic."""
        self.store["plots"][name] = {
            "title": title, "kind": kind, "x": x, "y": y,
            "figures": [[label, figure] for label, figure in figures.items()]}
        self.records.save(self.name)

    def limit(self, size, unit="Mpps"):
        """What two cores can do with frames of so many bytes, or None where it was not measured."""
        return Limits(self.records.suites.values()).of(unit, size)

    # ------------------------------------------------------------------ within

    def _goes_on(self, rounds, shape):
        """A noisy machine gets more rounds, up to a bound. What has a goal counts, if anything has."""
        wanted, most = shape["rounds"], PATIENCE * shape["rounds"]
        if len(rounds) < wanted:
            return True
        if len(rounds) >= most or self.quick:
            return False
        names = dict.fromkeys(name for found in rounds for name in found)
        figures = [Figure(record) for record in figures_of(rounds, shape, names)]
        figures = [figure for figure in figures if figure.goals] or figures
        return any(figure.noise() for figure in figures)

    def _round(self, subjects, baseline, number, failed):
        """{subject: {metric: value}} of a round. Who fails once is not asked again."""
        found = {}
        for place in passes(subjects, baseline, number):
            name = baseline if place == AGAIN else place
            if name in failed:
                continue
            try:
                value = self.cores.measure(subjects[name])
            except LabError as error:
                failed[name] = str(error)
                self._say("%s failed: %s" % (name, error))
                continue
            found[place] = value if isinstance(value, dict) else {"": value}
        return found

    def _keep(self, record):
        self.store["figures"][record["name"]] = {**record, "commit": self.commit}
        self.records.save(self.name)

    def _say(self, text):
        print("%s: %s" % (self.name, text), file=sys.stderr, flush=True)


def figures_of(rounds, shape, subjects):
    """The records of the figures that rounds make, one a metric."""
    metrics = dict.fromkeys(metric for found in rounds for values in found.values()
                            for metric in values)
    for metric in metrics:
        def column(place):
            return [found.get(place, {}).get(metric) for found in rounds]

        of = (lambda value: value.get(metric) if metric and isinstance(value, dict) else value)
        goal = of(shape["goal"])
        names = [name for name in subjects if name != AGAIN]
        peers = goal if isinstance(goal, dict) else {shape["baseline"]: goal} if goal else {}
        yield {"name": "%s: %s" % (shape["name"], metric) if metric else shape["name"],
               "unit": of(shape["unit"]), "better": of(shape["better"]), "goals": peers,
               "command": shape["command"], "size": of(shape["size"]),
               "baseline": shape["baseline"], "again": column(AGAIN),
               "samples": {name: column(name) for name in names}}

