"""Puts the variance budget of a lift into a sentence: where its uncertainty comes from, and what narrows it most cheaply."""

from pipeline.measures.variance_budget import VarianceBudget
from pipeline.page import fmt
from pipeline.page.cells import Cell
from pipeline.store.input_names import InputName


def note(cell: Cell) -> str:
    """The variance budget of a cell with several training seeds; empty for one seed, or without any variance."""
    errors = cell.comparison.comparisons()[0]["seed_errors"]
    if errors is None:
        return ""
    budget = VarianceBudget.of(errors)
    if budget.whole <= 0:
        return ""
    examples, seeds, rest = (fmt.percent(round(share, 2)) for share in budget.shares)
    parts = f"{examples} of the variance of the lift comes from test examples, {seeds} from training seeds, {rest} from both together"
    ways = {
        "examples": f"twice the test examples bring the standard error from {budget.error:.4f} to {budget.twice_the_examples().error:.4f}",
        "seeds": f"twice the training seeds to {budget.twice_the_seeds().error:.4f}",
    }
    return (
        f"Variance: {parts}; answers are greedy, so none comes from decoding. By estimate {', '.join(ways.values())}{cost(cell, budget)}."
    )


def cost(cell: Cell, budget: VarianceBudget) -> str:
    """What both ways cost by the times of this run, and the cheaper one; empty where nothing was trained here."""
    if any(adapter.stage != "finetune" for adapter in cell.adapters) or not cell.adapters:
        return ""
    answers = sum(artifact.provenance["seconds"] for artifact in cell.tuned_predictions)
    base = cell.inputs[str(InputName("predictions", "base"))].provenance["seconds"]
    example_seconds, seed_seconds = base + answers, answers + sum(adapter.provenance["seconds"] for adapter in cell.adapters)
    cheapest = budget.cheapest(example_seconds, seed_seconds)
    times = f"{fmt.seconds(example_seconds)} against {fmt.seconds(seed_seconds)} on the machine of this run"
    return f"; that takes {times}, so {'test' if cheapest == 'examples' else 'training'} {cheapest} are cheaper"
