"""Parses the answer from a model's text. Each parser takes the text and the example and returns None if it finds no answer.

Parsers also normalize: `1,018.00` becomes `1018`, and the keys of a JSON object are sorted. Scores compare the parsed text with the
parsed target, and parsing an answer again does not change it.
"""

import ast
import json as jsonlib
import re
import warnings
from decimal import Decimal
from typing import Any

from pipeline.store.records import Example, reject_constant

NUMBER = re.compile(r"(?:(?<!\w)[-+])?(?<!\w)(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
"""`-1,234.5`, `.5`, `2e-4`. In `5-3` the sign is a minus between two numbers; the 2 of `H2O` is none."""

TRUTH = re.compile(r"(?<!\w)(?:(yes|true)|no|false)(?!\w)", re.IGNORECASE)
BRACES = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|[{}]")
"""Curly brackets, and strings, so that brackets inside strings do not count."""
QUERY = r"\bSELECT\b.*(?:\n(?:[ \t]+\S|(?:FROM|WHERE|AND|OR|GROUP|ORDER|HAVING|LIMIT|UNION|JOIN)\b).*)*"
"""From a SELECT to the last line that is indented or begins with an SQL keyword."""
FENCE = re.compile(r"^[ \t]*```[^`\n]*$\n?", re.MULTILINE)
BODY = re.compile(r"\s*\n(?: {2}|\t)")
"""Matches after a line break if the text begins with the indented body of a function."""
BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
START = re.compile(r"^(?:(?:async )?def \w+ *\(|class \w+ *[(:]|import \w|from [\w.]+ import |@\w)", re.MULTILINE)
"""The start of a line that can only be Python."""
DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
HELPER = (*DEFINITION, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.AugAssign)
"""Top-level statements after a function that still belong to the answer."""


def text(text: str, example: Example) -> str | None:
    """The whole text without surrounding whitespace."""
    del example
    return text.strip() or None


def first_line(text: str, example: Example) -> str | None:
    """The first line that is not blank."""
    del example
    return next((line.strip() for line in text.splitlines() if line.strip()), None)


def choice(text: str, example: Example) -> str | None:
    """The choice that occurs first in the text as a whole word, spelled as in the example; of two at one position the longer."""
    matches = [
        (match.start(), -len(name), match.group() != name, name) for name in example.choices if (match := whole_word(name).search(text))
    ]
    return min(matches)[-1] if matches else None


def whole_word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)


def number(text: str, example: Example) -> str | None:
    """The number after the last `####`, else the last number, without thousands separators and trailing zeros: `$1,018.50` is `1018.5`."""
    del example
    _, mark, rest = text.rpartition("####")
    numbers = [match.group() for match in NUMBER.finditer((rest if mark else text).replace("\u2212", "-"))]
    if not numbers:
        return None
    plain = f"{Decimal((numbers[0] if mark else numbers[-1]).replace(',', '')):f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain == "-0" else plain


def json(text: str, example: Example) -> str | None:
    """The first whole JSON object, spelled as `json.dumps(value, ensure_ascii=False, sort_keys=True)` spells it."""
    del example
    decoder = jsonlib.JSONDecoder(parse_constant=reject_constant)
    for start in (match.start() for match in re.finditer(r"\{", text)):
        try:
            return spell(decoder.raw_decode(text, start)[0])
        except (ValueError, RecursionError):
            continue
    return None


def spell(value: Any) -> str:
    """Canonical JSON text. Raises TypeError or ValueError for a value that is not JSON."""
    spelled = jsonlib.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    spelled.encode()  # raises on half of a surrogate pair, which no file can hold
    return spelled


def python_dict(text: str, example: Example) -> str | None:
    """The first whole dictionary, written as JSON or as Python (`{'b': ['x'], 'a': None}`), spelled as `json` spells it."""
    del example
    for start, end in braces(text):
        for read in (jsonlib.loads, ast.literal_eval):
            try:
                with warnings.catch_warnings(action="ignore"):  # warnings about a model's odd escapes do not help the user
                    return spell(read(text[start:end]))
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                continue
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


def boolean(text: str, example: Example) -> str | None:
    """The first of yes, true, no and false that occurs as a whole word, spelled `yes` or `no`."""
    del example
    match = TRUTH.search(text)
    return None if match is None else "yes" if match[1] else "no"


def topics(text: str, example: Example) -> str | None:
    """The labels of the first line in lower case, sorted, without duplicates: `Trade; earn, TRADE.` is `earn, trade`."""
    line = first_line(text, example) or ""
    labels = {" ".join(re.sub(r"^[\W_]+|[\W_]+$", "", part).split()) for part in re.split("[,;]", line.lower())}
    return ", ".join(sorted(labels - {""})) or None


def sql(text: str, example: Example) -> str | None:
    """The first query, on one line and without its final semicolon. SELECT in capitals wins over `select`, which may be plain English."""
    del example
    match = re.search(QUERY, text) or re.search(QUERY, text, re.IGNORECASE)
    query = re.split(r";\s*(?:\n|$)|```", match[0], maxsplit=1)[0] if match else ""
    return " ".join(query.split()).rstrip("; ") or None


def code(text: str, example: Example) -> str | None:
    """The Python in the text: the fenced block, else the text. Chatter after it is cut; the indentation of its first line stays.

    If the text begins with code, a fence ends it. The code ends before the first unindented line that makes it invalid
    Python and, after a function or class, before the first unindented statement that does not define, import or assign:
    a call, a test, `if __name__`. So later helper functions stay, and a truncated last one does not. Code that is broken
    inside its first piece is returned unchanged, and fails its tests.
    """
    del example
    inside = BLANK_LINES.sub("", unfenced(text.replace("\r\n", "\n")))
    if not is_body(inside) and whole_pieces(inside) is None and (start := START.search(inside)):
        inside = inside[start.start() :]
    read = whole_pieces(inside)
    return (inside if read is None else read).rstrip() or None


def unfenced(text: str) -> str:
    """The first fenced block, closed or not; the text before it if that begins with code; the whole text without a fence."""
    fence = FENCE.search(text)
    if fence is None or is_code(text):
        return text
    if is_code(before := whole_pieces(text[: fence.start()]) or ""):
        return before
    closing = re.compile(r"^[ \t]*```", re.MULTILINE).search(text, fence.end())
    return text[fence.end() : closing.start() if closing else len(text)]


def is_body(text: str) -> bool:
    return BODY.match("\n" + text) is not None


def statements(text: str) -> list[ast.stmt] | int:
    """The top-level statements. A text that begins with a function body gets a function around it.

    For invalid Python: the line (from 0) at or before which it becomes invalid.
    """
    shift = int(is_body(text))
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(f"def body():\n{text}" if shift else text).body
    except SyntaxError as error:
        return max(0, (error.lineno or 1) - 1 - shift)
    except (ValueError, RecursionError, MemoryError):
        return 0


def is_code(text: str) -> bool:
    """Whether the whole text is Python with an effect: `Answer: yes` parses too, but does nothing."""
    parsed = statements(text)
    return isinstance(parsed, list) and any(
        not isinstance(node, ast.Expr) and not (isinstance(node, ast.AnnAssign) and node.value is None) for node in parsed
    )


def whole_pieces(text: str) -> str | None:
    """The longest valid Python from the start of the text, without statements after a function that do not belong to it."""
    lines = text.split("\n")
    end = len(lines)
    while isinstance(parsed := statements("\n".join(lines[:end])), int):
        unindented = [n for n in range(1, min(parsed + 1, end)) if lines[n][:1].strip()]
        if not unindented:
            return None
        end = unindented[-1]
    shift, defined = int(is_body(text)), False
    for statement in parsed:
        if defined and not isinstance(statement, HELPER):
            end = statement.lineno - 1 - shift
            break
        defined = defined or isinstance(statement, DEFINITION)
    cut = "\n".join(lines[:end]).rstrip()
    return cut if cut == text else whole_pieces(cut)  # a backslash that is now last is not valid Python
