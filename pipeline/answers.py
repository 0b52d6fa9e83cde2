"""The answer in a model's text. Every parser takes the text and the example and returns None where it can read no answer.

A parser also spells: `1,018.00` is read as `1018`, and a JSON object gets its keys in order. So scores compare what it reads out
of the text with what it reads out of the target, and what it has read once it reads again unchanged.
"""

import json as jsonlib
import re
from decimal import Decimal
from typing import Any

from pipeline.records import Example

NUMBER = re.compile(r"(?:(?<!\w)[-+])?(?<!\w)(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
"""`-1,234.5`, `.5`, `2e-4`. In `5-3` the sign is a minus between two numbers; the 2 of `H2O` is none."""


def text(text: str, example: Example) -> str | None:
    """All of it, without blanks around it."""
    del example
    return text.strip() or None


def first_line(text: str, example: Example) -> str | None:
    """The first line that is not blank."""
    del example
    return next((line.strip() for line in text.splitlines() if line.strip()), None)


def choice(text: str, example: Example) -> str | None:
    """The choice that stands first in the text as a whole word, as the example spells it; of two at one place the longer."""
    found = [
        (match.start(), -len(name), match.group() != name, name) for name in example.choices if (match := whole_word(name).search(text))
    ]
    return min(found)[-1] if found else None


def whole_word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)


def number(text: str, example: Example) -> str | None:
    """The number behind the last `####`, else the last number, without thousands' commas and idle zeros: `$1,018.50` is `1018.5`."""
    del example
    _, mark, behind = text.rpartition("####")
    found = [match.group() for match in NUMBER.finditer((behind if mark else text).replace("\u2212", "-"))]
    if not found:
        return None
    plain = f"{Decimal((found[0] if mark else found[-1]).replace(',', '')):f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain == "-0" else plain


def json(text: str, example: Example) -> str | None:
    """The first whole JSON object, spelled as `json.dumps(value, ensure_ascii=False, sort_keys=True)` spells it."""
    del example
    decoder = jsonlib.JSONDecoder(parse_constant=refuse)
    for start in (match.start() for match in re.finditer(r"\{", text)):
        try:
            spelled = jsonlib.dumps(decoder.raw_decode(text, start)[0], ensure_ascii=False, sort_keys=True)
            spelled.encode()  # half a surrogate pair is no text, and no file would take it
        except (ValueError, RecursionError):
            continue
        return spelled
    return None


def refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")
