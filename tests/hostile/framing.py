# SPDX-License-Identifier: BSD-3-Clause
"""Framing and messages: docs/reference/hostile.md §3.1."""

import contextlib
import os
import random
import select
import socket
import struct
import tempfile
import time

from lab import frontend as vu
from lab.closes import Closes
from lab.frontend import NEED_REPLY, VERSION, Connection, FrontEnd, Memory

from catalogue import case
from stage import Failed, eventually, frame

DEADLINE = 5                    # seconds that a message may take: VU_DEADLINE_MS
CAP = 268                       # bytes of the longest payload
REQUESTS = range(1, 45)
SO_PASSPIDFD = 76               # asm-generic/socket.h: with each message comes its sender's process
# What a request's payload must be; those that are not here have none.
SIZES = {2: 8, 5: 40, 6: 16, 8: 8, 9: 40, 10: 8, 11: 8, 12: 8, 13: 8, 14: 8, 16: 8, 18: 8, 19: 8, 20: 8,
         22: 32, 23: 8, 24: 12, 25: 12, 27: 8, 31: 24, 32: 24, 35: 8, 37: 40, 38: 40, 39: 8, 41: 16, 42: 8}


def talk(stage, protocol=-1, **more):
    """A connection on which protocol features (-1: all) have been negotiated, and nothing else. The port
    may rest before it takes one, say because there are many files of others' to close."""
    def connect():
        c = Connection(stage.path(), **more)
        try:
            c.request(vu.SET_OWNER)
            c.request(vu.SET_PROTOCOL_FEATURES, struct.pack(
                "<Q", c.ask(vu.GET_PROTOCOL_FEATURES) & protocol))
            return c
        except OSError:
            c.close()
            return None

    return eventually(connect, "the port takes the next front-end")


def is_closed(c, patience=DEADLINE + 5):
    """Whether the back-end closes the connection; what it says before is skipped."""
    c.sock.settimeout(patience)
    try:
        while c.sock.recv(4096):
            pass
    except ConnectionError:
        pass
    except socket.timeout:
        return False
    return True


def answer(c, number, payload=b"", fds=(), flags=NEED_REPLY):
    """What comes back for a request: its payload, or None if the connection is closed."""
    try:
        c.request(number, payload, fds, flags)
        if number == vu.SET_PROTOCOL_FEATURES:      # it may have taken away that it is answered
            c.request(vu.GET_FEATURES)
            said, _, reply = c.reply()
            return bytes(8) if said == vu.GET_FEATURES else reply
        return c.reply()[2]
    except ConnectionError:
        return None


def is_refused(reply):
    """A closed connection, or an error: a number that is not 0, or nothing behind the header."""
    return not reply or (len(reply) == 8 and reply != bytes(8))


def require_refused(reply, what):
    if not is_refused(reply):
        raise Failed("%s was accepted: %s" % (what, reply.hex()))


class Talker(Closes):
    """A connection that is made anew whenever the back-end has closed it."""

    def __init__(self, stage, protocol=-1):
        self.stage, self.protocol, self.c = stage, protocol, None

    def close(self):
        if self.c:
            self.c.close()
        self.c = None

    def answer(self, number, *rest, **more):
        self.c = self.c or talk(self.stage, self.protocol)
        reply = answer(self.c, number, *rest, **more)
        if reply is None or number == vu.SET_PROTOCOL_FEATURES:
            self.close()
        return reply


def told(stage, text):
    """Whether 'port show' says of the attacked port why its last front-end was refused or dropped."""
    facts = stage.facts()
    return text in facts.get("refused", "") or text in facts.get("last peer", "")


# ------------------------------------------------------------------ framing

@case("HX-01")
def a_header_without_its_payload(stage):
    with talk(stage) as c:
        c.send_bytes(struct.pack("<III", vu.SET_VRING_NUM, VERSION, 8))
        if not is_closed(c, 10):
            raise Failed("it was not dropped at its deadline")
    eventually(lambda: told(stage, "not complete in time"), lambda: stage.facts())


@contextlib.contextmanager
def more_ports(stage, names):
    for name in names:
        stage.daemon.say("port", "add", name, "type=vhost-user", "vlan=2", "socket=" + stage.path(name))
    try:
        yield
    finally:
        for name in names:
            stage.daemon.say("port", "del", name)


@case("HX-02")
def parts_of_a_header(stage):
    names = {"part%d.%d" % (size, fds): (size, fds) for size in range(1, 12) for fds in (0, 1)}
    with more_ports(stage, names), contextlib.ExitStack() as stack:
        waiting = []
        for name, (size, fds) in names.items():
            c = stack.enter_context(Connection(stage.path(name)))
            c.send_bytes(struct.pack("<III", vu.SET_VRING_NUM, VERSION, 8)[:size],
                         [stage.null] * fds)
            waiting.append((name, c))
        for name, c in waiting:
            if not is_closed(c, 10):
                raise Failed("%s was not dropped at its deadline" % name)


@case("HX-02", {"closed by the front-end": range(1, 12)})
def parts_of_a_header_and_closed(stage, sizes):
    for size in sizes:
        for fds in (0, 1, 8):
            # A port that has too many files of others to close waits before it takes the next one.
            with contextlib.suppress(OSError), Connection(stage.path()) as c:
                c.send_bytes(struct.pack("<III", vu.SET_VRING_NUM, VERSION, 8)[:size],
                             [stage.null] * fds)


@case("HX-03")
def a_byte_at_a_time(stage):
    with talk(stage) as c:
        for byte in struct.pack("<III", vu.GET_FEATURES, VERSION, 0):
            c.send_bytes(bytes([byte]))
            time.sleep(0.02)
        if len(c.reply()[2]) != 8:
            raise Failed("it was not answered")


@case("HX-03")
def a_table_in_two_writes(stage):
    with FrontEnd(stage.path(), stage.packed, 4, start=False) as f:
        f.negotiate()
        payload = struct.pack("<II", 1, 0) + f.memory.region()
        message = struct.pack("<III", vu.SET_MEM_TABLE, VERSION | NEED_REPLY, len(payload)) + payload
        for cut in range(1, len(message)):
            f.send_bytes(message[:cut], [f.memory.fd])
            time.sleep(0.001)
            f.send_bytes(message[cut:])
            if f.reply()[2] != bytes(8):
                raise Failed("refused when it was cut at byte %d" % cut)


@case("HX-03")
def three_requests_in_one_write(stage):
    with talk(stage) as c:
        c.send_bytes(3 * struct.pack("<III", vu.GET_FEATURES, VERSION, 0))
        if len({c.reply() for _ in range(3)}) != 1:
            raise Failed("three answers that differ")


@case("HX-04", {"0x%x bytes" % size: size for size in (CAP + 1, 4096, 0x10000, 0x7fffffff, 0xffffffff)})
def a_payload_too_long(stage, size):
    for number in (vu.SET_MEM_TABLE, vu.SET_VRING_NUM, vu.SET_CONFIG):
        with talk(stage) as c:
            c.send_bytes(struct.pack("<III", number, VERSION, size) + b"j" * 64, [stage.null] * 8)
            if not is_closed(c):
                raise Failed("request %d" % number)


BODIES = {"zeros": lambda size: bytes(size), "ones": lambda size: b"\xff" * size,
          "random": random.Random(5).randbytes}


@case("HX-05", BODIES)
def payloads_of_every_length(stage, body):
    with Talker(stage) as t:
        for number in REQUESTS:
            right = SIZES.get(number, 0)
            for size in range(right + 9):
                reply = t.answer(number, body(size))
                if size != right:
                    require_refused(reply, "request %d with %d bytes" % (number, size))


@case("HX-05")
def replies_hold_nothing_of_ours(stage):
    """The same question has the same answer, byte by byte."""
    for number in REQUESTS:
        answers = set()
        for _ in range(stage.times(100, 5)):
            with talk(stage) as c:
                answers.add(answer(c, number, bytes(SIZES.get(number, 0))))
        if len(answers) != 1:
            raise Failed("request %d: %s" % (number, answers))


UNKNOWN = [0, 7, 27, 33, *range(42, 64), 255, 9999, 0x80000000, 0xffffffff]


@case("HX-06", {"without": (0, 0), "with NEED_REPLY": (NEED_REPLY, 0), "with descriptors": (0, 4),
                "with both": (NEED_REPLY, 4)})
def unknown_requests(stage, how):
    flags, fds = how
    for number in UNKNOWN:
        with talk(stage) as c:
            reply = answer(c, number, bytes(SIZES.get(number, 0)), [stage.null] * fds, flags)
            require_refused(reply, "request %d" % number)
    if not told(stage, ""):
        raise Failed("nobody was told")


@case("HX-07", {"version 0": 0, "version 2": 2, "version 3": 3, "a reply": VERSION | vu.REPLY,
                **{"reserved bit %d" % bit: VERSION | 1 << bit for bit in range(4, 32)}},
      quick={"version 0", "version 2", "version 3", "a reply", "reserved bit 4", "reserved bit 31"})
def wrong_flags(stage, flags):
    with talk(stage) as c:
        c.send_bytes(struct.pack("<III", vu.GET_FEATURES, flags, 0))
        if not is_closed(c):
            raise Failed("the connection goes on")
    eventually(lambda: told(stage, "a message of another") or told(stage, "a reply that") or
               told(stage, "reserved flags"), lambda: stage.facts())


@case("HX-07")
def a_reply_is_wanted_that_was_not_negotiated(stage):
    with talk(stage, 0) as c:
        c.request(vu.SET_OWNER, flags=NEED_REPLY)
        c.ask(vu.GET_FEATURES)              # is what is answered next


# -------------------------------------------------------------- descriptors

COUNTS = (0, 1, 2, 7, 8, 9, 16, 64, 253)
TAKEN = {(vu.SET_LOG_FD, 1)}    # and closed


@case("HX-09", {"%d descriptors" % count: count for count in COUNTS})
def descriptors_with_every_request(stage, count):
    with Talker(stage) as t:
        for _ in range(stage.times(50, 1)):
            for number in REQUESTS:
                reply = t.answer(number, bytes(SIZES.get(number, 0)), [stage.null] * count)
                if count and (number, count) not in TAKEN:
                    require_refused(reply, "request %d with %d descriptors" % (number, count))


def full_pipe(stack):
    reader, writer = os.pipe()
    stack.callback(os.close, reader)
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writer, bytes(4096)):
            pass
    os.set_blocking(writer, True)
    return writer


def regular_file(stack):
    fd, path = tempfile.mkstemp(dir="/var/tmp")
    os.unlink(path)
    os.ftruncate(fd, 4 << 20)
    return fd


def read_only_memfd(stack):
    writable = os.memfd_create("read-only")
    stack.callback(os.close, writable)
    os.ftruncate(writable, 4 << 20)
    return os.open("/proc/self/fd/%d" % writable, os.O_RDONLY)


def socket_end(stack):
    ours, theirs = socket.socketpair()
    stack.callback(ours.close)
    return theirs.detach()


KINDS = {
    "regular file": regular_file,
    "read-only memfd": read_only_memfd,
    "O_PATH directory": lambda stack: os.open("/", os.O_PATH),
    "socket": socket_end,
    "full pipe": full_pipe,
    "epoll": lambda stack: stack.enter_context(select.epoll()).fileno(),
    "/dev/zero": lambda stack: os.open("/dev/zero", os.O_RDWR),
    "/dev/full": lambda stack: os.open("/dev/full", os.O_RDWR),
    "/dev/null": lambda stack: os.open("/dev/null", os.O_RDWR),
    "UDP socket": lambda stack: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach(),
}


@case("HX-10", KINDS)
def descriptors_of_the_wrong_kind(stage, make):
    with contextlib.ExitStack() as stack:
        fd = make(stack)
        if make is not KINDS["epoll"]:
            stack.callback(os.close, fd)
        with Talker(stage) as t, Memory(4 << 20) as memory:
            table = struct.pack("<II", 1, 0) + memory.region()
            require_refused(t.answer(vu.SET_MEM_TABLE, table, [fd]), "as memory")
            for number in (vu.SET_VRING_KICK, vu.SET_VRING_CALL, vu.SET_VRING_ERR):
                if number == vu.SET_VRING_CALL and make is socket_end:
                    continue                # as user-mode Linux does
                require_refused(t.answer(number, bytes(8), [fd]), "to request %d" % number)


@case("HX-10")
def its_own_socket_as_a_call(stage):
    """What is signalled comes back as a message of nonsense."""
    with stage.evil() as f:
        f.confirmed(vu.SET_VRING_CALL, struct.pack("<Q", 1), [f.sock.fileno()])
        f.send(frame(b"own"))
        is_closed(f)


@case("HX-10")
def a_backend_channel_that_brings_its_sender(stage):
    """A descriptor with each byte, and with each that lies there when another channel comes."""
    with Talker(stage) as t:
        for _ in range(stage.times(1000, 50)):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                with contextlib.suppress(OSError):          # a kernel that does not know it
                    theirs.setsockopt(socket.SOL_SOCKET, SO_PASSPIDFD, 1)
                ours.send(b"\1")
                require(t.answer(vu.SET_BACKEND_REQ_FD, b"", [theirs.fileno()]) == bytes(8),
                        "the channel is refused")
                with contextlib.suppress(OSError):
                    for _ in range(20):
                        ours.send(b"\1")


def full_eventfd(f):
    fd = os.eventfd(0, os.EFD_CLOEXEC)
    os.eventfd_write(fd, 0xfffffffffffffffe)
    f.fds.append(fd)
    return fd


def full_socket(f):
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while ours.send(bytes(4096)):
            pass
    ours.setblocking(True)
    f.fds += [ours.detach(), theirs.detach()]
    return f.fds[-2]


@case("HX-10", {"a full eventfd": full_eventfd, "a full socket": full_socket})
def a_call_that_blocks(stage, make):
    """Nobody waits for it, neither the worker that signals nor who sends to the port; whose call is an
    eventfd is dropped."""
    with stage.evil() as f:
        for queue in (0, 1):
            f.request(vu.SET_VRING_CALL, struct.pack("<Q", queue), [make(f)])
        with contextlib.suppress(OSError):
            for _ in range(5):
                f.send(frame(b"stuck"))
                time.sleep(0.01)
        if make is full_eventfd:
            eventually(lambda: told(stage, "R19"), lambda: stage.facts())
            stage.traced("R19")


@case("HX-11", {"request %d" % number: number
                for number in (8, 9, 10, 11, 12, 13, 14, 18)})
def queues_that_are_not_there(stage, number):
    """Three are: a pair, and the control queue."""
    with Talker(stage) as t:
        for index in (3, 4, 255, 256, 0x7fff, 0x10000, 0x10001, 0xffffffff):
            if number in (vu.SET_VRING_KICK, vu.SET_VRING_CALL, vu.SET_VRING_ERR):
                body = struct.pack("<Q", index | vu.NOFD)
                if index == vu.NOFD:
                    continue                # is queue 0 without a descriptor
            else:
                body = struct.pack("<II", index, 1).ljust(SIZES[number], b"\0")
            require_refused(t.answer(number, body), "queue 0x%x" % index)


# --------------------------------------------------------------------- order

def require(condition, what):
    if not condition:
        raise Failed(what)


def nothing_comes(stage, f, payload):
    """A frame that is offered now is not taken."""
    stage.victim.received()
    with contextlib.suppress(OSError):
        f.send(frame(payload))
    time.sleep(0.05)
    require(not any(payload in got for got in stage.victim.received()),
            "the ring runs, and should not")


@case("HX-12")
def addresses_before_memory(stage):
    """Said in any order; judged when all is known."""
    with FrontEnd(stage.path(), stage.packed, 4, start=False) as f:
        f.negotiate()
        for queue in (0, 1):
            f.set_up(queue)
        f.share()
        for queue in (0, 1):
            f.enable(queue)
        stage.arrives(f, b"in any order")


@case("HX-12")
def wrong_addresses_before_memory(stage):
    with FrontEnd(stage.path(), stage.packed, 4, start=False) as f:
        f.negotiate()
        for ring in f.ring:
            ring.desc += 1 << 30
        for queue in (0, 1):
            f.set_up(queue)
        f.share()
        require("refused" in stage.broken(1), "queue 1 runs")
        stage.traced("queue 1 does not start")


@case("HX-12")
def enabled_before_anything(stage):
    with Connection(stage.path()) as c:
        for queue in (0, 1):
            c.request(vu.SET_VRING_ENABLE, struct.pack("<II", queue, 1))
        c.request(vu.SET_VRING_KICK, struct.pack("<Q", 1 | vu.NOFD))
        require(len(answer(c, vu.GET_FEATURES)) == 8, "no answer")


@case("HX-12")
def a_base_is_asked_for_first(stage):
    with Connection(stage.path()) as c:
        c.request(vu.GET_VRING_BASE, struct.pack("<II", 1, 0))
        require(c.reply()[2] == struct.pack("<II", 1, 0), "a base of nothing")


@case("HX-12")
def features_that_were_not_offered(stage):
    with Talker(stage) as t:
        for bit in (24, 33, 41, 63):
            mask = struct.pack("<Q", 1 << bit)
            require_refused(t.answer(vu.SET_FEATURES, mask), "feature %d" % bit)
            require_refused(t.answer(vu.SET_PROTOCOL_FEATURES, mask), "protocol feature %d" % bit)
    require(told(stage, "offered"), "nobody was told")


@case("HX-12")
def features_change_while_it_runs(stage):
    with stage.evil() as f:
        require(f.refused(vu.SET_FEATURES, struct.pack("<Q", f.wanted & ~vu.MRG_RXBUF)), "accepted")
        stage.arrives(f, b"as before")


@case("HX-12")
def two_owners(stage):
    with talk(stage) as c:
        for _ in range(2):
            require(answer(c, vu.SET_OWNER) == bytes(8), "refused")


@case("HX-12")
def the_owner_resets_under_traffic(stage):
    with stage.evil() as f:
        for _ in range(50):
            f.send(frame(b"before"))
        f.confirmed(vu.RESET_OWNER)
        nothing_comes(stage, f, b"after the reset")


@case("HX-12")
def a_table_that_fails_changes_nothing(stage):
    with stage.evil() as f:
        wrong = struct.pack("<IIQQQQ", 1, 0, 0, 1 << 40, vu.USER_ADDRESS, 0)
        require(f.refused(vu.SET_MEM_TABLE, wrong, [f.memory.fd]), "a table beyond its file")
        stage.arrives(f, b"the table of before")


@case("HX-12")
def a_restart_without_addresses(stage):
    """R29: after GET_VRING_BASE all must be said again."""
    with stage.evil() as f:
        f.request(vu.GET_VRING_BASE, struct.pack("<II", 1, 0))
        base = struct.unpack("<II", f.reply()[2])[1]
        f.confirmed(vu.SET_VRING_BASE, struct.pack("<II", 1, base))
        f.confirmed(vu.SET_VRING_KICK, struct.pack("<Q", 1), [f.kicks[1]])
        nothing_comes(stage, f, b"no address")
        f.confirmed(vu.SET_VRING_ADDR, struct.pack("<IIQQQQ", 1, 0, *f.ring[1].addresses(), 0))
        stage.comes(b"no address")


@case("HX-12", {"0 bytes": 0, "all bytes": 0xffffffffffffffff})
def an_iotlb_without_an_iommu(stage, size):
    with Talker(stage) as t:
        body = struct.pack("<QQQBB6x", 0, size, vu.USER_ADDRESS, 3, 2)
        require_refused(t.answer(vu.IOTLB_MSG, body), "an IOTLB update")


# -------------------------------------------------------------------- setters

def with_event(number, word=0):
    return lambda f: (number, struct.pack("<Q", word), [f.kicks[0]])


SETTERS = {
    "SET_OWNER": lambda f: (vu.SET_OWNER, b"", ()),
    "SET_FEATURES": lambda f: (vu.SET_FEATURES, struct.pack("<Q", f.wanted), ()),
    "SET_PROTOCOL_FEATURES": lambda f: (vu.SET_PROTOCOL_FEATURES, struct.pack("<Q", 9), ()),
    "SET_MEM_TABLE": lambda f: (vu.SET_MEM_TABLE, struct.pack("<II", 1, 0) + f.memory.region(),
                                [f.memory.fd]),
    "SET_VRING_NUM": lambda f: (vu.SET_VRING_NUM, struct.pack("<II", 0, 256), ()),
    "SET_VRING_ADDR": lambda f: (vu.SET_VRING_ADDR, struct.pack(
        "<IIQQQQ", 0, 0, *f.ring[0].addresses(), 0), ()),
    "SET_VRING_BASE": lambda f: (vu.SET_VRING_BASE, struct.pack("<II", 0, 0), ()),
    "GET_VRING_BASE": lambda f: (vu.GET_VRING_BASE, struct.pack("<II", 0, 0), ()),
    "SET_VRING_KICK": with_event(vu.SET_VRING_KICK),
    "SET_VRING_CALL": with_event(vu.SET_VRING_CALL),
    "SET_VRING_ERR": with_event(vu.SET_VRING_ERR),
    "SET_VRING_KICK without": lambda f: (vu.SET_VRING_KICK, struct.pack("<Q", vu.NOFD), ()),
    "SET_VRING_ENABLE": lambda f: (vu.SET_VRING_ENABLE, struct.pack("<II", 0, 1), ()),
    "SEND_RARP": lambda f: (vu.SEND_RARP, b"\x02evil\x01\0\0", ()),
    "SET_BACKEND_REQ_FD": lambda f: (vu.SET_BACKEND_REQ_FD, b"", [f.kicks[0]]),
    "RESET_OWNER": lambda f: (vu.RESET_OWNER, b"", ()),
    "RESET_DEVICE": lambda f: (vu.RESET_DEVICE, b"", ()),
    "SET_STATUS": lambda f: (vu.SET_STATUS, struct.pack("<Q", 15), ()),
    "SET_LOG_BASE": lambda f: (vu.SET_LOG_BASE, struct.pack("<QQ", 4096, 0), [f.memory.fd]),
    "SET_LOG_FD": lambda f: (vu.SET_LOG_FD, b"", [f.kicks[0]]),
    "SET_CONFIG": lambda f: (vu.SET_CONFIG, struct.pack("<III", 0, 0, 0), ()),
    "NET_SET_MTU": lambda f: (vu.NET_SET_MTU, struct.pack("<Q", 1500), ()),
    "ADD_MEM_REG": lambda f: (vu.ADD_MEM_REG, bytes(8) + f.memory.region(), [f.memory.fd]),
    "REM_MEM_REG": lambda f: (vu.REM_MEM_REG, bytes(8) + f.memory.region(), ()),
    "GET_INFLIGHT_FD": lambda f: (vu.GET_INFLIGHT_FD, bytes(24), ()),
    "SET_INFLIGHT_FD": lambda f: (vu.SET_INFLIGHT_FD, bytes(24), [f.memory.fd]),
    "POSTCOPY_ADVISE": lambda f: (vu.POSTCOPY_ADVISE, b"", ()),
}


@case("HX-14", SETTERS)
def the_same_again_and_again(stage, make):
    """On connections that last as long as the back-end lets them; what it holds does not grow."""
    f, held, total = None, None, stage.times(100000, 200)
    try:
        for i in range(total):
            f = f or eventually(lambda: connected(stage), "a connection")
            if answer(f, *make(f)) is None:
                f.close()
                f = None
            if i == total // 10:
                f = f or eventually(lambda: connected(stage), "a connection")
                held = stage.held()
        f = f or eventually(lambda: connected(stage), "a connection")
        eventually(lambda: stage.held()[0] <= held[0] + 1 and stage.held()[1] <= held[1] + 1,
                   lambda: "held %s, then %s" % (held, stage.held()))
    finally:
        if f:
            f.close()


def connected(stage):
    try:
        return FrontEnd(stage.path(), stage.packed, 4, protocol=-1)
    except ConnectionError:
        return None
