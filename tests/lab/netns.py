# SPDX-License-Identifier: BSD-3-Clause
"""A network namespace of this machine: a host's own TCP stack, away from the real one. Needs root."""

import itertools
import os
import subprocess

from .cache import LabError, sh

_counter = itertools.count(1)


class Namespace:
    def __init__(self):
        self.name = "viaduct-%d-%d" % (os.getpid(), next(_counter))
        sh("ip", "netns", "add", self.name)
        self.run("ip link set lo up")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        sh("ip", "netns", "del", self.name)

    @property
    def words(self):
        """What makes a command run in it."""
        return ["ip", "netns", "exec", self.name]

    def run(self, script, timeout=60):
        """Runs a shell script in it; what it printed."""
        done = subprocess.run([*self.words, "sh", "-c", script], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=timeout)
        if done.returncode:
            raise LabError("%r: exit code %d\n%s" % (script, done.returncode, done.stdout))
        return done.stdout

    def spawn(self, script):
        """Starts a shell script in it, as a session of its own; its Popen."""
        return subprocess.Popen([*self.words, "sh", "-c", script], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True,
                                start_new_session=True)
