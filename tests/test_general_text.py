"""The held-out paragraphs of plain English: how many, how long, and no two alike."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "data" / "general" / "paragraphs.jsonl"


@pytest.fixture(scope="module")
def lines():
    return PATH.read_text("utf-8").splitlines()


@pytest.fixture(scope="module")
def rows(lines):
    return [json.loads(line) for line in lines]


def words(text):
    return re.findall(r"[a-z0-9']+", text.lower())


def repeated(pieces):
    """The pieces that are in more than one paragraph; pieces: one list per paragraph."""
    counts = Counter(piece for of_paragraph in pieces for piece in set(of_paragraph))
    return [piece for piece, count in counts.items() if count > 1]


def test_three_hundred_rows_of_three_fields(rows):
    assert len(rows) == 300
    assert all(list(row) == ["id", "topic", "text"] for row in rows)
    assert [row["id"] for row in rows] == [f"g{number:03d}" for number in range(1, 301)]


def test_ten_paragraphs_on_each_of_thirty_topics(rows):
    topics = Counter(row["topic"] for row in rows)
    assert len(topics) == 30
    assert set(topics.values()) == {10}


def test_all_of_it_is_ascii_in_single_paragraphs(lines, rows):
    assert all(line.isascii() for line in lines)
    assert all(row["text"].isascii() and row["text"].isprintable() for row in rows)
    assert all(row["text"] == " ".join(row["text"].split()) for row in rows)


def test_each_has_60_to_110_words(rows):
    assert {row["id"]: len(row["text"].split()) for row in rows if not 60 <= len(row["text"].split()) <= 110} == {}


def test_no_line_is_repeated(lines, rows):
    assert len(set(lines)) == len(lines)
    assert len({row["text"] for row in rows}) == len(rows)


def test_no_two_share_eight_words_in_a_row(rows):
    tokens = [words(row["text"]) for row in rows]
    assert repeated([" ".join(paragraph[start : start + 8]) for start in range(len(paragraph) - 7)] for paragraph in tokens) == []


def test_no_two_share_a_sentence(rows):
    split = (re.split(r"(?<=[.!?])[\"']?\s+", row["text"]) for row in rows)
    assert repeated([" ".join(words(sentence)) for sentence in sentences] for sentences in split) == []


def test_no_two_open_with_the_same_five_words(rows):
    assert repeated([" ".join(words(row["text"])[:5])] for row in rows) == []
