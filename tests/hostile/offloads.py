# SPDX-License-Identifier: BSD-3-Clause
"""What a driver may put into its packets and commands: docs/reference/hostile.md §3.3, HX-37 to HX-42.
The ports beside the attacked one: a guest that knows no offloads (the victim), a TAP, a sink."""

import contextlib
import random
import struct

from lab.driver_ring import NEXT, WRITE, Desc
from lab.frontend import HEADER, TX_BUFFERS, FrontEnd

from catalogue import case
from framing import require
from stage import BROADCAST, EVIL_MAC, eventually, frame

CSUM, GUEST_CSUM, HOST_TSO4, HOST_TSO6, HOST_ECN, HOST_USO = (
    1 << bit for bit in (0, 1, 11, 12, 13, 56))
CTRL_VQ, CTRL_RX, CTRL_VLAN, CTRL_MAC = (1 << bit for bit in (17, 18, 19, 23))
SENDS = CSUM | HOST_TSO4 | HOST_TSO6 | HOST_ECN | HOST_USO
SIZE = 1000
NEEDS_CSUM = 1
BURST = 128                     # frames between two looks at what came back


def tcp(size=SIZE):
    """A right TCP segment in IPv4, to everybody."""
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, size - 14, 1, 0, 64, 6, 0, b"\x0a\x09\0\x01",
                     b"\x0a\x09\0\x02")
    segment = struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 5 << 4, 0x10, 1000, 0, 0)
    return (BROADCAST + EVIL_MAC + b"\x08\0" + ip + segment).ljust(size, b"t")


def header(flags=0, gso=0, length=0, mss=0, start=0, offset=0, buffers=0):
    return struct.pack("<BBHHHHH", flags, gso, length, mss, start, offset, buffers)


PLACES = (0, 1, 13, 14, 34, 53, 54, SIZE - 2, SIZE - 1, SIZE, SIZE + 1, 32768, 65534, 65535)

OFFLOADS = {
    "csum_start and csum_offset": [header(NEEDS_CSUM, start=start, offset=offset)
                                   for start in PLACES for offset in PLACES],
    "flags": [header(flags, start=34, offset=16) for flags in range(256)],
    "gso_type": [header(flags, gso, 54, 100, 34, 16) for gso in range(256) for flags in (0, 1)],
    "gso_size": [header(NEEDS_CSUM, gso, 54, mss, 34, 16)
                 for gso in (1, 3, 4, 5, 0x81) for mss in (0, 1, 2, SIZE, 65535)],
    "hdr_len": [header(NEEDS_CSUM, gso, length, 100, 34, 16)
                for gso in (0, 1) for length in (0, 1, 13, 53, 54, 55, SIZE, 65535)],
    "num_buffers": [header(buffers=buffers) for buffers in (0, 1, 2, 65535)],
    "all at random": None,
}


def send_all(stage, f, packets):
    """Sends (header, frame)s; all are taken, and none of them breaks anything. Returns the headers that
    the victim got."""
    headers = []
    for i in range(0, len(packets), BURST):
        part = packets[i:i + BURST]
        for head, payload in part:
            f.send(payload, head)
        back = []
        eventually(lambda: back.extend(f.ring[1].reap()) or len(back) >= len(part),
                   lambda: "%d of %d are given back: %s" % (len(back), len(part), stage.facts()))
        stage.victim.received(headers)
    require("runs" in stage.facts()["queue 1"], "the queue is broken")
    return headers


@case("HX-37", OFFLOADS, needs="ports")
def offload_headers(stage, rows):
    rng = random.Random(37)
    rows = rows or [rng.randbytes(HEADER) for _ in range(stage.times(20000, 300))]
    before = stage.kernel_warnings()
    with stage.evil(features=SENDS) as f:
        headers = send_all(stage, f, [(row, tcp()) for row in rows])
        # The victim has negotiated none: what it gets is made right, or is not there.
        require(all(got[:10] == bytes(10) for got in headers), "an offload that was not negotiated")
        stage.arrives(f, b"after all that")
    require(stage.kernel_warnings() == before, "the kernel has complained")


@case("HX-38", {"short": range(61), "long": (1513, 1514, 1515, 1518, 2000)}, needs="ports")
def frame_sizes(stage, sizes):
    with stage.evil() as f:
        send_all(stage, f, [(header(), frame(size=64)[:size].ljust(size, b"\0")) for size in sizes])
        stage.arrives(f, b"after all that")


@case("HX-38", {"65 535 bytes": 65535, "65 550 bytes": 65550, "65 590 bytes": 65590, "1 MiB": 1 << 20},
      needs="ports")
def very_long_frames(stage, size):
    with stage.evil() as f:
        drops = stage.drops()
        f.memory.fill(TX_BUFFERS, bytes(HEADER) + frame(size=64))
        f.ring[1].offer([(TX_BUFFERS, HEADER + 64, 0)] + [
            (TX_BUFFERS, min(4096, size - 64 - i), 0) for i in range(0, size - 64, 4096)][:255])
        f.kick()
        eventually(lambda: f.ring[1].reap(), "it is given back")
        if size > 65589:
            stage.counted(drops, "long")
        stage.arrives(f, b"after that")


@case("HX-38", needs="ports")
def sixty_four_kib_in_pieces_of_a_byte(stage):
    """As many pieces as the largest ring has, and the rest in one."""
    stage.a_byte_each()


def vlans(n):
    return BROADCAST + EVIL_MAC + b"\x81\0\0\x02" * n + b"\x08\0" + tcp()[14:]


def extensions(n):
    """IPv6 with a chain of hop-by-hop headers."""
    rest = b"".join(struct.pack(">BB6x", 0 if i + 1 < n else 6, 0) for i in range(n)) + tcp()[34:54]
    return (BROADCAST + EVIL_MAC + b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, len(rest), 0, 64)
            + bytes(32) + rest)


def patched(at, data):
    whole = tcp()
    return whole[:at] + data + whole[at + len(data):]


def vxlan():
    inner = tcp(400)
    udp = struct.pack(">HHHH", 4789, 4789, 16 + len(inner), 0) + b"\x08\0\0\0\0\0\x01\0"
    ip = tcp()[14:23] + b"\x11" + tcp()[24:34]
    return BROADCAST + EVIL_MAC + b"\x08\0" + ip + udp + inner


CORPUS = [tcp(), *(vlans(n) for n in range(1, 9)), *(extensions(n) for n in (1, 2, 8, 50)), vxlan(),
          patched(14, b"\x40"), patched(14, b"\x4f"), patched(14, b"\xff"), patched(16, b"\0\0"),
          patched(16, b"\xff\xff"), patched(20, b"\x20\0"), patched(20, b"\x1f\xff"),
          patched(46, b"\0"), patched(46, b"\xf0"), tcp(60)[:35], tcp(60)[:53]]


@case("HX-38", needs="ports")
def damaged_frames(stage):
    """Each of the corpus as it is, then with bits turned over, each with offloads asked for."""
    rng, packets = random.Random(38), []
    heads = [header(), header(NEEDS_CSUM, start=34, offset=16), header(NEEDS_CSUM, 1, 54, 100, 34, 16),
             header(NEEDS_CSUM, 4, 94, 100, 54, 16), header(NEEDS_CSUM, 5, 42, 100, 34, 6)]
    for _ in range(stage.times(300, 3)):
        for whole in CORPUS:
            damaged = bytearray(whole[:1400])
            for _ in range(rng.randrange(4)):
                damaged[rng.randrange(min(len(damaged), 80))] ^= 1 << rng.randrange(8)
            packets.append((rng.choice(heads), bytes(damaged)))
    with stage.evil(features=SENDS) as f:
        send_all(stage, f, packets)
        stage.arrives(f, b"after all that")


# ---------------------------------------------------------------- the control queue

OK, ERR = 0, 1
COMMAND, ANSWER = 3 << 20, (3 << 20) + 65536

COMMANDS = {                    # bytes of class, command and data; its answer
    "0 bytes": (b"", ERR), "1 byte": (b"\0", ERR), "2 bytes": (b"\0\0", ERR),
    "3 bytes": (b"\0\0\1", OK), "promiscuous twice": (b"\0\0\2", ERR), "4 bytes": (b"\0\0\1\1", ERR),
    "an unknown class": (b"\x63\0\0", ERR), "an unknown command": (b"\0\x63\0", ERR),
    "pairs without MQ": (b"\4\0\1\0", ERR), "0 pairs": (b"\4\0\0\0", ERR),
    "65535 pairs": (b"\4\0\xff\xff", ERR),
    "a MAC table of 65535": (b"\1\0" + struct.pack("<I", 65535) + bytes(64), ERR),
    "a MAC table of 2^32-1": (b"\1\0" + b"\xff" * 8, ERR),
    "a MAC table that is long": (b"\1\0" + struct.pack("<I", 600) + bytes(3600) + bytes(4), None),
    "RSS": (b"\4\1" + bytes(44), ERR), "RSS, a key that is too long": (b"\4\1" + b"\xff" * 44, ERR),
    "VLAN 4096": (b"\2\0\0\x10", ERR), "VLAN 65535": (b"\2\1\xff\xff", ERR),
    "a multicast address as its own": (b"\1\1\1\0\0\0\0\0", ERR),
    "8 KiB and more": (b"\1\0" + bytes(9000), ERR),
}


@contextlib.contextmanager
def controlled(stage):
    """A front-end that serves its control queue itself: queue 2."""
    with FrontEnd(stage.path(), stage.packed, 4, start=False,
                  features=CTRL_VQ | CTRL_RX | CTRL_VLAN | CTRL_MAC) as f:
        f.ring.append(type(f.ring[0])(f.memory, 3 * 16384))
        f.negotiate()
        f.share()
        for queue in (0, 1, 2):
            f.set_up(queue)
            f.enable(queue)
        f.post()
        yield f


def command(f, pieces, patience=5):
    """Puts a chain into the control queue and waits until it is back; the byte at ANSWER."""
    f.memory.fill(ANSWER, b"\xee")
    f.ring[2].offer_raw(pieces)
    f.kick(2)
    eventually(f.ring[2].reap, "the command is given back", patience)
    return f.memory.map[ANSWER]


def plain(f, data, answer=(ANSWER, 1)):
    """The chain of a command as drivers make it."""
    f.memory.fill(COMMAND, data)
    return [Desc(COMMAND, len(data), NEXT), Desc(*answer, WRITE)]


@case("HX-42", COMMANDS)
def commands(stage, how):
    data, expected = how
    with controlled(stage) as f:
        said = command(f, plain(f, data))
        require(expected is None or said == expected, "the answer is %d" % said)
        require(command(f, plain(f, b"\0\0\1")) == OK, "the queue lives")
        stage.arrives(f, b"the others too")


ANSWERS = {
    "none": [Desc(COMMAND, 3)], "of no bytes": [Desc(COMMAND, 3, NEXT), Desc(ANSWER, 0, WRITE)],
    "two": [Desc(COMMAND, 3, NEXT), Desc(ANSWER, 1, WRITE | NEXT), Desc(ANSWER + 8, 1, WRITE)],
    "in the command": [Desc(COMMAND, 3, NEXT), Desc(COMMAND, 3, WRITE)],
    "alone": [Desc(ANSWER, 1, WRITE)], "nothing": [Desc(COMMAND, 0)],
}


@case("HX-42", {"answer: " + name: pieces for name, pieces in ANSWERS.items()})
def odd_answers(stage, pieces):
    with controlled(stage) as f:
        f.memory.fill(COMMAND, b"\0\0\1")
        command(f, pieces)
        require(command(f, plain(f, b"\0\0\1")) == OK, "the queue lives")


@case("HX-42", {"the answer lies nowhere": [Desc(COMMAND, 3, NEXT), Desc(1 << 40, 1, WRITE)],
                "4 GiB of data": [Desc(0, 1 << 22, NEXT)] * 255 + [Desc(ANSWER, 1, WRITE)],
                "a loop": None})
def commands_that_break_the_queue(stage, pieces):
    """And no other: packets go on."""
    with controlled(stage) as f:
        f.memory.fill(COMMAND, b"\0\0\1")
        f.ring[2].offer_raw(pieces or [Desc(COMMAND, 1, NEXT, 0)] * 256)
        f.kick(2)
        if pieces and pieces[-1].addr == ANSWER:
            eventually(f.ring[2].reap, "the command is given back")
        else:
            stage.broken(2)
            stage.traced("queue 2 is broken")
        stage.arrives(f, b"packets go on")


@case("HX-42")
def commands_around_the_ring(stage):
    with controlled(stage) as f:
        for i in range(stage.times(70000, 600)):
            require(command(f, plain(f, b"\0\0" + bytes([i % 3]))) == (ERR if i % 3 == 2 else OK),
                    "command %d" % i)
