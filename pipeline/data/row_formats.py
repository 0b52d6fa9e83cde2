"""Recognizes rows in the formats that people have: conversations (`messages`, ShareGPT), Alpaca, and prompt with completion.

A conversation becomes one example: its last assistant turn is the target, and all turns before it are the prompt.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline.data import inspect_logs, lm_eval_samples, tool_calls
from pipeline.data.task import Row
from pipeline.data.tool_calls import quoted
from pipeline.errors import DataError
from pipeline.store.records import CALLS, LEAD_ROLES, LOSS_TURNS, TOOLS, Example, Prompt, Turn, unrepeated

MESSAGE_COLUMNS = ("messages", "conversations", "conversation")
"""Columns that hold a list of turns: OpenAI and TRL, ShareGPT."""
ANSWER_COLUMNS = ("output", "response")
"""Columns that hold the answer to an `instruction`."""
CONTEXT_COLUMNS = ("input", "context")
"""Columns that hold what an `instruction` is about: Alpaca, Dolly."""
LEAD_COLUMNS = ("system", "tools", "functions")
"""Columns of what stands before a conversation."""
ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
"""Role or `from` of a turn, as data sets spell it, to the role that chat templates know."""
TURN_FIELDS = ("tool_call_id", "name")
"""What a turn may hold besides role, content and calls, for chat templates that render it."""
TEXT_PARTS = {"text", "input_text", "output_text"}
"""Types of the parts of a content that are text, in OpenAI's two interfaces."""


@dataclass(frozen=True)
class Dialogue:
    """The turns of a row, each with whether it may carry loss."""

    turns: tuple[Turn, ...]
    has_loss: tuple[bool, ...]
    """False where the row says `weight: 0`; of turns that are no answer, too."""

    @property
    def last_answer(self) -> int:
        """The index of the last assistant turn that may carry loss. Raises DataError if there is none."""
        answers = [index for index, has_loss in enumerate(self.has_loss) if has_loss]
        if not answers:
            roles = ", ".join(turn.role for turn in self.turns) or "no turn at all"
            problem = f"the conversation has no assistant turn to learn from or to compare with (its turns: {roles})"
            if any(turn.role == "assistant" for turn in self.turns):
                problem = "every assistant turn of the conversation has the weight 0, so there is none to learn from or to compare with"
            raise DataError(problem, "End each conversation with an assistant turn that may carry loss.")
        return answers[-1]

    def example(self, loss: str) -> Example:
        """The example of the conversation up to its last answer.

        Args:
            loss: `last`: the last answer alone carries loss; `assistant`: every answer that is not blank does.

        Raises:
            DataError: there is no answer, or nothing stands before it.
        """
        last = self.last_answer
        before = self.turns[:last]
        if not any(turn.role not in LEAD_ROLES for turn in before):
            problem = "the conversation begins with its only assistant turn, so nothing asks for it"
            raise DataError(problem, "Put the user turn that it answers before it.")
        earlier = [index for index in range(last) if self.has_loss[index] and self.turns[index].text.strip()] if loss == "assistant" else []
        prompt: Prompt = before[0].content if len(before) == 1 and not before[0].more else before
        answer = self.turns[last]
        extra = {LOSS_TURNS: earlier} if earlier else {}
        if answer.calls:
            return Example("", prompt, tool_calls.text(answer), extra=extra | {CALLS: answer.message()})
        return Example("", prompt, answer.content, extra=extra)


def from_messages(row: Row) -> Dialogue:
    """The turns of a row of `messages` or `conversations`, with its `system` text and its `tools` in front."""
    column = next(name for name in MESSAGE_COLUMNS if row.get(name) is not None)
    entries = turn_list(row[column], column)
    pairs = [turn_of(entry, f"{column}[{index}]") for index, entry in enumerate(entries)]
    return Dialogue((*lead(row, pairs[0][0]), *(turn for turn, _ in pairs)), (False,) * len(lead(row, pairs[0][0])) + flags(pairs))


def turn_list(value: Any, column: str) -> list[Mapping[str, Any]]:
    """The turns in a column, which may be JSON in a text. Raises DataError if they are none."""
    entries = parsed(value)
    if isinstance(entries, list) and entries and all(isinstance(entry, Mapping) for entry in entries):
        return entries
    remedy = "Write a list of turns: [{role, content}, ...]."
    if isinstance(value, str) and value.lstrip()[:2] in ("[{", "[["):
        python = re.match(r"\s*\[\{'", value) is not None
        tool_calls.decoded(value, column, "Python wrote it as its own; write it with json.dumps." if python else remedy)
    raise DataError(f"{column} is {quoted(value)}, where a list of turns is expected", remedy)


def flags(pairs: list[tuple[Turn, bool]]) -> tuple[bool, ...]:
    return tuple(has_loss and turn.role == "assistant" for turn, has_loss in pairs)


def lead(row: Row, first: Turn) -> tuple[Turn, ...]:
    """What a row puts before its turns: the schemas of its tools and a system text, unless its first turn is one."""
    column = "tools" if row.get("tools") else "functions"
    tools = tool_calls.schemas(row.get(column), column)
    turns = (Turn(TOOLS, json.dumps(tools, ensure_ascii=False)),) if tools else ()
    system = optional_text(row, "system") if first.role != "system" else ""
    return (*turns, Turn("system", system)) if system else turns


def optional_text(row: Row, column: str) -> str:
    """The text of a column that may be missing or blank; a number counts as the text that it is. Raises DataError for other values."""
    value = row.get(column)
    if value is None or (isinstance(value, float) and math.isnan(value)) or value in ([], {}):
        return ""
    text = json.dumps(value) if isinstance(value, int | float) else text_of(value, column)
    return text if text.strip() else ""


def from_prompt(row: Row) -> Dialogue:
    """A prompt and its completion, both texts or both lists of turns (TRL).

    Raises DataError for a completion that is not wanted: in TRL's unpaired preference its `label` is false.
    """
    if row.get("label") is False:
        raise DataError("label is false, which says that the completion is a bad one", "Keep the rows whose label is true.")
    prompt, completion = parsed_turns(row["prompt"]), parsed_turns(row["completion"])
    turns = [turn_of(entry, f"prompt[{index}]") for index, entry in enumerate(prompt)] if isinstance(prompt, list) else []
    questions = turns or [(Turn("user", text_of(prompt, "prompt")), False)]
    answers = [turn_of(entry, f"completion[{index}]") for index, entry in enumerate(completion)] if isinstance(completion, list) else []
    replies = answers or [(Turn("assistant", text_of(completion, "completion")), True)]
    before = (*lead(row, questions[0][0]), *(turn for turn, _ in questions))
    return Dialogue((*before, *(turn for turn, _ in replies)), (False,) * len(before) + flags(replies))


def from_instruction(row: Row) -> Dialogue:
    """An instruction, its optional input (Alpaca) or context (Dolly) in a paragraph of its own, and the answer; `system` and `history` as
    LLaMA-Factory."""
    answer = next(name for name in ANSWER_COLUMNS if row.get(name) is not None)
    about = [text for name in CONTEXT_COLUMNS if (text := optional_text(row, name))]
    question = "\n\n".join([text_of(row["instruction"], "instruction"), *about])
    history = parsed(row.get("history")) or []
    if not isinstance(history, list | tuple) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in history):
        problem = f"history is {quoted(history)}, where pairs of question and answer are expected"
        raise DataError(problem, "Write it as LLaMA-Factory does: [[question, answer], ...].")
    past = [Turn(role, text_of(text, "history")) for pair in history for role, text in zip(("user", "assistant"), pair, strict=True)]
    turns = (*lead(row, Turn("user", question)), *past, Turn("user", question), Turn("assistant", text_of(row[answer], answer)))
    return Dialogue(turns, tuple(turn.role == "assistant" for turn in turns))


def from_samples(row: Row) -> Dialogue:
    """A document of lm-evaluation-harness: the prompt of its first request, and its target as lm-eval has it."""
    try:
        prompt = lm_eval_samples.contexts(row)[0][0]
    except (ValueError, TypeError) as error:
        raise DataError(str(error)) from None
    return Dialogue((Turn("user", prompt), Turn("assistant", target_text(row))), (False, True))


def from_log(row: Row) -> Dialogue:
    """A sample of a log of Inspect: its input, with the choices where it has them, and its target."""
    turns = [Turn.from_message(message) for message in inspect_logs.prompt_turns(row)]
    return Dialogue((*turns, Turn("assistant", target_text(row))), (*(False for _ in turns), True))


def target_text(row: Row) -> str:
    """The target of another tool's row; a list is JSON."""
    return row["target"] if isinstance(row["target"], str) else json.dumps(row["target"], ensure_ascii=False)


@dataclass(frozen=True)
class RowFormat:
    """A format of rows, with the columns by which it is recognized."""

    columns: tuple[tuple[str, ...], ...]
    """One of each of these groups must be there; the first one counts."""
    optional: tuple[str, ...]
    """Further columns that it reads."""
    read: Callable[[Row], Dialogue]

    def fits(self, columns: Collection[str]) -> bool:
        return all(any(name in columns for name in group) for group in self.columns)


FORMATS = {
    "messages": RowFormat((MESSAGE_COLUMNS,), LEAD_COLUMNS, from_messages),
    "prompt_completion": RowFormat((("prompt",), ("completion",)), LEAD_COLUMNS, from_prompt),
    lm_eval_samples.FORMAT: RowFormat(
        tuple((name,) for name in lm_eval_samples.COLUMNS),
        ("filtered_resps", "metrics", "doc_hash", "prompt_hash", "target_hash", "resps"),
        from_samples,
    ),
    inspect_logs.FORMAT: RowFormat(((inspect_logs.TASK,), ("target",)), inspect_logs.COLUMNS, from_log),
    "alpaca": RowFormat((("instruction",), ANSWER_COLUMNS), (*LEAD_COLUMNS, *CONTEXT_COLUMNS, "history"), from_instruction),
}
"""By name; of several that fit a row, the first counts."""


def known_columns() -> set[str]:
    """Every column that a format reads."""
    return {name for row_format in FORMATS.values() for group in (*row_format.columns, row_format.optional) for name in group}


def unread(row: Row, name: str) -> list[str]:
    """What a row holds besides what its format reads: columns with a value, and fields of turns as `messages[].thinking`."""
    row_format = FORMATS[name]
    taken = [next(column for column in group if row.get(column) is not None) for group in row_format.columns]
    wanted = ("label",) if name == "prompt_completion" and row.get("label") is True else ()
    read_columns = (*taken, *row_format.optional, *wanted)
    columns = [column for column, value in row.items() if value not in (None, "", [], {}) and column not in read_columns]
    entries = [(column, entry) for column in taken if isinstance(turns := parsed(row[column]), list) for entry in turns]
    taken_fields = ("role", "from", "content", "value", "weight", "tool_calls", "function_call", *TURN_FIELDS)
    pairs = [(column, key) for column, entry in entries if isinstance(entry, Mapping) for key, value in entry.items() if value]
    fields = [f"{column}[].{key}" for column, key in pairs if key not in taken_fields]
    return list(dict.fromkeys([*columns, *fields]))


def recognized(columns: Collection[str], name: str | None) -> str:
    """The name of the format that rows with these columns have.

    Args:
        name: of the format that the recipe names, if it does.

    Raises:
        DataError: they have none, or not the one that is named.
    """
    fits = [format_name for format_name, row_format in FORMATS.items() if row_format.fits(columns)]
    if name and name not in fits:
        needed = " and ".join(" or ".join(group) for group in FORMATS[name].columns)
        raise DataError(f"format: {name} needs {needed}, and the columns are {', '.join(columns) or 'none'}", columns_remedy(fits))
    if not fits:
        raise DataError(*unknown(columns))
    return name or fits[0]


def columns_remedy(fits: list[str]) -> str:
    return f"They fit {fits[0]}: leave format out." if fits else "Name the columns in templates: prompt: '{column}', target: '{column}'."


TARGET_COLUMNS = ("label", "labels", "target", "category", "class", "answer", "output", "summary")
"""What the target of a `text` is often called."""
ID_COLUMN = re.compile(r"^(u?id|idx|index|key|guid|uuid|number)$|_id$|^unnamed")
"""The name of a column that tells rows apart, in small letters."""


def unknown(columns: Collection[str]) -> tuple[str, str]:
    """Why rows with these columns are in no format, and the remedy."""
    names = list(columns)
    if not names:
        return "no column holds a value", "Leave out rows without values."
    if {"chosen", "rejected"} <= set(names):
        held = "completion" if "prompt" in names else "messages"
        problem = "the rows are preference pairs (chosen, rejected), and an adapter is trained here on one answer to a prompt"
        return problem, f"Train on the chosen answers: columns: {{{held}: chosen}}."
    if "text" in names and (target := next((name for name in TARGET_COLUMNS if name in names), None)):
        remedy = f"Name them in the task's templates: prompt: '{{text}}', target: '{{{target}}}'."
        return f"the columns text and {target} are a prompt and its target only where templates say so", remedy
    if "text" in names:
        problem = "the rows hold prompt and answer in one column, text, so it is not known where the answer begins"
        return problem, "Write each row as messages, or as prompt and completion."
    for row_format in FORMATS.values():
        present = [name for group in row_format.columns for name in group if name in names]
        if present:  # one of several, since no format fits
            lacking = next(group for group in row_format.columns if not set(group) & set(names))
            other = next((name for name in names if name not in (*present, *row_format.optional)), "answer")
            remedy = f"Fill it in; if another column holds it, name that one: columns: {{{lacking[0]}: {other}}}."
            return f"{present[0]} stands without {' or '.join(lacking)} (the columns: {', '.join(names)})", remedy
    formats = "messages, conversations, instruction with output, or prompt with completion"
    question, answer = likely_pair(names)
    remedy = (
        f"Write the templates of the task, such as prompt: '{{{question}}}', target: '{{{answer}}}' (without a recipe --prompt, --target)."
    )
    return f"the columns ({', '.join(names)}) are in no known format: {formats}", remedy


def likely_pair(names: list[str]) -> tuple[str, str]:
    """Of several columns the one that may hold the question, and the one that may hold the answer, by their names."""
    if len(names) < 2:
        return "column", "column"
    answer = next((name for name in TARGET_COLUMNS if name in names), None)
    others = [name for name in names if name != answer]
    question = next((name for name in others if not ID_COLUMN.search(name.lower())), others[0])
    return question, answer or next(name for name in reversed(names) if name != question)


def read(row: Row, name: str | None) -> Dialogue:
    """The turns of a row. Raises DataError if it has no format, or not this one."""
    return FORMATS[format_of(row, name)].read(row)


def format_of(row: Row, name: str | None) -> str:
    """The name of a row's format; a column without a value counts for nothing. Raises DataError if it has none, or not this one."""
    return recognized([column for column, value in row.items() if value is not None], name)


def turn_of(entry: Any, location: str) -> tuple[Turn, bool]:
    """A turn, and whether it may carry loss.

    Raises:
        DataError: role, content, calls or weight are none that can be used.
    """
    if not isinstance(entry, Mapping):
        raise DataError(f"{location} is {quoted(entry)}, where a turn is expected", "Write each turn as {role, content}.")
    role = role_of(entry, location)
    weight = entry.get("weight")
    if weight not in (None, 0, 1):
        remedy = "Write 0 for an answer without loss, and 1 or no weight for any other."
        raise DataError(f"{location}.weight is {quoted(weight)}, where 0 or 1 is expected", remedy)
    more = {name: entry[name] for name in TURN_FIELDS if entry.get(name)}
    if calls := calls_of(entry, role, location):
        more["tool_calls"] = calls
    key = "content" if "content" in entry or "value" not in entry else "value"
    content = "" if role == "function_call" or (calls and entry.get(key) is None) else text_of(entry.get(key), f"{location}.{key}")
    return Turn(ROLES[role], content, more), weight != 0


def role_of(entry: Mapping[str, Any], location: str) -> str:
    """The role of a turn, in small letters, as its data set spells it. Raises DataError if it has none that is known."""
    key = "role" if entry.get("role") or not entry.get("from") else "from"
    role = entry.get(key)
    if isinstance(role, str) and role.lower() in ROLES:
        return role.lower()
    raise DataError(f"{location}.{key} is {quoted(role)}, which is no known role", f"Known: {', '.join(ROLES)}.")


def calls_of(entry: Mapping[str, Any], role: str, location: str) -> list[dict[str, Any]]:
    """The calls that a turn makes. Raises DataError if they cannot be read, or stand in a turn of another role."""
    if role == "function_call":
        key = "value" if "value" in entry else "content"
        return tool_calls.calls(entry.get(key), f"{location}.{key}")
    key = next((name for name in ("tool_calls", "function_call") if entry.get(name)), "")
    if key and ROLES[role] != "assistant":
        raise DataError(f"{location}.{key} stands in a turn of the role {role!r}", "Only an assistant turn calls tools.")
    return tool_calls.calls(entry[key], f"{location}.{key}") if key else []


def text_of(value: Any, location: str) -> str:
    """The text of a content, which may be a list of parts. Raises DataError if it holds anything but text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        kinds = {str(part.get("type")) for part in value} - TEXT_PARTS
        if not kinds and all(isinstance(part.get("text"), str) for part in value):
            return "".join(part["text"] for part in value)
        if not kinds:
            raise DataError(f"{location} holds a part without text: {quoted(value)}", "Write each part as {type: text, text: ...}.")
        remedy = "Leave out rows with images, audio or files."
        raise DataError(f"{location} holds {', '.join(sorted(kinds))}, and only text can be used", remedy)
    raise DataError(f"{location} is {quoted(value)}, where text is expected", "Write text there, or leave the row out.")


def parsed(value: Any) -> Any:
    """A value that may be JSON in a text, as CSV files and columns of one type hold it."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        with suppress(ValueError, RecursionError):
            return json.loads(value, object_pairs_hook=unrepeated)
    return value


def parsed_turns(value: Any) -> Any:
    """Turns that may be JSON in a text; any other text stays as it is, JSON or not."""
    entries = parsed(value)
    is_turns = isinstance(entries, list) and bool(entries) and all(isinstance(entry, Mapping) and "role" in entry for entry in entries)
    return entries if is_turns else value
