"""Numbered classes as the LoRA Land paper scores them."""

from pipeline.metrics.lenient import Rule, bare, same


class PaperDigit(Rule):
    """Share of outputs that are right by the paper's accuracy, or hold the target's digit anywhere.

    MNLI and HellaSwag are scored this way. Kept, since it is the rule: an output that lists all digits is always right, and the 2
    of `12` meets the target 2. Fixed, as in accuracy: blanks and full stops around the target; an empty target, which every
    text holds, is met by none.
    """

    def right(self, prediction: str, reference: str) -> bool:
        return same(prediction, reference) or (bool(bare(reference)) and bare(reference) in prediction.lower())
