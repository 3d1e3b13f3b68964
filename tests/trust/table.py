# SPDX-License-Identifier: BSD-3-Clause
"""The table of the trust report."""

import dataclasses

from rows import ROWS
from sources import SOURCES

MET, MISSED, SHOWN, ABSENT = "yes", "**no**", "–", ""


@dataclasses.dataclass(frozen=True)
class Line:
    figure: str
    goal: str
    seen: str
    met: str
    commit: str = ""
    when: str = ""


def line(row, record):
    """One row of the table; 'record' is None where its source has not run."""
    if record is None:
        return Line(row.figure, row.goal, "not run here: `%s`" % SOURCES[row.source].how, ABSENT)
    stamp = record["commit"] + ("+" if record["changed"] else ""), record["when"]
    try:
        seen, met = row.read(record["data"])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return Line(row.figure, row.goal, "its record cannot be read: %r" % error, MISSED, *stamp)
    return Line(row.figure, row.goal, seen, SHOWN if met is None else MET if met else MISSED, *stamp)


def rows(find):
    return [line(row, find(row.source)) for row in ROWS]


HEAD = """# What holds against hostile peers, in figures

`make trust-report` gathers what runs have left in the build folder, and the ledgers of the tree; it runs
nothing long itself unless told to, as in `make trust-report RUN="coverage hostile"`. What each row is about:
[security.md](security.md) and [the rules](reference/hostile.md).

"""


def text(lines, now):
    """'now' is a stamp of the commit that the report is made at."""
    cells = [("figure", "goal", "seen", "met", "commit", "when (UTC)"), ("---",) * 6,
             *(dataclasses.astuple(each) for each in lines)]
    met = sum(each.met in (MET, SHOWN) for each in lines)
    return HEAD + "".join("| %s |\n" % " | ".join(cell.replace("|", "\\|") for cell in row) for row in cells) + (
        "\n%d of %d as they should be, %d missed, %d not run. Gathered at %s, %s; a + stands for a tree with"
        " changes.\n" % (met, len(lines), sum(each.met == MISSED for each in lines),
                         sum(each.met == ABSENT for each in lines), now["commit"], now["when"]))
