# SPDX-License-Identifier: BSD-3-Clause
"""The figures of the trust report: one row each, with its goal, and a small reader that finds it in the
record of one source. A reader returns (what was seen, whether that meets the goal; None: no goal)."""

import dataclasses
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


def stalled_peers(data):
    """HX-01 and HX-02 hold messages back, and look at other ports meanwhile."""
    return _verdict([case for case in data if case["case"] in ("HX-01", "HX-02")])


def ways_to_harm(data):
    """A case whose oracles fail is one: they are the daemon's life, and other ports' answers and traffic."""
    ways = sorted({"%s %s" % (case["case"], case["variant"]) for case in data if not case["passed"]})
    return ("%d in %d cases" % (len(ways), len(data)) + "".join("; " + way for way in ways),
            bool(data) and not ways)


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

def fuzzing(data):
    """{target: {"executions", "cpu_seconds", "last_edge_at", "edges", "commit"}}"""
    targets = data[0]
    quiet = {name: row["cpu_seconds"] - row["last_edge_at"] for name, row in targets.items()}
    short = sorted(name for name, row in targets.items() if row["cpu_seconds"] < 60 * FUZZ_MINUTES
                   or quiet[name] < 60 * FUZZ_QUIET_MINUTES)
    said = "%d targets, %.0f CPU minutes, %d million executions, %d edges" % (
        len(targets), sum(row["cpu_seconds"] for row in targets.values()) / 60,
        sum(row["executions"] for row in targets.values()) // 1000000,
        sum(row["edges"] for row in targets.values()))
    return said + ("; not yet: " + ", ".join(short) if short else ""), bool(targets) and not short


def mutants(data):
    """Lines 'key verdict by name' of the ledger; names in the other file survive with a reason."""
    ledger, reasons = data
    excused = {line.strip() for line in reasons.splitlines() if line.startswith("lib/")}
    rows = [line.split("\t") for line in ledger.splitlines() if not line.startswith("#")]
    killed = sum(verdict == "killed" for _, verdict, _, _ in rows)
    left = [name for _, verdict, _, name in rows if verdict != "killed" and name not in excused]
    return ("%d removed: %d noticed, %d survive with a reason, %d without" % (
        len(rows), killed, len(rows) - killed - len(left), len(left)), bool(rows) and not left)


# ---- what the build says itself ----

def calls(text):
    names = {line.strip() for line in text.splitlines() if line.startswith("  ") and line[2:3] != " "}
    bad = sorted(names & NEVER_OPEN)
    return ("%d" % len(names) + (", among them " + ", ".join(bad) if bad else ""),
            0 < len(names) <= 30 and not bad)


def costs(text):
    """Rows of bench/checks.py: | operation | ring | with checks | without | checks |"""
    rows = [[cell.strip() for cell in line.strip("|\n ").split("|")] for line in text.splitlines()
            if line.startswith("|")][2:]
    return ("<br>".join("%s %s: %s with, %s without" % tuple(row[:4]) for row in rows), None) if rows \
        else ("nothing", False)


ROWS = [
    Row("catalogue cases passed, split and packed", "all", "hostile", catalogue),
    Row("ways for one peer to end the process or stall another port", "none", "hostile", ways_to_harm),
    Row("a stalled peer is dropped", "after its deadline; nothing waits for it", "hostile", stalled_peers),
    Row("line and branch coverage of lib/mem, ring, vhost, net", "lines ≥ 95 %, branches ≥ 90 %",
        "coverage", coverage),
    Row("fuzzing: each target", "≥ 30 CPU minutes, none of the last 10 with a new edge", "fuzz", fuzzing),
    Row("checks and barriers of those folders removed one at a time", "some test fails for each", "mutation",
        mutants),
    Row("allocations and system calls made to fail, each once at each site", "no leak, no crash",
        "faults", faults),
    Row("models of sleeping and waking up, and each without one barrier", "right; wrong without",
        "model", models),
    Row("system calls left to the data process", "≤ 30; none opens files or maps code", "calls", calls),
    Row("instructions a packet, with the checks and without", "published", "costs", costs),
]
