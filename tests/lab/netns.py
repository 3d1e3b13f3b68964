# SPDX-License-Identifier: BSD-3-Clause
"""A network namespace of this machine: a host's own TCP stack, away from the real one, with a guest's
manners. Needs root."""

import contextlib
import itertools
import os
import signal
import subprocess

from .cache import LabError, sh
from .closes import Closes
from .guest import Result
from .process import bind_to_us

_counter = itertools.count(1)


class Namespace(Closes):
    """
    cpus        CPUs of this machine that its scripts may use; None: all
    """

    def __init__(self, cpus=None):
        self.cpus = cpus
        self.name = "viaduct-%d-%d" % (os.getpid(), next(_counter))
        sh("ip", "netns", "add", self.name)
        self.run("ip link set lo up")

    def close(self):
        sh("ip", "netns", "del", self.name)

    @property
    def words(self):
        """What makes a command run in it."""
        return ["ip", "netns", "exec", self.name]

    def run(self, script, timeout=60, check=True):
        """Runs a shell script in it, as a guest does; its (code, out, err)."""
        return self.spawn(script).wait(timeout, check)

    def spawn(self, script):
        """Starts a shell script in it, as a session of its own; a Job to wait for."""
        return Job(self, script)


class Job:
    """A script that runs in a namespace."""

    def __init__(self, namespace, script):
        self.namespace, self.script = namespace, script
        self.process = subprocess.Popen([*namespace.words, "sh", "-c", script], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        start_new_session=True,
                                        preexec_fn=lambda: bind_to_us(namespace.cpus))

    def wait(self, timeout=60, check=True):
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError("%s: %r takes longer than %g s" % (
                self.namespace.name, self.script, timeout)) from None
        if check and self.process.returncode:
            raise LabError("%s: %r: exit code %d\n%s%s" % (
                self.namespace.name, self.script, self.process.returncode, out, err))
        return Result(self.process.returncode, out, err)

    def kill(self):
        """Kills the script and all that runs in its session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
