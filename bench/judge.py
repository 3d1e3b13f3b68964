# SPDX-License-Identifier: BSD-3-Clause
"""What samples say: medians, ratios, whether the machine was too noisy, whether a goal is met.

Nothing is measured or printed here, so that tests/bench can say what is right."""

import collections
import operator
import re
import statistics

QUIET = (0.97, 1.03)                # where the ratio of a subject to itself must lie
LESS, MORE = "less is better", "more is better"

Spread = collections.namedtuple("Spread", "median lowest highest rounds")


def spread(values):
    """Of the rounds that have a value; None if none has."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    return Spread(statistics.median(there), min(there), max(there), len(there))


def ratios(above, below):
    """Round by round; None where there is none."""
    return [a / b if a is not None and b else None for a, b in zip(above, below)]


def self_ratio(first, again):
    """By how much a subject differs from itself: the median of its ratios, each of which has the
    same direction in time, lest a machine that gets slower all the time looks like a quiet one.
    The passes change places from round to round (harness.passes), and so do the ratios here."""
    turned = [pair[::-1] if number % 2 else pair
              for number, pair in enumerate(zip(first, again))]
    found = spread(ratios([b for _, b in turned], [a for a, _ in turned]))
    return found.median if found else None


def meets(value, goal):
    """Whether a value meets a goal such as '>= 1.8', '<= 2', '< 1'."""
    sign, number = re.match(r"(<=|>=|<|>)\s*([\d.]+)", goal).groups()
    return {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}[sign](
        value, float(number))


class Figure:
    """A figure, made of its record (harness.figures_of): what each subject showed, round by round."""

    def __init__(self, record):
        self.record = record
        self.name, self.unit, self.better = (record[key] for key in ("name", "unit", "better"))
        self.samples, self.again = record["samples"], record.get("again")
        self.baseline = record.get("baseline")
        self.goals = record.get("goals", {})

    @property
    def subjects(self):
        return list(self.samples)

    @property
    def subject(self):
        """Whom the goals are about: the first that is not the baseline."""
        return next((name for name in self.samples if name != self.baseline), self.baseline)

    @property
    def rounds(self):
        return max(map(len, self.samples.values()))

    def values(self, subject):
        """One a round. The baseline was measured twice: the mean of both, which lie before and after
        the others, so that a drift within a round falls out of the ratio."""
        values = self.samples.get(subject, [])
        if subject != self.baseline or not self.again:
            return values
        return [None if None in pair else statistics.fmean(pair)
                for pair in zip(values, self.again)]

    def spread(self, subject):
        return spread(self.values(subject))

    def ratio(self, subject, peer):
        return spread(ratios(self.values(subject), self.values(peer)))

    def noise(self):
        """The ratio of the baseline to itself if that is too far from 1, else None."""
        if not self.again:
            return None
        found = self_ratio(self.samples.get(self.baseline, []), self.again)
        return None if found is None or QUIET[0] <= found <= QUIET[1] else found

    def verdicts(self):
        """(goal in words, Spread or None, met or None) of each goal. With a peer it is about the
        ratio, without one about the value."""
        for peer, goal in self.goals.items():
            found = self.ratio(self.subject, peer) if peer else self.spread(self.subject)
            found = None if self.noise() else found
            yield ("%s × %s" % (goal, peer) if peer else "%s %s" % (goal, self.unit), found,
                   meets(found.median, goal) if found else None)


class Over:
    """A goal for several figures at once: the median of their ratios, and the worst of them."""

    def __init__(self, record, figures):
        self.name, self.goal, self.worst = record["name"], record["goal"], record.get("worst")
        self.peer = record["peer"]
        there = [figures[name] for name in record["of"] if name in figures]
        self.missing = len(record["of"]) - len(there)
        self.noisy = sum(figure.noise() is not None for figure in there)
        found = [figure.ratio(figure.subject, self.peer) for figure in there
                 if figure.noise() is None]
        self.found = spread([ratio and ratio.median for ratio in found])

    def verdicts(self):
        """As Figure.verdicts()."""
        extreme = self.found and (self.found.highest if "<" in self.goal else self.found.lowest)
        if self.goal:
            yield ("%s × %s" % (self.goal, self.peer), self.found,
                   meets(self.found.median, self.goal) if self.found else None)
        if self.worst:
            yield ("each %s × %s" % (self.worst, self.peer), self.found,
                   meets(extreme, self.worst) if self.found else None)


class Limits:
    """What the machine can do, by unit and size of a frame: the best subject of the records that are
    marked as such."""

    def __init__(self, suites):
        self._found = {}
        for suite in suites:
            for record in suite["figures"].values():
                if record.get("limit"):
                    best = min if record["better"] == LESS else max
                    self._found[record["unit"], record["size"]] = best(
                        spread(values).median for values in record["samples"].values())

    def of(self, unit, size):
        return self._found.get((unit, size))

    def share(self, figure):
        """How near the figure's subject comes to it; None where there is none to compare with."""
        limit = self.of(figure.unit, figure.record["size"])
        found = figure.spread(figure.subject)
        if limit is None or not found or not found.median or figure.record.get("limit"):
            return None
        return limit / found.median if figure.better == LESS else found.median / limit
