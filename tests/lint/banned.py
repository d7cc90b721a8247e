#!/usr/bin/python3
"""The house rules that no compiler checks: banned functions, and the sizes of functions and files. The rules are the tables below.

    banned.py [--root FOLDER] [--exceptions FILE]

A rule that is better broken has a line in exceptions.txt that says why; a line that excuses nothing any more is a fault too.
"""
import argparse
import os
import re
import sys

import source

UNSAFE = {
    "strcpy": "buf_put", "strcat": "buf_put", "stpcpy": "buf_put", "sprintf": "snprintf", "vsprintf": "vsnprintf",
    "strtok": "a view that shrinks", "strtok_r": "a view that shrinks", "gets": "a bounded read", "atoi": "parse_uint",
    "atol": "parse_uint", "atoll": "parse_uint", "atof": "parse_uint", "alloca": "base/mem",
}
IMPURE = {name: mend for mend, names in {
    "base/mem": "malloc calloc realloc reallocarray free strdup strndup aligned_alloc posix_memalign asprintf vasprintf",
    "the now that the caller hands in": "time clock clock_gettime gettimeofday times localtime gmtime",
    "struct random": "rand srand rand_r random srandom drand48 getrandom getentropy RAND_bytes",
    "base/log, or a text for the caller": "printf fprintf vprintf vfprintf dprintf puts fputs putchar fputc putc fwrite perror",
    "an error number": "exit _exit abort assert",
    "an argument": "getenv secure_getenv",
}.items() for name in names.split()}

FUNCTION_LINES, NESTING, PARAMETERS = 80, 5, 6  # a function's body is nesting 1
FILE_LINES = {".c": 600, ".h": 250}


def is_pure_folder(path):
    return path.startswith("base/") or "core" in path.split("/")[:-1] and not path.startswith("tests/")


def banned_calls(path, blanked):
    banned = dict(UNSAFE, **IMPURE) if is_pure_folder(path) else UNSAFE
    for number, line in enumerate(blanked.split("\n"), 1):
        # A member that happens to have the name of a function (m->free(...)) is none.
        for m in re.finditer(r"(?<![\w.>])(\w+)\s*\(", line):
            if m[1] in banned:
                yield "call", m[1], f"{path}:{number}: {m[1]}() is banned here; use {banned[m[1]]}"


def too_large(path, text):
    limit = FILE_LINES[os.path.splitext(path)[1]]
    lines = text.count("\n")
    if lines > limit:
        yield "file", "", f"{path}: {lines} lines, at most {limit}: split it by topic"
    for f in source.functions(text):
        for rule, value, most, mend in (("lines", f.lines, FUNCTION_LINES, "name its parts as functions"),
                                        ("nesting", f.nesting, NESTING, "return early, or make the inner part a function"),
                                        ("parameters", f.parameters, PARAMETERS, "group them in a struct")):
            if value > most:
                yield rule, f.name, f"{path}:{f.line}: {f.name} has {rule} {value}, at most {most}: {mend}"


def check(path, text):
    """Yields (rule, function, message)."""
    yield from banned_calls(path, source.blank(text))
    try:
        yield from too_large(path, text)
    except source.Unbalanced as problem:
        yield "balance", "", f"{path}: cannot be checked, {problem}"


def read_exceptions(path):
    """Lines of "rule path[:function]  # why"."""
    found = {}
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            rest, _, reason = (part.strip() for part in line.partition("#"))
            if not rest:
                continue
            if len(rest.split()) != 2 or not reason:
                sys.exit(f"{path}:{number}: an exception is 'rule path[:function]  # why'")
            found[tuple(rest.split())] = number
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=source.ROOT)
    parser.add_argument("--exceptions", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "exceptions.txt"))
    options = parser.parse_args()
    exceptions = read_exceptions(options.exceptions)
    unused, faults = dict(exceptions), 0
    paths = source.files(options.root, ".c", ".h")
    for path in paths:
        for rule, function, message in check(path, source.read(options.root, path)):
            key = (rule, f"{path}:{function}" if function else path)
            unused.pop(key, None)
            if key not in exceptions:
                print(f"banned: {message}")
                faults += 1
    for (rule, where), number in unused.items():
        print(f"banned: {options.exceptions}:{number}: '{rule} {where}' excuses nothing any more; delete the line")
        faults += 1
    if not paths:
        print("banned: no C file found: this check would prove nothing")
        faults += 1
    print(f"banned: {len(paths)} files, {len(exceptions)} exceptions, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
