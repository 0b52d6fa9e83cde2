"""Where two values, or two texts, first differ."""

import json
import math
import re
from typing import Any

CLOSE = 1e-9
"""Numbers this close, relative to the larger one above 1, are equal: another processor adds in another order."""


def values(said: Any, found: Any, at: str = "") -> tuple[str, Any, Any] | None:
    """Where two JSON values first differ, and both there; numbers may differ by rounding."""
    if isinstance(said, dict) and isinstance(found, dict):
        if said.keys() != found.keys():
            odd = sorted(said.keys() ^ found.keys())[0]
            return f"{at}.{odd}", said.get(odd, "nothing"), found.get(odd, "nothing")
        return next((far for key in said if (far := values(said[key], found[key], f"{at}.{key}"))), None)
    if isinstance(said, list) and isinstance(found, list):
        inner = (values(one, other, f"{at}[{number}]") for number, (one, other) in enumerate(zip(said, found, strict=False)))
        far = next((each for each in inner if each), None)
        return far or (None if len(said) == len(found) else (f"{at}, its length", len(said), len(found)))
    return None if alike(said, found) else (at, said, found)


def alike(said: Any, found: Any) -> bool:
    if is_number(said) and is_number(found):
        return math.isclose(said, found, rel_tol=CLOSE, abs_tol=CLOSE) or (math.isnan(said) and math.isnan(found))
    return type(said) is type(found) and bool(said == found)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def count(value: Any) -> int:
    """Numbers in a JSON value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return is_number(value) + sum(map(count, inner))


def texts(said: str, found: str) -> tuple[str, str, str] | None:
    """Where two texts first differ: its line and the last id before it; and what stands there in both, from tag to tag."""
    if said == found:
        return None
    at = next((number for number, (one, other) in enumerate(zip(said, found, strict=False)) if one != other), min(len(said), len(found)))
    ids = re.findall(r'\bid="([\w.-]+)"', said[:at])
    where = f"line {said[:at].count(chr(10)) + 1}" + (f", behind #{ids[-1]}" if ids else "")
    return where, around(said, at), around(found, at)


def around(text: str, at: int) -> str:
    """The text between two tags that a place lies in, not too much of it."""
    start = max(text.rfind(">", 0, at), text.rfind("\n", 0, at), at - 60) + 1
    ends = [end for end in (text.find("<", at), text.find("\n", at), at + 60) if end >= 0]
    return text[start : max(at + 1, min(ends))].strip()


def shown(value: object) -> str:
    """A value for people, not too much of it."""
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{said}'" if len(said) <= 80 else f"'{said[:77]}...'"
