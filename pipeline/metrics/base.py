"""Base classes of the metrics. Every score is in 0..1 and a function of sums over examples.

A metric maps one example to a short row of numbers, its sufficient statistics. The rows are added, and the sum
becomes the score of the corpus. A mean keeps [score, 1], BLEU its n-gram counts. So a bootstrap of any metric is
one matrix product of resampling weights and rows (see stats.py), and no text is scored twice.
"""

import abc
import inspect
import json
from collections.abc import Hashable
from typing import Any, Literal

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Metric(evaluate.Metric, abc.ABC):  # type: ignore[misc]  # evaluate carries no types
    """An `evaluate` metric over pairs of strings, usable by import and by `evaluate.load(folder)`."""

    zero_one: bool = False
    """Whether every example scores exactly 0 or 1."""
    of_examples: str = ""
    """The metric that the mean score of single examples is, where that is another one."""
    reads: Literal["answer", "text", "tests", "samples", "harness"] = "answer"
    """Its inputs. answer: the parsed answer and the parsed target. text: the whole text and the target, unparsed. tests: the parsed answer
    and the example's `extra["tests"]`. samples: a JSON list of parsed answers and `extra["tests"]`. harness: see HarnessMetric."""
    runs_code: bool = False
    """Whether it runs predictions as programs, and so takes `unsafe`."""
    options: tuple[str, ...] = ()
    """The settings of a task that its constructor takes."""
    reference_url: str = ""

    @property
    def name(self) -> str:
        """The name of the folder and file; evaluate would spell the class name its own way (`rouge_l`)."""
        return type(self).__module__.rpartition(".")[2]

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=inspect.getdoc(type(self)) or "",
            citation=self.reference_url,
            inputs_description="predictions, references: lists of strings; per_example=True adds NAME_per_example, "
            "statistics=True adds NAME_statistics, the rows that `aggregate` takes in sum.",
            features=datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")}),
            reference_urls=[self.reference_url],
        )

    @abc.abstractmethod
    def statistics(self, prediction: str, reference: str) -> list[float]:
        """The k additive statistics of one example."""

    @abc.abstractmethod
    def aggregate(self, sums: Array) -> Array:
        """Scores (...) in 0..1 of the corpora whose summed statistics are `sums` (..., k)."""

    def form(self, text: str) -> Hashable:
        """What the metric keeps of a text: texts of one form score 1 for each other. None where it keeps all that changes a value."""
        del text
        return None

    def values(self, statistics: Array) -> Array:
        """Scores (n,) of single examples from their own statistics (n, k)."""
        return self.aggregate(statistics)

    def _compute(
        self, predictions: list[str], references: list[str], per_example: bool = False, statistics: bool = False
    ) -> dict[str, Any]:
        rows = np.array([self.statistics(p, r) for p, r in zip(predictions, references, strict=True)], dtype=float)
        result: dict[str, Any] = {self.name: float(self.aggregate(rows.sum(axis=0))) if len(rows) else float("nan")}
        if per_example:
            result[f"{self.name}_per_example"] = self.values(rows).tolist() if len(rows) else []
        if statistics:
            result[f"{self.name}_statistics"] = rows.tolist()
        return result


class MeanMetric(Metric):
    """The mean of scores of single examples; statistics: [score, 1]."""

    @abc.abstractmethod
    def score(self, prediction: str, reference: str) -> float:
        """The score of one example, in 0..1."""

    def statistics(self, prediction: str, reference: str) -> list[float]:
        return [self.score(prediction, reference), 1.0]

    def aggregate(self, sums: Array) -> Array:
        return ratio(sums[..., 0], sums[..., 1])


class MicroF1(Metric):
    """F1 of predicted against expected items, counted over the whole corpus; statistics: [true positives, predicted, expected].

    The score is 1 if nothing is expected and the prediction says that there is nothing. One that cannot be read has no items, and where
    nothing is expected it counts as a wrong one.
    """

    @abc.abstractmethod
    def items(self, text: str) -> set[tuple[str, str]] | None:
        """Items of a prediction or of a reference; None if it cannot be read."""

    def statistics(self, prediction: str, reference: str) -> list[float]:
        predicted, expected = self.items(prediction), self.items(reference)
        if expected is None:
            return [0.0, float(len(predicted or ())), 1.0]
        if predicted is None or (reference.strip() and not prediction.strip()):
            return [0.0, float(not expected), float(len(expected))]
        return [float(len(predicted & expected)), float(len(predicted)), float(len(expected))]

    def aggregate(self, sums: Array) -> Array:
        return ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2], otherwise=1.0)


def ratio(numerator: Array, denominator: Array, otherwise: float = 0.0) -> Array:
    """Elementwise quotient; `otherwise` for a zero denominator."""
    quotient = np.full(np.shape(denominator), otherwise)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def json_object(text: str) -> dict[str, Any] | None:
    """The text parsed as a JSON object; None if it is anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # a model may write ten thousand brackets
        return None
    return value if isinstance(value, dict) else None
