"""MRPC as the LoRA Land paper scores it."""

from pipeline.metrics.lenient import Rule, same


class PaperMrpc(Rule):
    """Share of outputs that are right by the paper's accuracy, or share a 1 or a 2 with their target.

    Kept, since it is the rule: any 1 in the chatter meets the target 1, while the target 0 needs a lone 0, so a model that
    explains itself is right on one class only. Fixed, as in accuracy: blanks at the ends, and `0.0` for `0`.
    """

    def right(self, prediction: str, reference: str) -> bool:
        return same(prediction, reference) or any(digit in prediction and digit in reference for digit in "12")
