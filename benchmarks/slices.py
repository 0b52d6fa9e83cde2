"""Counts how often tests of slices are wrong, and how often they find what is planted; writes benchmarks/results/slices.json.

Run: python -m benchmarks.slices. `difference` draws data sets on which the lift in a slice is that on the rest, and counts p <= 0.05 of our
test (`measures/rest_test.py`), of its two parts and of a permutation test that does not studentize, and how often our interval holds 0.
`bands` draws fine-tunes that help short prompts and hurt long ones, and counts by the number of bands how often a slice is said to be below
the base, or below the rest, Holm-corrected over all slices of a report that has three labels and four values of a column besides.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import machine
from pipeline.measures import rest_test, slice_verdicts, slices
from pipeline.measures.slices import Part, Sample
from pipeline.scoring.scoring import Settings
from pipeline.scoring.stats import TIE
from pipeline.store.slice_types import Slicing, SlicingScores

Array = NDArray[np.float64]
RESULTS = Path(__file__).parent / "results" / "slices.json"
SETTINGS = Settings("slices", ("accuracy",), resamples=400)
BAND_SETTINGS = replace(SETTINGS, resamples=2000)
"""Holm multiplies p by the number of tests."""
LEVEL = 0.05
BANDS = (2, 3, 4, 5, 8)
EXAMPLES = 400
OTHERS = (3, 4)
"""Slices by label and by a column, which mean nothing."""


@dataclass(frozen=True)
class DataSet:
    """Fine-tuned minus base of single examples, which of them are in the slice, and their groups."""

    changes: Array
    """(seeds, n)."""
    inside: NDArray[np.bool_]
    groups: NDArray[np.int64]

    def sample(self, settings: Settings = SETTINGS) -> Sample:
        values = np.concatenate([np.zeros_like(self.changes[:1]), self.changes])
        return Sample(np.stack([values, np.ones_like(values)], axis=-1), mean, self.groups, False, settings)


def mean(sums: Array) -> Array:
    means: Array = sums[..., 0] / sums[..., 1]
    return means


def flips(rng: np.random.Generator, n: int, lift: float | Array, discordance: float) -> Array:
    """Changes of right or wrong answers with this true lift, of which this share changes."""
    level = rng.random(n)
    return (level < (discordance + lift) / 2).astype(float) - (level > 1 - (discordance - lift) / 2)


def two_parts(rng: np.random.Generator, sizes: tuple[int, int], lift: float, discordances: tuple[float, float]) -> DataSet:
    parts = [flips(rng, n, lift, discordance) for n, discordance in zip(sizes, discordances, strict=True)]
    n = sum(sizes)
    return DataSet(np.concatenate(parts)[None], np.arange(n) < sizes[0], np.arange(n))


def documents(rng: np.random.Generator, is_shared: bool) -> DataSet:
    """60 documents of four examples, each on one side or on both."""
    groups = np.repeat(np.arange(60), 4)
    changes = np.clip(rng.normal(0, 0.5, 60)[groups] + rng.normal(0, 0.4, 240), -1, 1)
    return DataSet(changes[None], rng.random(240) < 0.4 if is_shared else (rng.random(60) < 0.4)[groups], groups)


def seeds(rng: np.random.Generator, count: int, spread: float) -> DataSet:
    """Training seeds whose true effects differ, and in the slice once more by `spread`."""
    inside = np.arange(300) < 100
    own = rng.normal(0, 0.3, (count, 300)) + rng.normal(0, 0.1, (count, 1)) + rng.normal(0, spread, (count, 1)) * inside
    return DataSet(np.clip(rng.normal(0, 0.3, 300) + own, -1, 1), inside, np.arange(300))


NULLS: dict[str, Callable[[np.random.Generator], DataSet]] = {
    "20 of 500, 10 % of answers change": partial(two_parts, sizes=(20, 480), lift=0.1, discordances=(0.1, 0.1)),
    "30 of 300, 20 % change": partial(two_parts, sizes=(30, 270), lift=0.05, discordances=(0.2, 0.2)),
    "100 of 400, 30 % change": partial(two_parts, sizes=(100, 300), lift=0.1, discordances=(0.3, 0.3)),
    "30 of 500, 50 % change and 5 % on the rest": partial(two_parts, sizes=(30, 470), lift=0.0, discordances=(0.5, 0.05)),
    "30 of 500, 5 % change and 50 % on the rest": partial(two_parts, sizes=(30, 470), lift=0.0, discordances=(0.05, 0.5)),
    "100 of 500, 50 % change and 10 % on the rest": partial(two_parts, sizes=(100, 400), lift=0.0, discordances=(0.5, 0.1)),
    "60 documents, each on one side": partial(documents, is_shared=False),
    "60 documents, on both sides": partial(documents, is_shared=True),
    "3 seeds, alike on the slice": partial(seeds, count=3, spread=0.0),
    "3 seeds, different on the slice": partial(seeds, count=3, spread=0.1),
    "2 seeds, different on the slice": partial(seeds, count=2, spread=0.1),
}


def unstudentized_p(rng: np.random.Generator, part: Part, rest: Part) -> float:
    """Of permutations of the plain difference of means."""
    shares, count, draws = np.concatenate([part.shares, rest.shares]), len(part.shares), SETTINGS.resamples
    sums = rng.permuted(np.repeat((np.arange(len(shares)) < count)[None].astype(float), draws, axis=0), axis=1) @ shares
    gaps = np.abs(sums / count - (shares.sum() - sums) / (len(shares) - count))
    return float(((gaps >= abs(part.shares.mean() - rest.shares.mean()) - TIE).sum() + 1) / (draws + 1))


def difference(name: str, data_sets: int) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    wrong = dict.fromkeys(("ours", "permutation", "welch", "not studentized"), 0)
    covered = 0
    for _ in range(data_sets):
        one = NULLS[name](rng)
        part, rest = one.sample().part(one.inside), one.sample().part(~one.inside)
        row = slices.from_rest(part, rest, SETTINGS)
        covered += row["low"] <= 0 <= row["high"]
        _, inside, outside = np.intersect1d(part.groups, rest.groups, return_indices=True)
        units = rest_test.Units.of(part.shares, rest.shares, inside, outside)
        statistic = abs(float(units.statistic(*units.as_they_are())[0]))
        p_values = {
            "ours": row["p"],
            "permutation": rest_test.permutation_p(units, statistic, SETTINGS.resamples, SETTINGS.seed),
            "welch": rest_test.welch_p(part.shares, rest.shares, statistic),
            "not studentized": unstudentized_p(rng, part, rest),
        }
        wrong = {test: count + (p_values[test] <= LEVEL) for test, count in wrong.items()}
    return {"null": name, "coverage": covered / data_sets, "wrong": {test: count / data_sets for test, count in wrong.items()}}


def slicing_of(index: NDArray[np.int64], sample: Sample) -> SlicingScores:
    names = [{"label": str(number), "lowest": None, "highest": None} for number in range(int(index.max()) + 1)]
    entry: Any = {"by": "c", "kind": "column", "why": None, "remedy": "", "slices": names, "of_example": {}}
    slicing: Slicing = entry
    return slices.slicing_scores(slicing, index, sample, "accuracy")


PLANTED: dict[str, Callable[[Array], Array]] = {
    "from +20 to -20 points": lambda length: 0.2 - 0.4 * length,
    "+10 points, -20 on the longest fifth": lambda length: np.where(length > 0.8, -0.2, 0.1),
}
"""The true lift by the rank of a prompt's length in 0..1."""


def bands(name: str, data_sets: int) -> dict[str, Any]:
    rng = np.random.default_rng(8)
    below: dict[int, list[int]] = {count: [0, 0] for count in BANDS}
    length = np.arange(EXAMPLES) / EXAMPLES
    for _ in range(data_sets):
        data = DataSet(flips(rng, EXAMPLES, PLANTED[name](length), 0.3)[None], length > 1, np.arange(EXAMPLES)).sample(BAND_SETTINGS)
        others = [slicing_of(rng.integers(count, size=EXAMPLES), data) for count in OTHERS]
        for count in BANDS:
            cells = {"c": [slicing_of((length * count).astype(np.int64), data), *others]}
            rows = slice_verdicts.judge(cells, {"c": "c"}, 1 - LEVEL, "holm", is_final=True)["c"][0]["slices"]
            below[count][0] += any(row["verdict"] == "below base" for row in rows)
            below[count][1] += any(row["rest"] is not None and row["rest"]["verdict"] == "below the rest" for row in rows)
    shares = {count: {"below base": one / data_sets, "below the rest": two / data_sets} for count, (one, two) in below.items()}
    return {"planted": name, "n": EXAMPLES, "bands": shares}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=2000, help="of each null; a twentieth of them of each number of bands")
    parser.add_argument("--out", type=Path, default=RESULTS.parent, help="folder of the results")
    args = parser.parse_args(words)
    results: dict[str, Any] = {"data_sets": args.data_sets, "level": LEVEL, "resamples": SETTINGS.resamples}
    results["difference"] = [difference(name, args.data_sets) for name in NULLS]
    results["bands"] = [bands(name, max(1, args.data_sets // 20)) for name in PLANTED]
    path = args.out / RESULTS.name
    path.write_text(json.dumps({**machine.environment(), "results": results}, indent=1, sort_keys=True) + "\n", "utf-8")
    print(path)


if __name__ == "__main__":
    main()
