# SPDX-License-Identifier: BSD-3-Clause
"""What the trust report makes of records; nothing runs but what ends at once."""

import json
import os
import sys
import tempfile
import unittest
import unittest.mock

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)

import records                                                  # noqa: E402
import rows                                                     # noqa: E402
import sources                                                  # noqa: E402
import table                                                    # noqa: E402

CASE = {"case": "HX-01", "variant": "held", "packed": False, "passed": True}
BOTH = [CASE, {**CASE, "packed": True}]
FAILED = {**CASE, "case": "HX-30", "variant": "loop", "passed": False}


class Table(unittest.TestCase):
    def setUp(self):
        self.row = rows.Row("figure", "goal", "hostile", rows.catalogue)

    def line(self, data):
        return table.line(self.row, records.stamped(data))

    def test_what_has_not_run_says_how_to_run_it(self):
        line = table.line(self.row, None)
        self.assertEqual((line.met, line.seen),
                         (table.ABSENT, "not run here: `%s`" % sources.SOURCES["hostile"].how))

    def test_a_record_of_another_form_is_a_missed_goal(self):
        for data in (None, 7, "text", {"a": 1}, [{}]):
            self.assertEqual(self.line(data).met, table.MISSED, data)

    def test_an_empty_run_meets_nothing(self):
        for row in rows.ROWS:
            for empty in ([], {}, "", None):
                line = table.line(row, records.stamped(empty))
                self.assertEqual(line.met, table.MISSED, row.figure)

    def test_every_row_has_a_source(self):
        self.assertLessEqual({row.source for row in rows.ROWS}, set(sources.SOURCES))

    def test_it_counts_what_is_met_missed_and_not_run(self):
        met = self.line(BOTH)
        text = table.text([met, self.line([FAILED]), table.line(self.row, None)], records.stamped(None))
        self.assertIn("\n1 of 3 as they should be, 1 missed, 1 not run.", text)
        self.assertEqual(text.count("\n|"), 5)     # with the head

    def test_a_bar_in_a_cell_stays_in_it(self):
        line = table.Line("a|b", "goal", "seen", table.MET)
        self.assertIn("| a\\|b |", table.text([line], records.stamped(None)))


class Rows(unittest.TestCase):
    def test_catalogue_wants_both_formats(self):
        self.assertEqual(rows.catalogue(BOTH), ("1 of 1 split, 1 of 1 packed", True))
        self.assertFalse(rows.catalogue([CASE])[1])

    def test_catalogue_names_what_failed(self):
        self.assertEqual(rows.catalogue([*BOTH, FAILED]),
                         ("1 of 2 split, 1 of 1 packed: not HX-30 split", False))

    def test_a_failed_case_is_a_way_to_harm(self):
        self.assertEqual(rows.ways_to_harm(BOTH), ("0 in 2 cases", True))
        self.assertEqual(rows.ways_to_harm([*BOTH, FAILED]), ("1 in 3 cases; HX-30 loop", False))

    def test_campaigns_are_counted_over_both_formats(self):
        runs = [{"campaign": "truncations", "packed": packed, "passed": True, "count": 5000}
                for packed in (False, True)]
        self.assertEqual(rows.truncations(runs), ("10000 truncations", True))
        self.assertFalse(rows.truncations([{**runs[0], "count": 4999}, runs[1]])[1])
        self.assertFalse(rows.truncations([runs[0], runs[0]])[1])
        self.assertEqual(rows.truncations([*runs, {**runs[0], "passed": False}]),
                         ("10000 truncations (not all passed)", False))
        self.assertFalse(rows.lives(runs)[1])

    def test_stalled_peers_say_when_they_were_dropped(self):
        run = {"campaign": "stalled-peer", "passed": True, "count": 22, "dropped_after_s": 10.12,
               "fresh_us": {"max": 3000}, "control_us": {"max": 7000}}
        both = [{**run, "packed": False}, {**run, "packed": True}]
        self.assertEqual(rows.stalled_peers(both), (
            "44 peers, dropped after 10.1/10.1 s; nobody else waited longer than 7 ms", True))
        self.assertFalse(rows.stalled_peers(both[:1])[1])
        self.assertEqual(rows.stalled_peers([]), ("failed", False))

    def test_noise_is_judged_by_the_worse_format(self):
        run = {"campaign": "noisy-neighbour", "passed": True, "kept": 0.999, "attacks": 10,
               "seconds": 60, "p99_ratio": {"control_us": 1.5}}
        for worse, met in (({}, True), ({"kept": 0.94}, False), ({"p99_ratio": {"control_us": 3.1}}, False)):
            both = [{**run, "packed": False}, {**run, **worse, "packed": True}]
            self.assertEqual(rows.noise(both)[1], met)

    def test_coverage_needs_lines_and_branches(self):
        goals = {"lines": 95, "branches": 90}
        for lines, branches, met in ((95, 90, True), (94, 99, False), (99, 89, False)):
            data = {"goals": goals, "all": {"lines": [lines, 100], "branches": [branches, 100]}}
            self.assertEqual(rows.coverage(data)[1], met)

    def test_a_finding_of_faults_misses_the_goal(self):
        data = {"calls": {"malloc": {"sites": 2, "cases": 5}, "mmap": {"sites": 1, "cases": 2}},
                "findings": []}
        self.assertEqual(rows.faults(data),
                         ("2 kinds of calls at 3 sites in 7 ways: 0 findings", True))
        self.assertFalse(rows.faults({**data, "findings": [{}]})[1])

    def test_fuzzing_goes_on_until_nothing_new_comes(self):
        row = {"executions": 2000000, "cpu_seconds": 1800, "last_edge_at": 1200, "edges": 50, "commit": "c"}
        self.assertEqual(rows.fuzzing({"a": row, "b": row}),
                         ("2 targets, 60 CPU minutes, 4 million executions, 100 edges", True))
        for late in ({"cpu_seconds": 1799, "last_edge_at": 0}, {"last_edge_at": 1201}):
            said, met = rows.fuzzing({"a": row, "b": {**row, **late}})
            self.assertFalse(met)
            self.assertTrue(said.endswith("; not yet: b"))

    def test_what_survives_needs_a_reason_and_all_must_have_run(self):
        good = "survived: lib/a.c\n7 checks and barriers: 5 killed, 2 survived with a reason\n"
        self.assertEqual(rows.mutants(good), (good.splitlines()[1], True))
        for more in ("1 not run", "1 survived", "1 unreached"):
            self.assertFalse(rows.mutants("8 checks and barriers: 5 killed, %s\n" % more)[1])

    def test_calls_are_counted_without_their_reasons(self):
        text = "  read\n      eventfds\n      lines\n  write\n      kicks\n"
        self.assertEqual(rows.calls(text), ("2", True))
        self.assertEqual(rows.calls(text + "  openat\n"), ("3, among them openat", False))
        self.assertFalse(rows.calls("".join("  call%d\n" % i for i in range(31)))[1])

    def test_costs_have_no_goal_but_to_be_there(self):
        text = ("| operation | ring | with checks | without | checks |\n| --- | --- | ---: | ---: | ---: |\n"
                "| egress | split | 70.1 | 66.0 | 4.1 (6 %) |\n")
        self.assertEqual(rows.costs(text), ("egress split: 70.1 with, 66.0 without", None))
        self.assertEqual(rows.costs("| rule | by |\n\nMore of it.\n" + text), rows.costs(text))
        self.assertFalse(rows.costs("")[1])


class Records(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="viaduct-trust-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        patch = unittest.mock.patch.dict(os.environ, VIADUCT_BUILD=self.folder)
        patch.start()
        self.addCleanup(patch.stop)

    def test_what_is_kept_is_found(self):
        record = records.stamped({"a": 1}, ended=2)
        records.keep("hostile", record)
        self.assertEqual(records.find("hostile"), record)

    def test_what_is_not_there_or_broken_is_no_record(self):
        self.assertIsNone(records.find("hostile"))
        os.makedirs(records.folder())
        for text in ("", "{", "[]", "{}"):
            with open(records.folder() + "/hostile.json", "w", encoding="utf-8") as f:
                f.write(text)
            self.assertIsNone(records.find("hostile"), text)


class Sources(unittest.TestCase):
    def test_a_ledger_is_as_old_as_its_last_change(self):
        source = sources.Source("true", ledger="meson.build")
        record = sources.read_tree(source.ledger)
        self.assertRegex(record["data"], "project")
        self.assertRegex(record["when"], r"^\d{4}-\d\d-\d\d \d\d:\d\d$|^$")
        self.assertIsNone(sources.read_tree("no such file"))
        self.assertEqual(self.run_one("true", ledger="meson.build"), (None, 0))

    def run_one(self, *words, **more):
        with unittest.mock.patch("builtins.print"):
            return sources.run(sources.Source(*words, **more))

    def test_what_a_program_prints_is_its_record(self):
        self.assertEqual(self.run_one("printf '  read\\n'"), ("  read\n", 0))

    def test_figures_that_a_program_writes_are_its_record(self):
        self.assertEqual(self.run_one("sh -c 'echo [1] > {json}; exit 3'"), ([1], 3))

    def test_a_program_that_writes_nothing_leaves_nothing(self):
        self.assertEqual(self.run_one("sh -c 'exit 1' {json}"), (None, 1))
        self.assertEqual(self.run_one("sh -c 'exit 2'"), (None, 2))

    def test_a_file_that_a_program_keeps_may_be_json_by_the_line(self):
        with tempfile.NamedTemporaryFile("w") as log:
            log.writelines(json.dumps({"result": result}) + "\n" for result in ("OK", "FAIL"))
            log.flush()
            data, _ = self.run_one("true", kept=log.name)
        self.assertEqual(rows.models(data), ("1 of 2 models", False))


unittest.main()
