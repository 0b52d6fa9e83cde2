"""Reads an answer that gives the text of an option, where the prompt asks for its letter or number: `Paris` for `B) Paris`."""

from dataclasses import replace
from functools import lru_cache

import regex

from pipeline.metrics import words
from pipeline.scoring import choice_reader
from pipeline.scoring.answer_text import answer_part, unified
from pipeline.store.records import Example

OPTION = regex.compile(r"(?:^|(?<=\s))[(\[]?(\w)[)\].:][ \t]+(\S.*?)(?=\s+[(\[]?\w[)\].:][ \t]|\s*$)", regex.MULTILINE)
"""An option of a prompt with its mark: `B) Paris`, on a line of its own or beside others."""


def read(text: str, example: Example) -> str | None:
    """The mark of the one option whose text is given; None where the prompt lists no options, or the answer names a mark itself."""
    marks = options(example.text, example.choices)
    if not marks or choice_reader.mentions(answer_part(text, example), example):
        return None
    option = choice_reader.read(text, replace(example, choices=tuple(marks)))
    return None if option is None else marks[option]


@lru_cache(maxsize=1024)
def options(prompt: str, choices: tuple[str, ...]) -> dict[str, str]:
    """The mark of each option of a prompt by its text; empty unless all choices are single signs that it lists in their order."""
    if len(choices) < 2 or any(len(name) != 1 for name in choices):
        return {}
    pairs = [(match[1], words.strip_wrappers(match[2])) for match in OPTION.finditer(unified(prompt))][-len(choices) :]
    marks = {option: mark for mark, option in pairs if len(option) > 1}
    same = {words.normalise(option) for option in marks}
    return marks if tuple(mark for mark, _ in pairs) == choices and len(same) == len(choices) else {}
