"""The variance budget of a lift against a crossed design of known parts, and against more examples and seeds of it."""

import numpy as np
import pytest

from pipeline.measures.variance_budget import VarianceBudget
from pipeline.page import checks_section, variance_note
from pipeline.page.cells import open_cells
from tests.report_inputs import Inputs
from tests.test_seed_variance import crossed, resampled


def errors_of(seeds, n, parts, draws=40):
    """Mean standard errors of a lift over draws of the design; parts: standard deviations of seeds, groups and the rest."""
    rng = np.random.default_rng(seeds * n)
    rows = []
    for _ in range(draws):
        base, tuned = crossed(rng, seeds, n, *parts)
        rows.append(resampled(base, tuned, 300).seed_variance(1, 0).errors)
    return {"seeds": seeds, **{key: float(np.mean([row[key] ** 2 for row in rows])) ** 0.5 for key in ("examples", "between", "rest")}}


PARTS = (0.03, 0.3, 0.2)


def test_parts_are_those_of_the_design():
    budget = VarianceBudget.of(errors_of(4, 200, PARTS))
    assert budget.examples == pytest.approx(0.3**2 / 200, rel=0.2)
    assert budget.seeds == pytest.approx(0.03**2 / 4, rel=0.4)
    assert budget.rest == pytest.approx(0.2**2 / 800, rel=0.2)
    assert sum(budget.shares) == pytest.approx(1.0)


def test_twice_as_much_brings_what_is_said():
    budget = VarianceBudget.of(errors_of(4, 200, PARTS))
    assert budget.twice_the_examples().error == pytest.approx(VarianceBudget.of(errors_of(4, 400, PARTS)).error, rel=0.15)
    assert budget.twice_the_seeds().error == pytest.approx(VarianceBudget.of(errors_of(8, 200, PARTS)).error, rel=0.15)


def test_the_cheaper_way_is_that_of_more_variance_a_second():
    budget = VarianceBudget(examples=3e-4, seeds=1e-4, rest=0.0)
    assert budget.cheapest(example_seconds=10, seed_seconds=10) == "examples"
    assert budget.cheapest(example_seconds=31, seed_seconds=10) == "seeds"


def test_a_part_below_zero_is_none():
    budget = VarianceBudget.of({"seeds": 2, "examples": 0.01, "between": 0.005, "rest": 0.008})
    assert budget.seeds == 0.0
    assert budget.shares[1] == 0.0


@pytest.mark.parametrize(("seeds", "count"), [([0, 1, 2], 1), ([0], 0)])
def test_the_page_splits_the_variance_where_there_are_seeds(tmp_path, seeds, count):
    work = Inputs(tmp_path, {"tasks": ["boolq"], "finetune": {"seeds": seeds}}, n=60).work()
    cells = open_cells(work)
    notes = [note for note in checks_section.notes(cells, work.params["recipe"]) if note.startswith("Variance: ")]
    assert len(notes) == count
    if count:
        budget = VarianceBudget.of(cells[0].comparison.comparisons()[0]["seed_errors"])
        assert f"bring the standard error from {budget.error:.4f} to {budget.twice_the_examples().error:.4f}" in notes[0]
        seconds = 12.5  # of every made-up artifact: base and three answers against three answers and three trainings
        cheaper = budget.cheapest(4 * seconds, 6 * seconds)
        assert notes[0].endswith(f"so {'test' if cheaper == 'examples' else 'training'} {cheaper} are cheaper. (boolq)")
        assert variance_note.note(cells[0]) in notes[0]
