#!/usr/bin/python3
"""Every C file of the project is as clang-format (of Debian 12, by the .clang-format of the top level) writes it.

    c_format.py [--root FOLDER]
"""
import argparse
import os
import re
import subprocess
import sys

import source


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=source.ROOT)
    root = parser.parse_args().root
    paths = source.files(root, ".c", ".h")
    if not paths:
        print("format: no C file found: this check would prove nothing")
        return 1
    try:
        run = subprocess.run(["clang-format", "--style=file", "--dry-run", "-Werror"] + paths, cwd=root, capture_output=True, text=True,
                             check=False)
    except FileNotFoundError:
        print("format: clang-format is not installed; scripts/setup --test installs it")
        return 1
    wrong = sorted(set(re.findall(r"^(\S[^:\n]*):\d+:\d+: (?:error|warning):", run.stderr, re.M)))
    for path in wrong:
        line = re.search(rf"^{re.escape(path)}:(\d+):", run.stderr, re.M)[1]
        print(f"format: {path}:{line} is not formatted; mend it with: clang-format -i {path}")
    if run.returncode != 0 and not wrong:
        print(run.stderr)
    print(f"format: {len(paths)} files, {len(wrong)} to be formatted")
    return 0 if run.returncode == 0 else 1


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    sys.exit(main())
