"""Accuracy as the LoRA Land paper counts it."""

from pipeline.metrics.lenient import Rule, same


class PaperAccuracy(Rule):
    """Share of outputs that equal their target, case and full stops at the ends aside, or are the same number.

    Kept, since it is the rule: one word next to the answer makes it wrong. Fixed: the paper keeps the blanks at the ends,
    so ` yes` was not `yes`; and it prints numbers as floats only, so `1.0` was not `1`.
    """

    def right(self, prediction: str, reference: str) -> bool:
        return same(prediction, reference)
