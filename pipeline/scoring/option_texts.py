"""Finds the options that a prompt lists with their marks, as `B) Paris`."""

from functools import lru_cache

import regex

from pipeline.metrics import words
from pipeline.scoring.answer_text import unified

OPTION = regex.compile(r"(?:^|(?<=\s))[(\[]?(\w)[)\].:][ \t]+(\S.*?)(?=\s+[(\[]?\w[)\].:][ \t]|\s*$)", regex.MULTILINE)
"""An option of a prompt with its mark: `B) Paris`, on a line of its own or beside others."""

OPTION_LINE = regex.compile(r"^[(\[]?(\w)[)\].:][ \t]+(\S.*?)\s*$", regex.MULTILINE)
"""An option that fills a line, in whose text another mark may stand: `B) Franklin D. Roosevelt`."""


@lru_cache(maxsize=1024)
def options(prompt: str, choices: tuple[str, ...]) -> dict[str, str]:
    """The mark of each option of a prompt by its text; empty unless all choices are single signs that it lists in their order."""
    if len(choices) < 2 or any(len(name) != 1 for name in choices):
        return {}
    lines, beside = (
        [(match[1], words.strip_wrappers(match[2])) for match in pattern.finditer(unified(prompt))][-len(choices) :]
        for pattern in (OPTION_LINE, OPTION)
    )
    pairs = lines if tuple(mark for mark, _ in lines) == choices else beside
    marks = {option: mark for mark, option in pairs if len(option) > 1 or (option.isdecimal() and mark.isalpha())}
    same = {words.normalise(option) for option in marks}
    return marks if tuple(mark for mark, _ in pairs) == choices and len(same) == len(choices) else {}


@lru_cache(maxsize=1024)
def marked(prompt: str, choices: tuple[str, ...]) -> "regex.Pattern[str] | None":
    """Matches the text of an option behind its mark; None where a prompt lists none."""
    texts = options(prompt, choices)
    names = [rf"(?<=(?<!\w){regex.escape(mark)}[\"'*_`]*[)\].:][\s\"'*_`]*){regex.escape(text)}(?!\w)" for text, mark in texts.items()]
    return regex.compile("|".join(names), regex.IGNORECASE) if texts else None


def without_texts(part: str, prompt: str, choices: tuple[str, ...]) -> str:
    """The text in which blanks stand for the texts of options behind their marks: `B: No` names B and says nothing of it."""
    pattern = marked(prompt, choices)
    return str(pattern.sub(lambda match: " " * len(match[0]), part)) if pattern else part


@lru_cache(maxsize=1024)
def with_letters(prompt: str, choices: tuple[str, ...]) -> "regex.Pattern[str] | None":
    """Matches the text of an option in which another option's mark stands, as in `B) C. elegans`; None where there is none."""
    sign = regex.compile(rf"(?<!\w)[{''.join(map(regex.escape, choices))}](?!\w)")
    names = sorted((text for text in options(prompt, choices) if sign.search(text)), key=len, reverse=True)
    return regex.compile("|".join(rf"(?<!\w){regex.escape(text)}(?!\w)" for text in names)) if names else None


def marks_for_texts(part: str, prompt: str, choices: tuple[str, ...]) -> str:
    """The text with the mark of an option, and blanks, for its text, where that holds a mark: `C. elegans` chooses B, not C."""
    if len(choices) < 2 or any(len(name) != 1 for name in choices):
        return part
    marks, pattern = options(prompt, choices), with_letters(prompt, choices)
    return str(pattern.sub(lambda match: marks[match[0]].ljust(len(match[0])), part)) if pattern else part
