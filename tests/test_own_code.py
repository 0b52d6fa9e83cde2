"""Tasks and metrics of the user's own in Python: found beside the recipe, hashed into keys, run from a copy; and what is said of broken
ones.

Each file in cases/code/ holds files, the entries under `tasks`, a line of dashes, and what is said of them. In what is said, `...` stands
for words of a library.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import metrics
from pipeline.commands import page_code, recompute_page
from pipeline.config import recipe as recipes
from pipeline.data import inline
from pipeline.errors import RecipeError, UserError
from pipeline.planning.job import Job
from pipeline.planning.plan import plan
from pipeline.store import user_code
from pipeline.store.artifact import canonical
from tests import preparing, project

CASES = sorted((Path(__file__).parent / "cases" / "code").glob("*.txt"))
TASK = """
from pipeline.data.task import Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from helpers import question


def example(row):
    return Example("", question(row), row["team"], ("red", "blue"))


TASK = Task(
    name="mine",
    about="a test",
    train=(Source(path="train.jsonl"),),
    heldout=(Source(path="test.jsonl"),),
    example=example,
    answer=parsers.choice,
    metrics=("./metrics/close",),
    max_new_tokens=6,
    choices=("red", "blue"),
)
"""
HELPERS = """
def question(row):
    return f"Ticket: {row['text']}\\nTeam:"
"""
METRIC = '''
from pathlib import Path

from pipeline.metrics.base import MeanMetric

NEAR = Path(__file__).with_name("near.txt").read_text("utf-8").split()


class Close(MeanMetric):
    """Half for what is near."""

    def score(self, prediction, reference):
        return 1.0 if prediction == reference else 0.5 if prediction in NEAR else 0.0
'''
FILES = {"mine.py": TASK, "helpers.py": HELPERS, "metrics/close/close.py": METRIC, "metrics/close/near.txt": "pink\n"}


def write_project(folder: Path, files: dict[str, Any] | None = None, tasks: Any = ("./mine.py",), **keys: Any) -> Path:
    """Write the files and a recipe that names them; returns its path."""
    rows = {"train.jsonl": preparing.rows(40), "test.jsonl": preparing.rows(20, 100)}
    for name, content in (rows | FILES | (files or {})).items():
        if content is not None:
            preparing.write_file(folder / name, content)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "own", "base": "quickstart-base", "tasks": list(tasks), **keys}), "utf-8")
    return path


def jobs_by_stage(path: Path) -> dict[str, list[Job]]:
    jobs: dict[str, list[Job]] = {}
    for job in plan(recipes.load(path), ask=False):
        jobs.setdefault(job.stage, []).append(job)
    return jobs


def test_a_task_is_found_beside_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    task = inline.find(recipes.load(write_project(tmp_path / "own")).tasks[0])
    assert task.name == "mine"
    assert task.example({"text": "it broke", "team": "red"}).prompt == "Ticket: it broke\nTeam:"
    assert task.train[0].path == str(tmp_path / "own" / "train.jsonl")
    assert task.metrics == ("close",)
    result = metrics.load("close", **task.metric_options).compute(
        predictions=["red", "pink", "x"], references=["red"] * 3, per_example=True
    )
    assert result == {"close": 0.5, "close_per_example": [1.0, 0.5, 0.0]}


def test_code_is_not_taken_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = write_project(tmp_path / "own", {"mine.py": None})
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=f"there is no file {tmp_path}/own/mine.py"):
        inline.find(recipes.load(recipe).tasks[0])


def test_a_task_in_a_recipe_takes_a_metric_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"train": "train.jsonl", "test": "test.jsonl"}
    entry = {"name": "tickets", "data": data, "prompt": "{text}", "target": "{team}", "metrics": ["./metrics/close", "accuracy"]}
    for path in ("./metrics/close", "metrics/close/close.py", "./metrics/close/"):
        entry["metrics"][0] = path
        inline_task = recipes.load(write_project(tmp_path, tasks=[entry])).tasks[0]
        assert inline.find(inline_task).metrics == ("close", "accuracy")
    spec = json.loads(canonical(inline.spec(inline_task)))
    shutil.rmtree(tmp_path / "metrics")
    monkeypatch.chdir(tmp_path)
    task = inline.from_spec(spec)  # elsewhere there is no file
    assert metrics.load("close", **task.metric_options).compute(predictions=["pink"], references=["red"])["close"] == 0.5


@pytest.mark.parametrize(
    ("name", "changed"),
    [("helpers.py", {"prepare", "compare"}), ("mine.py", {"prepare", "compare"}), ("metrics/close/near.txt", {"prepare", "compare"})],
)
def test_whatever_the_code_is_made_of_is_in_the_keys(tmp_path: Path, name: str, changed: set[str]) -> None:
    """A change of the code changes the parameters of the jobs that run it, and of no other."""
    before = jobs_by_stage(write_project(tmp_path))
    after = jobs_by_stage(write_project(tmp_path, {name: FILES[name] + "\n"}))
    for stage, jobs in before.items():
        own = [job.params_json for job in jobs] != [job.params_json for job in after[stage]]
        assert own == (stage in changed), stage


def test_a_file_that_nothing_imports_is_in_no_key(tmp_path: Path) -> None:
    before = jobs_by_stage(write_project(tmp_path))
    assert jobs_by_stage(write_project(tmp_path, {"notes.py": "x = 1\n"})) == before


def test_files_of_one_name_do_not_mix(tmp_path: Path) -> None:
    """Two tasks whose helpers have the same name, in one process."""
    write_project(tmp_path / "a")
    other = {"helpers.py": "def question(row):\n    return 'other'\n"}
    one, two = (inline.find(recipes.load(write_project(tmp_path / name, files)).tasks[0]) for name, files in (("a", {}), ("b", other)))
    row = {"text": "t", "team": "red"}
    assert (one.example(row).prompt, two.example(row).prompt) == ("Ticket: t\nTeam:", "other")
    assert "helpers" not in sys.modules


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("import helpers", "helpers.question(row)"),
        ("import helpers as h", "h.question(row)"),
        ("from .helpers import question", "question(row)"),
        ("from . import helpers", "helpers.question(row)"),
        ("from tools.words import question", "question(row)"),
        ("import tools.words", "tools.words.question(row)"),
        ("from tools import words", "words.question(row)"),
    ],
)
def test_every_form_of_import(tmp_path: Path, statement: str, call: str) -> None:
    source = TASK.replace("from helpers import question", statement).replace("question(row)", call)
    late = (
        TASK.replace("from helpers import question\n", "")
        .replace("    return Example", f"    {statement}\n    return Example")
        .replace("question(row)", call)
    )
    tools = {"tools/words.py": "from .deeper import question\n", "tools/deeper.py": HELPERS}
    for text in (source, late):
        task = inline.find(recipes.load(write_project(tmp_path, {"mine.py": text, **tools})).tasks[0])
        assert task.example({"text": "t", "team": "red"}).prompt == "Ticket: t\nTeam:"


def test_a_sweep_over_tasks_finds_the_file(tmp_path: Path) -> None:
    path = write_project(tmp_path, sweep={"tasks": [["./mine.py"], ["shop_sentiment"]]})
    report = plan(recipes.load(path), ask=False)[-1]
    assert [cell["task"] for cell in report.params["cells"]] == ["mine", "shop_sentiment"]


def test_a_name_that_leads_out_of_the_folder_is_refused() -> None:
    with pytest.raises(user_code.UserCodeError, match="outside its folder"):
        user_code.load({"start": "mine.py", "files": {"mine.py": "", "../../x.py": ""}})


# --- a whole comparison ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, model: dict[str, Any]) -> Path:
    """The page of a comparison by an own task and metric, whose files are gone."""
    root = tmp_path_factory.mktemp("own")
    small = {
        "prepare": {"train_examples": 24, "dev_examples": 8, "heldout_examples": 12, "max_tokens": 64},
        "finetune": {"rank": 4, "learning_rate": 0.01, "batch_examples": 8, "compute": "fp32"},
        "generate": {"compute": "fp32"},
        "compare": {"resamples": 200, **project.LEAN},
        "general": {"suites": []},
    }
    recipe = write_project(root / "own", **{**small, "base": model["folder"]})
    project.carry_out(recipe, root)
    shutil.rmtree(root / "own")
    return shutil.copyfile(next(root.glob("data/report/*/report.html")), root / "report.html")


def test_verify_runs_no_code_of_others(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(page_code.UntrustedCodeError) as refused:
        recompute_page.verify(finished)
    assert refused.value.status == 4
    assert "code of its author scored it: the metric close (14 lines), the task mine.py (25 lines)" in refused.value.problem
    assert "the metric close: near.txt\n   1  pink" in recompute_page.code_of(finished)
    assert "Python code of the recipe" in finished.read_text("utf-8")


def test_verify_recomputes_it_where_the_code_is_trusted(finished: Path) -> None:
    verified = recompute_page.verify(finished, trusts_code=True)
    assert verified.comparisons == 1
    assert verified.numbers > 50


def test_what_is_printed_of_code_cannot_steer_a_terminal() -> None:
    code = {"the task x.py": user_code.Bundle(start="x.py", files={"x.py": "a = '\x1b[2J'\n"})}
    assert "\x1b" not in page_code.listing(code)


def test_the_traceback_is_kept(tmp_path: Path) -> None:
    path = write_project(tmp_path, {"helpers.py": "def question(row):\n    return row\n\n\nBROKEN = 1 / 0\n"})
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    ran = subprocess.run(
        [sys.executable, "-m", "pipeline", "plan", str(path)], check=False, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert ran.returncode == 2
    first, _, second = ran.stderr.splitlines()
    assert first == "error: helpers.py line 5: ZeroDivisionError: division by zero (while it was loaded)."
    log = Path(second.removeprefix("  The traceback: "))
    assert "BROKEN = 1 / 0" in log.read_text("utf-8")
    log.unlink()


# --- broken ones ----------------------------------------------------------------------------------------------------------------------


def prepare_tasks(recipe: Path, out: Path, model: dict[str, Any]) -> None:
    """Plan and prepare every task of a recipe."""
    for entry in recipes.load(recipe).tasks:
        inline.find(entry)
        preparing.prepare_both(entry, out, model, max_new_tokens=8)


def test_there_are_cases() -> None:
    assert len(CASES) >= 25


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_error(case: Path, tmp_path: Path, model: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong, where, the value and the remedy, in a few lines and without a traceback."""
    monkeypatch.chdir(tmp_path)
    text, _, message = case.read_text("utf-8").partition("\n---\n")
    content = yaml.safe_load(text) or {}
    written = write_project(tmp_path, content.get("files"), content.get("tasks", ["./mine.py"]))
    with pytest.raises(UserError) as error:
        prepare_tasks(Path(written.name), tmp_path / "out", model)
    assert re.fullmatch(re.escape(message.strip()).replace(r"\.\.\.", ".*"), str(error.value)), error.value
