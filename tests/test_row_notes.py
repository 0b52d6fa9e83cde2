"""What is said of rows that are used, but not as a whole."""

import pytest

from pipeline.data import inline
from pipeline.data.row_notes import RowNotes, print_notes
from pipeline.errors import DataError
from tests import preparing
from tests.test_inline import CHAT, SYSTEM


def notes_of(rows, capsys, **task):
    notes = RowNotes(inline.spec(preparing.task(**task)))
    for row in rows:
        notes.count_row(row)
    print_notes("train", notes.summary("x.jsonl"))
    return " ".join(capsys.readouterr().err.split())


def test_defaults_are_counted(capsys):
    rows = [{"text": "x", "extra": extra, "team": "red"} for extra in (None, "", "y")]
    assert notes_of(rows, capsys, prompt="{text} {extra}", defaults={"extra": ""}) == (
        "train: 2 of 3 rows have no {extra}; its default is used"
    )
    assert notes_of(rows[2:], capsys, prompt="{text} {extra}", defaults={"extra": ""}) == ""


def test_rows_without_a_group_are_counted_and_none_with_one_is_a_mistake(capsys):
    rows = [{"text": "x", "doc": doc} for doc in ({"id": 1}, {}, None)]
    assert notes_of(rows, capsys, group="{doc[id]}") == "train: 2 of 3 rows name no group; each is a group of its own"
    with pytest.raises(DataError, match=r"x\.jsonl: no row has the group \{doc\[di\]\}"):
        notes_of(rows, capsys, group="{doc[di]}")


def test_turns_that_no_template_names_are_counted(capsys):
    rows = [{"m": CHAT}, {"m": [SYSTEM, *CHAT]}, {"m": [*CHAT, *CHAT]}]
    task = {"prompt": "{m[-2][content]}", "target": "{m[-1][content]}"}
    line = "train: warning: 2 of 3 rows have turns that no template names (system, user, assistant); the model never sees them"
    assert notes_of(rows, capsys, **task) == line
    assert notes_of(rows[:1], capsys, **task) == ""
    assert notes_of([{"m": ["a", "b", "c"]}, {"m": None}], capsys, **task) == ""


def test_prepare_says_it(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, start in (("train", 0), ("test", 100)):
        rows = [
            {"text": row["text"], "team": row["team"]} | ({"extra": "soon"} if row["n"] % 2 else {}) for row in preparing.rows(10, start)
        ]
        preparing.write_file(tmp_path / f"{name}.jsonl", rows)
    task = preparing.task(prompt="Ticket: {text}\nMore: {extra}\nTeam:", defaults={"extra": "-"})
    heldout, train = preparing.prepare_both(task, tmp_path / "out", model)
    assert (heldout["examples"], train["examples"]) == (10, 10)
    assert "train: 5 of 10 rows have no {extra}" in " ".join(capsys.readouterr().err.split())
    note = {"kind": "default", "count": 5, "rows": 10, "sentence": "5 of 10 rows have no {extra}; its default is used"}
    assert (heldout["notes"], train["notes"]) == ([note], [note])


def test_zero_and_false_are_values_and_no_default(capsys):
    assert notes_of([{"text": "x", "extra": value} for value in (0, False)], capsys, prompt="{text} {extra}", defaults={"extra": "-"}) == ""


def test_what_a_format_does_not_read_is_named(capsys):
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello", "thinking": "short", "weight": 1}]
    rows = [
        {"instruction": "hi", "context": "", "response": "hello", "category": "qa", "doc": "1"},
        {"messages": turns, "doc": "2"},
        {"messages": [*turns[:1], turns[1] | {"thinking": None}], "doc": "2", "system": "Be brief.", "category": None},
    ]
    notes = notes_of(rows, capsys, prompt="", target="", group="{doc}")
    assert notes.endswith(
        "train: 2 of 3 rows hold more than the format reads (category, messages[].thinking); thinking: true reads thoughts"
    )
    assert "format reads" not in notes_of(rows[2:], capsys, prompt="", target="", group="{doc}")


def test_a_label_of_completions_is_read_where_it_is_true_or_false_alone(capsys):
    rows = [{"prompt": "hi", "completion": "hello", "label": label} for label in (True, "False", "spam")]
    assert "format reads" not in notes_of(rows[:1], capsys, prompt="", target="")
    assert "2 of 3 rows hold more than the format reads (label)" in notes_of(rows, capsys, prompt="", target="")
