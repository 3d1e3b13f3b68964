# SPDX-License-Identifier: BSD-3-Clause
"""What runs have found, kept in the build folder until the trust report gathers it.

A record is trust-records/NAME.json: {"commit", "changed", "when", "ended", "data"}. 'data' is what the run
itself wrote, in its own words; sources.py knows who writes what, rows.py what it says."""

import contextlib
import datetime
import json
import os
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def build():
    return os.environ.get("VIADUCT_BUILD") or os.path.join(TOP, "build")


def folder():
    return os.path.join(build(), "trust-records")


def _git(*words):
    done = subprocess.run(["git", "-C", TOP, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, env={**os.environ, "TZ": "UTC"})
    return done.stdout.strip()


def commit():
    """(its short hash, whether the tree is another one by now)"""
    return _git("rev-parse", "--short=10", "HEAD") or "unknown", bool(
        _git("status", "--porcelain", "--untracked-files=no"))


def stamped(data, ended=0):
    """A record of 'data', made by a run that has ended with that exit status just now."""
    name, changed = commit()
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"commit": name, "changed": changed, "when": now.strftime("%Y-%m-%d %H:%M"),
            "ended": ended, "data": data}


def stamped_as_tracked(data, path):
    """A record of 'data' that a file of the tree has, with the commit and the time of its last change."""
    stamp = _git("log", "-1", "--format=%h %cd", "--date=format-local:%Y-%m-%d %H:%M", "--", path)
    name, _, when = (stamp or "unknown").partition(" ")
    return {"commit": name, "changed": bool(_git("status", "--porcelain", "--", path)), "when": when,
            "ended": 0, "data": data}


def keep(name, record):
    os.makedirs(folder(), exist_ok=True)
    path = os.path.join(folder(), name + ".json")
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump(record, f, indent=1)
    os.replace(path + ".new", path)


def find(name):
    """The record, or None if there is none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        with open(os.path.join(folder(), name + ".json"), encoding="utf-8") as f:
            record = json.load(f)
        if isinstance(record, dict) and "data" in record:
            return record
    return None
