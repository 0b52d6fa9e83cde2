"""Turns a row into an example: the task's preface in front, checked, and cut to a number of tokens."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

from pipeline.data import source
from pipeline.data.files import BadRow, SourceRow
from pipeline.data.task import Task
from pipeline.errors import DataError, UserError
from pipeline.metrics import numbers
from pipeline.models.renderer import Renderer
from pipeline.store.records import ACCEPTED, CALLS, CHOICE_TOKENS, Example, Prompt

CUT = "cut"
"""Key in `extra` of a task's example: [start, end] in characters of the part of its prompt that may be cut. Never written to disk."""
RENDERED_WITH = "rendered_with"
"""Key in `extra` of an example that older versions rendered wrongly: what needs care; see Renderer.care. So its bytes, and with them the
key of whatever is made of it, differ from those of an adapter or of answers from before."""


@dataclass(frozen=True)
class ExampleMaker:
    """Turns rows of a task into examples."""

    task: Task
    preface: str = ""
    """The text before every prompt."""

    def example(self, source_row: SourceRow) -> Example | BadRow:
        """The example of a row, or a BadRow that says why there is none."""
        example = example_of_row(self.task, source_row)
        if isinstance(example, BadRow) or not self.preface:
            return example
        return shift_cut(replace(example, prompt=prefixed(self.preface, example.prompt)), len(self.preface))


def prefixed(preface: str, prompt: Prompt) -> Prompt:
    """The prompt with a text before it; in a conversation, before its first turn."""
    if isinstance(prompt, str):
        return preface + prompt
    return (replace(prompt[0], content=preface + prompt[0].content), *prompt[1:])


def example_maker(task: Task, offline: bool) -> ExampleMaker:
    """Reads the training rows that are part of every prompt of the task, and makes its preface.

    Raises:
        DataError: such a row is missing or unusable.
    """
    if task.preface is None:
        return ExampleMaker(task)
    opened = source.open_first(task.train, offline)
    first = list(islice(opened.read(), max(task.shots) + 1)) if task.shots else []
    shots = []
    for position in task.shots:
        example = example_of_row(task, first[position]) if position < len(first) else BadRow("missing", f"there are only {opened.total}")
        if isinstance(example, BadRow):
            raise DataError(
                f"{opened.location}: row {position + 1} is part of every prompt of {task.name}, but unusable: {example.value}.",
                "The data set differs from the one that the task was written for.",
            )
        shots.append(example)
    return ExampleMaker(task, task.preface(shots))


def example_of_row(task: Task, source_row: SourceRow) -> Example | BadRow:
    """The example of a row without the preface, or a BadRow that says why there is none."""
    if isinstance(source_row.row, BadRow):
        return source_row.row
    try:
        example = task.example(source_row.row)
    except LookupError as error:
        return BadRow("missing field", f"{error.args[0] if error.args else error} is missing or null")
    except (UserError, ValueError, ArithmeticError, TypeError, AttributeError) as error:
        return BadRow("bad value", getattr(error, "problem", None) or str(error), getattr(error, "remedy", ""))
    if not example.text.strip():
        return BadRow("empty prompt", json.dumps(source_row.row, ensure_ascii=False, default=str))
    if not example.target.strip() and not task.may_be_empty:
        return BadRow("empty target", json.dumps(source_row.row, ensure_ascii=False, default=str))
    if not is_text(example):
        return BadRow("malformed", f"half of a character pair, which no file can hold, in {example.text!r}")
    for answer in example.right_answers:
        if task.answer(answer, example) is None:
            mark = "; it can be read in two ways, so set decimal_mark in the task" if numbers.is_doubtful(answer) else ""
            return BadRow("bad value", f"the task's parser finds no answer in the row's own target: {answer}{mark}")
    return example if example.id else replace(example, id=source_row.id)


def marked(example: Example, render: Renderer, max_new_tokens: int, is_heldout: bool) -> Example:
    """The example with what its split needs: room for the answers of a held-out one; of a training one the target alone is right."""
    if is_heldout:
        return with_room(with_care(example, render, example.choices), render, max_new_tokens)
    extra = {name: value for name, value in example.extra.items() if name != ACCEPTED}
    own = () if CALLS in extra else (example.target,)  # control tokens of a call are the template's
    return with_care(replace(example, extra=extra), render, (*own, *example.choices))


def with_room(example: Example, render: Renderer, max_new_tokens: int) -> Example:
    """The example, marked where the longest of its choices has more tokens than may be generated; see CHOICE_TOKENS."""
    if not example.choices:
        return example
    end = example.prompt[-9:] if isinstance(example.prompt, str) else ""  # all that decides how an answer begins
    longest = longest_choice(render, end, example.choices)
    return replace(example, extra={**example.extra, CHOICE_TOKENS: longest + 1}) if longest > max_new_tokens else example


@lru_cache(maxsize=64)
def longest_choice(render: Renderer, end: str, choices: tuple[str, ...]) -> int:
    """Tokens of the longest choice after a prompt that ends so, without the end token."""
    return max(len(render.answer_ids(end, choice)) for choice in choices)


def is_text(example: Example) -> bool:
    """Whether the example can be written as UTF-8; JSON input can hold unpaired surrogates."""
    try:
        f"{example.id}{example.text}{''.join(example.right_answers)}{example.group}".encode()
    except UnicodeEncodeError:
        return False
    return True


def without_start(example: Example, render: Renderer) -> Example:
    """The example without start tokens written at the beginning of its prompt, where the tokenizer adds its own."""
    if not isinstance(example.prompt, str) or (prompt := render.without_start(example.prompt)) == example.prompt:
        return example
    return shift_cut(replace(example, prompt=prompt), len(prompt) - len(example.prompt))


def shift_cut(example: Example, by: int) -> Example:
    """The example with the part of its prompt that may be cut some characters further on."""
    extra = {name: [place + by for place in value] if name == CUT else value for name, value in example.extra.items()}
    return replace(example, extra=extra)


def with_care(example: Example, render: Renderer, answers: Sequence[str]) -> Example:
    """The example, marked where its prompt or one of these answers to it needs care; see RENDERED_WITH."""
    care = render.care(example.prompt, answers)
    return replace(example, extra={**example.extra, RENDERED_WITH: care}) if care else example


TokenCounts = tuple[int, int]
"""Number of tokens of prompt and answer."""


def fit_tokens(
    example: Example, counts: TokenCounts, render: Renderer, limit: int, long_prompts: str
) -> tuple[Example | None, TokenCounts]:
    """The example within `limit` tokens, cut if needed, and its counts; None if it stays too long.

    Args:
        counts: of the uncut example.
        long_prompts: `drop`; `cut_left` cuts the start of the prompt; `cut_field` cuts the end of the part that the task marks with
            CUT, so that question and cue stay whole; `keep` leaves all as they are, and generation cuts what a context window cannot hold.
    """
    extra = {name: value for name, value in example.extra.items() if name != CUT}
    uncut = replace(example, extra=extra)
    field = example.extra.get(CUT)

    def lengths(prompt: str) -> TokenCounts:
        return render.token_counts([(prompt, uncut.target)])[0]

    if sum(counts) <= limit or long_prompts == "keep":
        return uncut, counts
    if not isinstance(uncut.prompt, str):
        return None, counts  # no part of a conversation may be cut
    shorter = ""
    if long_prompts == "cut_left":
        shorter = render.truncate_left(uncut.prompt, limit - counts[1])
    elif long_prompts == "cut_field" and field:
        shorter = cut_field(uncut.prompt, field, lambda prompt: sum(lengths(prompt)) <= limit)
    if not shorter.strip():
        return None, counts
    shorter_counts = lengths(shorter)
    return (replace(uncut, prompt=shorter), shorter_counts) if sum(shorter_counts) <= limit else (None, counts)


def cut_field(prompt: str, field: list[int], fits: Callable[[str], bool]) -> str:
    """The prompt with the longest start of its field that fits, cut between words; empty if nothing of the field is left."""
    start, end = field
    low, high = 0, end - start  # bounds of the number of characters that fit
    while low < high:
        middle = (low + high + 1) // 2
        if fits(prompt[: start + middle] + prompt[end:]):
            low = middle
        else:
            high = middle - 1
    remainder = prompt[start : start + low]
    if low and start + low < end and not prompt[start + low].isspace():
        remainder = remainder[: max(remainder.rfind(" "), remainder.rfind("\n"), 0)] or remainder  # back to the end of a word
    return prompt[:start] + remainder + prompt[end:] if remainder.strip() else ""
