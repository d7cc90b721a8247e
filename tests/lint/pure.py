#!/usr/bin/python3
"""base/ and every core/ are pure: this reads the symbols of their archives and names what is not.

    pure.py --nm nm --allow pure-symbols.txt lib/libviaduct_base.a lib/libviaduct_turn_core.a ...

Two rules. What all archives together need from outside must stand in the list of allowed symbols, with the reason why it is pure.
And no symbol of data may be writable when the program runs (.data, .bss, thread-local or common); tables of constant pointers, which
the loader fills in and then write-protects (.data.rel.ro), are allowed.
"""
import argparse
import collections
import os
import re
import subprocess
import sys

Symbol = collections.namedtuple("Symbol", "archive member name kind section")


def read_symbols(nm, archive):
    run = subprocess.run([nm, "--format=sysv", archive], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"pure: {nm} cannot read {archive}: {run.stderr.strip()}")
    member, symbols = "?", []
    for line in run.stdout.splitlines():
        heading = re.match(r"(?:Symbols|Undefined symbols) from .*\[(.*)\]:", line)
        if heading:
            member = heading[1]
        field = [f.strip() for f in line.split("|")]
        if len(field) == 7 and field[0] != "Name":
            symbols.append(Symbol(os.path.basename(archive), member, field[0], field[2], field[6]))
    if not any(s.kind == "T" for s in symbols):
        sys.exit(f"pure: {archive} defines no function at all: this check would prove nothing")
    return symbols


def read_allowed(path):
    allowed = {}
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            name, _, reason = (part.strip() for part in line.partition("#"))
            if name and not reason:
                sys.exit(f"{path}:{number}: say behind a '#' why '{name}' is pure")
            if name:
                allowed[name] = reason
    return allowed


def is_mutable(symbol):
    """Kinds as nm names them: bss, data, small bss and data, common, unique; thread-local ones show as b and d. The section decides
    for weak objects, and excuses what is write-protected."""
    if symbol.section.startswith(".data.rel.ro"):
        return False
    return symbol.kind in "bBdDsSgGCu" or re.match(r"\.(data|bss|tdata|tbss|sdata|sbss)\b", symbol.section) is not None


def faults(symbols, allowed):
    defined = {s.name for s in symbols if s.kind not in "Uwv"}
    missing = collections.defaultdict(set)
    for s in symbols:
        if s.kind in "Uwv" and s.name not in defined and s.name not in allowed:
            missing[s.name].add(f"{s.archive}({s.member})")
    for name, users in sorted(missing.items()):
        yield f"'{name}' comes from outside, and is not known to be pure: used by {', '.join(sorted(users))}"
    for s in symbols:
        if is_mutable(s):
            yield f"'{s.name}' is mutable data ({s.section or s.kind}) in {s.archive}({s.member}): hand the state in instead"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--allow", required=True)
    parser.add_argument("archive", nargs="+")
    options = parser.parse_args()
    symbols = [s for a in options.archive for s in read_symbols(options.nm, a)]
    found = list(faults(symbols, read_allowed(options.allow)))
    for fault in found:
        print(f"pure: {fault}")
    print(f"pure: {len(options.archive)} archives, {len(symbols)} symbols, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
