"""What the report hands to measures.learning: every example's score is the mean of its seeds, and its label that of its group."""

import json

import numpy as np
import pytest

from pipeline.page import cells, size_section
from tests.report_inputs import Chartless, Inputs

SWEPT = {"tasks": ["boolq"], "sweep": {"finetune.rank": [4, 16]}, "finetune": {"seeds": [0, 1]}}


def rows(cell, source):
    return [json.loads(line) for line in (cell.inputs[source].path / "examples.jsonl").read_text("utf-8").splitlines()]


def test_a_point_has_the_mean_of_all_seeds_and_equal_labels_within_a_group(tmp_path):
    work = Inputs(tmp_path, SWEPT, n=30, measured=True).work()
    cell, _ = cells.open_cells(work)
    heldout = [row | {"group": f"document {number // 2}" if number < 20 else ""} for number, row in enumerate(rows(cell, "heldout"))]
    (cell.inputs["heldout"].path / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in heldout), "utf-8")
    by_seed = np.array([[arm["scores"]["accuracy"] for arm in row["tuned"]] for row in rows(cell, "comparison")])
    assert (by_seed[:, 0] != by_seed[:, 1]).any()
    point = size_section.point(cell, {"metric": "accuracy", "tuned": by_seed.mean()})
    assert point.scores == pytest.approx(by_seed.mean(axis=1))
    assert point.groups.tolist() == [*np.repeat(range(10), 2), *range(10, 20)]
    assert (point.task, point.coordinates, point.heldout_key, point.score) == (
        "boolq",
        cell.point,
        cell.inputs["heldout"].key,
        by_seed.mean(),
    )


def test_a_sweep_over_two_seeds_is_compared_by_the_mean_of_both(tmp_path):
    report = Chartless(Inputs(tmp_path, SWEPT, n=30))
    (line,) = report.json["learning"]
    assert line["why"] == ""
    tuned = [cell["comparisons"][0]["tuned"] for cell in report.json["cells"]]
    assert [point["tuned"] for point in line["points"]] == tuned
    assert line["points"][0]["against_best"]["difference"] == pytest.approx(tuned[0] - tuned[1])
