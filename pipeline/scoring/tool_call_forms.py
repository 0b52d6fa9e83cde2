"""Reads calls of tools in forms that are no JSON as a whole: of GLM, LFM2, DeepSeek, gpt-oss, Gemma, Kimi and Qwen-Agent, ReAct, Python.

What models print in place of their templates' control tokens may be left out, as generation drops those. A form that is begun and cannot be
read to its end is no answer in words: its call is None.
"""

import ast
import json
import re
import warnings
from collections.abc import Callable
from typing import Any

from pipeline.metrics import tool_calls
from pipeline.scoring import literals
from pipeline.scoring.tool_call_tags import Calls, call, json_at, value_of, xml
from pipeline.store.records import reject_constant

NAME = r"[\w.-]+"
HARMONY = re.compile(rf"to=functions\.({NAME})(<\|)?[^{{]{{0,80}}")
"""gpt-oss: `to=functions.add<|channel|>commentary json<|message|>{...}`, in either order of channel and recipient."""
DEEPSEEK = re.compile(
    rf"<｜tool▁call▁begin｜>\s*(?:function<｜tool▁sep｜>)?(?P<name>{NAME})\s*(?:<｜tool▁sep｜>)?\s*(?:```json\s*)?"
    rf"|(?:^|\n)function(?P<bare>{NAME})\n```json\s*"
)
"""Up to its arguments: V3 writes `function`, the name and a fence, V3.1 the name alone."""
KIMI = re.compile(rf"(?:<\|tool_call_begin\|>\s*)?functions\.({NAME}):\d+\s*(?:<\|tool_call_argument_begin\|>)?\s*")
GLM = re.compile(rf"\s*({NAME})\s*((?:<arg_key>.*)?)", re.DOTALL)
GLM_ARGUMENT = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
GEMMA = re.compile(rf"\bcall:({NAME})(?=\{{)")
"""Gemma 4 and FunctionGemma: `call:add{a:1,b:<|"|>x<|"|>}`."""
GEMMA_QUOTE = re.compile(r'<\|"\|>|<escape>')
GEMMA_KEY = re.compile(r"\s*([^\s:{}\[\],]+)\s*:\s*")
GEMMA_LITERAL = re.compile(r"[^,}\]]*")
PYTHON_MARK = re.compile(r"<\|tool_call_start\|>(.*?)(?:<\|tool_call_end\|>|\Z)|```tool_code\s*\n(.*?)(?:```|\Z)", re.DOTALL)
"""LFM2, and Gemma's fence."""
PYTHON_LIST = re.compile(r"\[\s*[A-Za-z_][\w.]*\(.*\)\s*\]|\A\s*[A-Za-z_][\w.]*\(.*\)\s*\Z", re.DOTALL)
"""The same without its marks, as Llama 3.2 writes calls too; or a call alone."""
PYTHON_ARGUMENT = re.compile(r"[\w.]\(\s*[A-Za-z_]\w*\s*=")
PYTHON_CUT = re.compile(
    r"(?:\A|\n)\s*\[\s*[A-Za-z_][\w.]*\(\s*[A-Za-z_]\w*\s*=[^\n]*\Z|\A\s*[A-Za-z_][\w.]*\(\s*[A-Za-z_]\w*\s*[=:][^\n]*\Z"
)
"""A call, or a list of them, that ends before its bracket does."""
COLON_ARGUMENT = re.compile(r"(\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|\{[^{}]*\})|(?<=[(,])(\s*[A-Za-z_]\w*)\s*:")
"""Text in quotes or braces; or a named argument as other languages than Python write it."""
REACT = re.compile(rf"(?:^|\n)[*\s]*Action:[*\s]*`?({NAME})`?(?:\(\))?[ \t]*\n\s*[*]*Action[ _]Input:[*\s]*(?:```(?:json)?\s*)?")
"""ReAct, up to its arguments."""
REACT_CUT = re.compile(rf"(?:^|\n)[*\s]*Action:[*\s]*`?{NAME}`?\s*(?:\n\s*[*]*Action[ _]?(?:I\w*)?:?\s*)?\Z")
OBSERVATION = re.compile(r"\n[*\s]*Observation:")
"""What the tool is made to answer, with all that follows it."""
QWEN_AGENT = re.compile(rf"✿FUNCTION✿:?\s*({NAME})\s*✿ARGS✿:?\s*")
CALL_MARK = re.compile(
    r"</?\|?(?:tool|function)_?calls?\b|<｜tool▁call|<\|tool_calls?_|\[TOOL_CALLS\]|<(?:start_)?function_call>|<invoke\b|✿FUNCTION✿|<TOOLCALL>"
    r"|<\|START_ACTION\|>"
)
"""Marks of calls in a text in which no call was read."""


def read(text: str) -> Calls | None:
    """The calls of a text in the first of the forms that it has, None for each that is broken; None where it has none of them."""
    for form in FORMS:
        if calls := form(text):
            return calls
    return None


def glm(body: str, has_end: bool) -> tool_calls.Call | None:
    """The call between GLM's tags: a name and its arguments, a tag for each key and value; None if it is none.

    Args:
        has_end: whether the second tag is there; else arguments may be cut off.
    """
    match = GLM.fullmatch(body)
    if not match or GLM_ARGUMENT.sub("", match[2]).strip() or not has_end:
        return None
    return call(match[1], {key.strip(): value_of(value) for key, value in GLM_ARGUMENT.findall(match[2])})


def json_behind(pattern: re.Pattern[str], name_of: Callable[[re.Match[str]], str]) -> Callable[[str], Calls]:
    """The form of calls whose arguments are JSON right behind a pattern."""

    def form(text: str) -> Calls:
        return [call(name_of(match), json_at(text, match.end())) for match in pattern.finditer(text)]

    return form


def harmony_name(match: re.Match[str]) -> str:
    """The name; without control tokens the channel is glued to it."""
    return match[1] if match[2] else match[1].removesuffix("commentary")


def gemma(text: str) -> Calls:
    """Keys without quotes, and texts between marks of their own."""
    calls: Calls = []
    for match in GEMMA.finditer(text):
        try:
            calls.append(call(match[1], gemma_value(text, match.end(), 0)[0]))
        except (ValueError, IndexError):
            calls.append(None)
    return calls


def gemma_value(text: str, position: int, depth: int) -> tuple[Any, int]:
    """A value and where it ends. Raises ValueError or IndexError if it is none; a text that lost its marks is none."""
    if depth > 50:
        raise ValueError("nested too deeply")
    if quote := GEMMA_QUOTE.match(text, position):
        end = text.index(quote[0], quote.end())
        return text[quote.end() : end], end + len(quote[0])
    if text[position] not in "{[":
        literal = GEMMA_LITERAL.match(text, position)[0]  # type: ignore[index]
        word = literal.strip()
        return literals.WORDS[word] if word in literals.WORDS else number(word), position + len(literal)
    is_object, close = text[position] == "{", "}" if text[position] == "{" else "]"
    entries: list[tuple[str, Any]] = []
    position += 1
    while text[position] != close:
        key = GEMMA_KEY.match(text, position) if is_object else None
        if is_object and not key:
            raise ValueError("no key")
        value, position = gemma_value(text, key.end() if key else position, depth + 1)
        entries.append((key[1] if key else "", value))
        position += text[position] == ","
    return dict(entries) if is_object else [value for _, value in entries], position + 1


def number(word: str) -> int | float:
    """Raises ValueError if the word is none."""
    value = json.loads(word, parse_constant=reject_constant)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    return value


def python(text: str) -> Calls:
    """Calls as Python writes them, with arguments by their names."""
    if marked := [first or second for first, second in PYTHON_MARK.findall(text)]:
        return [one for source in marked for one in python_calls(source) or [None]]
    if not (match := PYTHON_LIST.search(text)):
        return [None] if PYTHON_CUT.search(text) else []
    named = COLON_ARGUMENT.sub(lambda one: one[1] or f"{one[2]}=", match[0])
    return python_calls(match[0]) or python_calls(named) or ([None] if PYTHON_ARGUMENT.search(named) else [])


def python_calls(source: str) -> Calls | None:
    """The calls of a Python expression, or of a list of them; None if it is none."""
    source = source[: literals.MAX_SOURCE].strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in texts
            body = ast.parse(source, mode="eval").body
            nodes = body.elts if isinstance(body, ast.List | ast.Tuple) else [body]
            return [python_call(node, source) for node in nodes]
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None


def python_call(node: ast.expr, source: str) -> tool_calls.Call | None:
    """The call of a part of `source`. Raises ValueError or TypeError for what is no call of a name with named values."""
    if not isinstance(node, ast.Call):
        raise ValueError("no call")
    if isinstance(node.func, ast.Name) and node.func.id == "print" and len(node.args) == 1 and not node.keywords:
        return python_call(node.args[0], source)
    if node.args or any(keyword.arg is None for keyword in node.keywords):
        raise ValueError("arguments without names")
    return call(ast.unparse(node.func), {str(keyword.arg): literals.of_node(keyword.value, source) for keyword in node.keywords})


def react(text: str) -> Calls:
    """The actions before the first observation, whose input is an object."""
    own = OBSERVATION.split(text, maxsplit=1)[0]
    return json_behind(REACT, lambda match: match[1])(own) or ([None] if REACT_CUT.search(own) else [])


def has_marks(text: str) -> bool:
    """Whether marks of calls are left in a text in which no call was read."""
    return bool(CALL_MARK.search(text))


FORMS: tuple[Callable[[str], Calls], ...] = (
    xml,
    json_behind(HARMONY, harmony_name),
    json_behind(DEEPSEEK, lambda match: match["name"] or match["bare"]),
    json_behind(KIMI, lambda match: match[1]),
    json_behind(QWEN_AGENT, lambda match: match[1]),
    react,
    gemma,
    python,
)
"""In the order in which a text is tried."""
