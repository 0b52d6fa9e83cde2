"""Builds the matrix of other tasks: a row for every adapter, a column for everything that it was evaluated on besides its own task."""

from collections.abc import Mapping, Sequence

from pipeline.measures.cell_types import CellRow
from pipeline.measures.report_types import AdapterChanges, Change, EvaluatedOn, OtherTasks
from pipeline.scoring.verdict import NOT_TESTABLE, Verdict
from pipeline.store.figure_types import SuiteRow


def section(cells: Sequence[CellRow], verdicts: Mapping[tuple[str, str], Verdict]) -> OtherTasks | None:
    """The matrix; None where no adapter was evaluated on anything else.

    Args:
        cells: of report.json.
        verdicts: as claimed, by cell and suite; a suite without a claim is not testable.
    """
    suites = {suite["suite"]: suite for cell in cells for suite in cell["forgetting"]}
    if not suites:
        return None
    tasks = list(dict.fromkeys(cell["task"] for cell in cells))
    # plain English first, then tasks in the order of the rows, so that what an adapter was trained on lies on the diagonal
    order = sorted(suites, key=lambda name: (suites[name]["kind"] != "loss", tasks.index(name) if name in tasks else len(tasks)))
    return {
        "columns": [column(suites[name]) for name in order],
        "rows": [row(cell, order, verdicts) for cell in cells],
    }


def column(suite: SuiteRow) -> EvaluatedOn:
    return {"suite": suite["suite"], "label": suite["label"], "kind": suite["kind"]}


def row(cell: CellRow, order: Sequence[str], verdicts: Mapping[tuple[str, str], Verdict]) -> AdapterChanges:
    suites = {suite["suite"]: suite for suite in cell["forgetting"]}
    changes = [change(suites[name], verdicts.get((cell["cell"], name), NOT_TESTABLE)) if name in suites else None for name in order]
    return {"cell": cell["cell"], "task": cell["task"], "label": cell["label"], "changes": changes}


def change(suite: SuiteRow, verdict: Verdict) -> Change:
    return {
        "change": suite["difference"],
        "low": suite["low"],
        "high": suite["high"],
        "verdict": verdict,
        "evidence": f"#{suite['anchor']}",
    }
