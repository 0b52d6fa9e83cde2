"""The matrix of other tasks: every adapter in a row, every evaluation in a column, each change with its verdict in a word."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.page import matrix_section, render
from tests.page_reader import Page
from tests.report_inputs import Chartless, Inputs, placeholder_charts

Row = dict[str, Any]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Row:
    return Chartless(Inputs(tmp_path_factory.mktemp("matrix"), {}, n=20, arms=("constant",), measured=True)).json


def test_changes_and_verdicts_are_those_of_the_claims(report: Row) -> None:
    matrix = report["other_tasks"]
    assert [column["kind"] for column in matrix["columns"]] == ["loss", "task"]
    for row, cell in zip(matrix["rows"], report["cells"], strict=True):
        claims = {
            claim["subject"]: claim for claim in report["claims"] if (claim["cell"], claim["kind"]) == (cell["cell"], "non-inferiority")
        }
        for column, change in zip(matrix["columns"], row["changes"], strict=True):
            (suite,) = [suite for suite in cell["forgetting"] if suite["suite"] == column["suite"]]
            assert (change["change"], change["low"], change["high"]) == (suite["difference"], suite["low"], suite["high"])
            assert change["verdict"] == (claims[column["suite"]]["verdict"] if column["suite"] in claims else "not testable")
            assert change["evidence"] == f"#{suite['anchor']}"


def square(report: Row, size: int) -> Row:
    """A report of so many tasks, each evaluated on all others."""
    grown = json.loads(json.dumps(report))
    first = grown["cells"][0]
    loss, task = (next(suite for suite in first["forgetting"] if suite["kind"] == kind) for kind in ("loss", "task"))
    grown["cells"] = []
    for number in range(size):
        cell = f"cell{number:04}"
        others = [name for name in range(size) if name != number]
        suites = [{**task, "suite": f"t{name}", "label": f"t{name}", "anchor": f"{cell}-kept-t{name}"} for name in others]
        suites += [{**loss, "anchor": f"{cell}-kept-paragraphs"}]
        grown["cells"].append({**first, "cell": cell, "task": f"t{number}", "label": f"t{number}", "forgetting": suites})
    grown["advice"] = [{**grown["advice"][0], "cell": cell["cell"]} for cell in grown["cells"]]
    verdicts = {(f"cell{n:04}", f"t{(n + 1) % size}"): "regressed" for n in range(size)}
    return {**grown, "other_tasks": matrix_section.section(grown["cells"], verdicts), "rules": []}


def test_thirty_one_adapters_on_thirty_one_tasks(report: Row) -> None:
    """What an adapter was trained on lies on the diagonal; the detail table stays folded, and a regression leads into it."""
    large = square(report, 31)
    html = render.page(large, {}, placeholder_charts(large))
    (table,) = [table for table in Page(html).tables if table.label == "Other tasks by adapter"]
    assert len(table.rows) == 31
    assert len(table.heads) == 1 + 1 + 31
    for number, row in enumerate(table.rows):
        assert [head for head, text in row.items() if text == "own task"] == [f"t{number}"]
        assert row[f"t{(number + 1) % 31}"].endswith("regressed")
        assert f'<a href="#cell{number:04}-kept-t{(number + 1) % 31}" aria-label="' in html
    assert html.count("scroll sideways for more") == 1
    folded = html.partition('id="other-tasks"')[2].partition("<summary>Table of other tasks")
    assert folded[1]
    assert 'id="cell0000-kept-t1"' in folded[2]
    assert 'id="cell0000-kept-t1"' not in folded[0]


def test_what_was_not_evaluated_is_said_and_nothing_makes_no_matrix(report: Row, tmp_path: Path) -> None:
    cells = json.loads(json.dumps(report["cells"]))
    cells[0]["forgetting"] = cells[0]["forgetting"][:1]
    matrix = matrix_section.section(cells, {})
    assert matrix["rows"][0]["changes"][1] is None
    html = render.page({**report, "other_tasks": matrix}, {}, placeholder_charts(report))
    (table,) = [table for table in Page(html).tables if table.label == "Other tasks by adapter"]
    assert [list(row.values())[-1].split()[-1] for row in table.rows] == ["run", "testable"]
    assert matrix_section.section([{**cell, "forgetting": []} for cell in cells], {}) is None
