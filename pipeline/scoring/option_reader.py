"""Reads an answer that gives the text of an option, where the prompt asks for its letter or number: `Paris` for `B) Paris`."""

from dataclasses import replace

from pipeline.scoring import choice_mentions, choice_reader
from pipeline.scoring.answer_text import answer_part
from pipeline.scoring.option_texts import options
from pipeline.store.records import Example


def read(text: str, example: Example) -> str | None:
    """The mark of the one option whose text is given; None where the prompt lists no options, or the answer names a mark itself."""
    marks = options(example.text, example.choices)
    if not marks or choice_mentions.mentions(answer_part(text, example), example):
        return None
    option = choice_reader.read(text, replace(example, choices=tuple(marks)))
    return None if option is None else marks[option]
