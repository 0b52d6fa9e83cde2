"""Assigns the test examples of a task to slices, each with a lift of its own: by length, by label, or by a column of their rows.

A stage of its own, so that a recipe with slices has the same examples, adapters and predictions as one without.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from pipeline.data import inline, slice_columns, slicing
from pipeline.data.slice_columns import SourceRows
from pipeline.machine import Work
from pipeline.progress import say
from pipeline.store.folders import HeldoutFolder
from pipeline.store.records import Example
from pipeline.store.result_folders import SlicingFolder
from pipeline.store.slice_types import SliceEntry, Slicing


def run(work: Work) -> dict[str, Any]:
    """Write the slicings; facts: how many slices there are, or why there are none. Whether that ends the run is not known here.

    Raises:
        DataError: the rows cannot be read.
    """
    spec = work.params["task"]
    entries: list[SliceEntry] = work.params["slices"]
    examples = HeldoutFolder(work.inputs["heldout"]).examples()
    names = [entry["by"] for entry in entries if entry["kind"] == "column"]
    rows = slice_columns.read(spec, examples, names, work.machine.offline) if names else None
    slicings = [slicing.checked(slicing_of(entry, spec, examples, rows)) for entry in entries]
    SlicingFolder(work.out).write_slicings(slicings)
    for row in slicings:
        if row["why"]:
            say(f"  slices by {row['by']}: none: {row['why']}")
    facts = [{name: row[name] for name in ("by", "kind", "why", "remedy")} | {"slices": len(row["slices"])} for row in slicings]
    return {"slicings": facts}


def slicing_of(entry: SliceEntry, spec: inline.Spec, examples: Sequence[Example], rows: SourceRows | None) -> Slicing:
    """The slices by one entry of the recipe; without any it says why."""
    if entry["kind"] == "length":
        return slicing.by_length(examples)
    if entry["kind"] == "label":
        return slicing.by_label(examples, inline.from_spec(spec))
    assert rows is not None  # there is a column
    by = entry["by"]
    if not rows.has(by):
        near = get_close_matches(by, rows.columns, n=1)
        remedy = f"Did you mean '{near[0]}'? " if near else ""
        why = f"there is no column '{by}' in {rows.location}"
        return slicing.refused(by, "column", why, f"{remedy}Its columns: {', '.join(rows.columns)}.")
    values = rows.values(by)
    return slicing.by_column(by, {example.id: values[example.id] for example in examples})
