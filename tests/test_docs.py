"""What the code decides stands in the documents as the code says it; the README's commands exist."""

import re
import shlex
from pathlib import Path

import pytest

from pipeline import docs
from pipeline.commands import call as calls
from pipeline.machine import Machine

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def commands():
    """What follows the verb in every command of the documents on a recipe that is shipped: of lines of code, and between backticks."""
    lines = [line for path in PAGES for line in re.findall(r"loralift (?:\w+) (recipes/[^`\n]+)", path.read_text("utf-8"))]
    return sorted({" ".join(shlex.quote(word) for word in shlex.split(line, comments=True)) for line in lines})


def test_there_are_commands():
    assert len(commands()) >= 4


@pytest.mark.parametrize("command", commands())
def test_every_command_on_a_recipe_can_be_planned(command, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)
    arguments = words[: next((index for index, word in enumerate(words) if word.startswith("--")), len(words))]
    assert calls.parse_call(arguments, tmp_path, Machine(), ask_hub=False).jobs


@pytest.mark.parametrize("path", docs.PAGES, ids=lambda p: p.name)
def test_generated_parts_are_in_step(path):
    assert docs.pages()[path] == path.read_text("utf-8"), "run: make docs"


def test_the_keys_are_listed_with_what_they_may_hold():
    table = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    for key in ("tasks[].data.hub", "tasks[].data.revision", "references[].price.input"):
        assert f"| `{key}` |" in table
    for key, words in (("compare.interval", "`bca`, `percentile`"), ("finetune.targets", "`all-linear`, `qv`, or a list of names")):
        assert re.search(rf"^\| `{re.escape(key)}` .* Allowed: {words}\. \|$", table, re.M)
    (metrics,) = re.findall(r"^\| `tasks\[\]\.metrics` .* Allowed: (.*)\. \|$", table, re.M)
    assert {"`accuracy`", "`rougeL`", "`rouge2`"} < set(metrics.split(", "))


def test_every_make_target_that_the_readme_names_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    code = (ROOT / "docs" / "code.md").read_text("utf-8")
    named = set(re.findall(r"make ([a-z-]+)", README + code)) - {"it"}
    assert len(named) >= 5
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_file_that_the_readme_names_exists():
    named = set(re.findall(r"`((?:recipes|docs|tests|pipeline|benchmarks)/[\w./-]+)`", README))
    assert len(named) >= 3
    for name in named:
        assert (ROOT / name).exists(), name


def test_every_target_is_in_the_help():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.*)", makefile, re.M)[1].split()
    assert set(re.findall(r"^([a-z-]+):.*##", makefile, re.M)) == set(phony)
