# SPDX-License-Identifier: BSD-3-Clause
"""Plots as SVG, light or dark as the reader's screen is: bars with whiskers from the lowest to the highest
round, or lines over an axis that is logarithmic."""

import math
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 760, 210, 40, 84, 52
BAR, GAP = 15, 14                   # pixels: of a bar; between groups of bars
HEIGHT = 300                        # of the part of a line plot that has lines

STYLE = """<style>
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .soft { fill: #57606a } .back { fill: #ffffff }
  .grid { stroke: #d8dee4 } .axis { stroke: #8c959f } .whisker { stroke: #24292f; fill: none }
  .f0 { fill: #0969da } .f1 { fill: #d1742c } .f2 { fill: #6e7781 } .f3 { fill: #8250df } .f4 { fill: #1a7f37 }
  .s0 { stroke: #0969da } .s1 { stroke: #d1742c } .s2 { stroke: #6e7781 } .s3 { stroke: #8250df } .s4 { stroke: #1a7f37 }
  polyline { fill: none; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .soft { fill: #9198a1 } .back { fill: #0d1117 }
    .grid { stroke: #30363d } .axis { stroke: #656c76 } .whisker { stroke: #e6edf3 }
    .f0 { fill: #58a6ff } .f1 { fill: #f0a45d } .f2 { fill: #9198a1 } .f3 { fill: #bc8cff } .f4 { fill: #56d364 }
    .s0 { stroke: #58a6ff } .s1 { stroke: #f0a45d } .s2 { stroke: #9198a1 } .s3 { stroke: #bc8cff } .s4 { stroke: #56d364 }
  }
</style>"""
COLOURS = 5


def draw(wish, figures):
    """The SVG of a plot (Bench.plot), or None while nothing of it was measured. A figure that is too
    noisy is left out."""
    there = [(label, figures[name]) for label, name in wish["figures"]
             if name in figures and figures[name].noise() is None]
    subjects = list(dict.fromkeys(name for _, figure in there for name in figure.subjects))
    # viaduct has the first colour everywhere.
    subjects.sort(key=lambda name: not name.startswith("viaduct"))
    rows = [(label, [figure.spread(name) for name in subjects]) for label, figure in there]
    if not any(spread for _, spreads in rows for spread in spreads):
        return None
    first = there[0][1]
    y = wish["y"] or "%s (%s)" % (first.unit, first.better)
    return (_lines if wish["kind"] == "lines" else _bars)(wish["title"], subjects, rows,
                                                          wish["x"], y)


def ticks(highest):
    """Round numbers from 0 that reach 'highest', at most eight of them."""
    highest = highest or 1
    step = 10 ** math.floor(math.log10(highest))
    for part in (0.2, 0.5, 1, 2):
        if highest / (step * part) <= 6:
            break
    step *= part
    return [step * i for i in range(math.ceil(highest / step) + 1)]


def brief(value):
    return "%g" % float("%.3g" % value) if value < 1e5 else "{:,.0f}".format(value)


# ------------------------------------------------------------------------ pieces

def _svg(height, title, parts):
    return "\n".join([
        '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" '
        'role="img" aria-label="%s">' % (WIDTH, height, WIDTH, height, escape(title, {'"': "&quot;"})),
        STYLE, '<rect class="back" width="100%" height="100%"/>', _text(16, 26, title, "title"),
        *parts, "</svg>", ""])


def _text(x, y, text, style="", anchor="start"):
    return '<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>' % (
        x, y, style, anchor, escape(str(text)))


def _line(x1, y1, x2, y2, style):
    return '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>' % (x1, y1, x2, y2, style)


def _legend(subjects):
    x = 16
    for i, name in enumerate(subjects):
        yield '<rect x="%d" y="42" width="12" height="12" rx="2" class="f%d"/>' % (x, i % COLOURS)
        yield _text(x + 18, 52, name)
        x += 18 + 7 * len(name) + 22


def _bars(title, subjects, rows, x, y):
    """Horizontal, as labels are long."""
    marks = ticks(max(spread.highest for _, spreads in rows for spread in spreads if spread))
    scale = (WIDTH - LEFT - RIGHT - 40) / marks[-1]
    deep = [sum(spread is not None for spread in spreads) * BAR for _, spreads in rows]
    bottom = TOP + sum(deep) + GAP * len(rows)
    parts = [*_legend(subjects)]
    for mark in marks:
        at = LEFT + mark * scale
        parts += [_line(at, TOP, at, bottom, "grid"),
                  _text(at, bottom + 18, brief(mark), "soft", "middle")]
    top = TOP + GAP / 2
    for (label, spreads), depth in zip(rows, deep):
        parts.append(_text(LEFT - 10, top + depth / 2 + 4, label, "", "end"))
        for i, spread in enumerate(spreads):
            if spread:
                parts += _bar(top, i, spread, scale)
                top += BAR
        top += GAP
    parts += [_line(LEFT, TOP, LEFT, bottom, "axis"),
              _text((LEFT + WIDTH - RIGHT) / 2, bottom + 40, y, "soft", "middle"),
              _text(LEFT - 10, TOP - 8, x, "soft", "end")]
    return _svg(bottom + BOTTOM, title, parts)


def _bar(top, colour, spread, scale):
    low, mid, high = (LEFT + value * scale for value in spread[:3])
    centre = top + BAR / 2 - 1
    yield '<rect x="%d" y="%.1f" width="%.1f" height="%d" class="f%d"/>' % (
        LEFT, top, max(mid - LEFT, 1), BAR - 2, colour % COLOURS)
    if high - low > 1:
        yield _line(low, centre, high, centre, "whisker")
        for end in (low, high):
            yield _line(end, centre - 3, end, centre + 3, "whisker")
    yield _text(max(mid, high) + 6, centre + 4, brief(spread.median), "soft")


def _lines(title, subjects, rows, x, y):
    marks = ticks(max(spread.highest for _, spreads in rows for spread in spreads if spread))
    values = [max(float(label), 0.5) for label, _ in rows]      # 0 has a place beside 1
    low, high = math.log(min(values)), math.log(max(values))
    left, bottom = 90, TOP + HEIGHT

    def across(value):
        return left + (math.log(value) - low) / ((high - low) or 1) * (WIDTH - left - RIGHT - 10)

    def up(value):
        return bottom - value / marks[-1] * HEIGHT

    parts = [*_legend(subjects)]
    for mark in marks:
        parts += [_line(left, up(mark), WIDTH - RIGHT, up(mark), "grid"),
                  _text(left - 10, up(mark) + 4, brief(mark), "soft", "end")]
    for value, (label, _) in zip(values, rows):
        parts += [_line(across(value), bottom, across(value), bottom + 5, "axis"),
                  _text(across(value), bottom + 20, brief(float(label)), "soft", "middle")]
    for i in range(len(subjects)):
        points = [(across(value), spreads[i]) for value, (_, spreads) in zip(values, rows)
                  if spreads[i]]
        parts += _curve(points, up, i % COLOURS)
    parts += [_line(left, bottom, WIDTH - RIGHT, bottom, "axis"),
              _text(left, TOP - 12, y, "soft"),
              _text((left + WIDTH - RIGHT) / 2, bottom + 42, x, "soft", "middle")]
    return _svg(bottom + BOTTOM, title, parts)


def _curve(points, up, colour):
    yield '<polyline class="s%d" points="%s"/>' % (colour, " ".join(
        "%.1f,%.1f" % (at, up(spread.median)) for at, spread in points))
    for at, spread in points:
        yield _line(at, up(spread.lowest), at, up(spread.highest), "s%d" % colour)
        yield '<circle cx="%.1f" cy="%.1f" r="3.5" class="f%d"/>' % (at, up(spread.median), colour)
