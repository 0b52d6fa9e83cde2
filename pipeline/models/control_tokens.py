"""Finds the control tokens of a tokenizer, and those in the text of its chat template."""

import re
from typing import Any


def control_tokens(tokenizer: Any) -> list[str]:
    """The tokens with which a tokenizer steers a model, the longest first; some are words that data may spell."""
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    return sorted({*tokenizer.all_special_tokens, *added}, key=lambda name: (-len(name), name))


def template_tokens(tokenizer: Any) -> re.Pattern[str]:
    """Finds the control tokens of a chat template's text, with the whitespace that they take in."""
    takes = {token.content: (token.lstrip, token.rstrip) for token in tokenizer.added_tokens_decoder.values()}
    blanks = {False: "", True: r"\s*"}
    sides = [(name, *takes.get(name, (False, False))) for name in control_tokens(tokenizer)]
    return re.compile("(" + "|".join(blanks[left] + re.escape(name) + blanks[right] for name, left, right in sides) + ")")
