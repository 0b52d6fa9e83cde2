"""MMLU as the LoRA Land paper scores it."""

from pipeline.metrics.lenient import Rule, first_number, same


class PaperFirstNumber(Rule):
    """Share of outputs that are right by the paper's accuracy, or whose first number is the target's first number.

    Kept, since it is the rule: the first number counts whatever it is about (`Of the 4 options, 2` is a 4). Fixed, as in
    accuracy: blanks at the ends; and numbers are compared by value, so `2.0` is 2.
    """

    def right(self, prediction: str, reference: str) -> bool:
        predicted = first_number(prediction)
        return same(prediction, reference) or (predicted is not None and predicted == first_number(reference))
