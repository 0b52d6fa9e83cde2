"""Each file in cases/data/ holds an inline task and its files, a line of dashes, and what is said of them.

    files: text of each file, or a list of rows; compressed or Parquet as the name says
    cut:   files that are cut off after so many bytes
    task:  what differs from the task in tests/preparing.py
    draw:  parameters of the stage

In what is said, `...` stands for words of a library.
"""

import re
from pathlib import Path

import pytest
import yaml

from pipeline.config.schema import InlineTask
from pipeline.data import inline
from pipeline.errors import DataError
from tests import preparing

CASES = sorted((Path(__file__).parent / "cases" / "data").glob("*.txt"))


def run_case(case, model, folder):
    """Plan and prepare a case in its folder; returns the facts of both splits."""
    good = {"train.jsonl": preparing.rows(20), "test.jsonl": preparing.rows(10, 100)}
    for name, content in (good | case.get("files", {})).items():
        if content is not None:
            preparing.write_file(folder / name, content)
    for name, length in case.get("cut", {}).items():
        (folder / name).write_bytes((folder / name).read_bytes()[:length])
    task = preparing.task(**case.get("task", {}))
    inline.find(task)
    return preparing.prepare_both(task, folder / "out", model, **case.get("draw", {}))


def test_there_are_cases():
    assert len(CASES) >= 14


def test_the_plain_case_is_good(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    heldout, train = run_case({}, model, tmp_path)
    assert (heldout["examples"], train["examples"]) == (10, 20)
    assert isinstance(preparing.task(), InlineTask)


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.stem)
def test_error(case, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, _, message = case.read_text("utf-8").partition("\n---\n")
    with pytest.raises(DataError) as error:
        run_case(yaml.safe_load(text), model, tmp_path)
    assert re.fullmatch(re.escape(message.strip()).replace(r"\.\.\.", ".*"), str(error.value)), error.value
