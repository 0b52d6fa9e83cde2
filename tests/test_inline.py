"""Tasks written in a recipe: templates, labels, and the way through a stage's parameters."""

import datetime
import math
from decimal import Decimal

import pytest

from pipeline import metrics
from pipeline.data import file_hashes, inline
from pipeline.data.templates import Template
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
        ("on {day}", {"day": datetime.date(2020, 1, 2)}, "on 2020-01-02"),
        ("at {time}", {"time": datetime.datetime(2024, 1, 7, 8)}, "at 2024-01-07 08:00:00"),
        ("{price}", {"price": Decimal("6.50")}, "6.50"),
        (
            "{l}",
            {"l": [Decimal("6.50"), Decimal("0.10000000000000000001"), datetime.date(2020, 1, 2)]},
            '[6.5, "0.10000000000000000001", "2020-01-02"]',
        ),
        ("{q: text} {w!r}", {"q: text": "x", "w!r": "y"}, "x y"),
        ("{a[-1][b]}", {"a": [{"b": "x"}, {"b": "y"}]}, "y"),
        ("{a}{b}", {"a": "", "b": "y"}, "y"),
        ("Text: {a}\n", {"a": " "}, ""),
    ],
)
def test_template(template, row, text):
    assert fill(template, **row) == text


@pytest.mark.parametrize(
    "row", [{}, {"a": None}, {"a": {"b": math.nan}}, {"a": {}}, {"a": {"b": None}}, {"a": "text"}, {"a": 1}, {"a": []}]
)
def test_a_field_that_is_not_there(row):
    with pytest.raises(KeyError, match=r"a\[b\]"):
        fill("{a[b]}", **row)


@pytest.mark.parametrize("value", [1, "1", 1.0, True, " 1 ", "1.0", "1.", "+1.00"])
def test_a_label_names_a_number(value):
    assert fill("{y}", {"y": ("no", "yes")}, y=value) == "yes"


@pytest.mark.parametrize("value", [2, -1, "2", "yes", 0.5, float("inf"), [1], "1.0.0", 1e400, "1_0", "0.5", "1e0", "nan", "", "٣"])
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


def test_labels_for_a_part_of_a_column_are_refused(tmp_path, monkeypatch):
    """They name numbers of whole columns, so the model would be trained on the numbers without a word."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.jsonl").write_text("{}", "utf-8")
    (tmp_path / "test.jsonl").write_text("{}", "utf-8")
    inline.find(preparing.task(target="{meta}", labels={"meta": ["red", "blue"]}))
    with pytest.raises(RecipeError, match=r"labels\.meta: it names the numbers of a whole column"):
        inline.find(preparing.task(target="{meta[team]}", labels={"meta": ["red", "blue"]}))


def test_answers_are_held_to_the_prompt_where_the_recipe_says_so():
    task = preparing.task()
    assert [inline.from_spec({**inline.spec(task), "grounded": grounded}).grounded for grounded in (False, True)] == ["", "text"]


def test_the_metrics_that_no_inline_task_can_have_are_those_that_read_more_than_a_target():
    readers = {name for name in metrics.names() if metrics.load(name).reads in ("tests", "samples")}
    assert set(metrics.NEEDS_FIELDS) == readers
    assert not readers & set(metrics.inline_names())


@pytest.mark.parametrize("name", metrics.inline_names())
def test_a_metric_over_json_is_known_by_giving_other_text_nothing(name):
    best = max(metrics.load(name).compute(predictions=[text], references=[text])[name] for text in ("3", "yes"))
    assert (best == 0) == (name in (*metrics.READS_JSON, *metrics.READS_CALLS))


def test_a_default_stands_where_a_field_is_missing_or_blank():
    task = preparing.task(prompt="{text}\nMore: {extra}", target="{label[text][0]}", defaults={"extra": "", "label[text][0]": "none"})
    make = inline.build_task(task).example
    for extra in ({}, {"extra": None}, {"extra": ""}, {"extra": " "}, {"extra": math.nan}):
        for label in ({"text": []}, {"text": [None]}, {}, None, {"text": [""]}):
            example = make({"text": "x", "label": label, **extra})
            assert (example.prompt, example.target) == ("x\nMore: ", "none")
    assert make({"text": "x", "extra": "y", "label": {"text": ["a", "b"]}}).target == "a"
    with pytest.raises(KeyError, match="text"):
        make({"extra": "y", "label": None})
    with pytest.raises(RecipeError, match=r"defaults: no template uses \{etxra\}\. Did you mean 'extra'\?"):
        inline.find(preparing.task(prompt="{text}{extra}", defaults={"etxra": ""}))


def test_a_column_with_a_default_may_be_missing_in_a_split():
    spec = inline.spec(preparing.task(prompt="{text} {extra}", defaults={"extra": ""}))
    inline.check_columns(spec, ("text", "team"), "x.jsonl")
    with pytest.raises(DataError, match=r"prompt uses \{text\}"):
        inline.check_columns(spec, ("extra", "team"), "x.jsonl")


def test_a_row_without_a_group_is_a_group_of_its_own():
    make = inline.build_task(preparing.task(group="{doc[id]}")).example
    groups = [make({"text": "x", "team": "red", **doc}).group for doc in ({}, {"doc": None}, {"doc": {"id": "a"}})]
    assert groups == ["", "", "a"]


CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
SYSTEM = {"role": "system", "content": "Be kind."}


def test_a_target_is_no_turn_of_somebody_who_asks():
    first, last = (inline.build_task(preparing.task(prompt="{m[0][content]}", target=f"{{m[{n}][content]}}")).example for n in (1, -1))
    assert first({"m": CHAT}).target == last({"m": CHAT}).target == last({"m": [SYSTEM, *CHAT]}).target == "Hello"
    with pytest.raises(DataError, match=r"\{m\[1\]\[content\]\} is a turn of 'user'; count turns from the end, as \{m\[-1\]"):
        first({"m": [SYSTEM, *CHAT]})
    other = inline.build_task(preparing.task(prompt="{c[0][value]}", target="{c[0][value]}")).example
    with pytest.raises(DataError, match="'human'"):
        other({"c": [{"from": "human", "value": "Hi"}]})


@pytest.mark.parametrize("value", [b"\xff", math.inf, -math.inf])
def test_a_value_that_is_no_text_is_refused(value):
    with pytest.raises(DataError, match=r"a is (binary|-?inf)"):
        fill("{a}", a=value)


def test_other_files_of_a_folder_are_no_part_of_the_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        preparing.write_file(tmp_path / "data" / f"{split}.jsonl", preparing.rows(2))
    task = preparing.task(data={"folder": "data", "train": "train", "heldout": "test"})
    before = file_hashes.of_task(inline.find(task))
    assert [*before] == ["data/train.jsonl", "data/test.jsonl"]
    preparing.write_file(tmp_path / "data" / "prepare" / "tickets--train" / "examples.jsonl", "{}")
    assert file_hashes.of_task(inline.find(task)) == before
    preparing.write_file(tmp_path / "data" / "test.jsonl", preparing.rows(3))
    assert file_hashes.of_task(inline.find(task)) != before


def test_the_files_of_a_saved_data_set_are_hashed(tmp_path):
    import datasets

    rows = datasets.Dataset.from_list(preparing.rows(2))
    datasets.DatasetDict(train=rows, test=rows, other=rows).save_to_disk(tmp_path / "saved")
    task = preparing.task(data={"folder": str(tmp_path / "saved"), "train": "train", "heldout": "test"})
    hashed = file_hashes.of_task(inline.find(task))
    assert {path.removeprefix(f"{tmp_path}/saved/").partition("/")[0] for path in hashed} == {"train", "test"}
    assert any(path.endswith(".arrow") for path in hashed)


@pytest.mark.parametrize(
    ("labels", "value", "name"),
    [
        ({0: "negative", 1: "positive"}, 1, "positive"),
        ({0: "negative", 1: "positive"}, "1.0", "positive"),
        ({-1: "negative", 1: "positive"}, -1.0, "negative"),
        ({"neg": "negative", "pos": "positive"}, "neg", "negative"),
        ({True: "spam", False: "fine"}, False, "fine"),
    ],
)
def test_labels_may_name_any_value(labels, value, name):
    task = preparing.task(labels={"team": labels}, choices=[])
    spec = __import__("json").loads(canonical(inline.spec(task)))
    assert inline.from_spec(spec).example({"text": "t", "team": value}).target == name
    assert sorted(inline.closed_set(spec)) == sorted(labels.values())
    with pytest.raises(DataError, match="team is 7, and its labels are for "):
        inline.from_spec(spec).example({"text": "t", "team": 7})
