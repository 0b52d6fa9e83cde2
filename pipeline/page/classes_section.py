"""Builds the results by class of a cell: reads the labels of targets and answers, and hands them to measures.class_results."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from pipeline.data import inline
from pipeline.data.slicing import LABEL_METRICS, label_of
from pipeline.data.task import Task
from pipeline.measures import class_results
from pipeline.measures.cell_types import ComparisonRow
from pipeline.measures.class_results import LabelledExample, Labels
from pipeline.measures.class_types import ClassResults
from pipeline.page.cells import Cell
from pipeline.store.records import Example, prompt_from_json
from pipeline.store.score_types import AnswerRow, ExampleRow

SET_METRIC = "set_f1"
"""The metric of tasks whose answers are any number of labels."""
NUMBER = re.compile(r"[-+]?[\d.,]+")
EMPTY = "(empty)"
"""The name of the class whose answer is empty."""


def section(cell: Cell, comparisons: Sequence[ComparisonRow], baseline: str) -> ClassResults | None:
    """The results by class; None where answers are not classes.

    Args:
        comparisons: one per metric.
        baseline: the best baseline, an arm.
    """
    metrics = {row["metric"] for row in comparisons}
    first = next(cell.comparison.examples())
    if not first["choices"] and not metrics & {*LABEL_METRICS, SET_METRIC}:
        return None
    rows = list(cell.comparison.examples())
    is_closed = bool(first["choices"]) and all(set(row["choices"]) == set(first["choices"]) for row in rows)
    reader = LabelReader(inline.from_spec(cell.inputs["comparison"].params["task"]), several=SET_METRIC in metrics and not is_closed)
    targets = [reader.target(row) for row in rows]
    reader = replace(reader, vocabulary=frozenset().union(*targets))
    choices = reader.choices(first) if is_closed else {}
    labels = choices | {label: text for label, text in spellings(rows, targets, reader.several).items() if label not in choices}
    if not is_closed and (not class_results.are_classes(targets) or all(map(NUMBER.fullmatch, labels))):
        return None
    arms = list(dict.fromkeys(["base", baseline, "tuned"]))
    examples = [labelled(row, target, reader, arms) for row, target in zip(rows, targets, strict=True)]
    exact = is_closed and is_exact(rows, arms, set(first["choices"]))
    return class_results.results(examples, labels, arms, reader.several, exact)


@dataclass(frozen=True)
class LabelReader:
    """Reads the labels of texts as the metrics of a task do."""

    task: Task
    several: bool
    """Whether a text may hold several labels."""
    vocabulary: Labels = frozenset()
    """The labels of the targets, by which `a and b` is read as two."""
    read: dict[tuple[str, tuple[str, ...]], Labels] = field(default_factory=dict)
    """Labels of right answers that were read before, by text and choices."""

    def target(self, row: ExampleRow) -> Labels:
        return self.gold(row, row["target"])

    def gold(self, row: ExampleRow, text: str) -> Labels:
        """The labels of a right answer, which goes through the task's parser as answers do."""
        choices = tuple(row["choices"])
        if (text, choices) not in self.read:
            parsed = self.task.answer(text, Example(row["id"], prompt_from_json(row["prompt"]), row["target"], choices))
            self.read[text, choices] = self.labels(text if parsed is None else parsed)
        return self.read[text, choices]

    def answer(self, row: ExampleRow, answer: AnswerRow) -> Labels | None:
        """The labels of an answer, None for an unparsable one; a right answer besides the target counts as the target."""
        if answer["answer"] is None:
            return None
        labels = self.labels(answer["answer"])
        return self.target(row) if any(labels == self.gold(row, other) for other in row.get("accepted", ())) else labels

    def choices(self, row: ExampleRow) -> dict[str, str]:
        """The choices of a closed set by their labels, in their order."""
        return {label: choice for choice in row["choices"] for label in self.gold(row, choice)}

    def labels(self, text: str) -> Labels:
        return set_of_labels(text, self.vocabulary) if self.several else frozenset([label_of(text)])


@cache
def set_of_labels(text: str, vocabulary: Labels) -> Labels:
    """The labels that a text lists, as set F1 compares them."""
    from pipeline.metrics.label_lists import labels_in

    return frozenset(labels_in(text, vocabulary))


def spellings(rows: Sequence[ExampleRow], targets: Sequence[Labels], several: bool) -> dict[str, str]:
    """How targets spell each label, the most common class first."""
    common = Counter(label for target in targets for label in sorted(target))
    pairs = [] if several else list(zip(rows, targets, strict=True))
    spelled = {label: row["target"].strip() for row, target in reversed(pairs) for label in target}
    return {label: spelled.get(label, label) or EMPTY for label, _ in common.most_common()}


def labelled(row: ExampleRow, target: Labels, reader: LabelReader, arms: Sequence[str]) -> LabelledExample:
    return LabelledExample(target, {arm: [reader.answer(row, answer) for answer in answers_of(row, arm)] for arm in arms})


def answers_of(row: ExampleRow, arm: str) -> list[AnswerRow]:
    """An arm's answers to an example, one per training seed."""
    if arm == "tuned":
        return row["tuned"]
    return [row["base"] if arm == "base" else row["others"][arm]]


def is_exact(rows: Sequence[ExampleRow], arms: Sequence[str], choices: set[str]) -> bool:
    """Whether targets and parsed answers are choices to the letter, and no example has a further right answer."""
    answers = {answer["answer"] for row in rows for arm in arms for answer in answers_of(row, arm)}
    return answers - {None} <= choices and {row["target"] for row in rows} <= choices and not any("accepted" in row for row in rows)
