"""McNemar's test without the chi-square approximation."""

from typing import Any

from pipeline import metrics
from pipeline.comparisons.base import PairedComparison
from pipeline.errors import RecipeError
from pipeline.scoring import stats


class ExactMcnemar(PairedComparison):
    """Exact two-sided McNemar test of answers that are right or wrong: {p, fixed, broken}; p is 1 if none differ.

    evaluate's own `mcnemar` uses chi-square without correction, which gives p = 0.025 if five of five pairs
    differ the same way (exact: 0.0625), and divides by zero if no pair differs (huggingface/evaluate#795).
    """

    reference_url = "https://doi.org/10.1007/BF02295996"

    def _compute(
        self, predictions1: list[str], predictions2: list[str], references: list[str], metric: str = "exact_match"
    ) -> dict[str, Any]:
        module = metrics.load(metric)
        if not module.zero_one:
            raise RecipeError(f"McNemar's test needs answers that are right or wrong, and '{metric}' grades them.", "Use paired_bootstrap.")
        differences = [
            module.statistics(tuned, reference)[0] - module.statistics(base, reference)[0]
            for base, tuned, reference in zip(predictions1, predictions2, references, strict=True)
        ]
        fixed, broken = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
        return {"p": stats.exact_mcnemar(fixed, broken), "fixed": fixed, "broken": broken}
