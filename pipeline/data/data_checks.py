"""Looks for faults in the data that change what a score means, before anything is trained; one row of CHECKS for each fault.

A check looks at one prepared split and returns a DataWarning or nothing. `prepare` prints the warnings and puts them among the facts of its
artifact, from where the report takes them.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from pipeline import metrics
from pipeline.config.schema import InlineTask
from pipeline.data import inline, inline_fields
from pipeline.data.files import shorten
from pipeline.data.make_examples import RENDERED_WITH
from pipeline.data.task import Task
from pipeline.metrics import numbers, words
from pipeline.models import base_model, no_model
from pipeline.models.renderer import CONTROL, Renderer
from pipeline.scoring import right_answers
from pipeline.store.records import CALLS, THOUGHT, Example, answer_tokens, first_stop, unrepeated

SHOWN_NAMES = 5
"""Names of labels or tokens in one warning."""
LABEL_ROWS = 5
"""Rows for each distinct target from which the targets of a task without choices count as labels."""
ZEROS = re.compile(r"(?<=\d)\.0+\Z")
"""The decimals of a whole number."""
SAME_SCORE = 1e-9
EXPONENT = re.compile(r"(?<=\d)[eE](?=[-+]?\d)")
MAX_AMOUNT_WORDS = 6
"""Words of the longest target that is compared as an amount with its unit."""
MORE_THAN_A_NUMBER = re.compile(r"[^\W\d_]|\d\s+[^\d\s]+\s+\d")
"""A letter, or a second number."""


class DataWarning(TypedDict):
    """What may be wrong with the data of a split."""

    check: str
    """Its row in CHECKS."""
    count: int
    """How many rows (or labels) it applies to, of `total`."""
    total: int
    first: str
    """Location of the first of them."""
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the source that was drawn."""

    location: str
    example: Example
    prompt_tokens: int
    target_tokens: int
    """Including the end token."""
    original: str
    """The prompt as the task makes it."""
    uncut: str
    """The same without start tokens that the tokenizer brings, before anything else of it was cut."""


@dataclass(frozen=True)
class PreparedSplit:
    """What a check examines."""

    is_train: bool
    task: Task
    definition: InlineTask | None
    """Of a task that is written in the recipe."""
    rows: Sequence[Row]
    targets: Counter[str]
    """How often each target occurs in all usable rows of the source."""
    heldout: Sequence[Example]
    """The held-out examples, where the split is for training."""
    render: Renderer
    max_new_tokens: int
    window: int | None
    """Tokens that the base was made for, if known."""
    max_tokens: int
    """prepare.max_tokens."""

    @classmethod
    def of(
        cls, params: dict[str, Any], task: Task, rows: Sequence[Row], targets: Counter[str], heldout: Sequence[Example]
    ) -> "PreparedSplit":
        """A split by the parameters of its job."""
        return cls(
            is_train=params["split"] == "train",
            task=task,
            definition=inline.entry_of(params["task"]),
            rows=rows,
            targets=targets,
            heldout=heldout,
            render=no_model.renderer_of(params["model"]),
            max_new_tokens=params["max_new_tokens"],
            window=base_model.context_window(params["model"]) if params["model"] else None,
            max_tokens=params["max_tokens"],
        )

    def warning(self, check: str, rows: Sequence[Row], problem: str, remedy: str) -> DataWarning | None:
        """A warning of some rows; `problem` is the text after their number. None without rows."""
        if not rows:
            return None
        count, total = len(rows), len(self.rows)
        sentence = f"{count} of {total} {problem}"
        return {"check": check, "count": count, "total": total, "first": rows[0].location, "problem": sentence, "remedy": remedy}


def target_over_cap(split: PreparedSplit) -> DataWarning | None:
    """Targets of more tokens than may be generated. Where the answers are a closed set, generation makes room for the longest, but for no
    thoughts."""
    long = [row for row in split.rows if row.target_tokens - 1 > split.max_new_tokens]
    rows = [row for row in long if row.example.target not in row.example.choices or THOUGHT in row.example.extra]
    longest = max((row.target_tokens - 1 for row in rows), default=0)
    problem = f"targets are longer than an answer may be: max_new_tokens is {split.max_new_tokens}, the longest has {longest} tokens"
    return split.warning("target over max_new_tokens", rows, problem, f"Raise generate.max_new_tokens to {longest + 1}.")


def stop_in_target(split: PreparedSplit) -> DataWarning | None:
    """Stop strings inside targets, which cut a right answer so that it is read as another."""

    def is_cut(row: Row) -> bool:
        target = row.example.target.strip()
        end = first_stop(target, split.task.stop)
        if first_stop(row.example.extra.get(THOUGHT, ""), split.task.stop) is not None:
            return True
        return end is not None and split.task.answer(target[:end], row.example) != split.task.answer(target, row.example)

    rows = [row for row in split.rows if is_cut(row)]
    inside = [stop for stop in split.task.stop if any(stop in text for row in rows for text in written(row.example))]
    problem = f"targets hold a stop string ({', '.join(map(json.dumps, inside))}), so a right answer is truncated"
    return split.warning("stop string in target", rows, problem, "Take it out of the task's stop.")


def written(example: Example) -> tuple[str, str]:
    """What a model writes to an example: its thought, and its answer."""
    return example.extra.get(THOUGHT, ""), example.target


def calls_as_text(split: PreparedSplit) -> DataWarning | None:
    """Targets that call tools, in a task that compares them as texts: a blank or the order of arguments makes a call wrong."""
    is_read = split.definition is None or split.definition.answer == "tool_call"
    rows = [] if is_read else [row for row in split.rows if CALLS in row.example.extra]
    remedy = "Set answer: tool_call and metrics: [tool_call_match], which compare calls as values (--parser and --metric)."
    return split.warning("calls as text", rows, "targets call tools, and are compared as text", remedy)


def row_over_window(split: PreparedSplit) -> DataWarning | None:
    """Rows that do not fit into the base's window, the room for the answer counted."""
    if split.window is None:
        return None
    is_read = split.is_train or split.task.likelihoods  # targets whose likelihood is scored are read, not written
    room = 0 if is_read else answer_tokens(split.max_new_tokens, [row.example for row in split.rows])
    rows = [row for row in split.rows if row.prompt_tokens + (room or row.target_tokens) > split.window]
    longest = max((row.prompt_tokens + (room or row.target_tokens) for row in rows), default=0)
    which = "prompt and target" if is_read else f"prompt and {room} new tokens"
    problem = f"rows are longer than the base's window of {split.window} tokens: {which} come to {longest}"
    remedy = f"Lower prepare.max_tokens to {max(1, split.window - room)}, or take a base with a longer window."
    return split.warning("row over the window", rows, problem, remedy)


def target_column_in_prompt(split: PreparedSplit) -> DataWarning | None:
    """A column from which the target is made, in the prompt."""
    shared = inline_fields.shared_fields(split.definition) if split.definition else []
    names = ", ".join(f"{{{name}}}" for name in shared)
    problem = f"prompts show {names}, from which the target is made: the prompt may contain the answer"
    return split.warning("target's column in prompt", split.rows if shared else [], problem, f"Take {names} out of the prompt.")


def label_without_rows(split: PreparedSplit) -> DataWarning | None:
    """Labels of a closed set that no usable row of the source has."""
    labels = inline_fields.label_names(split.definition) if split.definition else split.task.choices
    missing = [label for label in labels if label not in split.targets]
    if not missing or set(split.targets) - set(labels):  # the targets are not labels, but contain them
        return None
    numbered = split.definition is not None and labels != split.definition.choices and labels[0] in missing
    times = Counter(example.target for example in split.heldout)
    affected = sum(times[label] for label in missing)
    problem = f"{len(missing)} of {len(labels)} labels occur in no row of this split: {listed(missing)}"
    problem += f"; {affected} test examples have them" if affected else ""
    remedy = "Numbers count from 0: if those of the file count from 1, put a name for 0 first." if numbered else "Look at the source."
    return DataWarning(check="label without rows", count=len(missing), total=len(labels), first=missing[0], problem=problem, remedy=remedy)


def target_never_trained(split: PreparedSplit) -> DataWarning | None:
    """Held-out targets that no training row has, where a task without choices has targets that look like labels."""
    is_closed = bool(split.task.choices or (split.definition and inline_fields.label_names(split.definition)))
    if is_closed or not split.heldout or len(split.targets) * LABEL_ROWS > split.targets.total():
        return None
    unseen = [example for example in split.heldout if not any(answer in split.targets for answer in example.right_answers)]
    if not unseen:
        return None
    names = listed(list(dict.fromkeys(example.target for example in unseen)))
    problem = f"{len(unseen)} of {len(split.heldout)} test targets occur in no training row: {names}"
    remedy = "Add training rows that have them."
    return DataWarning(
        check="target never trained", count=len(unseen), total=len(split.heldout), first=unseen[0].id, problem=problem, remedy=remedy
    )


def spelled_otherwise(split: PreparedSplit) -> DataWarning | None:
    """Held-out targets that training rows have in another spelling only (`1.0` for `1`), which the metric does not take for the same."""
    trained = {plain_spelling(target): target for target in split.targets}
    pairs = [(example, trained.get(plain_spelling(example.target))) for example in split.heldout if example.target not in split.targets]
    differing = [(example, other) for example, other in pairs if other is not None and not is_same(split.task, example, other)]
    if not differing:
        return None
    example, other = differing[0]
    count, total = len(differing), len(split.heldout)
    problem = f"{count} of {total} test targets have another spelling in the training rows, such as {example.target!r} for {other!r}: "
    problem += "what was learned counts as wrong"
    remedy = "Write them alike in both files; a column of whole numbers with gaps becomes one of decimals."
    return DataWarning(check="spelled otherwise", count=count, total=total, first=example.id, problem=problem, remedy=remedy)


def plain_spelling(target: str) -> str:
    """What two spellings of one label or number have in common."""
    plain = words.normalise(words.strip_wrappers(target))
    return ZEROS.sub("", plain)


def is_same(task: Task, example: Example, other: str) -> bool:
    """Whether the task's metric gives a spelling of a target as much as the target itself."""
    metric = metrics.load(task.metrics[0], **task.metric_options)
    if metric.reads not in ("answer", "text"):
        return True
    texts = [other if metric.reads == "text" else task.answer(other, example) or ""]
    golds = [right_answers.gold_strings(metric.reads, example, task.answer)]
    return bool(right_answers.best_scores(metric, texts, golds).values[0] > 1 - SAME_SCORE)


def control_token(split: PreparedSplit) -> DataWarning | None:
    """Control tokens of the base, spelled in prompts or targets."""

    def is_spelled(row: Row) -> bool:
        in_target = CALLS not in row.example.extra and split.render.spells_control(row.example.target)
        return CONTROL in row.example.extra.get(RENDERED_WITH, ()) or in_target

    rows = [row for row in split.rows if is_spelled(row)]
    names = {name for row in rows for text in (row.example.text, row.example.target) for name in split.render.control.findall(text)}
    problem = f"rows spell control tokens of the base ({listed(sorted(names))}), which reach the model as text"
    return split.warning("control token", rows, problem, "If they were meant as tokens: a conversation's come from the chat template.")


def start_token(split: PreparedSplit) -> DataWarning | None:
    """Start tokens at the beginning of prompts, beside the tokenizer's own."""
    rows = [row for row in split.rows if row.uncut != row.original]
    name = split.render.tokenizer.bos_token if rows else ""
    problem = f"prompts begin with {name}, which the tokenizer adds as well: only one is kept"
    return split.warning("start token", rows, problem, "Leave it out of the prompt.")


def target_read_otherwise(split: PreparedSplit) -> DataWarning | None:
    """Targets of which the parser reads a part only, in a task that is written in the recipe."""
    answer = "" if split.definition is None else "number" if reads_numbers(split) else split.definition.answer
    read = [(row, number_of(split, row)) for row in split.rows] if answer else []
    rows = [row for row, parsed in read if is_changed(answer, row.example.target, parsed)]
    first = rows[0].example if rows else None
    example = f"{shorten(first.target)!r} as {number_of(split, rows[0])!r}" if first else ""
    reader = "mae_similarity" if split.definition and answer != split.definition.answer else f"answer: {answer}"
    problem = f"targets are parsed only in part by {reader}, such as {example}"
    return split.warning("target read otherwise", rows, problem, "Only the parsed part is scored: change the task's answer or target.")


def targets_read_alike(split: PreparedSplit) -> DataWarning | None:
    """Held-out targets that say different things and are read as one number: in other units, or of other numbers before the last."""
    if split.is_train or not reads_numbers(split):
        return None
    by_reading: dict[str | None, dict[str, list[Row]]] = {}
    for row in split.rows:
        read = number_of(split, row)
        content = json.dumps(numbers.content(stated(row.example.target), split.task.decimal_mark))
        by_reading.setdefault(read, {}).setdefault(content, []).append(row)
    alike = {read: groups for read, groups in by_reading.items() if len(groups) > 1}
    rows = [row for groups in alike.values() for group in groups.values() for row in group]
    if not rows:
        return None
    read, groups = next(iter(alike.items()))
    pair = " and ".join(repr(shorten(group[0].example.target)) for group in list(groups.values())[:2])
    problem = f"targets say different things and are parsed as one number, such as {pair}, both as {read!r}: each is right for the other"
    return split.warning("targets read alike", rows, problem, "Take answer: text or first_line, or put the number alone into the target.")


def targets_scored_alike(split: PreparedSplit) -> DataWarning | None:
    """Held-out targets that say different things and that a metric takes for one, since it drops signs or the order of words."""
    if split.is_train or split.definition is None:
        return None
    for name in split.task.metrics:
        metric = metrics.load(name, **split.task.metric_options)
        by_form: dict[Hashable, list[tuple[str, Row]]] = {}
        for row in split.rows:
            read = split.task.answer(row.example.target, row.example) or ""
            if (form := metric.form(read)) is not None:
                by_form.setdefault(form, []).append((read, row))
        alike = [(group, contents) for group in by_form.values() if len(contents := by_content(group)) > 1]
        if rows := [row for group, _ in alike for _, row in group]:
            pair = " and ".join(repr(shorten(row.example.target)) for row in list(alike[0][1].values())[:2])
            problem = f"targets say different things and are one to {name}, such as {pair}: each scores 1 for the other"
            return split.warning("targets scored alike", rows, problem, f"Take accuracy or exact_match instead of {name}, or beside it.")
    return None


def by_content(group: list[tuple[str, Row]]) -> dict[tuple[str, ...], Row]:
    """The first row of everything that differs in what it says; the order of words counts unless one of the texts may be a list."""
    in_any_order = any(words.is_list(text) for text, _ in group)
    contents: dict[tuple[str, ...], Row] = {}
    for text, row in group:
        content = words.content(text)
        contents.setdefault(tuple(sorted(content)) if in_any_order else content, row)
    return contents


def stated(target: str) -> str:
    """What a target says the answer is: what follows `####` or `=`, or all of a short one; nothing of reasoning."""
    last = target.rpartition("####")[2].rpartition("=")[2].strip()
    return last if len(last.split()) <= MAX_AMOUNT_WORDS else ""


def reads_numbers(split: PreparedSplit) -> bool:
    """Whether the parser or a metric of a task that is written in the recipe reads one number of a target and nothing else."""
    return split.definition is not None and (split.definition.answer == "number" or "mae_similarity" in split.task.metrics)


def number_of(split: PreparedSplit, row: Row) -> str | None:
    """What is read of a target: by the parser, and by `mae_similarity` the first number of that."""
    read = split.task.answer(row.example.target, row.example)
    if split.definition is None or split.definition.answer == "number" or not reads_numbers(split):
        return read
    matches = numbers.find(numbers.without_scale(numbers.plain(read or "")), split.task.decimal_mark)
    return matches[0].value if matches else None


def is_changed(answer: str, target: str, parsed: str | None) -> bool:
    """Whether a parser reads something other than the whole target; a different spelling is not a change."""
    if answer == "number":
        return MORE_THAN_A_NUMBER.search(EXPONENT.sub("", target)) is not None or len(numbers.find(target, None)) > 1
    if answer == "tool_call":
        return False  # words beside the calls count for nothing
    if answer == "json":
        try:
            return not isinstance(json.loads(target, object_pairs_hook=unrepeated), dict)
        except ValueError:
            return True
    return " ".join((parsed or "").split()) != " ".join(target.split())


def cut_prompt(split: PreparedSplit) -> DataWarning | None:
    """Prompts of which something was cut."""
    rows = [row for row in split.rows if row.uncut != row.example.text]
    lost = [row.uncut.removesuffix(row.example.text) for row in rows if row.uncut.endswith(row.example.text)]
    what = f"lost their beginning, such as {shorten(lost[0])!r}" if lost else "lost the end of the part that may be cut"
    problem = f"prompts were longer than prepare.max_tokens ({split.max_tokens}) and {what}"
    remedy = "Raise prepare.max_tokens."
    if lost and split.definition:
        column = "" if split.definition.cut else "name the column that may be cut (the task's cut) and "
        remedy = f"Raise prepare.max_tokens, or {column}set prepare.long_prompts to cut_field."
    return split.warning("cut prompt", rows, problem, remedy)


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(shorten(name) for name in names[:SHOWN_NAMES]) + more


CHECKS: tuple[Callable[[PreparedSplit], DataWarning | None], ...] = (
    target_column_in_prompt,
    target_over_cap,
    stop_in_target,
    calls_as_text,
    row_over_window,
    label_without_rows,
    spelled_otherwise,
    target_never_trained,
    control_token,
    start_token,
    targets_read_alike,
    targets_scored_alike,
    target_read_otherwise,
    cut_prompt,
)
"""Every fault that is looked for, most serious first."""


def warnings(split: PreparedSplit) -> list[DataWarning]:
    """The warnings of all checks of a split."""
    return [warning for check in CHECKS if (warning := check(split))]
