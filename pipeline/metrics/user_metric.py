"""Finds and checks a metric of the user's own: an `evaluate` module in a folder or file that a recipe names."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import data_paths
from pipeline.errors import RecipeError
from pipeline.store import user_code
from pipeline.store.user_code import Bundle, UserCodeError

if TYPE_CHECKING:
    from pipeline.metrics.base import Array, Metric

LIKE = (
    "Derive one class from MeanMetric of pipeline.metrics.base and give it score(prediction, reference); see docs/own_task_and_metric.md."
)


def split(names: Iterable[str], shipped: Iterable[str]) -> tuple[tuple[str, ...], dict[str, Bundle]]:
    """Metrics as a recipe names them, by their names alone; and the code of those that are paths.

    Raises:
        RecipeError: there is no such file, it cannot be read, or its name is taken.
    """
    plain: list[str] = []
    code: dict[str, Bundle] = {}
    for name in names:
        if is_path(name):
            file = file_of(Path(name))
            if file.stem in shipped or file.stem in plain:
                which = "a shipped metric" if file.stem in shipped else "another metric of the task"
                raise RecipeError(f"{name} has the name of {which}, {file.stem}.", "Rename its file.")
            code[file.stem] = user_code.collect(file, whole_folder=file.parent.name == file.stem)
            plain.append(file.stem)
        else:
            plain.append(name)
    return tuple(plain), code


def is_path(name: str) -> bool:
    """Whether the name of a metric is the path of one of the user's own."""
    return data_paths.is_code_path(name)


def file_of(path: Path) -> Path:
    """The file of a metric: `mine.py`, `mine` for it, or a folder `mine` that holds it.

    Raises:
        RecipeError: there is none.
    """
    candidates = [path] if path.suffix == ".py" else [path / f"{path.name}.py", path.parent / f"{path.name}.py"]
    if file := next((file for file in candidates if file.is_file()), None):
        return file
    if path.is_dir():
        raise RecipeError(f"the folder {path} holds no {path.name or 'metric'}.py.", "An `evaluate` module is called as its folder.")
    near = sorted({*(file.name for file in path.parent.glob("*.py")), *(file.parent.name for file in path.parent.glob("*/*.py"))})
    remedy = f"The folder {path.parent} has {', '.join(near[:8])}." if near else f"The folder {path.parent} has no Python files."
    raise RecipeError(f"there is no metric {path}.", remedy)


def find(bundle: Bundle) -> "type[Metric]":
    """The class of a metric.

    Raises:
        UserCodeError: the file does not load, or does not define one metric that scores single examples.
    """
    import evaluate

    from pipeline.metrics.base import Metric

    module = user_code.load(bundle)
    classes = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
    kinds = [kind for kind in classes if issubclass(kind, Metric) and not getattr(kind, "__abstractmethods__", None)]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        names = ", ".join(kind.__name__ for kind in kinds)
        raise UserCodeError(
            f"{bundle['start']} defines {len(kinds)} metrics: {names}.", "Keep one class, and put the others into other files."
        )
    for kind in classes:
        if issubclass(kind, Metric):
            missing = ", ".join(sorted(getattr(kind, "__abstractmethods__", ())))
            raise UserCodeError(f"{bundle['start']}: the class {kind.__name__} lacks {missing}.", LIKE)
        if issubclass(kind, evaluate.EvaluationModule):
            raise UserCodeError(f"{bundle['start']}: {kind.__name__} gives no scores of single examples, which paired tests need.", LIKE)
    raise UserCodeError(f"{bundle['start']} defines no metric.", LIKE)


def load(bundle: Bundle, **options: Any) -> "Metric":
    """A new instance of the metric; its errors name file and line, and its scores are checked."""
    kind = find(bundle)
    try:
        metric: Metric = kind(keep_in_memory=True, **{key: value for key, value in options.items() if key in kind.options})
    except Exception as error:
        raise user_code.failure(bundle, error, "while it was made") from error
    statistics, values = (user_code.guarded(getattr(metric, name), bundle, f"in {name}()") for name in ("statistics", "values"))

    def checked_statistics(prediction: str, reference: str) -> list[float]:
        return check_statistics(metric, bundle, statistics(prediction, reference), (prediction, reference))

    def checked_values(rows: "Array") -> "Array":
        scores: Array = values(rows)
        if not ((scores >= 0) & (scores <= 1)).all():
            raise UserCodeError(f"{bundle['start']}: values() gave {scores.min():g} to {scores.max():g}, where 0 to 1 is expected.", LIKE)
        return scores

    for name, function in (("statistics", checked_statistics), ("values", checked_values)):
        setattr(metric, name, function)
    return metric


def check_statistics(metric: "Metric", bundle: Bundle, row: Any, texts: tuple[str, str]) -> list[float]:
    """A row of statistics. Raises UserCodeError unless it holds finite numbers, and of a mean a score of 0 to 1."""
    from pipeline.metrics.base import MeanMetric

    is_mean = isinstance(metric, MeanMetric)
    is_row = isinstance(row, list) and all(isinstance(value, int | float) or hasattr(value, "__float__") for value in row)
    if is_row and all(math.isfinite(value) for value in row) and (not is_mean or 0 <= row[0] <= 1):
        return [float(value) for value in row]
    value, expected = (row[0], "a number from 0 to 1") if is_mean and isinstance(row, list) and row else (row, "a list of finite numbers")
    name = "score" if is_mean else "statistics"
    texts_listed = ", ".join(repr(text if len(text) <= 30 else f"{text[:27]}...") for text in texts)
    raise UserCodeError(f"{bundle['start']}: {name}({texts_listed}) gave {value!r}, where {expected} is expected.", "Mend it there.")
