"""Builds the table of lift against the swept keys, with the single runs."""

from typing import Any

from pipeline.config import methods
from pipeline.measures.cell_types import CellRow
from pipeline.measures.provenance_types import AdapterRow
from pipeline.measures.sufficient_size import AXES
from pipeline.measures.sweep_types import Sweep, SweepAxis, SweepPoint
from pipeline.page import fmt
from pipeline.page.cells import swept
from pipeline.store.records import JsonObject, is_number


def section(recipe: JsonObject, cells: list[CellRow], adapters: dict[str, AdapterRow]) -> Sweep | None:
    """What the page says of the sweep; None where there is none.

    Args:
        cells: of report.json.
        adapters: of report.json, by short key.
    """
    keys = swept(recipe)
    if not keys:
        return None
    axes: list[SweepAxis] = [{"axis": key, "log": log_base(key, keys)} for key in axes_of(keys)]
    first: SweepAxis = axes[0] if axes else {"axis": None, "log": None}
    points = [sweep_point(cell, first["axis"], adapters) for cell in cells]
    return {"keys": list(keys), **first, "axes": axes, "points": points, "rate_note": rate_note(recipe)}


RATE = "finetune.learning_rate"
RATE_DEPENDS_ON = ("rank", "alpha", "alpha_per_rank", "method", *methods.SWITCHES, "targets", "layers", "batch_examples")
"""Keys of `finetune` whose values have learning rates of their own that suit them best."""


def rate_note(recipe: JsonObject) -> str:
    """That points were compared at one learning rate, where the best one may differ among them; empty where it is swept or tuned too."""
    keys = swept(recipe)
    compared = [fmt.key_label(key) for key in keys if key.removeprefix("finetune.") in RATE_DEPENDS_ON]
    if not compared or RATE in keys or RATE in (recipe.get("tune") or {}):
        return ""
    rate = f"{recipe['finetune']['learning_rate']:g}"
    return (
        f"The learning rate was not searched: every {fmt.enumerated(compared)} has the same, {rate}. The best "
        "rate may differ among them, so this compares them at that rate, not each at its best (arXiv 2602.04998)."
    )


def axes_of(keys: dict[str, list[Any]]) -> list[str]:
    """The keys that get a chart: rank and number of training examples; if neither is swept, the only numeric key."""
    numeric = [key for key, values in keys.items() if all(map(is_number, values)) and len(set(values)) > 1]
    return [key for key in AXES if key in numeric] or (numeric if len(numeric) == 1 else [])


def log_base(axis: str, keys: dict[str, list[Any]]) -> int | None:
    """2 for ranks, 10 for other keys that span a decade, None for a linear axis."""
    if min(keys[axis]) <= 0:
        return None
    return 2 if axis == "finetune.rank" else 10 if max(keys[axis]) >= 10 * min(keys[axis]) else None


def mean(seconds: list[float | None]) -> float | None:
    """The mean; None where one is not known."""
    numbers = [number for number in seconds if number is not None]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(seconds) else None


def sweep_point(cell: CellRow, axis: str | None, adapters: dict[str, AdapterRow]) -> SweepPoint:
    primary = cell["comparisons"][0]
    trained = [adapters[key] for key in cell["adapters"]]
    return {
        "cell": cell["cell"],
        "task": cell["task"],
        "point": cell["point"],
        "value": cell["point"][axis] if axis else None,
        "series": {key: value for key, value in cell["point"].items() if key != axis},
        "metric": primary["metric"],
        "base": primary["base"],
        "tuned": primary["tuned"],
        "lift": primary["lift"],
        "low": primary["low"],
        "high": primary["high"],
        "p_adjusted": primary["p_adjusted"],
        "verdict": primary["verdict"],
        "runs": cell["examples"]["runs"],
        "trainable_parameters": trained[0]["trainable_parameters"] if trained else None,
        "adapter_bytes": trained[0]["adapter_bytes"] if trained else None,
        "seconds": mean([adapter["seconds"] for adapter in trained]),
    }
