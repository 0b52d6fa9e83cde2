"""Rows in several files: a pattern stands for all files that it matches; and one JSON list of rows is as good as one object a line."""

import json

import pytest

from pipeline.config import data_paths
from pipeline.data import file_hashes, inline, source
from pipeline.data.task import Source
from pipeline.errors import DataError
from tests import preparing

ROWS = preparing.rows(5)


def read(path, folder=None):
    split = source.open_source(Source(path=str(path), recipe_folder=folder))
    return split, list(split.read())


def test_a_json_list_is_read_item_by_item(tmp_path):
    for indent in (None, 1):
        path = tmp_path / f"train{indent}.json"
        path.write_text(json.dumps([*ROWS, 7], indent=indent), "utf-8")
        split, rows = read(path)
        assert (split.total, split.columns) == (6, ("text", "team", "n"))
        assert [row.row for row in rows[:5]] == ROWS
        assert (rows[4].id, rows[4].location) == (f"train{indent}-5", "item 5")
        assert (rows[5].row.reason, rows[5].row.value) == ("malformed", "a number instead of an object: 7")


def test_a_json_list_has_the_encodings_of_lines(tmp_path):
    path = tmp_path / "train.json"
    path.write_bytes(json.dumps([{"text": "für"}], ensure_ascii=False).encode("utf-16"))
    assert read(path)[1][0].row == {"text": "für"}
    path.write_bytes(json.dumps([{"text": "für"}, {"text": "x"}], ensure_ascii=False).encode("latin-1"))
    first, second = (row.row for row in read(path)[1])
    assert "not UTF-8 text from byte 12 on (Latin-1? iconv -f latin1 -t utf-8 converts it)" in first.value
    assert second == {"text": "x"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [('[{"a": 1}, {"a":', "begins as a JSON list, and is none: Expecting value"), ("[1, 2]", "none of its 2 items is a JSON object"),
     ('{\n"data": [{"a": 1}]\n}', "is one JSON object, not one a line"), ("[]", "holds no rows"),
     ('{"text": {"0": "a", "3": "b"}, "label": {"0": "x", "3": "y"}}', "holds the values of each column")],
)  # fmt: skip
def test_a_document_that_is_no_list_of_rows_is_refused(tmp_path, text, problem):
    path = tmp_path / "train.json"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=problem):
        read(path)


@pytest.mark.parametrize("row", [{"text": {"0": "a"}, "label": "x"}, {"text": {"0": "a"}, "label": {"1": "x"}}, {"text": {"0": "a"}}])
def test_a_row_of_objects_is_a_row(tmp_path, row):
    preparing.write_file(tmp_path / "train.json", [row])
    assert [source_row.row for source_row in read(tmp_path / "train.json")[1]] == [row]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_a_pattern_stands_for_its_files_in_their_order(tmp_path, suffix):
    for part in (1, 0):
        preparing.write_file(tmp_path / f"train-{part}{suffix}", preparing.rows(2 + part, 10 * part))
    (tmp_path / "train-notes.txt").write_text("no data", "utf-8")
    split, rows = read(tmp_path / "train-*")
    assert split.total == 5
    assert [row.row for row in rows] == [*preparing.rows(2), *preparing.rows(3, 10)]
    assert [row.id for row in rows][::2] == ["train-0-train-0-1", "train-1-train-1-1", "train-1-train-1-3"]
    assert split.location == f"{tmp_path}/train-* (2 files)"


def test_every_file_of_a_pattern_is_part_of_the_key(tmp_path):
    for name in ("train-0", "train-1", "test"):
        preparing.write_file(tmp_path / f"{name}.jsonl", preparing.rows(3))
    task = preparing.task(data={"train": f"{tmp_path}/train-?.jsonl", "heldout": f"{tmp_path}/test.jsonl"})
    assert sorted(file_hashes.of_task(inline.find(task))) == [f"{tmp_path}/{name}.jsonl" for name in ("test", "train-0", "train-1")]


def test_a_pattern_is_looked_for_beside_the_recipe(tmp_path, monkeypatch):
    here, beside = tmp_path / "here", tmp_path / "a [1] b"
    here.mkdir()
    preparing.write_file(beside / "train-0.jsonl", ROWS)
    monkeypatch.chdir(here)
    assert data_paths.location("train-*.jsonl", beside, []) == str(beside / "train-*.jsonl")
    assert read(beside / "train-*.jsonl")[0].total == 5
    preparing.write_file(here / "train-0.jsonl", ROWS)
    assert data_paths.location("train-*.jsonl", beside, []) == "train-*.jsonl"
    assert data_paths.location("none-*.jsonl", beside, []) == "none-*.jsonl"


def test_a_pattern_without_a_match_or_with_equal_names_is_refused(tmp_path):
    preparing.write_file(tmp_path / "train.jsonl", ROWS)
    with pytest.raises(DataError, match=r"no data file matches .*trian-\*\.jsonl.*\n.*has train\.jsonl"):
        read(tmp_path / "trian-*.jsonl")
    preparing.write_file(tmp_path / "train.csv", "text,team\na,b\n")
    with pytest.raises(DataError, match="several files named train"):
        read(tmp_path / "train.*")


def test_a_file_whose_name_has_a_wildcard_is_itself(tmp_path):
    preparing.write_file(tmp_path / "a[1].jsonl", ROWS)
    preparing.write_file(tmp_path / "a1.jsonl", ROWS[:1])
    assert read(tmp_path / "a[1].jsonl")[0].total == 5
