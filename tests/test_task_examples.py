"""What the tasks that write text, records and code make of their rows, invented and real."""

import json

import pytest

from pipeline import metrics
from pipeline.data import task
from pipeline.data.files import BadRow
from tests import task_rows
from tests.task_hub import fixture, used_rows

FIRST = {
    "bc5cdr": ("A cup of quinine water cured", "{'B-Chemical': ['quinine'], 'B-Disease': ['river'], 'I-Disease': ['fever']"),
    "conllpp": ("Input: Green Mill of Oakton lost", '{"person": [], "organization": ["Green Mill", "Red Barn"], "location": ["Oakton"]'),
    "e2e_nlg": ("name[Blue Spoon], eatType[coffee shop]", "Blue Spoon is a coffee shop"),
    "viggo": ("Representation: confirm(name[Frog Lane])\nOutput:", "You are thinking of Frog Lane"),
    "webnlg": ("Old_Bridge | length | 90.0\nOld_Bridge | river | Elm_River\nOutput:", "The Old Bridge over the Elm River"),
    "tldr_content_gen": ("Headline: Moon gravel sells out\nContent:", "All gravel from the last trip"),
    "tldr_headline_gen": ("Passage: All gravel from the last trip", "Moon gravel sells out"),
    "magicoder": ("Problem:\ndef thrice(number: int)", "def thrice(number: int)"),
    "mbpp": ("drop the first and last letter of a word.\nTests:\nassert inner(", "def inner(word): \n    return word[1:-1]"),
    "wikisql": ("Columns: No. in series (real), Title (text), Viewers (text)\nRows:\n1 | The Key | 2.1\n", "SELECT Title FROM table WHERE"),
    "hellaswag_processed": ("Passage: A boy holds a rod over the lake. He\nEnding:", "waits for a fish to bite."),
    "drop": ("Question: How many trips were there in all?\n", "8"),
    "gsm8k": ("Question: Ida walks 4 miles a day for 5 days. How far is that?\nAnswer:", "She walks 4*5=<<4*5=20>>20 miles.\n#### 20"),
}
"""Of the first held-out example: a part of the prompt, and the start of the target."""


@pytest.mark.parametrize("name", FIRST)
def test_the_first_example(name):
    example = task_rows.examples(task.find(name))[0]
    question, answer = FIRST[name]
    assert question in example.prompt
    assert example.target.startswith(answer)


@pytest.mark.parametrize(
    ("spans", "types", "answers", "target"),
    [
        (["3"], ["number"], [["3"]], "3"),
        (["3", "3", "3"], ["number"] * 3, [["3"]], "3"),
        (["a", "b", "a", "b"], ["span"] * 4, [["a", "b"]], "a, b"),
        (["Bo", "Cy", "Cy", "Bo"], ["span"] * 4, [["Bo", "Cy"]], "Bo, Cy"),
        (["Bo", "Cy", "Di", "di", "cy", "bo"], ["span"] * 6, [["Bo", "Cy", "Di"]], "Bo, Cy, Di"),
        (["Bears", "the Chicago Bears"], ["span"] * 2, [["Bears"], ["the Chicago Bears"]], "Bears"),
        (["3", "three"], ["number", "span"], [["3"], ["three"]], "3"),
        (["3", "4"], ["number"] * 2, [["3"], ["4"]], "3"),
        (["Bears", "Chicago Bears", "Bears"], ["span"] * 3, [["Bears"], ["Chicago Bears"]], "Bears"),
        (["2", "Bo", "Cy", "Cy", "Bo"], ["number", *["span"] * 4], [["Bo", "Cy"], ["2"]], "Bo, Cy"),
        (["Oak, Ohio", "Elm"] * 2, ["span"] * 4, [["Oak, Ohio", "Elm"]], "Oak, Ohio; Elm"),
        (["a; b", "c, d"] * 2, ["span"] * 4, [["a; b", "c, d"]], '["a; b", "c, d"]'),
    ],
)
def test_the_annotated_answers_of_drop_are_told_apart(spans, types, answers, target):
    changes = {"annotations": {"spans": spans, "types": types}}
    example = task_rows.example_of(task.find("drop"), **changes)
    assert example.target == target
    assert json.loads(example.extra["tests"]) == answers
    for name in ("drop_f1", "drop_em"):
        score = metrics.load(name).score
        assert score(example.target, example.extra["tests"]) == 1
        assert all(score(json.dumps(answer[::-1]), example.extra["tests"]) == 1 for answer in answers)
        parts = [span for answer in answers if len(answer) > 1 for span in answer]
        assert all(score(part, example.extra["tests"]) < 1 for part in parts)


@pytest.mark.parametrize(
    "spans",
    [
        ["Bo", "Cy"],
        ["Bo", "Cy", "Bo"],
        ["36-yard field goal", "23-yard field goal"],
        ["Bears", "the Chicago Bears", "Packers"],
        ["Bo", "Cy", "Bo", "Cy", "Di"],
    ],
)
def test_a_row_of_drop_of_which_half_an_answer_could_be_right_is_left_out(spans):
    row = task_rows.example_of(task.find("drop"), annotations={"spans": spans, "types": ["span"] * len(spans)})
    assert isinstance(row, BadRow)
    assert row.value == f"it cannot be told which spans one annotator gave: {', '.join(spans)}"
    mixed = {"spans": ["3", *spans], "types": ["number", *["span"] * len(spans)]}
    assert isinstance(task_rows.example_of(task.find("drop"), annotations=mixed), BadRow)


@pytest.mark.parametrize(
    ("spans", "target"),
    [(["Bo", "Cy"], "Bo, Cy"), (["Moss"], "Moss"), (["Bo", "Cy", "Bo"], "Bo"), (["Oak, Ohio", "Elm"], "Oak, Ohio; Elm")],
)
def test_a_training_row_of_drop_keeps_its_target(spans, target):
    changes = {"answers_spans": {"spans": spans, "types": ["span"] * len(spans)}}
    assert task_rows.example_of(task.find("drop"), "train", **changes).target == target


@pytest.mark.parametrize(
    ("prediction", "em", "f1"),
    [
        ("Bo Ek, Cy", 1, 1),
        ("Cy and Bo Ek", 1, 1),
        ("Cy; Bo Ek", 1, 1),
        ("Cy, and the Bo Ek.", 1, 1),
        ("Cy & Bo Ek", 1, 1),
        ('["Cy", "Bo Ek"]', 1, 1),
        ("Bo Ek", 0, 0.5),
        ("Bo Ek, Cy, Di", 0, 2 / 3),
        ("Di, Fa", 0, 0),
    ],
)
def test_an_answer_of_several_spans_may_be_plain_text(prediction, em, f1):
    reference = json.dumps([["Bo Ek", "Cy"]])
    assert metrics.load("drop_em").score(prediction, reference) == em
    assert metrics.load("drop_f1").score(prediction, reference) == pytest.approx(f1)


def test_one_span_is_never_taken_apart():
    assert metrics.load("drop_em").score("Ohio, Oak", json.dumps([["Oak"]])) == 0
    assert metrics.load("drop_em").score("1,000", json.dumps([["1", "000"]])) == 0


def test_only_the_rows_of_webnlg_with_references_are_scored():
    best = task.find("webnlg").heldout[0]
    rows = fixture("webnlg", best)
    assert used_rows(rows, best) == rows[:3]  # behind them stand the same without texts, and one of the other challenge
    unmarked = [row | {"test_category": ""} for row in rows]
    assert used_rows(unmarked, best) == [*unmarked[:3], unmarked[6]]  # an older copy does not say which are which


def test_an_item_of_reuters_without_a_body_stays():
    reuters = task.find("reuters")
    for body in (None, "", " \n"):
        example = task_rows.example_of(reuters, title="WHEAT UP", text=body)
        assert example.prompt.startswith("Title: WHEAT UP\nBody: \n\nWhat is the topic")
        assert example.extra == {}
    assert task_rows.example_of(reuters, title=None).prompt.startswith("Title: \nBody: Stocks of wheat")
    assert task_rows.example_of(reuters, title=None, text=None) == BadRow("bad value", "neither title nor text")
    assert [part[0].rows for part in (reuters.train, reuters.heldout)] == [7780, 3022]


@pytest.mark.parametrize(
    "text",
    [
        "governing-laws", "Governing Laws", '"Governing-Laws."', "governing_laws", "**Governing Laws**", "Clause type: governing-laws",
        "The clause type is: Governing  Laws.\nMore words", "'governing laws'!", "Clause Type: `governing_laws`",
    ],
)  # fmt: skip
def test_the_type_of_a_clause_is_read_whatever_is_around_it(text):
    legal = task.find("legal")
    example = task_rows.example_of(legal, clause_type="governing-laws")
    assert legal.answer(text, example) == legal.answer(example.target, example) == "governing-laws"
    assert set(task_rows.scores(legal, [example], [text]).items()) >= {("rougeL", 1.0), ("accuracy", 1.0)}
    assert legal.answer("clause types", example) == "clause-types"
    assert legal.answer("...", example) is None


@pytest.mark.parametrize("name", ["conllpp", "bc5cdr"])
def test_entities_are_read_in_the_spelling_of_json_and_of_python(name):
    of = task.find(name)
    example = task_rows.examples(of)[0]
    named = json.loads(of.answer(example.target, example))
    nulls = json.dumps({key: value or None for key, value in named.items()})
    texts = [json.dumps(named), str(named), f"Here:\n```python\n{named}\n```", nulls]
    assert {of.answer(text, example) for text in texts} == {of.answer(example.target, example)}
    assert of.answer("no dictionary", example) is None
    assert task.find("conllpp").constraint == "keys"


def test_an_entity_may_begin_without_its_b():
    from pipeline.tasks import conllpp

    tags = ["I-PER", "I-PER", "I-LOC", "B-LOC", "O", "I-LOC"]
    assert conllpp.spans("a b c d e f".split(), tags) == [("PER", ["a", "b"]), ("LOC", ["c"]), ("LOC", ["d"]), ("LOC", ["f"])]


def test_a_long_table_is_shown_in_part_and_may_be_cut_further():
    example = task_rows.examples(task.find("wikisql"))[2]
    start, end = example.extra["cut"]
    assert example.prompt[start:end].splitlines() == [f"Town {n} | Rider {n}" for n in range(20)]
    assert example.prompt.endswith("\n\nQuestion: Who won in Redhill?\nSQL:")


def test_tokens_that_repeat_stay_in_the_dictionary_in_their_order():
    targets = [example.target for example in task_rows.examples(task.find("bc5cdr"), "train")]
    assert targets[3] == "{'B-Chemical': ['lithium', 'lithium'], 'B-Disease': ['hand'], 'I-Disease': ['tremor'], 'I-Chemical': []}"
    assert targets[2] == "{'B-Chemical': [], 'B-Disease': [], 'I-Disease': [], 'I-Chemical': []}"


# Whole real data sets, where they are here.

REAL = [
    ("viggo", "viggo/train", 5103, 1675, "Dirt: Showdown from 2012 is a sport racing game"),
    ("viggo", "viggo/test", 1083, 359, "I remember you saying you found"),
    ("e2e_nlg", "e2e_nlg/train", 42061, 4862, "The Vaults pub near Café Adriatic"),
    ("e2e_nlg", "e2e_nlg/test", 4693, 630, "A coffee shop in the city centre area"),
    ("gsm8k", "gsm8k/train", 7473, 1, "72"),
    ("gsm8k", "gsm8k/test", 1319, 1, "18"),
    (
        "conllpp",
        "conllpp/train",
        14041,
        1,
        '{"location": [], "miscellaneous": ["German", "British"], "organization": ["EU"], "person": []}',
    ),
    ("conllpp", "conllpp/test", 3453, 1, '{"location": ["JAPAN", "CHINA"], "miscellaneous": [], "organization": [], "person": []}'),
    ("magicoder", "humaneval/test", 164, 1, "from typing import List\n\n\ndef has_close_elements("),
    ("mbpp", "mbpp/train", 374, 1, "class Pair(object): \n\tdef __init__("),
    ("mbpp", "mbpp/test", 500, 1, "def remove_Occ(s,ch): \n"),
]


def real(name, path):
    return task_rows.converted(task.find(name), [*task_rows.real(path)])


@pytest.mark.parametrize(("name", "path", "rows", "groups", "answer"), REAL)
def test_every_real_row_is_an_example(name, path, rows, groups, answer):
    examples = real(name, path)
    assert len(examples) == rows
    assert not [example for example in examples if isinstance(example, BadRow)]
    assert len({example.group for example in examples}) == groups
    assert task.find(name).answer(examples[0].target, examples[0]).startswith(answer)
    source = getattr(task.find(name), "train" if path.endswith("train") else "heldout")[0]
    assert source.rows == rows


def test_the_entities_of_conllpp_are_those_that_are_known():
    entities = [json.loads(example.target) for split in ("train", "validation", "test") for example in real("conllpp", f"conllpp/{split}")]
    assert sum(not any(named.values()) for named in entities) == 4232
    assert len(entities) == 20744
    counts = {kind: sum(len(named[kind]) for named in entities[:14041]) for kind in entities[0]}
    assert counts == {"person": 6600, "organization": 6321, "location": 7140, "miscellaneous": 3438}  # as published with CoNLL-2003


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "path", "step"), [("magicoder", "humaneval/test", 1), ("mbpp", "mbpp/train", 6), ("mbpp", "mbpp/test", 6)]
)
def test_real_solutions_pass_their_tests(name, path, step):
    examples = real(name, path)[::step]
    assert task_rows.scores(task.find(name), examples, [example.target for example in examples]) == {"pass_at_1": 1.0}
