"""Measures how much of its rank an adapter uses: the energy of its singular values, and the score of the adapter cut to smaller ranks."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.measures import non_inferiority
from pipeline.measures.rank_types import FullDifference, ModuleKindRow, SpectrumRow
from pipeline.scoring import stats

Array = NDArray[np.float64]


def spectrum_row(seed: int, modules: Mapping[str, Sequence[float]]) -> SpectrumRow:
    """The use that one adapter makes of its rank.

    Args:
        modules: by full name the singular values of the update, the largest first; as many as its rank.
    """
    squares = squared(list(modules.values()))
    energy = cumulative_energy(squares)
    return {
        "seed": seed,
        "modules": len(squares),
        "energy": energy.tolist(),
        "rank_90": rank_of(energy, 0.9),
        "rank_95": rank_of(energy, 0.95),
        "rank_99": rank_of(energy, 0.99),
        "stable_rank": stable_rank(squares),
        "kinds": kinds(modules),
    }


def kinds(modules: Mapping[str, Sequence[float]]) -> list[ModuleKindRow]:
    """The modules of each name together, in the order in which they come."""
    names: dict[str, list[Sequence[float]]] = {}
    for module, values in modules.items():
        names.setdefault(module.rpartition(".")[2], []).append(values)
    squares = {kind: squared(rows) for kind, rows in names.items()}
    return [
        {"kind": kind, "modules": len(rows), "rank_95": rank_of(cumulative_energy(rows), 0.95), "stable_rank": stable_rank(rows)}
        for kind, rows in squares.items()
    ]


def squared(rows: Sequence[Sequence[float]]) -> Array:
    """Squares (modules, highest rank) of singular values; zeros behind those of a module of a lower rank."""
    squares = np.zeros((len(rows), max(map(len, rows))))
    for place, values in enumerate(rows):
        squares[place, : len(values)] = np.square(values)
    return squares


def cumulative_energy(squares: Array) -> Array:
    """Share (rank,) of the energy of all modules that each rank keeps; squares (modules, rank) of their singular values."""
    total = float(squares.sum())
    return np.cumsum(squares.sum(axis=0)) / total if total > 0 else np.ones(squares.shape[1])


def rank_of(energy: Array, share: float) -> int:
    """The smallest rank that keeps a share of the energy."""
    return int(np.argmax(energy >= share - stats.TIE)) + 1


def stable_rank(squares: Array) -> float:
    """Median over modules of the Frobenius norm by the spectral norm, squared; a module without an update counts as 0."""
    largest = squares[:, 0]
    return float(np.median(np.where(largest > 0, squares.sum(axis=1) / np.where(largest > 0, largest, 1.0), 0.0)))


def against_full(cut: Array, full: Array, groups: NDArray[np.int64], margin: float, confidence: float) -> FullDifference:
    """The scores (n,) of a cut adapter minus those of the whole one on the same examples; p of 'lower by the margin or more'."""
    test = non_inferiority.score_difference_test(full - cut, groups)
    low, high = test.interval(1 - confidence)
    return {"difference": 0.0 - test.mean, "low": 0.0 - high, "high": 0.0 - low, "p": test.not_worse(margin)}


def smallest_enough(ranks: Sequence[int], p: Sequence[float], level: float) -> int | None:
    """The smallest rank from which all are shown not to be worse.

    It is a fixed sequence of tests, the largest rank first, that ends where one fails: the level holds for all without correction.

    Args:
        ranks: the smallest first.
    """
    enough = [one <= level for one in p]
    return next((rank for index, rank in enumerate(ranks) if all(enough[index:])), None)
