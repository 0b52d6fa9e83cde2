"""Splits the variance of a lift into test examples, training seeds and both together, and says which is cheapest to buy down.

Answers are greedy, so decoding adds nothing to it.
"""

from dataclasses import dataclass
from math import sqrt

from pipeline.store.score_types import SeedErrors


@dataclass(frozen=True)
class VarianceBudget:
    """Variances of a lift that is a mean over training seeds; they add up to the whole."""

    examples: float
    """Of test examples, common to all seeds."""
    seeds: float
    """Of training seeds, common to all examples."""
    rest: float
    """Of what neither explains alone."""

    @classmethod
    def of(cls, errors: SeedErrors) -> "VarianceBudget":
        """From standard errors that both hold the rest; a part that is estimated below zero is zero."""
        rest = errors["rest"] ** 2
        return cls(max(0.0, errors["examples"] ** 2 - rest), max(0.0, errors["between"] ** 2 - rest), rest)

    @property
    def whole(self) -> float:
        return self.examples + self.seeds + self.rest

    @property
    def shares(self) -> tuple[float, float, float]:
        """Of examples, seeds and the rest."""
        return self.examples / self.whole, self.seeds / self.whole, self.rest / self.whole

    def twice_the_examples(self) -> "VarianceBudget":
        return VarianceBudget(self.examples / 2, self.seeds, self.rest / 2)

    def twice_the_seeds(self) -> "VarianceBudget":
        return VarianceBudget(self.examples, self.seeds / 2, self.rest / 2)

    @property
    def error(self) -> float:
        """Standard error of the lift."""
        return sqrt(self.whole)

    def cheapest(self, example_seconds: float, seed_seconds: float) -> str:
        """`examples` or `seeds`: what takes away more variance a second when it is doubled.

        Args:
            example_seconds: of as many test examples again, answered by the base and every adapter.
            seed_seconds: of as many training runs again, trained and answering.
        """
        of_examples = (self.whole - self.twice_the_examples().whole) / max(example_seconds, 1e-9)
        of_seeds = (self.whole - self.twice_the_seeds().whole) / max(seed_seconds, 1e-9)
        return "examples" if of_examples >= of_seeds else "seeds"
