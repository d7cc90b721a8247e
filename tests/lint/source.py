"""What the checks of this folder share: the files of the project, and just enough C to find functions, their parameters and how deep
they nest. Not a compiler: the compiler's warnings do the rest.
"""
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED_FOLDERS = {"build", "node_modules", ".git"}


def files(root, *suffixes):
    """Paths relative to `root`, sorted: what git tracks, or everything where there is no git (an unpacked archive)."""
    run = subprocess.run(["git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z"], capture_output=True, check=False)
    if run.returncode == 0:
        found = [p for p in run.stdout.decode().split("\0") if p and os.path.isfile(os.path.join(root, p))]
    else:
        found = []
        for folder, folders, names in os.walk(root):
            folders[:] = [f for f in folders if f not in SKIPPED_FOLDERS]
            found += [os.path.relpath(os.path.join(folder, n), root) for n in names]
    return sorted(p for p in found if p.endswith(suffixes))


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


_BLANKED = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(text):
    """Comments become spaces, strings and characters become "" and ''; the lines stay where they are."""
    def replace(m):
        s = m.group(0)
        return s[0] * 2 if s[0] in "\"'" else re.sub(r"[^\n]", " ", s)
    return _BLANKED.sub(replace, text)


def without_directives(blanked):
    """Directives become empty lines, and so does all but the first branch of an #if, so that the braces balance."""
    out, kept, directive = [], [], False  # kept: for each open #if, whether this branch is kept, and whether one was
    for line in blanked.split("\n"):
        word = None if directive else re.match(r"\s*#\s*(\w+)\s*(\w*)", line)
        if word and word[1].startswith("if"):
            keep = (word[1], word[2]) != ("if", "0")
            kept.append((keep, keep))
        elif word and word[1] in ("elif", "else") and kept:
            kept[-1] = (not kept[-1][1], True)
        elif word and word[1] == "endif" and kept:
            kept.pop()
        is_code = not word and not directive and all(k for k, _ in kept)
        directive = bool(word or directive) and line.endswith("\\")
        out.append(line if is_code else "")
    return "\n".join(out)


class Function:
    def __init__(self, name, line, lines, parameters, nesting):
        self.name, self.line, self.lines, self.parameters, self.nesting = name, line, lines, parameters, nesting


class Unbalanced(Exception):
    """Brackets that do not match: this parser cannot judge the file."""


_TOKEN = re.compile(r"[A-Za-z_]\w*|[0-9][\w.]*|\S")
_PAIRS = {"(": ")", "[": "]", "{": "}"}


class _Parser:
    def __init__(self, text):
        self.tokens, self.line_of = [], []
        for number, line in enumerate(text.split("\n"), 1):
            for m in _TOKEN.finditer(line):
                self.tokens.append(m.group(0))
                self.line_of.append(number)
        self.match = {}
        stack = []
        for i, t in enumerate(self.tokens):
            if t in _PAIRS:
                stack.append(i)
            elif t in _PAIRS.values():
                if not stack or _PAIRS[self.tokens[stack[-1]]] != t:
                    raise Unbalanced(f"line {self.line_of[i]}: '{t}' closes nothing")
                self.match[stack[-1]] = i
                self.match[i] = stack.pop()
        if stack:
            raise Unbalanced(f"line {self.line_of[stack[-1]]}: '{self.tokens[stack[-1]]}' is never closed")

    def at(self, i):
        return self.tokens[i] if i < len(self.tokens) else ""

    def functions(self):
        i = 0
        while i < len(self.tokens):
            if self.tokens[i] != "{":
                i = self.match[i] + 1 if self.tokens[i] in "([" else i + 1
                continue
            end = self.match[i]
            if i > 0 and self.tokens[i - 1] == ")" and self.match[i - 1] > 0:
                yield self.function(self.match[i - 1], i, end)
            i = end + 1

    def function(self, opening, body, end):
        self.deepest = 0
        self.block(body, 1)
        start = self.line_of[opening - 1]
        return Function(self.tokens[opening - 1], start, self.line_of[end] - start + 1, self.parameters(opening), self.deepest)

    def parameters(self, opening):
        end, i, commas = self.match[opening], opening + 1, 0
        if self.tokens[i:end] in ([], ["void"]):
            return 0
        while i < end:
            if self.tokens[i] in _PAIRS:
                i = self.match[i]
            elif self.tokens[i] == ",":
                commas += 1
            i += 1
        return commas + 1

    def block(self, opening, depth):
        """The statements between braces; `depth` is 1 in a function's body. Returns what stands behind."""
        i, end = opening + 1, self.match[opening]
        while i < end:
            i = self.statement(i, depth)
        return end + 1

    def statement(self, i, depth):
        self.deepest = max(self.deepest, depth)
        t = self.at(i)
        if t == "{":
            return self.block(i, depth)
        if t == "if":
            return self.if_else(i, depth)
        if t == "do":
            return self.simple(self.statement(i + 1, depth + 1))
        if t in ("for", "while", "switch"):
            return self.statement(self.match[i + 1] + 1, depth + 1)
        if t in ("case", "default") or self.at(i + 1) == ":":
            i = self.label(i)
            return i if self.at(i) == "}" else self.statement(i, depth)
        if re.match(r"[A-Za-z_]", t) and self.at(i + 1) == "(" and self.at(self.match[i + 1] + 1) == "{":
            return self.statement(self.match[i + 1] + 1, depth + 1)  # a macro that loops
        return self.simple(i)

    def if_else(self, i, depth):
        i = self.statement(self.match[i + 1] + 1, depth + 1)
        if self.at(i) != "else":
            return i
        # "else if" goes on with the same choice.
        return self.if_else(i + 1, depth) if self.at(i + 1) == "if" else self.statement(i + 1, depth + 1)

    def label(self, i):
        while self.tokens[i] != ":":
            i = self.match[i] + 1 if self.tokens[i] in _PAIRS else i + 1
        return i + 1

    def simple(self, i):
        """Up to and with the ";" of an expression or a declaration; braces in it are initialisers."""
        while i < len(self.tokens) and self.tokens[i] not in (";", "}"):
            i = self.match[i] + 1 if self.tokens[i] in _PAIRS else i + 1
        return i + 1 if self.at(i) == ";" else i


def functions(text):
    """Every function that a C file defines. Raises Unbalanced."""
    return list(_Parser(without_directives(blank(text))).functions())
