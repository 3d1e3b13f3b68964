#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Instructions a packet of the ring cost (bench/rings.h), counted by callgrind: exact for a given compiler,
so a change of one in a hundred is seen on any machine, however busy.

    bench/instructions.py             compares with the baseline of this build in bench/baseline/
    bench/instructions.py --renew     makes that the baseline; commit it with the change that moved it

What is counted is the device's part of a burst, without the driver, after a warm-up. libc's copy routine
is pinned to one that every x86-64 has, as it would be chosen by the CPU."""

import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests"))

from lab.viaductd import build_folder                           # noqa: E402

BASELINES = os.path.join(HERE, "baseline")
PACKETS = 1024                      # RINGS_COUNTED of rings.h
TOLERANCE = 0.01
PINNED = ("glibc.cpu.hwcaps=-AVX_Fast_Unaligned_Load,-AVX512F,-AVX512VL,-ERMS,-FSRM,-SSSE3"
          ":glibc.cpu.x86_non_temporal_threshold=0x10000000")


def program():
    return os.path.join(build_folder(), "bench/bench-rings")


def built_by():
    """What counts depend on besides the code: compiler, CPU family, kind of build, libc."""
    return subprocess.run([program(), "-b"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()


def needs():
    """Why nothing can be counted here, or None."""
    if not os.path.exists(program()):
        return "%s is not built" % program()
    if not shutil.which("valgrind"):
        return "valgrind is missing: apt-get install valgrind"
    return None


def count(words=()):
    """{operation: {path: {frame: instructions a packet}}} of the cases that 'words' choose."""
    with tempfile.TemporaryDirectory(prefix="viaduct-callgrind-") as folder:
        said = subprocess.run(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + folder + "/case",
             "--toggle-collect=rings_counted", "--dump-after=rings_count_end",
             program(), "-n", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={"PATH": os.environ["PATH"], "GLIBC_TUNABLES": PINNED})
        if said.returncode:
            raise RuntimeError("valgrind: " + said.stderr[-1000:])
        found = collections.defaultdict(lambda: collections.defaultdict(dict))
        for number, line in enumerate(said.stdout.splitlines(), 1):
            case = json.loads(line)
            with open("%s/case.%d" % (folder, number)) as f:
                total = int(re.search(r"^totals: (\d+)", f.read(), re.M).group(1))
            found[case["operation"]][case["path"]][case["frame"]] = round(total / PACKETS, 1)
    return found


# ---------------------------------------------------------------------- baseline

def baseline_path():
    return os.path.join(BASELINES, built_by() + ".json")


def baseline():
    """What was counted when the baseline was made, or None: there is none of this build."""
    if not os.path.exists(baseline_path()):
        return None
    with open(baseline_path()) as f:
        return json.load(f)


def renew(found):
    """A line a path, so that a change of one is a change of one line."""
    parts = ["  %s: {\n%s\n  }" % (json.dumps(operation), ",\n".join(
        "    %s: %s" % (json.dumps(path), json.dumps(row)) for path, row in rows.items()))
        for operation, rows in found.items()]
    os.makedirs(BASELINES, exist_ok=True)
    with open(baseline_path(), "w") as f:
        f.write("{\n%s\n}\n" % ",\n".join(parts))


def differences(found, then):
    """A line for each case that moved by more than TOLERANCE, or is in one of the two only."""
    lines = []
    for (case, now), (_, old) in zip(cases(found, then), cases(then, found)):
        if now is None or old is None:
            lines.append("%s: only %s the baseline" % (case, "in" if now is None else "not in"))
        elif abs(now / old - 1) > TOLERANCE:
            lines.append("%s: %.1f instructions a packet, the baseline has %.1f (%+.1f %%)"
                         % (case, now, old, (now / old - 1) * 100))
    return lines


def cases(counts, others):
    """(name, count) of all cases of both, in one order; count None where there is none."""
    names = dict.fromkeys((operation, path, frame) for side in (counts, others)
                          for operation, rows in side.items()
                          for path, row in rows.items() for frame in row)
    for operation, path, frame in sorted(names):
        yield ("%s, %s, %s bytes" % (operation, path, frame),
               counts.get(operation, {}).get(path, {}).get(frame))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renew", action="store_true")
    o = parser.parse_args()
    missing = needs()
    if missing:
        sys.exit("instructions: " + missing)
    found, then = count(), baseline()
    moved = differences(found, then) if then else []
    print("\n".join(moved or ["as the baseline has it" if then else
                              "there is no baseline of " + built_by()]))
    if o.renew:
        renew(found)
        print("wrote " + baseline_path())
    elif moved or not then:
        sys.exit(1)


if __name__ == "__main__":
    main()
