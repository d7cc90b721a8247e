"""bench/run signal: viaduct-signald beside PeerServer, both spoken to as PeerJS clients do, and then signald's four transports beside
one another. What is measured, and how the servers are started; how rows are judged and printed is table.py's."""

import http.client
import pathlib
import resource
import shutil
import subprocess
import time

import servers
import table
from table import Goal, Row, Trial

PAIR = ("peerserver", "signald")
TRANSPORTS = ("poll", "longpoll", "sse", "websocket")
PEER = pathlib.Path(__file__).resolve().parent / "peer"
PEERSERVER = PEER / "node_modules/peer/dist/bin/peerjs.js"
CLIENTS_MOST = 20000
TCP_HEADS = 52  # bytes of IPv4 and TCP, with timestamps, before each segment
LIFTED = ("max-sessions", "max-sessions-per-address", "max-connections-per-address", "max-connections", "max-message-rate", "max-byte-rate",
          "max-address-message-rate", "max-address-byte-rate", "max-address-session-rate", "peerjs-limit")  # fmt: skip

# ---- figures ----


def cpu_us(key, count):
    """CPU time of the server for each of what `count` counts."""
    return lambda result: result[key] / result[count] / 1000 if result[count] else None


def a_second(count):
    return lambda result: result[count] / (result["elapsed_ns"] / 1e9)


def latency(key, scale):
    return lambda result: result["latency_ns"][key] / scale if result["latency_ns"]["count"] else None


def memory_each(result):
    return result["setup_memory"] / result["clients"]


def a_client_s_second(value):
    """`value`: of a result; for each client and second."""
    return lambda result: value(result) / result["clients"] / (result["elapsed_ns"] / 1e9)


def packets(result):
    return result["wire"]["packets_out"] + result["wire"]["packets_in"]


def wire_bytes(result):
    return result["wire"]["bytes_out"] + result["wire"]["bytes_in"] + TCP_HEADS * packets(result)


# ---- rows ----


def signal(*args, **how):
    return Trial(("signal", *map(str, args)), **{"servers": PAIR} | how)


def relay_rows(quick):
    flat = signal("-n", 50, "--call", "-r", 0, "-t", 1 if quick else 3, cost_s=5)
    words = "flat out, 50 calls that begin again and again"
    yield Row(words, "CPU us/message", flat, cpu_us("server_ns", "received"), (Goal("peerserver", 0.35),), "relay")
    yield Row(words, "messages/s", flat, a_second("received"), (), "relay", more=True, bounded=True)
    slow = signal("-n", 50, "--call", "-r", 1000, "-t", 1 if quick else 5, cost_s=7)
    for name, key, goals in (("p50", "p50", ()), ("p99", "p99", (Goal("peerserver", 0.5),)), ("p99.9", "p999", ())):
        yield Row(f"latency {name} at 1,000/s", "us", slow, latency(key, 1000), goals, "latency")
    yield Row("relayed at 1,000/s", "CPU us/message", slow, cpu_us("server_ns", "received"), (), "relay")


def idle_rows(quick):
    for n in (1000,) if quick else (1000, 10000):
        trial = signal("-w", "idle", "-n", n // 2, "--sources", 50, "-t", 3, cost_s=6 + n / 1500, rounds=2)
        goals = (Goal("peerserver", 0.6),) if n == 10000 else ()
        yield Row(f"memory of 1 of {n:,} idle connections", "bytes", trial, memory_each, goals, "idle")
        yield Row(f"a heartbeat, {n:,} connected", "CPU us", trial, cpu_us("steady_server_ns", "heartbeats"), (), "idle")


def churn_rows(quick):
    trial = signal("-w", "churn", "--sources", 50, "-t", 1 if quick else 3, cost_s=5)
    goals = (Goal("peerserver", 4, True),)
    yield Row("connect, register, leave", "a second", trial, a_second("left"), goals, "churn", more=True, bounded=True)
    yield Row("connect, register, leave", "CPU us each", trial, cpu_us("steady_server_ns", "left"), (), "churn")


def slow_rows(quick):
    """Ten clients are sent 1.6 MB a second each, and read nothing; what the twenty other pairs notice, and what it costs."""
    trial = signal("-n", 20, "-r", 1000, "--slow", 10, "--slow-rate", 1000, "-t", 1 if quick else 4, cost_s=7, rounds=2, loss_counts=True)
    yield Row("ten that do not read: the server grows", "MB", trial, lambda r: r["memory"] / 1e6, (), "slow")
    yield Row("ten that do not read: p99 of the others", "us", trial, latency("p99", 1000), (), "slow")


def worker_rows(quick):
    how = {"servers": ("signald",), "workers": 2, "cores": 3, "needs": (("viaduct-signald", "--workers"),), "cost_s": 5}
    trial = signal("-n", 100, "--call", "-r", 0, "-t", 3, **how)
    yield Row("flat out, two workers: at least 1.7 times one", "messages/s", trial, a_second("received"), (), "workers", more=True, bounded=True)


def transport_rows(quick):
    """200 clients in pairs; what each client costs in a second."""
    for rate, seconds in ((1, 2),) if quick else ((0.1, 10), (1, 6), (10, 4)):
        how = {"servers": TRANSPORTS, "cost_s": seconds + 4, "rounds": 2}
        trial = signal("-n", 100, "--call", "-r", round(rate * 200), "-t", seconds, **how)
        words = f"{rate:g} message{'s' if rate != 1 else ''}/s"
        for name, key in (("p50", "p50"), ("p99", "p99")):
            yield Row(words, f"{name}, ms", trial, latency(key, 1e6), (), "transports")
        yield Row(words, "server CPU, us/s", trial, a_client_s_second(lambda r: r["steady_server_ns"] / 1000), (), "transports")
        yield Row(words, "requests/s", trial, a_client_s_second(lambda r: r["wire"]["requests"]), (), "transports")
        yield Row(words, "packets/s", trial, a_client_s_second(packets), (), "transports")
        yield Row(words, "bytes/s", trial, a_client_s_second(wire_bytes), (), "transports")


PARTS = (relay_rows, churn_rows, slow_rows, idle_rows, worker_rows, transport_rows)

# ---- servers ----


class SignalServer(servers.Server):
    """`args`: of viaduct-load, that only this server needs."""

    def __init__(self, name, place, command, port, args, folder):
        super().__init__(name, place, command, {"tcp": port}, 1, folder)
        self.args, self.url = args, f"http://{place.server_at}:{port}"

    def answered(self):
        """Whether it speaks HTTP."""
        connection = http.client.HTTPConnection(self.place.server_at, self.ports["tcp"], timeout=2)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status > 0
        except OSError:
            time.sleep(0.05)
            return False
        finally:
            connection.close()

    def load_command(self, binary, trial):
        return [binary, *trial.args, *self.args, "--pid", self.process.pid, "--json", self.url + self.path]

    path = ""


class Starter:
    """`start(name, trial, place)` gives a server to enter; `name` is a server or one of the transports of signald."""

    def __init__(self, folder_of_programs):
        self.bin = folder_of_programs
        done = subprocess.run([self.bin / "viaduct-signald", "--help"], capture_output=True, text=True, check=False)
        self.help = done.stdout
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # of this process and all that it starts

    def close(self):
        """Nothing is left."""

    def has(self, option):
        return f"--{option}" in self.help

    def start(self, name, trial, place):
        port = servers.free_port(place)
        return self.start_peerserver(place, port) if name == "peerserver" else self.start_signald(name, trial, place, port)

    def start_peerserver(self, place, port):
        command = [shutil.which("node"), PEERSERVER, "--host", place.server_at, "--port", port,
                   "--path", "/peerjs", "--concurrent_limit", CLIENTS_MOST]  # fmt: skip
        server = SignalServer("peerserver", place, command, port, ("--protocol", "peerjs"), None)
        server.path = "/peerjs"
        return server

    def start_signald(self, name, trial, place, port):
        command = [self.bin / "viaduct-signald", "--listen", f"{place.server_at}:{port}", "--web-root", "none"]
        command += [f"--{option}=0" for option in LIFTED if self.has(option)]
        command += ["--workers", trial.workers] if trial.workers > 1 else []
        if name in TRANSPORTS:
            return SignalServer(name, place, command, port, ("--transport", name), None)
        if not self.has("peerjs-path"):
            return SignalServer(name, place, command, port, (), None)
        server = SignalServer(name, place, command, port, ("--protocol", "peerjs"), None)
        server.path = "/peerjs"
        return server


# ---- the comparison, as bench/run has it ----


class Comparison:
    name, minutes, quick_minutes = "signal", 12, 2

    def __init__(self, args):
        self.names = [*PAIR, *TRANSPORTS]
        self.tables = ((PAIR, "signald"), (TRANSPORTS, None))

    def rows(self, quick, pattern):
        return table.choose(PARTS, quick, pattern)

    def prepare(self, run_setup):
        if not shutil.which("node") or not shutil.which("npm"):
            return "this compares with PeerServer, which needs Node.js 18 or newer and npm: scripts/setup --test installs them"
        wanted, made = (PEER / name for name in ("package-lock.json", "node_modules/.package-lock.json"))
        is_new = made.exists() and made.stat().st_mtime >= wanted.stat().st_mtime
        install = f'step bench-peer "Installing PeerServer" npm ci --prefix "{PEER}" --no-audit --no-fund --ignore-scripts'
        return run_setup("" if is_new else install)

    def missing(self):
        return None if PEERSERVER.exists() else f"PeerServer is missing, which this compares with: npm ci --prefix {PEER}"

    def starter(self, programs):
        return Starter(programs)

    def servers_of(self, trial):
        return trial.servers

    def more_summaries(self, _summaries):
        return []

    def notes(self, starter):
        return [] if starter.has("peerjs-path") else ["this signald speaks no PeerJS: it is measured with its own protocol over WebSocket"]
