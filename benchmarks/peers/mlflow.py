"""MLflow: `assert_improved` of `compare_evaluations`, which goes by p alone: McNemar's test of 0/1 scores, else Wilcoxon's signed ranks.

Its bootstrap interval takes seconds for each data set and is not consulted there; it is not computed here.
"""

import numpy as np

from benchmarks.peers.exchange import Array, Verdicts, by_sign, decide_cells, skip_init

LEVEL = 0.05


def decide(base: Array, tuned: Array) -> Verdicts:
    from mlflow.genai.evaluation.comparison.significance_tests import _mcnemar, _wilcoxon

    after = tuned.mean(axis=1)
    test = _mcnemar if np.isin(np.concatenate([base, after]), (0.0, 1.0)).all() else _wilcoxon
    differences = after - base
    return {"mlflow": [by_sign(test(row)[1] < LEVEL, row.mean()) for row in differences]}


if __name__ == "__main__":
    skip_init("mlflow", "mlflow.genai", "mlflow.genai.evaluation", "mlflow.genai.evaluation.comparison")
    decide_cells("mlflow", "mlflow", decide)
