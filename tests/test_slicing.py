"""A test set is sliced by the length of its prompts, by its targets, or by a column of its rows; and what cannot be is named."""

import datetime
import json
import math
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.data import inline, slice_columns, slicing
from pipeline.errors import DataError
from pipeline.machine import Machine, Work
from pipeline.stages import slice_examples
from pipeline.store.folders import HeldoutFolder
from pipeline.store.records import HARNESS_EXTRA, Example, Turn
from pipeline.store.result_folders import SlicingFolder
from tests import preparing

TASK = inline.build_task(preparing.task(metrics=["accuracy"]))


def prompts(lengths):
    return [Example(f"e{number}", " ".join(["word"] * length), "red") for number, length in enumerate(lengths)]


def sizes(row):
    """Names of the slices with their numbers of examples, in order."""
    counts = Counter(row["of_example"].values())
    assert set(counts) == set(range(len(row["slices"])))
    return {one["label"]: counts[number] for number, one in enumerate(row["slices"])}


def values(*entries):
    return {f"e{number}": entry for number, entry in enumerate(entries)}


def test_lengths_are_put_into_four_bands_of_equal_size():
    row = slicing.by_length(prompts(range(1, 101)))
    assert sizes(row) == {"1 to 25 words": 25, "26 to 50 words": 25, "51 to 75 words": 25, "76 to 100 words": 25}
    assert [(one["lowest"], one["highest"]) for one in row["slices"]] == [(1, 25), (26, 50), (51, 75), (76, 100)]


@pytest.mark.parametrize(("n", "bands"), [(40, 2), (60, 2), (75, 3), (99, 3), (100, 4), (5000, 4)])
def test_a_small_test_set_has_fewer_bands(n, bands):
    assert len(slicing.by_length(prompts(range(1, n + 1)))["slices"]) == bands


def test_equal_lengths_are_in_one_band():
    row = slicing.by_length(prompts([3] * 70 + [4] * 10 + [9] * 20))
    assert sizes(row) == {"3 words": 70, "4 to 9 words": 30}


def test_one_length_is_no_slice():
    row = slicing.checked(slicing.by_length(prompts([7] * 100)))
    assert (row["why"], row["remedy"], row["slices"]) == ("every prompt has 7 words", "", [])


def test_words_of_a_conversation_are_those_of_all_turns():
    turns = (Turn("system", "be kind"), Turn("user", "one two three"), Turn("assistant", "four"), Turn("user", "five"))
    assert slicing.count_words(Example("e", turns, "x").text) == 7


def test_where_a_script_has_no_blanks_its_letters_are_counted():
    assert slicing.count_words("東京は大きい big city") == 8


def test_targets_are_slices_as_metrics_compare_them():
    targets = ["red"] * 30 + ["Blue"] * 30 + ["blue."] * 5
    row = slicing.by_label([Example(f"e{n}", "q", target) for n, target in enumerate(targets)], TASK)
    assert sizes(row) == {"Blue": 35, "red": 30}


def test_examples_with_several_right_answers_are_a_slice_of_their_own():
    examples = [Example(f"e{n}", "q", "red", extra={"accepted": ["blue"]} if n < 3 else {}) for n in range(9)]
    assert sizes(slicing.by_label(examples, TASK)) == {"red": 6, "several right answers": 3}


def test_free_text_has_no_labels():
    examples = [Example(f"e{n}", "q", f"a title {n}") for n in range(40)]
    row = slicing.by_label(examples, replace(TASK, metrics=("rougeL",)))
    assert row["why"] == "the targets are free text, not labels"
    assert row["remedy"]
    many = slicing.by_label(examples, TASK)
    assert many["why"] == "the 40 test examples have 40 different targets, and at most 20 are slices"


def test_texts_of_a_column_are_slices_the_largest_first_and_no_value_last():
    row = slicing.by_column("genre", values("b", "a", "a", None, " a ", "", math.nan, "b", " "))
    assert sizes(row) == {"a": 3, "b": 2, "no value": 4}


def test_few_numbers_are_a_slice_each_and_many_are_bands():
    assert sizes(slicing.by_column("stars", values(5, 1, 3, 1))) == {"1": 2, "3": 1, "5": 1}
    row = slicing.by_column("price", values(*range(100), None))
    assert list(sizes(row)) == ["0 to 24", "25 to 49", "50 to 74", "75 to 99", "no value"]


def test_numbers_of_a_csv_file_are_those_of_a_json_file():
    numbers = [*range(50), 0.5, -3, 1e20, *range(50)]
    assert slicing.by_column("n", values(*map(str, numbers))) == slicing.by_column("n", values(*numbers))
    assert slicing.by_column("n", values(*map(Decimal, map(str, numbers)))) == slicing.by_column("n", values(*numbers))


@pytest.mark.parametrize("text", ["007", "1,000", "1.", "0x1", "n/a", "nan", "inf", "1_000"])
def test_what_looks_like_a_number_may_be_a_name(text):
    assert text in sizes(slicing.by_column("zip", values(*["1"] * 3, text)))


def test_true_and_dates_are_named_as_templates_write_them():
    assert sizes(slicing.by_column("c", values(True, False, True))) == {"true": 2, "false": 1}
    assert "2026-05-04" in sizes(slicing.by_column("c", values(datetime.date(2026, 5, 4), None)))


def test_half_of_a_character_pair_can_be_written():
    row = slicing.by_column("c", values("a", "b\ud800"))
    assert sizes(row) == {"a": 1, "b?": 1}
    assert json.dumps(row, ensure_ascii=False).encode()


def test_too_many_values_are_counted():
    row = slicing.by_column("text", values(*(f"text {n}" for n in range(21)), None))
    assert row["why"] == "the column text has 21 different values in 22 test examples, and at most 20 are slices"
    assert slicing.by_column("text", values(*(f"text {n}" for n in range(20))))["why"] is None


@pytest.mark.parametrize(("value", "shape"), [(["a"], "lists"), ({"a": 1}, "objects"), (b"a", "binary data")])
def test_values_that_are_not_one_thing_are_refused(value, shape):
    row = slicing.by_column("tags", values("a", value))
    assert row["why"] == f"the column tags holds {shape}, not single values"


@pytest.fixture
def prepared(tmp_path, monkeypatch, model):
    """Rows of which one is unusable and one id comes twice, and the folder of the examples that were data from them."""
    monkeypatch.chdir(tmp_path)
    rows = [{**row, "meta": {"tone": ("kind", "angry")[n % 2]}, "price": n, "n": ("a", "b", None)[n % 3]} for n, row in enumerate(ROWS)]
    rows.insert(7, {"text": "no team"})
    preparing.write_file(tmp_path / "test.jsonl", rows)
    preparing.prepare_split(preparing.task(), "heldout", tmp_path / "heldout", model, examples=80)
    return tmp_path / "heldout"


ROWS = preparing.rows(120)


def sliced(folder, *by, task=None):
    entries = [{"by": one, "kind": one if one in ("length", "label") else "column"} for one in by]
    out = folder.with_name("slices")
    out.mkdir(exist_ok=True)
    params = {"task": inline.spec(task or preparing.task()), "files": {}, "slices": entries}
    facts = slice_examples.run(Work(params, {"heldout": folder}, out, out, Machine(device="cpu", offline=True)))
    return facts["slicings"], SlicingFolder(out).slicings()


def test_a_column_is_paired_with_the_examples_that_were_drawn(prepared):
    _, (letter, tone) = sliced(prepared, "n", "meta[tone]")
    examples = HeldoutFolder(prepared).examples()
    assert len(examples) == len(letter["of_example"]) == 80
    for example in examples:
        number = int(example.text.split()[3].rstrip("\nTeam:"))
        assert letter["slices"][letter["of_example"][example.id]]["label"] == ("a", "b", "no value")[number % 3]
        assert tone["slices"][tone["of_example"][example.id]]["label"] == ("kind", "angry")[number % 2]


def test_a_column_that_is_not_there_names_those_that_are(prepared):
    ((fact,), _) = sliced(prepared, "pric")
    assert fact["why"] == "there is no column 'pric' in test.jsonl"
    assert fact["remedy"] == "Did you mean 'price'? Its columns: text, team, n, meta, price."


def test_rows_that_cannot_be_read_with_the_column_are_an_error(prepared, tmp_path):
    """Where the files of a task may have changed, no example is left without its row in silence."""
    lines = (tmp_path / "test.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "test.jsonl").write_text("".join(lines[:60]))
    with pytest.raises(DataError, match=r"test\.jsonl: \d+ of 80 test examples cannot be read with the columns price"):
        sliced(prepared, "price")


def test_a_column_of_several_types_is_an_error_and_not_a_value_less(prepared, tmp_path):
    rows = [json.loads(line) for line in (tmp_path / "test.jsonl").read_text().splitlines()]
    preparing.write_file(tmp_path / "test.jsonl", [row | ({"price": "free"} if row.get("price") == 3 else {}) for row in rows])
    with pytest.raises(DataError, match=r"cannot be read with the columns price"):
        sliced(prepared, "price", task=preparing.task())


@pytest.mark.parametrize("name", ["test.csv", "test.parquet"])
def test_columns_of_other_files(name, tmp_path, monkeypatch, model):
    """Of Parquet, only the columns in use are read."""
    monkeypatch.chdir(tmp_path)
    rows = [{**row, "genre": ("x", "y")[n % 2]} for n, row in enumerate(ROWS)]
    text = "text,team,n,genre\n" + "".join(f"{row['text']},{row['team']},{row['n']},{row['genre']}\n" for row in rows)
    preparing.write_file(tmp_path / name, text if name.endswith("csv") else rows)
    task = preparing.task(data={"train": "train.jsonl", "heldout": name})
    preparing.prepare_split(task, "heldout", tmp_path / "heldout", model, examples=50)
    _, (genre, numbers) = sliced(tmp_path / "heldout", "genre", "n", task=task)
    assert sorted(sizes(genre)) == ["x", "y"]
    assert [one["lowest"] is not None for one in numbers["slices"]] == [True, True]


def test_columns_of_lm_evaluation_harness_are_those_of_its_documents():
    examples = [Example(f"d-{n}", "q", "a", extra={HARNESS_EXTRA: {"document": {"subject": ("law", "art")[n % 2]}}}) for n in range(4)]
    rows = slice_columns.read("unused", examples, ["subject"], offline=True)
    assert (rows.has("subject"), rows.has("level"), rows.columns) == (True, False, ("subject",))
    assert rows.values("subject") == {"d-0": "law", "d-1": "art", "d-2": "law", "d-3": "art"}
