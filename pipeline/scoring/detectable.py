"""Computes minimum detectable effects: the smallest true difference that a test shows with a given power, after a run and before it."""

from math import ceil, sqrt
from statistics import NormalDist

from pipeline.scoring.seed_variance import SeedVariance


def smallest_effect(standard_error: float, confidence: float = 0.95, power: float = 0.8) -> float:
    """Smallest true lift that a two-sided test at this confidence detects with this power: (z_{1-a/2} + z_power) * SE."""
    normal = NormalDist()
    return (normal.inv_cdf((1 + confidence) / 2) + normal.inv_cdf(power)) * standard_error


def planned_effect(n: int, discordance: float, confidence: float = 0.95, power: float = 0.8, seeds: int = 1) -> float:
    """The same before a run, for answers that are right or wrong: 2.80 * sqrt(d / n) with the defaults.

    `discordance` d is the share of the n examples that one arm gets right and the other wrong. The lift is at most d,
    so that a small d cannot promise more than 2.80^2 / n, the lift that is visible when it equals d. Several seeds: see
    `SeedVariance.planned`.
    """
    floor = smallest_effect(1.0, confidence, power) ** 2 / n
    return max(planned_factor(confidence, power, seeds) * sqrt(discordance / n), floor)


def needed_examples(lift: float, discordance: float, confidence: float = 0.95, power: float = 0.8, seeds: int = 1) -> int:
    """The smallest n whose `planned_effect` is no more than `lift`, which is above 0."""
    floor = smallest_effect(1.0, confidence, power) ** 2 / lift
    return ceil(max(planned_factor(confidence, power, seeds) ** 2 * discordance / lift**2, floor))


def planned_factor(confidence: float, power: float, seeds: int) -> float:
    """The minimum detectable effect in units of sqrt(d / n)."""
    return smallest_effect(1.0, confidence, power) if seeds == 1 else SeedVariance.planned(seeds).smallest_effect(confidence, power)
