# SPDX-License-Identifier: BSD-3-Clause
"""A vhost-user front-end of few lines, in three layers that a test may use each by itself:

    Connection   requests and replies, right or wrong
    Memory       a file that is shared with the back-end
    FrontEnd     a device with one queue pair that runs; its rings are empty until somebody fills them
"""

import array
import collections
import mmap
import os
import socket
import struct

from .closes import Closes
from .driver_ring import WRITE, PackedRing, SplitRing

GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER = 1, 2, 3, 4
SET_MEM_TABLE, SET_LOG_BASE, SET_LOG_FD = 5, 6, 7
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR = 12, 13, 14
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM = 15, 16, 17
SET_VRING_ENABLE, SEND_RARP, NET_SET_MTU, SET_BACKEND_REQ_FD, IOTLB_MSG = 18, 19, 20, 21, 22
GET_CONFIG, SET_CONFIG = 24, 25
POSTCOPY_ADVISE, GET_INFLIGHT_FD, SET_INFLIGHT_FD, RESET_DEVICE = 28, 31, 32, 34
GET_MAX_MEM_SLOTS, ADD_MEM_REG, REM_MEM_REG, SET_STATUS, GET_STATUS = 36, 37, 38, 39, 40

VERSION, REPLY, NEED_REPLY = 1, 4, 8
VIRTIO_F_VERSION_1, VHOST_USER_F_PROTOCOL_FEATURES, RING_PACKED = 1 << 32, 1 << 30, 1 << 34
MRG_RXBUF, INDIRECT_DESC, EVENT_IDX = 1 << 15, 1 << 28, 1 << 29
PROTOCOL_MQ, PROTOCOL_REPLY_ACK = 1 << 0, 1 << 3
NOFD = 0x100
RING_SIZE = 256
RING_SPACE = 16384              # of each ring: descriptors, available, used
HEADER, LEGACY_HEADER = 12, 10  # bytes of the virtio-net header
USER_ADDRESS = 0x7f0000000000   # where the front-end says that it has its memory: only a name
RX_BUFFERS, TX_BUFFERS = 1 << 20, 2 << 20
BUFFER, BUFFER_STEP = 2048, 4096


class Refused(AssertionError):
    """The back-end answered a request by an error."""


class Connection(Closes):
    """A stream to a back-end. Its end is a ConnectionError."""

    def __init__(self, path, patience=10):
        self.sock = self.connect(path, patience)

    @staticmethod
    def connect(path, patience):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(patience)
        try:
            sock.connect(path)
        except BaseException:
            sock.close()
            raise
        return sock

    def close(self):
        self.sock.close()

    def send_bytes(self, data, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([data], ancillary)

    def request(self, number, payload=b"", fds=(), flags=0):
        self.send_bytes(struct.pack("<III", number, VERSION | flags, len(payload)) + payload, fds)

    def reply(self):
        """The next one: number, flags, payload."""
        said, flags, size = struct.unpack("<III", self._exactly(12))
        return said, flags, self._exactly(size)

    def ask(self, number, payload=b""):
        self.request(number, payload)
        return self._number(number)

    def confirmed(self, number, payload=b"", fds=()):
        """Sends a request and waits until the back-end says that it has done it."""
        self.request(number, payload, fds, NEED_REPLY)
        if self._number(number) != 0:
            raise Refused("request %d was refused" % number)

    def _number(self, number):
        said, flags, payload = self.reply()
        if said != number or not flags & REPLY or len(payload) != 8:
            raise AssertionError("request %d was answered by %d, flags 0x%x, %d bytes"
                                 % (number, said, flags, len(payload)))
        return struct.unpack("<Q", payload)[0]

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            chunk = self.sock.recv(size - len(data))
            if not chunk:
                raise ConnectionResetError("the back-end closed the connection")
            data += chunk
        return data


class Memory(Closes):
    """A memfd, or the file 'fd', mapped; u16, u32 and u64 are its words, each written at once."""

    def __init__(self, size, fd=None, gpa=0, user=USER_ADDRESS, flags=os.MFD_CLOEXEC):
        self.size, self.gpa, self.user = size, gpa, user
        self.fd = os.memfd_create("frontend", flags) if fd is None else fd
        os.ftruncate(self.fd, size)
        self.map = mmap.mmap(self.fd, size)
        self.view = memoryview(self.map)
        self.u16, self.u32, self.u64 = (self.view.cast(code) for code in "HIQ")

    def close(self):
        for view in (self.u16, self.u32, self.u64, self.view):
            view.release()
        self.map.close()
        os.close(self.fd)

    def fill(self, at, data):
        self.map[at:at + len(data)] = data

    def region(self, offset=0):
        return struct.pack("<QQQQ", self.gpa, self.size, self.user, offset)


class FrontEnd(Connection):
    """
    with FrontEnd("/run/vm1.sock") as f: ...

    features    more virtio features than the usual ones, as a mask
    without     of the usual ones, those that it does not accept
    memory      a Memory of the caller's, which stays the caller's
    start       False: connected, and nothing has been said
    """

    def __init__(self, path, packed=False, mebibytes=1, features=0, memory=None, start=True,
                 protocol=PROTOCOL_MQ | PROTOCOL_REPLY_ACK, size=RING_SIZE, patience=10, without=0):
        self.packed, self.fds = packed, []
        self.memory, self.owned = memory or Memory(mebibytes << 20), memory is None
        self.wanted = VIRTIO_F_VERSION_1 | VHOST_USER_F_PROTOCOL_FEATURES | MRG_RXBUF | features
        self.wanted |= RING_PACKED if packed else 0
        self.wanted &= ~without
        self.header = HEADER if self.wanted & (VIRTIO_F_VERSION_1 | MRG_RXBUF) else LEGACY_HEADER
        self.wanted_protocol = protocol
        self.ring = [(PackedRing if packed else SplitRing)(self.memory, i * RING_SPACE, size)
                     for i in (0, 1)]
        self.kicks, self.calls = {}, {}                  # eventfds of queues
        self.posted, self.tx_next = {}, 0                # buffers of what was offered
        self.spare = collections.deque(range(RING_SIZE))
        try:
            super().__init__(path, patience)
        except BaseException:
            self.close_memory()
            raise
        try:
            if start:
                self.negotiate()
                self.share()
                self.start()
        except BaseException:
            self.close()
            raise

    def close(self):
        super().close()
        self.close_memory()

    def close_memory(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        if self.owned:
            self.owned = False
            self.memory.close()

    # -------------------------------------------------------------- set-up

    def negotiate(self):
        self.request(SET_OWNER)
        offered = self.ask(GET_FEATURES)
        missing = self.wanted & ~offered
        if missing:
            raise AssertionError("the back-end does not offer 0x%x of 0x%x" % (missing, self.wanted))
        protocol = self.ask(GET_PROTOCOL_FEATURES) & self.wanted_protocol
        self.request(SET_PROTOCOL_FEATURES, struct.pack("<Q", protocol))
        self.request(SET_FEATURES, struct.pack("<Q", self.wanted))

    def share(self):
        self.request(SET_MEM_TABLE, struct.pack("<II", 1, 0) + self.memory.region(),
                     [self.memory.fd])

    def start(self):
        for queue in (0, 1):
            self.set_up(queue)
        for queue in (0, 1):
            self.enable(queue)

    def set_up(self, queue, notifiers=True):
        """Says all of a queue but that it is enabled."""
        ring = self.ring[queue]
        self.request(SET_VRING_NUM, struct.pack("<II", queue, ring.size))
        self.request(SET_VRING_BASE, struct.pack("<II", queue, ring.base))
        self.request(SET_VRING_ADDR, struct.pack("<IIQQQQ", queue, 0, *ring.addresses(), 0))
        if notifiers:
            self.calls[queue], self.kicks[queue] = self.event(), self.event()
            self.request(SET_VRING_CALL, struct.pack("<Q", queue), [self.calls[queue]])
            self.request(SET_VRING_KICK, struct.pack("<Q", queue), [self.kicks[queue]])

    def event(self):
        """An eventfd that is closed with us."""
        self.fds.append(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        return self.fds[-1]

    def enable(self, queue, on=1):
        self.confirmed(SET_VRING_ENABLE, struct.pack("<II", queue, on))

    def refused(self, number, payload=b"", fds=()):
        """Whether the back-end refuses a request, by an error or by closing the connection."""
        try:
            self.confirmed(number, payload, fds)
        except (Refused, ConnectionError):
            return True
        return False

    # ------------------------------------------------------------- packets

    def kick(self, queue=1):
        os.eventfd_write(self.kicks[queue], 1)

    def post(self, count=200, size=BUFFER):
        """The driver offers receive buffers."""
        for _ in range(count):
            buffer = self.spare.popleft()
            address = RX_BUFFERS + buffer * BUFFER_STEP
            self.posted[self.ring[0].offer([(address, size, WRITE)])] = buffer

    def send(self, frame, header=None):
        """The driver sends a frame from a buffer of its own; with a full ring it waits a little, and
        then does not."""
        for _ in range(1000):
            if self.ring[1].room():
                break
            self.ring[1].reap()
        else:
            return None
        header = bytes(self.header) if header is None else header
        at = TX_BUFFERS + self.tx_next % RING_SIZE * BUFFER_STEP
        self.tx_next += 1
        self.memory.fill(at, header + frame)
        number = self.ring[1].offer([(at, len(header) + len(frame), 0)])
        self.kick()
        return number

    def received(self, headers=None):
        """The frames that have come in since last asked; their buffers are offered again. 'headers':
        a list that their virtio-net headers are added to."""
        frames = []
        for used in self.ring[0].reap():
            buffer = self.posted.pop(used.id)
            self.spare.append(buffer)
            at = RX_BUFFERS + buffer * BUFFER_STEP
            frames.append(bytes(self.memory.map[at + self.header:at + used.len]))
            if headers is not None:
                headers.append(bytes(self.memory.map[at:at + self.header]))
        if frames:
            self.post(len(frames))
        return frames
