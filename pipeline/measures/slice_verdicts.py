"""Gives the slices of a report their verdicts: all of their tests are one family, corrected together, and none is confirmatory.

A test is of the lift in a slice, or of its difference from the rest; where there are two slices, that is one difference and one test. Which
tests there are is decided by the sizes of the slices, never by their scores.
"""

from collections.abc import Iterator, Mapping, Sequence

from pipeline.measures.cell_types import RestRow, SliceRow, SlicingRow
from pipeline.measures.claims import first_cells
from pipeline.scoring import verdict
from pipeline.scoring.verdict import Correction, Verdict
from pipeline.store.slice_types import RestDifference, SliceScores, SlicingScores

Slot = tuple[str, int, int, bool]
"""Cell, number of the slicing and of the slice, and whether it is the difference from the rest."""


def judge(
    cells: Mapping[str, Sequence[SlicingScores]],
    comparison_keys: Mapping[str, str],
    confidence: float,
    correction: Correction,
    is_final: bool,
) -> dict[str, list[SlicingRow]]:
    """The slicings of each cell with adjusted p and verdicts.

    Args:
        cells: the scores by cell.
        comparison_keys: by cell; cells that share a comparison share their tests.
        is_final: whether the report is complete; else no test has a verdict.
    """
    first = first_cells(comparison_keys)
    family = {slot: p for cell in dict.fromkeys(first.values()) for slot, p in tests_of(cell, cells[cell])}
    adjusted = dict(zip(family, verdict.adjust(list(family.values()), correction), strict=True))

    def word(p: float, low: float, high: float, words: verdict.Words) -> Verdict:
        return verdict.decide(p, low, high, confidence, words) if is_final else verdict.NO_VERDICT

    def rest_row(row: RestDifference | None, p: float) -> RestRow | None:
        if row is None:
            return None
        return {**row, "p_adjusted": p, "verdict": word(p, row["low"], row["high"], verdict.REST)}

    def slice_row(row: SliceScores, slot: Slot, mirrors: Slot) -> SliceRow:
        rest = rest_row(row["rest"], adjusted.get(mirrors, 1.0))
        if row["p"] is None or row["low"] is None or row["high"] is None:
            return {**row, "rest": rest, "p_adjusted": None, "verdict": ""}
        p = adjusted[slot]
        return {**row, "rest": rest, "p_adjusted": p, "verdict": word(p, row["low"], row["high"], verdict.LIFT)}

    def slicing_row(cell: str, number: int, slicing: SlicingScores) -> SlicingRow:
        count = len(slicing["slices"])
        rows = [
            slice_row(row, (cell, number, index, False), (cell, number, 0 if count == 2 else index, True))
            for index, row in enumerate(slicing["slices"])
        ]
        return {**slicing, "slices": rows, "tests": len(family)}

    return {
        cell: [slicing_row(first[comparison_keys[cell]], number, slicing) for number, slicing in enumerate(slicings)]
        for cell, slicings in cells.items()
    }


def tests_of(cell: str, slicings: Sequence[SlicingScores]) -> Iterator[tuple[Slot, float]]:
    """The tests of a cell's slices with their p-values."""
    for number, slicing in enumerate(slicings):
        for index, row in enumerate(slicing["slices"]):
            if row["p"] is not None:
                yield (cell, number, index, False), row["p"]
            if row["rest"] is not None and not (len(slicing["slices"]) == 2 and index == 1):
                yield (cell, number, index, True), row["rest"]["p"]
