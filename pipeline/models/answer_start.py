"""Tells how an answer begins after its prompt: with which indentation, and whether without a blank."""

import re
import unicodedata

OPENING = ("Ps", "Pi", "Sc")
"""Unicode categories of signs that nothing stands off from: opening brackets, opening quotes, signs of currencies."""
NO_BLANKS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3001-\u9fff\uf900-\ufaff\uff01-\uff60\U00020000-\U0003ffff]")
"""A character of a script that sets no blanks between words (Thai, Lao, Burmese, Khmer, Chinese, Japanese), or of its punctuation.

It decides token ids of training and generation, so its ranges stay as they are, also where the lists that read answers know more."""


def indentation(answer: str) -> str:
    """The whitespace at the start of an answer that is part of it.

    A lone blank before an answer of one line only separates it from the prompt, as in GPT-3's training files.
    """
    text = answer.rstrip()
    own = text[: len(text) - len(text.lstrip())]
    return "" if own == " " and "\n" not in text else own


def takes_no_blank(prompt: str) -> bool:
    """Whether an answer follows a prompt directly where the prompt has no blank at its end.

    So it is behind an opening sign (`Price: $`) and in a script without blanks between words (`情感：`, `情感:`).
    """
    last = prompt[-1:]
    if not last or last.isspace():
        return False
    if unicodedata.category(last) in OPENING or NO_BLANKS.match(last):
        return True
    letters = [char for char in prompt[-8:] if char.isalnum()]
    return not last.isalnum() and bool(letters) and NO_BLANKS.match(letters[-1]) is not None
