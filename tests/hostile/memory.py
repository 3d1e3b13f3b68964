# SPDX-License-Identifier: BSD-3-Clause
"""What a front-end may do to the memory that it shares: docs/reference/hostile.md §3.2."""

import contextlib
import fcntl
import os
import random
import signal
import struct
import subprocess
import tempfile
import time

from lab import frontend as vu
from lab.driver_ring import INDIRECT, NEXT, Desc
from lab.frontend import HEADER, INDIRECT_DESC, TX_BUFFERS, USER_ADDRESS, FrontEnd, Memory, Refused

from catalogue import case
from framing import Talker, require, require_refused, told
from rings import started
from stage import Failed, eventually, frame

MIB = 1 << 20
PAGE = 4096


def table(*regions):
    """The payload of SET_MEM_TABLE: (gpa, size, user address, offset) each."""
    return struct.pack("<II", len(regions), 0) + b"".join(struct.pack("<QQQQ", *r) for r in regions)


@case("HX-15")
def a_region_larger_than_its_file(stage):
    with Talker(stage) as t, Memory(4 * MIB) as memory:
        require_refused(t.answer(vu.SET_MEM_TABLE, table((0, 64 * MIB, USER_ADDRESS, 0)), [memory.fd]),
                        "64 MiB of 4")


# -------------------------------------------------------------------- truncation

def unsealable(size=4 * MIB):
    return Memory(size)


def in_shm(size=4 * MIB):
    fd, path = tempfile.mkstemp(dir="/dev/shm")
    os.unlink(path)
    return Memory(size, fd)


class Traffic:
    """A child that sends frames from a front-end's memory at full speed until it is ended, or until its
    memory is gone."""

    def __init__(self, f, frames=frame(b"traffic")):
        self.pid = os.fork()
        if self.pid:
            return
        try:
            while True:
                f.send(frames)
                f.ring[1].reap()
        finally:
            os._exit(0)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def lost(stage, f, offer=lambda: None):
    """The front-end is dropped, and the operator is told why. Until then it goes on to offer."""
    def dropped():
        offer()
        os.eventfd_write(f.kicks[1], 1)
        return told(stage, "R7") and stage.facts().get("peer") == "none"
    eventually(dropped, lambda: stage.facts())
    stage.traced("R7")


# What is gone is the last page of the file, and there lies what is named.
PARTS = {"all": None, "the last page": None, "the available ring": "driver", "the used ring": "device",
         "the descriptors": "desc", "a buffer": None}


@case("HX-16", {"%s, %s" % (part, kind.__name__): (part, kind)
                for part in PARTS for kind in (unsealable, in_shm)},
      quick={"%s, unsealable" % part for part in PARTS} | {"all, in_shm"})
def memory_is_truncated(stage, how):
    part, kind = how
    with kind() as memory, FrontEnd(stage.path(), stage.packed, memory=memory, start=False) as f:
        if PARTS[part]:
            for ring in f.ring[1:]:
                setattr(ring, PARTS[part], 4 * MIB - PAGE)
        f.negotiate()
        f.share()
        f.start()
        stage.arrives(f, b"before")
        traffic = Traffic(f) if part == "all" else contextlib.nullcontext()
        with traffic:
            time.sleep(0.01)
            os.ftruncate(memory.fd, 0 if part == "all" else 4 * MIB - PAGE)
            if part == "the last page":     # nothing lies there
                stage.arrives(f, b"after")
            else:
                lost(stage, f, lambda: offer_beside(f, part))


def offer_beside(f, part):
    """Offers a chain without touching what is gone: we would die of it."""
    ring = f.ring[1]
    if part == "all" or PARTS[part] == ("desc" if ring.packed else "driver") or not ring.room():
        return                              # each look for a chain goes there
    if PARTS[part] == "desc":
        ring.offer_head(0)
    else:
        ring.offer([(4 * MIB - PAGE if part == "a buffer" else TX_BUFFERS, 76, 0)])


@case("HX-16")
def sealed_memory_cannot_be_truncated(stage):
    with Memory(4 * MIB, flags=os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING) as memory:
        with FrontEnd(stage.path(), stage.packed, memory=memory) as f:
            stage.arrives(f, b"before")
            with contextlib.suppress(PermissionError):
                os.ftruncate(memory.fd, 0)
                raise Failed("it was truncated")
            stage.arrives(f, b"after")
            require("1 sealed" in stage.facts()["memory"], "the operator is told")


# ------------------------------------------------------------------------ tables

FIRST = (0, MIB, USER_ADDRESS, 0)
U64 = 2 ** 64

TABLES = {
    "none": [], "overlapping in guest addresses": [FIRST, (MIB // 2, MIB, USER_ADDRESS + 8 * MIB, 0)],
    "overlapping in user addresses": [FIRST, (8 * MIB, MIB, USER_ADDRESS + MIB // 2, 0)],
    "identical": [FIRST, FIRST], "empty": [(0, 0, USER_ADDRESS, 0)],
    "2^64-1 bytes": [(0, U64 - 1, USER_ADDRESS, 0)],
    "guest addresses wrap": [(U64 - PAGE, 2 * PAGE, USER_ADDRESS, 0)],
    "user addresses wrap": [(0, 2 * PAGE, U64 - PAGE, 0)],
    "the offset wraps": [(0, MIB, USER_ADDRESS, U64 - PAGE)],
    "an offset within a page": [(0, MIB, USER_ADDRESS, 8)],
    "an offset beyond the file": [(0, MIB, USER_ADDRESS, 4 * MIB)],
    "past the file by a page": [(0, 2 * MIB, USER_ADDRESS, 2 * MIB + PAGE)],
}


@case("HX-18", TABLES)
def tables_that_cannot_be(stage, regions):
    """The one before stays in force. A page's offset is not asked for: an offset within a page is
    legal where the whole file is mapped."""
    with stage.evil() as f:
        accepted = False
        try:
            f.confirmed(vu.SET_MEM_TABLE, table(*regions), [f.memory.fd] * len(regions))
            accepted = True
        except Refused:
            pass
        if accepted:
            require(regions == TABLES["an offset within a page"], "it was accepted")
            return
        stage.arrives(f, b"the table of before")
        stage.traced("SET_MEM_TABLE")


@case("HX-18", {"9 regions": 9, "0xffffffff regions": 0xffffffff, "1 region": 1, "8 regions": 8})
def tables_with_another_count(stage, count):
    """'count' is what is said; two regions and two descriptors are what comes."""
    with Talker(stage) as t, Memory(4 * MIB) as memory:
        body = struct.pack("<II", count, 0) + table(FIRST, (2 * MIB, MIB, USER_ADDRESS + 2 * MIB, 0))[8:]
        require_refused(t.answer(vu.SET_MEM_TABLE, body, [memory.fd] * 2), "%d regions" % count)


@case("HX-18")
def one_file_twice_at_other_offsets(stage):
    """Legal."""
    with FrontEnd(stage.path(), stage.packed, 4, start=False) as f:
        f.negotiate()
        f.request(vu.SET_MEM_TABLE, table((0, 2 * MIB, USER_ADDRESS, 0),
                                          (2 * MIB, 2 * MIB, USER_ADDRESS + 2 * MIB, 2 * MIB)),
                  [f.memory.fd] * 2)
        f.start()
        stage.arrives(f, b"two halves")


# ------------------------------------------------------------------- kinds of files

def named(*functions):
    return {function.__name__.replace("_", " "): function for function in functions}


def sealed_against_writing(stack):
    fd = os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
    stack.callback(os.close, fd)
    os.ftruncate(fd, 4 * MIB)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    return fd


def read_only(stack):
    memory = stack.enter_context(Memory(4 * MIB))
    fd = os.open("/proc/self/fd/%d" % memory.fd, os.O_RDONLY)
    stack.callback(os.close, fd)
    return fd


def on_disk(stack):
    fd, path = tempfile.mkstemp(dir="/var/tmp")
    stack.callback(os.close, fd)
    os.unlink(path)
    os.ftruncate(fd, 4 * MIB)
    return fd


@case("HX-19", named(sealed_against_writing, read_only, on_disk))
def files_that_may_not_be_memory(stage, make):
    with contextlib.ExitStack() as stack, Talker(stage) as t:
        require_refused(t.answer(vu.SET_MEM_TABLE, table((0, 4 * MIB, USER_ADDRESS, 0)),
                                 [make(stack)]), make.__name__)


def hugetlb_without_pages(stack):
    with open("/proc/meminfo") as f:
        if "HugePages_Free:        0" not in f.read():
            return None
    fd = os.memfd_create("huge", os.MFD_HUGETLB)
    stack.callback(os.close, fd)
    os.ftruncate(fd, 2 * MIB)
    return fd


def on_a_full_tmpfs(stack):
    if os.geteuid() != 0:
        return None
    folder = tempfile.mkdtemp()
    stack.callback(os.rmdir, folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=True)
    stack.callback(subprocess.run, ["umount", "-l", folder], check=True)
    fd = os.open(folder + "/memory", os.O_RDWR | os.O_CREAT)
    stack.callback(os.close, fd)
    os.ftruncate(fd, 2 * MIB)
    filler = os.open(folder + "/filler", os.O_RDWR | os.O_CREAT)
    stack.callback(os.close, filler)
    with contextlib.suppress(OSError):
        while True:
            os.write(filler, bytes(PAGE))
    return fd


@case("HX-19", named(hugetlb_without_pages, on_a_full_tmpfs))
def files_without_pages(stage, make):
    """They can be mapped, and touched they are not there. The rings are in memory that is."""
    with contextlib.ExitStack() as stack:
        fd = make(stack)
        if fd is None:
            return                          # this machine cannot make one
        with FrontEnd(stage.path(), stage.packed, 4, start=False) as f:
            f.negotiate()
            try:
                f.confirmed(vu.SET_MEM_TABLE, table(
                    (0, 4 * MIB, USER_ADDRESS, 0), (1 << 32, 2 * MIB, USER_ADDRESS + (1 << 32), 0)),
                    [f.memory.fd, fd])
            except Refused:
                return                      # is right as well
            f.start()
            f.ring[1].offer([(1 << 32, 76, 0)])
            lost(stage, f)


# -------------------------------------------------------------------------- seams

SEAM = MIB


@contextlib.contextmanager
def seamed(stage, **more):
    """A front-end whose memory is two files, adjacent in addresses, not here and not there."""
    with Memory(MIB, gpa=SEAM, user=USER_ADDRESS + SEAM) as upper, \
            FrontEnd(stage.path(), stage.packed, 1, start=False, **more) as f:
        f.upper = upper
        f.negotiate()
        f.request(vu.SET_MEM_TABLE, struct.pack("<II", 2, 0) + f.memory.region() + upper.region(),
                  [f.memory.fd, upper.fd])
        yield f


def put(f, at, data):
    """Writes across the seam."""
    below = max(0, min(len(data), SEAM - at))
    f.memory.fill(at, data[:below])
    f.upper.fill(max(at, SEAM) - SEAM, data[below:])


@case("HX-21", {"the header": 6, "the frame": 30, "the last byte": 75})
def a_buffer_across_a_seam(stage, before):
    with seamed(stage) as f:
        f.start()
        mark = os.urandom(20)
        at = SEAM - before
        put(f, at, bytes(HEADER) + frame(mark))
        f.ring[1].offer([(at, HEADER + 64, 0)])
        f.kick()
        stage.comes(mark)


@case("HX-21", {"between entries": 16, "within an entry": 8})
def an_indirect_table_across_a_seam(stage, before):
    with seamed(stage, features=INDIRECT_DESC) as f:
        f.start()
        mark, buffer = os.urandom(20), 1 << 19
        f.memory.fill(buffer, bytes(HEADER) + frame(mark))
        rows = [(buffer, HEADER, NEXT), (buffer + HEADER, 64, 0)]
        put(f, SEAM - before, b"".join(
            struct.pack("<QIHH", addr, size, *((0, flags) if stage.packed else (flags, i + 1)))
            for i, (addr, size, flags) in enumerate(rows)))
        f.ring[1].offer_raw([Desc(SEAM - before, 32, INDIRECT)])
        f.kick()
        stage.comes(mark)


@case("HX-21", ("desc", "driver", "device"))
def a_ring_across_a_seam(stage, part):
    if stage.packed and part != "desc":
        return                              # four bytes, aligned to four
    with seamed(stage) as f:
        setattr(f.ring[1], part, SEAM - 16)
        try:
            f.start()
        except Refused:
            return
        require("refused" in stage.broken(1), "it runs")
        stage.traced("queue 1 does not start")


@case("HX-21")
def a_ring_that_ends_at_a_seam(stage):
    with seamed(stage) as f:
        f.ring[1].desc = SEAM - 16 * 256
        f.start()
        started(stage, f, True)


# ------------------------------------------------- what is not offered, and so refused

REGIONS_OF_OTHERS = {
    "in-flight region too small": (vu.SET_INFLIGHT_FD, struct.pack("<QQHHI", 4096, 0, 2, 65535, 0)),
    "in-flight region wraps": (vu.SET_INFLIGHT_FD, struct.pack("<QQHHI", PAGE, U64 - 8, 2, 256, 0)),
    "in-flight region unaligned": (vu.SET_INFLIGHT_FD, struct.pack("<QQHHI", PAGE, 3, 2, 256, 0)),
}
LOGS = {
    "wraps": struct.pack("<QQ", U64 - 4096, 8192), "beyond the file": struct.pack("<QQ", MIB, 1 << 40),
    "larger than the file": struct.pack("<QQ", 64 * MIB, 0), "too small": struct.pack("<QQ", 1, 0),
    "right": struct.pack("<QQ", 4096, 0),
}


@case("HX-22", REGIONS_OF_OTHERS)
def in_flight_regions(stage, request):
    with Talker(stage) as t, Memory(4096) as memory:
        require_refused(t.answer(*request, [memory.fd]), "an in-flight region")


@case("HX-23", LOGS)
def logs(stage, body):
    with Talker(stage) as t, Memory(4096) as memory:
        require_refused(t.answer(vu.SET_LOG_BASE, body, [memory.fd]), "a log")


# ----------------------------------------------------------------------- a campaign

def truncate_at_random(stage, rng):
    """One front-end that sends at full speed, and whose memory shrinks at some moment to some size."""
    with unsealable() as memory, FrontEnd(stage.path(), stage.packed, memory=memory) as f, Traffic(f):
        time.sleep(rng.random() * 0.004)
        os.ftruncate(memory.fd, rng.choice((0, 0, rng.randrange(4 * MIB), PAGE * rng.randrange(8))))
        time.sleep(0.001)
        with contextlib.suppress(OSError):
            os.eventfd_write(f.kicks[1], 1)


def truncations(stage, count):
    """The campaign of 'count'; how many of them were noticed by a worker."""
    rng = random.Random(16)
    for _ in range(count):
        eventually(lambda: attempt(stage, rng), "the port takes the next front-end")
    return sum(n for what, n in stage.faults().items() if "R7" in what)


def attempt(stage, rng):
    try:
        truncate_at_random(stage, rng)
    except ConnectionError:
        return False
    return True


@case("HX-16")
def truncated_at_random_under_traffic(stage):
    truncations(stage, stage.times(2000, 30))
