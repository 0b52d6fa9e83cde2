"""The answer in a model's text. Every parser takes the text and the example and returns None where it can read no answer.

A parser also spells: `1,018.00` is read as `1018`, and a JSON object gets its keys in order. So scores compare what it reads out
of the text with what it reads out of the target, and what it has read once it reads again unchanged.
"""

import ast
import json as jsonlib
import re
import warnings
from decimal import Decimal
from typing import Any

from pipeline.store.records import Example

NUMBER = re.compile(r"(?:(?<!\w)[-+])?(?<!\w)(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
"""`-1,234.5`, `.5`, `2e-4`. In `5-3` the sign is a minus between two numbers; the 2 of `H2O` is none."""

TRUTH = re.compile(r"(?<!\w)(?:(yes|true)|no|false)(?!\w)", re.IGNORECASE)
BRACES = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|[{}]")
"""Curly brackets, and strings, so that the brackets in them do not count."""
QUERY = r"\bSELECT\b.*(?:\n(?:[ \t]+\S|(?:FROM|WHERE|AND|OR|GROUP|ORDER|HAVING|LIMIT|UNION|JOIN)\b).*)*"
"""From a SELECT to the last line that is indented or begins with a word of SQL."""
FENCE = re.compile(r"^[ \t]*```[^`\n]*$\n?", re.MULTILINE)
BODY = re.compile(r"\s*\n(?: {2}|\t)")
"""Put behind a line break, text that begins with the indented body of a function."""
BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
START = re.compile(r"^(?:(?:async )?def \w+ *\(|class \w+ *[(:]|import \w|from [\w.]+ import |@\w)", re.MULTILINE)
"""The start of a line that can be nothing but Python."""
DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
HELPER = (*DEFINITION, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.AugAssign)
"""What stands behind a function at the top level and still belongs to the answer."""


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
            return spell(decoder.raw_decode(text, start)[0])
        except (ValueError, RecursionError):
            continue
    return None


def refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def spell(value: Any) -> str:
    """JSON text; raises TypeError or ValueError on a value that has none."""
    spelled = jsonlib.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    spelled.encode()  # half a surrogate pair is no text, and no file would take it
    return spelled


def python_dict(text: str, example: Example) -> str | None:
    """The first whole dictionary, written as JSON or as Python (`{'b': ['x'], 'a': None}`), spelled as `json` spells it."""
    del example
    for start, end in braces(text):
        for read in (jsonlib.loads, ast.literal_eval):
            try:
                with warnings.catch_warnings(action="ignore"):  # a model's odd escapes are no concern of the user
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
    """The first of yes, true, no and false that stands in the text as a whole word, spelled `yes` or `no`."""
    del example
    found = TRUTH.search(text)
    return None if found is None else "yes" if found[1] else "no"


def topics(text: str, example: Example) -> str | None:
    """The labels of the first line, in lower case, sorted, each once, with `, ` between: `Trade; earn, TRADE.` is `earn, trade`."""
    line = first_line(text, example) or ""
    labels = {" ".join(re.sub(r"^[\W_]+|[\W_]+$", "", part).split()) for part in re.split("[,;]", line.lower())}
    return ", ".join(sorted(labels - {""})) or None


def sql(text: str, example: Example) -> str | None:
    """The first query on one line, without its final semicolon; SELECT in capitals goes before one that may be a word of chatter."""
    del example
    found = re.search(QUERY, text) or re.search(QUERY, text, re.IGNORECASE)
    query = re.split(r";\s*(?:\n|$)|```", found[0], maxsplit=1)[0] if found else ""
    return " ".join(query.split()).rstrip("; ") or None


def code(text: str, example: Example) -> str | None:
    """The Python in the text: a fenced block's, else the text; chatter behind it is cut, the indentation of its first line stays.

    Where the text begins with code, a fence ends it. The code ends before the first unindented line from which on it is
    no Python, and, once a function or class stands, before the first unindented statement that neither defines, imports
    nor assigns: a call, a test, `if __name__`. So helper functions that follow are kept, and a last one that was cut off is
    not. Code that is broken inside its first piece is returned as it stands, to fail.
    """
    del example
    inside = BLANK_LINES.sub("", unfenced(text.replace("\r\n", "\n")))
    if not is_body(inside) and whole_pieces(inside) is None and (start := START.search(inside)):
        inside = inside[start.start() :]
    read = whole_pieces(inside)
    return (inside if read is None else read).rstrip() or None


def unfenced(text: str) -> str:
    """The content of the first fenced block, ended or not; what stands before it, where that begins with code; else all."""
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
    """The top-level statements, of which the first is a function around the body where the text begins with one.

    Where the text is no Python: the line (from 0) at or before which it stops to be.
    """
    shift = int(is_body(text))
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse("def body():\n" * shift + text).body
    except SyntaxError as error:
        return max(0, (error.lineno or 1) - 1 - shift)
    except (ValueError, RecursionError, MemoryError):
        return 0


def is_code(text: str) -> bool:
    """Whether all of the text is Python that does something: `Answer: yes` is Python, too."""
    found = statements(text)
    return isinstance(found, list) and any(
        not isinstance(each, ast.Expr) and not (isinstance(each, ast.AnnAssign) and each.value is None) for each in found
    )


def whole_pieces(text: str) -> str | None:
    """The longest run of unindented pieces from the top that is Python, without what follows a function and is no part of it."""
    lines = text.split("\n")
    end = len(lines)
    while isinstance(found := statements("\n".join(lines[:end])), int):
        unindented = [n for n in range(1, min(found + 1, end)) if lines[n][:1].strip()]
        if not unindented:
            return None
        end = unindented[-1]
    shift, defined = int(is_body(text)), False
    for statement in found:
        if defined and not isinstance(statement, HELPER):
            end = statement.lineno - 1 - shift
            break
        defined = defined or isinstance(statement, DEFINITION)
    cut = "\n".join(lines[:end]).rstrip()
    return cut if cut == text else whole_pieces(cut)  # a backslash that is now the end is no Python
