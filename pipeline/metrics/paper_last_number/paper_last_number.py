"""GSM8K as the LoRA Land paper scores it."""

import re

from pipeline.metrics.lenient import Rule, whole_number

RUN = re.compile(r"-?[$\d.,]*\d[$\d.,]*")


class PaperLastNumber(Rule):
    """Share of outputs whose last number is the target's last number, without dollar signs, commas and full stops at the ends.

    Kept, since it is the rule: the mark `####` means nothing, so a number after the answer spoils it; `1,2,3` is 123,
    `.5` is 5, and the minus of `5-3` is a sign. Fixed: a run without a digit, such as `...` or a lone comma, is no number
    and is passed over; the dollar sign inside `-$5` goes too.
    """

    def right(self, prediction: str, reference: str) -> bool:
        predicted = last_number(prediction)
        return predicted is not None and predicted == last_number(reference)


def last_number(text: str) -> float | None:
    runs = RUN.findall(text)
    return whole_number(re.sub(r"[$,]", "", runs[-1]).strip(".")) if runs else None
