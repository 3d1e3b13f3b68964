# SPDX-License-Identifier: BSD-3-Clause
"""Lines and branches of gcovr's JSON: sums, what is left, and whether that is enough."""

import dataclasses
import os

GOALS = {"lines": 95, "branches": 90}           # percent, of all folders together


@dataclasses.dataclass
class File:
    path: str
    lines: dict                                 # number: how often
    branches: dict                              # (number, which of its branches): how often

    def sums(self):
        return {"lines": _sum(self.lines), "branches": _sum(self.branches)}

    def gaps(self, top):
        """'path:line: code' of lines nothing went through, and of those with a way not gone."""
        with open(os.path.join(top, self.path), encoding="utf-8") as f:
            code = [line.strip() for line in f]
        left = {}
        for (number, which), times in sorted(self.branches.items()):
            if not times and self.lines.get(number):
                left.setdefault(number, []).append(str(which))
        left = {number: "branch " + ", ".join(which) for number, which in left.items()}
        left.update((number, "line") for number, times in self.lines.items() if not times)
        return ["%s:%d: %s: %s" % (self.path, number, what, code[number - 1])
                for number, what in sorted(left.items())]


def _sum(counts):
    return [sum(times > 0 for times in counts.values()), len(counts)]


def files(report):
    """The files of a report; one line of code that several programs contain counts once."""
    return [File(file["file"],
                 {line["line_number"]: line["count"] for line in file["lines"]
                  if not line.get("gcovr/noncode")},
                 {(line["line_number"], which): branch["count"] for line in file["lines"]
                  if not line.get("gcovr/noncode")
                  for which, branch in enumerate(line["branches"])})
            for file in sorted(report["files"], key=lambda file: file["file"])]


def _add(sums, more):
    for kind, (covered, total) in more.items():
        known = sums.setdefault(kind, [0, 0])
        known[0] += covered
        known[1] += total


def summary(all_files):
    """{"goals", "all", "folders", "files"}: [covered, total] of lines and of branches."""
    sums, folders = {"lines": [0, 0], "branches": [0, 0]}, {}
    for file in all_files:
        _add(sums, file.sums())
        _add(folders.setdefault(os.path.dirname(file.path), {}), file.sums())
    return {"goals": GOALS, "all": sums, "folders": folders,
            "files": {file.path: file.sums() for file in all_files}}


def percent(covered, total):
    return 100 * covered / total if total else 100.0


def met(said):
    return all(said["all"][kind][1] > 0 and percent(*said["all"][kind]) >= goal
               for kind, goal in said["goals"].items())


def table(said):
    """Folders with their files, as text."""
    rows = []
    for folder, sums in said["folders"].items():
        rows.append((folder, sums))
        rows += [("  " + os.path.basename(path), sums) for path, sums in said["files"].items()
                 if os.path.dirname(path) == folder]
    rows.append(("all", said["all"]))
    return "\n".join(["%-26s %15s %20s" % ("", "lines", "branches")] + [
        "%-26s %6d  %6.1f %%  %9d  %7.1f %%" % (
            name, sums["lines"][1], percent(*sums["lines"]),
            sums["branches"][1], percent(*sums["branches"])) for name, sums in rows])
