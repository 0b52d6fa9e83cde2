"""Programs that mean harm, or do it by mistake: none harms the run, each fails with its reason; sound ones pass."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import uuid
from pathlib import Path

import psutil
import pytest

from pipeline.errors import MachineError
from pipeline.sandbox import sandbox
from pipeline.sandbox.sandbox import Limits
from tests import no_namespaces

ROOT = Path(__file__).parents[1]
SMALL = Limits(seconds=60, cpu_seconds=20, memory=256 << 20, file=1 << 20, disk=4 << 20, output=1 << 16)
BRIEF = Limits(seconds=1)
BUSY = Limits(seconds=60, cpu_seconds=1)
needs_walls = pytest.mark.skipif(bool(sandbox.available()), reason=f"no sandbox on this machine: {sandbox.available()}")

HOSTILE = {
    "fork bomb": ("import os\nwhile True: os.fork()", SMALL, "process limit"),
    "stubborn fork bomb": ("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", BRIEF, "time limit"),
    "thread bomb": ("import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()", SMALL, "process limit"),
    "endless loop": ("while True: pass", BUSY, "time limit"),
    "processor": (
        "import signal\ndef f(*_): raise ValueError('enough')\nsignal.signal(signal.SIGXCPU, f)\nwhile True: pass",
        BUSY,
        "error: ValueError: enough",
    ),
    "endless sleep": ("import time\ntime.sleep(60)", BRIEF, "time limit"),
    "deaf to signals": (
        "import signal, time\nfor s in set(signal.Signals) - {9, 19}:\n  try: signal.signal(s, signal.SIG_IGN)\n"
        "  except (OSError, ValueError): pass\nwhile True: time.sleep(1)",
        BRIEF,
        "time limit",
    ),
    "memory eater": ("kept = []\nwhile True: kept.append(b'x' * (1 << 20))", SMALL, "memory limit"),
    "memory eaters": (
        "import os, time\nfor _ in range(4): os.fork()\nkept = b'x' * (100 << 20)\ntime.sleep(60)",
        SMALL,
        "memory limit",
    ),
    "a million lines": ("for _ in range(1 << 20): print('x' * 1024)", SMALL, "output limit"),
    "a gigabyte of errors": ("import sys\nwhile True: sys.stderr.write('x' * 1024)", SMALL, "output limit"),
    "output of a child": ("import os\nos.fork()\nwhile True: os.write(1, b'x' * 1024)", SMALL, "output limit"),
    "huge file": ("with open('big', 'wb') as f:\n  while True: f.write(b'x' * 65536)", SMALL, "file limit"),
    "full disk": ("for n in range(99):\n  with open(str(n), 'wb') as f: f.write(b'x' * 500_000)", SMALL, "file limit"),
    "thousands of files": ("kept = [open('f', 'w') for _ in range(5000)]", SMALL, "file limit"),
    "sys.exit": ("import sys\nsys.exit(0)\nassert False", SMALL, "early exit"),
    "os._exit": ("import os\nprint('passed')\nos._exit(0)", SMALL, "early exit"),
    "SystemExit": ("raise SystemExit", SMALL, "early exit"),
    "other exit": ("import os\nos._exit(3)", SMALL, "early exit"),
    "exec": ("import os\nos.execv('/usr/bin/true', ['true'])", SMALL, "early exit"),
    "speaks through a fork": ("import os\nif os.fork(): os.waitpid(-1, 0); os._exit(0)", SMALL, "early exit"),
    "guesses the channel": (
        "import os\nfor fd in range(3, 64):\n  try: os.write(fd, b'passed')\n  except OSError: pass\nos._exit(0)",
        SMALL,
        "early exit",
    ),
    "lies about its failure": (
        "import os\nfor fd in range(3, 64):\n  try: os.write(fd, b'passed')\n  except OSError: pass\nos._exit(1)",
        SMALL,
        "early exit",
    ),
    "catches its own checks": ("try:\n  assert False\nexcept AssertionError:\n  raise SystemExit(0)", SMALL, "early exit"),
    "failed check": ("assert 1 + 1 == 3", SMALL, "assertion failed"),
    "replaces the exits": (
        "import builtins, os, sys\nos._exit = sys.exit = builtins.exit = os.write = print\nassert False",
        SMALL,
        "assertion failed",
    ),
    "hides its error": ("class E(Exception):\n  def __str__(self): raise E\nraise E", SMALL, "error: E: "),
    "long error": ("raise ValueError('passed\\n' + 'x' * 5000)", SMALL, "error: ValueError: passed"),
    "undefined name": ("nothing", SMALL, "error: NameError: name 'nothing' is not defined"),
    "deep recursion": ("def f(): return f()\nf()", SMALL, "error: RecursionError: maximum recursion depth exceeded"),
    "no Python": ("def f(:", SMALL, "syntax error"),
    "half a character": ("x = '\ud800'", SMALL, "syntax error"),
    "deep brackets": ("(" * 10_000, SMALL, "syntax error"),
    "asks for input": ("input()", SMALL, "error: EOFError: EOF when reading a line"),
    "crash": ("import ctypes\nctypes.string_at(0)", SMALL, "killed: SIGSEGV"),
    "kills itself": ("import os\nos.kill(0, 9)", SMALL, "killed: SIGKILL"),
    "kills all": (
        "import os\nfor pid in (os.getppid(), 1, -1):\n  try: os.kill(pid, 9)\n  except OSError: pass\n1 / 0",
        SMALL,
        "error: ZeroDivisionError: division by zero",
    ),
    "changes the system": ("import os, sys\nopen(sys.prefix + '/mine', 'w')", SMALL, "error: OSError: [Errno 30] Read-only file system"),
    "memory beside its own": ("import os\nos.memfd_create('x')", SMALL, "error: PermissionError: [Errno 1]"),
    "memory of the keeper": ("open('/proc/1/mem', 'rb')", SMALL, "error: PermissionError: [Errno 13]"),
    "other packages": ("import numpy", SMALL, "error: ModuleNotFoundError: No module named 'numpy'"),
    "our own package": ("import pipeline", SMALL, "error: ModuleNotFoundError: No module named 'pipeline'"),
}

SOUND = {
    "library": "import math, re, typing, collections, itertools, heapq, bisect, functools, random, string, datetime, hashlib, json",
    "main block": "if __name__ == '__main__': raise SystemExit(input())",
    "prints": "print('assertion failed'); assert True",
    "own files": "open('a', 'w').write('x'); assert open('a').read() == 'x'",
    "own processes": "import os\nif not os.fork(): os._exit(5)\nassert os.waitstatus_to_exitcode(os.wait()[1]) == 5",
    "own threads": "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()",
    "data classes": "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n  a: int\nassert A(1)",
    "pickles": "import pickle\nclass A: pass\nassert type(pickle.loads(pickle.dumps(A()))) is A",
    "sees nobody": "import os\nassert {p for p in os.listdir('/proc') if p.isdigit()} == {'1', str(os.getpid())}",
    "has no rights": "import os\nassert os.getuid() == 1000\nassert 'CapBnd:\\t0000000000000000' in open('/proc/self/status').read()",
    "no namespaces": "import ctypes\nlibc = ctypes.CDLL(None)\nassert libc.unshare(0x10000000) == libc.unshare(0x40) == -1\n"
    "assert libc.syscall(56 if 'x86_64' in __import__('os').uname().machine else 220, 0x10000011, 0, 0, 0, 0) == -1",
    "no network": "assert __import__('socket').if_nameindex() == [(1, 'lo')]",
    "no environment": "import os\nassert set(os.environ) == {'HOME', 'TMPDIR', 'PATH', 'LANG', 'TZ', 'PYTHONHASHSEED'}",
}


@needs_walls
@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_program_fails_with_its_reason(name):
    program, limits, reason = HOSTILE[name]
    result = sandbox.run(program, limits)
    assert not result.passed
    assert result.reason.startswith(reason)
    assert len(result.reason) <= 120
    assert result.reason.isprintable()
    assert len(result.output) <= 2000


@needs_walls
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_program_passes(name, monkeypatch):
    monkeypatch.setenv("LORALIFT_SECRET", "hunter2")
    result = sandbox.run(SOUND[name], SMALL)
    assert (result.passed, result.reason) == (True, "passed"), result.output


@needs_walls
@pytest.mark.parametrize(
    ("name", "message"), [("huge file", "File too large"), ("full disk", "No space"), ("thousands of files", "Too many")]
)
def test_each_limit_on_files_holds(name, message):
    program, limits, _ = HOSTILE[name]
    assert message in sandbox.run(program, limits).output


@needs_walls
def test_sets_have_the_same_order_on_every_run():
    program = "print({*map(str, range(99))})"
    assert len({result.output for result in sandbox.run_all([program] * 3)}) == 1


@needs_walls
def test_crash_by_endless_recursion():
    result = sandbox.run("import sys\nsys.setrecursionlimit(10**9)\ndef f(): return [*map(lambda x: f(), 'x')]\nf()", SMALL)
    assert result.reason in ("killed: SIGSEGV", "memory limit")


@needs_walls
def test_output_is_the_end_of_what_was_written():
    result = sandbox.run("print('a' * 5000)\nprint('last words')\n1 / 0")
    assert "last words\nTraceback" in result.output
    assert 'File "<program>", line 3' in result.output
    assert "keeper" not in result.output


@needs_walls
def test_files_outside_are_neither_seen_nor_changed(tmp_path):
    canary = tmp_path / "canary"
    canary.write_text("alive")
    tried = [tmp_path, ROOT, Path("/tmp"), Path("/dev/shm"), Path.home()]
    mark = f"mark-{uuid.uuid4()}"
    program = f"""
import os, shutil
for path in {[str(path) for path in tried]}:
    try:
        os.makedirs(path, exist_ok=True)
        open(path + "/{mark}", "w").write("x")
    except OSError: pass
shutil.rmtree({str(tmp_path)!r}, ignore_errors=True)
open({str(canary)!r}).read()
"""
    result = sandbox.run(program)
    assert result.reason.startswith("error: FileNotFoundError")
    assert canary.read_text() == "alive"
    assert not [path for path in tried if (path / mark).exists()]


def listeners(folder: Path) -> list[socket.socket]:
    """Servers on loopback, on a path and on an abstract name."""
    servers = [socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
    servers[0].bind(("127.0.0.1", 0))
    servers[1].bind(str(folder / "s"))
    servers[2].bind(f"\0loralift-{uuid.uuid4()}")
    for server in servers:
        server.listen()
        server.settimeout(0)
    return servers


def callers(servers: list[socket.socket]) -> int:
    """How many of the servers were called."""
    called = 0
    for server in servers:
        try:
            server.accept()[0].close()
            called += 1
        except BlockingIOError:
            pass
        server.close()
    return called


@pytest.mark.parametrize("jailed", [pytest.param(True, marks=needs_walls), False])
def test_no_socket_reaches_out(jailed, tmp_path):
    servers = listeners(tmp_path)
    program = f"""
import socket
for family, address in {[(int(s.family), s.getsockname()) for s in servers]}:
    try: socket.socket(family).connect(address)
    except OSError as error: print(error)
"""
    result = sandbox.start(program, SMALL, jailed)
    assert result.passed
    assert callers(servers) == (0 if jailed else 3)


@needs_walls
def test_no_family_of_sockets_is_open_that_a_network_namespace_does_not_wall_off():
    """AF_VSOCK (40) reaches the host of a virtual machine from any network namespace, whether a module for it is loaded or not."""
    program = """
import errno, socket
for family in range(64):
    outcomes = set()
    for kind in (1, 2, 3, 5):
        try: socket.socket(family, kind); outcomes.add("open")
        except OSError as error: outcomes.add(errno.errorcode[error.errno])
    print(family, *sorted(outcomes))
"""
    outcomes = dict(line.split(" ", 1) for line in sandbox.start(program, SMALL, jailed=True).output.splitlines())
    assert len(outcomes) == 64
    assert {outcomes[family].split()[-1] for family in ("1", "2")} == {"open"}
    assert {family for family, kinds in outcomes.items() if kinds != "EPERM"} <= {"1", "2", "10", "16"}


DAEMON = """
import ctypes, os, signal, time
def hide():
    if os.fork(): os._exit(0)
    os.setsid()
    if os.fork(): os._exit(0)
    for s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(15, b"{name}")
    os.write(told, b"x")
    time.sleep(600)
hear, told = os.pipe()
if not os.fork(): hide()
os.read(hear, 1)
{then}
"""


def alive(name: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["name"]) if process.info["name"] == name]


@pytest.mark.parametrize("jailed", [pytest.param(True, marks=needs_walls), False])
@pytest.mark.parametrize(("then", "reason"), [("", "passed"), ("while True: pass", "time limit"), ("os._exit(0)", "early exit")])
def test_no_daemon_outlives_its_program(jailed, then, reason):
    name = uuid.uuid4().hex[:15]
    result = sandbox.start(DAEMON.format(name=name, then=then), Limits(seconds=3, cpu_seconds=1), jailed)
    assert result.reason == reason
    assert not alive(name)


@pytest.mark.parametrize("jailed", [pytest.param(True, marks=needs_walls), False])
def test_nothing_is_left_when_the_harness_is_killed(jailed, tmp_path):
    name = uuid.uuid4().hex[:15]
    program = DAEMON.format(name=name, then="time.sleep(600)")
    code = f"from pipeline.sandbox import sandbox\nsandbox.start({program!r}, sandbox.Limits(seconds=600), {jailed})"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}) as harness:
        while not alive(name) and harness.poll() is None:
            pass
        below = psutil.Process(harness.pid).children(recursive=True) + alive(name)
        harness.kill()
    assert len(below) >= 3
    assert not psutil.wait_procs(below, timeout=20)[1]


NO_NAMESPACES = (
    no_namespaces.SETUP
    + """
from pipeline.sandbox import sandbox
from pipeline.errors import MachineError
try:
    print(sandbox.run("assert True"))
except MachineError as error:
    print(error)
print(sandbox.run("assert False", unsafe=True).reason, sandbox.run("assert True", unsafe=True).reason)
"""
)


@needs_walls
def test_refuses_where_the_kernel_gives_no_namespaces():
    output = subprocess.run([sys.executable, "-c", NO_NAMESPACES], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    first, remedy, unsafe = output.splitlines()
    assert first == "Generated code is not run: no sandbox on this machine (No space left on device (unshare))."
    assert "--unsafe-code" in remedy
    assert unsafe == "assertion failed passed"


@pytest.mark.skipif(os.geteuid() != 0, reason="this user is an ordinary one already")
def test_holds_for_an_ordinary_user():
    """With the Python of the system, as an ordinary user may not enter the folder of root's, nor pytest's own."""
    python = shutil.which("python3", path="/usr/bin")
    if not python or subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False).returncode:
        pytest.skip("no second Python")
    names = ["fork bomb", "stubborn fork bomb", "memory eaters", "kills all", "memory of the keeper", "os._exit", "endless sleep"]
    code = f"""
from pipeline.sandbox import sandbox
from pipeline.sandbox.sandbox import Limits
print(repr(sandbox.available()))
for program, limits, reason in {[HOSTILE[name] for name in names]}:
    print(sandbox.run(program, limits).reason)
for program in {[*SOUND.values()]}: print(sandbox.run(program).reason)
"""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "pipeline"
        shutil.copytree(ROOT / "pipeline" / "sandbox", package / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("__init__", "errors"):
            shutil.copy(ROOT / "pipeline" / f"{name}.py", package)
        Path(folder).chmod(0o755)
        call = [python, "-c", textwrap.dedent(code)]
        someone = {"user": 12345, "group": 12345, "extra_groups": []}
        ran = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=True, env={}, **someone)
    first, *reasons = ran.stdout.splitlines()
    if first != "''":
        pytest.skip(f"ordinary users have no sandbox here: {first}")
    wanted = [HOSTILE[name][2] for name in names] + ["passed"] * len(SOUND)
    assert [reason[: len(start)] for reason, start in zip(reasons, wanted, strict=True)] == wanted


@needs_walls
def test_results_come_in_order():
    programs = [f"import time\ntime.sleep({(5 - n) / 20})\nraise ValueError({n})" for n in range(6)]
    assert [result.reason for result in sandbox.run_all(programs, workers=3)] == [f"error: ValueError: {n}" for n in range(6)]


def test_a_python_that_does_not_start_is_no_failed_program(monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(MachineError, match="did not start"):
        sandbox.start("assert True", SMALL, jailed=False)


@pytest.mark.parametrize("jailed", [False, pytest.param(True, marks=needs_walls)])
def test_a_program_may_end_before_its_keeper_looks(monkeypatch, jailed):
    """On a busy machine the keeper may come to make the word only when nobody is left to read it."""
    late = "import os, time; real = os.urandom; os.urandom = lambda n: (n == 16 and time.sleep(1), real(n))[1]; "
    monkeypatch.setattr(sandbox, "START", late + sandbox.START)
    reasons = [sandbox.start(program, SMALL, jailed).reason for program in ("assert False", "1 +", "print(1)")]
    assert reasons == ["assertion failed", "syntax error", "passed"]
