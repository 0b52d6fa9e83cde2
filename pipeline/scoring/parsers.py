"""Parses the answer from a model's text. Each parser takes the text and the example and returns None if it finds no answer.

Parsers also normalize: `1,018.00` becomes `1018`, and the keys of a JSON object are sorted. Scores compare the parsed text with the
parsed target, and parsing an answer again does not change it.
"""

import ast
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial, wraps
from itertools import pairwise

import regex

from pipeline.metrics import numbers, words
from pipeline.scoring import choice_reader, final_answer, json_reader
from pipeline.scoring.answer_text import ANSWER_CUES, answer_part, without_cue, without_thoughts
from pipeline.scoring.final_answer import Candidate
from pipeline.store.records import Example

BOXED = re.compile(r"\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
NUMBER_CUE = regex.compile(
    rf"(?:{ANSWER_CUES}|答案|答え|정답|ответ|الإجابة|उत्तर|คำตอบ)\b[^.\n:：=]{{0,40}}?(?:\bis\b|\bare\b|\bwas\b|[:：=]|->|→|是|为|為|は)+",
    regex.IGNORECASE,
)
ALTERNATIVE = regex.compile(
    r"\s?(?:\p{L}{1,12}\.?)?,?\s?(?:\bor\b|\boder\b|\bou\b|\bили\b|或者?|または|또는|\bأو\b)\s?\W{0,2}", regex.IGNORECASE
)
"""What stands between two numbers of which the text does not say which it means: `3 kg or`."""
RANGE = regex.compile(r"\s?(?:\p{L}{1,12}\s)?(?:-|–|—|\bto\b|\bbis\b|\band\b|\bà\b|至|到|から)\s?", regex.IGNORECASE)
"""The same between the only two numbers of a line."""
BULLET = re.compile(r"^\s*(?:[-*•·▪◦–]|\d{1,2}[.)])\s+")
DASH = re.compile(r"^[-*•·▪◦–]\s+")
LABEL_SEPARATOR = re.compile("[,;、，；،؛]")
SIGNS_AROUND = r"\s\"'“”„«»‘’「」『』*_`~<>()\[\]{}|/\\=→.!?:…。"
AROUND_LABEL = re.compile(rf"^(?:[{SIGNS_AROUND}#]|[-–—•·](?!\d))+|[{SIGNS_AROUND}–—-]+$")
"""Signs around a label that are no part of it, unlike those of `c++`, `c#` and `-3`."""
SHORT_UNIT = 2
"""Words that may follow the number of a first line that is the whole answer."""
GROUNDS = re.compile(r"[^\d\n()=]{0,30}(?:\([^()\n]*\)[\s.!*_]*\Z|[,;]?\s*\b(?:because|since)\b[^.!?\n]*[.!?]?\s*\Z)")
"""What may follow the number of a first line without changing it: how it was found, as in `12 apples (3 boxes of 4)`."""
EMPTY_LIST = re.compile(r"\s*(?:```\w*\s*)?\[\s*\]\s*(?:```\s*)?")
QUERY = r"\bSELECT\b.*(?:\n(?:[ \t]+\S|(?:FROM|WHERE|AND|OR|GROUP|ORDER|HAVING|LIMIT|UNION|JOIN)\b).*)*"
"""From a SELECT to the last line that is indented or begins with an SQL keyword."""
WITH_TABLE = re.compile(r"\bFROM\b", re.IGNORECASE)
FENCE = re.compile(r"^[ \t]*```[^`\n]*$\n?", re.MULTILINE)
BODY = re.compile(r"\s*\n(?: {2}|\t)")
"""Matches after a line break if the text begins with the indented body of a function."""
BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
START = re.compile(r"^(?:(?:async )?def \w+ *\(|class \w+ *[(:]|import \w|from [\w.]+ import |@\w)", re.MULTILINE)
"""The start of a line that can only be Python."""
DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
HELPER = (*DEFINITION, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.AugAssign)
"""Top-level statements after a function that still belong to the answer."""


def after_thoughts(parse: Callable[[str, Example], str | None]) -> Callable[[str, Example], str | None]:
    """The parser for what follows the thoughts of a reasoning model."""

    @wraps(parse)
    def read(text: str, example: Example) -> str | None:
        return parse(without_thoughts(text), example)

    return read


@after_thoughts
def text(text: str, example: Example) -> str | None:
    """The whole text without surrounding whitespace."""
    del example
    return text.strip() or None


def or_empty(parse: Callable[[str, Example], str | None]) -> Callable[[str, Example], str | None]:
    """The parser for a task in which no answer may be right: blank text is that answer, and what cannot be read stays unread."""

    def read(text: str, example: Example) -> str | None:
        return parse(text, example) if text.strip() else ""

    return read


@after_thoughts
def first_line(text: str, example: Example) -> str | None:
    """The first line that is not blank, without a repeated cue, markup and quotes around it, and its final full stop."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    while (bare := words.strip_wrappers(DASH.sub("", without_cue(line, example)))) and bare != line:
        line = bare
    return line or None


@after_thoughts
def choice(text: str, example: Example) -> str | None:
    """The choice that the text gives, spelled as in the example; None where it names several or none for certain."""
    return choice_reader.read(text, example)


@after_thoughts
def boolean(text: str, example: Example) -> str | None:
    """Which of yes and true, or no and false, the text gives, spelled `yes` or `no`."""
    return choice_reader.read(text, replace(example, choices=("yes", "true", "no", "false")), {"true": "yes", "false": "no"})


def number(text: str, example: Example) -> str | None:
    """The number that the text gives, where nobody said which decimal mark it uses: `1.234` and `1,234` are then not read."""
    return read_number(text, example, None)


@cache
def number_in(mark: numbers.Mark | None) -> Callable[[str, Example], str | None]:
    """The parser of numbers of a known decimal mark."""
    return number if mark is None else partial(read_number, mark=mark)


def read_number(text: str, example: Example, mark: numbers.Mark | None) -> str | None:
    """The number after the last `####`, in the last box, after the last cue, or alone or with its grounds on the first line; else the last.

    `$1,018.50` is `1018.5`. None if that number can be read in two ways.
    """
    part = numbers.plain(answer_part(without_thoughts(text), example))
    _, hashes, rest = part.rpartition("####")
    if hashes:
        line = next(iter(rest.strip().splitlines()), "")
        return next((number.value for number in result(line, mark)), None)
    if boxes := BOXED.findall(part):
        return numbers.read(boxes[-1], mark)
    if (stated := after_cue(part, mark)) is not None:
        return stated.value
    first = next((line for line in part.splitlines() if line.strip()), "")
    first = BULLET.sub("", without_cue(first, example)) if "\n" in part.strip() or not numbers.read(first, mark) else first
    alone = numbers.find(first, mark)
    if len(alone) == 1 and len(regex.findall(r"\p{L}+", first)) <= SHORT_UNIT:
        return alone[0].value
    opening = next(numbers.runs(first), None)
    if opening and not first[: opening.start()].strip(" *_`") and GROUNDS.match(first, opening.end()):
        return alone[0].value
    matches = single(part, mark)
    return matches[-1].value if matches else None


def after_cue(part: str, mark: numbers.Mark | None) -> numbers.Number | None:
    """The number of the last sentence that says what the answer is: the first in it, or what an equation in it comes to."""
    for cue in reversed(list(NUMBER_CUE.finditer(part))):
        sentence = regex.split(r"\n|[.。!?](?:\s|$)", part[cue.end() :], maxsplit=1)[0]
        if matches := result(sentence, mark):
            return matches[0]
    return None


def result(sentence: str, mark: numbers.Mark | None) -> list[numbers.Number]:
    """The numbers of a sentence, without those of an equation before what it comes to."""
    return single(sentence.rpartition("=")[2], mark) or single(sentence, mark)


def single(text: str, mark: numbers.Mark | None) -> list[numbers.Number]:
    """The numbers of a text; without a value those that are one of several for it, as in `3 or 5`, and the ends of a lone range."""
    runs, matches = list(numbers.runs(text)), numbers.find(text, mark)
    between = [text[one.end() : other.start()] for one, other in pairwise(runs)]
    differ = [one.value != other.value for one, other in pairwise(matches)]
    is_range = len(runs) == 2 and RANGE.fullmatch(between[0])
    joined = [other and bool(is_range or ALTERNATIVE.fullmatch(gap)) for gap, other in zip(between, differ, strict=True)]
    unsure = {n + side for n, is_joined in enumerate(joined) if is_joined for side in (0, 1)}
    return [number._replace(value=None) if n in unsure else number for n, number in enumerate(matches)]


@after_thoughts
def json(text: str, example: Example) -> str | None:
    """The JSON object or Python dictionary literal that the text gives, as `canonical_json`; None where it gives two that differ.

    See `json_reader.objects` and `final_answer.chosen`. An empty list and nothing else says that there is nothing, as `{}` does.
    """
    if EMPTY_LIST.fullmatch(text):
        return "{}"
    return final_answer.chosen(json_reader.objects, text, example)


@after_thoughts
def topics(text: str, example: Example) -> str | None:
    """The labels of the first line, or of a list with one a line, in lower case, sorted, once: `Trade; earn, TRADE.` is `earn, trade`."""
    rows = [line for line in answer_part(text, example).splitlines() if without_cue(line, example).strip()]
    first = without_cue(rows[0], example) if rows else ""
    listed = [first]
    for row in rows[1:]:
        if re.search("[,;:、，；،؛]", first) or not (BULLET.match(row) and (BULLET.match(rows[0]) or rows[0].rstrip().endswith(":"))):
            break
        listed.append(row)
    parts = [part for row in listed for part in LABEL_SEPARATOR.split(BULLET.sub("", row).lower())]
    labels = {" ".join(AROUND_LABEL.sub("", part).split()) for part in parts}
    return ", ".join(sorted(labels - {""})) or None


@after_thoughts
def sql(text: str, example: Example) -> str | None:
    """The query that the text gives, on one line and without its final semicolon; None where it gives two that differ.

    SELECT in capitals wins over `select`, which may be plain English, and a query with FROM over one without.
    """
    return final_answer.chosen(queries, text, example)


def queries(text: str) -> list[Candidate]:
    """The queries of a text, in order."""
    matches = list(re.finditer(QUERY, text)) or list(re.finditer(QUERY, text, re.IGNORECASE))
    candidates = []
    for match in matches:
        query = re.split(r";\s*(?:\n|$)|```", match[0], maxsplit=1)[0]
        candidates.append(Candidate(" ".join(query.split()).rstrip("; "), match.start(), match.end()))
    return [query for query in candidates if WITH_TABLE.search(query.value)] or candidates


@after_thoughts
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
    shift = int(is_body(text))
    defined = False
    for statement in parsed:
        if defined and not isinstance(statement, HELPER):
            end = statement.lineno - 1 - shift
            break
        defined = defined or isinstance(statement, DEFINITION)
    cut = "\n".join(lines[:end]).rstrip()
    return cut if cut == text else whole_pieces(cut)  # a backslash that is now last is not valid Python
