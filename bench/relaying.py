"""bench/run relay: viaduct-turnd beside coturn and the floor. The rows stand in table.py, the servers in servers.py."""

import os
import pathlib

import servers
import table

PION = pathlib.Path(__file__).resolve().parent / "pion"


class Comparison:
    name, minutes, quick_minutes = "relay", 28, 2

    def __init__(self, args):
        self.pion = args.pion
        self.names = [*table.THREE, *(["pion"] if args.pion else [])]
        self.tables = ((self.names, "turnd"),)

    def rows(self, quick, pattern):
        return table.rows(quick, pattern)

    def prepare(self, run_setup):
        # Where nobody is root, what is there has to do: the rows that lack something say so.
        return run_setup("", "--bench" if os.geteuid() == 0 or not servers.coturn_here() else "")

    def missing(self):
        return None if servers.coturn_here() else "coturn is missing, which this compares with: scripts/setup --bench installs it"

    def starter(self, programs):
        starter = servers.Starter(programs)
        if self.pion:
            starter.pion = servers.build_pion(PION, starter.folder)
        return starter

    def servers_of(self, trial):
        with_pion = trial.servers + (("pion",) if self.pion and trial.place == "loopback" else ())
        return [name for name in with_pion if name in self.names]

    def more_summaries(self, summaries):
        workers = table.workers_summary(summaries)
        return [workers] if workers else []

    def notes(self, _starter):
        return []
