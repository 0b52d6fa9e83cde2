"""One folder per metric, each an `evaluate` module, found by its name: `metrics/<name>/<name>.py`.

Imports `sandbox` and `errors`. Start with `base.py`; copy `accuracy/` for a metric of your own.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import RecipeError, suggest

if TYPE_CHECKING:
    from pipeline.metrics.base import Metric


def names() -> list[str]:
    """The names of all metrics, sorted."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*/*.py") if file.stem == file.parent.name)


def load(name: str, **options: Any) -> "Metric":
    """A new instance of the metric of that name; it keeps its inputs in memory. Raises RecipeError on a name that no folder has.

    Args:
        options: for the metrics that run code, as `unsafe=True`; others take none.
    """
    if name not in names():
        raise RecipeError(f"There is no metric '{name}'.", suggest(name, names()))
    from evaluate.loading import import_main_class

    kind = import_main_class(f"pipeline.metrics.{name}.{name}")
    metric: Metric = kind(keep_in_memory=True, **(options if kind.runs_code else {}))
    return metric
