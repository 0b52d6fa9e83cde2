"""Tells choices that a text names without saying that they are the answer: half of it, one of two, or what would or would not be so."""

import regex

from pipeline.scoring import negation
from pipeline.scoring.choice_mentions import FLAGS, Mention

CONDITION = regex.compile(r"^[\"'*_`]*,?\s+(?:if|unless|were|had)\b", FLAGS)
"""What follows a choice that would be the answer in another case."""
HALFWAY = regex.compile(
    r"\b(?:at\s+(?:least|most)|(?:more|less|fewer)\s+than|for\s+example|e\.\s?g\.|such\s+as|z\.\s?B\.|"
    r"partially|partly|half|almost|nearly|borderline|\w[-+]?\s+or|\p{L}{2,}\s+or|oder|либо)\s+[\"'*_`(]*$",
    FLAGS,
)
"""Before a choice that is only half the answer, or one of two."""
OR_BEHIND = regex.compile(r"^[\"'*_`)+-]*\s+(?:or|oder)\s+(?!else\b)", FLAGS)
WOULD_NOT = regex.compile(
    rf"^(?:\s+(?!(?:{negation.BOUNDARIES}|as|for)\b)[\w'’-]+){{0,4}}?\s+"
    r"(?:(?:would|does|do|did|is|was|has|have|can|could|will|should|are|were)\s+(?:not|never)\b|\w+n't\b)"
    rf"|^(?:\s+(?!(?:{negation.BOUNDARIES}|as|for)\b)[\w'’-]+){{1,3}}?\s+would\s+(?!be\b)",
    FLAGS,
)
"""Behind a choice whose clause is denied or supposed: `A positive customer would not write this`, `a positive one would praise it`."""
BUT = regex.compile(r"^[\"'*_`)]*\s+(?:seems|looks|sounds|may|might|could|appears)\b[^.!?\n]*\b(?:but|however|yet)\b", FLAGS)
"""Behind a choice that only seems to be the answer."""
SHARE = r"(\d{1,3}(?:\.\d+)?(?=\s?%)|0?\.\d+|[01](?:\.0+)?(?![\w.]))\s?%?"
SHARE_AFTER, SHARE_BEFORE = regex.compile(rf"^[\s\"'*_`:=(|–—-]*{SHARE}"), regex.compile(rf"(?<![\w.]){SHARE}\s*[\"'*_`]*$")
"""The share that a text gives a choice: `90%` or `0.9`."""
HALF = 50


def is_doubtful(part: str, mention: Mention) -> bool:
    """Whether a text names a choice without saying that it is the answer: half of it, one of two, or as what would or would not be so."""
    before, after = part[max(0, mention.start - 60) : mention.start], part[mention.end :]
    share = SHARE_BEFORE.search(before)
    is_small = share is not None and "%" in share[0] and float(share[1]) < HALF
    is_verdict = mention.name.casefold() in ("yes", "no", "true", "false")
    behind = (CONDITION, BUT, OR_BEHIND) if is_verdict else (CONDITION, BUT, OR_BEHIND, WOULD_NOT)
    return is_small or bool(HALFWAY.search(before)) or any(pattern.match(after) for pattern in behind)
