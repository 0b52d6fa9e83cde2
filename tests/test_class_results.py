"""Precision, recall and F1 by class and what is confused with what, against figures worked out by hand and by plain loops."""

import random
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.schema import InlineTask
from pipeline.data import inline
from pipeline.measures.class_types import ClassResults
from pipeline.page import claims_section, class_tables, classes_section
from pipeline.page.cells import Cell
from pipeline.scoring import scoring
from pipeline.store.artifact import ArtifactSpec, Store
from pipeline.store.records import ACCEPTED, Example, Prediction
from pipeline.store.result_folders import ComparisonFolder
from tests import report_answers
from tests.report_inputs import Chartless, Inputs, Row

COLOURS = ("red", "green", "blue")
ENTRY = {"name": "task", "data": {"train": "a.jsonl", "heldout": "b.jsonl"}, "prompt": "{p}", "target": "{t}"}
CLOSED = {**ENTRY, "choices": COLOURS, "answer": "choice", "metrics": ["accuracy", "macro_f1"]}
OPEN = {**ENTRY, "answer": "first_line", "metrics": ["rougeL", "accuracy"]}
SETS = {**ENTRY, "answer": "first_line", "metrics": ["set_f1"]}


@dataclass
class Answered:
    """Targets, and what arms answered to them, scored by the product in a real folder."""

    root: Path
    entry: Row
    targets: list[str]
    base: list[str]
    tuned: list[list[str]]
    others: dict[str, list[str]] = field(default_factory=dict)
    accepted: dict[int, list[str]] = field(default_factory=dict)

    def cell(self) -> Cell:
        spec = InlineTask.model_validate(self.entry).model_dump(mode="json")
        task = inline.from_spec(spec)
        examples = [Example(str(number), "p", target, task.choices) for number, target in enumerate(self.targets)]
        examples = [replace(one, extra={ACCEPTED: self.accepted[n]}) if n in self.accepted else one for n, one in enumerate(examples)]

        def predictions(texts: list[str]) -> list[Prediction]:
            return [Prediction(str(number), text, 2, "eos") for number, text in enumerate(texts)]

        arms = scoring.ArmPredictions(
            predictions(self.base), list(map(predictions, self.tuned)), {name: predictions(texts) for name, texts in self.others.items()}
        )
        scored = scoring.compare(examples, arms, task.answer, scoring.Settings("task", task.metrics, resamples=50))
        store = Store(self.root / "data", self.root / "checkpoints")
        with store.scratch(ArtifactSpec("compare", "task", 1, {"task": spec}, {})) as out:
            scored.write(ComparisonFolder(out))
            artifact = store.seal(ArtifactSpec("compare", "task", 1, {"task": spec}, {}), out, {}, {"seconds": 1.0}, {})
        seeds = list(range(len(self.tuned)))
        return Cell("cell0000", "task", "b", {}, 4, seeds, {}, {"comparison": artifact})

    def results(self, baseline: str = "base") -> ClassResults:
        cell = self.cell()
        results = classes_section.section(cell, claims_section.comparisons_of(cell), baseline)
        assert results
        return results


def by_label(results: ClassResults) -> dict[str, Any]:
    return {row["label"]: row for row in results["classes"]}


def test_figures_by_hand(tmp_path: Path) -> None:
    """red is answered red, red, green; green green and nothing that can be read; blue red; one seed gets all but the last."""
    targets = ["red", "red", "red", "green", "green", "blue"]
    base = ["red", "It is red.", "green", "green", "who knows", "red"]
    tuned = [["red", "red", "red", "green", "green", "red"], ["red", "red", "red", "green", "green", "neither"]]
    results = Answered(tmp_path, CLOSED, targets, base, tuned, {"base_constrained": ["red"] * 6}).results("base_constrained")
    rows = by_label(results)
    assert (results["n"], results["seeds"], results["arms"]) == (6, 2, ["base", "base_constrained", "tuned"])
    assert {label: row["n"] for label, row in rows.items()} == {"red": 3, "green": 2, "blue": 1}
    red, green, blue = (rows[label]["arms"]["base"] for label in COLOURS)
    assert red == {"predicted": 3, "right": 2, "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3}
    assert green == {"predicted": 2, "right": 1, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert blue == {"predicted": 0, "right": 0, "precision": None, "recall": 0.0, "f1": 0.0}
    assert results["macro_f1"]["base"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert rows["red"]["arms"]["base_constrained"] == {"predicted": 6, "right": 3, "precision": 0.5, "recall": 1.0, "f1": 2 / 3}
    both = rows["red"]["arms"]["tuned"]  # 6 of 6 by both seeds, and one more answer
    assert both == {"predicted": 7, "right": 6, "precision": 6 / 7, "recall": 1.0, "f1": 12 / 13}
    assert [row["label"] for row in results["classes"]] == ["blue", "red", "green"]
    assert (results["unparsed"], results["other"]) == ({"base": 1, "base_constrained": 0, "tuned": 1}, dict.fromkeys(results["arms"], 0))
    assert results["matrix"] == [
        {"label": "red", "base": [2, 1, 0, 0, 0], "tuned": [6, 0, 0, 0, 0]},
        {"label": "green", "base": [0, 1, 0, 0, 1], "tuned": [0, 4, 0, 0, 0]},
        {"label": "blue", "base": [1, 0, 0, 0, 0], "tuned": [1, 0, 0, 0, 1]},
    ]
    assert [(row["target"], row["answer"], row["kind"], row["base"], row["tuned"]) for row in results["confusions"]] == [
        ("blue", "red", "class", 1, 1),
        ("blue", "", "unparsable", 0, 1),
        ("green", "", "unparsable", 1, 0),
        ("red", "green", "class", 1, 0),
    ]
    assert results["exact"]


def plain_f1(pairs: list[tuple[str, str | None]], label: str) -> tuple[float | None, float | None, float]:
    """Precision, recall and F1 of a class as a textbook counts them."""
    true = sum(target == answer == label for target, answer in pairs)
    false_positive = sum(answer == label != target for target, answer in pairs)
    false_negative = sum(target == label != answer for target, answer in pairs)
    precision = true / (true + false_positive) if true + false_positive else None
    recall = true / (true + false_negative) if true + false_negative else None
    return precision, recall, 2 * true / (2 * true + false_positive + false_negative)


def test_figures_are_those_of_plain_counts_and_of_the_metrics(tmp_path: Path) -> None:
    draw = random.Random(1)
    targets = draw.choices(COLOURS, (6, 3, 1), k=120)
    base, tuned = ([target if draw.random() < skill else draw.choice([*COLOURS, "no idea"]) for target in targets] for skill in (0.2, 0.7))
    answered = Answered(tmp_path, CLOSED, targets, base, [tuned])
    cell = answered.cell()
    comparisons = {row["metric"]: row for row in claims_section.comparisons_of(cell)}
    results = answered.results()
    for arm, texts in (("base", base), ("tuned", tuned)):
        pairs = [(target, None if text == "no idea" else text) for target, text in zip(targets, texts, strict=True)]
        for row in results["classes"]:
            scores = row["arms"][arm]
            assert (scores["precision"], scores["recall"], scores["f1"]) == pytest.approx(plain_f1(pairs, row["label"]))
        matrix = {row["label"]: row[arm] for row in results["matrix"] or []}
        for target, (column, answer) in product(COLOURS, enumerate([*COLOURS, "a class that is none", None])):
            assert matrix[target][column] == pairs.count((target, answer))
        assert results["macro_f1"][arm] == pytest.approx(comparisons["macro_f1"][arm])
        assert sum(matrix[label][n] for n, label in enumerate(COLOURS)) / 120 == pytest.approx(comparisons["accuracy"][arm])


def test_a_right_answer_besides_the_target_counts_as_the_target(tmp_path: Path) -> None:
    entry = {**CLOSED, "metrics": ["accuracy"]}
    results = Answered(tmp_path, entry, ["red", "green"], ["blue", "red"], [["red", "green"]], accepted={0: ["blue"]}).results()
    assert by_label(results)["red"]["arms"]["base"] == {"predicted": 2, "right": 1, "precision": 0.5, "recall": 1.0, "f1": 2 / 3}
    assert by_label(results)["blue"]["arms"]["base"]["f1"] is None
    assert results["classes"][-1]["label"] == "blue"
    assert not results["exact"]


def test_classes_without_a_list_are_targets_that_recur(tmp_path: Path) -> None:
    """The spelling of targets is shown, case and quotes aside; what names no class is counted apart."""
    targets = [f"Clause {number % 14}" for number in range(84)]
    base = ["clause 0"] * 80 + ["something else", "", "'Clause 12'.", "Clause 13"]
    results = Answered(tmp_path, OPEN, targets, base, [targets]).results()
    rows = by_label(results)
    assert (len(rows), rows["Clause 0"]["n"], rows["Clause 12"]["arms"]["base"]["right"]) == (14, 6, 1)
    assert (results["other"]["base"], results["unparsed"]["base"], results["other"]["tuned"]) == (1, 1, 0)
    assert results["matrix"] is None
    assert len(results["confusions"]) == 10
    assert {(row["answer"], row["kind"]) for row in results["confusions"]} <= {("Clause 0", "class"), ("", "other")}
    assert results["confusions"][0]["base"] == 6
    assert not results["exact"]


@pytest.mark.parametrize(
    ("entry", "targets"),
    [
        (OPEN, [f"free text {number}" for number in range(40)]),
        (OPEN, [str(number % 3) for number in range(40)]),  # numbers, not names
        (OPEN, ["the only one"] * 40),
        ({**OPEN, "metrics": ["rougeL"]}, ["yes", "no"] * 20),
    ],
)
def test_free_answers_have_no_classes(tmp_path: Path, entry: Row, targets: list[str]) -> None:
    cell = Answered(tmp_path, entry, targets, targets, [targets]).cell()
    assert classes_section.section(cell, claims_section.comparisons_of(cell), "base") is None


def test_targets_of_several_classes(tmp_path: Path) -> None:
    targets = ["earn, trade", "earn", "grain", "Trade; earn"] * 3
    base = ["earn, crude", "grain, trade", "", "earn"] * 3
    results = Answered(tmp_path, SETS, targets, base, [targets]).results()
    rows = by_label(results)
    assert results["several"]
    assert results["matrix"] is None
    assert {label: row["n"] for label, row in rows.items()} == {"earn": 9, "trade": 6, "grain": 3}
    assert rows["earn"]["arms"]["base"] == {"predicted": 6, "right": 6, "precision": 1.0, "recall": 6 / 9, "f1": 12 / 15}
    assert rows["trade"]["arms"]["base"] == {"predicted": 3, "right": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert (results["other"]["base"], results["unparsed"]["base"], results["macro_f1"]["tuned"]) == (3, 3, 1.0)
    counts = {(row["target"], row["answer"], row["kind"]): row["base"] for row in results["confusions"]}
    assert counts == {
        ("trade", "", "other"): 3,
        ("earn", "grain", "class"): 3,
        ("earn", "trade", "class"): 3,
        ("grain", "", "unparsable"): 3,
        ("trade", "", "missing"): 3,
    }


def test_many_classes_are_folded_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 classes: 20 rows, the weakest first, and the largest confusions instead of a matrix."""
    monkeypatch.setattr(report_answers, "CHOICES", tuple(f"<b>kind {number}</b>" for number in range(30)))
    report = Chartless(Inputs(tmp_path, {"tasks": ["boolq"]}, n=90))
    results = report.json["cells"][0]["classes"]
    assert (len(results["classes"]), results["matrix"]) == (30, None)
    text = report.html.partition('<section id="classes">')[2].partition("</section>")[0]
    assert "20 of 30 classes, all of them in report.json" in text
    assert "<b>kind" not in text
    assert text.count("<tr><th") == 20 + 2 + len(results["confusions"])
    assert "Largest confusions of boolq" in text
    assert class_tables.weakest(results).startswith(results["classes"][0]["label"])
