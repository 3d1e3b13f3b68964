# SPDX-License-Identifier: BSD-3-Clause
"""Chooses between KVM and QEMU's own translation of guest code (TCG).

/dev/kvm alone does not say that KVM is of use. A nested hypervisor that runs only paravirtualised
kernels interprets each instruction of any other kernel: then a guest boots in the better part of an
hour, where TCG takes seconds. So KVM is tried with a loop of LOOPS instructions in a 32-bit guest
without paging: a CPU takes some milliseconds for it, an interpreter minutes.
"""

import grp
import json
import os
import struct
import subprocess
import tempfile
import time

from . import cache

LOOPS = 10_000_000
LIMIT = 3.0                     # seconds, QEMU's own start included


def kvm_groups():
    """Groups that let an unprivileged user open /dev/kvm."""
    try:
        return [grp.getgrnam("kvm").gr_gid]
    except KeyError:
        return []


def choose(qemu, environment):
    """"kvm" or "tcg"; what it finds is kept until the next boot of this machine."""
    with open("/proc/sys/kernel/random/boot_id") as f:
        boot = f.read().strip()
    path = os.path.join(cache.folder(), "accel.json")
    try:
        with open(path) as f:
            known = json.load(f)
    except (OSError, ValueError):
        known = {}
    if known.get("boot") != boot:
        why = _try_kvm(qemu, environment)
        cache.say("QEMU guests run under " + ("emulation: " + why if why else "KVM"))
        known = {"boot": boot, "why": why}
        with open(path, "w") as f:
            json.dump(known, f)
    return "tcg" if known["why"] else "kvm"


def _try_kvm(qemu, environment):
    """"" if KVM runs the loop at a CPU's speed, else why it is not used."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "there is no /dev/kvm that may be opened"
    with tempfile.NamedTemporaryFile() as rom:
        rom.write(_rom())
        rom.flush()
        begin = time.monotonic()
        try:
            done = subprocess.run(
                [*qemu, "-accel", "kvm", "-cpu", "host", "-machine", "q35", "-m", "16",
                 "-nodefaults", "-no-user-config", "-display", "none", "-bios", rom.name,
                 "-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
                timeout=LIMIT, stdin=subprocess.DEVNULL, env={**os.environ, **environment},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        except subprocess.TimeoutExpired:
            return "KVM interprets instructions here, which is slower"
    if done.returncode != 3:
        return "KVM failed: " + (done.stdout.strip().splitlines() or ["no reason given"])[0]
    return "" if time.monotonic() - begin < LIMIT else "KVM is slow"


def _rom():
    """A 64 KiB boot ROM: counts LOOPS down, then ends QEMU with exit code 3."""
    base = 0x10000 - 0x200
    start = 0xFFFF0000 + base
    code = bytearray()
    code += bytes.fromhex("fa 66 2e 0f 01 16")      # cli; lgdtl %cs:gdtr
    code += struct.pack("<H", base + 0x100)
    code += bytes.fromhex("0f 20 c0 66 83 c8 01 0f 22 c0")  # set CR0.PE
    code += b"\x66\xea" + struct.pack("<IH", start + len(code) + 8, 8)
    code += b"\xb9" + struct.pack("<I", LOOPS // 2)  # mov $n, %ecx
    code += bytes.fromhex("49 75 fd")               # 1: dec %ecx; jnz 1b
    code += bytes.fromhex("ba f4 00 00 00 b0 01 ee f4 eb fd")  # out to 0xf4
    gdt = struct.pack("<QQQ", 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF)
    rom = bytearray(0x10000)
    rom[base:base + len(code)] = code
    rom[base + 0x100:base + 0x106] = struct.pack("<HI", len(gdt) - 1, start + 0x110)
    rom[base + 0x110:base + 0x110 + len(gdt)] = gdt
    rom[0xFFF0:0xFFF3] = b"\xe9" + struct.pack("<h", base - 0xFFF3)
    return bytes(rom)
