"""Yes or no as the LoRA Land paper reads it."""

from pipeline.metrics.lenient import Rule

SIGNS = {"1": True, "0": False, "yes": True, "no": False, "true": True, "false": False, "positive": True, "negative": False}


class PaperBoolean(Rule):
    """Share of outputs with the truth value of their target: that of the first of 1, 0, yes, no, true, false, positive, negative
    that stands anywhere in the text, inside a word too and wherever it stands; case aside.

    BoolQ, CoLA, QNLI, QQP, SST-2, WNLI and Jigsaw are scored this way. Kept, since it is the rule: any 1 in the chatter makes the
    answer a yes (`0, with 10 reasons`), `not` and `know` are a no, and a yes next to a no is a yes. Text with none of the
    eight is wrong. Nothing needed fixing.
    """

    def right(self, prediction: str, reference: str) -> bool:
        predicted = truth(prediction)
        return predicted is not None and predicted == truth(reference)


def truth(text: str) -> bool | None:
    return next((value for sign, value in SIGNS.items() if sign in text.lower()), None)
