"""One folder per paired test, each an `evaluate` module, for users of `evaluate`; the pipeline itself calls `scoring/stats.py`.

Imports `metrics` and `scoring`. Start with `base.py`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import RecipeError, suggest

if TYPE_CHECKING:
    from pipeline.comparisons.base import PairedComparison


def names() -> list[str]:
    """The names of all comparisons, sorted."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*/*.py") if file.stem == file.parent.name)


def load(name: str) -> "PairedComparison":
    """A new instance of the comparison of that name. Raises RecipeError on a name that no folder has."""
    if name not in names():
        raise RecipeError(f"There is no comparison '{name}'.", suggest(name, names()))
    from evaluate.loading import import_main_class

    comparison: PairedComparison = import_main_class(f"pipeline.comparisons.{name}.{name}")(keep_in_memory=True)
    return comparison
