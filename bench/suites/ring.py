# SPDX-License-Identifier: BSD-3-Clause
"""Our driver and our device take turns in one thread, in bursts of 64: what the device's part costs in each
of the ten ring paths, with nothing around it. Forward is dequeue and enqueue with the one copy; switch is
the same by way of the whole learning switch. Cycles are the TSC's; each round is the median of 21 runs.
Instructions do not depend on the machine: `bench/baseline/` has all of them, and `make check` compares."""

import collections
import json
import os
import subprocess

import instructions
from harness import BACK_END_CPU, LESS
from lab.cache import LabError

NAME, TITLE = "ring", "Ring cost"

OPERATIONS = ("forward", "dequeue", "enqueue", "switch")
COUNTED = ("64", "1518")            # frames of which instructions are shown
PLOTTED = ("64", "1518")
UNIT = "TSC cycles a packet"


def needs():
    program = instructions.program()
    return None if os.path.exists(program) else "%s is not built" % program


def title(path, frame):
    return "%s, %s%s" % (path, frame, "" if "GSO" in frame else " bytes")


def cycles(operation):
    """{(path, frame): cycles a packet} of one round."""
    said = subprocess.run(["taskset", "-c", str(BACK_END_CPU), instructions.program(), "-j", "-o",
                           operation], stdout=subprocess.PIPE, text=True)
    if said.returncode:
        raise LabError("bench-rings -o %s failed" % operation)
    cases = map(json.loads, said.stdout.splitlines())
    return {(case["path"], case["frame"]): case["device"] for case in cases}


def measure_cycles(bench):
    found = collections.defaultdict(lambda: {operation: [] for operation in OPERATIONS})
    for _ in range(bench.rounds):
        for operation in OPERATIONS:
            for case, value in cycles(operation).items():
                found[case][operation].append(value)
    for case, samples in found.items():
        bench.record(title(*case), UNIT, samples, better=LESS, command="viaduct bench rings")
    for frame in PLOTTED:
        bench.plot("ring-%s" % frame, "What a packet of %s bytes costs in one thread" % frame,
                   {path: title(path, frame) for path, size in found if size == frame})


def measure_instructions(bench):
    missing = instructions.needs()
    if missing:
        return
    counts = instructions.count()
    for path in counts["forward"]:
        for frame in COUNTED:
            bench.record("instructions: " + title(path, frame), "instructions a packet",
                         {operation: [counts[operation][path][frame]]
                          for operation in OPERATIONS},
                         better=LESS, command="bench/instructions.py")


def run(bench):
    measure_cycles(bench)
    measure_instructions(bench)
