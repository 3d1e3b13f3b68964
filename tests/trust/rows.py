# SPDX-License-Identifier: BSD-3-Clause
"""The figures of the trust report: one row each, with its goal, and a small reader that finds it in the
record of one source. A reader returns (what was seen, whether that meets the goal; None: no goal)."""

import dataclasses
import re
import typing

NEVER_OPEN = {"open", "openat", "openat2", "creat", "open_by_handle_at", "execve", "execveat",
              "mprotect", "pkey_mprotect", "shmat", "memfd_create"}
FUZZ_MINUTES, FUZZ_QUIET_MINUTES = 30, 10


@dataclasses.dataclass(frozen=True)
class Row:
    figure: str
    goal: str
    source: str
    read: typing.Callable


def _percent(part, whole):
    return 100 * part / whole if whole else 0.0


# ---- tests/hostile ----

def _verdict(cases):
    """Of some cases of the catalogue."""
    failed = ["%s %s" % (case["case"], "packed" if case["packed"] else "split")
              for case in cases if not case["passed"]]
    said = ", ".join("%d of %d %s" % (
        sum(case["passed"] for case in cases if case["packed"] == packed),
        sum(case["packed"] == packed for case in cases), name)
        for packed, name in ((False, "split"), (True, "packed")))
    return said + (": not " + ", ".join(sorted(set(failed))) if failed else ""), \
        bool(cases) and not failed and {case["packed"] for case in cases} == {False, True}


def catalogue(data):
    return _verdict(data)


def ways_to_harm(data):
    """A case whose oracles fail is one: they are the daemon's life, and other ports' answers and traffic."""
    ways = sorted({"%s %s" % (case["case"], case["variant"]) for case in data if not case["passed"]})
    return ("%d in %d cases" % (len(ways), len(data)) + "".join("; " + way for way in ways),
            bool(data) and not ways)


# ---- campaigns of tests/hostile, split and packed ----

def _campaign(data, name):
    """Its records, and whether there is a good one of each format."""
    found = [run for run in data if run["campaign"] == name]
    return found, {run["packed"] for run in found if run["passed"]} == {False, True} and all(
        run["passed"] for run in found)


def _counts(data, goals):
    """Campaigns that are repeated so often, both formats together."""
    said, met = [], True
    for name, (what, goal) in goals.items():
        found, good = _campaign(data, name)
        count = sum(run.get("count", 0) for run in found if run["passed"])
        said.append("%d %s" % (count, what) + ("" if good else " (not all passed)"))
        met = met and good and count >= goal
    return ", ".join(said), met


def lives(data):
    return _counts(data, {"reconnects": ("reconnects", 100000),
                          "front-end-kills": ("kills of front-ends", 10000),
                          "daemon-kills": ("of the daemon", 1000)})


def truncations(data):
    return _counts(data, {"truncations": ("truncations", 10000)})


def stalled_peers(data):
    found, good = _campaign(data, "stalled-peer")
    good_ones = [run for run in found if run["passed"]]
    if not good_ones:
        return "failed", False
    return ("%d peers, dropped after %s s; nobody else waited longer than %.0f ms" % (
        sum(run["count"] for run in good_ones),
        "/".join("%.1f" % run["dropped_after_s"] for run in good_ones),
        max(run[who]["max"] for run in good_ones for who in ("fresh_us", "control_us")) / 1000), good)


def noise(data):
    found, good = _campaign(data, "noisy-neighbour")
    good_ones = [run for run in found if run["passed"]]
    if not good_ones:
        return "failed", False
    kept = min(run["kept"] for run in good_ones)
    ratio = max(run["p99_ratio"]["control_us"] for run in good_ones)
    return ("keeps %.2f %%, p99 of control × %.2f, beside %d attacks in %d minutes" % (
        100 * kept, ratio, sum(run["attacks"] for run in good_ones),
        sum(run["seconds"] for run in good_ones) // 60), good and kept >= 0.95 and ratio <= 3)


# ---- coverage, mutation, faults, models ----

def coverage(data):
    lines, branches = data["all"]["lines"], data["all"]["branches"]
    percent = _percent(*lines), _percent(*branches)
    return ("%.1f %% of %d lines, %.1f %% of %d branches" % (percent[0], lines[1], percent[1],
                                                            branches[1]),
            percent[0] >= data["goals"]["lines"] and percent[1] >= data["goals"]["branches"])


def faults(data):
    sites = sum(call["sites"] for call in data["calls"].values())
    cases = sum(call["cases"] for call in data["calls"].values())
    return ("%d kinds of calls at %d sites in %d ways: %d findings" % (
        len(data["calls"]), sites, cases, len(data["findings"])), cases > 0 and not data["findings"])


def models(data):
    passed = sum(test["result"] == "OK" for test in data)
    return "%d of %d models" % (passed, len(data)), 0 < passed == len(data)


# ---- ledgers ----

def fuzzing(targets):
    """{target: {"executions", "cpu_seconds", "last_edge_at", "edges", "commit"}}"""
    quiet = {name: row["cpu_seconds"] - row["last_edge_at"] for name, row in targets.items()}
    short = sorted(name for name, row in targets.items() if row["cpu_seconds"] < 60 * FUZZ_MINUTES
                   or quiet[name] < 60 * FUZZ_QUIET_MINUTES)
    said = "%d targets, %.0f CPU minutes, %d million executions, %d edges" % (
        len(targets), sum(row["cpu_seconds"] for row in targets.values()) / 60,
        sum(row["executions"] for row in targets.values()) // 1000000,
        sum(row["edges"] for row in targets.values()))
    return said + ("; not yet: " + ", ".join(short) if short else ""), bool(targets) and not short


def mutants(text):
    """The last line of tests/mutation/run: '9 checks and barriers: 5 killed, 1 not run, 2 unreached, …'"""
    last = text.splitlines()[-1]
    counts = {what: int(n) for n, what in re.findall(r"(\d+) ([a-z ]+)", last.partition(": ")[2])}
    return last, counts.get("killed", 0) > 0 and set(counts) <= {"killed", "survived with a reason"}


# ---- what the build says itself ----

def calls(text):
    names = {line.strip() for line in text.splitlines() if line.startswith("  ") and line[2:3] != " "}
    bad = sorted(names & NEVER_OPEN)
    return ("%d" % len(names) + (", among them " + ", ".join(bad) if bad else ""),
            0 < len(names) <= 30 and not bad)


def costs(text):
    """Rows of bench/checks.py, wherever they are: | operation | ring | with | without | difference (%) |"""
    rows = re.findall(r"^\| (\w+) \| ([\w ]+) \| ([\d.]+) \| ([\d.]+) \| [\d.]+ \(", text, re.M)
    return ("<br>".join("%s %s: %s with, %s without" % row for row in rows), None) if rows \
        else ("nothing", False)


ROWS = [
    Row("catalogue cases passed, split and packed", "all", "hostile", catalogue),
    Row("ways for one peer to end the process or stall another port", "none", "hostile", ways_to_harm),
    Row("witness beside a noisy neighbour", "keeps ≥ 95 % of its packets, p99 of control answers ≤ 3 ×",
        "campaigns", noise),
    Row("a stalled peer is dropped", "after its deadline; nothing waits for it", "campaigns", stalled_peers),
    Row("fuzzing: each target", "≥ 30 CPU minutes, none of the last 10 with a new edge", "fuzz", fuzzing),
    Row("line and branch coverage of lib/mem, ring, vhost, net", "lines ≥ 95 %, branches ≥ 90 %",
        "coverage", coverage),
    Row("checks and barriers of those folders removed one at a time", "some test fails for each", "mutation",
        mutants),
    Row("reconnects / kills of front-ends / of daemons (20 with a real guest: `make check-kill`)",
        "100,000 / 10,000 / 1,000; nothing stuck or leaked", "campaigns", lives),
    Row("truncations of guest memory under traffic", "10,000 survived, neighbours unaffected", "campaigns",
        truncations),
    Row("allocations and system calls made to fail, each once at each site", "no leak, no crash",
        "faults", faults),
    Row("models of barriers (sleeping and waking up, the guard), and each without one", "right; wrong without",
        "model", models),
    Row("system calls left to the data process", "≤ 30; none opens files or maps code", "calls", calls),
    Row("instructions a packet, with the checks and without", "published", "costs", costs),
]
