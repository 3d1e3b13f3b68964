# SPDX-License-Identifier: BSD-3-Clause
"""Two stacks that talk: namespaces of this machine's kernel, and user-mode Linux guests.

Whatever joins them forwards on one CPU; the load (iperf3, tests/lab/talk.c) runs where the scheduler puts
it. The Linux bridge never leaves the kernel, so it forwards on the CPU of who sends."""

import collections
import contextlib
import json
import os
import statistics

from harness import BACK_END_CPU, LESS, LOAD_CPU, MORE, LabError
from lab.guest import UmlGuest
from lab.netns import Namespace
from lab.ovs import VSWITCHD, Ovs
from lab.viaductd import Viaductd, build_folder

NAME = "kernels"
TITLE = "TAPs and user-mode Linux"

TARGET = "10.9.0.2"             # the end that serves; who asks is 10.9.0.1
TALK = os.path.join(build_folder(), "tests/lab/talk")
WORKER = [{"cpu": BACK_END_CPU}]
STREAMS = {"1 stream": "-P 1", "1 stream, back": "-P 1 -R",
           "8 streams": "-P 8", "8 streams, back": "-P 8 -R"}
PROTOCOLS = ("tcp", "udp")
CONVERSATIONS = 5


def needs():
    return None if os.geteuid() == 0 else "needs root, for network namespaces"


# ------------------------------------------------------------------ two ends, and what joins them

def take(namespace, device, address):
    """Gives a namespace's device its address."""
    namespace.run("ip link set %s up; ip addr add %s/24 dev %s" % (device, address, device))


def switched(join, cpus=(None, None)):
    """Ends that are two namespaces. In a third one join(it, names) makes an interface for each."""
    @contextlib.contextmanager
    def ends():
        with contextlib.ExitStack() as stack:
            middle, *pair = (stack.enter_context(Namespace(cpu)) for cpu in (None, *cpus))
            names = ["end1", "end2"]
            stack.enter_context(join(middle, names))
            for number, (end, name) in enumerate(zip(pair, names), 1):
                middle.run("ip link set %s netns %s" % (name, end.name))
                take(end, name, "10.9.0.%d" % number)
            yield pair
    return ends


@contextlib.contextmanager
def linux_bridge(middle, names):
    middle.run("ip link add br0 type bridge; ip link set br0 up")
    for name in names:
        middle.run("ip link add %s type veth peer name br-%s; ip link set br-%s master br0 up"
                   % (name, name, name))
    yield


def taps(**top):
    """viaduct's."""
    return lambda middle, names: Viaductd([{"name": name, "type": "tap"} for name in names],
                                          netns=middle, workers=WORKER, **top)


def ovs_taps(middle, names):
    """As installed: its main thread reads and writes the TAPs that it makes itself."""
    return Ovs({name: {"type": "internal"} for name in names}, netns=middle,
               main_cpu=BACK_END_CPU)


def ovs_net_taps(middle, names):
    """DPDK's own TAP driver, which a PMD thread polls."""
    return Ovs({"dpdk-" + name: {"type": "dpdk", "options:n_rxq": 2, "options:dpdk-devargs":
                                 "net_tap%d,iface=%s" % (i, name)}
                for i, name in enumerate(names)},
               netns=middle, cpu=BACK_END_CPU, main_cpu=LOAD_CPU)


def guests(**top):
    """Ends that are two guests, by viaduct."""
    @contextlib.contextmanager
    def ends():
        with contextlib.ExitStack() as stack:
            daemon = stack.enter_context(Viaductd(
                [{"name": name, "type": "vhost-user"} for name in "ab"], workers=WORKER, **top))
            pair = [stack.enter_context(UmlGuest([daemon.socket(name)])) for name in "ab"]
            for number, guest in enumerate(pair, 1):
                guest.address("10.9.0.%d/24" % number)
            yield pair
    return ends


@contextlib.contextmanager
def guests_by_bridge():
    """The guests' own driver for TAPs, which are ports of a Linux bridge."""
    with contextlib.ExitStack() as stack:
        middle = stack.enter_context(Namespace())
        middle.run("ip link add br0 type bridge; ip link set br0 up")
        pair = []
        for tap in ("tap1", "tap2"):
            middle.run("ip tuntap add %s mode tap vnet_hdr; ip link set %s master br0 up"
                       % (tap, tap))
            pair.append(stack.enter_context(UmlGuest([], taps=[tap], netns=middle)))
        for number, guest in enumerate(pair, 1):
            guest.address("10.9.0.%d/24" % number, device="vec0")
        yield pair


def guest_and_host(**top):
    """Ends that are a guest and the host, by viaduct."""
    @contextlib.contextmanager
    def ends():
        with contextlib.ExitStack() as stack:
            host = stack.enter_context(Namespace())
            daemon = stack.enter_context(Viaductd(
                [{"name": "vm", "type": "vhost-user"}, {"name": "tap1", "type": "tap"}],
                netns=host, workers=WORKER, **top))
            take(host, "tap1", TARGET)
            guest = stack.enter_context(UmlGuest([daemon.socket("vm")]))
            guest.address("10.9.0.1/24")
            yield guest, host
    return ends


@contextlib.contextmanager
def guest_and_host_by_tap():
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(Namespace())
        host.run("ip tuntap add tap1 mode tap vnet_hdr")
        take(host, "tap1", TARGET)
        guest = stack.enter_context(UmlGuest([], taps=["tap1"], netns=host))
        guest.address("10.9.0.1/24", device="vec0")
        yield guest, host


# ------------------------------------------------------------------ what is measured between them

@contextlib.contextmanager
def serving(end, command, sockets):
    """A server that has its socket: 'sockets' are ss's words for it."""
    job = end.spawn("exec " + command)
    try:
        end.run("until ss -Hln %s | grep -q .; do sleep 0.02; done" % sockets, timeout=10)
        yield
    finally:
        job.kill()


def iperf(ends, words, seconds):
    """What the receiver of iperf3's client says at the end."""
    client, server = ends
    with serving(server, "iperf3 -s", "--tcp sport = :5201"):
        said = json.loads(client.run("iperf3 -J -c %s -t %d %s" % (TARGET, seconds, words)).out)
    if "error" in said:
        raise LabError("iperf3 %s: %s" % (words, said["error"]))
    return said["end"]


def tcp(ends, seconds):
    """Gbit/s from who connects, or back to it."""
    return {name: iperf(ends, words, seconds)["sum_received"]["bits_per_second"] / 1e9
            for name, words in STREAMS.items()}


def numbers(end, words):
    """What tests/lab/talk.c prints."""
    return list(map(float, end.run("%s %s" % (TALK, words)).out.split()))


def round_trips(ends, seconds):
    """Microseconds from a request to its answer: of several conversations, as it matters on which
    CPUs the scheduler puts the two who talk."""
    client, server = ends
    found = {}
    for protocol in PROTOCOLS:
        with serving(server, "%s answer %s 7004" % (TALK, protocol),
                     "--%s sport = :7004" % protocol):
            medians, late, _ = zip(*(numbers(client, "ask %s %s 7004 %g" % (
                protocol, TARGET, seconds / CONVERSATIONS)) for _ in range(CONVERSATIONS)))
        found[protocol] = statistics.median(medians)
        found[protocol + ", 99th percentile"] = statistics.median(late)
    return found


def datagrams(ends, seconds):
    """Thousands a second that arrive, of a sender that does not wait."""
    client, server = ends
    with serving(server, TALK + " count 7003", "--udp sport = :7003"):
        arrived, _ = numbers(client, "flood %s 7003 %g" % (TARGET, seconds))
    return arrived / 1e3


# ------------------------------------------------------------------ the figures

# 'polling' is who is compared when viaduct never sleeps; 'goals' are those of "tcp", of "round trips"
# and of "polling".
Place = collections.namedtuple("Place", "where subjects polling goals")


def namespaces(where, **how):
    return Place(where,
                 {"bridge": switched(linux_bridge, **how), "viaduct": switched(taps(), **how),
                  "ovs": switched(ovs_taps, **how)},
                 {"ovs": switched(ovs_taps, **how),
                  "viaduct": switched(taps(poll_us="always"), **how),
                  "ovs net_tap": switched(ovs_net_taps, **how)},
                 {"tcp": {"ovs": ">= 3", "bridge": ">= 0.8"}, "round trips": {"bridge": "<= 1.2"},
                  "polling": {"ovs": "<= 1", "ovs net_tap": "<= 1"}})


PLACES = [
    namespaces("between namespaces"),
    namespaces("between namespaces, each on one CPU", cpus=([LOAD_CPU], [BACK_END_CPU])),
    Place("between guests", {"bridge": guests_by_bridge, "viaduct": guests()},
          {"bridge": guests_by_bridge, "viaduct": guests(poll_us="always")},
          {"tcp": {"bridge": ">= 1.5"}, "round trips": {"bridge": "<= 1.2"}}),
    Place("from guest to host", {"tap": guest_and_host_by_tap, "viaduct": guest_and_host()},
          {"tap": guest_and_host_by_tap, "viaduct": guest_and_host(poll_us="always")}, {}),
]


def between(subjects, measure, seconds):
    """Functions for Bench.compare(). The ends are made anew each time: some of what joins them takes a
    CPU even when nothing moves."""
    def once(ends):
        with ends() as pair:
            return measure(pair, seconds)
    return {name: lambda ends=ends: once(ends) for name, ends in subjects.items()}


def run(bench):
    short = bench.seconds / 2
    for place in PLACES:
        bench.compare("TCP " + place.where, "Gbit/s", MORE,
                      # iperf3 knows whole seconds only
                      between(place.subjects, tcp, max(1, round(bench.seconds))),
                      goal=dict.fromkeys(STREAMS, place.goals.get("tcp")),
                      command="iperf3 -c %s [-P 8] [-R]" % TARGET)
        bench.compare("round trips " + place.where, "µs", LESS,
                      between(place.subjects, round_trips, short),
                      goal=dict.fromkeys(PROTOCOLS, place.goals.get("round trips")),
                      command="tests/lab/talk ask tcp|udp %s 7004 %g" % (TARGET, short))
        bench.compare("round trips %s, polling" % place.where, "µs", LESS,
                      between(place.polling, round_trips, short),
                      goal=dict.fromkeys(PROTOCOLS, place.goals.get("polling")),
                      command="the same, viaduct with poll_us: always")
        bench.compare("64-byte datagrams " + place.where, "1,000/s", MORE,
                      between(place.subjects, datagrams, short),
                      command="tests/lab/talk flood %s 7003 %g" % (TARGET, short))
