"""The machine under the measurements: its cores, and what else ran on them meanwhile. What is read stands in /proc and /sys; what is
made of it is pure."""

import os
import pathlib
import platform

STEAL_MOST = 0.01  # of the time of a trial, for each core
OTHERS_MOST = 0.05


def read_cpu_list(text):
    """ "0-2,5" as [0, 1, 2, 5]."""
    out = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        out += range(int(first), int(last or first) + 1)
    return out


def choose_cores(allowed, siblings):
    """(server cores, load core). `siblings`: for each CPU, the list of those that share its physical core. The load and the first
    worker never share one, nor do two workers unless there is no other. Raises ValueError where there are not two."""
    first_of = {}
    for cpu in sorted(allowed):
        first_of.setdefault(min(siblings.get(cpu, [cpu])), cpu)
    cores = sorted(first_of.values())
    if len(cores) < 2:
        raise ValueError("this needs two cores: one for the server, one for the load")
    load, *servers = cores
    return (servers + [load])[:2], load


def cores_here():
    siblings = {}
    allowed = os.sched_getaffinity(0)
    for cpu in allowed:
        try:
            text = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
            siblings[cpu] = read_cpu_list(text)
        except OSError:
            pass
    return choose_cores(allowed, siblings)


def parse_stat(text, cores):
    """Ticks of these cores: (busy, stolen)."""
    busy = stolen = 0
    for line in text.splitlines():
        name, *ticks = line.split()
        if name in {f"cpu{c}" for c in cores}:
            user, nice, system, _idle, _wait, irq, softirq, steal = map(int, ticks[:8])
            busy += user + nice + system + irq + softirq  # guests stand in user
            stolen += steal
    return busy, stolen


def shares(before, after, own_s, elapsed_s, cores, ticks_per_s):
    """What was stolen, and what others used, of the time of these cores."""
    time_s = elapsed_s * cores
    if time_s <= 0:
        return 0.0, 0.0
    busy_s, stolen_s = ((a - b) / ticks_per_s for a, b in zip(after, before))
    # A tick is counted for whoever runs when it comes: the last two prove nothing.
    return stolen_s / time_s, max(0.0, busy_s - own_s - 2 / ticks_per_s) / time_s


def is_noisy(stolen, others):
    return stolen > STEAL_MOST or others > OTHERS_MOST


class Watch:
    """What happened on these cores since it was made."""

    def __init__(self, cores):
        self.cores = sorted(set(cores))
        self.before, self.children, self.began_s = self.look(), self.children_s(), os.times().elapsed

    def look(self):
        return parse_stat(pathlib.Path("/proc/stat").read_text(), self.cores)

    @staticmethod
    def children_s():
        t = os.times()
        return t.children_user + t.children_system + t.user + t.system

    def shares(self, more_s):
        """`more_s`: CPU seconds of what was measured and still lives; this process and its children that ended are known."""
        own_s = self.children_s() - self.children + more_s
        elapsed_s = os.times().elapsed - self.began_s
        return shares(self.before, self.look(), own_s, elapsed_s, len(self.cores), os.sysconf("SC_CLK_TCK"))


def describe():
    model = "unknown CPU"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "machine": platform.machine()}


# What the kernel keeps for a UDP socket that an event loop watches.
SOCKET_OBJECTS = ("UDP", "sock_inode_cache", "filp", "dentry", "eventpoll_epi", "ep_head")


def socket_bytes(slabinfo):
    """The kernel's objects for one socket: the least it costs. None where they are not told (not root)."""
    size = {}
    for line in slabinfo.splitlines():
        words = line.split()
        if len(words) > 3 and words[0] in SOCKET_OBJECTS:
            size[words[0]] = int(words[3])
    return sum(size.values()) if "UDP" in size and "sock_inode_cache" in size else None


def socket_bytes_here():
    try:
        return socket_bytes(pathlib.Path("/proc/slabinfo").read_text())
    except OSError:
        return None
