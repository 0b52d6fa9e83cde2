"""Chooses the answer of a text that holds several, such as a draft and a final one; none where it does not say which of them it is."""

from collections.abc import Callable
from typing import NamedTuple

import regex

from pipeline.scoring.answer_text import CORRECTED, before_next_question, cues, next_question_start, without_prompt
from pipeline.scoring.choice_reader import statement
from pipeline.store.records import Example

FINAL = regex.compile(
    r"\b(?:final|finally|finale|corrected|correction|revised|(?:fixed|working|right|correct)(?:\s+(?:version|code|function|solution|program|query|json|way|approach|implementation|one)|(?=\s*:))|endgültig\w*|окончательн\w*)\b|最[终終]",
    regex.IGNORECASE,
)
"""Says of what follows that it replaces what came before."""
WRONG = regex.compile(
    r"(?:^|\n)[\s#*_>\d.)❌✗-]*(?:the\s+)?(?:wrong|incorrect|bad|buggy|broken|faulty)"
    r"(?:\s+(?:version|code|function|solution|program|query|json|way|approach|implementation|one|answer|example)|(?=[*_]*\s*(?:[:：\n]|$)))",
    regex.IGNORECASE,
)
"""At the start of a line: says of what follows that it is no answer."""
BEFORE_ANSWER = 120
"""Characters before a candidate in which its cue is looked for."""
OPENING_FENCE = regex.compile(r"```\w*\s*$")
TO_ANSWER = regex.compile(r"[^.!?。\n{}]*[:：]?[\s*_`]*$")
"""The rest of a sentence or line, up to the candidate."""


class Candidate(NamedTuple):
    """What may be the answer, in one spelling, and where it stands."""

    value: str
    start: int
    end: int


def chosen(find: Callable[[str], list[Candidate]], text: str, example: Example) -> str | None:
    """The one answer of a text.

    Of several that differ: the one before the next question that the model asks itself; else the one that the text calls the final
    one; else the one that it calls the answer; else the only one that does not stand in the prompt; else none.
    """
    text = without_prompt(text, example)
    candidates = find(text)
    if candidates and (end := next_question_start(text, candidates[0].start, example)) < len(text):
        candidates = find(text[:end]) or candidates
    if len({candidate.value for candidate in candidates}) > 1:
        candidates = find(before_next_question(text, example)) or candidates
        corrected = max((match.end() for match in CORRECTED.finditer(text)), default=0)
        candidates = [candidate for candidate in candidates if candidate.start >= corrected] or candidates
    if len({candidate.value for candidate in candidates}) > 1:
        introductions = introduced(text, candidates)
        introductions = [(candidate, before) for candidate, before in introductions if not is_wrong(before)] or introductions
        candidates = [candidate for candidate, _ in introductions]
        final = [candidate for candidate, before in introductions if is_final(before)]
        answer_cue = statement(cues(example.text)[0].rstrip(":：").strip())
        stated = [candidate for candidate, before in introductions if answer_cue.search(before)]
        candidates = final or stated or candidates
    values = {candidate.value for candidate in candidates}
    if len(values) > 1:
        values -= {candidate.value for candidate in find(example.text)}
    return (values.pop() or None) if len(values) == 1 else None


def introduced(text: str, candidates: list[Candidate]) -> list[tuple[Candidate, str]]:
    """Each candidate with the text between it and the one before, without an opening fence."""
    starts = [0, *(candidate.end for candidate in candidates)]
    return [
        (candidate, OPENING_FENCE.sub("", text[max(start, candidate.start - BEFORE_ANSWER) : candidate.start]))
        for start, candidate in zip(starts, candidates, strict=False)
    ]


def is_final(before: str) -> bool:
    """Whether the text before a candidate ends in a sentence or a line that calls it the final one."""
    return any(TO_ANSWER.match(before, match.end()) for match in FINAL.finditer(before))


def is_wrong(before: str) -> bool:
    """Whether the text before a candidate ends in a sentence or a line that calls it wrong, and not the right one too."""
    return any(TO_ANSWER.match(before, match.end()) for match in WRONG.finditer(before)) and not is_final(before)
