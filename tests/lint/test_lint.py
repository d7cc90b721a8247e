#!/usr/bin/python3
"""Each check of this folder finds the fault that it is for, and lets pass what is right.

    test_lint.py [-v] [pure|banned|format|docs|conformance]

CC, AR and NM name the tools of the build that is tested.
"""
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

import banned
import c_format
import conformance
import docs_refs
import pure

HERE = os.path.dirname(os.path.abspath(__file__))
CC, AR, NM = (os.environ.get(name, tool) for name, tool in (("CC", "cc"), ("AR", "ar"), ("NM", "nm")))


class Lint(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="viaduct-lint-")
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def run_check(self, check, *arguments):
        """Its exit status and what it printed; in this process, since a hundred Pythons take their time."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), unittest.mock.patch.object(sys, "argv", [check.__name__, *arguments]):
            try:
                status = check.main()
            except SystemExit as end:
                status = 1 if isinstance(end.code, str) else end.code
                printed.write(str(end.code))
        return status, printed.getvalue()

    def assert_passes(self, result):
        self.assertEqual(result[0], 0, result[1])

    def assert_fails(self, result, *words):
        self.assertEqual(result[0], 1, result[1])
        for word in words:
            self.assertIn(word, result[1])


class Pure(Lint):
    def check(self, text, allowed="memcpy  # memory to memory\n", other=None):
        archives = []
        for name, source in (("part", text), ("other", other)):
            if source is None:
                continue
            self.write(f"{name}.c", source)
            # Position independent, as in the build of a daemon, so that constant tables need the loader.
            subprocess.run([CC, "-O1", "-fPIE", "-c", f"{name}.c", "-o", f"{name}.o"], cwd=self.root, check=True)
            subprocess.run([AR, "rcs", f"lib{name}.a", f"{name}.o"], cwd=self.root, check=True)
            archives.append(os.path.join(self.root, f"lib{name}.a"))
        return self.run_check(pure, "--nm", NM, "--allow", self.write("allowed.txt", allowed), *archives)

    def test_pure_code_and_constant_tables_pass(self):
        self.assert_passes(self.check("""
            #include <string.h>
            static const char *const word[] = {"a", "b"};
            static const int number[] = {1, 2};
            const char *of(unsigned i, void *to, const void *from, size_t len)
            { memcpy(to, from, len); return number[i & 1] ? word[i & 1] : 0; }"""))

    def test_what_another_archive_defines_is_no_fault(self):
        calls = "int other(void); int f(void) { return other(); }"
        self.assert_fails(self.check(calls), "'other'", "part.o")
        self.assert_passes(self.check(calls, other="int other(void) { return 1; }"))

    def test_the_clock(self):
        self.assert_fails(self.check("#include <time.h>\ntime_t f(void) { return time(0); }"), "'time'", "libpart.a(part.o)")

    def test_the_heap(self):
        self.assert_fails(self.check("#include <stdlib.h>\nvoid *f(void) { return malloc(9); }"), "'malloc'")

    def test_weak_calls(self):
        self.assert_fails(self.check("__attribute__((weak)) int getpid(void); int f(void) { return getpid(); }"), "'getpid'")

    def test_mutable_data(self):
        for data, name in (("int counter;", "counter"), ("static int counter = 7;", "counter"),
                           ("_Thread_local int counter;", "counter"), ("static const char *words[] = {\"a\", \"b\"};", "words"),
                           ("__attribute__((weak)) int counter = 7;", "counter")):
            use = f"const void *f(void) {{ return (char *)&{name} + 1; }}"
            self.assert_fails(self.check(f"{data}\n{use}"), f"'{name}' is mutable data")

    def test_a_static_local(self):
        self.assert_fails(self.check("int f(void) { static int calls; return ++calls; }"), "mutable data")

    def test_a_common_symbol(self):
        self.write("common.c", "int counter; int f(void) { return ++counter; }")
        subprocess.run([CC, "-fcommon", "-c", "common.c"], cwd=self.root, check=True)
        subprocess.run([AR, "rcs", "libcommon.a", "common.o"], cwd=self.root, check=True)
        allowed = self.write("allowed.txt", "")
        self.assert_fails(self.run_check(pure, "--nm", NM, "--allow", allowed, os.path.join(self.root, "libcommon.a")), "'counter'")

    def test_an_empty_archive_proves_nothing(self):
        self.assert_fails(self.check("typedef int nothing;"), "prove nothing")

    def test_an_allowance_needs_its_reason(self):
        self.assert_fails(self.check("int f(void) { return 1; }", allowed="memcpy\n"), "why 'memcpy' is pure")


class Banned(Lint):
    def check(self, path, text, exceptions=""):
        self.write(path, text)
        return self.run_check(banned, "--root", self.root, "--exceptions", self.write("exceptions.txt", exceptions))

    def test_what_is_allowed_passes(self):
        self.assert_passes(self.check("base/a.c", """
            // strcpy(a, b) in a comment, /* and malloc(1) in another */
            const char *text = "strcpy(a, b); malloc(9)";
            struct random random_seeded(int seed);
            void f(struct mem *m) { m->free(m->arg); snprintf(b, 1, "{("); m->now.time(1); }
            """))
        self.assert_passes(self.check("net/a.c", "void *f(void) { return malloc(time(0)); }\n"))
        self.assert_passes(self.check("tests/unit/core/a.c", "void *f(void) { return malloc(9); }\n"))

    def test_unsafe_functions_everywhere(self):
        for name in ("strcpy", "strcat", "sprintf", "vsprintf", "strtok", "gets", "atoi", "alloca"):
            for path in ("net/a.c", "tests/unit/a.c", "base/a.h"):
                self.assert_fails(self.check(path, f"\nvoid f(void) {{ {name} (a); }}\n"), f"{path}:2: {name}()")
                os.remove(os.path.join(self.root, path))

    def test_impure_functions_in_base_and_core(self):
        for name in ("malloc", "calloc", "realloc", "free", "time", "clock", "rand", "printf", "fprintf", "puts", "getenv", "exit"):
            for path in ("base/a.c", "turn/core/a.c", "signal/core/deep/a.c"):
                self.assert_fails(self.check(path, f"void f(void) {{ x = !{name}(a); }}\n"), f"{path}:1: {name}()")
                os.remove(os.path.join(self.root, path))

    def test_long_functions(self):
        body = "  x();\n"
        self.assert_passes(self.check("net/a.c", "int f(void)\n{\n" + 77 * body + "}\n"))
        self.assert_fails(self.check("net/a.c", "int f(void)\n{\n" + 78 * body + "}\n"), "net/a.c:1: f has lines 81")

    def test_nesting(self):
        for control in ("if (a)", "if (a) b(); else {", "while (a)", "for (;;)", "do", "list_for_each(a, b) {", "switch (a) case 1:"):
            closing = "}" if control.endswith("{") else ""
            tail = " while (b);" if control == "do" else ""
            outer = "int f(void) { %s }\n" % ("if (x) { " * 3 + "%s" + "}" * 3)
            self.assert_passes(self.check("net/a.c", outer % f"{control} y();{closing}{tail}"))
            self.assert_fails(self.check("net/a.c", outer % f"{control} if (z) y();{closing}{tail}"), "f has nesting 6")

    def test_else_if_and_initialisers_do_not_nest(self):
        chain = " else ".join("if (a) { b(); }" for _ in range(9))
        self.assert_passes(self.check("net/a.c", "int f(void)\n{\nstruct x x = {{{{{{{1}}}}}}};\ng((struct x){.a = {{{{1}}}}});\n%s\n}\n"
                                      % chain))

    def test_the_second_branch_of_an_if_is_left_out(self):
        self.assert_passes(self.check("net/a.c", "#if A\nint f(void) {\n#else\nint f(int a) {\n#endif\n}\n"))
        self.assert_fails(self.check("net/a.c", "#if 0\nint f(void) {\n#else\nint f(int a,int b,int c,int d,int e,int g,int h) {\n"
                                     "#endif\n}\n"), "parameters 7")

    def test_parameters(self):
        self.assert_passes(self.check("net/a.c", "int f(int a, int b, int (*c)(int, int), int d, int e, int g)\n{\n}\n"))
        self.assert_fails(self.check("net/a.c", "int f(int a, int b, int c, int d, int e, int g, int h)\n{\n}\n"), "f has parameters 7")

    def test_long_files(self):
        self.assert_passes(self.check("net/a.c", 600 * "\n"))
        self.assert_fails(self.check("net/a.c", 601 * "\n"), "net/a.c: 601 lines")
        os.remove(os.path.join(self.root, "net/a.c"))
        self.assert_passes(self.check("net/a.h", 250 * "\n"))
        self.assert_fails(self.check("net/a.h", 251 * "\n"), "net/a.h: 251 lines")

    def test_unbalanced_braces_are_no_way_out(self):
        self.assert_fails(self.check("net/a.c", "int f(void)\n{\n"), "cannot be checked", "never closed")

    def test_exceptions(self):
        long = 601 * "\n"
        self.assert_passes(self.check("net/a.c", long, "file net/a.c  # a table\n"))
        self.assert_fails(self.check("net/a.c", long, "file net/b.c  # a table\n"), "net/a.c: 601 lines", "excuses nothing any more")
        self.assert_fails(self.check("net/a.c", long, "file net/a.c\n"), "# why")
        seven = "int f(int a, int b, int c, int d, int e, int g, int h)\n{\n}\n"
        self.assert_passes(self.check("net/a.c", seven, "parameters net/a.c:f  # given\n"))

    def test_nothing_found_proves_nothing(self):
        self.assert_fails(self.check("notes.txt", "x"), "prove nothing")


class Format(Lint):
    def check(self, text):
        with open(os.path.join(HERE, "..", "..", ".clang-format"), encoding="utf-8") as f:
            self.write(".clang-format", f.read())
        self.write("net/a.c", text)
        return self.run_check(c_format, "--root", self.root)

    def test_formatted_and_not(self):
        self.assert_passes(self.check("int f(void)\n{\n  return 1;\n}\n"))
        self.assert_fails(self.check("int f(void)\n{\n    return  1;\n}\n"), "net/a.c:2", "clang-format -i net/a.c")

    def test_nothing_found_proves_nothing(self):
        self.assert_fails(self.run_check(c_format, "--root", self.root), "prove nothing")


class Docs(Lint):
    def check(self, text, document="README.md"):
        self.write("turn/core/input.c", "/* gone(); */\n#define TURN_MACRO 1\nstatic int turn_input(int a)\n{\n  return called(a);\n}\n")
        self.write("turn/core/turn.h", "int turn_begin(void);\n")
        self.write("scripts/run", "")
        self.write(document, text + "\n")
        return self.run_check(docs_refs, "--root", self.root)

    def test_what_exists_passes(self):
        self.assert_passes(self.check("""`turn/core/input.c:turn_input`, turn/core/input.c:TURN_MACRO, `turn/core/turn.h:turn_begin`, `turn/core/`,
            `scripts/run`, `turn/core/*.c`, [a link](turn/core/input.c#L1), [away](https://example.org/turn/core/no.c), `build/bin/x`,
            https://example.org/turn/no.c, `application/json`, `unit/turn/test_<file>.c`, /etc/x/y.conf, `input.c`"""))
        self.assert_passes(self.check("`input.c`, `core/input.c:turn_input`, [a link](core/input.c)", "turn/README.md"))

    def test_what_does_not_exist(self):
        for text, word in (("`turn/core/inputs.c`", "turn/core/inputs.c does not exist"),
                           ("in trun/core/input.c", "trun/core/input.c does not exist"),
                           ("`turn/core/input.c:turn_inputs`", "does not define turn_inputs"),
                           ("`turn/core/input.c:called`", "does not define called"),
                           ("`turn/core/input.c:gone`", "does not define gone"),
                           ("turn/core/turn.h:turn_gone", "does not define turn_gone"),
                           ("`turn/core/input.c:99`", "does not define 99"),
                           ("`turn/cores/`", "turn/cores/ does not exist"),
                           ("`scripts/runs`", "scripts/runs does not exist"),
                           ("`turn/core/*.py`", "turn/core/*.py does not exist"),
                           ("[a link](turn/core/no.c)", "leads nowhere")):
            self.assert_fails(self.check(text), "README.md:1", word)

    def test_nothing_found_proves_nothing(self):
        self.assert_fails(self.run_check(docs_refs, "--root", self.root), "prove nothing")


class Conformance(Lint):
    def check(self, row):
        self.write("tests/scenario/turn/a-b.scn", "")
        self.write("tests/unit/stun/test_frame.c", "")
        self.write("tests/process/test_turnd.py", "def test_it(self):\n")
        self.write("docs/conformance.md", f"| requirement | section | test |\n|---|---|---|\n{row}\n")
        return self.run_check(conformance, "--root", self.root)

    def test_what_exists_passes(self):
        self.assert_passes(self.check("| a | 1 | `scenario/turn-a-b`, `unit/stun-frame`, `process/turnd:test_it`, `process/turnd` |"))
        self.assert_passes(self.check("| a | 1 | `scenario/turn-a-b` |\n| b | 2 | none: the kernel does it |"))

    def test_what_does_not_exist(self):
        for row, word in (("| a | 1 | `scenario/turn-a-b`, `unit/stun-frames` |", "unit/stun-frames does not exist"),
                          ("| a | 1 | `scenario/turn-a-b`, `process/turnd:test_that` |", "has no test_that"),
                          ("| a | 1 | `scenario/turn-a-b`, `no/kind` |", "no/kind does not exist"),
                          ("| a | 1 | `scenario/turn-a-b` |\n| b | 2 | later |", "without a test"),
                          ("| a | 1 | `scenario/turn-a-b` |\n| b | none: so |", "not 2 cells"),
                          ("| a | 1 | `unit/stun-frame` |", "a-b.scn is in no row"),
                          ("", "proves nothing")):
            self.assert_fails(self.check(row), "docs/conformance.md", word)


if __name__ == "__main__":
    sys.argv[1:] = [a if a.startswith("-") else a.capitalize() for a in sys.argv[1:]]
    unittest.main()
