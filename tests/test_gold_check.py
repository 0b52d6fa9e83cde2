"""A metric that cannot tell a task's targets right is refused before anything is trained."""

import re

import pytest

from pipeline.errors import DataError
from pipeline.metrics import numbers
from tests import preparing


def prepared(tmp_path, monkeypatch, model, targets, **changes):
    monkeypatch.chdir(tmp_path)
    rows = [{"text": f"ticket {n}", "team": target} for n, target in enumerate(targets)]
    preparing.write_file(tmp_path / "test.jsonl", rows)
    preparing.write_file(tmp_path / "train.jsonl", rows)
    return preparing.prepare_split(preparing.task(**changes), "heldout", tmp_path / "heldout", model)


@pytest.mark.parametrize(
    ("targets", "changes", "words"),
    [
        (["заказ отправлен", "магазин закрыт"], {"metrics": ["paper_rouge"]}, "paper_rouge gives 2 of 2 targets less than 1.*Take rougeL"),
        (["1,500", "1,550"], {"metrics": ["mae_similarity"]}, "can be read in two ways, so set decimal_mark"),
        (["1,500", "1,550"], {"metrics": ["accuracy"], "answer": "number"}, "can be read in two ways, so set decimal_mark"),
        (["1,500", "1,550"], {"metrics": ["mae_similarity"], "decimal_mark": "."}, "reach from 1500 to 1550.*span: 100"),
        (["1,500", "1,550"], {"metrics": ["mae_similarity", "exact_match"]}, "first '1,5.0'.*decimal_mark"),
        (["none", "3"], {"metrics": ["mae_similarity", "exact_match"]}, "mae_similarity gives 1 of 2 targets less than 1"),
    ],
)
def test_targets_that_a_metric_cannot_tell_right_are_refused(tmp_path, monkeypatch, model, targets, changes, words):
    with pytest.raises(DataError) as refused:
        prepared(tmp_path, monkeypatch, model, targets, **changes)
    assert re.search(words, f"{refused.value.problem} {refused.value.remedy}", re.DOTALL)


@pytest.mark.parametrize(
    ("targets", "changes"),
    [
        (["заказ отправлен", "магазин закрыт"], {"metrics": ["rougeL", "bleu", "chrf", "token_f1"]}),
        (["1,500", "1,550"], {"metrics": ["mae_similarity"], "decimal_mark": ".", "span": 100}),
        (["1.500", "2,50"], {"metrics": ["accuracy"], "answer": "number", "decimal_mark": ","}),
        (["2,50 €", "7,50 €"], {"metrics": ["accuracy"], "answer": "number"}),
    ],
)
def test_targets_that_it_can_tell_are_taken(tmp_path, monkeypatch, model, targets, changes):
    assert prepared(tmp_path, monkeypatch, model, targets, **changes)["selected"] == 2


@pytest.mark.parametrize(
    ("choices", "changes", "words"),
    [
        (("AA", "Aa", "aa"), {"metrics": ["accuracy"]}, "accuracy takes one label for another: 'AA' scores 1 where 'Aa'.*exact_match"),
        (("Masse", "Maße"), {"metrics": ["macro_f1"]}, "macro_f1 takes one label for another.*exact_match"),
        (("C", "C++", "C#"), {"metrics": ["rougeL"], "answer": "choice"}, "rougeL takes one label for another: 'C' scores 1"),
        (("red", "red "), {"metrics": ["exact_match"]}, "exact_match takes one label for another.*Rename"),
    ],
)
def test_choices_that_a_metric_takes_for_each_other_are_refused(tmp_path, monkeypatch, model, choices, changes, words):
    with pytest.raises(DataError) as refused:
        prepared(tmp_path, monkeypatch, model, choices, choices=choices, **changes)
    assert re.search(words, f"{refused.value.problem} {refused.value.remedy}", re.DOTALL)


def test_labels_of_numbers_are_held_to_the_same(tmp_path, monkeypatch, model):
    labels = {"labels": {"team": ["AA", "aa"]}}
    with pytest.raises(DataError, match="accuracy takes one label for another"):
        prepared(tmp_path, monkeypatch, model, [0, 1], metrics=["accuracy"], **labels)
    assert prepared(tmp_path, monkeypatch, model, [0, 1], metrics=["exact_match"], **labels)["selected"] == 2
    assert prepared(tmp_path, monkeypatch, model, [0, 1, 2], metrics=["accuracy"], labels={"team": ["a", "a", "b"]})["selected"] == 3


@pytest.mark.parametrize(
    ("choices", "metric"), [(("AA", "Aa", "aa"), "exact_match"), (("C", "C++", "C#"), "accuracy"), (("A", "B"), "token_f1")]
)
def test_choices_that_it_tells_apart_are_taken(tmp_path, monkeypatch, model, choices, metric):
    assert prepared(tmp_path, monkeypatch, model, choices, choices=choices, answer="choice", metrics=[metric])["selected"] == len(choices)


def test_a_few_such_targets_are_told(tmp_path, monkeypatch, model, capsys):
    prepared(tmp_path, monkeypatch, model, ["a", "b"] * 10 + ["заказ"], metrics=["paper_rouge"])
    assert "paper_rouge gives 1 of 21 targets less than 1 against themselves, first 'заказ'." in " ".join(capsys.readouterr().err.split())


def test_doubtful_numbers():
    assert all(map(numbers.is_doubtful, ("1.234", "costs 1,234 €")))
    assert not any(map(numbers.is_doubtful, ("2,50", "0.125", "1.234,5")))
