# SPDX-License-Identifier: BSD-3-Clause
"""Writes cpio archives in the "newc" format that Linux unpacks as an initramfs.

Several archives may follow one another in one initramfs: the kernel unpacks
them in order, later entries replacing earlier ones. The lab keeps one archive
a layer (tools, a kernel's modules, DPDK) and adds a small one for each guest.
"""

import os
import stat


class Archive:
    def __init__(self, out):
        self.out = out
        self.inode = 0
        self.made = {""}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._entry("TRAILER!!!", 0, b"")

    def folder(self, path, mode=0o755):
        path = path.strip("/")
        if path in self.made:
            return
        self.folder(os.path.dirname(path))
        self.made.add(path)
        self._entry(path, stat.S_IFDIR | mode, b"")

    def data(self, path, content, mode=0o644):
        self._add(path, stat.S_IFREG | mode, content)

    def link(self, path, target):
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def file(self, path, source):
        """Adds the file that `source` names, following links, with its x bit."""
        mode = 0o755 if os.stat(source).st_mode & 0o111 else 0o644
        with open(source, "rb") as f:
            self.data(path, f.read(), mode)

    def tree(self, path, source):
        """Adds a folder of the host, with all below it, as `path`."""
        self.folder(path)
        for base, folders, files in os.walk(source):
            inside = os.path.join(path, os.path.relpath(base, source))
            for name in folders:
                self.folder(os.path.normpath(os.path.join(inside, name)))
            for name in files:
                self.file(os.path.normpath(os.path.join(inside, name)),
                          os.path.join(base, name))

    def _add(self, path, mode, content):
        path = path.strip("/")
        if path in self.made:
            return
        self.folder(os.path.dirname(path))
        self.made.add(path)
        self._entry(path, mode, content)

    def _entry(self, path, mode, content):
        self.inode += 1
        name = path.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0,
                  len(name), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        self._padded(header + name)
        self._padded(content)

    def _padded(self, block):
        self.out.write(block + b"\0" * (-len(block) % 4))
