# SPDX-License-Identifier: BSD-3-Clause
"""What two cores can hand over at all, without any virtqueue (bench/limits.c). Lines are written on one core
and read on the other; with one in flight that is a round trip. Frames are written by a client, copied by
the other core from there to a second place, and read there by the client, as a switch between two ports
does it. A client that forwards or generates touches the first line of a frame (head), one that makes and
uses payload touches all of it. Cycles (of the TSC) are those in which the copying core copies.

The best way to copy, with 'head', is the limit that other suites' figures are a share of."""

import re
import subprocess

from harness import BACK_END_CPU, LESS, LOAD_CPU, MORE, LabError
from lab.viaductd import build_folder

NAME, TITLE = "limits", "What two cores can do at all"

SIZES = [64, 256, 512, 1518, 4096, 9000, 16384, 65536]
COPIES = ["libc", "vector", "string", "stream"]
DEPTHS = [1, 2, 8, 32, 128]
SECONDS = 0.1                       # each: short, as there are many


def needs():
    return None


def program(*words):
    """Millions a second, and cycles of each."""
    command = [build_folder() + "/bench/bench-limits", "-a", str(LOAD_CPU), "-b", str(BACK_END_CPU),
               "-t", "%g" % SECONDS, *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = re.match(r"(\d+) per second, ([\d.]+) cycles", done.stdout)
    if not found:
        raise LabError("%s: %s" % (" ".join(command), done.stdout))
    return float(found.group(1)) / 1e6, float(found.group(2))


def samples(bench, *words):
    """Rates, and cycles, of the rounds in which the cores were near."""
    found = [bench.cores.measure(lambda: program(*words)) for _ in range(bench.rounds)]
    found = [pair for pair in found if pair]
    if not found:
        raise LabError("the cores were far apart all the time")
    return zip(*found)


def lines(bench):
    figures = {}
    for depth in DEPTHS:
        name = "lines, %d in flight" % depth
        rates, cycles = samples(bench, "lines", str(depth))
        bench.record(name, "million lines/s", {"machine": rates}, better=MORE,
                     command="bench-limits lines DEPTH")
        bench.record(name + ", cycles", "cycles/line", {"machine": cycles})
        figures[depth] = name
    bench.plot("lines", "Cache lines from one core to another", figures, kind="lines",
               x="lines in flight")


def forward(bench, size, touch):
    rates, cycles = {}, {}
    for copy in COPIES:
        rates[copy], cycles[copy] = samples(bench, "-c", copy, "forward", str(size), touch)
    name = "%d bytes, %s" % (size, touch)
    more = {"size": size, "limit": touch == "head"}
    bench.record(name, "Mpps", rates, better=MORE,
                 command="bench-limits -c COPY forward BYTES " + touch, **more)
    bench.record(name + ", cycles", "cycles/packet", cycles, better=LESS, **more)


def run(bench):
    if bench.wants("lines"):
        lines(bench)
    for touch in ("head",) if bench.quick else ("head", "all"):
        for size in SIZES[::2] if bench.quick else SIZES:
            if bench.wants("%d bytes, %s" % (size, touch)):
                forward(bench, size, touch)
        bench.plot("copy-" + touch, "Copying between two places of another core, which touches "
                   + {"head": "a frame's first line", "all": "all of it"}[touch],
                   {size: "%d bytes, %s, cycles" % (size, touch) for size in SIZES},
                   kind="lines", x="bytes of a frame")
