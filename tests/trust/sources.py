# SPDX-License-Identifier: BSD-3-Clause
"""Who makes the records, and how: one row a source. A program that is given --json writes its figures
there; of others what they print is the record, or a file that they keep anyway. Ledgers, which grow from
run to run, are in the tree."""

import dataclasses
import json
import os
import shlex
import subprocess
import tempfile
import typing

import records

JSON = "{json}"                 # in a command: where the figures go


@dataclasses.dataclass(frozen=True)
class Source:
    command: str
    kept: typing.Optional[str] = None   # the file with the figures, if the program has one of its own
    ledger: tuple = ()                  # files in the tree that have all figures
    make: typing.Optional[str] = None   # how people call it, if not so

    @property
    def how(self):
        return self.make or self.command.replace(" --json " + JSON, "")


SOURCES = {
    "coverage": Source("tests/coverage/run --json " + JSON, make="make coverage"),
    "hostile": Source("tests/hostile/run --json " + JSON, make="make check-hostile"),
    "faults": Source("make check-faults FAULTS=" + JSON, make="make check-faults"),
    "fuzz": Source("make fuzz SECONDS=1800", ledger=("tests/fuzz/LEDGER.json",)),
    "mutation": Source("tests/mutation/run",
                       ledger=("tests/mutation/ledger", "tests/mutation/survivors")),
    "model": Source("meson test -C build-check --suite model",
                    kept="build-check/meson-logs/testlog.json"),
    "calls": Source("build/viaductd --calls"),
    "costs": Source("bench/checks.py"),
}


def _parsed(text):
    """JSON, JSON by the line, or else the text."""
    for parse in (json.loads, lambda t: [json.loads(line) for line in t.splitlines() if line.strip()]):
        try:
            return parse(text)
        except ValueError:
            pass
    return text


def read(path):
    with open(path, encoding="utf-8") as f:
        return _parsed(f.read())


def _run(words, **options):
    print("$ " + shlex.join(words), flush=True)
    return subprocess.run(words, cwd=records.TOP, check=False, **options)


def read_ledger(source):
    """A record of a ledger in the tree, stamped as its last change was; None if there is none."""
    paths = [os.path.join(records.TOP, path) for path in source.ledger]
    if not all(os.path.exists(path) for path in paths):
        return None
    return records.stamped_as_tracked([read(path) for path in paths], paths[0])


def find(name):
    """The newest figures of a source, as a record, or None."""
    source = SOURCES[name]
    return read_ledger(source) if source.ledger else records.find(name)


def run(source):
    """Runs it to its end. Returns (what it has written, its exit status)."""
    with tempfile.TemporaryDirectory(prefix="viaduct-trust-") as folder:
        path = os.path.join(folder, "figures.json")
        words = [word.replace(JSON, path) for word in shlex.split(source.command)]
        if JSON in source.command:
            ended = _run(words).returncode
        elif source.ledger:
            return [], _run(words).returncode
        elif source.kept:
            ended, path = _run(words).returncode, os.path.join(records.TOP, source.kept)
        else:
            done = _run(words, stdout=subprocess.PIPE, text=True)
            return _parsed(done.stdout), done.returncode
        return (read(path) if os.path.exists(path) else None), ended
