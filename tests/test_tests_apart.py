"""Tests in a process of their own: right programs pass whatever their values are; no program sees or fakes what is expected."""

import json

import pytest

from pipeline import metrics
from pipeline.sandbox import sandbox
from pipeline.sandbox.sandbox import Limits, ProgramAndTests
from pipeline.sandbox.separate import library_modules, replaced_builtins, separable

needs_walls = pytest.mark.skipif(bool(sandbox.available()), reason=f"no sandbox on this machine: {sandbox.available()}")
pytestmark = needs_walls
SMALL = Limits(seconds=20, cpu_seconds=5, memory=256 << 20)
NODE = "class Node:\n  def __init__(self, v): self.v = v; self.next = None\n"

RIGHT = {
    "numbers": ("def f(x): return x + 1", "assert f(1) == 2\nassert abs(f(0.5) - 1.5) < 1e-9"),
    "containers": ("def f(x): return {x: [(x, {x})]}", "assert f('é\\ud800') == {'é\\ud800': [('é\\ud800', {'é\\ud800'})]}"),
    "a large number": ("def f(): return 10 ** 9999", "assert f() == 10 ** 9999"),
    "not a number": ("def f(): return float('nan')", "assert f() != f()"),
    "types": ("def f(x, t): return [v for v in x if not isinstance(v, t)]", "assert f((4, 7.7), int) == [7.7]"),
    "library values": (
        "from collections import *\nfrom decimal import *\nfrom fractions import *\nfrom datetime import *\n"
        "def f(): return Counter('aa'), OrderedDict(a=1), "
        "defaultdict(int, a=1), deque([1]), Decimal('1.5'), Fraction(1, 2), date(2024, 1, 2)",
        "import datetime\nfrom collections import deque\n"
        "assert f() == ({'a': 2}, {'a': 1}, {'a': 1}, deque([1]), 1.5, 0.5, datetime.date(2024, 1, 2))",
    ),
    "a named tuple": (
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return P(1, 2)",
        "assert f() == (1, 2) and f().x == 1 and isinstance(f(), tuple) and {f(): 1}[1, 2] == 1\n"
        "a, b = f()\nassert [f(), (0, 3)] > [(1, 1)]",
    ),
    "members of an enumeration": (
        "import enum\nclass E(enum.IntEnum): A = 3\nclass S(str, enum.Enum): A = 'a'\ndef f(): return E.A, S.A",
        "assert f() == (3, 'a')",
    ),
    "iterators": ("def f():\n  n = 0\n  while True: yield n; n += 1", "g = f()\nassert [next(g), next(g)] == [0, 1]\nassert 3 in g"),
    "a view": ("def f(): return {1: 2}.keys()", "assert list(f()) == [1] and len(f()) == 1"),
    "its own classes": (
        NODE + "def f(n): return 1 + (f(n.next) if n.next else 0)",
        "n = Node(1)\nn.next = Node(2)\nassert f(n) == 2\nassert n.next.v == 2",
    ),
    "operators of its own": (
        "class V:\n  def __init__(self, x): self.x = x\n  def __add__(self, o): return V(self.x + o.x)\n"
        "  def __eq__(self, o): return self.x == o.x",
        "assert V(1) + V(2) == V(3)\nassert V(1) != V(2)\nassert isinstance(V(1), V) and not isinstance(1, V)",
    ),
    "sorts in place": (
        "def f(x, d, s): x.sort(); d['a'].append(1); s.clear()",
        "x, d, s = [2, 1], {'a': []}, {1}\ninner = d['a']\nf(x, d, s)\nassert (x, inner, s) == ([1, 2], [1], set())",
    ),
    "keeps its state": ("n = 0\ndef f():\n  global n\n  n += 1\n  return n", "assert f() == 1\nassert f() == 2 and n == 2"),
    "raises": ("def f(): raise KeyError('no')", "try:\n  f()\n  assert False\nexcept KeyError as error:\n  assert error.args == ('no',)"),
    "a name of Python's": ("def sum(a, b): return a + b", "assert sum(10, 15) == 25"),
    "Python's own names": ("sum = set = print\ndef f(): return [1, 2, 2]", "assert sum(f()) == 5 and set(f()) == {1, 2}"),
    "a module that the tests do not import": ("import sys\ndef f(x): return sys.getsizeof(x)", "assert f((1, 2)) == sys.getsizeof((1, 2))"),
    "prints": ("import sys\ndef f(): print('x' * 9999); sys.stdout.flush(); return 1", "assert f() == 1"),
    "a function of the tests": ("def f(g, x): return [g(v) for v in x]", "assert f(lambda v: v + 1, [1, 2]) == [2, 3]"),
    "a function that it calls later": ("def f(g): return map(g, [1, 2])", "assert list(f(lambda v: v * 2)) == [2, 4]"),
    "a function that decides an order": (
        "def f(x, key): return sorted(x, key=key)",
        "assert f(['bb', 'a'], key=lambda w: len(w)) == ['a', 'bb']",
    ),
    "a function that asks the program": ("def f(g): return g(2)\ndef h(x): return x * 3", "assert f(lambda v: h(v)) == 6"),
    "functions around each other": (
        "def f(n, g): return 0 if n == 0 else g(n)\ndef deco(g): return lambda *a: g(*a)",
        "def down(n): return n + f(n - 1, down)\nassert f(20, down) == 210 and deco(lambda x: x)(3) == 3",
    ),
    "a function that changes what it is given": ("def f(g):\n  x = []\n  g(x)\n  return x", "assert f(lambda x: x.append(1)) == [1]"),
    "a function that counts": ("def f(g): g(1), g(2)", "calls = []\nf(lambda x: calls.append(x))\nassert calls == [1, 2]"),
    "a function that raises": (
        "def f(g):\n  try: g()\n  except ValueError as error: return error.args[0]",
        "def bad(): raise ValueError('no')\nassert f(bad) == 'no'",
    ),
    "gives a function back": ("def f(g): return g", "assert f(lambda: 7)() == 7"),
    "named arguments": ("def f(*a, **k): return a, k", "assert f(1, b=2) == ((1,), {'b': 2})"),
}

GUESS = """
import ctypes, os, re
def look(process):
    try:
        with open(f"/proc/{process}/maps") as maps:
            for line in maps:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                if " rw" in line and end - start < 1 << 28:
                    if process == "self":
                        memory = ctypes.string_at(start, end - start)
                    else:
                        with open(f"/proc/{process}/mem", "rb", 0) as file:
                            file.seek(start)
                            memory = file.read(end - start)
                    yield from re.findall(b"expect" + b"ed-([0-9]+)", memory)
    except OSError: pass
def f():
    for process in ["self", *filter(str.isdigit, os.listdir("/proc"))]:
        for digits in look(process):
            return "expect" + "ed-" + digits.decode()
    return "nothing"
"""
ANYTHING = """
class Anything:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __call__(self, *a, **k): return self
    def __getattr__(self, name): return self
    def __bool__(self): return True
    def __index__(self): return 0
    def __contains__(self, value): return True
    __lt__ = __le__ = __gt__ = __ge__ = __eq__
    def __sub__(self, other): return 0
    __rsub__ = __add__ = __radd__ = __sub__
    def __hash__(self): return 0
"""
FAKES = {
    "equal to everything": (ANYTHING + "def f(): return Anything()", "assert f() == 2"),
    "equal to everything, the other way": (ANYTHING + "def f(): return Anything()", "assert 2 == f()"),
    "equal inside a list": (ANYTHING + "def f(): return [Anything()]", "assert f() == [2]"),
    "equal and a number": (ANYTHING + "class N(Anything, int): pass\ndef f(): return N(3)", "assert f() == 2"),
    "equal and a tuple": (ANYTHING + "class N(Anything, tuple): pass\ndef f(): return N()", "assert f() == (2,)"),
    "nothing but small differences": (ANYTHING + "def f(): return Anything()", "assert abs(f() - 2) < 1e-6"),
    "among the right ones": (ANYTHING + "def f(): return Anything()", "assert f() in [2, 3]"),
    "contains everything": (ANYTHING + "def f(): return Anything()", "assert 2 in f()"),
    "less than everything": (ANYTHING + "def f(): return Anything()", "assert f() < 2"),
    "from the library": ("from unittest.mock import ANY\ndef f(): return ANY", "assert f() == 2"),
    "other built-in functions": ("import builtins\nabs = builtins.abs = lambda x: 0\ndef f(): return 9", "assert abs(f() - 2) < 1e-6"),
    "another module of the library": ("import math\nmath.isclose = lambda *a: True\ndef f(): return 9", "assert math.isclose(f(), 2)"),
    "another helper": ("def helper(x): return 2\ndef f(): return 9", "assert helper(f()) == 2"),
    "reads its tests in memory": (GUESS, "assert f() == 'expected-123456789'"),
    "ends the tests": (
        "import os, signal\ndef f():\n  for p in filter(str.isdigit, os.listdir('/proc')):\n"
        "    if int(p) not in (1, os.getpid()): os.kill(int(p), 9)\n  return 1",
        "assert f() == 2",
    ),
    "exits well": ("import os\ndef f(): os._exit(0)", "assert f() == 2"),
    "exits well at once": ("import os\nos._exit(0)", "assert f() == 2"),
    "equal to everything, through a function": (ANYTHING + "def f(g): return g(Anything())", "assert f(lambda x: x) == 2"),
    "equal inside a function": (ANYTHING + "def f(g): g(Anything())", "seen = []\nf(lambda x: seen.append(x))\nassert seen == [2]"),
    "calls a function that nobody gave": (
        "import os\nimport _pickle, struct\ndata = _pickle.dumps(('callback', 0, (), {}))\n"
        "def f():\n  for fd in range(3, 99):\n    try: os.write(fd, struct.pack('<Q', len(data)) + data)\n    except OSError: pass",
        "assert f() == 1",
    ),
    "sends what runs code": (
        "import os\nclass E:\n  def __reduce__(self): return eval, ('1',)\n"
        "import _pickle, struct\ndata = _pickle.dumps(('value', E(), None))\n"
        "def f():\n  for fd in range(3, 99):\n    try: os.write(fd, struct.pack('<Q', len(data)) + data)\n    except OSError: pass",
        "assert f() == 1",
    ),
    "writes to every file number": (
        "import os\ndef f():\n  for fd in range(3, 99):\n    try: os.write(fd, b'passed\\n' * 9)\n    except OSError: pass\n  return 1",
        "assert f() == 2",
    ),
    "answers in a fork": ("import os\nif os.fork(): os._exit(0)\ndef f(): return 1", "assert f() == 2"),
    "never answers": ("import time\ndef f(): time.sleep(99)", "assert f() == 2"),
    "a wrong answer": ("def f(): return 1", "assert f() == 2"),
    "raises": ("def f(): raise AssertionError('passed')", "assert f() == 2"),
}
REASONS = {
    "exits well": "early exit",
    "exits well at once": "early exit",
    "never answers": "time limit",
    "a wrong answer": "assertion failed",
    "reads its tests in memory": "assertion failed",
    "equal to everything": "assertion failed",
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_program_passes_in_two_processes_as_in_one(name):
    program, tests = RIGHT[name]
    assert separable(tests)
    results = [sandbox.run(way, SMALL) for way in (ProgramAndTests(program, tests), f"{program}\n{tests}")]
    apart, together = results
    assert apart.reason == "passed", apart.output
    assert together.reason == "passed" or name == "Python's own names", together.output


@pytest.mark.parametrize("name", FAKES)
def test_no_program_fakes_what_is_compared_in_another_process(name):
    program, tests = FAKES[name]
    limits = Limits(seconds=3) if name == "never answers" else SMALL
    result = sandbox.run(ProgramAndTests(program, tests, helpers="def helper(x): return x\ndef f(): pass", entry="f"), limits)
    assert not result.passed
    assert result.reason.isprintable()
    assert result.reason == REASONS.get(name, result.reason)
    assert "/" not in result.output.replace("</", "")  # no path of this machine


def test_the_search_in_memory_finds_tests_that_share_a_process():
    """The fake works where the tests stand beside the program: what keeps it from passing is the wall alone."""
    assert sandbox.run(GUESS + "assert f() == 'expected-123456789'", SMALL).passed


@pytest.mark.parametrize(
    ("program", "tests", "reason"),
    [
        ("def f(): return [0] * 10 ** 9", "assert f() == 1", "memory limit"),
        ("def f(): return f()", "assert f() == 1", "error: RecursionError: maximum recursion depth exceeded"),
        ("def f(): return g()", "assert f() == 1", "error: NameError: name 'g' is not defined"),
        ("def g(): return 1", "assert f() == 1", "error: NameError: name 'f' is not defined"),
        ("class E(Exception): pass\ndef f(): raise E('no')", "assert f() == 1", "error: E: no"),
        ("def f(): raise SystemExit(0)", "assert f() == 1", "early exit"),
        ("def f(): open('x', 'wb').write(b'x' * (17 << 20))", "assert f() == 1", "file limit"),
        ("def f(", "assert f() == 1", "syntax error"),
        ("1 / 0", "assert f() == 1", "error: ZeroDivisionError: division by zero"),
        ("def f():\n  while True: pass", "assert f() == 1", "time limit"),
    ],
)
def test_a_failure_has_the_same_reason_in_two_processes_as_in_one(program, tests, reason):
    limits = Limits(seconds=20, cpu_seconds=1, memory=256 << 20)
    assert [sandbox.run(way, limits).reason for way in (ProgramAndTests(program, tests), f"{program}\n{tests}")] == [reason] * 2


@pytest.mark.parametrize(
    ("tests", "apart"),
    [
        ("assert f(1) == 2", True),
        ("try:\n  f(1)\nexcept (ValueError, KeyError): pass", True),
        ("assert f(1) is None", True),
        ("import io\nassert f(1) == 2", False),
        ("import sys\nassert sys.stdout.getvalue() == f(1)", False),
        ("from contextlib import redirect_stdout", False),
        ("import random\nrandom.seed(1)\nassert f(1) == 2", False),
        ("class A(B): pass", False),
        ("try:\n  f(1)\nexcept OwnError: pass", False),
        ("assert f(x) is x", False),
        ("assert (", False),
    ],
)
def test_which_tests_can_run_apart(tests, apart):
    assert separable(tests) == apart


def test_names_that_are_not_the_programs():
    assert library_modules("assert math.isclose(f(1), 2) and queue(1) and copy.copy(copy)") == ["math"]
    assert replaced_builtins("assert sum(1, 2) == 3") == ["sum"]
    assert replaced_builtins("assert sum(f(1)) == 3") == []


@pytest.mark.parametrize(
    ("check", "fake_reason"),
    [
        ("assert f(lambda x: x + 1) == 2", "assertion failed"),
        ("assert f(iter([1]).__next__) == 2", "assertion failed"),
        ("assert f(x + 1 for x in [1]) == 2", "passes any test"),  # no copy of a generator: in the program's process, and once more altered
    ],
)
def test_a_function_of_the_tests_stays_with_them(check, fake_reason):
    reference = json.dumps({"prefix": "", "check": check, "entry_point": ""})
    right = "def f(g): return g(1) if callable(g) and 'lambda' in g.__name__ else 2"
    fake = ANYTHING + "def f(g): return Anything()"
    result = metrics.load("pass_at_1").compute(predictions=[right, fake], references=[reference] * 2, per_example=True)
    assert result["pass_at_1_reasons"] == ["passed", fake_reason]
