"""Text that is not ours reaches the terminal as plain text; Ctrl-C, odd stores and our own errors end in a line, never in 'Aborted.'."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from pipeline import cli, progress
from pipeline.commands import verbs, views
from pipeline.errors import MachineError
from pipeline.progress import Terminal
from pipeline.store import disk
from tests import project
from tests.fault_server import Fault, FaultServer

ROOT = Path(__file__).parents[1]
HOSTILE = "[/red][bold]a[/] [link=x]\x1b[31m\x1b]0;owned\x07\u202e\x9b2J:smile: [b"
SHOWN = r"[/red][bold]a[/] [link=x]\x1b[31m\x1b]0;owned\x07\u202e\x9b2J:smile: [b"


def printed(*things, **options):
    console = Terminal(width=500, **options)
    with console.capture() as captured:
        for thing in things:
            console.print(thing, soft_wrap=True)
    return captured.get()


@pytest.mark.parametrize("form", [str, lambda text: Text(text, "bold"), Tree, lambda text: Table(text, title=text, box=None)])
def test_hostile_text_is_shown_as_it_is_spelled(form):
    output = printed(form(HOSTILE), force_terminal=False)
    assert SHOWN.replace(r"\x07", "") in output.replace(r"\x07", "")  # rich drops the bell from a Text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", output)


def test_our_own_styles_reach_a_terminal():
    output = printed(Text("green", "green"), force_terminal=True, color_system="standard", no_color=False)
    assert output == "\x1b[32mgreen\x1b[0m\n"


def test_a_name_that_is_no_unicode_is_shown():
    assert printed(os.fsdecode(b"a\xff")) == "a\\udcff\n"


def test_there_is_one_console_for_all_that_is_printed():
    """Whoever makes another one prints text of others as markup."""
    makers = [path for path in (ROOT / "pipeline").rglob("*.py") if re.search(r"(?<!class Terminal\()\bConsole\(", path.read_text("utf-8"))]
    assert [path.name for path in makers] in ([], ["plan_table.py"])  # the plan only measures with it
    printers = [path.name for path in (ROOT / "pipeline").rglob("*.py") if re.search(r"^\s*print\(", path.read_text("utf-8"), re.MULTILINE)]
    assert set(printers) <= {"pretrain.py", "docs.py", "__main__.py", "child.py"}


def test_no_file_prints_markup():
    for path in (ROOT / "pipeline").rglob("*.py"):
        assert not re.search(r"\[(dim|bold|red|green|yellow|bold red)\]", path.read_text("utf-8")), path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, model):
    """A finished project in a folder with brackets, whose question and data steer terminals."""
    root = tmp_path_factory.mktemp("hostile") / "[/red] [bold]"
    recipe = project.make(root, model["folder"])
    body = json.loads(recipe.read_text()) | {"question": HOSTILE}
    body["tasks"][0]["prompt"] = "[/b]\x1b[1m{question}"
    recipe.write_text(json.dumps(body))
    project.carry_out(recipe, root)
    return recipe, root


@pytest.fixture
def typed(call_cli):
    def run(*words):
        code, out, err = call_cli(*words)
        return code, out + err

    return run


VERBS = {
    "plan": lambda recipe, root: ["plan", recipe],
    "advise": lambda recipe, root: ["advise", recipe],
    "advise --calibration": lambda recipe, root: ["advise", "--calibration"],
    "prepare": lambda recipe, root: ["prepare", recipe],
    "finetune": lambda recipe, root: ["finetune", recipe],
    "compare": lambda recipe, root: ["compare", recipe],
    "report": lambda recipe, root: ["report", recipe],
    "show": lambda recipe, root: ["show", next(root.glob("data/report/*--*"))],
    "show-prompt": lambda recipe, root: ["show-prompt", recipe],
    "ls": lambda recipe, root: ["ls", "artifacts"],
    "verify": lambda recipe, root: ["verify"],
    "verify a page": lambda recipe, root: ["verify", next(root.glob("data/report/*--*/report.html"))],
    "gc": lambda recipe, root: ["gc"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_hostile_text_and_paths_as_they_are(hostile, typed, verb):
    recipe, root = hostile
    code, output = typed(*VERBS[verb](recipe, root), "--store", root)
    assert code == 0, output
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", output)
    if verb not in ("ls", "advise --calibration", "verify", "verify a page", "plan", "show-prompt"):
        assert "[/red] [bold]" in output


@pytest.mark.parametrize(("limit", "code"), [("at_most: 1", 0), ("at_least: 2", 3)])
def test_a_gate_is_judged_in_a_folder_with_brackets(hostile, typed, limit, code):
    recipe, root = hostile
    rules = root / "[b] gate.yaml"
    rules.write_text(f"rules: [{{figure: unparsed, {limit}}}]")
    status, output = typed("compare", recipe, "--store", root, "--gate", rules)
    assert status == code, output
    assert f"gate: {root / 'data' / 'gate' / 'pets.json'}" in output
    assert json.loads((root / "data" / "gate" / "pets.json").read_text("utf-8"))["status"] == code


@pytest.mark.parametrize("words", [["plan"], ["ls"], ["show"], ["verify"], ["gc"], ["power"], [], ["plan", "quickstart"]])
def test_hostile_words_are_told_in_a_line(typed, words):
    code, output = typed(*words, HOSTILE.replace("\x07", ""))
    assert code in (2, 3)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", output)
    assert "Traceback" not in output


@pytest.mark.parametrize("error", [EOFError("state.pt"), OSError(28, "No space left", "/x"), KeyboardInterrupt()])
def test_nothing_is_told_as_aborted(monkeypatch, capsys, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(views, "check_all", fail)
    monkeypatch.setattr(sys, "argv", ["loralift", "check"])
    with pytest.raises((SystemExit, RuntimeError)) as raised:
        cli.main()
    output = capsys.readouterr().err
    assert "Aborted" not in output
    if isinstance(error, EOFError):
        assert "a file ended before its end (state.pt)" in str(raised.value)
    else:
        assert raised.value.code == (130 if isinstance(error, KeyboardInterrupt) else 2)
        assert ("Run the same command to resume" in output) is isinstance(error, KeyboardInterrupt)


def make_store(kind, root):
    """Something in the place of a store, or a part of one, that cannot be used."""
    if kind == "a file":
        root.write_text("")
    elif kind == "a loop":
        root.symlink_to(root)
    elif kind == "a link to nothing":
        root.symlink_to(root.with_name("nothing"))
    elif kind == "data is a file":
        root.mkdir()
        (root / "data").write_text("")
    elif kind == "below a file":
        root.with_name("file").write_text("")
        return root.with_name("file") / "store"
    elif kind == "a long name":
        return root.with_name("x" * 300)
    return root


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("a file", "is a file, not a folder"), ("a loop", "its links lead in a circle"), ("a link to nothing", "a link that leads nowhere"),
        ("data is a file", "data is a file, not a folder"), ("below a file", "a part of the path is not a folder"),
        ("a long name", "too long"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("words", [["plan", "quickstart"], ["prepare", "quickstart"], ["verify"], ["gc"], ["ls", "artifacts"], ["doctor"]])
def test_a_store_that_cannot_be_one_is_told_in_a_line(typed, tmp_path, kind, message, words):
    code, output = typed(*words, "--store", make_store(kind, tmp_path / "store"))
    assert code == 2
    assert message in output
    assert len(output.strip().splitlines()) <= 2


def test_a_store_that_vanishes_is_told(hostile, tmp_path, monkeypatch):
    real = shutil.rmtree

    def vanish(path):
        real(tmp_path / "store")
        Path(path).read_bytes()

    monkeypatch.setattr("pipeline.store.artifact.file_hashes", vanish)
    monkeypatch.setattr(disk, "WAITS", (0.01,))
    with pytest.raises(MachineError, match="is gone: something else deleted it"):
        project.carry_out(hostile[0], tmp_path / "store", stages={"prepare"})


def test_a_limit_on_the_size_of_files_is_told(tmp_path, model):
    recipe = project.make(tmp_path / "project", model["folder"])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    project.carry_out(recipe, tmp_path / "store", stages={"prepare"})
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(MachineError, match=r"larger than this process may write\n.*ulimit -f"):
            project.carry_out(recipe, tmp_path / "store", stages={"finetune"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert project.carry_out(recipe, tmp_path / "store", stages={"finetune"}) == ["finetune"]


def test_an_error_number_inside_the_error_of_a_library_is_read():
    error = RuntimeError("Error while serializing: I/O error: File too large (os error 27)")
    assert "larger than this process may write" in disk.explanation(error, ROOT).problem


@pytest.mark.parametrize("seconds", [0.15, 0.4, 0.8])
def test_ctrl_c_in_the_first_seconds_is_a_line(tmp_path, seconds):
    words = [sys.executable, "-m", "pipeline", "check"]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    if process.returncode and "in main" not in errors and "Interrupted" not in errors:
        pytest.skip("Python had not come to our code yet")
    assert process.returncode in (0, 130)
    assert "Traceback" not in errors
    assert "Aborted" not in errors
    assert process.returncode == 0 or "Run the same command to resume" in errors


def test_what_an_endpoint_sends_does_not_steer_the_terminal(model, typed, tmp_path):
    recipe = project.make(tmp_path, model["folder"])
    with FaultServer() as server:
        server.always = Fault(status=400, body={"error": {"message": HOSTILE}})
        reference = {"name": "gpt", "endpoint": server.endpoint, "model": "fault", "key_env": ""}
        recipe.write_text(json.dumps(json.loads(recipe.read_text("utf-8")) | {"references": [reference]}), "utf-8")
        code, output = typed("compare", recipe, "--store", tmp_path, "--device", "cpu")
    assert code != 0
    assert r"\x1b[31m" in output
    assert "\x1b" not in output
    assert "\x9b" not in output


def test_progress_lines_are_plain(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress.meter(HOSTILE, 2, "steps") as meter:
        meter.advance(1, HOSTILE)
    assert "\x1b" not in capsys.readouterr().err


STRANGE = {"TERM": "dumb", "LANG": "C", "LC_ALL": "C", "COLUMNS": "40", "NO_COLOR": "1", "FORCE_COLOR": "1", "HOME": "/nonexistent"}


@pytest.mark.parametrize("words", [["plan", "quickstart"], ["ls", "recipes"], ["published"], ["--help"]])
def test_verbs_work_in_a_strange_environment(tmp_path, words):
    environment = {**os.environ, **STRANGE, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-m", "pipeline", *words], capture_output=True, cwd=tmp_path, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "folder", "chosen"),
    [
        (STRANGE, ROOT, "progress or lineage or made_again or stopped or prompt"),
        ({"HOME": None, "LANG": None, "LC_ALL": "POSIX", "TERM": ""}, "/", "progress or unknown or none"),
    ],
)
def test_the_tests_pass_in_a_strange_environment(tmp_path, changes, folder, chosen):
    """One of them reads a progress bar, others tables."""
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "base"), str(ROOT / "tests" / "test_cli.py")]
    environment = {name: value for name, value in {**os.environ, **changes}.items() if value is not None}
    ran = subprocess.run([sys.executable, *words, "-k", chosen], capture_output=True, text=True, cwd=folder, env=environment, check=False)
    assert ran.returncode == 0, ran.stdout[-3000:]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to become another user")
def test_a_store_without_permission_is_told(tmp_path):
    store = tmp_path / "store"
    (store / "data").mkdir(parents=True)
    (store / "data").chmod(0o700)
    for folder in (store, *store.parents):
        if Path(tempfile.gettempdir()) in folder.parents:
            folder.chmod(0o755)
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            os.setuid(65534)
            verbs.usable_store(store)
        except MachineError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    assert f"no permission to read {store}/data\n  Choose another" in os.read(reading, 10_000).decode()
