"""Reads values that Python, JavaScript or a person wrote in place of JSON."""

import ast
import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

from pipeline.store.records import reject_constant

WORDS = {"True": True, "False": False, "None": None, "true": True, "false": False, "null": None}
"""Values as Python or as JSON has them."""
MAX_SOURCE = 100_000
"""Characters that are parsed."""
LEADING_ZERO = re.compile(r"(?<![\w.])0\d")
"""Begins a number that is none in JSON, such as 029.90, and may be a code or a date."""
BRACKETS = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|[\[\]{}]")
"""Brackets, and strings, so that brackets inside strings do not count."""
RELAXED = re.compile(
    r"(?P<text>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')|[“”](?P<curly>[^“”\n]*)[“”]|(?P<comment>//[^\n]*|/\*.*?\*/)"
    r"|(?<=[{,\s])(?P<key>[A-Za-z_]\w*)(?=\s*:)",
    re.DOTALL,
)
"""A string; or what JavaScript and people write: a text in curly quotes, a comment, a key without quotes."""
DECODER = json.JSONDecoder(parse_constant=reject_constant, strict=False)
"""Takes line breaks inside a string, as models write them."""


def value(source: str) -> Any:
    """The value of a literal of Python, in which JSON's words for true, false and null stand too.

    Raises:
        ValueError: it is none, or none that JSON has.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # warnings about a model's odd escapes do not help the user
            return of_node(ast.parse(source[:MAX_SOURCE].strip(), mode="eval").body, source.strip())
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("no literal") from error


def of_node(node: ast.expr, source: str) -> Any:
    """The value of a part of `source`. Raises ValueError or TypeError as value()."""
    may_have_zeros = LEADING_ZERO.search(source)
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and inner.id not in WORDS:
            raise ValueError("a name is no value")
        is_number = may_have_zeros and isinstance(inner, ast.Constant) and isinstance(inner.value, int | float)
        if is_number and LEADING_ZERO.match(ast.get_source_segment(source, inner) or ""):
            raise ValueError("a number may not begin with zeros")
    read = ast.literal_eval(Words().visit(node))
    json.dumps(read, allow_nan=False)
    return read


class Words(ast.NodeTransformer):
    """Replaces JSON's words by Python's."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.copy_location(ast.Constant(WORDS[node.id]), node)


def relaxed(source: str) -> str:
    """The source as Python has it: without comments, keys in quotes, straight quotes."""
    return RELAXED.sub(as_python, source)


def as_python(match: re.Match[str]) -> str:
    if match["text"] is not None:
        return match["text"]
    word = match["key"] if match["key"] is not None else match["curly"]
    return "" if word is None else json.dumps(word, ensure_ascii=False)


def spans(text: str) -> dict[int, int]:
    """By the start of every pair of brackets, its end; brackets of two kinds do not close each other."""
    opened: list[int] = []
    pairs: dict[int, int] = {}
    for match in BRACKETS.finditer(text):
        if match[0] in "[{":
            opened.append(match.start())
        elif match[0] in "]}" and opened and text[opened[-1]] + match[0] in ("[]", "{}"):
            pairs[opened.pop()] = match.end()
    return pairs


def value_at(text: str, position: int, ends: Mapping[int, int]) -> tuple[Any, int]:
    """The value that begins there, as JSON or Python has it, and its end. Raises ValueError or RecursionError if there is none.

    Args:
        ends: see spans().
    """
    try:
        return DECODER.raw_decode(text, position)
    except (ValueError, RecursionError):
        if position not in ends:
            raise
        return value(text[position : ends[position]]), ends[position]
