# SPDX-License-Identifier: BSD-3-Clause
"""A program of this machine that ends with us, its output in a file."""

import ctypes
import os
import pwd
import signal
import subprocess
import time

from .cache import LabError


def unprivileged_uid():
    """A user for what needs no privileges, if we are root: one that this machine does not know, of
    the range that systemd takes for such. None: we are an unprivileged user already."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_uid for entry in pwd.getpwall()}
    return next(uid for uid in range(61184, 65520) if uid not in known)


def bind_to_us(cpus=None):
    """For a child before it becomes another program: it ends with us, and uses only these CPUs."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)              # PR_SET_PDEATHSIG
    if cpus is not None:
        os.sched_setaffinity(0, cpus)


class Program:
    def __init__(self, words, log, *, user=None, cpus=None, groups=None, **options):
        self.name = os.path.basename(words[0])
        self.log_path = log

        with open(log, "a") as out:
            self.process = subprocess.Popen(
                words, stderr=out, preexec_fn=lambda: bind_to_us(cpus),
                user=user, group=user,
                extra_groups=None if user is None else groups or [],
                start_new_session=True,         # Ctrl-C is for us, who end it
                **{"stdin": subprocess.DEVNULL, "stdout": out, **options})
        self.pid = self.process.pid

    def log(self, since=0):
        """What it has written, but for the first bytes."""
        with open(self.log_path, "rb") as f:
            f.seek(since)
            return f.read().decode(errors="replace")

    def logged(self):
        """Bytes that it has written."""
        return os.path.getsize(self.log_path)

    def wait_for(self, condition, timeout=20):
        """Waits until condition() is true, the program running; returns what it was."""
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if self.process.poll() is not None:
                raise LabError("%s ended (%d):\n%s" % (self.name, self.process.returncode,
                                                       self.log()))
            if time.monotonic() > deadline:
                raise LabError("%s is not ready after %g s:\n%s" % (self.name, timeout, self.log()))
            time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=5):
        """Ends it with SIGTERM; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode
