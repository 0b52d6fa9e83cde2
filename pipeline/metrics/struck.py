"""Blanks out what a text strikes out, and the boxes of a list that it leaves without a tick."""

import regex

STRUCK = regex.compile(r"~~[^~\n]+~~|<(s|del|strike)>[^<\n]+</\1>")
"""What markup strikes out."""
TICKED, NOT_TICKED = regex.compile(r"\[[xX✓✔]\]|[☑✅✔🗹]"), regex.compile(r"^.*(?:\[\s?\]|[☐⬜❌❎✗✘]).*$", regex.MULTILINE)
"""A tick, and a line of a list of boxes without one."""


def without_struck(text: str) -> str:
    """The text in which blanks stand for what is struck out, for ticks, and for boxes that are not ticked beside one that is."""
    text = str(STRUCK.sub(in_blanks, text))
    return str(TICKED.sub(in_blanks, NOT_TICKED.sub(in_blanks, text))) if TICKED.search(text) else text


def in_blanks(match: "regex.Match[str]") -> str:
    """As many blanks as a match has characters, with its line breaks."""
    return str(regex.sub(r"\S", " ", match[0]))
