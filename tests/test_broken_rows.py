"""Broken rows of every format, through the command line: what is printed names row, place, value and remedy, and nothing is a traceback.

Each file in cases/rows/ holds what is broken, a line of dashes, and what `loralift prepare` then prints.

    row, rows: one or more rows behind three good ones of the training file
    files:     text of each file, or a list of rows, instead
    encode:    the encoding of a file, where it is not UTF-8
    task:      keys of the task
    base:      whose chat template renders the rows: chatml unless another one of BASES is named
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline import cli
from tests import ROOT, preparing, twins

CASES = sorted((Path(__file__).parent / "cases" / "rows").glob("*.txt"))
BASES = {"chatml": "qwen2", "gemma": "gemma", "plain": "phi", "thinking": "qwen3"}
"""A twin with the template of this name; `plain` has none."""


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    root = tmp_path_factory.mktemp("bases")
    for name, twin in BASES.items():
        twins.make(twin, root / name)
    return root


def good(count, start=0):
    rows = range(start, start + count)
    return [{"messages": [{"role": "user", "content": f"ask {n}"}, {"role": "assistant", "content": f"say {n}"}]} for n in rows]


def write_case(case, bases, folder):
    """Write the files of a case and a recipe over them."""
    rows = case.get("rows", [case["row"]] if "row" in case else [])
    for name, content in ({"train.jsonl": [*good(3), *rows], "test.jsonl": good(1, 9)} | case.get("files", {})).items():
        preparing.write_file(folder / name, content)
    for name, encoding in case.get("encode", {}).items():
        (folder / name).write_bytes((folder / name).read_text("utf-8").encode(encoding))
    data = {"train": next(iter(case.get("files", {"train.jsonl": ""}))), "test": "test.jsonl"}
    task = {"name": "chats", "data": data, "metrics": ["rougeL"]} | case.get("task", {})
    recipe = {"name": "broken", "base": str(bases / case.get("base", "chatml")), "tasks": [task]}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    return ["prepare", "recipe.yaml", "--store", "store"]


def test_there_are_cases():
    assert len(CASES) >= 90


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.stem)
def test_what_is_printed(case, bases, tmp_path, monkeypatch, capsys):
    text, _, expected = case.read_text("utf-8").partition("\n---\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["loralift", *write_case(yaml.safe_load(text), bases, tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert printed.err.partition("error: ")[2] == expected
    assert "Traceback" not in printed.err + printed.out


def test_the_command_itself_prints_the_same(bases, tmp_path):
    words = write_case({"row": {"messages": [{"role": "user", "content": "hi"}]}}, bases, tmp_path)
    ran = subprocess.run(
        [sys.executable, "-m", "pipeline", *words],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert "line 4: bad value: the conversation has no assistant turn" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_good_rows_are_prepared(bases, tmp_path, monkeypatch):
    """Else every case could fail for another reason than its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["loralift", *write_case({}, bases, tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    (part,) = (tmp_path / "store" / "data" / "prepare").glob("chats--train--*")
    assert [json.loads(line)["target"] for line in (part / "examples.jsonl").read_text().splitlines()] != []
