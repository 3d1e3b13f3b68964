# SPDX-License-Identifier: BSD-3-Clause
"""The table of inject.h in a file, which the processes of one daemon share with us."""

import mmap
import os
import struct
import subprocess

MAX_SITES, MAX_FRAMES, MAX_MODULES, MAX_RULES, MAX_ERRORS = 8192, 24, 32, 96, 5
OFF, RECORD, FAIL = range(3)

HEAD = struct.Struct("=II IIi II I II I")      # size, mode, order, seen, fired, lock, numbers
RULE = struct.Struct("=24s %di" % MAX_ERRORS)
MODULE = struct.Struct("=128s")
SITE = struct.Struct("=QIIII %dI" % (2 * MAX_FRAMES))
RULES_AT = HEAD.size
MODULES_AT = RULES_AT + MAX_RULES * RULE.size
SITES_AT = (MODULES_AT + MAX_MODULES * MODULE.size + 7) // 8 * 8
SIZE = SITES_AT + MAX_SITES * SITE.size


def text(field):
    return field.split(b"\0", 1)[0].decode()


class Site:
    def __init__(self, index, rule, errors, count, frames):
        self.index, self.rule, self.errors = index, rule, errors
        self.count, self.frames = count, frames          # [(module, offset), …], the caller's first


class Table:
    """with Table(path) as table: give FAULTS_TABLE=path to the program."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as f:
            f.truncate(SIZE)
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.map = mmap.mmap(self.fd, SIZE)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.map.close()
        os.close(self.fd)
        os.unlink(self.path)

    def record(self):
        self._write_head(RECORD, (0, 0, 0))

    def off(self):
        self._write_head(OFF, (0, 0, 0))

    def fail(self, site, occurrence, error):
        self._write_head(FAIL, (site, occurrence, error))

    def _write_head(self, mode, order):
        struct.pack_into("=I IIi II", self.map, 4, mode, *order, 0, 0)

    def copy_sites(self, other):
        self.map[:] = other.map[:]
        self.off()

    def fired(self):
        return bool(HEAD.unpack_from(self.map)[6])

    def sites(self):
        size, *_, nr_rules, nr_modules, nr_sites = HEAD.unpack_from(self.map)
        if size != SIZE:
            raise AssertionError("the table has %d bytes, not %d as inject.h has it" % (SIZE, size))
        rules = [RULE.unpack_from(self.map, RULES_AT + i * RULE.size) for i in range(nr_rules)]
        modules = [text(MODULE.unpack_from(self.map, MODULES_AT + i * MODULE.size)[0])
                   for i in range(nr_modules)]
        return [self._site(i, SITE.unpack_from(self.map, SITES_AT + i * SITE.size), rules, modules)
                for i in range(nr_sites)]

    @staticmethod
    def _site(index, fields, rules, modules):
        _, rule, nr_frames, count, _, *frames = fields
        name, *errors = rules[rule]
        return Site(index, text(name), [error for error in errors if error], count,
                    [(modules[frames[2 * i]], frames[2 * i + 1]) for i in range(nr_frames)])


def symbolised(frames, program, most=10):
    """'function (file:line)' for each frame; the program's own module has no name."""
    lines = []
    for module, offset in frames[:most]:
        said = subprocess.run(["addr2line", "-f", "-s", "-e", module or program, hex(offset - 1)],
                              capture_output=True, text=True).stdout.split()
        lines.append("%s (%s)" % (said[0], said[1]) if len(said) > 1 else "?")
    return lines
