# SPDX-License-Identifier: BSD-3-Clause
"""How cases are declared: a function, its number in docs/reference/hostile.md §3, and its variants.

    @case("HX-07", {"version 0": 0, "version 2": 2})
    def version(stage, flags):
        ...

attacks stage.path() and raises if the back-end does not answer as it must. What must hold after every
case, whatever it is about, is the stage's part: Stage.check()."""

import dataclasses
import typing

ORDER = []                      # of all cases, by module


@dataclasses.dataclass(frozen=True)
class Case:
    number: str
    variant: str
    run: typing.Callable
    module: str
    quick: bool                 # it runs in 'make check' too
    needs: str                  # the kind of stage: a key of the runner's STAGES

    @property
    def name(self):
        return "%s %s" % (self.number, self.variant)


def case(number, variants=None, quick=True, needs="plain"):
    """'quick' may also be the set of those variants that are."""
    def declare(function):
        rows = variants if variants is not None else {function.__name__.replace("_", " "): None}
        for title, value in (rows.items() if isinstance(rows, dict) else ((row, row) for row in rows)):
            run = (lambda stage, value=value: function(stage, value)) if variants is not None \
                else function
            ORDER.append(Case(number, str(title), run, function.__module__,
                              quick if isinstance(quick, bool) else title in quick, needs))
        return function
    return declare
