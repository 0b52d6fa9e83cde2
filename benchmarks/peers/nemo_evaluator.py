"""nemo-evaluator: the verdict of `nel compare` (`compare_results`), with its defaults.

It asks one question, whether the candidate is worse, at 5 %. `nel compare` here calls a data set worse where it says BLOCK or WARN of the
fine-tuned model, improved where it says so with the arms exchanged, same where both say PASS, and inconclusive else: each direction at
5 %, as it is used. `nel compare, 2.5 %` is the same at half the level, so that both directions together have 5 %.

`compare_results` itself takes a second for a data set of graded scores; its parts are called instead, with the permutations of its fixed
seed drawn once, and the first data sets of a cell are given to it whole to be sure.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from benchmarks.peers.exchange import Array, Verdicts, decide_cells, skip_init

PERMUTATIONS, SEED = 10_000, 42
"""Defaults of its `permutation_test`."""
TIE = 1e-9


@cache
def signs(n: int) -> Array:
    return np.random.default_rng(SEED).choice([-1, 1], size=(PERMUTATIONS, n)).astype(np.float32).astype(float)


def permutation_ps(losses: Array) -> Array:
    """p of its one-sided permutation test for each row of losses (data sets, n)."""
    means = np.vstack([part @ losses.T for part in np.array_split(signs(losses.shape[1]), 20)])
    p: Array = ((means >= losses.sum(axis=1) - TIE).sum(axis=0) + 1) / (PERMUTATIONS + 1)
    return p


def flips(before: Array, after: Array) -> Any:
    from nemo_evaluator.engine import comparison

    right, still = before > 0, after > 0
    table = {
        "both_correct": int((right & still).sum()),
        "baseline_only_correct": int((right & ~still).sum()),
        "candidate_only_correct": int((~right & still).sum()),
        "both_wrong": int((~right & ~still).sum()),
    }
    counts = {"n_paired": len(before), "n_regressions": table["baseline_only_correct"], "n_improvements": table["candidate_only_correct"]}
    return comparison.FlipReport(contingency=table, summary=comparison.FlipSummary(**counts))


def verdict(before: Array, after: Array, p: float | None, alpha: float) -> str:
    """What `compare_results` says of one data set.

    Args:
        p: of the permutation test; None of 0/1 scores.
    """
    from nemo_evaluator.engine import comparison
    from nemo_evaluator.metrics import paired_tests

    report = comparison.RegressionReport(flip_report=flips(before, after), test_used="mcnemar" if p is None else "permutation")
    if p is None:
        report.mcnemar = paired_tests.mcnemar_test(report.flip_report.contingency, len(before), alpha=alpha)
    else:
        losses = before - after
        effect = float(losses.mean() / losses.std(ddof=1))
        report.permutation_result = paired_tests.PermutationResult(p_value=p, significant=p < alpha, effect_size=effect)
    word, _ = comparison._compute_verdict(report, comparison._MIN_EFFECT_SIZE)
    return str(word)


def check(before: Array, after: Array, alpha: float, word: str) -> None:
    from nemo_evaluator.engine import comparison

    records = [{(index, 0): {"reward": float(score)} for index, score in enumerate(scores)} for scores in (before, after)]
    assert comparison.compare_results(*records, alpha=alpha)["verdict"] == word


def one_direction(before: Array, after: Array, levels: Iterable[float]) -> list[list[str]]:
    """By level, whether the fine-tuned model is worse."""
    is_binary = bool(np.isin(np.concatenate([before, after]), (0.0, 1.0)).all())
    ps = [None] * len(before) if is_binary else permutation_ps(before - after).tolist()
    by_level = [[verdict(*rows, alpha) for rows in zip(before, after, ps, strict=True)] for alpha in levels]
    check(before[0], after[0], next(iter(levels)), by_level[0][0])
    return by_level


def both(worse: str, improved: str) -> str:
    flagged = ("BLOCK", "WARN")
    if worse in flagged or improved in flagged:
        return "worse" if worse in flagged else "improved"
    return "same" if worse == improved == "PASS" else "inconclusive"


def decide(base: Array, tuned: Array) -> Verdicts:
    after = tuned.mean(axis=1)
    levels = {"nel compare": 0.05, "nel compare, 2.5 %": 0.025}
    directions = one_direction(base, after, levels.values()), one_direction(after, base, levels.values())
    by_level = zip(levels, *directions, strict=True)
    return {name: [both(*words) for words in zip(worse, improved, strict=True)] for name, worse, improved in by_level}


if __name__ == "__main__":
    skip_init("nemo_evaluator", "nemo_evaluator.engine", "nemo_evaluator.metrics")
    decide_cells("nemo_evaluator", "nemo-evaluator", decide)
