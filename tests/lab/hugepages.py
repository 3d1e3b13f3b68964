# SPDX-License-Identifier: BSD-3-Clause
"""Hugepages of 2 MiB for as long as a block runs, as DPDK's manual wants them. Needs root."""

import contextlib

from .cache import LabError

COUNT = "/proc/sys/vm/nr_hugepages"


def _count():
    with open(COUNT) as f:
        return int(f.read())


def _reserve(count):
    with open(COUNT, "w") as f:
        f.write("%d" % count)
    return _count()


@contextlib.contextmanager
def hugepages(mib):
    """So many MiB of them in addition to those that there are."""
    before = _count()
    try:
        if _reserve(before + mib // 2) < before + mib // 2:
            raise LabError("this machine has no %d MiB for hugepages" % mib)
        yield
    finally:
        _reserve(before)
