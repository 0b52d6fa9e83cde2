"""Reads and writes the rows that stages hand to each other, one JSON object per line."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: str
    """`system`, `user`, `assistant` or `tool`; TOOLS of what is no message but the schemas of the tools that a model may call."""
    content: str
    more: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Whatever else a chat template may read: tool_calls, tool_call_id, name."""

    def message(self) -> dict[str, Any]:
        """The turn as chat templates and endpoints take it, and as files hold it."""
        return {"role": self.role, "content": self.content, **self.more}

    @property
    def text(self) -> str:
        """Content and whatever else a model reads of it, as one text."""
        return f"{self.content}{json.dumps(self.more, ensure_ascii=False)}" if self.more else self.content

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls of tools, each with `function`; empty for most turns."""
        return list(self.more.get("tool_calls", ()))

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "Turn":
        """The turn of a message()."""
        return cls(message["role"], message["content"], {name: value for name, value in message.items() if name not in ("role", "content")})


TOOLS = "tools"
"""Role of a turn that stands first: its content is the JSON of the tools' schemas."""
LEAD_ROLES = (TOOLS, "system")
"""Roles of turns that stand before a conversation, and are often the same in all of a data set."""
Prompt = str | tuple[Turn, ...]
"""What comes before an answer. A string is the simplest case: one user turn in a chat template, the text itself without one."""


def prompt_text(prompt: Prompt) -> str:
    """A prompt as one text, to search, compare or show it; an empty line separates turns."""
    return prompt if isinstance(prompt, str) else "\n\n".join(turn.text for turn in prompt)


def as_turns(prompt: Prompt) -> tuple[Turn, ...]:
    """A prompt as a chat template or an endpoint takes it."""
    return (Turn("user", prompt),) if isinstance(prompt, str) else prompt


@dataclass(frozen=True, slots=True)
class Example:
    """One question with its reference answer, as a task makes it from a source row."""

    id: str
    prompt: Prompt
    target: str
    choices: tuple[str, ...] = ()
    """The closed set of answers, where the task has one."""
    group: str = ""
    """The source document; examples of one group are resampled together. Empty: a group of its own."""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The prompt as one text."""
        return prompt_text(self.prompt)

    @property
    def question(self) -> str:
        """The prompt as one text, without what all conversations of a data set may share: system text and tools."""
        if isinstance(self.prompt, str):
            return self.prompt
        return prompt_text(tuple(turn for turn in self.prompt if turn.role not in LEAD_ROLES))

    @property
    def answer_turn(self) -> Turn:
        """The target as a turn of a conversation."""
        return Turn.from_message(self.extra[CALLS]) if CALLS in self.extra else Turn("assistant", self.target)

    @property
    def right_answers(self) -> tuple[str, ...]:
        """The target, and whatever else counts as right."""
        return (self.target, *self.extra.get(ACCEPTED, ()))


ACCEPTED = "accepted"
"""Key in `extra` of a held-out example that has more than one right answer: a list of those besides the target."""
LOSS_TURNS = "loss_turns"
"""Key in `extra` of a training example of several answers: the indices of the turns of its prompt that carry loss, too."""
THOUGHT = "thought"
"""Key in `extra` of a training example: what the model thinks before it gives the target."""
CALLS = "calls"
"""Key in `extra` of an example whose target calls tools: the turn, as Turn.message() has it. `prepare` makes the target what the chat
template writes for it."""
CHOICE_TOKENS = "choice_tokens"
"""Key in `extra` of an example whose choices do not all fit into the task's max_new_tokens: the tokens of the longest, end token counted.
`prepare` writes it; see answer_tokens."""

HARNESS_EXTRA = "lm_eval"
"""Key in `extra` of a held-out example of lm-evaluation-harness: {task, document, pairs}, where `pairs` are the texts whose likelihood is
asked for, as [context, continuation]."""


def answer_tokens(max_new_tokens: int, examples: Iterable[Example]) -> int:
    """New tokens of an answer of any arm: as many as the recipe says, but never fewer than the longest choice has."""
    return max([max_new_tokens, *(int(example.extra.get(CHOICE_TOKENS, 0)) for example in examples)])


@dataclass(frozen=True, slots=True)
class Prediction:
    """One model's answer to one example, verbatim; parsed answers and scores are derived from it."""

    example: str
    text: str
    tokens: int
    """Generated tokens, the end token not counted."""
    stopped: str
    """`eos`, `stop` (a stop string), `length` (cut off at max_new_tokens), from a reference model `refused`, or UNKNOWN."""
    logprobs: tuple[float, ...] = ()
    """Sum of token log-probabilities of each of the example's choices, in nats, where they were requested."""
    samples: tuple[str, ...] = ()
    """Sampled texts in addition to the greedy one, where they were requested."""
    greedy: tuple[bool, ...] = ()
    """Of each log-probability whether greedy decoding gives that text, for tasks of lm-evaluation-harness. No file has it empty."""
    scores: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Scores that lm-evaluation-harness gave an answer from elsewhere, by metric. No file has it empty."""


UNKNOWN = "unknown"
"""How an answer from elsewhere ended, where its file does not say; its tokens are not counted either."""


def first_stop(text: str, stop_strings: Iterable[str], start: int = 0) -> int | None:
    """Index, from `start` on, of the stop string that comes first in an answer; None: there is none."""
    positions = (text.find(stop_string, start) for stop_string in stop_strings)
    return min((position for position in positions if position >= 0), default=None)


JsonObject = dict[str, Any]
"""An object of a JSON file whose keys have no type here: a recipe, the params and facts of an artifact."""
Record = TypeVar("Record", Example, Prediction)
LM_EVAL_FIELDS = ("greedy", "scores")
"""Fields that only rows of lm-evaluation-harness have, so that all others stay as they were."""


def write(path: Path, rows: Iterable[Record]) -> int:
    """Write one JSON object per line and return their number."""
    count = 0
    names: list[str] = []
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            names = names or [field.name for field in fields(row) if field.name not in LM_EVAL_FIELDS or getattr(row, field.name)]
            file.write(json.dumps({name: getattr(row, name) for name in names}, ensure_ascii=False, default=Turn.message) + "\n")
            count += 1
    return count


def read(path: Path, row_type: type[Record]) -> Iterator[Record]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield parse(line, row_type)


def parse(line: str, row_type: type[Record]) -> Record:
    """A row from its JSON line."""
    return from_json(json.loads(line), row_type)


def from_json(values: dict[str, Any], row_type: type[Record]) -> Record:
    """A row from a JSON object; lists become tuples at the top level, as the types say."""
    row: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    if row_type is Example:
        row["prompt"] = prompt_from_json(row["prompt"])
    return row_type(**row)


def prompt_from_json(value: Any) -> Prompt:
    """A prompt from a JSON value: a string, or [{role, content}, ...]."""
    return value if isinstance(value, str) else tuple(map(Turn.from_message, value))


def read_dictionaries(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of any JSON-lines file."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def write_dictionaries(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write any JSON-lines file, one object per line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write one value as indented JSON."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), "utf-8")


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def reject_constant(word: str) -> Any:
    """For `parse_constant` of Python's decoder, which reads NaN and Infinity though JSON has none."""
    raise ValueError(f"{word} is not a JSON value")


class RepeatedKeyError(ValueError):
    """An object of a user's JSON holds a key twice, with values that differ: it is not certain which of them is meant."""


def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `object_pairs_hook` of Python's decoder, which takes the last value of a key in silence. Raises RepeatedKeyError."""
    row: dict[str, Any] = {}
    for key, value in pairs:
        if key in row and not is_same(row[key], value):
            raise RepeatedKeyError(f"it holds {json.dumps(key, ensure_ascii=False)} twice, with values that differ")
        row[key] = value
    return row


def is_same(one: Any, other: Any) -> bool:
    """As JSON, at any depth: False is not 0, and 1 is not 1.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def read_json(path: Path) -> Any:
    """The value in a JSON file."""
    return json.loads(path.read_text("utf-8"))
