"""Tells which columns the templates of an inline task use, and what follows from them: its closed set of answers, and empty targets."""

from pipeline.config.schema import HARNESS, InlineTask
from pipeline.data import inspect_logs
from pipeline.data.templates import Field, Template, TemplateError


def has_templates(entry: InlineTask) -> bool:
    """Whether templates make prompt and target; else the columns of the rows say what is what."""
    return bool(entry.prompt or entry.target)


def is_judged_elsewhere(entry: InlineTask) -> bool:
    """Whether targets are for readers alone: rows are of a log of Inspect, or samples that lm-evaluation-harness has judged."""
    return entry.format == inspect_logs.FORMAT or entry.metrics[0].startswith(HARNESS)


def may_be_empty(entry: InlineTask) -> bool:
    """Whether a target may be empty: it consists of fields of which each has an empty default, or another tool judges without one."""
    if is_judged_elsewhere(entry):
        return True
    fields = fields_of(entry.target)
    rest = Template(entry.target, {}).parts if fields else []
    is_bare = not any(isinstance(part, str) and part.strip() for part in rest)
    return bool(fields) and is_bare and not any(entry.defaults.get(field.name, "-").strip() for field in fields)


def shared_fields(entry: InlineTask) -> list[str]:
    """Fields of the target that the prompt shows, in whole or in part, as the prompt names them."""
    answers = [*fields_of(entry.target), *fields_of(entry.accepted)]
    pairs = [(one, other) for one in fields_of(entry.prompt) for other in answers if one.column == other.column]
    nested = [one.name for one, other in pairs if all(key == same for key, same in zip(one.keys, other.keys, strict=False))]
    return list(dict.fromkeys(nested))


def label_names(entry: InlineTask) -> tuple[str, ...]:
    """The closed set of targets: the choices, or the labels of the column that is the target; empty if there is none."""
    fields = fields_of(entry.target)
    is_column = len(fields) == 1 and entry.target.strip() == f"{{{fields[0].column}}}"
    labels = entry.labels.get(fields[0].column, ()) if is_column else ()
    return entry.choices or tuple(labels if isinstance(labels, tuple) else dict.fromkeys(labels.values()))


def used_columns(entry: InlineTask) -> dict[str, str]:
    """The columns that the templates use, each with the first template that does."""
    columns: dict[str, str] = {}
    for name in ("prompt", "target", "accepted", "group"):
        text = getattr(entry, name)
        columns |= {field.column: name for field in fields_of(text) if field.column not in columns}
    return columns


def fields_of(text: str) -> list[Field]:
    """The fields of a template; none of one that is malformed."""
    try:
        return Template(text, {}).fields
    except TemplateError:
        return []
