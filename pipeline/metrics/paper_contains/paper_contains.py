"""Customer support as the LoRA Land paper scores it."""

from pipeline.metrics.lenient import Rule, bare, same


class PaperContains(Rule):
    """Share of outputs that are right by the paper's accuracy, or hold the target anywhere, case aside.

    Kept, since it is the rule: an output that lists all phrases is always right. Fixed, as in accuracy: blanks and full
    stops around the target; case, which accuracy ignores, is ignored inside a longer output too; an empty target, which
    every text holds, is met by none.
    """

    def right(self, prediction: str, reference: str) -> bool:
        return same(prediction, reference) or (bool(bare(reference)) and bare(reference) in prediction.lower())
