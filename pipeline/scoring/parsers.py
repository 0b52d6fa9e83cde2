"""Parses the answer from a model's text. Each parser takes the text and the example and returns None if it finds no answer.

Parsers also normalize: `1,018.00` becomes `1018`, and the keys of a JSON object are sorted. Scores compare the parsed text with the
parsed target, and parsing an answer again does not change it.
"""

import ast
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial, wraps
from itertools import dropwhile, islice, takewhile
from typing import NamedTuple

from pipeline.metrics import label_lists, numbers, words
from pipeline.metrics.struck import without_struck
from pipeline.scoring import choice_reader, final_answer, json_reader, number_reader, option_reader, sql_reader, tool_call_reader
from pipeline.scoring.answer_text import answer_part, without_cue, without_prompt, without_statement
from pipeline.scoring.thought_marks import bare_answer
from pipeline.scoring.turn_marks import own_turn
from pipeline.store.records import Example

BULLET = re.compile(
    r"^\s*(?:[-*•·▪◦–+]|\d{1,2}[.)]|[a-z]\)|[ivx]{1,4}[.)]|(?:topic|label|tag|category|class) \d{1,2}[:.)])\s+", re.IGNORECASE
)
DASH = re.compile(r"^(?:[-*•·▪◦–>]|#{1,6}|[-=]>|→)\s+")
"""Markdown at the start of a line: of a list, a quotation, a heading; or an arrow."""
COURTESY = re.compile(r"(?:(?:sure|certainly|of course|absolutely|okay|ok)\b.{0,80}[:!.]|here(?:'s|’s| is| are)\b.{0,80}:)", re.IGNORECASE)
"""A line that only announces the answer."""
BOX = re.compile(r"\$*\\boxed\{(?:\\text\{([^{}]+)\}|([^{}]+))\}\$*")
LABEL_SEPARATOR = re.compile("[,;、，；،؛]")
SIGNS_AROUND = r"\s\"'“”„«»‘’「」『』*_`~<>()\[\]{}|/\\=→.!?:…。"
AROUND_LABEL = re.compile(rf"^(?:[{SIGNS_AROUND}#]|[-–—•·](?!\d))+|[{SIGNS_AROUND}–—-]+$")
"""Signs around a label that are no part of it, unlike those of `c++`, `c#` and `-3`."""
EMPTY_LIST = re.compile(r"\s*(?:```\w*\s*)?\[\s*\]\s*(?:```\s*)?")
FENCE = re.compile(r"^(?P<indent>[ \t]*)(?:```|~~~)(?P<language>[^`\n]*)$\n?", re.MULTILINE)
CLOSING = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*$\n?", re.MULTILINE)
CODE_TAG = re.compile(r"^[ \t]*(?:\[/?(?:PYTHON|CODE)\]|(?:<pre>)?</?(?:code|python)>(?:</pre>)?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
"""Tags around code, which some models write for fences."""
OTHER_LANGUAGES = ("bash", "sh", "shell", "console", "text", "txt", "plaintext", "output", "json", "sql")
BODY = re.compile(r"\s*\n(?: {2}|\t)")
"""Matches after a line break if the text begins with the indented body of a function."""
BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
CODE_LINE = r"(?:(?:async )?def \w+ *\(|class \w+ *[(:]|import \w|from [\w.]+ import |@\w)"
START = re.compile(rf"^{CODE_LINE}", re.MULTILINE)
"""The start of a line that can only be Python."""
INDENTED_BLOCK = re.compile(rf"(?:\A|\n)[^\S\n]*\n(?P<indent> {{4}}|\t){CODE_LINE}")
"""The start of a block of Python that markdown marks by its indentation, after a blank line."""
FENCE_IN_LINE = re.compile(r"(?<=\S)[ \t]+(?=```(?:python3?|py)[ \t]*\n)", re.IGNORECASE)
TAG_IN_LINE = re.compile(
    r"^([ \t]*(?:<pre>)?<(?:code|python)>)(?=\S)|(?<=\S)(</(?:code|python)>(?:</pre>)?[ \t]*)$", re.MULTILINE | re.IGNORECASE
)
LANGUAGE_LINE = re.compile(r"\A\s*(?:python3?|py)[ \t]*\n", re.IGNORECASE)
"""The name of the language, which is left of a fence whose backticks were lost."""
MAX_FENCES = 20
"""Fences that are tried as the end of a block: a model may repeat itself for ever."""
IN_LINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
TYPED = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?: (.*)|$)", re.MULTILINE)
DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
HELPER = (*DEFINITION, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.AugAssign)
"""Top-level statements after a function that still belong to the answer."""


def after_thoughts(parse: Callable[[str, Example], str | None]) -> Callable[[str, Example], str | None]:
    """The parser for what follows the thoughts of a reasoning model in its own turn."""

    @wraps(parse)
    def read(text: str, example: Example) -> str | None:
        bare = bare_answer(text, example)
        return None if bare is None else parse(bare, example)

    return read


@after_thoughts
def text(text: str, example: Example) -> str | None:
    """The whole text without surrounding whitespace."""
    del example
    return text.strip() or None


def or_empty(parse: Callable[[str, Example], str | None]) -> Callable[[str, Example], str | None]:
    """The parser for a task in which no answer may be right: blank text is that answer, and what cannot be read stays unread."""

    def read(text: str, example: Example) -> str | None:
        turn = own_turn(text, example)
        return "" if turn is not None and not turn.strip() else parse(text, example)

    return read


@after_thoughts
def first_line(text: str, example: Example) -> str | None:
    """The first line that is not blank, without a repeated prompt or cue, markup and quotes around it, and its final full stop."""
    full = [line.strip() for line in without_prompt(text, example).splitlines() if line.strip() and not FENCE.match(line)]
    full = full[1:] if len(full) > 1 and COURTESY.fullmatch(full[0]) else full
    line = next((line for line in full if without_cue(line, example)), next(iter(full), ""))
    while (bare := words.strip_wrappers(boxed(without_statement(DASH.sub("", without_cue(line, example)), example)))) and bare != line:
        line = bare
    return line or None


def boxed(line: str) -> str:
    """What stands in the box that a line of LaTeX consists of."""
    match = BOX.fullmatch(line)
    return match[1] or match[2] if match else line


@after_thoughts
def choice(text: str, example: Example) -> str | None:
    """The choice that the text gives, spelled as in the example; None where it names several or none for certain.

    The text of an option counts as its mark, `Paris` as `B` where the prompt has `B) Paris`.
    """
    return choice_reader.read(text, example) or option_reader.read(text, example)


@after_thoughts
def boolean(text: str, example: Example) -> str | None:
    """Which of yes and true, or no and false, the text gives, spelled `yes` or `no`."""
    return choice_reader.read(text, replace(example, choices=("yes", "true", "no", "false")), {"true": "yes", "false": "no"})


@after_thoughts
def number(text: str, example: Example) -> str | None:
    """The number that the text gives, where nobody said which decimal mark it uses: `1.234` and `1,234` are then not read."""
    return number_reader.read(text, example, None)


@cache
def number_in(mark: numbers.Mark | None) -> Callable[[str, Example], str | None]:
    """The parser of numbers of a known decimal mark."""
    return number if mark is None else after_thoughts(partial(number_reader.read, mark=mark))


@after_thoughts
def json(text: str, example: Example) -> str | None:
    """The JSON object or Python dictionary literal that the text gives, as `canonical_json`; None where it gives two that differ.

    See `json_reader.objects` and `final_answer.chosen`. An empty list and nothing else says that there is nothing, as `{}` does.
    """
    if EMPTY_LIST.fullmatch(text):
        return "{}"
    return final_answer.chosen(json_reader.objects, text, example)


@after_thoughts
def tool_call(text: str, example: Example) -> str | None:
    """The calls of tools that the text makes, as a JSON list in one spelling; `[]` for an answer in words. See `tool_call_reader.read`."""
    return tool_call_reader.read(text, tool_call_reader.tools_of(example.prompt))


@after_thoughts
def topics(text: str, example: Example) -> str | None:
    """The labels of a plain list in lower case, sorted, once: `Trade; earn, TRADE.` is `earn, trade`; else the answer's whole text, whose
    labels are read by `label_lists` once those of all references are known.
    """
    part = without_struck(answer_part(text, example))
    rows = [row for line in label_lists.unwrapped(part).splitlines() if (row := without_cue(line, example).strip())]
    listed = [
        *takewhile(
            lambda row: label_lists.is_plain(BULLET.sub("", row)),
            rows[:1] if rows and LABEL_SEPARATOR.search(rows[0].strip(" ,;")) else rows,
        )
    ]
    if any(BULLET.match(row) for row in rows) and listed != rows:
        listed = []
    parts = [part for row in listed for part in LABEL_SEPARATOR.split(BULLET.sub("", row).lower())]
    labels = {" ".join(closed(AROUND_LABEL.sub("", part)).split()) for part in parts} - {""}
    return ", ".join(sorted(labels)) or (part.strip() if listed != rows else None)


def closed(label: str) -> str:
    """A label with the bracket that ends it, as in `earn (a remark)`."""
    return f"{label})" if label.count("(") > label.count(")") else label


@after_thoughts
def sql(text: str, example: Example) -> str | None:
    """The query that the text gives, on one line and without its final semicolon or full stop; None where it gives two that differ.

    SELECT in capitals wins over `select`, which may be plain English, and a query with FROM over one without.
    """
    return final_answer.chosen(sql_reader.queries, text, example)


@after_thoughts
def code(text: str, example: Example) -> str | None:
    """The Python in the text: the fenced block, else the text. Chatter after it is cut; the indentation of its first line stays.

    If the text begins with code, a fence ends it. The code ends before the first unindented line that makes it invalid
    Python and, after a function or class, before the first unindented statement that does not define, import or assign:
    a call, a test, `if __name__`. So later helper functions stay, and a truncated last one does not. Code that is broken
    inside its first piece is returned unchanged, and fails its tests.
    """
    del example
    lines = FENCE_IN_LINE.sub("\n", TAG_IN_LINE.sub(r"\1\n\2", text.replace("\r\n", "\n")))
    plain = LANGUAGE_LINE.sub("", lines)
    inside = typed(BLANK_LINES.sub("", unfenced(CODE_TAG.sub("```", plain))))
    if not is_body(inside) and whole_pieces(inside) is None:
        inside = from_start(inside)
    read = whole_pieces(inside)
    return as_body(without_indent(inside if read is None else read)).rstrip() or None


def from_start(text: str) -> str:
    """A text from the first line on that can only be Python; one that markdown indents as a block loses that indentation.

    Without such a line the one piece of code in backticks.
    """
    if start := START.search(text):
        return text[start.start() :]
    if block := INDENTED_BLOCK.search(text):
        indent = block["indent"]
        lines = takewhile(lambda line: line.startswith(indent) or not line.strip(), text[block.start("indent") :].split("\n"))
        return "\n".join(line.removeprefix(indent) for line in lines)
    in_line = {match[1] for match in IN_LINE.finditer(text) if is_code(match[1])}
    return in_line.pop() if len(in_line) == 1 else text


def without_indent(text: str) -> str:
    """A text whose lines are all indented and hold nothing but definitions, without that indentation; no body of a function is so."""
    parsed = statements(text) if is_body(text) else 0
    nodes = parsed[0].body if isinstance(parsed, list) and len(parsed) == 1 and isinstance(parsed[0], ast.FunctionDef) else []
    is_program = any(isinstance(node, DEFINITION) for node in nodes) and all(isinstance(node, HELPER) for node in nodes)
    return textwrap.dedent(text) if is_program else text


def as_body(text: str) -> str:
    """A text that returns outside of any function, indented as the body of one that it is."""
    parsed = statements(text)
    is_open = isinstance(parsed, list) and not is_body(text) and any(map(returns, parsed))
    return textwrap.indent(text, "    ") if is_open else text


def returns(node: ast.AST) -> bool:
    """Whether a statement returns, other than from a function inside it."""
    if isinstance(node, (*DEFINITION, ast.Lambda)):
        return False
    return isinstance(node, ast.Return) or any(map(returns, ast.iter_child_nodes(node)))


def typed(text: str) -> str:
    """What was typed into the interactive interpreter, where a text begins with its prompt `>>>`; what it printed is left out."""
    return "\n".join(match[1] or "" for match in TYPED.finditer(text)) if text.lstrip().startswith(">>> ") else text


def unfenced(text: str) -> str:
    """The first fenced block of Python, closed or not, else the first block; the text before it if that begins with code.

    Blocks before it that only import belong to it; a later one that the text calls final or corrected counts instead. A fence that is
    indented, as in a list, indents its block. The whole text without a fence.
    """
    opening = FENCE.search(text)
    if opening is None or is_code(text):
        return text
    if is_code(before := whole_pieces(text[: opening.start()]) or ""):
        return before
    whole = (text[: opening.start()].strip() and whole_pieces(text)) or ""
    if len(whole) > opening.start() and is_code(whole):  # the fence stands in a docstring
        return whole
    blocks = list(blocks_from(text, opening))
    python = [block for block in blocks if block.language not in OTHER_LANGUAGES and (is_body(block.text) or is_code(block.text))]
    python = [block for block in python if not final_answer.is_wrong(block.before)] or python
    final = [place for place, block in enumerate(python) if place and final_answer.is_final(block.before)]
    python = python[final[-1] :] if final else [*dropwhile(lambda block: uses_later(block, python), python)]
    count = len([*takewhile(lambda block: only_imports(block.text), python)]) + 1
    while any(defines_with(python[count:][:1], block) for block in python[:count]):
        count += 1
    return "".join(block.text for block in python[:count]) or blocks[0].text


def uses_later(block: "Block", blocks: Sequence["Block"]) -> bool:
    """Whether a block defines nothing and uses what a later one defines, as an example of a call or a test does."""
    return not names_in(block.text)[0] and any(names_in(block.text)[1] & names_in(other.text)[0] for other in blocks)


def defines_with(following: Sequence["Block"], block: "Block") -> bool:
    """Whether the block that follows defines something new out of what this one defines."""
    own = names_in(block.text)[0]
    return any(defined and not defined & own and own & names for defined, names in (names_in(other.text) for other in following))


def names_in(text: str) -> tuple[set[str], set[str]]:
    """The functions and classes that a text defines, and the names that it uses."""
    parsed = statements(text)
    nodes = parsed if isinstance(parsed, list) else []
    names = {inner.id for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return {node.name for node in nodes if isinstance(node, DEFINITION)}, names


class Block(NamedTuple):
    """A fenced block: what stands between it and the one before, the language of its fence, and its lines."""

    before: str
    language: str
    text: str


def blocks_from(text: str, opening: re.Match[str] | None) -> Iterator[Block]:
    """The fenced blocks of a text, from an opening fence on."""
    end = 0
    while opening:
        closing = closing_fence(text, opening)
        block = text[opening.end() : closing.start() if closing else len(text)]
        bare = re.sub(rf"^{opening['indent']}", "", block, flags=re.MULTILINE)
        yield Block(text[end : opening.start()], opening["language"].strip().lower(), bare)
        end = closing.end() if closing else len(text)
        opening = FENCE.search(text, end) if closing else None


def closing_fence(text: str, opening: re.Match[str]) -> re.Match[str] | None:
    """The fence that closes one: the first after which the block is Python, as others may stand in its docstrings; else the first.

    None where there is none, or all that follows is Python.
    """
    fences = list(islice(CLOSING.finditer(text, opening.end()), MAX_FENCES))
    ends = [*(fence.start() for fence in fences), len(text)]
    blocks = (re.sub(rf"^{opening['indent']}", "", text[opening.end() : end], flags=re.MULTILINE) for end in ends)
    return next((fence for fence, block in zip([*fences, None], blocks, strict=True) if is_code(block)), next(iter(fences), None))


def only_imports(text: str) -> bool:
    """Whether a text is nothing but Python's imports."""
    parsed = statements(text)
    return isinstance(parsed, list) and all(isinstance(node, ast.Import | ast.ImportFrom) for node in parsed)


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
