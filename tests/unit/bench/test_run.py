#!/usr/bin/python3
"""The pure parts of bench/run: rows and what they say, whether a machine was busy, how long it takes yet, the charts."""

import functools
import importlib.machinery
import importlib.util
import pathlib
import re
import sys
import unittest
import xml.etree.ElementTree

BENCH = pathlib.Path(__file__).resolve().parents[3] / "bench"
sys.dont_write_bytecode = True
sys.path.insert(0, str(BENCH))

import chart  # noqa: E402
import machine  # noqa: E402
import servers  # noqa: E402
import signalling  # noqa: E402
import table  # noqa: E402

loader = importlib.machinery.SourceFileLoader("bench_run", str(BENCH / "run"))
bench_run = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", loader))
loader.exec_module(bench_run)


def row(**how):
    fields = {"label": "some", "unit": "CPU ns/packet", "trial": table.relay("-n", 1), "figure": table.cpu} | how
    return table.Row(**fields)


class Rows(unittest.TestCase):
    def test_every_target_of_the_comparison_has_a_row(self):
        goals = {}
        for r in table.rows(False):
            goals.setdefault(r.group, set()).update((g.against, round(g.limit, 2), g.least) for g in r.goals)
        self.assertGreaterEqual(goals["cpu"], {("coturn", limit, False) for limit in (0.85, 0.65, 0.30, 0.50, 0.60)} | {("floor", 1.15, False)})
        self.assertEqual(goals["stream"], {("coturn", 0.70, False), ("coturn", 0.85, False)})
        self.assertEqual(goals["memory"], {("", 1024, False)})
        self.assertEqual(goals["set-up"], {("coturn", 0.30, False)})
        self.assertEqual(goals["latency"], {("coturn", 1, False)})
        self.assertEqual(goals["idle"], {("", 0.5, False)})
        self.assertEqual(goals["flood"], {("", 0, False)})
        self.assertGreaterEqual(goals["xdp"], {("coturn", 3, True), ("floor", 0.85, True), ("coturn", 0.20, False)})

    def test_names_differ(self):
        names = [table.name_of(r) for r in table.rows(False)]
        self.assertEqual(len(names), len(set(names)))

    def test_only(self):
        self.assertEqual({r.group for r in table.rows(False, re.compile("^idle$"))}, {"idle"})
        self.assertTrue(all("p99.9" in r.label for r in table.rows(False, re.compile(r"p99\.9"))))
        self.assertEqual(table.rows(False, re.compile("no such row")), [])

    def test_quick_is_a_part(self):
        quick, whole = ({table.name_of(r) for r in table.rows(q)} for q in (True, False))
        self.assertLess(quick, whole)

    def test_each_trial_once_before_any_comes_again(self):
        jobs = table.plan(table.rows(False), 3)
        first = [trial for turn, trial in jobs if turn == 0]
        self.assertEqual(len(first), len(set(first)))
        long = ["--find-rate" in trial.args and turn > 0 for turn, trial in jobs]
        self.assertEqual(long, sorted(long))
        self.assertEqual(jobs[: len(first)], [(0, trial) for trial in first])
        self.assertFalse(any(turn >= trial.rounds for turn, trial in jobs))

    def test_the_time_is_that_of_servers_which_take_part(self):
        job = [(0, table.relay("-n", 1, cost_s=2.0))]
        self.assertEqual(table.seconds_of(job, ["coturn", "turnd", "floor", "pion"]), 6)
        self.assertEqual(table.seconds_of(job, ["turnd"]), 2)


class Figures(unittest.TestCase):
    def test_nothing_arrived(self):
        self.assertIsNone(table.cpu({"server_ns": 5, "received": 0}))
        self.assertIsNone(table.rate({"rate": 0}))
        self.assertIsNone(table.lost_percent({"sent": 0, "refused": 0, "received": 0}))

    def test_figures(self):
        self.assertEqual(table.cpu_with_kernel({"server_ns": 50, "interface_ns": 30, "received": 10}), 8)
        self.assertEqual(table.each("setup_memory")({"setup_memory": 500, "allocations": 5}), 100)
        self.assertIsNone(table.each("socket_memory")({"socket_memory": None, "allocations": 5}))
        self.assertEqual(table.lost_percent({"sent": 90, "refused": 10, "received": 75}), 25)


def result(value=None, **how):
    """Of one trial: `value` CPU nanoseconds for a packet."""
    fields = {"server_ns": value, "received": 1, "sent": 1, "rate": 1, "elapsed_ns": 1_000_000_000, "wrong": None, "bound": None}
    return fields | how


def of(**servers):
    return {name: {turn: result(value) for turn, value in enumerate(values)} for name, values in servers.items()}


class Judging(unittest.TestCase):
    FIXED, SEARCH = table.relay("-r", 5), table.relay("--find-rate")

    def test_a_fixed_rate(self):
        for wrong, sent, grade in ((None, 1, "good"), ("loss", 1, "bad"), ("queued", 1, "bad"), ("damaged", 1, "bad"),
                                   ("generator-limit", 0.9, "limited"), ("generator-limit", 0.7, "bad")):  # fmt: skip
            self.assertEqual(table.judge(self.FIXED, result(wrong=wrong, sent=sent))[0], grade, wrong)

    def test_loss_that_is_the_figure(self):
        flooded = table.relay("-n", 1, loss_counts=True)
        self.assertEqual(table.judge(flooded, result(wrong="loss"))[0], "good")
        self.assertEqual(table.judge(flooded, result(wrong="damaged"))[0], "bad")

    def test_a_search(self):
        for wrong, bound, grade in ((None, "loss", "good"), (None, "queued", "good"), (None, "generator-limit", "limited"),
                                    (None, None, "limited"), (None, "duplicates", "bad"), ("loss", "loss", "bad")):  # fmt: skip
            self.assertEqual(table.judge(self.SEARCH, result(wrong=wrong, bound=bound))[0], grade, (wrong, bound))

    def test_bad_trials_count_only_alone(self):
        some = row()
        values, _, bad = table.values_of(some, {0: result(5), 1: result(900, wrong="loss")})
        self.assertEqual((values, bad), ({0: 5}, False))
        values, _, bad = table.values_of(some, {1: result(900, wrong="loss")})
        self.assertEqual((values, bad), ({1: 900}, True))
        self.assertEqual(table.values_of(some, {}), ({}, set(), False))


class Summaries(unittest.TestCase):
    def test_the_ratio_is_of_what_stood_beside_each_other(self):
        """The machine was twice as slow in the second round, for both: the ratio knows nothing of it."""
        s = table.summarize(row(), of(coturn=(100, 200, 100), turnd=(80, 160, 90)))
        self.assertEqual(s["ratio"]["coturn"], {"median": 0.8, "min": 0.8, "max": 0.9})
        self.assertEqual(s["servers"]["turnd"], {"median": 90, "min": 80, "max": 160})

    def test_a_round_that_one_has_not(self):
        self.assertEqual(table.ratios({0: 1, 1: 6}, {1: 3, 2: 5}), [2])
        self.assertEqual(table.ratios({0: 1}, {0: 0}), [])

    def test_verdicts(self):
        most, least = table.Goal("coturn", 0.85), table.Goal("coturn", 3, True)
        for goal, values, word in ((most, [0.8, 0.85], "held"), (most, [0.8, 0.84, 0.9], "held?"), (most, [0.84, 0.86, 0.9], "missed?"),
                                   (most, [0.9, 1.0], "missed"), (least, [3, 4], "held"), (least, [2, 2.5], "missed"),
                                   (least, [2, 3.5, 4], "held?")):  # fmt: skip
            self.assertEqual(table.verdict(goal, table.spread(values)), word, (goal, values))
        self.assertIsNone(table.verdict(most, None))

    def test_a_goal_of_the_figure_itself(self):
        s = table.summarize(row(goals=(table.Goal("", 1024),)), of(turnd=(900, 1000), coturn=(23000,)))
        self.assertEqual(s["goals"][0]["verdict"], "held")

    def test_lower_bounds(self):
        """The generator was slower than turnd: the ratio is at least that. Where it was slower than the other one, there is none."""
        best = row(trial=table.relay("--find-rate"), figure=table.rate, more=True, bounded=True, goals=(table.Goal("coturn", 3, True),))
        bound = ("loss", "generator-limit")

        def known(rate, b):
            return result(1, rate=rate, bound=b)

        for coturn, turnd, text, word in ((known(10, bound[0]), known(40, bound[1]), ">4.00", "held"),
                                          (known(10, bound[0]), known(20, bound[1]), ">2.00", None),
                                          (known(10, bound[1]), known(40, bound[0]), "-", None)):  # fmt: skip
            s = table.summarize(best, {"coturn": {0: coturn}, "turnd": {0: turnd}})
            self.assertEqual(s["goals"][0]["verdict"], word)
            self.assertTrue(table.ratio_cell(s, "coturn").startswith(text), table.ratio_cell(s, "coturn"))

    def test_no_verdict_from_bad_trials(self):
        s = table.summarize(row(goals=(table.Goal("coturn", 1),)), of(turnd=(1,)) | {"coturn": {0: result(5, wrong="loss")}})
        self.assertEqual((s["bad"], s["goals"][0]["verdict"]), (["coturn"], None))
        self.assertIn("5.00!", table.text_table([s], ["coturn", "turnd"]))

    def test_what_the_floor_does_not_reach(self):
        some = row(goals=(table.Goal("coturn", 0.5),))
        for floor, turnd, words in (((60,), (70,), ["the floor is at 0.60 of coturn: nothing of its kind reaches this goal here"]),
                                    ((40,), (70,), []), ((60,), (45,), []), ((), (70,), [])):  # fmt: skip
            self.assertEqual(table.summarize(some, of(coturn=(100,), turnd=turnd, floor=floor))["notes"], words, (floor, turnd))

    def test_not_measured(self):
        s = table.summarize(row(goals=(table.Goal("coturn", 1),)), {"turnd": {}, "coturn": {}}, ["not measured: no root"])
        self.assertEqual((s["servers"]["turnd"], s["ratio"]["coturn"], s["goals"][0]["verdict"]), (None, None, None))
        self.assertIn("not measured: no root", table.text_table([s], ["coturn", "turnd"]))

    def test_two_workers(self):
        one, two = (table.summarize(r, of(turnd=(value,), coturn=(value,)))
                    for r, value in zip(table.worker_rows(False), (100, 110)))  # fmt: skip
        s = table.workers_summary([one, two])
        self.assertAlmostEqual(s["servers"]["turnd"]["median"], 200 / 110)
        self.assertEqual(s["goals"][0]["verdict"], "held")
        self.assertIsNone(table.workers_summary([one]))

    def test_the_table(self):
        s = table.summarize(row(goals=(table.Goal("coturn", 0.85), table.Goal("floor", 1.15))),
                            of(coturn=(4000, 4000), turnd=(3000, 3400), floor=(3000, 3000)), busy=0.3)  # fmt: skip
        head, line = table.text_table([s], ["coturn", "turnd", "floor"]).splitlines()
        self.assertRegex(head, r"coturn +turnd +floor +turnd/coturn +turnd/floor +unit")
        for words in ("some ~", "4,000", "3,200", "0.80 (0.75-0.85) <=0.85 held", "1.07 (1.00-1.13) <=1.15 held"):
            self.assertIn(words, line)


class Machine(unittest.TestCase):
    STAT = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 10 1 20 700 5 1 2 3 0 0\ncpu1 100 0 50 800 0 0 5 1 0 0\ncpu10 7 7 7 7 7 7 7 7 0 0\nintr 5\n"

    def test_only_the_cores_that_count(self):
        self.assertEqual(machine.parse_stat(self.STAT, [0, 1]), (34 + 155, 4))
        self.assertEqual(machine.parse_stat(self.STAT, [1]), (155, 1))

    def test_shares(self):
        """200 ticks of two cores in a second: 120 were ours, 40 of others, 10 stolen."""
        stolen, others = machine.shares((0, 0), (160, 10), 1.2, 1.0, 2, 100)
        self.assertAlmostEqual(stolen, 0.05)
        self.assertAlmostEqual(others, (1.6 - 1.2 - 0.02) / 2)
        self.assertEqual(machine.shares((0, 0), (100, 0), 1.5, 1.0, 2, 100), (0, 0))
        self.assertEqual(machine.shares((0, 0), (0, 0), 0, 0, 2, 100), (0, 0))

    def test_noise(self):
        self.assertFalse(machine.is_noisy(0.005, 0.04))
        self.assertTrue(machine.is_noisy(0.02, 0))
        self.assertTrue(machine.is_noisy(0, 0.06))

    def test_cores(self):
        self.assertEqual(machine.choose_cores({0, 1}, {}), ([1, 0], 0))
        self.assertEqual(machine.choose_cores({0, 1, 2, 3}, {0: [0, 1], 1: [0, 1], 2: [2, 3], 3: [2, 3]}), ([2, 0], 0))
        self.assertEqual(machine.choose_cores({4, 5, 6}, {}), ([5, 6], 4))
        with self.assertRaises(ValueError):
            machine.choose_cores({0, 1}, {0: [0, 1], 1: [0, 1]})

    def test_lists(self):
        self.assertEqual(machine.read_cpu_list("0-2,5\n"), [0, 1, 2, 5])
        self.assertEqual(machine.read_cpu_list("\n"), [])

    def test_what_a_socket_costs(self):
        self.assertEqual(machine.socket_bytes("UDP 1 2 1344 12 4 : x\nUDPv6 1 2 1472 1 1\nsock_inode_cache 1 2 832 1 1\nfilp 1 1 192 1\n"), 2368)
        self.assertIsNone(machine.socket_bytes(""))


class Signalling(unittest.TestCase):
    ROWS = signalling.Comparison(None).rows(False, None)

    def test_every_target_of_the_comparison_has_a_row(self):
        goals = {(r.group, g.limit, g.least) for r in self.ROWS for g in r.goals}
        self.assertEqual(goals, {("relay", 0.35, False), ("latency", 0.5, False), ("idle", 0.6, False), ("churn", 4, True)})
        self.assertTrue(all(g.against == "peerserver" for r in self.ROWS for g in r.goals))
        names = [table.name_of(r) for r in self.ROWS]
        self.assertEqual(len(names), len(set(names)))

    def test_each_transport_has_the_same_work(self):
        rates = {r.trial.args[r.trial.args.index("-r") + 1] for r in self.ROWS if r.group == "transports"}
        self.assertEqual(rates, {"20", "200", "2000"})
        self.assertEqual({r.trial.servers for r in self.ROWS if r.group == "transports"}, {signalling.TRANSPORTS})

    def test_the_time(self):
        """Under 12 minutes: the first round alone in any case, all that the rows want on a machine at rest."""
        comparison = signalling.Comparison(None)
        once = table.seconds_of(table.plan(self.ROWS, 1), comparison.names)
        self.assertLess(once, comparison.minutes * 60 / 2)
        self.assertLess(table.seconds_of(table.plan(self.ROWS, 3), comparison.names), comparison.minutes * 60)

    def test_figures(self):
        r = {"elapsed_ns": 2_000_000_000, "clients": 10, "server_ns": 30_000, "received": 10, "setup_memory": 70_000,
             "wire": {"packets_out": 3, "packets_in": 2, "bytes_out": 100, "bytes_in": 40}, "latency_ns": {"count": 0, "p50": 5}}  # fmt: skip
        self.assertEqual(signalling.cpu_us("server_ns", "received")(r), 3)
        self.assertEqual(signalling.a_second("received")(r), 5)
        self.assertEqual(signalling.memory_each(r), 7000)
        self.assertEqual(signalling.a_client_s_second(signalling.packets)(r), 0.25)
        self.assertEqual(signalling.wire_bytes(r), 140 + 5 * 52)
        self.assertIsNone(signalling.latency("p50", 1)(r), "nothing came")

    def test_two_tables(self):
        """One compares, the other has columns beside each other."""
        pair = table.summarize(row(goals=(table.Goal("peerserver", 0.5),)), of(peerserver=(100,), signald=(30,)), mine="signald")
        self.assertEqual(pair["goals"][0]["verdict"], "held")
        self.assertIn("signald/peerserver", table.text_table([pair], signalling.PAIR, "signald"))
        beside = table.summarize(row(), of(poll=(5,), longpoll=(4,), sse=(3,), websocket=(2,)), mine=None)
        self.assertEqual(beside["ratio"], {})
        self.assertRegex(table.text_table([beside], signalling.TRANSPORTS, None), r"^ +poll +longpoll +sse +websocket +unit\n")

    def test_commands(self):
        """What this signald has not is not asked of it, and PeerJS only of one that speaks it."""
        starter = signalling.Starter.__new__(signalling.Starter)
        starter.bin = pathlib.Path("/bin")
        place, trial = servers.Place([1], 0), signalling.signal("-n", 1)
        for words, protocol, url in (("--max-sessions", (), "http://127.0.0.1:5"),
                                     ("--max-sessions --peerjs-path", ("--protocol", "peerjs"), "http://127.0.0.1:5/peerjs")):  # fmt: skip
            starter.help = words
            server = starter.start_signald("signald", trial, place, 5)
            self.assertIn("--max-sessions=0", server.command)
            self.assertNotIn("--max-byte-rate=0", server.command)
            self.assertEqual((server.args, server.url + server.path), (protocol, url))
        self.assertEqual(starter.start_signald("sse", trial, place, 5).args, ("--transport", "sse"))


class Progress(unittest.TestCase):
    def at(self, elapsed_s, thought_s, again_s=0.0):
        p = bench_run.Progress(10)
        p.elapsed_s, p.thought_s, p.again_s = lambda: elapsed_s, thought_s, again_s
        return p

    def test_what_fits(self):
        self.assertTrue(self.at(100, 100).fits(500))
        self.assertFalse(self.at(101, 101).fits(500))
        self.assertFalse(self.at(200, 100).fits(201), "each takes twice what was thought")

    def test_repetitions_have_a_bound(self):
        self.assertTrue(self.at(100, 100).may_repeat(10))
        self.assertFalse(self.at(200, 100, again_s=55).may_repeat(10))
        self.assertFalse(self.at(595, 595).may_repeat(10))

    def test_the_better_of_two(self):
        good, bad, busy = (result(1), 0, 0), (result(1, wrong="loss"), 0, 0), (result(1), 0, 0.4)
        badness = functools.partial(bench_run.badness, table.relay("-n", 1))
        self.assertEqual(sorted([bad, busy, good], key=badness), [good, busy, bad])
        self.assertEqual(badness((result(1), 0.001, 0.01)), (False, False, 0), "a little is not noise")


class Charts(unittest.TestCase):
    ABOUT = {"machine": {"cpu": "A <B> & C", "kernel": "6"}, "date": "2026-01-01"}
    NAMES = {"svg": "{http://www.w3.org/2000/svg}"}

    def rows(self):
        values = of(coturn=(4000, 5000), turnd=(2000, 3500), floor=(2000,))
        for group, unit in (("cpu", "CPU ns/packet"), ("latency", "us"), ("memory", "bytes")):
            yield table.summarize(row(label=f"<{group}>", unit=unit, group=group, goals=(table.Goal("coturn", 0.6),)), values)

    def test_all_are_well_formed(self):
        files = chart.all_of(list(self.rows()), self.ABOUT)
        self.assertEqual(set(files), set(chart.CHARTS["relay"]))
        for svg in files.values():
            root = xml.etree.ElementTree.fromstring(svg)
            texts = "".join(root.itertext())
            self.assertIn("A <B> & C", texts)
            self.assertIn("prefers-color-scheme:dark", texts)
        goals = [e for e in xml.etree.ElementTree.fromstring(files["relay"]).iter() if e.get("class") == "goal"]
        self.assertEqual(len(goals), 3)

    def test_transports_stand_beside_each_other(self):
        """In powers of ten where they are far apart."""
        values = {name: {0: result(value)} for name, value in zip(signalling.TRANSPORTS, (500_000, 2000, 700, 90))}
        rows = [table.summarize(row(label="1 message/s", unit=unit, group="transports", figure=figure), values, mine=None)
                for unit, figure in (("p50, ms", table.cpu), ("requests/s", lambda r: 2))]  # fmt: skip
        files = chart.all_of(rows, self.ABOUT, "signal")
        self.assertEqual(set(files), {"transports"})
        texts = list(xml.etree.ElementTree.fromstring(files["transports"]).itertext())
        for words in ("p50, ms (powers of ten)", "requests/s", "500,000", "90", "longpoll"):
            self.assertIn(words, texts)
        self.assertEqual(texts.count("1 message/s"), 2)

    def test_powers_of_ten(self):
        marks, at = chart.wide_scale_of(0.2, 500)
        self.assertEqual(marks, [0.1, 1, 10, 100, 1000])
        self.assertAlmostEqual(at(0.1), chart.LEFT)
        self.assertAlmostEqual(at(0), chart.LEFT, "nothing is the least there is")
        self.assertAlmostEqual(at(10), chart.LEFT + chart.WIDTH / 2)

    def test_without_a_figure_there_is_none(self):
        nothing = table.summarize(row(), {"coturn": {}, "turnd": {}})
        zero = table.summarize(row(), of(coturn=(5,), turnd=(0,)))
        self.assertEqual(chart.all_of([nothing], self.ABOUT), {})
        self.assertNotIn("relay", chart.all_of([zero], self.ABOUT), "a logarithm of nothing")

    def test_places(self):
        self.assertAlmostEqual(chart.place(0.25, 0.25, 4), chart.LEFT)
        self.assertAlmostEqual(chart.place(1, 0.25, 4), chart.LEFT + chart.WIDTH / 2)
        self.assertAlmostEqual(chart.place(0.001, 0.25, 4), chart.LEFT)

    def test_steps(self):
        self.assertEqual(chart.nice_steps(6600), [0, 1000, 2000, 3000, 4000, 5000, 6000, 7000])
        self.assertEqual(chart.nice_steps(0), [0, 1])
        for most in (0.003, 1, 7, 99, 12345):
            steps = chart.nice_steps(most)
            self.assertTrue(4 <= len(steps) <= 9 and steps[-1] >= most, (most, steps))


if __name__ == "__main__":
    unittest.main()
