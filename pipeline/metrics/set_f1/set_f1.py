"""Labels that are found."""

from typing import Any

from pipeline.metrics.base import MicroF1
from pipeline.metrics.label_lists import labels_in


class SetF1(MicroF1):
    """Micro F1 over labels that a text lists with commas, semicolons or line breaks between them, in any order; case, blanks, quotes aside.

    A label named twice counts once. Where no label is expected every one that is found is an error, and none is right.
    `a, b and c` are three labels if one of them is a label of the references, and `b and c` is none.
    """

    def __init__(self, **options: Any) -> None:
        self.vocabulary: frozenset[str] = frozenset()
        super().__init__(**options)

    def items(self, text: str) -> set[tuple[str, str]]:
        return {("label", label) for label in labels_in(text, self.vocabulary)}

    def _compute(
        self, predictions: list[str], references: list[str], per_example: bool = False, statistics: bool = False
    ) -> dict[str, Any]:
        self.vocabulary = frozenset()
        self.vocabulary = frozenset(label for reference in references for _, label in self.items(reference))
        return super()._compute(predictions, references, per_example, statistics)
