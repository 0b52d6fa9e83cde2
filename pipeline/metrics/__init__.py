"""One folder per metric, each an `evaluate` module, found by its name: `metrics/<name>/<name>.py`.

Imports `sandbox`, `store` and `errors`. Start with `base.py`; copy `accuracy/` for a metric of your own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import RecipeError, suggest
from pipeline.metrics import user_metric
from pipeline.store.user_code import Bundle

if TYPE_CHECKING:
    from pipeline.metrics.base import Metric


NEEDS_FIELDS = {
    "drop_em": "annotated answers",
    "drop_f1": "annotated answers",
    "pass_at_1": "the tests of a program",
    "pass_at_k": "the tests of a program",
}
"""Metrics that read more of an example than its target, and what; only a shipped task has it."""
READS_JSON = ("entity_f1", "json_field_f1")
"""Metrics over JSON objects: any other text is wrong to them."""
READS_NUMBERS = frozenset({"mae_similarity", "paper_similarity"})
"""Metrics over one number of a text: a task with no others reads that as `answer: number` does, unless it says otherwise."""
READS_CALLS = ("tool_call_match",)
"""Metrics over lists of calls of tools."""

ONE_RIGHT_ANSWER = ("balanced_accuracy", "bleu", "macro_f1")
"""Metrics over the whole corpus for which an example cannot choose among several right answers: n-grams of one text, and one class."""
TAKES_EMPTY = ("accuracy", "balanced_accuracy", "exact_match", "macro_f1", "rouge1", "rouge2", "rougeL", "set_f1", "token_f1")
"""Metrics to which an empty target is met by an empty answer and by no other."""


def inline_names() -> list[str]:
    """The names of the metrics that a task written in a recipe can have, sorted."""
    return [name for name in names() if name not in NEEDS_FIELDS]


def names() -> list[str]:
    """The names of all metrics, sorted."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*/*.py") if file.stem == file.parent.name)


def load(name: str, code: Mapping[str, Bundle] | None = None, **options: Any) -> "Metric":
    """A new instance of the metric of that name; it keeps its inputs in memory. Raises RecipeError on a name that no folder has.

    Args:
        code: metrics of the user's own, by name.
        options: `unsafe=True` for the metrics that run code, and settings of the task; every metric takes those that it knows.
    """
    if code and name in code:
        return user_metric.load(code[name], **options)
    if name.startswith(("lm_eval/", "inspect_ai/")):
        from pipeline.metrics import harness

        return harness.load(name, options.get("definition", ""))
    if name not in names():
        raise RecipeError(f"There is no metric '{name}'.", suggest(name, names()))
    from evaluate.loading import import_main_class

    kind = import_main_class(f"pipeline.metrics.{name}.{name}")
    accepted = {key: value for key, value in options.items() if key in kind.options}
    metric: Metric = kind(keep_in_memory=True, **accepted)
    return metric
