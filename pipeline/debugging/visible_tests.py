"""Finds the tests that a prompt shows: `assert` lines, examples of an interactive session, and calls with their results in prose."""

import ast
import builtins
import re
from collections.abc import Collection, Iterator

MAX_LINES = 20
"""Lines of one assertion, at most."""
PROMPT, CONTINUED = ">>>", "..."
RESULT = re.compile(r"\s*(?:==?>?|-+>|=>|➞|→|➔|returns?\b|should return\b|gives\b)\s*:?\s*")
"""What stands between a call and its result in prose."""
ARITHMETIC = re.compile(r"\s*[-+*/%=<>|&^~]")
"""After a literal: it is the first term of a calculation, as in `= 1 + 9 = 10`."""
CLOSERS = {"(": ")", "[": "]", "{": "}"}


def visible_tests(text: str, entry: str) -> list[str]:
    """The tests of a prompt as `assert` statements, in their order and none twice.

    Left out are a result that is no literal value, since nothing says that it is meant as code, and a call with names that the prompt
    does not define.

    Args:
        text: of the prompt; docstrings in it are read as prose.
        entry: the function that calls in prose must call; empty: only assertions and sessions are read.
    """
    lines = text.replace('"""', "\n").replace("'''", "\n").splitlines()
    tests = [*assertions(lines), *session(lines), *(prose(lines, entry) if entry else ())]
    defined_names = {entry, *re.findall(r"^\s*(?:def|class)\s+(\w+)", text, re.MULTILINE)}
    return list(dict.fromkeys(test for test in tests if is_test(test, defined_names, bool(entry))))


def assertions(lines: list[str]) -> Iterator[str]:
    for start, line in enumerate(lines):
        if not line.lstrip().startswith("assert "):
            continue
        for end in range(start + 1, min(start + MAX_LINES, len(lines)) + 1):
            if parsed("\n".join(lines[start:end]).strip(), "exec"):
                yield "\n".join(lines[start:end]).strip()
                break


def session(lines: list[str]) -> Iterator[str]:
    """Calls that were typed at `>>>`, each with the lines printed below it."""
    index = 0
    while index < len(lines):
        line = lines[index].strip()
        index += 1
        if not line.startswith(PROMPT):
            continue
        call = [line.removeprefix(PROMPT).strip()]
        while index < len(lines) and lines[index].strip().startswith(CONTINUED):
            call.append(lines[index].strip().removeprefix(CONTINUED).strip())
            index += 1
        printed = []
        while index < len(lines) and lines[index].strip() and not lines[index].strip().startswith(PROMPT):
            printed.append(lines[index].strip())
            index += 1
        if test := equality(" ".join(call), literal_prefix(" ".join(printed)) or literal_prefix(printed[0] if printed else "")):
            yield test


def prose(lines: list[str], entry: str) -> Iterator[str]:
    """Calls of the function with `=>`, `==`, `returns` and the like behind them."""
    for line in lines:
        for match in re.finditer(rf"(?<![\w.]){re.escape(entry)}\(", line):
            end = closing(line, match.end() - 1)
            separator = RESULT.match(line, end) if end else None
            if end and separator and (test := equality(line[match.start() : end], literal_prefix(line[separator.end() :]))):
                yield test


def closing(line: str, start: int) -> int | None:
    """The index behind the bracket that closes the one at `start`; None: the line leaves it open. Brackets in quotes do not count."""
    stack: list[str] = []
    quote = ""
    for index in range(start, len(line)):
        sign = line[index]
        if quote:
            quote = "" if sign == quote and line[index - 1] != "\\" else quote
        elif sign in "'\"":
            quote = sign
        elif sign in CLOSERS:
            stack.append(CLOSERS[sign])
        elif stack and sign == stack[-1]:
            stack.pop()
            if not stack:
                return index + 1
    return None


def literal_prefix(text: str) -> str:
    """The longest beginning of a text that is a literal value, as people write one before a full stop or a comment; else empty."""
    text = text.strip()
    ends = [len(text), *(match.start() for match in reversed(list(re.finditer(r"[\s.,;#)]", text))))]
    end = next((end for end in ends if is_literal(text[:end].strip(" ,;."))), 0)
    is_term = ARITHMETIC.match(text, end)
    return "" if is_term or not end else ast.unparse(ast.parse(text[:end].strip(" ,;."), mode="eval"))


def is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def equality(call: str, result: str) -> str:
    """The assertion that a call gives a result; empty where one of the two is missing or no expression."""
    if not result or not parsed(call, "eval"):
        return ""
    call = ast.unparse(ast.parse(call, mode="eval"))
    return f"assert {call} {'is' if result in ('None', 'True', 'False') else '=='} {result}"


def parsed(code: str, mode: str) -> bool:
    try:
        ast.parse(code, mode=mode)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def is_test(test: str, defined_names: Collection[str], has_entry: bool) -> bool:
    """Whether a statement calls something and, where the function under test has a name, uses no name that nothing defines."""
    nodes = list(ast.walk(ast.parse(test)))
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)} | {
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    names = {node.id for node in nodes if isinstance(node, ast.Name)} - bound
    is_defined = not has_entry or all(name in defined_names or hasattr(builtins, name) for name in names)
    return is_defined and any(isinstance(node, ast.Call) for node in nodes)
