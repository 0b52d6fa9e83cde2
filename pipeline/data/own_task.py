"""Builds a task from a Python file of the user, which defines TASK as the shipped ones do: checked, and with its errors in one line."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import metrics
from pipeline.config.schema import portable
from pipeline.data.task import Row, Source, Task, names
from pipeline.errors import DataError, RecipeError, UserError, suggest
from pipeline.metrics import user_metric
from pipeline.store import user_code
from pipeline.store.records import Example, Turn
from pipeline.store.user_code import Bundle, UserCodeError

OWN_TASK = "own_task"
"""Key of a spec that marks it as one of a Python file; its value is the task's name."""
GUIDE = "See docs/own_task_and_metric.md."
FUNCTIONS = ("answer", "preface", "slots", "accepted")
"""Fields of a task that hold a function, besides `example`."""


def spec(path: str) -> dict[str, Any]:
    """The task of a file as plain JSON values: its code, that of its own metrics, and the folder that its data lie in.

    Raises:
        RecipeError: there is no such file, or its name is taken.
        UserCodeError: it does not load, or defines no task that can be used.
    """
    file = Path(path)
    name = file.stem
    if name in names():
        raise RecipeError(f"{path} has the name of a shipped task, {name}.", "Rename the file, and TASK.name with it.")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise RecipeError(f"{path}: '{name}' cannot be the name of a task.", "Use letters, digits, '.', '_' or '-'.")
    try:
        portable(name)
    except ValueError as error:
        raise RecipeError(f"{path}: {error}.") from None
    bundle = user_code.collect(file)
    task = checked(user_code.load(bundle), bundle)
    located_metrics = [str(file.parent / name) if user_metric.is_path(name) else name for name in task.metrics]
    try:
        _, code = user_metric.split(located_metrics, metrics.names())
    except RecipeError as error:
        raise RecipeError(f"{path}: metrics: {error.problem}", error.remedy) from None
    for own in code.values():
        user_metric.find(own)
    return {OWN_TASK: name, "folder": str(file.parent), "code": {bundle["start"]: bundle, **code}}


def build(spec: dict[str, Any]) -> Task:
    """The task of a spec()."""
    code: dict[str, Bundle] = dict(spec["code"])
    bundle = code.pop(f"{spec[OWN_TASK]}.py")
    task = checked(user_code.load(bundle), bundle)
    changes: dict[str, Any] = {
        name: user_code.guarded(function, bundle, f"in {name}()")
        for name in FUNCTIONS
        if (function := getattr(task, name)) and user_code.is_own(function)
    }
    folder = Path(spec["folder"])
    return replace(
        task,
        **changes,
        example=example_maker(task.example, bundle),
        train=tuple(located(source, folder, bundle) for source in task.train),
        heldout=tuple(located(source, folder, bundle) for source in task.heldout),
        metrics=tuple(Path(name).stem if user_metric.is_path(name) else name for name in task.metrics),
        code=code,
    )


def located(source: Source, folder: Path, bundle: Bundle) -> Source:
    """The source with paths from the task's folder, and with the errors of its functions in one line."""

    def from_here(path: str | None) -> str | None:
        return path if path is None or path.startswith("~") else str(folder / path)

    file = source.manual_file
    return replace(
        source,
        path=from_here(source.path),
        folder=from_here(source.folder),
        make=guarded_rows(source.make, bundle, "in make()") if source.make else None,
        keep=user_code.guarded(source.keep, bundle, "in keep()") if source.keep else None,
        manual_file=replace(file, read=guarded_rows(file.read, bundle, "in read()")) if file and file.read else file,
        parts=tuple(located(part, folder, bundle) for part in source.parts),
    )


def guarded_rows(function: Callable[..., Iterable[Row]], bundle: Bundle, doing: str) -> Callable[..., Iterator[Row]]:
    """A function that yields rows, with its errors as UserCodeError."""

    def rows(*args: Any) -> Iterator[Row]:
        try:
            for row in function(*args):
                if not isinstance(row, dict):
                    raise UserCodeError(f"{bundle['start']}: {doing[3:]} gave {row!r}, where a dict is expected.", GUIDE)
                yield row
        except UserError:
            raise
        except Exception as error:
            raise user_code.failure(bundle, error, doing) from error

    return rows


def example_maker(function: Callable[[Row], Example], bundle: Bundle) -> Callable[[Row], Example]:
    """The task's function `example`, so that a fault of the code counts as a bad row with file and line.

    LookupError and ValueError pass: they say that the row lacks something.
    """

    remedy = f"Fix example() in {bundle['start']}, or leave such rows out."

    def example(row: Row) -> Example:
        try:
            built = function(row)
        except (LookupError, ValueError, UserError):
            raise
        except Exception as error:
            raise DataError(f"{user_code.location(bundle, error)}: {user_code.description(bundle, error)}", remedy) from error
        if problem := example_problem(built):
            raise DataError(f"{bundle['start']}: example() gave {problem}", remedy)
        return built

    return example


def example_problem(built: Any) -> str:
    """What of an example cannot be used; empty if all can."""
    if not isinstance(built, Example):
        return f"{type(built).__name__}, where an Example is expected"
    is_prompt = isinstance(built.prompt, str) or (isinstance(built.prompt, tuple) and all(isinstance(turn, Turn) for turn in built.prompt))
    if not is_prompt:
        return f"the prompt {built.prompt!r}, where text or a tuple of Turn is expected"
    if not isinstance(built.target, str):
        return f"the target {built.target!r}, where text is expected"
    is_choices = isinstance(built.choices, tuple) and all(isinstance(choice, str) for choice in built.choices)
    return "" if is_choices else f"the choices {built.choices!r}, where a tuple of texts is expected"


def checked(module: Any, bundle: Bundle) -> Task:
    """The TASK of a module.

    Raises:
        UserCodeError: there is none, or one of its fields cannot be used.
    """
    start = bundle["start"]
    task = getattr(module, "TASK", None)
    if task is None:
        raise UserCodeError(f"{start} defines no TASK.", GUIDE)
    if not isinstance(task, Task):
        raise UserCodeError(f"{start}: TASK is of the type {type(task).__name__}, and must be a Task of pipeline.data.task.", GUIDE)
    if problem := next(filter(None, field_problems(task, Path(start).stem)), ""):
        raise UserCodeError(f"{start}: TASK.{problem}", GUIDE)
    return task


def field_problems(task: Task, name: str) -> Iterator[str]:
    """What is wrong with the fields of a task; empty texts count for nothing."""
    yield f"name is {task.name!r}, and must be the file's: {name!r}." if task.name != name else ""
    for field in ("train", "heldout"):
        yield sources_problem(field, getattr(task, field))
    yield "train names the rows of the test set, too. Take other rows." if task.train == task.heldout else ""
    for field in ("example", "answer"):
        yield "" if callable(getattr(task, field)) else f"{field} is {getattr(task, field)!r}, and must be a function."
    for field in ("metrics", "choices", "stop"):
        value = getattr(task, field)
        is_texts = isinstance(value, tuple) and all(isinstance(entry, str) for entry in value)
        yield "" if is_texts else f"{field} is {value!r}, and must be a tuple of texts, as ('a', 'b')."
    yield "" if task.metrics else "metrics is empty. Name one at least, as ('accuracy',)."
    for metric in task.metrics:
        is_known = user_metric.is_path(metric) or metric in metrics.names()
        yield "" if is_known else f"metrics: there is no metric '{metric}'. {suggest(metric, metrics.names())}"
    is_count = isinstance(task.max_new_tokens, int) and not isinstance(task.max_new_tokens, bool) and task.max_new_tokens > 0
    yield "" if is_count else f"max_new_tokens is {task.max_new_tokens!r}, and must be a whole number above 0."


def sources_problem(field: str, sources: Any) -> str:
    if isinstance(sources, Source):
        return f"{field} is one Source. Write a tuple of one: {field}=(Source(...),)."
    if not isinstance(sources, tuple) or not sources or not all(isinstance(source, Source) for source in sources):
        return f"{field} is {sources!r}, and must be a tuple of Source."
    for source in sources:
        kinds = [name for name in ("hub", "folder", "path", "manual_file", "make", "parts") if getattr(source, name)]
        if len(kinds) != 1:
            listed = " and ".join(kinds) or "none"
            return f"{field}: a Source names one of hub, folder, path, manual_file, make and parts (this one names {listed})."
    return ""
