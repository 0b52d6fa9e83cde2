"""Declares the types of how much of their rank adapters use, as report.json holds them."""

from typing import TypedDict


class ModuleKindRow(TypedDict):
    """The modules of one name, such as `q_proj`, in all layers."""

    kind: str
    modules: int
    rank_95: int
    """The smallest rank that keeps 95 % of the energy of these modules together."""
    stable_rank: float
    """Median over the modules."""


class SpectrumRow(TypedDict):
    """Singular values of the update that one adapter learned. Energy is their square, summed over modules."""

    seed: int
    modules: int
    energy: list[float]
    """Share of the energy that ranks 1, 2, ... keep, each module cut to that rank."""
    rank_90: int
    """The smallest rank that keeps 90 % of the energy."""
    rank_95: int
    rank_99: int
    stable_rank: float
    """Median over modules of the energy of the module by that of its largest singular value: at least 1, at most the rank."""
    kinds: list[ModuleKindRow]


class FullDifference(TypedDict):
    """A cut adapter minus the whole one, paired."""

    difference: float
    low: float
    """One-sided bound of the difference at the confidence."""
    high: float
    p: float
    """Of 'lower by the margin or more' (non-inferiority)."""


class RankCutRow(FullDifference):
    """The adapter of the first training seed cut to a smaller rank by SVD, without further training."""

    arm: str
    rank: int
    energy: float
    """Share of the energy that is kept."""
    score: float
    """By the primary metric."""
    trainable_parameters: int
    adapter_bytes: int
    """In proportion to the rank."""


class RankUse(TypedDict):
    """How much of its rank the adapter of a cell uses; exploratory."""

    rank: int
    margin: float
    full_score: float
    """Of the whole adapter of the first training seed, which is cut."""
    trainable_parameters: int
    adapter_bytes: int
    spectra: list[SpectrumRow]
    """One for each training seed."""
    cuts: list[RankCutRow]
    smallest: int | None
    """The smallest cut from which all are shown not to be worse by the margin; null where there is none, or no cut. Tested from the
    largest cut down to the first that fails, which keeps the level without correction (fixed sequence)."""
    why: str
    """Why cuts cannot be compared; empty where they can, or there are none."""
