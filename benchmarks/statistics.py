"""Times the statistics of a large comparison; writes benchmarks/results/statistics-cpu.json.

Run: python -m benchmarks.statistics. 31 tasks, 5,000 held-out examples each, six arms (base, tuned, constrained, few-shot and two
more), a graded mean metric and a micro F1 a task, 10,000 bootstrap resamples and 10,000 random swaps. Of every metric: the lift of
tuned over base, of tuned over each other arm and of each other arm over base, with BCa intervals and p, the decomposition, and the
intervals of all scores. The answers are drawn beforehand; only the statistics are timed. Peak memory is of the whole process.
"""

import json
import resource
import time
from pathlib import Path

import numpy as np

from pipeline import machine
from pipeline.measures.decompose import decompose
from pipeline.metrics.base import ratio
from pipeline.scoring import stats

TASKS, EXAMPLES, RESAMPLES = 31, 5_000, 10_000
NAMES = ["base", "tuned", "base_constrained", "base_fewshot", "base_bf16", "constant"]


def mean(sums: stats.Array) -> stats.Array:
    return ratio(sums[..., 0], sums[..., 1])


def micro_f1(sums: stats.Array) -> stats.Array:
    return ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2], otherwise=1.0)


def answers(chance: np.random.Generator) -> list[stats.Arms]:
    """Both metrics of a task; every arm is a little better than the one before it, and tuned the best."""
    rates = np.array([0.40, 0.60, 0.45, 0.50, 0.41, 0.30])[:, None]
    graded = np.clip(rates + 0.3 * chance.normal(size=(len(NAMES), EXAMPLES)), 0, 1)
    gold = chance.integers(0, 6, EXAMPLES)
    predicted = chance.integers(0, 6, (len(NAMES), EXAMPLES))
    hits = chance.binomial(np.minimum(gold, predicted), rates)
    counts = np.stack([hits, predicted, np.broadcast_to(gold, predicted.shape)], axis=-1)
    return [stats.stack(np.stack([graded, np.ones_like(graded)], axis=-1), mean), stats.stack(counts, micro_f1)]


def compute_statistics(metrics: list[stats.Arms], seed: int) -> int:
    """Compute every figure of one task; returns the number of differences."""
    samples = stats.resample(metrics, RESAMPLES, seed)
    count = 0
    for resampled in samples:
        others = range(2, len(NAMES))
        pairs = [(stats.TUNED, stats.BASE), *((stats.TUNED, place) for place in others), *((place, stats.BASE) for place in others)]
        count += len([resampled.difference(one, other) for one, other in pairs])
        for place in range(len(NAMES)):
            resampled.score_interval(place)
    decompose(NAMES, {str(number): resampled for number, resampled in enumerate(samples)})
    return count


def main() -> None:
    chance = np.random.default_rng(0)
    seconds = cpu = 0.0
    differences = 0
    for task in range(TASKS):
        metrics = answers(chance)
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        differences += compute_statistics(metrics, task)
        seconds += time.perf_counter() - wall_start
        cpu += time.process_time() - cpu_start
        print(f"{task + 1} of {TASKS} tasks: {seconds:.1f} s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    setup = {"tasks": TASKS, "examples": EXAMPLES, "resamples": RESAMPLES, "arms": len(NAMES), "metrics": 2, "differences": differences}
    results = setup | {"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "peak_gib": round(peak, 3)}
    path = Path(__file__).parent / "results" / "statistics-cpu.json"
    path.write_text(json.dumps({**machine.environment(), "results": results}, indent=1, sort_keys=True) + "\n", "utf-8")
    print(json.dumps(results, indent=1))
    print(path)


if __name__ == "__main__":
    main()
