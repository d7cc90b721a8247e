#!/usr/bin/python3
"""Every test that docs/conformance.md names exists, and every requirement there has one or says why not.

    conformance.py [--root FOLDER]

Tests are named as ctest names them (`scenario/turn-binding`, `unit/stun-frame`, `fuzz/stun_frame`), a hostile vector as
`hostile/NAME`, a method of a process test as `process/turnd:test_tcp_ipv6`. A row without a test begins its last cell with "none: "
and the reason. Every scenario of the relay has to be named somewhere, so that a table that lags behind is noticed.
"""
import argparse
import glob
import os
import re
import sys

import source

DOCUMENT = "docs/conformance.md"
FORMS = {
    "scenario": lambda name: [f"tests/scenario/{name.replace('-', '/', 1)}.scn"],
    "unit": lambda name: [f"tests/unit/{name.replace('-', '/test_', 1)}.c"],
    "vector": lambda name: [f"tests/vectors/test_{name.replace('stun-', '')}.c"],
    "hostile": lambda name: [f"tests/vectors/hostile/{name}.hex"],
    "fuzz": lambda name: [f"tests/fuzz/{name}.c"],
    "fault": lambda name: [f"tests/fault/{name}.c"],
    "process": lambda name: [f"tests/process/test_{name}.py", f"tests/process/net/test_{name.replace('net-', '')}.c"],
    "interop": lambda name: [f"tests/interop/test_{name}.py"],
    "browser": lambda name: [f"tests/browser/{name}.test.mjs"],
}
_TEST = re.compile(r"`(\w+)/([\w-]+)(?::(\w+))?`")


def find(root, kind, name):
    """The path of the test, or None."""
    for path in FORMS[kind](name):
        if os.path.isfile(os.path.join(root, path)):
            return path
    return None


def check_row(root, cells, named):
    tests = _TEST.findall(cells[-1])
    if not tests and not re.match(r"none: \w", cells[-1]):
        yield "a requirement without a test; name one, or say 'none: ' and why"
    for kind, name, method in tests:
        path = find(root, kind, name) if kind in FORMS else None
        named.add(path)
        if path is None:
            yield f"{kind}/{name} does not exist"
        elif method and not re.search(rf"\b{method}\b", source.read(root, path)):
            yield f"{path} has no {method}"


def rows(text):
    """Number and cells of each row below the head of a table."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("| ") and not line.startswith("| requirement"):
            yield number, [cell.strip() for cell in line.strip("|\r ").split(" | ")]


def check(root):
    named, count = set(), 0
    for number, cells in rows(source.read(root, DOCUMENT)):
        count += 1
        if len(cells) != 3:
            yield f"{DOCUMENT}:{number}: requirement | section | test, not {len(cells)} cells"
            continue
        for fault in check_row(root, cells, named):
            yield f"{DOCUMENT}:{number}: {fault}"
    if not count:
        yield f"{DOCUMENT}: no row, so this proves nothing"
    for path in sorted(glob.glob("tests/scenario/turn/*.scn", root_dir=root)):
        if path not in named:
            yield f"{DOCUMENT}: {path} is in no row; add it where it belongs"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=source.ROOT)
    faults = list(check(parser.parse_args().root))
    for fault in faults:
        print(f"conformance: {fault}")
    print(f"conformance: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
