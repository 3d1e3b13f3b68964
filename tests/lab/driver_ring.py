# SPDX-License-Identifier: BSD-3-Clause
"""The driver's side of a virtqueue, split and packed, in memory that a back-end shares: what a driver
does, and each of its words to write wrong ones into.

Both formats have the same few operations; what a descriptor's flags say is taken as it is, so that a
caller may break any rule."""

import collections

NEXT, WRITE, INDIRECT = 1, 2, 4
AVAIL, USED = 1 << 7, 1 << 15

Desc = collections.namedtuple("Desc", "addr len flags next", defaults=(0, None))
Used = collections.namedtuple("Used", "id len")


def chained(pieces):
    """(address, length, flags) as a chain: NEXT on all but the last."""
    last = len(pieces) - 1
    return [Desc(addr, size, flags | (NEXT if i < last else 0))
            for i, (addr, size, flags) in enumerate(pieces)]


class Ring:
    """A fresh ring at offset 'at' of 'memory': 'desc', 'driver' and 'device' are where its parts lie."""

    def __init__(self, memory, at, size=256, parts=(0, 8192, 12288)):
        self.memory, self.size = memory, size
        self.desc, self.driver, self.device = (at + part for part in parts)
        self.clear()

    def addresses(self):
        """Descriptors, used, available, as the front-end sees them: the order of SET_VRING_ADDR."""
        return [self.memory.user + at for at in (self.desc, self.device, self.driver)]

    def offer(self, pieces):
        """Makes one chain of (address, length, flags) available; its id."""
        return self.offer_raw(chained(pieces))


class SplitRing(Ring):
    packed = False
    base = 0

    def clear(self):
        m = self.memory
        for part, size in ((self.desc, 16 * self.size), (self.driver, 6 + 2 * self.size),
                           (self.device, 6 + 8 * self.size)):
            m.fill(part, bytes(size))
        self.avail = self.seen = self.free = 0

    def parts(self):
        return [(self.desc, 16 * self.size), (self.driver, 6 + 2 * self.size),
                (self.device, 6 + 8 * self.size)]

    def write(self, i, addr, size, flags=0, link=0):
        """Descriptor 'i' of the table."""
        m, at = self.memory, self.desc + 16 * i
        m.u64[at // 8] = addr
        m.u32[at // 4 + 2] = size
        m.u16[at // 2 + 6] = flags
        m.u16[at // 2 + 7] = link

    def offer_raw(self, descs):
        """Descriptors as they are, from the next place of the table on; 'next' is the following one
        unless they say otherwise."""
        head = self.free
        for k, d in enumerate(descs):
            i = (head + k) % self.size
            self.write(i, d.addr, d.len, d.flags, (i + 1) % self.size if d.next is None else d.next)
        self.free = (head + len(descs)) % self.size
        self.offer_head(head)
        return head

    def offer_head(self, head):
        self.memory.u16[self.driver // 2 + 2 + self.avail % self.size] = head
        self.set_index(self.avail + 1)

    def set_index(self, index):
        self.avail = index & 0xffff
        self.memory.u16[self.driver // 2 + 1] = self.avail

    def room(self):
        """How many chains of one descriptor more may be offered."""
        return self.size - (self.avail - self.seen & 0xffff)

    def set_flags(self, flags):
        """1: no interrupts, please."""
        self.memory.u16[self.driver // 2] = flags

    def set_event(self, index):
        self.memory.u16[self.driver // 2 + 2 + self.size] = index & 0xffff

    def reap(self):
        """What has been used since last asked."""
        m, done = self.memory, []
        index = m.u16[self.device // 2 + 1]
        while self.seen != index:
            at = self.device // 4 + 1 + 2 * (self.seen % self.size)
            done.append(Used(m.u32[at], m.u32[at + 1]))
            self.seen = (self.seen + 1) & 0xffff
        return done


class PackedRing(Ring):
    packed = True
    base = 0x80008000

    def clear(self):
        for at, size in self.parts():
            self.memory.fill(at, bytes(size))
        self.next = self.seen = 0
        self.wrap = self.seen_wrap = True
        self.slots = collections.defaultdict(lambda: 1)      # of an id

    def parts(self):
        return [(self.desc, 16 * self.size), (self.driver, 4), (self.device, 4)]

    def lap(self):
        """The flags of an available descriptor in this lap."""
        return AVAIL if self.wrap else USED

    def write(self, i, addr, size, flags=0, link=0):
        """Slot 'i' as it is, flags with their lap; they are written last."""
        m, at = self.memory, self.desc + 16 * i
        m.u64[at // 8] = addr
        m.u32[at // 4 + 2] = size
        m.u16[at // 2 + 6] = link
        m.u16[at // 2 + 7] = flags

    def offer_raw(self, descs, number=None):
        """Descriptors as they are in the next slots; 'next' means nothing. The first is shown last."""
        number = self.next if number is None else number
        rows = []
        for d in descs:
            rows.append((self.next, d.addr, d.len, d.flags | self.lap(), number))
            self.next += 1
            if self.next == self.size:
                self.next, self.wrap = 0, not self.wrap
        self.slots[number] = len(descs)
        for row in reversed(rows):
            self.write(*row)
        return number

    def room(self):
        return self.size - sum(self.slots.values())

    def set_flags(self, flags):
        """1: no interrupts, please; 2: at the place of set_event()."""
        self.memory.u16[self.driver // 2 + 1] = flags

    def set_event(self, place):
        self.memory.u16[self.driver // 2] = place & 0xffff

    def reap(self):
        m, done = self.memory, []
        while True:
            at = self.desc + 16 * self.seen
            flags = m.u16[at // 2 + 7]
            if (flags & (AVAIL | USED)) != ((AVAIL | USED) if self.seen_wrap else 0):
                return done
            number, size = m.u16[at // 2 + 6], m.u32[at // 4 + 2]
            done.append(Used(number, size if flags & WRITE else 0))
            self.seen += self.slots.pop(number, 1)
            if self.seen >= self.size:
                self.seen, self.seen_wrap = self.seen - self.size, not self.seen_wrap
