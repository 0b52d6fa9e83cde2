"""What the parsers read out of a model's text, and that they leave targets of their kind as they are."""

import json

import pytest

from pipeline import answers
from pipeline.records import Example

LABELS = ("entailment", "not entailment", "Neutral")


def example(choices=()):
    return Example("1", "?", "-", tuple(choices))


@pytest.mark.parametrize(
    ("parse", "target"),
    [
        (answers.text, "two\nlines, and a # sign"),
        (answers.first_line, "one line"),
        (answers.choice, "not entailment"),
        (answers.choice, "entailment"),
        (answers.choice, "Neutral"),
        (answers.number, "18"),
        (answers.number, "-3.5"),
        (answers.number, "0"),
        (answers.json, json.dumps({"a": {"c": [1.5, None, True]}, "b": 1, "é": "Öl"}, ensure_ascii=False)),
        (answers.json, "{}"),
    ],
)
def test_a_target_is_its_own_answer(parse, target):
    assert parse(target, example(LABELS)) == target


@pytest.mark.parametrize(
    ("parse", "target"), [(answers.number, "so it is 1,018.50"), (answers.json, '{"b":1,"a":2}'), (answers.choice, "NEUTRAL!")]
)
def test_what_was_read_is_read_again(parse, target):
    read = parse(target, example(LABELS))
    assert read != target
    assert parse(read, example(LABELS)) == read


@pytest.mark.parametrize("parse", [answers.text, answers.first_line, answers.choice, answers.number, answers.json])
@pytest.mark.parametrize("text", ["", " \n\t ", "\u200b?!"])
def test_nothing_is_read_where_nothing_stands(parse, text):
    assert parse(text, example(LABELS)) in (None, text.strip() or None)


def test_text_is_stripped():
    assert answers.text(" \n a b \n", example()) == "a b"


def test_first_line_skips_blank_lines():
    assert answers.first_line("\n  \n  yes \nand more", example()) == "yes"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("NOT Entailment.", "not entailment"),
        ("entailment, not neutral", "entailment"),
        ("I think: neutral", "Neutral"),
        ("**Entailment**", "entailment"),
        ("entailments", None),
        ("no idea", None),
    ],
)
def test_choice_is_the_first_whole_word(text, read):
    assert answers.choice(text, example(LABELS)) == read


def test_choice_prefers_the_exact_spelling():
    assert answers.choice("b", example(["B", "b"])) == "b"
    assert answers.choice("B", example(["b", "B"])) == "B"


def test_choice_may_hold_signs():
    assert answers.choice("the answer is (c++).", example(["c", "c++"])) == "c++"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("16 - 3 - 4 = 9, so\n#### 18", "18"),
        ("#### 1,018.00 dollars, not 7", "1018"),
        ("first 3, then 4", "4"),
        ("it costs $2,125.50.", "2125.5"),
        ("5-3", "3"),
        ("x = -3", "-3"),
        ("x = \u22123", "-3"),
        ("H2O", None),
        ("5kg", "5"),
        ("1,2,3", "3"),
        (".50", "0.5"),
        ("2e-4", "0.0002"),
        ("-0.0", "0"),
        ("#### none", None),
    ],
)
def test_number(text, read):
    assert answers.number(text, example()) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('Sure: {"a":1,\n "b":"x}"} and {"c": 2}', '{"a": 1, "b": "x}"}'),
        ('{broken {"a": 1}', '{"a": 1}'),
        ('{"a": {"b": 1}', '{"b": 1}'),
        ('{"b": 1, "a": 2}', '{"a": 2, "b": 1}'),
        ("[1, 2]", None),
        ('{"a": NaN}', None),
        ('{"a": "\\ud800"}', None),
        ('{"a":' * 3000, None),
    ],
)
def test_json(text, read):
    assert answers.json(text, example()) == read
