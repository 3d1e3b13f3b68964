# SPDX-License-Identifier: BSD-3-Clause
"""What is made of gcovr's report."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import lines                                                    # noqa: E402


def line(number, count, *branches, **more):
    return {"line_number": number, "count": count,
            "branches": [{"count": times} for times in branches], **more}


REPORT = {"files": [
    {"file": "lib/b/two.c", "lines": [line(1, 4, 4, 0), line(2, 0, 0, 0)]},
    {"file": "lib/a/one.c", "lines": [line(1, 1), line(2, 0, 0, **{"gcovr/noncode": True})]},
]}


class Lines(unittest.TestCase):
    def test_sums_of_files_and_folders(self):
        said = lines.summary(lines.files(REPORT))
        self.assertEqual(said["files"]["lib/b/two.c"], {"lines": [1, 2], "branches": [1, 4]})
        self.assertEqual(said["folders"]["lib/a"], {"lines": [1, 1], "branches": [0, 0]})
        self.assertEqual(said["all"], {"lines": [2, 3], "branches": [1, 4]})

    def test_gaps_are_lines_and_the_ways_not_gone_of_others(self):
        with tempfile.TemporaryDirectory() as top:
            os.makedirs(top + "/lib/b")
            with open(top + "/lib/b/two.c", "w", encoding="utf-8") as f:
                f.write("if (a)\n\tb();\n")
            self.assertEqual(lines.files(REPORT)[1].gaps(top), [
                "lib/b/two.c:1: branch 1: if (a)", "lib/b/two.c:2: line: b();"])

    def test_goals_are_met_by_both_or_not(self):
        for covered, branches, met in ((95, 90, True), (94, 100, False), (100, 89, False)):
            said = {"goals": lines.GOALS,
                    "all": {"lines": [covered, 100], "branches": [branches, 100]}}
            self.assertEqual(lines.met(said), met)

    def test_nothing_counted_meets_nothing(self):
        self.assertFalse(lines.met(lines.summary([])))

    def test_the_table_has_each_file_below_its_folder(self):
        rows = [row.split()[0] for row in
                lines.table(lines.summary(lines.files(REPORT))).splitlines()[1:]]
        self.assertEqual(rows, ["lib/a", "one.c", "lib/b", "two.c", "all"])


unittest.main()
