"""evalstats: the interval of `pairwise_differences` by the method that its table picks for the scores; a verdict where it excludes zero."""

import numpy as np

from benchmarks.peers.exchange import Array, Verdicts, by_sign, decide_cells


def decide(base: Array, tuned: Array) -> Verdicts:
    from evalstats.config import resolve_auto_analyze_methods
    from evalstats.core import paired

    paired._p_value_by_inversion = lambda _: float("nan")  # sixty intervals for a p that nobody reads here
    seeds = tuned.shape[1]
    kind = "binary" if np.isin(tuned, (0.0, 1.0)).all() else "bounded_01"
    method, _ = resolve_auto_analyze_methods(kind, base.shape[1], seeded=seeds > 2)
    words = []
    for before, after in zip(base, tuned, strict=True):
        scores = np.stack([after.T, np.repeat(before[:, None], seeds, axis=1)]) if seeds > 1 else np.stack([after[0], before])
        interval = paired.pairwise_differences(scores, 0, 1, method=method, score_range=(0.0, 1.0))
        words.append(by_sign(interval.ci_low > 0 or interval.ci_high < 0, interval.point_diff))
    return {"evalstats": words}


if __name__ == "__main__":
    decide_cells("evalstats", "evalstats", decide)
