"""Conversations in every kind of file, through the command line: the same rows give the same examples, wherever and however they lie."""

import csv
import gzip
import json
import sys

import pytest
import yaml

from pipeline import cli
from pipeline.store.records import LOSS_TURNS
from tests import preparing, twins


def conversation(number):
    asks = [f"cat {number} ?", f"dog {number} ?"]
    turns = [
        ("system", "Grüße the dog"),
        ("user", asks[0]),
        ("assistant", "no"),
        ("user", asks[1]),
        ("assistant", ("yes", "no")[number % 2]),
    ]
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


TRAIN, TEST = [conversation(n) for n in range(12)], [conversation(n) for n in range(100, 104)]


def lines(rows, encoding="utf-8"):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(encoding)


def table(path, rows, delimiter=","):
    """Turns as JSON in a cell, as data frames and spreadsheets hold them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([["messages"], *([json.dumps(row["messages"])] for row in rows)])


def in_pieces(folder):
    preparing.write_file(folder / "train-00000-of-00002.parquet", TRAIN[:7])
    preparing.write_file(folder / "train-00001-of-00002.parquet", TRAIN[7:])
    preparing.write_file(folder / "test.parquet", TEST)


def both(suffix, write):
    def write_both(folder):
        write(folder / f"train{suffix}", TRAIN)
        write(folder / f"test{suffix}", TEST)

    return write_both


SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}


def sharegpt(rows):
    return [{"conversations": [{"from": SHAREGPT[turn["role"]], "value": turn["content"]} for turn in row["messages"]]} for row in rows]


def split_rows(rows):
    """As TRL's conversational prompt with completion."""
    return [{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]} for row in rows]


FILES = {
    "lines": ("train.jsonl", both(".jsonl", lambda path, rows: path.write_bytes(lines(rows)))),
    "list": ("train.json", both(".json", lambda path, rows: path.write_text(json.dumps(rows, indent=1), "utf-8"))),
    "gzip": ("train.JSONL.GZ", both(".JSONL.GZ", lambda path, rows: path.write_bytes(gzip.compress(lines(rows))))),
    "csv": ("train.csv", both(".csv", table)),
    "tsv": ("train.TSV", both(".TSV", lambda path, rows: table(path, rows, "\t"))),
    "parquet": ("train.parquet", both(".parquet", preparing.write_file)),
    "pieces": ("train-*.parquet", in_pieces),
    "utf-16": ("train.jsonl", both(".jsonl", lambda path, rows: path.write_bytes(lines(rows, "utf-16")))),
    "sharegpt": ("train.jsonl", both(".jsonl", lambda path, rows: path.write_bytes(lines(sharegpt(rows))))),
    "prompt and completion": ("train.jsonl", both(".jsonl", lambda path, rows: path.write_bytes(lines(split_rows(rows))))),
    "from home": ("~/data/train.jsonl", both(".jsonl", lambda path, rows: path.write_bytes(lines(rows)))),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    twins.make("qwen2", folder)
    return folder


@pytest.mark.parametrize("kind", FILES)
def test_the_same_rows_give_the_same_examples(kind, base, tmp_path, monkeypatch):
    """From another folder than the recipe's, so paths are those of the recipe."""
    train, write = FILES[kind]
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    write(folder)
    data = {"train": train, "test": train.replace("train-*", "test").replace("train", "test")}
    task = {"name": "chats", "data": data, "metrics": ["rougeL"], "loss": "assistant"}
    recipe = {"name": "rows", "base": str(base), "tasks": [task], "prepare": {"dev_examples": 0, "near_duplicates": 1}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["loralift", "prepare", str(folder / "recipe.yaml"), "--store", "store"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    parts = {part: next((elsewhere / "store" / "data" / "prepare").glob(f"chats--{part}--*")) for part in ("heldout", "train")}
    for part, rows in (("heldout", TEST), ("train", TRAIN)):
        actual = {(tuple(turn.content for turn in example.prompt), example.target) for example in preparing.examples(parts[part])}
        expected = {(tuple(turn["content"] for turn in row["messages"][:-1]), row["messages"][-1]["content"]) for row in rows}
        assert actual == expected
        learned = None if kind == "prompt and completion" else [2]  # an answer in a prompt is none to learn
        assert all(example.extra.get(LOSS_TURNS) == learned for example in preparing.examples(parts[part]))
