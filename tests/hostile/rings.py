# SPDX-License-Identifier: BSD-3-Clause
"""What a driver may do to its rings: docs/reference/hostile.md §3.3, but for offloads and the control
queue. Structure that is wrong breaks the queue, content that is wrong is a counted drop."""

import contextlib
import os
import struct
import subprocess
import time

from lab import frontend as vu
from lab.driver_ring import AVAIL, INDIRECT, NEXT, USED, WRITE, Desc
from lab.frontend import (EVENT_IDX, HEADER, INDIRECT_DESC, RX_BUFFERS, TX_BUFFERS, FrontEnd, Refused)
from lab.viaductd import build_folder

from catalogue import case
from framing import require
from stage import EVIL_MAC, VICTIM_MAC, Failed, eventually, frame

END = 4 << 20                   # of BASE's memory
TABLE = 3 << 20                 # where indirect tables lie
GOOD = (TX_BUFFERS, 76, 0)


def good(f, payload=b"good"):
    """Puts a frame into a buffer; its descriptor."""
    f.memory.fill(TX_BUFFERS, bytes(HEADER) + frame(payload))
    return GOOD


def breaks(stage, f, reason, queue=1):
    """The queue is broken for that reason, which is told, and stays so; the others never know."""
    f.kick(queue)
    text = stage.broken(queue)
    require(reason in text, "queue %d: %s" % (queue, text))
    stage.traced("queue %d is broken: " % queue)


def attack(stage, f, reason, descs):
    """Offers descriptors as they are. 'reason': of a broken queue; of a drop, if it is one word in small
    letters; None: they are forwarded."""
    drops = stage.drops()
    f.ring[1].offer_raw(descs)
    f.kick()
    if reason is None:
        eventually(lambda: f.ring[1].reap(), "the chain is given back")
    elif reason.islower():
        stage.counted(drops, reason)
        stage.arrives(f, b"after the drop")
    else:
        breaks(stage, f, reason)


# ------------------------------------------------------------ sizes and places

def started(stage, f, expected):
    """Whether both queues run, or are refused."""
    facts = stage.facts()
    runs = all("runs" in facts.get("queue %d" % q, "") for q in (0, 1))
    require(runs == expected, "runs: %s, facts %s" % (runs, facts))


@case("HX-25", (0, 1, 2, 3, 255, 257, 32768, 32769, 65535, 65536 + 256, 1 << 31))
def ring_sizes(stage, size):
    legal = 1 <= size <= 32768 and (stage.packed or size & (size - 1) == 0)
    with FrontEnd(stage.path(), stage.packed, 4, start=False) as f:
        f.negotiate()
        f.share()
        for queue, ring in enumerate(f.ring):
            ring.size = size
            big = size <= 32768 and size > 256
            ring.desc, ring.driver, ring.device = (
                at + queue * (2 << 20) for at in ((0, 1 << 19, 1 << 20) if big else (0, 8192, 12288)))
            if legal:
                ring.clear()
        try:
            for queue in (0, 1):
                f.confirmed(vu.SET_VRING_NUM, struct.pack("<II", queue, size))
        except Refused:
            require(not 1 <= size <= 32768, "the size was refused")
            return
        f.start()
        started(stage, f, legal)


def moved(part, by):
    def move(ring):
        setattr(ring, part, getattr(ring, part) + by)
    return move


def all_equal(ring):
    ring.driver = ring.device = ring.desc


def in_an_rx_buffer(ring):
    ring.desc, ring.driver, ring.device = RX_BUFFERS, RX_BUFFERS + 4096, RX_BUFFERS + 8192


def at_the_end(part, size, past=0):
    def move(ring):
        length = {"desc": 16 * ring.size, "driver": 4 if ring.packed else 6 + 2 * ring.size,
                  "device": 4 if ring.packed else 6 + 8 * ring.size}[part]
        setattr(ring, part, END - (length + 15) // 16 * 16 + past)
    return move


PLACES = {
    "descriptors odd": (moved("desc", 1), False), "descriptors at 8": (moved("desc", 8), False),
    "available odd": (moved("driver", 1), False), "used odd": (moved("device", 1), False),
    "used at 2": (moved("device", 2), False),
    "descriptors at the end": (at_the_end("desc", 0), True),
    "descriptors past the end": (at_the_end("desc", 0, 16), False),
    "available past the end": (at_the_end("driver", 0, 16), False),
    "used past the end": (at_the_end("device", 0, 16), False),
    "descriptors far away": (moved("desc", 1 << 40), False),
    "all at one place": (all_equal, False), "in a receive buffer": (in_an_rx_buffer, True),
}


@case("HX-26", PLACES)
def ring_places(stage, how):
    """What may not run is refused when it is said or when it is to start. What lies in buffers may run,
    and harms only its owner."""
    move, runs = how
    with FrontEnd(stage.path(), stage.packed, 4, start=False) as f:
        f.negotiate()
        f.share()
        move(f.ring[1])
        try:
            f.start()
            f.confirmed(vu.SET_VRING_ADDR,
                        struct.pack("<IIQQQQ", 1, 0, *f.ring[1].addresses(), 0))
        except (Refused, ConnectionError):
            require(not runs, "it was refused")
            return
        f.post()
        started(stage, f, runs)
        for _ in range(64 if runs else 0):
            with contextlib.suppress(KeyError):
                f.send(frame(b"over itself"))


# --------------------------------------------------------------------- indices

@case("HX-28", {"size + 1": 257, "30 000": 30000, "-1": 65535})
def the_available_index_jumps(stage, by):
    with stage.evil() as f:
        stage.arrives(f, b"before")
        if stage.packed:
            # Nothing jumps in a packed ring: all slots are offered again before they are used.
            for _ in range(by % 1000 + 257):
                f.ring[1].offer([good(f)])
            f.kick()
        else:
            f.ring[1].set_index(f.ring[1].avail + by)
            breaks(stage, f, "VX-01")


def helper(f, *words):
    """The program that writes at full speed (pounce.c), on the front-end's memory."""
    return subprocess.Popen([build_folder() + "/tests/hostile/pounce", str(f.memory.fd),
                             str(f.memory.size), str(f.kicks[1]), *map(str, words)],
                            pass_fds=[f.memory.fd, f.kicks[1]])


@case("HX-28")
def the_available_index_flips(stage):
    """10^6 times a second."""
    with stage.evil() as f:
        ring = f.ring[1]
        good(f)
        for _ in range(8):
            ring.offer([GOOD])
        where = ring.driver + 2 if not stage.packed else ring.desc + 14
        values = (0, 8, 300, 0xffff) if not stage.packed else (0, AVAIL, USED, AVAIL | USED)
        pounce = helper(f, stage.times(10, 0.5), "flip16", where, *values)
        for _ in range(stage.times(500, 20)):
            f.kick()
            time.sleep(0.01)
        pounce.wait()


@case("HX-28")
def heads_again_before_they_are_back(stage):
    with stage.evil() as f:
        good(f)
        for _ in range(3):
            if stage.packed:
                for i in range(256):
                    f.ring[1].write(i, *GOOD[:2], f.ring[1].lap())
                f.ring[1].wrap = not f.ring[1].wrap
            else:
                f.ring[1].write(0, *GOOD)
                for _ in range(256):
                    f.ring[1].offer_head(0)
            f.kick()
            time.sleep(0.02)


# ---------------------------------------------------------------- heads and next

@case("HX-29", {"head 256": 256, "head 0x7fff": 0x7fff, "head 0xffff": 0xffff})
def heads_outside_the_table(stage, head):
    with stage.evil() as f:
        if stage.packed:                    # an id is only echoed
            f.ring[1].offer_raw([Desc(*good(f))], number=head)
            f.kick()
            require(eventually(f.ring[1].reap, "it comes back")[0].id == head, "another id")
        else:
            f.ring[1].offer_head(head)
            breaks(stage, f, "VX-02")


@case("HX-29", {"next 256": 256, "next 60000": 60000})
def next_outside_the_table(stage, link):
    with stage.evil() as f:
        if stage.packed:                    # next has no field: the next slot is not available
            f.ring[1].write(0, *good(f)[:2], NEXT | AVAIL)
            breaks(stage, f, "VX-25")
        else:
            attack(stage, f, "VX-03", [Desc(*good(f)[:2], NEXT, link)])


def self_loop(f):
    f.ring[1].offer_raw([Desc(TX_BUFFERS, 0, NEXT, 0)])


def two_cycle(f):
    f.ring[1].offer_raw([Desc(TX_BUFFERS, 1, NEXT, 1), Desc(TX_BUFFERS, 1, NEXT, 0)])


def all_next(f):
    f.ring[1].offer_raw([Desc(TX_BUFFERS, 0, NEXT, None)] * 256)


@case("HX-30", {"next is itself": (self_loop, "VX-04"), "two in a circle": (two_cycle, "VX-04"),
                "next in all": (all_next, "VX-04")})
def loops(stage, how):
    """In a packed ring a chain goes on to a slot that is not available, or around."""
    make, reason = how
    with stage.evil() as f:
        make(f)
        if not stage.packed or make is all_next:
            breaks(stage, f, reason)
        else:
            breaks(stage, f, "VX-25")


@case("HX-30")
def a_chain_of_the_whole_ring(stage):
    with stage.evil() as f:
        f.memory.fill(TX_BUFFERS, bytes(HEADER) + frame(b"whole", size=512))
        f.ring[1].offer([(TX_BUFFERS + i, 1, 0) for i in range(256)])
        f.kick()
        stage.comes(b"whole")


@case("HX-30")
def next_on_the_last_slot(stage):
    with stage.evil() as f:
        good(f)
        for _ in range(255):
            f.ring[1].offer([GOOD])
            f.kick()
            eventually(f.ring[1].reap, "it comes back")
        f.ring[1].offer_raw([Desc(*GOOD[:2], NEXT, 255)])
        breaks(stage, f, "VX-25" if stage.packed else "VX-04")


# -------------------------------------------------------------- addresses, lengths

BUFFERS = {
    "2^64-256, 512": ([(2 ** 64 - 256, 512, 0)], "VX-07"),
    "2^40, 76": ([(2 ** 40, 76, 0)], "VX-07"),
    "end-8, 76": ([(END - 8, 76, 0)], "VX-07"),
    "end, 1": ([(END, 1, 0)], "VX-07"),
    "0, 0xffffffff": ([(0, 0xffffffff, 0)], "VX-07"),
    "bad, 0": ([(2 ** 40, 0, 0)], "short"),
    "good, 0": ([(TX_BUFFERS, 0, 0)], "short"),
    "16 times 0x10000000": ([(0, 0x10000000, 0)] * 16, "VX-"),
    "a good one and a bad one": ([GOOD, (2 ** 63, 8, 0)], "VX-07"),
    "1024 of 4 MiB": ([(0, END, 0)] * 256, "long"),
}


@case("HX-31", BUFFERS)
def buffers(stage, how):
    pieces, reason = how
    with stage.evil() as f:
        last = len(pieces) - 1
        attack(stage, f, reason, [Desc(*piece[:2], NEXT if i < last else 0)
                                  for i, piece in enumerate(pieces)])


@case("HX-31")
def invalid_chains_in_a_row(stage):
    """As many front-ends as that takes: each breaks its queue at once."""
    for _ in range(stage.times(2000, 20)):
        with stage.evil() as f:
            for _ in range(50):
                f.ring[1].offer([(2 ** 40, 76, 0)])
            breaks(stage, f, "VX-07")


# ------------------------------------------------------------------- headers

def ones(total):
    return [(TX_BUFFERS + i, 1, 0) for i in range(total)]


HEADERS = {
    "0 bytes": ([(TX_BUFFERS, 0, 0)], "short"), "1 byte": (ones(1), "short"),
    "11 bytes": (ones(11), "short"), "12 bytes": (ones(12), "short"), "13 bytes": (ones(13), "short"),
    "in 12 pieces": (ones(12) + [(TX_BUFFERS + 12, 64, 0)], None),
    "writable first": ([(TX_BUFFERS, 12, WRITE), (TX_BUFFERS + 12, 64, 0)], "VX-11"),
    "writable in the middle": ([(TX_BUFFERS, 12, 0), (TX_BUFFERS + 12, 1, WRITE),
                                (TX_BUFFERS + 13, 64, 0)], "VX-11"),
    "writable last": ([(TX_BUFFERS, 76, 0), (TX_BUFFERS + 4096, 8, WRITE)], "header"),
    "all writable": ([(TX_BUFFERS, 76, WRITE)], "header"),
}


@case("HX-32", HEADERS)
def headers(stage, how):
    pieces, reason = how
    with stage.evil() as f:
        good(f)
        attack(stage, f, reason, [Desc(*piece[:2], piece[2] | (NEXT if i + 1 < len(pieces) else 0))
                                  for i, piece in enumerate(pieces)])


@case("HX-32")
def receive_chains_without_room(stage):
    """Nothing that may be written: the frame for it is dropped, and no byte of it is."""
    with stage.evil() as f:
        f.ring[0].clear()
    with FrontEnd(stage.path(), stage.packed, 4) as f:
        drops = stage.drops(direction="transmit")
        f.memory.fill(RX_BUFFERS, b"mine" * 1024)
        for _ in range(4):
            f.ring[0].offer([(RX_BUFFERS, 2048, 0)])
        for _ in range(4):
            stage.victim.send(frame(b"for evil", src=b"\x02vict\x02"))
        eventually(lambda: stage.drops(direction="transmit") != drops or f.ring[0].reap() or
                   "broken" in stage.facts()["queue 0"], lambda: stage.facts())
        require(f.memory.map[RX_BUFFERS:RX_BUFFERS + 4096] == b"mine" * 1024, "it was written to")


SIZES = {"with neither": vu.VIRTIO_F_VERSION_1 | vu.MRG_RXBUF, "with VERSION_1": vu.MRG_RXBUF,
         "with MRG_RXBUF": vu.VIRTIO_F_VERSION_1, "with both": 0}


@case("HX-32", SIZES)
def header_sizes(stage, without):
    """The header is as long as the features say that were agreed on: frames come whole, both ways."""
    if stage.packed and without & vu.VIRTIO_F_VERSION_1:
        return                          # no packed ring without VERSION_1
    there, back = frame(os.urandom(40)), frame(os.urandom(40), EVIL_MAC, VICTIM_MAC)
    with stage.evil(without=without) as f:
        stage.victim.received()
        f.send(there)
        eventually(lambda: there in stage.victim.received(), "the frame comes as it was sent")
        stage.victim.send(back)
        eventually(lambda: back in f.received(), "the answer comes as it was sent")


# ------------------------------------------------------------------ indirect tables

def table(f, descs, at=TABLE):
    """Writes an indirect table; its length in bytes."""
    for i, d in enumerate(descs):
        tail = (0, d.flags) if f.packed else (d.flags, i + 1 if d.next is None else d.next)
        f.memory.fill(at + 16 * i, struct.pack("<QIHH", d.addr, d.len, *tail))
    return 16 * len(descs)


TWO = [Desc(TX_BUFFERS, 12, NEXT), Desc(TX_BUFFERS + 12, 64)]

INDIRECTS = {
    "good": (TWO, TABLE, None, INDIRECT, None),
    "0 bytes": (TWO, TABLE, 0, INDIRECT, "VX-13"), "15 bytes": (TWO, TABLE, 15, INDIRECT, "VX-13"),
    "17 bytes": (TWO, TABLE, 17, INDIRECT, "VX-13"),
    "0xfffffff0 bytes": (TWO, TABLE, 0xfffffff0, INDIRECT, "VX-13"),
    "257 entries": (TWO, TABLE, 257 * 16, INDIRECT, "VX-13"),
    "nested": ([Desc(TABLE, 32, INDIRECT)], TABLE, None, INDIRECT, "VX-13"),
    "nested in the second": ([TWO[0], Desc(TABLE, 16, INDIRECT)], TABLE, None, INDIRECT, "VX-13"),
    "with NEXT": (TWO, TABLE, None, INDIRECT | NEXT, "VX-"),
    "with WRITE": (TWO, TABLE, None, INDIRECT | WRITE, None),
    "at the end": (TWO, END - 8, 32, INDIRECT, "VX-07"),
    "far away": (TWO, 2 ** 50, 32, INDIRECT, "VX-07"),
    "unaligned": (TWO, TABLE + 3, None, INDIRECT, None),
    "next outside": ([Desc(TX_BUFFERS, 12, NEXT, 99), TWO[1]], TABLE, None, INDIRECT, "VX-03"),
    "a loop": ([Desc(TX_BUFFERS, 12, NEXT, 0), TWO[1]], TABLE, None, INDIRECT, "VX-04"),
    "into nowhere": ([Desc(2 ** 60, 76)], TABLE, None, INDIRECT, "VX-07"),
}


@case("HX-33", INDIRECTS)
def indirect_tables(stage, how):
    descs, at, size, flags, reason = how
    with stage.evil(features=INDIRECT_DESC) as f:
        good(f)
        length = table(f, descs, at if at < END - 64 else TABLE)
        if stage.packed and (reason in ("VX-03", "VX-04") or descs[-1].flags & INDIRECT):
            reason = None                   # in a packed ring's table only WRITE counts: VQ-P-10
        attack(stage, f, reason, [Desc(at, length if size is None else size, flags)])


@case("HX-33")
def indirect_without_the_feature(stage):
    with stage.evil() as f:
        good(f)
        attack(stage, f, "VX-13", [Desc(TABLE, table(f, TWO), INDIRECT)])


@case("HX-33")
def an_indirect_table_that_is_rewritten(stage):
    """Its addresses and flags flip while it is read."""
    with stage.evil(features=INDIRECT_DESC) as f:
        good(f)
        length = table(f, TWO)
        words = [TX_BUFFERS, 2 ** 63, 12, 0xffffffff << 32 | 64]
        pounce = helper(f, stage.times(10, 0.5), "flip64", TABLE, *words)
        deadline = time.monotonic() + stage.times(10, 0.5)
        while time.monotonic() < deadline and "runs" in stage.facts()["queue 1"]:
            for _ in range(32):
                f.ring[1].offer_raw([Desc(TABLE, length, INDIRECT)])
            f.kick()
            f.ring[1].reap()
        pounce.wait()


# ------------------------------------------------------------------- the flipper

@case("HX-36")
def the_flipper(stage):
    """Two threads rewrite all of a queue's words at full speed, between valid and hostile values; the
    queue is started again whenever it breaks."""
    deadline, rounds = time.monotonic() + stage.times(600, 1), 0
    while time.monotonic() < deadline:
        with stage.evil(features=INDIRECT_DESC | EVENT_IDX) as f:
            good(f)
            table(f, TWO)
            for ring in f.ring:
                pieces = [(TX_BUFFERS, 76, 0), (TABLE, 32, INDIRECT), (TX_BUFFERS, 12, NEXT)]
                for i in range(200):
                    ring.offer([(RX_BUFFERS + 4096 * i, 2048, WRITE) if ring is f.ring[0]
                                else pieces[i % 2]])
            pounce = helper(f, 0.3, "maul", int(stage.packed), rounds,
                            *(at for r in f.ring for at in (r.desc, r.driver, r.device)), TABLE,
                            TX_BUFFERS, END)
            while pounce.poll() is None:
                f.kick()
                stage.victim.send(frame(b"to all", src=b"\x02vict\x02"))
                stage.victim.received()
                time.sleep(0.002)
        rounds += 1


# ---------------------------------------------------------------- receive buffers

@case("HX-39", {"%d bytes" % size: size for size in (0, 1, 11, 12, 13)})
def small_receive_buffers(stage, size):
    """What does not fit is dropped; what fits is cut into as many as that takes (mergeable)."""
    with FrontEnd(stage.path(), stage.packed, 4) as f:
        f.memory.fill(RX_BUFFERS, b"\xa5" * (256 * 64))
        for i in range(255):
            f.ring[0].offer([(RX_BUFFERS + 64 * i, size, WRITE)])
        for _ in range(8):
            stage.victim.send(frame(b"small", src=b"\x02vict\x02"))
        time.sleep(0.05)
        for i in range(255):
            beyond = f.memory.map[RX_BUFFERS + 64 * i + size:RX_BUFFERS + 64 * (i + 1)]
            require(beyond == b"\xa5" * (64 - size), "buffer %d was written beyond its end" % i)


@case("HX-39")
def receive_buffers_smaller_than_the_frame(stage):
    """Not mergeable."""
    with stage.evil() as f:
        pass
    f = FrontEnd(stage.path(), stage.packed, 4, start=False)
    with f:
        f.wanted &= ~vu.MRG_RXBUF
        f.negotiate()
        f.share()
        f.start()
        drops = stage.drops(direction="transmit")
        f.memory.fill(RX_BUFFERS, b"\xa5" * (1 << 19))
        f.post(50, 64)
        stage.victim.send(frame(b"too long", src=b"\x02vict\x02", size=512))
        stage.counted(drops, "too_big", direction="transmit")
        for i in range(50):
            at = RX_BUFFERS + 4096 * i
            require(f.memory.map[at + 64:at + 4096] == b"\xa5" * 4032, "beyond the buffer")


@case("HX-39")
def no_receive_buffers_and_then_all(stage):
    with FrontEnd(stage.path(), stage.packed, 4) as f:
        drops = stage.drops(direction="transmit")
        deadline = time.monotonic() + stage.times(10, 0.3)
        sent = 0
        while time.monotonic() < deadline:
            stage.victim.send(frame(b"nobody takes it", src=b"\x02vict\x02"))
            sent += 1
            time.sleep(0.005)
        stage.counted(drops, "full", sent // 2, direction="transmit")
        f.post()
        stage.victim.send(frame(b"at last", src=b"\x02vict\x02"))
        eventually(lambda: any(b"at last" in got for got in f.received()), "a frame comes")


@case("HX-39")
def starved_and_refilled(stage):
    with FrontEnd(stage.path(), stage.packed, 4) as f:
        for _ in range(stage.times(20000, 100)):
            f.post(1)
            stage.victim.send(frame(b"one", src=b"\x02vict\x02"))
            stage.victim.send(frame(b"two", src=b"\x02vict\x02"))
            stage.victim.ring[1].reap()
            for used in f.ring[0].reap():
                f.spare.append(f.posted.pop(used.id))


# ----------------------------------------------------------------- notifications

@case("HX-40")
def a_flood_of_kicks(stage):
    """10^6 a second."""
    with stage.evil() as f:
        pounce = helper(f, stage.times(10, 1), "kick")
        stage.arrives(f, b"between kicks")
        require(pounce.wait() == 0, "the flood")


@case("HX-40", {"flags": "flags", "events": "events"})
def suppression_that_flaps(stage, what):
    with stage.evil(features=EVENT_IDX if what == "events" else 0) as f:
        ring = f.ring[1]
        where = ring.driver + (2 if stage.packed and what == "flags" else
                               0 if stage.packed or what == "flags" else 4 + 2 * ring.size)
        values = (0, 1, 2, 3) if what == "flags" else (0, 1, 0x7fff, 0xffff)
        pounce = helper(f, stage.times(10, 0.5), "flip16", where, *values)
        while pounce.poll() is None:
            stage.arrives(f, os.urandom(8))
            f.ring[1].reap()


@case("HX-40", {"event far away": 0x7fff, "event behind": 0xffff, "event of no slot": 0x7ffe})
def strange_event_indices(stage, event):
    with stage.evil(features=EVENT_IDX) as f:
        f.ring[1].set_event(event)
        f.ring[1].set_flags(2)
        for _ in range(300):
            f.send(frame(b"event"))
            f.ring[1].reap()
        stage.arrives(f, b"all the same")


@case("HX-40")
def notifiers_that_the_front_end_closed(stage):
    with stage.evil() as f:
        for fd in f.fds:
            os.close(fd)
        f.fds = []
        f.kicks = {queue: f.event() for queue in (0, 1)}
        for _ in range(10):
            f.send(frame(b"nobody hears it"))
