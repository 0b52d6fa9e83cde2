"""Rows with several right answers, and rows to which no answer is the right one: an answer scores against the closest."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import metrics
from pipeline.data import inline
from pipeline.errors import RecipeError
from pipeline.models import renderer
from pipeline.scoring import constant_answers, parsers, right_answers, scoring
from pipeline.store.records import ACCEPTED, Example, Prediction
from tests import preparing

CITIES = [
    {"text": "where was the old clock made", "label": {"text": ["Rome", "the city of Rome"]}},
    {"text": "who bought the green chair", "label": {"text": []}},
    {"text": "where was the small box sold", "label": {"text": ["Paris", "Paris", "Lutetia", None, ""]}},
    {"text": "when did the blue lamp break", "label": {"text": None}},
]
ANY_OF = {"target": "{label[text][0]}", "accepted": "{label[text]}", "metrics": ["token_f1", "exact_match"]}
FEW = settings(max_examples=30, deadline=None, derandomize=True)


def prepared(tmp_path, monkeypatch, model, rows, **changes):
    monkeypatch.chdir(tmp_path)
    preparing.write_file(tmp_path / "test.jsonl", rows)
    preparing.write_file(tmp_path / "train.jsonl", [{**row, "text": f"{row['text']} number {n}"} for n, row in enumerate(rows)])
    definition = preparing.task(**changes)
    preparing.prepare_both(definition, tmp_path, model)
    return inline.find(definition), preparing.examples(tmp_path / "heldout"), preparing.examples(tmp_path / "train")


def by_text(examples):
    return {example.text.split("\n")[0].removeprefix("Ticket: "): example for example in examples}


def scored(task, examples, texts):
    """Comparison rows by metric, with the same texts of both arms but for the last of base, which is wrong."""

    def predictions(texts):
        return [Prediction(example.id, text, 1, "eos") for example, text in zip(examples, texts, strict=True)]

    arms = scoring.ArmPredictions(predictions([*texts[:-1], "something else"]), [predictions(texts)])
    settings = scoring.Settings("notes", task.metrics, resamples=200, options=task.metric_options)
    return scoring.compare(examples, arms, task.answer, settings)


@pytest.mark.parametrize("default", ["", "unanswerable"])
def test_any_right_answer_counts_and_none_where_the_recipe_says_so(tmp_path, monkeypatch, model, default):
    changes = ANY_OF | {"defaults": {"label[text][0]": default}}
    task, heldout, train = prepared(tmp_path, monkeypatch, model, CITIES, **changes)
    rows = by_text(heldout)
    assert [rows[row["text"]].right_answers for row in CITIES] == [
        ("Rome", "the city of Rome"),
        (default,),
        ("Paris", "Lutetia", *([""] if not default else [])),
        (default,),
    ]
    assert all("accepted" not in example.extra for example in train)
    ordered = [rows[row["text"]] for row in CITIES]
    result = scored(task, ordered, ["the city of Rome", default, "Lutetia", default])
    assert [(row["metric"], row["base"], row["tuned"]) for row in result.comparisons] == [("token_f1", 0.75, 1), ("exact_match", 0.75, 1)]
    assert result.lenient == {"base": 0.75, "tuned": 1}
    assert [row.get("accepted") for row in result.rows][:2] == [["the city of Rome"], None]
    assert result.counts["tuned"][0]["unparsed"] == 0


def test_nothing_is_learned_as_the_end_alone(tmp_path, monkeypatch, model):
    _, _, train = prepared(tmp_path, monkeypatch, model, CITIES, **ANY_OF | {"defaults": {"label[text][0]": ""}})
    render = renderer.renderer(model)
    example = next(example for example in train if not example.target)
    assert render.target_ids(example.prompt, "") == [render.end_id]
    assert render.token_counts([(example.prompt, "")]) == [(len(render.prompt_ids(example.prompt)), 1)]


@pytest.mark.parametrize("text", ["none", "?", "the", '""', "**", "Answer:", "unknown 3"])
@pytest.mark.parametrize("answer", ["text", "first_line", "number"])
@pytest.mark.parametrize("metric", metrics.TAKES_EMPTY)
def test_no_other_text_is_no_answer(metric, answer, text):
    task = inline.build_task(preparing.task(answer=answer, metrics=[metric], defaults={"team": ""}))
    examples = [Example("1", "q", ""), Example("2", "r", "5")]
    result = scored(task, examples, [text, "5"])
    (row,) = result.comparisons
    assert row["tuned"] < 1
    assert result.rows[0]["tuned"][0]["scores"][metric] == 0
    assert scored(task, examples, ["  \n", "5"]).comparisons[0]["tuned"] == 1


def test_a_list_in_text_is_read_and_other_text_is_refused(tmp_path, monkeypatch, model):
    rows = [
        {"text": "one", "team": "red", "others": '["crimson", "scarlet"]'},
        {"text": "two", "team": "blue", "others": "[]"},
        {"text": "three", "team": "green", "others": "teal"},
    ]
    monkeypatch.chdir(tmp_path)
    preparing.write_file(tmp_path / "test.jsonl", rows)
    preparing.write_file(tmp_path / "train.jsonl", rows)
    preparing.prepare_split(preparing.task(accepted="{others}"), "heldout", tmp_path / "heldout", model, max_bad_rows=0.5)
    answers = {example.text: example.right_answers for example in preparing.examples(tmp_path / "heldout")}
    assert answers == {"Ticket: one\nTeam:": ("red", "crimson", "scarlet"), "Ticket: two\nTeam:": ("blue",)}
    (fault,) = preparing.read_json(tmp_path / "heldout", "dropped.json").values()
    assert fault["value"] == "others is 'teal', where a list of right answers is expected"


def test_labels_and_words_around_an_entry_are_those_of_the_target():
    entry = preparing.task(target="Team {a}", accepted="Team {b}", labels={"a": ["red", "blue"], "b": ["red", "blue"]})
    example = inline.example_maker(entry)({"text": "x", "a": 1, "b": [1, 0, 0]})
    assert example.right_answers == ("Team blue", "Team red")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accepted": "red"}, "accepted must name one {column}, which holds a list"),
        ({"accepted": "{a} {b}"}, "accepted must name one {column}"),
        ({"accepted": "{a"}, "accepted: {a is not closed"),
        ({"accepted": "{a}", "metrics": ["bleu"]}, "bleu knows one right answer to a row"),
        ({"accepted": "{a}", "metrics": ["accuracy", "macro_f1"]}, "macro_f1 knows one right answer to a row"),
        ({"defaults": {"team": ""}, "metrics": ["chrf"]}, "chrf cannot score an empty target as right"),
        ({"defaults": {"team": " "}, "metrics": ["mae_similarity"]}, "mae_similarity cannot score an empty target as right"),
        ({"defaults": {"team": ""}, "answer": "json"}, "answer: json allows none"),
        ({"defaults": {"team": ""}, "choices": ["red", "blue"]}, "choices allows none"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_prepared(changes, words):
    with pytest.raises(RecipeError, match="tickets") as refused:
        inline.find(preparing.task(**changes))
    assert words in refused.value.problem
    assert "\n" not in refused.value.problem


def test_a_column_of_right_answers_in_the_prompt_is_told(tmp_path, monkeypatch, model):
    rows = [{"text": f"ticket {n}", "team": "red", "others": ["crimson", f"no {n}"]} for n in range(3)] + [
        {"text": "ticket 4", "team": "blue", "others": []}
    ]
    monkeypatch.chdir(tmp_path)
    preparing.write_file(tmp_path / "test.jsonl", rows)
    preparing.write_file(tmp_path / "train.jsonl", rows)
    definition = preparing.task(prompt="Ticket: {text} {others}\nTeam:", accepted="{others}")
    facts = preparing.prepare_split(definition, "heldout", tmp_path / "heldout", model)
    assert "target's column in prompt" in [warning["check"] for warning in facts["warnings"]]


def test_the_keys_of_tasks_without_it_stay():
    assert "accepted" not in inline.spec(preparing.task())
    assert inline.spec(preparing.task(accepted="{a}"))["accepted"] == "{a}"


def test_a_right_answer_that_the_parser_cannot_read_makes_a_bad_row(tmp_path, monkeypatch, model):
    rows = [{"text": f"n {n}", "team": str(n), "others": [str(n + 1)]} for n in range(3)] + [{"text": "x", "team": "3", "others": ["four"]}]
    monkeypatch.chdir(tmp_path)
    preparing.write_file(tmp_path / "test.jsonl", rows)
    preparing.write_file(tmp_path / "train.jsonl", rows)
    definition = preparing.task(accepted="{others}", answer="number", metrics=["accuracy"])
    preparing.prepare_split(definition, "heldout", tmp_path / "heldout", model, max_bad_rows=0.3)
    assert preparing.read_json(tmp_path / "heldout", "dropped.json")["bad value"]["count"] == 1


WORDS = st.sampled_from("Rome the city of Paris Lutetia 12 -3 2.5 заказ 好评".split())
TEXTS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
SEVERAL = [name for name in metrics.inline_names() if name not in (*metrics.ONE_RIGHT_ANSWER, *metrics.READS_JSON, *metrics.READS_CALLS)]


@pytest.mark.parametrize("name", SEVERAL)
@FEW
@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=4, unique=True))
def test_the_score_is_the_best_over_all_right_answers(name, text, golds):
    metric = metrics.load(name)
    alone = [of(metric, text, gold) for gold in golds]
    example = Example("1", "q", golds[0], extra={ACCEPTED: golds[1:]} if golds[1:] else {})
    rights = right_answers.gold_strings(metric.reads, example, parsers.text)
    best = right_answers.best_scores(metric, [text, "zebra"], [rights, rights])
    assert best.values[0] == pytest.approx(max(alone))
    assert metric.aggregate(best.statistics[:1].sum(axis=0)) == pytest.approx(max(alone))
    own = right_answers.best_scores(metric, golds, [rights] * len(golds)).values
    assert own == pytest.approx([max(of(metric, gold, other) for other in golds) for gold in golds])


def of(metric, text, gold):
    return metric.compute(predictions=[text], references=[gold], per_example=True)[f"{metric.name}_per_example"][0]


def test_json_objects_may_be_right_in_several_ways():
    entry = preparing.task(target="{one}", accepted="{all}", answer="json", metrics=["json_field_f1"])
    task = inline.build_task(entry)
    example = task.example({"text": "x", "one": {"city": "Rome"}, "all": [{"city": "Rome"}, {"city": "Roma"}]})
    assert example.right_answers == ('{"city": "Rome"}', '{"city": "Roma"}')
    other = task.example({"text": "y", "one": {"city": "Bonn"}, "all": []})
    examples = [Example("1", "x", example.target, extra=example.extra), Example("2", "y", other.target)]
    result = scored(task, examples, [json.dumps({"city": "Roma"}), '{"city": "Bonn"}'])
    assert result.comparisons[0]["tuned"] == 1


def test_an_answer_that_is_always_the_same_may_be_any_right_one():
    rows = [("red", ["blue"]), ("green", ["blue"]), ("red", [])]
    examples = [
        Example(str(n), f"q{n}", target, choices=("red", "green", "blue"), extra={ACCEPTED: others} if others else {})
        for n, (target, others) in enumerate(rows)
    ]
    tried = constant_answers.candidates(examples)
    constants = constant_answers.scores(metrics.load("accuracy"), tried, examples, parsers.choice)
    assert {row["answer"]: round(row["score"], 2) for row in constants} == {"red": 0.67, "blue": 0.67, "green": 0.33}


ODD_GOLDS = ["{}", "[]", '{"person": []}', "the", ".", "-", "''", "5", "red", "好评", '{"a": 1}']
UNREADABLE = ["", " \n", "{broken", '{"a": 1', "no object", "1.234", "[1, 2]", "<think>5"]
MEAN_OF_TEXTS = [name for name in metrics.names() if not name.startswith("pass_at_")]


@pytest.mark.parametrize(
    "parse", [parsers.text, parsers.first_line, parsers.json, parsers.number, parsers.sql, parsers.topics, parsers.choice]
)
@pytest.mark.parametrize("name", MEAN_OF_TEXTS)
def test_an_answer_that_was_not_read_is_never_right(name, parse):
    """Alone and in a corpus, whatever the target is, also where the metric takes all of it away or it says that there is nothing."""
    metric = metrics.load(name)
    for gold in ODD_GOLDS:
        examples = [Example(str(n), "q", gold, ("5", "red"), "", {"tests": json.dumps([[gold]])}) for n in range(len(UNREADABLE))]
        if parse(gold, examples[0]) is None:
            continue
        predictions = [Prediction(str(n), text, 1, "eos") for n, text in enumerate(UNREADABLE)]
        arm = scoring.read_arm("model", predictions, examples, parse)
        measured = scoring.measure(metric, [arm], examples, parse)
        unread = [n for n, answer in enumerate(arm.answers) if answer is None and (metric.reads != "text" or not UNREADABLE[n].strip())]
        assert [n for n in unread if measured.values[0, n]] == [], gold
        assert float(metric.aggregate(measured.statistics[0, unread].sum(axis=0))) == 0, gold
        assert arm.counts()["unparsed"] == sum(answer is None for answer in arm.answers) > 0


@pytest.mark.parametrize("metric", metrics.TAKES_EMPTY)
@pytest.mark.parametrize("others", [[], ["5"], ["about", "1.234"]])
def test_what_was_not_read_is_neither_nothing_nor_another_right_answer(metric, others):
    task = inline.build_task(preparing.task(answer="number", metrics=[metric], defaults={"team": ""}))
    examples = [Example("1", "q", "", (), "", {ACCEPTED: others} if others else {}), Example("2", "r", "5")]
    result = scored(task, examples, ["about 1.234", "5"])
    assert (result.rows[0]["tuned"][0]["scores"][metric], result.rows[0]["tuned"][0]["flags"]) == (0, ["unparsed"])


@pytest.mark.parametrize(
    ("metric", "gold", "text", "right"),
    [
        ("entity_f1", '{"person": []}', "{}", 1),
        ("entity_f1", '{"person": [], "place": null}', "Here: {'person': None}", 1),
        ("entity_f1", "{}", "[]", 1),
        ("entity_f1", '{"person": []}', "I see no name.", 0),
        ("entity_f1", '{"person": []}', '{"person": ["Ann"', 0),
        ("entity_f1", '{"person": []}', '{"person": ["Ann"]}', 0),
        ("json_field_f1", "{}", "{}", 1),
        ("json_field_f1", "{}", "```json\n{}\n```", 1),
        ("json_field_f1", "{}", "", 0),
        ("json_field_f1", "{}", '{"a": }', 0),
        ("json_field_f1", '{"a": null}', '{"a": []}', 1),
        ("json_field_f1", '{"a": null}', "{}", 0),
    ],
)
def test_nothing_is_right_where_it_is_said_and_not_where_nothing_was_read(metric, gold, text, right):
    task = inline.build_task(preparing.task(answer="json", metrics=[metric]))
    full = '{"person": ["Bo"]}'
    (row,) = scored(task, [Example("1", "q", gold), Example("2", "q", full), Example("3", "r", full)], [text, full, full]).comparisons
    assert (row["tuned"] == 1) is bool(right)
    alone = scoring.score_two_arms(*two_arms(metric, task, gold, text))
    assert [row["scores"] for row in alone] == [[right, right]]


def two_arms(metric, task, gold, text):
    examples = [Example("1", "q", gold)]
    arm = scoring.read_arm("model", [Prediction("1", text, 1, "eos")], examples, task.answer)
    return metrics.load(metric), arm, arm, examples, task.answer


@pytest.mark.parametrize(
    ("text", "right", "is_in"),
    [
        ("unknown", "no", False),
        ("No, as it seems.", "no", True),
        ("it is unknown, so no", "no", True),
        ("know", "no", False),
        ("11", "1", False),
        ("1 of 11", "1", True),
        ("costs $5.", "$5", True),
        ("a$5", "$5", True),  # a sign is a boundary by itself
        ("C++", "C", True),
        ("c++ it is", "C++", True),
        ("首都是东京。", "东京", True),  # no blanks between words
        ("共5个", "5", True),
        (" ", "", True),
        ("x", "", False),
        ("New  York", "york", True),
    ],
)
def test_a_text_contains_whole_words(text, right, is_in):
    assert right_answers.contains(text, right) == is_in
