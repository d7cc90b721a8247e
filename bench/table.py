"""What is measured, and what the figures mean. Pure: no process, no clock.

A trial is one run of the load against one server; rows look at trials, several at one from several sides. Each round gives each
server one value for a row; what counts is the median over the rounds, and for a ratio the median of the rounds' own ratios: those two
trials stood next to each other in time."""

import dataclasses
import math
import statistics

RATE = 100_000  # packets a second: at a tenth of it a server mostly sleeps, and what is measured is how the kernel wakes it
BURST_RATE = 160_000
PAIR = ("coturn", "turnd")
THREE = ("coturn", "turnd", "floor")


@dataclasses.dataclass(frozen=True)
class Trial:
    args: tuple  # of viaduct-load; () is a server at rest
    servers: tuple = THREE
    place: str = "loopback"  # or "veth": two namespaces
    workers: int = 1
    cores: int = 2  # that the machine must have
    tls: bool = False  # the servers get a certificate
    sockets: bool = False  # counts the server's descriptors meanwhile
    needs: tuple = ()  # (program, option) that have to be there
    cost_s: float = 1.6
    rounds: int = 3  # at most
    loss_counts: bool = False  # it is the figure, and no fault of the measurement


@dataclasses.dataclass(frozen=True)
class Goal:
    against: str  # a server, or "" for a figure itself
    limit: float
    least: bool = False  # of a rate: at least

    def text(self):
        return f"{'>=' if self.least else '<='} {self.limit:g}"


@dataclasses.dataclass(frozen=True)
class Row:
    label: str
    unit: str
    trial: Trial
    figure: object  # result -> number, or None
    goals: tuple = ()
    group: str = "cpu"
    more: bool = False  # more is better
    bounded: bool = False  # where the generator was the limit, the figure is a lower bound of the server's


# ---- figures ----


def cpu(result):
    return result["server_ns"] / result["received"] if result["received"] else None


def cpu_with_kernel(result):
    """With the kernel's own thread that takes packets from the interface."""
    return (result["server_ns"] + result.get("interface_ns", 0)) / result["received"] if result["received"] else None


def rate(result):
    return result["rate"] or None


def latency(key):
    return lambda result: result["latency_ns"][key] / 1000


def each(key, scale=1):
    return lambda result: result[key] / result["allocations"] / scale if result.get(key) is not None else None


def set_up_rate(result):
    return result["allocations"] / (result["setup_ns"] / 1e9)


def lost_percent(result):
    sent = result["sent"] + result["refused"]
    return 100 * (1 - result["received"] / sent) if sent else None


# ---- rows ----

WAYS = (("up", "client to peer"), ("down", "peer to client"))


def relay(*args, **how):
    return Trial(("relay", *map(str, args)), **how)


def single_rows(quick):
    t = ("-t", 1)
    for n in (100,) if quick else (1, 100, 1000):
        goals = (Goal("coturn", 0.85), Goal("floor", 1.15)) if n > 1 else ()
        for size in (160,) if quick else (160, 1200):
            for way, words in WAYS:
                trial = relay("-n", n, "-b", size, "-d", way, *t, "-r", RATE)
                yield Row(f"{n} x {size} bytes, {words}", "CPU ns/packet", trial, cpu, goals)
        for way, words in WAYS:
            trial = relay("-n", n, "-d", way, *t, "-r", RATE, "-i")
            yield Row(f"{n} x 160 bytes, indications, {words}", "CPU ns/packet", trial, cpu, goals)


def burst_rows(quick):
    for n in (100,) if quick else (1, 100, 1000):
        for way, words in WAYS:
            args = ("-n", n, "-d", way, "-t", 1, "-r", BURST_RATE, "-b", 1200, "-k", 16)
            yield Row(f"{n} x bursts of 16, 1200 bytes, {words}", "CPU ns/packet", relay(*args), cpu, (Goal("coturn", 0.65),))
            yield Row(f"{n} x bursts of 16, 1200 bytes, aggregated, {words}", "CPU ns/packet", relay(*args, "-g"), cpu, (Goal("coturn", 0.30),))
        if n == 100 and not quick:
            for way, words in WAYS:
                args = ("-n", n, "-d", way, "-t", 1, "-r", BURST_RATE, "-b", 160, "-k", 16)
                yield Row(f"{n} x bursts of 16, 160 bytes, {words}", "CPU ns/packet", relay(*args), cpu)
                yield Row(f"{n} x bursts of 16, 160 bytes, aggregated, {words}", "CPU ns/packet", relay(*args, "-g"), cpu)
                yield Row(f"{n} x bursts of 16, 160 bytes, indications, {words}", "CPU ns/packet", relay(*args, "-i"), cpu)


def rate_rows(quick):
    def row(label, *args):
        trial = relay(*args, "--find-rate", "-t", 1, cost_s=17, rounds=2)
        return Row(f"highest rate, {label}", "packets/s", trial, rate, group="rate", more=True, bounded=True)

    if quick:
        return
    for n in (1, 100, 1000):
        for way, words in WAYS:
            yield row(f"{n} x 160 bytes, {words}", "-n", n, "-b", 160, "-d", way)
    for way, words in WAYS:
        yield row(f"100 x 1200 bytes, {words}", "-n", 100, "-b", 1200, "-d", way)
        yield row(f"100 x bursts of 16, 1200 bytes, {words}", "-n", 100, "-b", 1200, "-d", way, "-k", 16)
    yield row("100 x bursts of 16, 1200 bytes, aggregated, client to peer", "-n", 100, "-b", 1200, "-d", "up", "-k", 16, "-g")


def call_rows(quick):
    trial = relay("-n", 100, "-d", "call", "-t", 1, "-r", RATE // 2)
    yield Row("both ends of a call relayed", "CPU ns/packet", trial, cpu, (Goal("coturn", 0.50),))
    slow = relay("-n", 100, "-t", 1 if quick else 3, "-r", 10000, cost_s=4)
    for words, key, goals in (("p50", "p50", ()), ("p99", "p99", (Goal("coturn", 1),)), ("p99.9", "p999", ())):
        yield Row(f"latency {words} at 10,000/s", "us", slow, latency(key), goals, group="latency")
    binding = Trial(("binding", "-t", "1", "-r", str(RATE)), servers=PAIR, cost_s=1.7)
    yield Row("Binding requests", "CPU ns/request", binding, cpu, (Goal("coturn", 0.60),))


def stream_rows(quick):
    for transport, limit in (("tcp", 0.70), ("tls", 0.85)):
        for way, words in WAYS:
            args = ("-n", 100, "-b", 1200, "-d", way, "-t", 1, "-r", RATE // 2, "--transport", transport)
            trial = relay(*args, servers=PAIR, tls=True, needs=(("viaduct-load", "--transport"),))
            yield Row(f"TURN over {transport.upper()}, 1200 bytes, {words}", "CPU ns/packet", trial, cpu, (Goal("coturn", limit),), "stream")


def birth_rows(quick):
    for n in (1000,) if quick else (1000, 10000):
        trial = relay("-n", n, "-t", 1, "-r", 1000, servers=PAIR, sockets=True, cost_s=2 + n / 2500)
        cpu_goals = (Goal("coturn", 0.30),)
        memory_goals = (Goal("", 1024),) if n == 10000 else ()
        yield Row(f"set up 1 of {n}", "CPU us", trial, each("setup_server_ns", 1000), cpu_goals, "set-up")
        yield Row(f"set up {n}", "allocations/s", trial, set_up_rate, (), "set-up", more=True)
        yield Row(f"user memory for 1 of {n}", "bytes", trial, each("setup_memory"), memory_goals, "memory")
        yield Row(f"kernel memory for 1 of {n}, at least", "bytes", trial, each("socket_memory"), (), "memory")


def flood_ns(result):
    return result["flood"]["server_ns_per_packet"]


def flood_rows(quick):
    """Ten calls of 50 packets a second, and beside them 20,000 packets a second that are to be dropped (Binding requests: answered)."""
    floods = (("channels", "channels that are not"), ("strangers", "strangers"), ("peers", "peers without permission"),
              ("bindings", "spoofed Binding requests"))  # fmt: skip
    for kind, words in floods:
        how = {"servers": PAIR, "loss_counts": True, "needs": (("viaduct-load", "--flood"),), "cost_s": 2.8}
        trial = relay("-n", 10, "-t", 1, "-r", 500, "--flood", kind, **how)
        yield Row(f"lost beside a flood of {words}", "% of the calls", trial, lost_percent, (Goal("", 0),), "flood")
        yield Row(f"a packet of a flood of {words}", "CPU ns", trial, flood_ns, (), "flood")


def worker_rows(quick):
    """By CPU time, each worker as busy as the one is: twice the workers carry twice as much, less what each packet is dearer by."""
    for count, words in ((1, "one worker at 60,000/s"), (2, "two workers at 120,000/s")):
        args = ("-n", 200, "-b", 160, "-d", "up", "-t", 1, "-r", 60000 * count)
        yield Row(words, "CPU ns/packet", relay(*args, servers=PAIR, workers=count, cores=3), cpu, (), "workers")


def rest_rows(quick):
    trial = Trial((), servers=PAIR, cost_s=3.5)
    yield Row("idle: CPU", "CPU ns/s", trial, lambda r: r["idle_ns"], (), "idle")
    yield Row("idle: wake-ups", "wake-ups/s", trial, lambda r: r["wake_ups"], (Goal("", 0.5),), "idle")


def xdp_rows(quick):
    """Bursts of 16: one by one, the kernel's thread would wake up for each packet, and that would be what is measured."""
    how = {"place": "veth", "needs": (("viaduct-turnd", "--xdp"),)}
    for way, words in WAYS:
        args = ("-n", 100, "-d", way, "-t", 1, "-k", 16)
        # At least 3 times coturn's rate on one core, and 0.85 of the bare program's.
        goals = (Goal("coturn", 1 / 3), Goal("floor", 1 / 0.85))
        yield Row(f"XDP, 100 x bursts of 16, 160 bytes, {words}", "CPU ns/packet", relay(*args, "-r", RATE, **how), cpu_with_kernel, goals, "xdp")
        if not quick:
            best = relay(*args, "--find-rate", cost_s=17, rounds=2, **how)
            goals = (Goal("coturn", 3, True), Goal("floor", 0.85, True))
            yield Row(f"XDP, highest rate, bursts of 16, 160 bytes, {words}", "packets/s", best, rate, goals, "xdp", True, True)
    binding = Trial(("binding", "-t", "1", "-r", str(RATE), "-k", "16"), servers=PAIR, **how)
    yield Row("XDP, Binding requests", "CPU ns/request", binding, cpu_with_kernel, (Goal("coturn", 0.20),), "xdp")


PARTS = (single_rows, burst_rows, call_rows, stream_rows, worker_rows, birth_rows, rest_rows, flood_rows, xdp_rows, rate_rows)


def name_of(row):
    return f"{row.label}, {row.unit}"


def choose(parts, quick, pattern=None):
    """`parts`: of rows. `pattern`: a compiled expression that a row's label or group has to hold."""
    found = [row for part in parts for row in part(quick)]
    return [row for row in found if pattern is None or pattern.search(name_of(row)) or pattern.search(row.group)]


def rows(quick, pattern=None):
    """Those of bench/run relay."""
    return choose(PARTS, quick, pattern)


def plan(table, rounds):
    """(round, trial) in order: every trial once before any comes again, and the long ones again behind all others."""
    trials = list(dict.fromkeys(row.trial for row in table))
    jobs = [(turn, trial) for turn in range(rounds) for trial in trials if turn < trial.rounds]
    return sorted(jobs, key=lambda job: (job[0] > 0 and "--find-rate" in job[1].args, job[0]))


def seconds_of(jobs, servers):
    """`servers`: those that take part, of all that a trial names."""
    return sum(trial.cost_s * len([s for s in trial.servers if s in servers]) for _, trial in jobs)


# ---- what came of it ----

SLOW_MOST = 0.8  # of the rate that was wanted: below, it is another measurement


def judge(trial, result):
    """("good", None); ("limited", None): by the generator, so that a rate is a lower bound, and all else was measured at a lower one;
    ("bad", why): no figure of the server."""
    wrong, bound = result["wrong"], result.get("bound")
    if "--find-rate" in trial.args:
        if wrong is None and bound in ("loss", "queued"):
            return "good", None
        if wrong in (None, "generator-limit") and bound in (None, "generator-limit") and result["received"]:
            return "limited", None
        return "bad", f"not the server's highest rate: {bound or wrong}"
    if wrong is None or (trial.loss_counts and wrong in ("loss", "queued")):
        return "good", None
    if wrong == "generator-limit" and result["sent"] >= SLOW_MOST * result["rate"] * result["elapsed_ns"] / 1e9:
        return "limited", None
    return "bad", wrong


def values_of(row, results):
    """({round: value}, rounds that are lower bounds, whether none was good): of the bad ones, only if there are no others."""
    grades = {turn: judge(row.trial, r)[0] for turn, r in results.items()}
    usable = [turn for turn in results if grades[turn] != "bad"] or list(results)
    values = {turn: row.figure(results[turn]) for turn in usable}
    values = {turn: value for turn, value in values.items() if value is not None}
    least = {turn for turn in values if row.bounded and grades[turn] == "limited"}
    return values, least, bool(values) and all(grades[turn] == "bad" for turn in values)


def spread(values, least=False):
    """`least`: one of them is a lower bound."""
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values), "max": max(values)} | ({"least": True} if least else {})


def ratios(mine, others, unknown=()):
    """Of each round that has both. `mine` and `others`: {round: value}; `unknown`: rounds of the others that are lower bounds."""
    return [mine[turn] / others[turn] for turn in sorted(mine) if others.get(turn) and turn not in unknown]


def verdict(goal, seen):
    """ "held", "missed", either with "?" where the rounds disagree, or None where there is nothing to judge."""
    if seen is None:
        return None
    if seen.get("least"):
        return "held" if goal.least and seen["min"] >= goal.limit else None
    holds = (lambda value: value >= goal.limit) if goal.least else (lambda value: value <= goal.limit)
    word = "held" if holds(seen["median"]) else "missed"
    return word if holds(seen["min"]) == holds(seen["max"]) else word + "?"


def out_of_reach(values, goals):
    """A sentence for a goal against coturn that the floor itself misses; None without one."""
    floor = spread(ratios(values.get("floor", {}), values.get("coturn", {})))
    missed = [g for g in goals if g["against"] == "coturn" and (g["verdict"] or "").startswith("missed")]
    if not floor or not missed or verdict(Goal("coturn", missed[0]["limit"], missed[0]["least"]), floor) != "missed":
        return None
    return f"the floor is at {floor['median']:.2f} of coturn: nothing of its kind reaches this goal here"


def summarize(row, results, notes=(), busy=None, mine="turnd"):
    """`results`: {server: {round: result}}. `busy`: what others used of the cores at the worst, where that was too much. `mine`: the
    server that is compared with the others; None: they only stand beside each other."""
    values, least, bad = {}, {}, []
    for name, by_round in results.items():
        values[name], least[name], is_bad = values_of(row, by_round)
        bad += [name] if is_bad else []
    servers = {name: spread(list(v.values()), bool(least[name])) for name, v in values.items()}
    own = values.get(mine, {})
    others = [name for name in values if mine and name != mine]
    against = {name: spread(ratios(own, values[name], least[name]), bool(least.get(mine))) for name in others}
    goals = []
    for goal in row.goals:
        seen = against.get(goal.against) if goal.against else servers.get(mine)
        word = None if {mine, goal.against} & set(bad) else verdict(goal, seen)
        goals.append({"against": goal.against, "limit": goal.limit, "least": goal.least, "verdict": word})
    if (words := out_of_reach(values, goals)) and "floor" not in bad:
        notes = [*notes, words]
    return {"label": row.label, "unit": row.unit, "group": row.group, "more": row.more, "servers": servers, "ratio": against,
            "goals": goals, "notes": list(notes), "busy": busy, "bad": bad,
            "rounds": {name: list(v.values()) for name, v in values.items()}}  # fmt: skip


def workers_summary(summaries):
    """How much two workers carry of what one does, from the rows of worker_rows; None where they are not both there."""
    by_label = {s["label"]: s for s in summaries}
    one, two = (by_label.get(label) for label in ("one worker at 60,000/s", "two workers at 120,000/s"))
    if not one or not two or not two["rounds"].get("turnd"):
        return None
    goal = Goal("", 1.7, True)
    servers, rounds = {}, {}
    for name in PAIR:
        pairs = zip(one["rounds"].get(name, []), two["rounds"].get(name, []))
        rounds[name] = [2 * a / b for a, b in pairs if b]
        servers[name] = spread(rounds[name])
    return {"label": "two workers carry, by CPU time", "unit": "times one", "group": "workers", "more": True, "servers": servers,
            "ratio": {}, "goals": [{"against": "", "limit": 1.7, "least": True, "verdict": verdict(goal, servers["turnd"])}],
            "notes": [], "busy": one["busy"] or two["busy"], "bad": sorted({*one["bad"], *two["bad"]}), "rounds": rounds}  # fmt: skip


def number(value):
    if value is None:
        return "-"
    if value and abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:,.0f}"


def figure_cell(summary, name):
    """ ">" before a lower bound, "!" behind what comes from bad trials alone."""
    seen = summary["servers"].get(name)
    if seen is None:
        return "-"
    return (">" if seen.get("least") else "") + number(seen["median"]) + ("!" if name in summary["bad"] else "")


def goal_words(goal):
    return f"{'>=' if goal['least'] else '<='}{round(goal['limit'], 2):g} {goal['verdict'] or '?'}"


def ratio_cell(summary, name):
    """The ratio, its spread where there is one, and what the goal says."""
    seen = summary["ratio"].get(name)
    goal = next((g for g in summary["goals"] if g["against"] == name), None)
    if seen is None:
        return "-"
    text = (">" if seen.get("least") else "") + f"{seen['median']:.2f}"
    if not math.isclose(seen["min"], seen["max"]):
        text += f" ({seen['min']:.2f}-{seen['max']:.2f})"
    return text + (f" {goal_words(goal)}" if goal else "")


def text_table(summaries, servers, mine="turnd"):
    others = [name for name in servers if mine and name != mine]
    head = ["", *servers, *(f"{mine}/{name}" for name in others), "unit"]
    lines = [head]
    for s in summaries:
        figures = [figure_cell(s, name) for name in servers]
        own = next((g for g in s["goals"] if g["against"] == "" and g["verdict"]), None)
        unit = s["unit"]
        if own:
            unit += f"; goal {goal_words(own)}"
        lines.append([s["label"] + (" ~" if s["busy"] else ""), *figures, *(ratio_cell(s, name) for name in others), unit])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    left = {0, len(head) - 1} | set(range(1 + len(servers), len(head)))
    out = []
    for line, s in zip(lines, [None, *summaries]):
        cells = [cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))]
        out.append("  ".join(cells).rstrip())
        out += [f"    {note}" for note in (s["notes"] if s else [])]
    return "\n".join(out)
