"""Lift against the swept key, with the single runs, where a recipe sweeps."""

from typing import Any

Row = dict[str, Any]


def section(recipe: Row, cells: list[Row], adapters: dict[str, Row]) -> Row | None:
    """What the page says of the sweep; None where there is none.

    Args:
        cells: as they stand in the report.
        adapters: by short key, as they stand in the report.
    """
    swept: dict[str, list[Any]] = recipe["sweep"]
    if not swept:
        return None
    axis = axis_of(swept)
    points = [point(cell, axis, adapters) for cell in cells]
    return {"keys": list(swept), "axis": axis, "log": log_base(axis, swept), "points": points}


def axis_of(swept: dict[str, list[Any]]) -> str | None:
    """The key along which a chart is drawn: the rank, else the one numeric key."""
    numeric = [key for key, values in swept.items() if len(set(map(str, values))) > 1 and all(is_number(value) for value in values)]
    if "finetune.rank" in numeric:
        return "finetune.rank"
    return numeric[0] if len(numeric) == 1 else None


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def log_base(axis: str | None, swept: dict[str, list[Any]]) -> int | None:
    """2 for ranks, 10 for other keys that span a decade, None for a linear axis."""
    if axis is None or min(swept[axis]) <= 0:
        return None
    return 2 if axis == "finetune.rank" else 10 if max(swept[axis]) >= 10 * min(swept[axis]) else None


def point(cell: Row, axis: str | None, adapters: dict[str, Row]) -> Row:
    primary, trained = cell["comparisons"][0], [adapters[key] for key in cell["adapters"]]
    return {
        "cell": cell["cell"],
        "task": cell["task"],
        "where": cell["where"],
        "value": cell["where"][axis] if axis else None,
        "series": {key: value for key, value in cell["where"].items() if key != axis},
        **{name: primary[name] for name in ("metric", "base", "tuned", "lift", "low", "high", "p_adjusted", "verdict")},
        "runs": cell["examples"]["runs"],
        "trainable_parameters": trained[0]["trainable_parameters"],
        "adapter_bytes": trained[0]["adapter_bytes"],
        "seconds": sum(adapter["seconds"] for adapter in trained) / len(trained),
    }
