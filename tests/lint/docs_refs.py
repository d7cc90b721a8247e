#!/usr/bin/python3
"""What the documents name exists: files, folders, links, and functions in the files that are said to hold them.

    docs_refs.py [--root FOLDER]

Checked in every .md file: links to files, `folder/file.c` and `folder/file.c:function` wherever they stand, and in backticks also
folders and files without an ending (`scripts/run`, `turn/core/`). A path counts from the top level or from the document's own folder.
"""
import argparse
import glob
import os
import re
import sys

import source

ENDINGS = "c h def py sh md js mjs css html json txt scn cmake in conf hex png service".split()
GENERATED = ("build/",)
_PATH = re.compile(r"(?<![\w./<>~-])((?:[\w.*-]+/)+[\w.*-]+\.(?:%s))(?::(\w+))?(?![\w/])" % "|".join(ENDINGS))
_QUOTED = re.compile(r"`([\w.*-]+(?:/[\w.*-]+)*/?)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def resolve(root, document, path):
    """The first file or folder that the text can mean, or None; '*' stands for any name."""
    for base in ("", os.path.dirname(document)):
        for found in sorted(glob.glob(os.path.join(root, base, path))):
            if not path.endswith("/") or os.path.isdir(found):
                return found
    return None


def has_function(path, name):
    """Whether the file defines it: a function of C, else (macros, types, declarations, other languages) the word outside comments."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if name.isdigit():
        return int(name) <= text.count("\n")
    if not path.endswith(".c"):
        return re.search(rf"\b{name}\b", source.blank(text) if path.endswith(".h") else text) is not None
    return any(f.name == name for f in source.functions(text)) or \
        re.search(rf"(#\s*define|struct|union|enum)\s+{name}\b", source.blank(text)) is not None


def check(root, document):
    tops = set(os.listdir(root))
    in_comment = re.compile(r"<!--.*?-->", re.S)
    for number, line in enumerate(in_comment.sub("", source.read(root, document)).split("\n"), 1):
        where = f"{document}:{number}"
        for target in _LINK.findall(line):
            path = target.split("#")[0]
            if path and not re.match(r"[a-z]+:", path) and not os.path.exists(os.path.join(root, os.path.dirname(document), path)):
                yield f"{where}: the link to {target} leads nowhere"
        line = re.sub(r"[a-z]+://\S+|\]\([^)]*\)", "", line)
        for path, function in _PATH.findall(line):
            if path.startswith(GENERATED):
                continue
            found = resolve(root, document, path)
            if not found:
                yield f"{where}: {path} does not exist"
            elif function and not has_function(found, function):
                yield f"{where}: {path} does not define {function}"
        for path in _QUOTED.findall(line):
            # Only what begins like a path of this project: many things in backticks have a slash.
            is_ours = path.split("/")[0] in tops and "/" in path and not path.startswith(GENERATED) and not _PATH.fullmatch(path)
            if is_ours and not resolve(root, document, path):
                yield f"{where}: {path} does not exist"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=source.ROOT)
    root = parser.parse_args().root
    documents = source.files(root, ".md")
    found = [fault for document in documents for fault in check(root, document)]
    if not documents:
        found.append("no document found: this check would prove nothing")
    for fault in found:
        print(f"docs: {fault}")
    print(f"docs: {len(documents)} documents, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
