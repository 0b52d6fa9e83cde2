"""Builds the tables of how much of their rank adapters use, from measures.rank_use."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline import arms
from pipeline.measures import rank_use
from pipeline.measures.cell_types import CellRow, ComparisonRow
from pipeline.measures.rank_types import RankCutRow, RankUse, SpectrumRow
from pipeline.measures.sufficient_size import MEAN_TOLERANCE
from pipeline.page.cells import Cell, json_safe
from pipeline.page.size_section import WHY
from pipeline.scoring import stats
from pipeline.store import input_names
from pipeline.store.artifact import Artifact
from pipeline.store.input_names import InputName
from pipeline.store.records import JsonObject
from pipeline.store.result_folders import SpectrumFolder


def section(cell: Cell, primary: ComparisonRow, recipe: JsonObject) -> RankUse | None:
    """The use that the adapter of a cell makes of its rank; None where it was not measured."""
    values = {seed: SpectrumFolder(artifact.path).modules() for seed, artifact in spectra_of(cell)}
    spectra = [rank_use.spectrum_row(seed, modules) for seed, modules in values.items()]
    if not spectra or cell.rank is None:
        return None
    compare = recipe["compare"]
    metric, names = primary["metric"], cut_arms(cell)
    first = recipe_seed(cell, recipe)
    scores, groups = scores_of(cell, metric, names, cell.seeds.index(first))
    why = WHY["not a mean of examples"] if names and not is_mean(cell, metric, scores) else ""
    spectrum = next(row for row in spectra if row["seed"] == first)
    ranks = [len(one) for one in values[first].values()]
    cuts = [] if why else cut_rows(cell, scores, groups, (spectrum, ranks), (compare["margin"], compare["confidence"]))
    facts = cell.inputs[str(InputName("adapter", seed=first))].facts
    use: RankUse = {
        "rank": cell.rank,
        "margin": compare["margin"],
        "full_score": float(scores["tuned"].mean()),
        "trainable_parameters": facts["trainable_parameters"],
        "adapter_bytes": facts["adapter_bytes"],
        "spectra": spectra,
        "cuts": cuts,
        "smallest": rank_use.smallest_enough([row["rank"] for row in cuts], [row["p"] for row in cuts], 1 - compare["confidence"]),
        "why": why,
    }
    return json_safe(use)


def recipe_seed(cell: Cell, recipe: JsonObject) -> int:
    """The first training seed as the recipe lists them, whose adapter is cut; cells sort theirs."""
    listed: Sequence[int] = recipe["finetune"]["seeds"]
    return next((seed for seed in listed if seed in cell.seeds), cell.seeds[0])


def spectra_of(cell: Cell) -> list[tuple[int, Artifact]]:
    """By training seed."""
    artifacts = ((seed, cell.inputs.get(str(InputName("spectrum", seed=seed)))) for seed in cell.seeds)
    return [(seed, artifact) for seed, artifact in artifacts if artifact is not None]


def cut_arms(cell: Cell) -> list[str]:
    """The arms of cut adapters, the smallest rank first."""
    names = (name.arm for name in map(input_names.parse, cell.inputs) if name.role == "predictions" and not name.suite)
    return sorted((name for name in names if name.startswith(arms.CUT)), key=arms.sort_key)


def scores_of(cell: Cell, metric: str, names: Sequence[str], place: int) -> tuple[dict[str, rank_use.Array], NDArray[np.int64]]:
    """Scores (n,) of the whole adapter (`tuned`) and of every cut arm on the test examples, and the groups (n,) of these.

    Args:
        place: of the seed that is cut among those of the cell.
    """
    heldout = cell.heldout.examples()
    label = dict(zip((example.id for example in heldout), stats.group_ids(heldout), strict=True))
    columns: dict[str, list[float]] = {"tuned": [], **{name: [] for name in names}}
    groups = []
    for row in cell.comparison.examples():
        groups.append(label[row["id"]])
        columns["tuned"].append(row["tuned"][place]["scores"][metric])
        for name in names:
            columns[name].append(row["others"][name]["scores"][metric])
    return {name: np.array(column) for name, column in columns.items()}, np.array(groups)


def is_mean(cell: Cell, metric: str, scores: dict[str, rank_use.Array]) -> bool:
    """Whether the score of a cut arm is the mean of its examples."""
    scored = {row["name"]: row["score"] for row in cell.comparison.other_arms()[metric]["others"]}
    return all(abs(float(column.mean()) - scored[name]) <= MEAN_TOLERANCE for name, column in scores.items() if name != "tuned")


def cut_rows(
    cell: Cell,
    scores: dict[str, rank_use.Array],
    groups: NDArray[np.int64],
    whole: tuple[SpectrumRow, Sequence[int]],
    settings: tuple[float, float],
) -> list[RankCutRow]:
    """One row for each cut, the smallest rank first.

    Args:
        whole: singular values of the adapter that is cut, and the ranks of its modules.
        settings: margin and confidence.
    """
    spectrum, ranks = whole
    names = [name for name in scores if name != "tuned"]
    tests = [rank_use.against_full(scores[name], scores["tuned"], groups, *settings) for name in names]
    rows: list[RankCutRow] = []
    facts = cell.inputs[str(InputName("adapter", seed=spectrum["seed"]))].facts
    for name, test in zip(names, tests, strict=True):
        rank = int(name.removeprefix(arms.CUT))
        cut_ranks = sum(min(rank, one) for one in ranks)
        rows.append(
            {
                "arm": name,
                "rank": rank,
                "energy": spectrum["energy"][min(rank, max(ranks)) - 1],
                "score": float(scores[name].mean()),
                **test,
                "trainable_parameters": facts["trainable_parameters"] * cut_ranks // sum(ranks),
                "adapter_bytes": facts["adapter_bytes"] * cut_ranks // sum(ranks),
            }
        )
    return rows


def share(energy: float) -> str:
    """A share of the energy; a figure that rounds to all of it is said to be more than what it would hide."""
    return ">99.9 %" if 0.9995 <= energy < 1 else f"{100 * energy:.1f} %"


def use_sentence(cell: CellRow) -> str:
    """How much of its rank the adapter of the first training seed uses."""
    use = cell["rank_use"]
    assert use is not None  # the template asks for cells that have it
    row = use["spectra"][0]
    highest = len(row["energy"])
    of = f"{use['rank']}" if highest == use["rank"] else f"{highest}, the highest of a module,"
    return f"rank {row['rank_95']} of {of} keeps 95 % of the energy, rank {row['rank_99']} keeps 99 %."


def cut_sentence(cell: CellRow) -> str:
    """Which cut is enough, as a smaller adapter; empty without cuts."""
    use = cell["rank_use"]
    assert use is not None  # the template asks for cells that have it
    if use["why"]:
        return f"Cuts cannot be compared: {use['why']}."
    if not use["cuts"]:
        return ""
    if use["smallest"] is None:
        return f"No cut was shown not to be worse than the whole adapter (margin {use['margin']:g})."
    smallest = use["smallest"]
    whole = use["trainable_parameters"]
    weights = 100 * next(row["trainable_parameters"] for row in use["cuts"] if row["rank"] == smallest) / whole
    return (
        f"Cut to rank {smallest} it is non-inferior to the whole adapter (margin {use['margin']:g}), with {weights:.0f} % of its weights: "
        f"loralift export RECIPE --rank {smallest}."
    )
