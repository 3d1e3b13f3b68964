#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Has spin look at every state of a model:  model_test.py split|split_event_idx|packed|...

As it stands a model must show no error, and without any one of its barriers (or whatever else it can
be told to do without) it must show the one that the barrier is there for."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))

STALE = r"assertion violated .*(popped|received|asker_at)"  # something older than what led there
TORN = r"assertion violated .*base"                         # a copy of two writes
LOST = r"invalid end state"                                 # all wait, and something is left to do

RING = {"B1": STALE, "B2": STALE, "B3": STALE, "B4": STALE,
        "B5": LOST, "B6": LOST, "B7": LOST, "B8": LOST}
EVENTS = {"B9_ASK": STALE, "B9_ANSWER": STALE}
WORKER = dict.fromkeys(
    ["LOOKING_AGAIN", "ASKING_FIRST", "READING_FD_FIRST", "POLLING_WHAT_STARTS",
     "LOOKING_AT_WHAT_MOVED", "POSTING_TO_THE_NEW_WORKER"], LOST)

WATCHDOG = {"W1": LOST, "W2": LOST}

SLOT = dict.fromkeys(["G1", "G2", "G3", "G4"], TORN)
GUARD = {**SLOT, "REFUSING_ODD": TORN, "LOOKING_AGAIN": TORN}

MODELS = {                      # name: source, options, what it can be told to do without
    "split": ("ring.pml", [], RING),
    "split_event_idx": ("ring.pml", ["-DEVENT_IDX"], RING),
    "packed": ("ring.pml", ["-DPACKED"], RING),
    "packed_event_idx": ("ring.pml", ["-DPACKED", "-DEVENT_IDX"], {**RING, **EVENTS}),
    "worker": ("worker.pml", [], WORKER),
    "watchdog": ("watchdog.pml", [], WATCHDOG),
    "guard": ("guard.pml", [], GUARD),
}

# Where the barriers are, and what they look like there.
SHARED = r"\bvia_(fence|le\d+_(load_acquire|store_release))\("
BARRIERS = {"lib/ring/*.h": SHARED, "lib/base/tell.c": SHARED,
            "lib/mem/guard.c": r"\bmemory_order_(acquire|release)\b"}


def check(source, options, optimise):
    """Looks at every state until there is an error. Returns what spin says."""
    with tempfile.TemporaryDirectory(prefix="viaduct-model-") as folder:
        def run(*words):
            return subprocess.run(words, cwd=folder, check=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True).stdout
        run("spin", "-a", *options, os.path.join(HERE, source))
        run("gcc", "-w", optimise, "-DSAFETY", "-DMEMLIM=2000", "-o", "pan", "pan.c")
        return run("./pan", "-m100000")


def barriers_of_the_code():
    """The name at the beginning of the comment above each fence, acquire and release."""
    names = {}
    for path, looks in [(path, looks) for pattern, looks in BARRIERS.items()
                        for path in sorted(glob.glob(os.path.join(TOP, pattern)))]:
        comment = ""
        with open(path, encoding="utf-8") as code:
            lines = code.readlines()
        for number, line in enumerate(lines, 1):
            begin = re.match(r"\s*/\* (.*)", line)
            if begin:
                comment = begin.group(1)
            if re.search(looks, line):
                name = re.match(r"[BGW]\d\w*", comment)
                names["%s:%u" % (os.path.basename(path), number)] = name and name.group()
    return names


class Model(unittest.TestCase):
    def test_all_is_well_as_it_stands(self):
        said = check(self.source, self.options, "-O2")
        self.assertIn("errors: 0", said)
        self.assertNotIn("search not completed", said)

    def test_without_any_one_of_its_parts_it_fails(self):
        for part, error in self.parts.items():
            with self.subTest(without=part):
                said = check(self.source, [*self.options, "-DWITHOUT_" + part], "-O0")
                self.assertRegex(said, error)

    def test_it_has_the_barriers_of_the_code(self):
        if self.source != "ring.pml":
            return
        found = barriers_of_the_code()
        self.assertNotIn(None, found.values(), found)
        self.assertEqual(set(found.values()), {*RING, *EVENTS, *WATCHDOG, *SLOT},
                         found)


def main():
    if not shutil.which("spin"):
        print("spin is not installed: tests/lab/require check")
        sys.exit(77)            # skipped, for meson
    Model.source, Model.options, Model.parts = MODELS[sys.argv.pop(1)]
    unittest.main(verbosity=2)


main()
