# SPDX-License-Identifier: BSD-3-Clause
"""Who makes the records, and how: one row a source. A program that is given --json writes its figures
there; of others what they print is the record, or a file that they keep anyway. Ledgers, which grow from
run to run, are in the tree; so is what was published, and stands in for a run that was not made here."""

import dataclasses
import json
import os
import shlex
import subprocess
import tempfile
import typing

import records

JSON, BUILD = "{json}", "{build}"       # in a command: where the figures go, where the programs are


@dataclasses.dataclass(frozen=True)
class Source:
    command: str
    kept: typing.Optional[str] = None   # the file with the figures, if the program has one of its own
    ledger: typing.Optional[str] = None     # file in the tree that the program adds its figures to
    published: typing.Optional[str] = None  # file in the tree that somebody has put figures into
    make: typing.Optional[str] = None   # how people call it, if not so

    @property
    def how(self):
        return self.make or self.command.replace(" --json " + JSON, "").replace(BUILD, "build")


SOURCES = {
    "coverage": Source("tests/coverage/run --json " + JSON, make="make coverage"),
    "hostile": Source("tests/hostile/run --json " + JSON, make="make check-hostile"),
    "campaigns": Source("tests/hostile/run --campaign all --json " + JSON, make="make hostile-campaigns"),
    "faults": Source("make check-faults FAULTS=" + JSON, make="make check-faults"),
    "fuzz": Source("make fuzz SECONDS=1800", ledger="tests/fuzz/LEDGER.json"),
    "mutation": Source("tests/mutation/run --report", make="make check-mutation"),
    "model": Source("meson test -C %s --suite model" % BUILD, kept=BUILD + "/meson-logs/testlog.json"),
    "calls": Source(BUILD + "/viaductd --calls"),
    "costs": Source("bench/checks.py", published="docs/security.md"),
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


def _filled(word, path=""):
    return word.replace(JSON, path).replace(BUILD, records.build())


def read_tree(path):
    """A record of a file in the tree, stamped as its last change was; None if there is none."""
    if not path or not os.path.exists(os.path.join(records.TOP, path)):
        return None
    return records.stamped_as_tracked(read(os.path.join(records.TOP, path)), path)


def find(name):
    """The figures of a source, as a record, or None."""
    source = SOURCES[name]
    return records.find(name) or read_tree(source.ledger or source.published)


def run(source):
    """Runs it to its end. Returns (what it has written, its exit status); None: nothing but a ledger."""
    with tempfile.TemporaryDirectory(prefix="viaduct-trust-") as folder:
        path = os.path.join(folder, "figures.json")
        words = [_filled(word, path) for word in shlex.split(source.command)]
        if JSON in source.command:
            ended = _run(words).returncode
        elif source.ledger:
            return None, _run(words).returncode
        elif source.kept:
            ended, path = _run(words).returncode, os.path.join(records.TOP, _filled(source.kept))
        else:
            done = _run(words, stdout=subprocess.PIPE, text=True)
            return _parsed(done.stdout) if done.stdout.strip() else None, done.returncode
        return (read(path) if os.path.exists(path) else None), ended
