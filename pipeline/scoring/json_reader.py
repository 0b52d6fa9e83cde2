"""Finds JSON objects and Python dictionary literals in a text."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.metrics import words
from pipeline.scoring import literals
from pipeline.scoring.final_answer import Candidate
from pipeline.store.records import reject_constant

BRACES = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|[{}]")
"""Curly brackets, and strings, so that brackets inside strings do not count."""
DECODER = json.JSONDecoder(parse_constant=reject_constant, strict=False)
"""Takes line breaks inside a string, as models write them."""
KEY = re.compile(r"\{\s*(?:\"[^\"\n]*\"|'[^'\n]*')\s*:")
"""The start of an object: its first key."""
RELAXED_KEY = re.compile(r"\{\s*(?://[^\n]*\s*)*(?:\"[^\"\n]*\"|'[^'\n]*'|[“”][^“”\n]*[“”]|[A-Za-z_]\w*)\s*:")
"""The same as JavaScript and people write it."""


def objects(text: str) -> list[Candidate]:
    """The whole objects of a text, in order, spelled as `canonical_json`; where none is JSON or Python, those that people write.

    What stands inside an object that cannot be read, as one that is cut off, is a part of an answer and no answer.
    """
    ends = dict(braces(text))
    return read_objects(text, ends, dict_at, KEY) or read_objects(text, ends, relaxed_at, RELAXED_KEY)


def read_objects(
    text: str, ends: Mapping[int, int], read: Callable[[str, int, int | None], Candidate | None], key: re.Pattern[str]
) -> list[Candidate]:
    """The objects of a text that are JSON or what `read` reads.

    Args:
        ends: by the start of a pair of curly brackets, its end.
        key: the start of an object, whether or not it can be read.
    """
    candidates: list[Candidate] = []
    end = 0
    for start in (match.start() for match in re.finditer(r"\{", text)):
        if start < end:
            continue
        if candidate := json_at(text, start) or read(text, start, ends.get(start)):
            candidates.append(candidate)
            end = candidate.end
        elif key.match(text, start):
            end = ends.get(start, len(text))
    return candidates


def json_at(text: str, start: int) -> Candidate | None:
    """The JSON object that begins there, whatever brackets its strings hold."""
    try:
        value, end = DECODER.raw_decode(text, start)
        return Candidate(canonical_json(value), start, end)
    except (ValueError, RecursionError):
        return None


def dict_at(text: str, start: int, end: int | None) -> Candidate | None:
    """The Python dictionary literal from the start to the end, if it has one."""
    return None if end is None else candidate(text[start:end], start, end)


def relaxed_at(text: str, start: int, end: int | None) -> Candidate | None:
    """The object from the start to the end as JavaScript and people write it; see literals.relaxed."""
    return None if end is None else candidate(literals.relaxed(text[start:end]), start, end)


def candidate(source: str, start: int, end: int) -> Candidate | None:
    """The value of a literal; None if it is none."""
    try:
        return Candidate(canonical_json(literals.value(source)), start, end)
    except (ValueError, TypeError, RecursionError):
        return None


def braces(text: str) -> list[tuple[int, int]]:
    """Start and end of every pair of curly brackets, in the order of their starts."""
    opened: list[int] = []
    pairs: list[tuple[int, int]] = []
    for match in BRACES.finditer(text, max(text.find("{"), 0)):
        if match[0] == "{":
            opened.append(match.start())
        elif match[0] == "}" and opened:
            pairs.append((opened.pop(), match.end()))
    return sorted(pairs)


def canonical_json(value: Any) -> str:
    """Canonical JSON text: keys are sorted, and 3.0 is 3. Raises TypeError or ValueError for a value that is not JSON."""
    spelled = json.dumps(words.same_numbers(value), ensure_ascii=False, sort_keys=True, allow_nan=False)
    spelled.encode()  # raises on half of a surrogate pair, which no file can hold
    return spelled
