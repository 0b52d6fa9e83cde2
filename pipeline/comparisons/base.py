"""Base class of the comparisons: predictions1 are the base's answers, predictions2 the tuned model's, to the same examples."""

import abc
import inspect
from typing import Any

import datasets
import evaluate


class PairedComparison(evaluate.Comparison, abc.ABC):  # type: ignore[misc]  # evaluate carries no types
    """An `evaluate` comparison of two lists of answers, under any metric of `pipeline.metrics`."""

    reference_url: str = ""

    def _info(self) -> evaluate.ComparisonInfo:
        text = datasets.Value("string")
        return evaluate.ComparisonInfo(
            module_type="comparison",
            description=inspect.getdoc(type(self)) or "",
            citation=self.reference_url,
            inputs_description="predictions1, predictions2, references: lists of strings; metric: name of a metric of pipeline.metrics.",
            features=datasets.Features({"predictions1": text, "predictions2": text, "references": text}),
            reference_urls=[self.reference_url],
        )

    @abc.abstractmethod
    def _compute(
        self, predictions1: list[str], predictions2: list[str], references: list[str], metric: str = "exact_match"
    ) -> dict[str, Any]:
        """The result of the comparison under that metric."""
