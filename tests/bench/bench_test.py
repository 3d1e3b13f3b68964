# SPDX-License-Identifier: BSD-3-Clause
"""What the bench makes of samples; it measures nothing itself."""

import os
import sys
import tempfile
import types
import unittest
import xml.etree.ElementTree

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [os.path.join(TOP, "bench"), os.path.join(TOP, "tests")]

import harness                                                  # noqa: E402
import judge                                                    # noqa: E402
import plot                                                     # noqa: E402
import report                                                   # noqa: E402

SUITE = types.SimpleNamespace(NAME="try", TITLE="A try", __doc__="About it.")
HERE = {"cpu": "CPU", "cores": 2, "kernel": "6", "compiler": "cc", "packages": ["dpdk 1"]}


def figure(samples, again=None, **more):
    return judge.Figure({"name": "f", "unit": "Mpps", "better": judge.MORE, "samples": samples,
                         "again": again, "baseline": "peer", "size": None, **more})


class Judge(unittest.TestCase):
    def test_ratio_is_the_median_of_the_rounds_ratios(self):
        # Not the ratio of the medians, which is 2/2.
        f = figure({"viaduct": [1, 2, 9], "peer": [2, 1, 3]})
        self.assertEqual(f.ratio("viaduct", "peer"), (2, 0.5, 3, 3))

    def test_baseline_is_the_mean_of_its_two_passes(self):
        self.assertEqual(figure({"viaduct": [1], "peer": [2]}, [4]).values("peer"), [3])

    def test_a_subject_that_differs_from_itself_is_noise(self):
        quiet = figure({"peer": [100, 100, 100]}, [102, 99, 101])
        noisy = figure({"peer": [100, 104, 100]}, [105, 100, 104])
        self.assertIsNone(quiet.noise())
        self.assertAlmostEqual(noisy.noise(), 1.04)

    def test_a_machine_that_slows_down_is_noise_whatever_the_order(self):
        self.assertAlmostEqual(judge.self_ratio([1, 0.9, 1, 0.9], [0.9, 1, 0.9, 1]), 0.9)

    def test_goals(self):
        f = figure({"viaduct": [2, 2], "peer": [1, 1]}, [1, 1],
                   goals={"peer": ">= 1.8", "": "<= 1"})
        self.assertEqual([met for _, _, met in f.verdicts()], [True, False])
        noisy = figure({"viaduct": [2], "peer": [1]}, [2], goals={"peer": ">= 1.8"})
        self.assertEqual([met for _, _, met in noisy.verdicts()], [None])

    def test_a_goal_over_several_figures(self):
        figures = {"a": figure({"viaduct": [4], "peer": [10]}),
                   "b": figure({"viaduct": [8], "peer": [10]}),
                   "c": figure({"viaduct": [1], "peer": [10]})}
        over = judge.Over({"name": "all", "of": ["a", "b", "c"], "peer": "peer",
                           "goal": "<= 0.5", "worst": "<= 0.7"}, figures)
        self.assertEqual([met for _, _, met in over.verdicts()], [True, False])


class FakeCores(harness.Cores):
    """Cores whose distances are known; the last one stays."""

    WAIT = 0

    def __init__(self, distances):
        self.distances = distances
        super().__init__(tries=2)

    def distance(self):
        return self.distances.pop(0) if len(self.distances) > 1 else self.distances[0]


class Harness(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder, self.records = folder.name, harness.Records(folder.name)
        self.cores = FakeCores([100] * 5)
        self.bench = harness.Bench(self.records, SUITE, rounds=2, seconds=0, here=HERE,
                                   cores=self.cores)
        self.bench._say = lambda text: None
        self.calls = []

    def subject(self, name, value):
        def measure():
            self.calls.append(name)
            return value
        return measure

    def test_rounds_are_interleaved_and_turn_around(self):
        self.bench.compare("f", "Mpps", judge.MORE, {name: self.subject(name, 1) for name in "xyz"},
                           baseline="y")
        self.assertEqual("".join(self.calls), "yxzy" + "yzxy")

    def test_brief_passes_are_more(self):
        self.bench.compare("f", "Mpps", judge.MORE, {"a": self.subject("a", 1)}, brief=True)
        self.assertEqual(len(self.calls), 2 * 2 * harness.BRIEF)    # the baseline twice a round

    def test_noise_asks_for_more_rounds_up_to_a_bound(self):
        values = iter(range(1, 100))
        self.bench.compare("f", "Mpps", judge.MORE, {"a": lambda: next(values)})
        self.assertEqual(len(self.records.suites["try"]["figures"]["f"]["samples"]["a"]), 4)

    def test_a_pass_while_the_cores_were_far_apart_is_repeated(self):
        values = iter("abcd")
        near = FakeCores([100] * (harness.Cores.LOOKS + 1) + [400, 400, 100, 100])
        self.assertEqual(near.measure(lambda: next(values)), "b")
        far = FakeCores([100] * (harness.Cores.LOOKS + 1) + [400])
        self.assertEqual((far.measure(lambda: next(values)), far.far), ("d", 1))

    def test_who_fails_is_named_and_the_others_go_on(self):
        def fails():
            raise harness.LabError("no such thing")
        self.bench.compare("f", "Mpps", judge.MORE, {"viaduct": self.subject("v", 1),
                                                     "peer": fails}, goal={"peer": ">= 2"})
        record = self.records.suites["try"]["figures"]["f"]
        self.assertEqual(record["failed"], {"peer": "no such thing"})
        self.assertEqual(record["samples"], {"viaduct": [1, 1], "peer": [None, None]})

    def test_a_figure_of_each_metric(self):
        self.bench.compare("f", {"rate": "Mpps", "cost": "cycles"},
                           {"rate": judge.MORE, "cost": judge.LESS},
                           {name: self.subject(name, {"rate": 2, "cost": 3}) for name in "ab"},
                           goal={"cost": "<= 1"})
        figures = self.records.suites["try"]["figures"]
        self.assertEqual([(f["unit"], f["goals"]) for f in figures.values()],
                         [("Mpps", {}), ("cycles", {"a": "<= 1"})])

    def test_records_outlive_the_run_but_not_the_machine(self):
        self.bench.record("f", "s", [1])
        again = harness.Records(self.folder)
        self.assertIn("f", again.open(SUITE, HERE)["figures"])
        self.assertEqual(again.open(SUITE, {**HERE, "cores": 4})["figures"], {})

    def test_limits(self):
        self.bench.record("copy", "Mpps", {"machine": [10, 10]}, better=judge.MORE, size=64, limit=True)
        self.bench.record("f", "Mpps", [4], better=judge.MORE, size=64)
        self.assertEqual(self.bench.limit(64), 10)
        report.write(self.records, self.folder, ["try"])
        with open(self.folder + "/RESULTS.md") as f:
            self.assertIn("| f | 4.00 | 40 % | 1 |", f.read())

    def test_report(self):
        self.bench.compare("good | thing", "Mpps", judge.MORE,
                           {"peer": self.subject("p", 1), "viaduct": self.subject("v", 2)},
                           goal=">= 1.8", command="do it", size=64)
        self.bench.store["figures"]["noisy"] = {
            **self.bench.store["figures"]["good | thing"], "name": "noisy", "again": [2, 2]}
        self.bench.plot("p", "A plot & more", {"64 <bytes>": "good | thing"})
        report.write(self.records, self.folder, ["try"])
        with open(self.folder + "/RESULTS.md") as f:
            text = f.read()
        self.assertIn("| good \\| thing | >= 1.8 × peer | 2.00 | met |", text)
        self.assertIn("too noisy: peer twice differs by", text)
        self.assertIn("Command: `do it`", text)
        xml.etree.ElementTree.parse(self.folder + "/plots/p.svg")


class Plot(unittest.TestCase):
    def test_plots_are_well_formed(self):
        figures = {"a": figure({"viaduct": [1, 2, 3], "peer": [1, 1, 2]}),
                   "b": figure({"viaduct": [10, 20, 30], "peer": [None] * 3}),
                   "zero": figure({"viaduct": [0]})}
        for kind, labels in (("bars", ("a & b", '<"b">', "c")), ("lines", (0, 10, 1000))):
            for names in (("a", "b", "zero"), ("zero",)):
                wish = {"title": 'T & "t"', "kind": kind, "x": "x", "y": "",
                        "figures": list(zip(labels, names))}
                root = xml.etree.ElementTree.fromstring(plot.draw(wish, figures))
                self.assertTrue(root.tag.endswith("svg"))
        self.assertIsNone(plot.draw({**wish, "figures": [["a", "not measured"]]}, figures))

    def test_ticks_are_round_and_reach_the_highest(self):
        for highest in (0, 0.013, 1, 7.2, 99, 1e6):
            marks = plot.ticks(highest)
            self.assertGreaterEqual(marks[-1], highest)
            self.assertLess(len(marks), 9)


if __name__ == "__main__":
    unittest.main()
