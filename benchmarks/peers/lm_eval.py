"""lm-evaluation-harness: the z-test of two means of its scripts/model_comparator.py, on the standard errors that `mean_stderr` gives."""

import numpy as np
from scipy.stats import norm

from benchmarks.peers.exchange import Array, Verdicts, by_sign, decide_cells, skip_init

LEVEL = 0.05


def standard_errors(scores: Array) -> Array:
    """`mean_stderr` of each row, all at once; the first one is computed by it to be sure."""
    from lm_eval.api.metrics import mean_stderr

    errors: Array = scores.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])
    assert abs(errors[0] - mean_stderr(scores[0].tolist())) < 1e-12
    return errors


def decide(base: Array, tuned: Array) -> Verdicts:
    after = tuned.mean(axis=1)
    difference = after.mean(axis=1) - base.mean(axis=1)
    z = difference / np.sqrt(standard_errors(base) ** 2 + standard_errors(after) ** 2)
    return {"lm-eval": [by_sign(p < LEVEL, gain) for p, gain in zip(2 * norm.sf(np.abs(z)), difference, strict=True)]}


if __name__ == "__main__":
    skip_init("lm_eval", "lm_eval.api")
    decide_cells("lm_eval", "lm_eval", decide)
