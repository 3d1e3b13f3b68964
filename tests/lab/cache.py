# SPDX-License-Identifier: BSD-3-Clause
"""What guests are made of, fetched once from Debian's packages and kept in a folder.

    apt/        package lists of our own: Debian 12 and its backports
    uml/        user-mode-linux: a kernel that is an ordinary program
    qemu/       QEMU of the backports, with the libraries that this machine lacks
    kernel/     Linux 6.12 of the backports, and the modules that guests load
    tools.cpio  the initramfs: BusyBox, iproute2, ethtool, iperf3

Nothing is installed. The folder is VIADUCT_CACHE, else /var/cache/viaduct for root (an unprivileged
user runs what is in it), else ~/.cache/viaduct. Delete it, or a part of it, to have that made anew.
"""

import contextlib
import fcntl
import glob
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys

from .cpio import Archive

HERE = os.path.dirname(os.path.abspath(__file__))
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
BACKPORTS = "bookworm-backports"

# Programs of this machine that go into the initramfs, and the package of each.
TOOLS = {"busybox": "busybox-static", "dash": "dash", "setsid": "util-linux", "ip": "iproute2",
         "ethtool": "ethtool", "iperf3": "iperf3"}
MODULES = ["virtio_pci", "virtio_console", "virtio_net"]


class LabError(Exception):
    """The lab cannot do what it was asked for."""


def folder():
    default = "/var/cache" if os.geteuid() == 0 else os.path.expanduser("~/.cache")
    return os.environ.get("VIADUCT_CACHE") or os.path.join(default, "viaduct")


def say(text):
    print("lab: " + text, file=sys.stderr, flush=True)


def sh(*words, **options):
    """Runs a program; its output, or LabError with what it said."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **options)
    if done.returncode:
        raise LabError("%s: exit code %d\n%s" % (" ".join(words), done.returncode, done.stdout))
    return done.stdout


@contextlib.contextmanager
def made(name):
    """Yields a folder to fill, or None if 'name' is in the cache; what was filled becomes 'name'
    at the end, so that an interrupted run leaves no half of it. One process at a time."""
    path = os.path.join(folder(), name)
    os.makedirs(folder(), mode=0o755, exist_ok=True)
    with open(os.path.join(folder(), "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path):
            yield None
            return
        work = path + ".new"
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        yield work
        os.rename(work, path)


# ---------------------------------------------------------------- packages

def _sources():
    """This machine's own Debian archive, with the suites that we need."""
    uris = set()
    for row in sh("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)",
                  "Created-By: Packages").splitlines():
        uri, codename = row.split()
        if codename == "bookworm":
            uris.add(uri)
    if not uris:
        raise LabError("apt knows no archive of Debian 12 (bookworm), whose packages guests are "
                       "made of")
    return ["deb [signed-by=%s] %s %s main" % (KEYRING, uri, suite)
            for uri in sorted(uris) for suite in ("bookworm", BACKPORTS)]


def _apt():
    """apt-get's options that make it use lists and archives of our own."""
    base = os.path.join(folder(), "apt")
    options = ["-o", "Dir::Etc::SourceList=%s/sources.list" % base,
               "-o", "Dir::Etc::SourceParts=/dev/null",
               "-o", "Dir::State::Lists=%s/lists" % base,
               "-o", "Dir::Cache=%s" % base,
               "-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=true",
               "-o", "APT::Update::Post-Invoke-Success=", "-o", "APT::Update::Post-Invoke=",
               "-o", "DPkg::Post-Invoke="]
    if not os.path.exists(base + "/fetched"):
        say("fetching Debian's package lists")
        for part in ("lists/partial", "archives/partial"):
            os.makedirs(os.path.join(base, part), exist_ok=True)
        with open(base + "/sources.list", "w") as f:
            f.write("\n".join(_sources()) + "\n")
        sh("apt-get", *options, "update")
        open(base + "/fetched", "w").close()
    return options


def _unpack(into, fetch):
    """Unpacks into 'into' what 'fetch(options)' downloads there; lists that have become too old to
    download by are fetched again."""
    try:
        fetch(_apt())
    except LabError:
        os.unlink(os.path.join(folder(), "apt", "fetched"))
        fetch(_apt())
    for deb in glob.glob(into + "/*.deb"):
        sh("dpkg-deb", "-x", deb, into)
        os.unlink(deb)


def unpack_packages(into, *packages):
    """Downloads packages and unpacks them into a folder."""
    _unpack(into, lambda apt: sh("apt-get", *apt, "download", *packages, cwd=into))


def unpack_with_missing(into, suite, *packages):
    """The same with all that this machine lacks for these packages to run."""
    def fetch(apt):
        sh("apt-get", *apt, "-o", "Dir::Cache::Archives=" + into, "install", "--download-only",
           "--reinstall", "--yes", "--no-install-recommends", "-t", suite, *packages)
    os.makedirs(into + "/partial", exist_ok=True)
    _unpack(into, fetch)


# --------------------------------------------------------- user-mode Linux

def uml():
    """The kernel, and the modules in the order in which insmod takes them."""
    with made("uml") as new:
        if new:
            say("fetching user-mode Linux (40 MB)")
            unpack_packages(new, "user-mode-linux")
            for part in ("doc", "man"):
                shutil.rmtree("%s/usr/share/%s" % (new, part), ignore_errors=True)
    kernel = os.path.join(folder(), "uml/usr/bin/linux.uml")
    return kernel, module_order(os.path.join(folder(), "uml/usr/lib/uml/modules"),
                                ["virtio_net", "ipv6"])


def module_order(lib, names):
    """Files of modules and of all that they depend on, dependencies first."""
    known = {os.path.basename(path).split(".")[0].replace("-", "_"): path
             for path in glob.glob(lib + "/**/*.ko*", recursive=True)}
    order = []

    def add(name):
        path = known.get(name)
        if not path or path in order:
            return              # built in, or there already
        for need in re.search(rb"\0depends=([^\0]*)\0", module_bytes(path))[1].decode().split(","):
            add(need.replace("-", "_"))
        order.append(path)

    for name in names:
        add(name)
    return order


def module_bytes(path):
    with (lzma.open(path) if path.endswith(".xz") else open(path, "rb")) as f:
        return f.read()


# -------------------------------------------------------------------- QEMU

def qemu():
    """The words that start QEMU, and the environment that it needs."""
    with made("qemu") as new:
        if new:
            say("fetching QEMU from " + BACKPORTS)
            unpack_with_missing(new, BACKPORTS, "qemu-system-x86", "qemu-system-common",
                                "qemu-system-data", "seabios")
    base = os.path.join(folder(), "qemu/usr")
    libraries = ["%s/lib/x86_64-linux-gnu" % top for top in (base, os.path.dirname(base))]
    return ([base + "/bin/qemu-system-x86_64", "-L", base + "/share/qemu",
             "-L", base + "/share/seabios"], {"LD_LIBRARY_PATH": ":".join(libraries)})


def kernel():
    """Linux as QEMU starts it (an ELF file), and its modules in order, unpacked."""
    with made("kernel") as new:
        if new:
            say("fetching Linux from " + BACKPORTS)
            _make_kernel(new)
    base = os.path.join(folder(), "kernel")
    return base + "/vmlinux", sorted(glob.glob(base + "/modules/*.ko"))


def _make_kernel(new):
    meta = "linux-image-cloud-amd64"
    depends = sh("apt-cache", *_apt(), "-t", BACKPORTS, "depends", "--important", meta)
    image = re.search(r"Depends: (linux-image-\S+)", depends)[1]
    root = new + "/root"
    os.makedirs(root)
    unpack_packages(root, image + "/" + BACKPORTS, "zstd")
    boot, = glob.glob(root + "/boot/vmlinuz-*")
    with open(new + "/vmlinux", "wb") as f:
        f.write(uncompressed_kernel(boot, root + "/usr/bin/zstd"))
    os.makedirs(new + "/modules")
    for number, path in enumerate(module_order(root, MODULES)):
        name = os.path.basename(path).split(".")[0]
        with open("%s/modules/%02d-%s.ko" % (new, number, name), "wb") as f:
            f.write(module_bytes(path))
    shutil.rmtree(root)


def uncompressed_kernel(path, zstd):
    """The ELF file inside a bzImage: QEMU starts it at once, which spares the guest unpacking."""
    with open(path, "rb") as f:
        image = f.read()
    sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * 512 + offset
    # It ends with four bytes of size, at which zstd balks after it has written everything.
    elf = subprocess.run([zstd, "-dc"], input=image[start:start + length], check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    if not elf.startswith(b"\x7fELF"):
        raise LabError("%s is not compressed with zstd" % path)
    return elf


# --------------------------------------------------------------- initramfs

def libraries(programs):
    """The shared libraries, the loader included, that programs load at their start."""
    found = set()
    for program in programs:
        done = subprocess.run(["ldd", program], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
        found |= set(re.findall(r"(/\S+) \(0x", done.stdout))
    return sorted(found)


def add_programs(archive, programs):
    """Adds programs and the libraries that they load, at the same paths as here."""
    for path in [*programs, *libraries(programs)]:
        real = os.path.realpath(path)
        named = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        archive.file(real, real)
        if named != real:
            archive.link(named, real)


def tools():
    """The initramfs' first layer: programs of this machine."""
    path = os.path.join(folder(), "tools", "tools.cpio")
    with made("tools") as new:
        if new:
            lacking = sorted({package for tool, package in TOOLS.items()
                              if not shutil.which(tool)})
            if lacking:
                raise LabError("guests need programs of this machine that it lacks: "
                               "apt-get install " + " ".join(lacking))
            with open(new + "/tools.cpio", "wb") as f, Archive(f) as archive:
                _add_tools(archive)
    return path


def _add_tools(archive):
    for top in ("bin", "sbin", "lib", "lib64"):
        archive.link(top, "usr/" + top)
    for name in ("dev", "proc", "sys", "run", "tmp", "root", "etc", "usr/bin", "usr/sbin",
                 "usr/lib", "usr/lib64"):
        archive.folder(name)
    archive.data("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    archive.data("etc/group", b"root:x:0:\n")
    # libgcc_s because the C library loads it for pthread_cancel().
    add_programs(archive, [*(shutil.which(tool) for tool in TOOLS),
                           "/lib/x86_64-linux-gnu/libgcc_s.so.1"])
    # BusyBox's own shell would prefer BusyBox's ip to the one in PATH.
    archive.link("usr/bin/sh", "dash")
    busybox = os.path.realpath(shutil.which("busybox"))
    for applet in sh(busybox, "--list").split():
        if applet not in TOOLS:
            archive.link("usr/bin/" + applet, busybox)
