"""The best answer that needs no model: which answers are tried, and which one is chosen."""

import json

import pytest

from pipeline import metrics
from pipeline.scoring import constant_answers, parsers
from pipeline.store.records import Example


def examples(targets, choices=(), **extra):
    return [Example(f"e{n}", f"question {n}", target, choices, **extra) for n, target in enumerate(targets)]


def as_written(text, _):
    return text


def best(metric, rows, parse=as_written, **options):
    return constant_answers.best(metrics.load(metric, **options), rows, parse)


def test_of_a_closed_set_every_answer_is_tried_the_most_common_first():
    rows = examples(["no", "yes", "yes", "maybe", "no", "yes"], ("yes", "no", "maybe"))
    assert constant_answers.candidates(rows) == ["yes", "no", "maybe"]
    assert best("accuracy", rows) == {"answer": "yes", "score": 0.5}


def test_of_equal_answers_the_most_common_one_is_chosen_then_the_first():
    assert best("accuracy", examples(["b", "a", "a", "b"], ("a", "b")))["answer"] == "b"


def test_a_closed_set_of_any_size_is_tried_whole():
    """The best one may be a rare one: here the middle of a scale whose ends are common."""
    targets = ["1", "5"] * 6 + [str(2 + n / 20) for n in range(41)]
    rows = examples(targets)
    assert len(constant_answers.candidates(rows)) == len(set(targets)) > constant_answers.MAX_CANDIDATES
    chosen = best("mae_similarity", rows, parsers.number, span=4.0)["answer"]
    assert 2.8 <= float(chosen) <= 3.2


def test_of_many_numbers_the_median_is_tried():
    """By value, not by spelling: the middle of 1 to 999 as strings lies elsewhere."""
    rows = examples([str(n) for n in (*range(1, 200), *range(900, 1000), 7, 7)])
    candidates = constant_answers.candidates(rows)
    assert candidates[0] == "149"
    assert candidates[1] == "7"
    assert len(candidates) == 1 + constant_answers.MAX_CANDIDATES


def test_the_median_wins_where_the_distance_counts():
    rows = examples([str(n) for n in range(1, 202)] + ["1", "1"])
    by_distance = best("mae_similarity", rows, parsers.number, span=200.0)
    assert by_distance["answer"] == "100"
    assert best("accuracy", rows, parsers.number)["answer"] == "1"


def test_an_open_set_tries_its_most_common_targets():
    targets = [f"rare {n}" for n in range(50)] + ["common"] * 3 + ["second"] * 2
    candidates = constant_answers.candidates(examples(targets))
    assert candidates[:2] == ["common", "second"]
    assert len(candidates) == constant_answers.MAX_CANDIDATES
    assert best("exact_match", examples(targets)) == {"answer": "common", "score": pytest.approx(3 / 55)}


def test_an_open_set_is_chosen_on_its_first_examples():
    targets = [f"rare {n}" for n in range(constant_answers.MAX_EXAMPLES)] + ["late"] * 600
    assert best("exact_match", examples(targets))["answer"] != "late"


def test_one_target_alone_is_the_answer():
    assert best("accuracy", examples(["yes"] * 3, ("yes", "no"))) == {"answer": "yes", "score": 1.0}


def test_answers_are_read_as_those_of_a_model():
    rows = examples(["The answer is 4", "4", "7"])
    assert best("accuracy", rows, parsers.number) == {"answer": "The answer is 4", "score": pytest.approx(2 / 3)}


def test_a_corpus_metric_is_that_of_the_corpus():
    """Micro-averaged F1 is no mean of examples; the score is the metric's own."""
    rows = examples(['{"a": 1}', '{"a": 1, "b": 2}', '{"c": 3}'])
    chosen = best("entity_f1", rows)
    own = metrics.load("entity_f1").compute(predictions=[chosen["answer"]] * 3, references=[row.target for row in rows])
    assert chosen["score"] == pytest.approx(own["entity_f1"])


def test_without_examples_there_is_none():
    assert best("accuracy", []) is None
    assert constant_answers.candidates([]) == []


def test_programs_have_none_and_nothing_is_run():
    rows = examples(["def f(): return 1"] * 2, extra={"tests": "assert f() == 1"})
    for name in ("pass_at_1", "pass_at_k"):
        assert best(name, rows) is None


def test_annotated_answers_decide_where_the_metric_reads_them():
    rows = [Example(f"e{n}", "?", target, (), extra={"tests": json.dumps([[target], ["4"]])}) for n, target in enumerate(["5", "4", "6"])]
    assert best("drop_em", rows)["answer"] == "4"
    assert best("drop_em", examples(["5", "4"])) is None  # without annotations nothing can be scored


def test_a_majority_class_is_that_of_all_examples():
    """Among the first ones another class leads."""
    first = constant_answers.MAX_EXAMPLES
    rows = examples(["yes"] * (first - 200) + ["no"] * 200 + ["no"] * first, ("yes", "no"))
    assert best("accuracy", rows)["answer"] == "no"
