"""Metrics of lm-evaluation-harness: the score of an example is what its own `process_results` gives."""

import json
from typing import Any

from pipeline.config.schema import INSPECT
from pipeline.errors import ComparisonError
from pipeline.harness import library, scores
from pipeline.metrics.base import MeanMetric

PREFIX = library.PREFIX
"""Begins the names of these metrics."""


class HarnessMetric(MeanMetric):
    """A metric of a task of lm-evaluation-harness, as `acc` or `exact_match,strict-match`: the mean of the documents' scores.

    A prediction is a text, or the JSON list of [log-likelihood, greedy] of each text that was asked for; a reference is JSON
    {"task", "document"}.
    """

    reads = "harness"
    options = ("definition",)
    reference_url = "https://github.com/EleutherAI/lm-evaluation-harness"

    def __init__(self, metric: str, definition: str = "", **options: Any) -> None:
        """
        Args:
            metric: its name, with the filter where there are several.
            definition: of the task, as canonical JSON.
        """
        self.metric = metric
        self.definition = definition
        self.zero_one = False
        super().__init__(**options)

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.metric}"

    def score(self, prediction: str, reference: str) -> float:
        return self.all_scores([prediction], [reference])[0]

    def all_scores(self, predictions: list[str], references: list[str]) -> list[float]:
        """The score of each document.

        Raises:
            ComparisonError: lm-eval gives no such score, or none in 0..1.
        """
        golds = [json.loads(reference) for reference in references]
        responses = [json.loads(text) if "pairs" in gold else text for text, gold in zip(predictions, golds, strict=True)]
        scorer = scores.cached_scorer(self.definition)
        rows = scorer.scores([gold["task"] for gold in golds], [gold["document"] for gold in golds], responses)
        values = []
        for row, gold in zip(rows, golds, strict=True):
            if self.metric not in row:
                problem = f"{PREFIX}{gold['task']} gives no score '{self.metric}', only {', '.join(row)}."
                raise ComparisonError(problem, "Choose one of them under lm_eval: metrics:.")
            value = float(row[self.metric])
            if not 0 <= value <= 1:
                problem = f"{PREFIX}{gold['task']}: {self.metric} gives {value:g}, and a score lies between 0 and 1."
                raise ComparisonError(problem, "Choose another metric under lm_eval: metrics:.")
            values.append(value)
        return values

    def _compute(
        self, predictions: list[str], references: list[str], per_example: bool = False, statistics: bool = False
    ) -> dict[str, Any]:
        values = self.all_scores(predictions, references) if predictions else []
        self.zero_one = bool(values) and set(values) <= {0.0, 1.0}
        rows: list[list[float]] = [[value, 1.0] for value in values]
        result: dict[str, Any] = {self.name: sum(values) / len(values) if values else float("nan")}
        if per_example:
            result[f"{self.name}_per_example"] = values
        if statistics:
            result[f"{self.name}_statistics"] = rows
        return result


TOOLS = {PREFIX: "lm-evaluation-harness", INSPECT: "Inspect"}
"""What begins the names of scores from elsewhere, to the tool that gave them."""


class OwnScores(HarnessMetric):
    """Scores that another tool gave to answers from elsewhere; a prediction is their JSON by metric."""

    def __init__(self, prefix: str, metric: str, **options: Any) -> None:
        """prefix: one of TOOLS."""
        self.prefix = prefix
        super().__init__(metric, **options)

    @property
    def name(self) -> str:
        return f"{self.prefix}{self.metric}"

    def all_scores(self, predictions: list[str], references: list[str]) -> list[float]:
        """The score of each document. Raises ComparisonError if one has none."""
        rows = [scores_in(text) for text in predictions]
        if missing := sum(self.metric not in row for row in rows):
            names = ", ".join(dict.fromkeys(name for row in rows for name in row)) or "none"
            problem = f"{missing:,} of {len(rows):,} answers have no score '{self.metric}' of {TOOLS[self.prefix]} (scores: {names})."
            raise ComparisonError(problem, "Choose one that all files have: --metric.")
        return [float(row[self.metric]) for row in rows]


def scores_in(text: str) -> dict[str, float]:
    """The scores by metric that a text is the JSON of; none of any other text, as of an answer without scores."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def load(name: str, definition: str = "") -> HarnessMetric:
    """The metric of a name that begins with one of TOOLS; without a definition, of scores that are there."""
    if not definition:
        prefix = next(prefix for prefix in TOOLS if name.startswith(prefix))
        return OwnScores(prefix, name.removeprefix(prefix), keep_in_memory=True)
    return HarnessMetric(name.removeprefix(PREFIX), definition, keep_in_memory=True)
