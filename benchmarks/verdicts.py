"""Counts how often verdicts are wrong, and how often they find what is there, beside other tools; writes benchmarks/results/verdicts.json.

Run: python -m benchmarks.verdicts [--kind NAME ...] [--peer NAME=PYTHON ...]. For each kind of scores, size of test set and true effect it
draws 1,000 data sets, and has each tool decide on all of them. Ours are the functions of a report: `stats.resample`, its differences,
`equivalence.tost` and `verdict.decide`; 2,000 resamples instead of 10,000. Twenty data sets share their resampling weights, as the metrics
of one task do, which changes no distribution. A peer is a script of benchmarks/peers that runs on a Python of its own, which has that tool;
data sets and verdicts are exchanged as files. Without --peer, what peers decided in the last run stays in the results. The numbers do not
depend on the machine.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import machine
from pipeline.measures import equivalence
from pipeline.metrics.base import ratio
from pipeline.scoring import stats, verdict
from pipeline.store.figure_types import Equivalence

Array = NDArray[np.float64]
RESULTS = Path(__file__).parent / "results" / "verdicts.json"
PEERS = Path(__file__).parent / "peers"
OURS, IN_REPORT = "loralift", "in a report"
OURS_WITH_MARGIN = "loralift, same within 2 points"
"""With `compare.same_within`: `same` goes before the other words."""
CONFIDENCE = 0.95
DATA_SETS, RESAMPLES, SHARING = 1000, 2000, 20
SIZES = (100, 300, 1000, 5000)
QUESTIONS = 4
"""Of one document, in clustered data sets."""
SEEDS = 3
RUN_SD = 0.01
"""Standard deviation of the true effects of training runs, where they differ."""
REPORT = 10
"""Tasks of a report, which is wrong if a verdict on one of its tasks is."""
MARGIN = 0.02
"""Of `same`: the recipe's default."""
WORDS = ("improved", "worse", "same", "inconclusive")


@dataclass(frozen=True)
class Effect:
    name: str
    gain: float
    flips: float = 1.0
    """Share of the usual number of answers that change for no reason."""


EFFECTS = (
    Effect("equal", 0.0),
    Effect("+2 points", 0.02),
    Effect("+5 points", 0.05),
    Effect("+11 points", 0.11),
    Effect("within 1 point", 0.005, flips=0.2),
)


@dataclass(frozen=True)
class DataSets:
    """Scores of both arms on many simulated data sets."""

    base: Array
    """(data sets, n)."""
    tuned: Array
    """(data sets, seeds, n)."""
    groups: NDArray[np.int64]
    """Group of each example (n,)."""


def right_or_wrong(rng: np.random.Generator, fixed: Array, broken: Array) -> tuple[Array, Array]:
    """0/1 scores of two arms whose answers to an example differ with these probabilities; of the others 60 % are right."""
    chance = rng.random(fixed.shape)
    both = rng.random(fixed.shape) < 0.6
    is_fixed, is_broken = chance < fixed, chance > 1 - broken
    return np.where(is_fixed, 0.0, np.where(is_broken, 1.0, both)), np.where(is_fixed, 1.0, np.where(is_broken, 0.0, both))


def zero_one(rng: np.random.Generator, shape: tuple[int, int], effect: Effect) -> DataSets:
    """6 % of the answers change for no reason in either direction."""
    broken = np.full(shape, 0.06 * effect.flips)
    base, tuned = right_or_wrong(rng, broken + effect.gain, broken)
    return DataSets(base, tuned[:, None], np.arange(shape[1]))


def graded(rng: np.random.Generator, shape: tuple[int, int], effect: Effect) -> DataSets:
    """Scores of a Beta distribution; half of the answers change, and with them their scores."""
    changed = 0.5 * effect.flips
    mean = 0.5 + effect.gain / changed
    base = rng.beta(2, 2, shape)
    other = rng.beta(4 * mean, 4 * (1 - mean), shape)
    return DataSets(base, np.where(rng.random(shape) < changed, other, base)[:, None], np.arange(shape[1]))


def clustered(rng: np.random.Generator, shape: tuple[int, int], effect: Effect) -> DataSets:
    """0/1 scores of four questions to a document; half of the documents gain 30 points and half lose as many."""
    documents = rng.choice([-0.15, 0.15], (shape[0], shape[1] // QUESTIONS)) * effect.flips
    shift = np.repeat(documents, QUESTIONS, axis=1)
    base, tuned = right_or_wrong(rng, 0.2 * effect.flips + effect.gain + shift, 0.2 * effect.flips - shift)
    return DataSets(base, tuned[:, None], np.arange(shape[1]) // QUESTIONS)


def seeds(rng: np.random.Generator, shape: tuple[int, int], effect: Effect, run_sd: float = 0.0) -> DataSets:
    """0/1 scores of three training runs; they share half of what changes for no reason."""
    flips = 0.08 * effect.flips
    gains = effect.gain + run_sd * rng.normal(size=(shape[0], SEEDS, 1))
    base = rng.random(shape) < 0.6
    common = rng.random(shape)
    chance = np.where(rng.random((shape[0], SEEDS, shape[1])) < 0.5, common[:, None], rng.random((shape[0], SEEDS, shape[1])))
    fixed, broken = (flips + np.maximum(gains, 0)) / 0.4, (flips + np.maximum(-gains, 0)) / 0.6
    tuned = np.where(base[:, None], chance >= broken, chance < fixed)
    return DataSets(base.astype(float), tuned.astype(float), np.arange(shape[1]))


def seeds_apart(rng: np.random.Generator, shape: tuple[int, int], effect: Effect) -> DataSets:
    """The same, and the true effects of the runs differ with a standard deviation of 1 point."""
    return seeds(rng, shape, effect, RUN_SD)


KINDS = {"0/1": zero_one, "graded": graded, "clustered": clustered, "3 seeds": seeds, "3 seeds apart": seeds_apart}


@dataclass(frozen=True)
class Cell:
    kind: str
    n: int
    effect: Effect

    @property
    def file(self) -> str:
        return f"{self.kind}-{self.n}-{self.effect.name}".replace("/", "").replace(" ", "_")

    def draw(self, data_sets: int) -> DataSets:
        seed = [list(KINDS).index(self.kind), self.n, EFFECTS.index(self.effect)]
        return KINDS[self.kind](np.random.default_rng(seed), (data_sets, self.n), self.effect)


CELLS = [Cell(*names) for names in product(KINDS, SIZES, EFFECTS)]


def mean(sums: stats.Array) -> stats.Array:
    return ratio(sums[..., 0], sums[..., 1])


def arms_of(data: DataSets, number: int, is_zero_one: bool) -> stats.Arms:
    """One data set as `compare` stacks it."""
    scores = np.concatenate([data.base[number][None], data.tuned[number]])
    rows = stats.stack(np.stack([scores, np.ones_like(scores)], axis=-1), mean, data.groups, data.tuned.shape[1])
    return stats.Arms(rows.sums, mean, rows.seeds, right_or_wrong=is_zero_one and rows.groups == scores.shape[1])


def differences(data: DataSets, is_zero_one: bool) -> Iterator[tuple[stats.Difference, Equivalence]]:
    """Fine-tuned minus base of every data set, and its test for being the same within MARGIN."""
    for start in range(0, len(data.base), SHARING):
        batch = [arms_of(data, number, is_zero_one) for number in range(start, min(start + SHARING, len(data.base)))]
        for resampled in stats.resample(batch, RESAMPLES, seed=start, confidence=CONFIDENCE):
            yield resampled.difference(stats.TUNED, stats.BASE), equivalence.tost(resampled, stats.TUNED, stats.BASE, MARGIN)


def in_report(ps: list[float], paired: list[stats.Difference]) -> list[str]:
    """Our verdicts where every REPORT data sets are the tasks of one report, and so one family."""
    words: list[str] = []
    for start in range(0, len(ps), REPORT):
        adjusted = verdict.adjust(ps[start : start + REPORT], "holm")
        family = zip(adjusted, paired[start : start + REPORT], strict=True)
        words += [str(verdict.decide(p, difference.low, difference.high, CONFIDENCE)) for p, difference in family]
    return words


def ours(cell: Cell, data: DataSets) -> dict[str, list[str]]:
    """Our verdict on every data set: as the only claim of a report, without a margin and with one, and as one of REPORT claims."""
    tested = list(differences(data, is_zero_one=cell.kind != "graded"))
    paired = [difference for difference, _ in tested]
    ps = [difference.p for difference in paired]
    alone = [str(verdict.decide(difference.p, difference.low, difference.high, CONFIDENCE)) for difference in paired]
    with_margin = ["same" if is_same(within) else word for word, (_, within) in zip(alone, tested, strict=True)]
    return {OURS: alone, OURS_WITH_MARGIN: with_margin, IN_REPORT: in_report(ps, paired)}


def is_same(within: Equivalence) -> bool:
    """As `claims.verdict_of` has it."""
    return within["p"] <= 1 - CONFIDENCE and max(-within["low"], within["high"]) < MARGIN


def is_false(word: str, effect: Effect) -> bool:
    """Whether a verdict is wrong: a direction that is not the true one, or `same` though the effect is the margin or more."""
    if word == "same":
        return abs(effect.gain) >= MARGIN
    return word in ("improved", "worse") and (word == "worse" if effect.gain > 0 else True)


def shares(words: list[str]) -> dict[str, float]:
    return {word: round(words.count(word) / len(words), 4) for word in WORDS}


def false_reports(words: list[str], effect: Effect) -> float:
    """The share of reports of REPORT tasks with a false verdict on one of them or more."""
    wrong = np.array([is_false(word, effect) for word in words]).reshape(-1, REPORT)
    return float(wrong.any(axis=1).mean())


def row(cell: Cell, words: Mapping[str, list[str]]) -> dict[str, Any]:
    """One cell of the results: by tool the share of each verdict, and of data sets with equal arms the false reports."""
    own = (OURS, OURS_WITH_MARGIN, IN_REPORT)
    in_reports = {OURS: words[IN_REPORT]} | {tool: listed for tool, listed in words.items() if tool not in own}
    reports = {tool: false_reports(listed, cell.effect) for tool, listed in in_reports.items()} if cell.effect.gain == 0 else {}
    alone = {tool: shares(listed) for tool, listed in words.items() if tool != IN_REPORT}
    return {"kind": cell.kind, "n": cell.n, "effect": cell.effect.name, "gain": cell.effect.gain, "tools": alone, "false_reports": reports}


def ask(peer: str, python: str, folder: Path) -> dict[str, Any]:
    """A peer's verdicts on the data sets of a folder, by a script that runs on its Python."""
    root = Path(__file__).parents[1]
    subprocess.run([python, "-m", f"benchmarks.peers.{peer}", str(folder)], cwd=root, check=True)
    answer: dict[str, Any] = json.loads((folder / f"{peer}.json").read_text("utf-8"))
    return answer


def merge(earlier: dict[str, Any], rows: list[dict[str, Any]], answered: list[str]) -> None:
    """Add to new rows what tools that did not answer this time decided in the last run."""
    before = {(row["kind"], row["n"], row["effect"]): row for row in earlier.get("cells", [])}
    for new in rows:
        old = before.get((new["kind"], new["n"], new["effect"]), {"tools": {}, "false_reports": {}})
        for part in ("tools", "false_reports"):
            new[part] = {tool: value for tool, value in old[part].items() if tool not in answered} | new[part]


def with_others(rows: list[dict[str, Any]], earlier: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """New rows and those of the last run that have no new one, in the order of CELLS."""
    by_cell = {(row["kind"], row["n"], row["effect"]): row for row in [*earlier, *rows]}
    return [by_cell[key] for cell in CELLS if (key := (cell.kind, cell.n, cell.effect.name)) in by_cell]


def run(cells: Sequence[Cell], data_sets: int, peers: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """The results: draws the data sets, decides on them, and asks the peers."""
    words: dict[str, dict[str, list[str]]] = {}
    start = time.process_time()
    for cell in cells:
        data = cell.draw(data_sets)
        words[cell.file] = ours(cell, data)
        if peers:
            np.savez(folder / cell.file, base=data.base.astype(np.float32), tuned=data.tuned.astype(np.float32), groups=data.groups)
        print(f"{cell.file}: {time.process_time() - start:.0f} s", flush=True)
    seconds = time.process_time() - start
    packages = {}
    for peer, python in peers.items():
        answer = ask(peer, python, folder)
        packages[answer["package"]] = answer["version"]
        for name, decided in answer["cells"].items():
            words[name] |= decided
    return {
        "data_sets": data_sets,
        "resamples": RESAMPLES,
        "level": 1 - CONFIDENCE,
        "margin": MARGIN,
        "peers": packages,
        "cpu_seconds": round(seconds),
        "cells": [row(cell, words[cell.file]) for cell in cells],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kind", action="append", choices=KINDS, help="these scores only; the others keep their last verdicts")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON", help="a script of benchmarks/peers and its Python")
    parser.add_argument("--data-sets", type=int, default=DATA_SETS, help=f"of each cell; a multiple of {REPORT}")
    parser.add_argument("--out", type=Path, default=RESULTS.parent, help="folder of the results")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    stats.CHUNK_WEIGHTS, stats.MAX_PRODUCT = 2**21, 2**34  # one thread, and hundreds of data sets in a product
    path = args.out / RESULTS.name
    earlier = json.loads(path.read_text("utf-8"))["results"] if path.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        cells = [cell for cell in CELLS if cell.kind in (args.kind or KINDS)]
        results = run(cells, args.data_sets, dict(peer.split("=", 1) for peer in args.peer), Path(folder))
    merge(earlier, results["cells"], [tool for row in results["cells"] for tool in row["tools"]])
    results["cells"] = with_others(results["cells"], earlier.get("cells", []))
    results["peers"] = earlier.get("peers", {}) | results["peers"]
    path.write_text(json.dumps({**machine.environment(), "results": results}, indent=1, sort_keys=True) + "\n", "utf-8")
    print(path)


if __name__ == "__main__":
    main()
