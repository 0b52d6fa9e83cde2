"""Tasks written in a recipe: templates, labels, and the way through a stage's parameters."""

import datetime

import pytest

from pipeline import metrics
from pipeline.data import inline
from pipeline.data.inline import Template
from pipeline.errors import DataError, RecipeError
from pipeline.store.artifact import canonical
from pipeline.store.records import Example
from tests import preparing

FULL = {
    "labels": {"team": ["red", "blue"]}, "choices": ["red", "blue"], "answer": "choice", "metrics": ["accuracy"], "group": "{source[name]}",
    "stop": ["\n"], "max_new_tokens": 5, "data": {"hub": "a/b", "config": "en", "revision": "main", "train": "train", "heldout": "test"},
}  # fmt: skip


def fill(text, labels=None, **row):
    return Template(text, labels or {}).fill(row)


def test_a_task_makes_examples():
    example = inline.build_task(preparing.task(**FULL)).example({"text": "it broke", "team": 1, "source": {"name": "doc 7"}})
    assert example == Example("", "Ticket: it broke\nTeam:", "blue", ("red", "blue"), "doc 7")


def test_a_task_survives_its_spec():
    task = preparing.task(**FULL)
    there = inline.find(task)
    back = inline.from_spec(__import__("json").loads(canonical(inline.spec(task))))
    row = {"text": "x", "team": "0", "source": {"name": "d"}}
    assert back.example(row) == there.example(row)
    assert (back.train, back.heldout, back.metrics, back.stop, back.max_new_tokens, back.answer) == (
        there.train,
        there.heldout,
        there.metrics,
        there.stop,
        there.max_new_tokens,
        there.answer,
    )


def test_a_shipped_task_is_found_by_its_name():
    assert inline.find("shop_sentiment").name == "shop_sentiment"
    assert inline.spec("shop_sentiment") == "shop_sentiment"
    assert inline.from_spec("shop_sentiment") is inline.find("shop_sentiment")
    assert inline.columns("shop_sentiment") == {}


@pytest.mark.parametrize(
    ("template", "row", "text"),
    [
        ("{a} and {b}", {"a": "x", "b": "y"}, "x and y"),
        ("{{{a}}}", {"a": "x"}, "{x}"),
        ("{Long Name}: {a.b}", {"Long Name": "x", "a.b": "y"}, "x: y"),
        ("{a[b]}", {"a": {"b": "x"}}, "x"),
        ("{a[text][1]}", {"a": {"text": ["x", "y"]}}, "y"),
        ("{n} {f} {t} {l} {d}", {"n": 3, "f": 1.5, "t": True, "l": ["ä", 1], "d": {"k": None}}, '3 1.5 true ["ä", 1] {"k": null}'),
        ("on {day}", {"day": datetime.date(2020, 1, 2)}, 'on "2020-01-02"'),
        ("{a}{b}", {"a": "", "b": "y"}, "y"),
        ("Text: {a}\n", {"a": " "}, ""),
    ],
)
def test_template(template, row, text):
    assert fill(template, **row) == text


@pytest.mark.parametrize("row", [{}, {"a": None}, {"a": {}}, {"a": {"b": None}}, {"a": "text"}, {"a": 1}, {"a": []}])
def test_a_field_that_is_not_there(row):
    with pytest.raises(KeyError, match=r"a\[b\]"):
        fill("{a[b]}", **row)


@pytest.mark.parametrize("value", [1, "1", 1.0, True, " 1 "])
def test_a_label_names_a_number(value):
    assert fill("{y}", {"y": ("no", "yes")}, y=value) == "yes"


@pytest.mark.parametrize("value", [2, -1, "2", "yes", 0.5, float("nan"), [1], "1.0.0", 1e400])
def test_a_number_without_a_label(value):
    with pytest.raises(DataError, match="its labels are for 0 to 1"):
        fill("{y}", {"y": ("no", "yes")}, y=value)


def test_columns_are_those_of_all_templates():
    task = preparing.task(group="{doc[id]}{text}")
    assert inline.columns(inline.spec(task)) == {"text": "prompt", "team": "target", "doc": "group"}


def test_a_column_that_the_source_lacks():
    task = inline.spec(preparing.task(group="{document}"))
    inline.check_columns(task, ("text", "team", "document", "n"), "x.csv")
    with pytest.raises(DataError, match=r"group uses \{document\}, but x\.csv has no such column\.\n  Did you mean \{documents\}\?$"):
        inline.check_columns(task, ("text", "team", "documents"), "x.csv")


def test_a_task_whose_files_are_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    preparing.write_file(tmp_path / "train.jsonl", preparing.rows(2))
    with pytest.raises(DataError, match=r"task 'tickets': there is no file test\.jsonl"):
        inline.find(preparing.task())
    assert inline.from_spec(inline.spec(preparing.task())).name == "tickets"


def test_every_mistake_of_a_task_is_said():
    with pytest.raises(RecipeError) as error:
        inline.find(
            preparing.task(
                prompt="{a",
                target="yes",
                metrics=["acuracy"],
                labels={"b": ["x"]},
                data={"folder": "x", "hub": "a/b", "train": "t", "heldout": "t"},
            )
        )
    assert len(str(error.value).splitlines()) == 5


def test_answers_are_held_to_the_prompt_where_the_recipe_says_so():
    task = preparing.task()
    assert [inline.from_spec({**inline.spec(task), "grounded": grounded}).grounded for grounded in (False, True)] == ["", "text"]


def test_the_metrics_that_no_inline_task_can_have_are_those_that_read_more_than_a_target():
    readers = {name for name in metrics.names() if metrics.load(name).reads in ("tests", "samples")}
    assert set(metrics.NEEDS_FIELDS) == readers
    assert not readers & set(metrics.inline_names())


@pytest.mark.parametrize("name", metrics.inline_names())
def test_a_metric_over_json_is_known_by_taking_two_other_texts_for_equal(name):
    score = metrics.load(name).compute(predictions=["pears and apples"], references=["a wooden chair"])[name]
    assert (score == 1) == (name in metrics.READS_JSON)
