# SPDX-License-Identifier: BSD-3-Clause
"""A vhost-user front-end of few lines: connects a device with empty rings, so that a switch has a
port whose guest does nothing. It checks only that each request is answered as it should be."""

import array
import mmap
import os
import socket
import struct

GET_FEATURES, SET_FEATURES, SET_OWNER = 1, 2, 3
SET_MEM_TABLE = 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL = 8, 9, 10, 12, 13
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES = 15, 16
SET_VRING_ENABLE = 18

VERSION, REPLY, NEED_REPLY = 1, 4, 8
VIRTIO_F_VERSION_1, VHOST_USER_F_PROTOCOL_FEATURES, RING_PACKED = 1 << 32, 1 << 30, 1 << 34
MRG_RXBUF = 1 << 15
PROTOCOL_MQ, PROTOCOL_REPLY_ACK = 1 << 0, 1 << 3
RING_SIZE = 256
RING_SPACE = 16384              # of each ring: descriptors, available, used


class FrontEnd:
    """
    with FrontEnd("/run/vm1.sock") as f: ...

    It has one queue pair, whose rings are in a memfd and empty. An answer may take 'patience' seconds.
    """

    def __init__(self, path, packed=False, mebibytes=1, patience=10):
        self.size = mebibytes << 20
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(patience)
        self.memory = os.memfd_create("frontend", os.MFD_CLOEXEC)
        os.ftruncate(self.memory, self.size)
        self.fds = [self.memory]
        self.rings = mmap.mmap(self.memory, self.size)
        self.base = id(self) & ~0xfff                    # any address: it is only a name
        try:
            self.sock.connect(path)
            self._set_up(packed)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()
        self.rings.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def _set_up(self, packed):
        self.request(SET_OWNER)
        offered = self.ask(GET_FEATURES)
        wanted = VIRTIO_F_VERSION_1 | VHOST_USER_F_PROTOCOL_FEATURES | MRG_RXBUF
        if packed:
            wanted |= RING_PACKED
        missing = wanted & ~offered
        if missing:
            raise AssertionError("the back-end does not offer 0x%x of 0x%x" % (missing, wanted))
        protocol = self.ask(GET_PROTOCOL_FEATURES) & (PROTOCOL_MQ | PROTOCOL_REPLY_ACK)
        self.request(SET_PROTOCOL_FEATURES, struct.pack("<Q", protocol))
        self.request(SET_FEATURES, struct.pack("<Q", wanted))
        self.request(SET_MEM_TABLE, struct.pack("<IIQQQQ", 1, 0, 0, self.size, self.base, 0),
                     [self.memory])
        for queue in (0, 1):
            self._start_queue(queue, packed)
        for queue in (0, 1):
            self.confirmed(SET_VRING_ENABLE, struct.pack("<II", queue, 1))

    def _start_queue(self, queue, packed):
        at = self.base + queue * RING_SPACE
        kick, call = os.eventfd(0, os.EFD_CLOEXEC), os.eventfd(0, os.EFD_CLOEXEC)
        self.fds += [kick, call]
        self.request(SET_VRING_NUM, struct.pack("<II", queue, RING_SIZE))
        self.request(SET_VRING_BASE, struct.pack("<II", queue, 0x80008000 if packed else 0))
        # Descriptors, used, available: the order in the message.
        self.request(SET_VRING_ADDR, struct.pack("<IIQQQQ", queue, 0, at, at + 12288, at + 8192, 0))
        self.request(SET_VRING_KICK, struct.pack("<Q", queue), [kick])
        self.request(SET_VRING_CALL, struct.pack("<Q", queue), [call])

    def request(self, number, payload=b"", fds=(), flags=0):
        message = struct.pack("<III", number, VERSION | flags, len(payload)) + payload
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([message], ancillary)

    def ask(self, number, payload=b""):
        self.request(number, payload)
        return self._reply(number)

    def confirmed(self, number, payload=b"", fds=()):
        """Sends a request and waits until the back-end says that it has done it."""
        self.request(number, payload, fds, NEED_REPLY)
        if self._reply(number) != 0:
            raise AssertionError("request %d was refused" % number)

    def _reply(self, number):
        said, flags, size = struct.unpack("<III", self._exactly(12))
        payload = self._exactly(size)
        if said != number or not flags & REPLY or size != 8:
            raise AssertionError("request %d was answered by %d, flags 0x%x, %d bytes"
                                 % (number, said, flags, size))
        return struct.unpack("<Q", payload)[0]

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            chunk = self.sock.recv(size - len(data))
            if not chunk:
                raise ConnectionError("the back-end closed the connection")
            data += chunk
        return data
