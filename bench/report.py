# SPDX-License-Identifier: BSD-3-Clause
"""RESULTS.md and the plots, made from records (harness.Records)."""

import os

import plot
from judge import Figure, Limits, Over

INTRODUCTION = """# Results

Made by `bench/run`; docs/benchmarks.md says how to read it. A cell is the median of the rounds (lowest to
highest). Ratios are viaduct's value to the peer's within one round, and the median of those. Where the
same subject, measured twice in each round, differs from itself by more than 3 %, there is no figure.
"""


def write(records, folder, order):
    """RESULTS.md and plots/ in 'folder'; suites in 'order'."""
    os.makedirs(os.path.join(folder, "plots"), exist_ok=True)
    suites = [records.suites[name] for name in order if name in records.suites]
    limits = Limits(suites)
    parts = [INTRODUCTION, _machines(suites), _goals(suites)]
    for suite in suites:
        parts += [_suite(suite, limits), *_plots(suite, folder)]
    lost = os.path.join(os.path.dirname(os.path.realpath(__file__)), "LOST.md")
    if os.path.exists(lost):
        with open(lost) as f:
            parts.append(f.read().rstrip() + "\n")
    with open(os.path.join(folder, "RESULTS.md"), "w") as f:
        f.write("\n".join(part for part in parts if part))


# ------------------------------------------------------------------------- parts

def _machines(suites):
    """Where it was measured; once, if all of it was the same machine and code."""
    said = []
    for suite in suites:
        here = suite["machine"]
        if here:
            said.append("%s, %d cores; Linux %s; %s; %s" % (
                here["cpu"], here["cores"], here["kernel"], here["compiler"],
                ", ".join(here["packages"])))
    lines = ["Machine: %s." % line for line in dict.fromkeys(said)]
    commits = dict.fromkeys(record["commit"] for suite in suites
                            for record in suite["figures"].values())
    if commits:
        lines.append("Commit: %s." % ", ".join(commits))
    return "\n\n".join(lines) + "\n"


def _goals(suites):
    """Every goal, and whether it is met."""
    rows = []
    for suite in suites:
        figures = {name: Figure(record) for name, record in suite["figures"].items()}
        stories = [*(Over(record, figures) for record in suite["overs"].values()),
                   *figures.values()]
        for story in stories:
            for goal, found, met in story.verdicts():
                rows.append([story.name, goal, cell(found) if found else "too noisy",
                             {True: "met", False: "**not met**", None: "–"}[met]])
    if not rows:
        return ""
    return "## Goals\n\n" + table(["figure", "goal", "measured", ""], rows)


def _suite(suite, limits):
    lines = ["## " + suite["title"], "", suite["about"], ""]
    if suite.get("skipped"):
        lines += ["Not measured: %s." % suite["skipped"], ""]
    alike = {}
    for figure in map(Figure, suite["figures"].values()):
        kind = figure.unit, figure.better, tuple(figure.subjects), figure.baseline
        alike.setdefault(kind, []).append(figure)
    return "\n".join([*lines, *(_figures(group, limits) for group in alike.values())])


def _figures(figures, limits):
    """A table of figures with the same subjects."""
    first = figures[0]
    peers = [name for name in first.subjects if first.baseline and name != first.subject]
    shares = [limits.share(figure) for figure in figures]
    head = [first.unit + ", " + first.better, *first.subjects,
            *("ratio to " + peer for peer in peers),
            *(["of the limit"] if any(shares) else []), "rounds"]
    rows = []
    for figure, share in zip(figures, shares):
        row = _row(figure, peers)
        rows.append(row + (["%.0f %%" % (100 * share) if share else ""] if any(shares) else [])
                    + [str(figure.rounds)])
    commands = dict.fromkeys("Command: `%s`" % figure.record["command"] for figure in figures
                             if figure.record["command"])
    return table(head, rows) + "".join("\n%s\n" % note for note in [*commands, *_remarks(figures)])


def _row(figure, peers):
    noise = figure.noise()
    if noise:
        text = "too noisy: %s twice differs by %.1f %%" % (figure.baseline, abs(noise - 1) * 100)
        return [figure.name, text] + [""] * (len(figure.subjects) - 1 + len(peers))
    return [figure.name, *(cell(figure.spread(name)) for name in figure.subjects),
            *(cell(figure.ratio(figure.subject, peer)) for peer in peers)]


def _remarks(figures):
    for figure in figures:
        for subject, reason in figure.record.get("failed", {}).items():
            yield "%s: %s failed: %s" % (figure.name, subject, reason.splitlines()[0])
        if figure.record.get("far"):
            yield "%s: %d passes were measured while the cores were far apart" % (figure.name,
                                                                         figure.record["far"])


def _plots(suite, folder):
    """Draws the suite's plots; what shows them."""
    figures = {name: Figure(record) for name, record in suite["figures"].items()}
    for name, wish in suite["plots"].items():
        drawn = plot.draw(wish, figures)
        if drawn:
            path = os.path.join("plots", name + ".svg")
            with open(os.path.join(folder, path), "w") as f:
                f.write(drawn)
            yield "![%s](%s)\n" % (wish["title"], path)


# ------------------------------------------------------------------------- words

def number(value):
    """Three digits that count, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return "{:,.0f}".format(value)
    return "%.*f" % (1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4, value)


def cell(spread):
    if spread is None:
        return "–"
    if spread.rounds == 1 or spread.lowest == spread.highest:
        return number(spread.median)
    return "%s (%s to %s)" % tuple(map(number, spread[:3]))


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| %s |\n" % " | ".join(word.replace("|", "\\|") for word in line)
                   for line in lines)
