"""Declares the types of results by class, as report.json holds them."""

from typing import Literal, TypedDict

ConfusionKind = Literal["class", "other", "unparsable", "missing"]


class ClassScores(TypedDict):
    """One class by one arm; of the fine-tuned model over all training seeds together."""

    predicted: int
    """Answers that name the class."""
    right: int
    """Of them those whose target names it too."""
    precision: float | None
    """right / predicted; null where no answer names the class."""
    recall: float | None
    """right / (n x runs of the arm); null where no target names the class."""
    f1: float | None
    """2 x right / (predicted + n x runs): 0 where no answer is right; null where neither a target nor an answer names the class."""


class ClassRow(TypedDict):
    """One class."""

    label: str
    n: int
    """Test examples whose target names it (support)."""
    arms: dict[str, ClassScores]
    """By arm."""


class MatrixRow(TypedDict):
    """Answers to the test examples of one class. A column for each class, in the order of the rows; then parsed answers that name no
    class, then unparsable ones."""

    label: str
    base: list[int]
    tuned: list[int]
    """Over all training seeds together."""


class Confusion(TypedDict):
    """A target and a wrong answer to it, with the number of times."""

    target: str
    answer: str
    """The class that was answered; empty for the other kinds."""
    kind: ConfusionKind
    """`other`: the answer names no class. `missing`: the target names several classes, and the answer lacks this one and adds none."""
    base: int
    tuned: int
    """Over all training seeds together."""


class ClassResults(TypedDict):
    """Results by class, where answers are classes: a closed set of choices, or targets that recur."""

    several: bool
    """Whether a target may name several classes; there is no matrix then."""
    seeds: int
    """Training seeds: each test example counts once per seed in the counts of the fine-tuned model."""
    n: int
    """Test examples."""
    arms: list[str]
    """`base`, the best baseline if it is another one, `tuned`."""
    classes: list[ClassRow]
    """The class with the lowest F1 of the fine-tuned model first."""
    macro_f1: dict[str, float]
    """By arm, the mean F1 over the classes of the targets, each weighted alike."""
    unparsed: dict[str, int]
    """By arm, answers without a parsed class: they are wrong for their target's class and count for no other."""
    other: dict[str, int]
    """By arm, parsed answers (or labels of them) that name no class."""
    matrix: list[MatrixRow] | None
    """Targets by answers; null where there are many classes or a target may name several."""
    confusions: list[Confusion]
    """The largest of the fine-tuned model, and the largest of base."""
    exact: bool
    """Whether targets and parsed answers are spelled like the labels, so that the page's list of examples can be filtered by them."""
