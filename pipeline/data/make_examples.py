"""The example that a task makes of a row: behind the worked examples of its prompt, checked, and cut to a number of tokens."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

from pipeline.data import source
from pipeline.data.files import Bad, Found
from pipeline.data.task import Task
from pipeline.errors import DataError, UserError
from pipeline.models.renderer import Renderer
from pipeline.store.records import Example

CUT = "cut"
"""In `extra` of a task's example: [start, end] of the part of its prompt that may be cut, in characters. Never written to disk."""


@dataclass(frozen=True)
class Maker:
    """Makes examples of rows."""

    task: Task
    preface: str = ""
    """What stands before every prompt."""

    def example(self, found: Found) -> Example | Bad:
        """The example of a row, or why there is none."""
        made = bare(self.task, found)
        if isinstance(made, Bad) or not self.preface:
            return made
        extra = {name: [at + len(self.preface) for at in value] if name == CUT else value for name, value in made.extra.items()}
        return replace(made, prompt=self.preface + made.prompt, extra=extra)


def maker(task: Task, offline: bool) -> Maker:
    """The maker of a task's examples; reads the training rows that every prompt shows.

    Raises:
        DataError: such a row is not there or is no example.
    """
    if task.preface is None:
        return Maker(task)
    opened = source.open_first(task.train, offline)
    first = list(islice(opened.read(), max(task.shots) + 1)) if task.shots else []
    shown = []
    for at in task.shots:
        made = bare(task, first[at]) if at < len(first) else Bad("missing", f"there are only {opened.total}")
        if isinstance(made, Bad):
            raise DataError(
                f"{opened.where}: row {at + 1}, which every prompt of {task.name} shows, is no example: {made.value}.",
                "The data set differs from the one that the task was written for.",
            )
        shown.append(made)
    return Maker(task, task.preface(shown))


def bare(task: Task, found: Found) -> Example | Bad:
    """The example that a task makes of a row, without the worked ones, or why it makes none."""
    if isinstance(found.row, Bad):
        return found.row
    try:
        made = task.example(found.row)
    except LookupError as error:
        return Bad("missing field", f"{error.args[0] if error.args else error} is missing or null")
    except (UserError, ValueError, TypeError, AttributeError) as error:
        return Bad("bad value", getattr(error, "problem", None) or str(error))
    if not made.prompt.strip():
        return Bad("empty prompt", json.dumps(found.row, ensure_ascii=False, default=str))
    if not made.target.strip():
        return Bad("empty target", json.dumps(found.row, ensure_ascii=False, default=str))
    if not is_text(made):
        return Bad("malformed", f"half of a character pair, which no file can hold, in {made.prompt!r}")
    if task.answer(made.target, made) is None:
        return Bad("bad value", f"the task's parser reads no answer in its own target: {made.target}")
    return made if made.id else replace(made, id=found.id)


def is_text(made: Example) -> bool:
    """Whether all of it can be written as UTF-8; JSON can spell what cannot."""
    try:
        f"{made.id}{made.prompt}{made.target}{made.group}".encode()
    except UnicodeEncodeError:
        return False
    return True


Counts = tuple[int, int]
"""Tokens of prompt and answer."""


def fit(example: Example, counts: Counts, render: Renderer, limit: int, long_prompts: str) -> tuple[Example | None, Counts]:
    """The example within `limit` tokens, cut or not, and its counts; None if it is too long.

    Args:
        counts: of the example as it is.
        long_prompts: `drop`; `cut_left`, which takes the start of the prompt away; or `cut_field`, which takes the end of the part away
            that the task says may be cut, so that question and cue stay whole.
    """
    extra = {name: value for name, value in example.extra.items() if name != CUT}
    whole, field = replace(example, extra=extra), example.extra.get(CUT)

    def lengths(prompt: str) -> Counts:
        return render.lengths([(prompt, whole.target)])[0]

    if sum(counts) <= limit:
        return whole, counts
    shorter = ""
    if long_prompts == "cut_left":
        shorter = render.cut_left(whole.prompt, limit - counts[1])
    elif long_prompts == "cut_field" and field:
        shorter = cut_field(whole.prompt, field, lambda prompt: sum(lengths(prompt)) <= limit)
    if not shorter.strip():
        return None, counts
    found = lengths(shorter)
    return (replace(whole, prompt=shorter), found) if sum(found) <= limit else (None, counts)


def cut_field(prompt: str, field: list[int], fits: Callable[[str], bool]) -> str:
    """The prompt with as much of its field as fits, ending at the end of a word; empty if nothing of the field is left."""
    start, end = field
    low, high = 0, end - start  # characters of the field that stay; the most that fit
    while low < high:
        middle = (low + high + 1) // 2
        if fits(prompt[: start + middle] + prompt[end:]):
            low = middle
        else:
            high = middle - 1
    kept = prompt[start : start + low]
    if low and start + low < end and not prompt[start + low].isspace():
        kept = kept[: max(kept.rfind(" "), kept.rfind("\n"), 0)] or kept  # not in the middle of a word
    return prompt[:start] + kept + prompt[end:] if kept.strip() else ""
