"""One folder a metric, each an `evaluate` module: `metrics/<name>/<name>.py`, found by its name."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import RecipeError, suggest

if TYPE_CHECKING:
    from pipeline.metrics.base import Metric


def names() -> list[str]:
    """The names of all metrics, sorted."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*/*.py") if file.stem == file.parent.name)


def load(name: str) -> "Metric":
    """A new instance of the metric of that name; it keeps its inputs in memory. Raises RecipeError on a name that no folder has."""
    if name not in names():
        raise RecipeError(f"There is no metric '{name}'.", suggest(name, names()))
    from evaluate.loading import import_main_class

    metric: Metric = import_main_class(f"pipeline.metrics.{name}.{name}")(keep_in_memory=True)
    return metric
