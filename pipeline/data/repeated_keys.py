"""Marks the objects of a JSON list that hold a key twice, so that one bad row does not cost the others."""

from typing import Any

from pipeline.store.records import RepeatedKeyError, unrepeated


class UncertainObject(dict[str, Any]):
    """An object of a list of rows that holds a key twice, and what is wrong with it."""

    fault: str


def marked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object, as an UncertainObject if it holds a key twice."""
    try:
        return unrepeated(pairs)
    except RepeatedKeyError as error:
        row = UncertainObject(pairs)
        row.fault = str(error)
        return row


def first(value: Any) -> str:
    """What is wrong with the first object in a value that holds a key twice; empty without one."""
    if isinstance(value, UncertainObject):
        return value.fault
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((fault for item in inside if (fault := first(item))), "")
