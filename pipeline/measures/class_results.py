"""Computes results by class: precision, recall and F1 of every class, and which classes are confused. Pure functions over labels."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.measures.class_types import ClassResults, ClassRow, ClassScores, Confusion, ConfusionKind, MatrixRow

Labels = frozenset[str]
Pair = tuple[str, ConfusionKind, str]
"""Target, kind of confusion, answer (empty unless it is a class)."""
MAX_MATRIX = 10
"""With more classes than this the largest confusions are listed instead of a matrix."""
MAX_CONFUSIONS = 10
"""Of the fine-tuned model, and of base."""
MAX_CLASSES = 200
"""With more different targets than this answers are not classes."""
MIN_EXAMPLES_PER_CLASS = 3
"""On average; where targets recur less often they are not classes."""


@dataclass(frozen=True)
class LabelledExample:
    """The labels of one test example. Without `several`, a target and a parsed answer have one label each."""

    target: Labels
    answers: Mapping[str, Sequence[Labels | None]]
    """By arm, one answer per training seed; None where it is unparsable."""


def are_classes(targets: Sequence[Labels]) -> bool:
    """Whether targets recur so much that they are classes and not free text."""
    count = len({label for target in targets for label in target})
    return 2 <= count <= MAX_CLASSES and len(targets) >= MIN_EXAMPLES_PER_CLASS * count


def results(
    examples: Sequence[LabelledExample], labels: Mapping[str, str], arms: Sequence[str], several: bool, exact: bool
) -> ClassResults:
    """The results of all classes.

    Args:
        labels: how each class is spelled, by its label; in the order of the matrix.
        arms: base, the best baseline if it is another one, tuned.
        exact: see ClassResults.
    """
    seeds = len(examples[0].answers["tuned"])
    counts = {arm: count(examples, arm, labels) for arm in arms}
    support = Counter(label for example in examples for label in example.target)
    rows = [class_row(label, text, support[label], counts) for label, text in labels.items()]
    wrong = {arm: confusions(examples, arm, labels) for arm in ("base", "tuned")}
    return {
        "several": several,
        "seeds": seeds,
        "n": len(examples),
        "arms": list(arms),
        "classes": sorted(rows, key=weakest_first),
        "macro_f1": {arm: macro_f1(rows, arm) for arm in arms},
        "unparsed": {arm: counts[arm].unparsed for arm in arms},
        "other": {arm: counts[arm].other for arm in arms},
        "matrix": None if several or len(labels) > MAX_MATRIX else matrix(examples, labels),
        "confusions": largest(wrong, labels),
        "exact": exact,
    }


@dataclass
class ArmCounts:
    """Counts of one arm's answers over all training seeds."""

    runs: int
    predicted: Counter[str]
    right: Counter[str]
    unparsed: int = 0
    other: int = 0


def count(examples: Sequence[LabelledExample], arm: str, labels: Mapping[str, str]) -> ArmCounts:
    counts = ArmCounts(len(examples[0].answers[arm]), Counter(), Counter())
    for example in examples:
        for answer in example.answers[arm]:
            counts.unparsed += answer is None
            counts.predicted.update(answer or ())
            counts.right.update((answer or frozenset()) & example.target)
    counts.other = sum(times for label, times in counts.predicted.items() if label not in labels)
    return counts


def class_row(label: str, text: str, n: int, counts: Mapping[str, ArmCounts]) -> ClassRow:
    scores = {arm: class_scores(of_arm.right[label], of_arm.predicted[label], n * of_arm.runs) for arm, of_arm in counts.items()}
    return {"label": text, "n": n, "arms": scores}


def class_scores(right: int, predicted: int, expected: int) -> ClassScores:
    return {
        "predicted": predicted,
        "right": right,
        "precision": quotient(right, predicted),
        "recall": quotient(right, expected),
        "f1": quotient(2 * right, predicted + expected),
    }


def quotient(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None


def macro_f1(rows: Iterable[ClassRow], arm: str) -> float:
    scores = [row["arms"][arm]["f1"] or 0.0 for row in rows if row["n"]]
    return sum(scores) / len(scores)


def weakest_first(row: ClassRow) -> tuple[float, int]:
    """Classes of no target and no answer last; of equal ones that with more examples first."""
    f1 = row["arms"]["tuned"]["f1"]
    return (2.0 if f1 is None else f1, -row["n"])


def matrix(examples: Sequence[LabelledExample], labels: Mapping[str, str]) -> list[MatrixRow]:
    """Targets by answers, of base and of tuned over all seeds."""
    tables = {arm: {label: [0] * (len(labels) + 2) for label in labels} for arm in ("base", "tuned")}
    position = {label: index for index, label in enumerate(labels)}
    for example in examples:
        (target,) = example.target
        for arm, table in tables.items():
            for answer in example.answers[arm]:
                table[target][column(answer, position)] += 1
    return [{"label": text, "base": tables["base"][label], "tuned": tables["tuned"][label]} for label, text in labels.items()]


def column(answer: Labels | None, position: Mapping[str, int]) -> int:
    """The column of an answer in the matrix."""
    if answer is None:
        return len(position) + 1
    (label,) = answer
    return position.get(label, len(position))


def confusions(examples: Sequence[LabelledExample], arm: str, labels: Mapping[str, str]) -> Counter[Pair]:
    """How often each label of a target was missed, and what was answered: it counts once with each wrong label of the answer."""
    pairs: Counter[Pair] = Counter()
    for example in examples:
        for answer in example.answers[arm]:
            missed = example.target - (answer or frozenset())
            pairs.update((target, *wrong) for target in missed for wrong in wrong_answers(answer, example.target, labels))
    return pairs


def wrong_answers(answer: Labels | None, target: Labels, labels: Mapping[str, str]) -> list[tuple[ConfusionKind, str]]:
    """What an answer gives instead of the labels that it lacks: kinds of confusion with their classes, each once."""
    if answer is None:
        return [("unparsable", "")]
    wrong: list[tuple[ConfusionKind, str]] = [("class", label) for label in sorted(answer - target) if label in labels]
    if answer - target - labels.keys():
        wrong.append(("other", ""))
    return wrong or [("missing", "")]


def largest(wrong: Mapping[str, Counter[Pair]], labels: Mapping[str, str]) -> list[Confusion]:
    """The largest confusions of tuned and of base, those of tuned first."""
    ranked = [pair for pairs in wrong.values() for pair in most_common(pairs)]
    chosen = sorted(set(ranked), key=lambda pair: (-wrong["tuned"][pair], -wrong["base"][pair], pair))
    return [confusion(pair, wrong, labels) for pair in chosen]


def most_common(pairs: Counter[Pair]) -> list[Pair]:
    """In an order that does not depend on that of the examples."""
    return sorted(pairs, key=lambda pair: (-pairs[pair], pair))[:MAX_CONFUSIONS]


def confusion(pair: Pair, wrong: Mapping[str, Counter[Pair]], labels: Mapping[str, str]) -> Confusion:
    target, kind, answer = pair
    return {
        "target": labels[target],
        "answer": labels[answer] if kind == "class" else "",
        "kind": kind,
        "base": wrong["base"][pair],
        "tuned": wrong["tuned"][pair],
    }
