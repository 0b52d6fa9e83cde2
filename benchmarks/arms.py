"""Times the arms of the tour against base and tuned alone; writes benchmarks/results/arms-<device>.json.

Run: python -m benchmarks.arms [--store FOLDER] [--rounds 3] [--out FOLDER] [KEY=VALUE ...]. Both are the tour's recipe with other
compare.arms: what it measures of arms (general, relevance, speed) stays. Every run is a process of its own on a fresh store that holds
the prepared examples and the adapters and no answer; runs take turns (A B B A ...). Adapters are taken from --store, where those that
it lacks are trained; without it they are trained first, for a store that is gone at the end.

Three ratios, since 'cost' can be read in three ways: of the answers that the arms give; of the whole comparison with what the recipe
measures in both; and, the strictest, of the whole comparison of the default arms over the answers of base and tuned.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pipeline import machine
from pipeline.commands import call as calls
from pipeline.machine import Machine
from pipeline.planning.job import Job
from pipeline.resources import shipped
from pipeline.store import input_names
from pipeline.store.artifact import Artifact

HERE = Path(__file__).parent
RECIPE = shipped("recipes/tour.yaml")
RUNS = {"base and tuned": "compare.arms=[base, tuned]", "default arms": "compare.arms=null"}
GIVEN = {"prepare", "finetune"}
"""Stages that are made beforehand and not timed."""


def answering(jobs: list[Job]) -> set[Job]:
    """The jobs that generate the arms' predictions of the held-out examples, without those of general tasks."""
    inputs = [pair for job in jobs if job.stage == "compare" for pair in job.inputs]
    return {source for name, source in inputs if source.stage == "generate" and not input_names.parse(name).suite}


def compared(words: list[str], root: Path) -> dict[str, Any]:
    """Run a comparison in this process; seconds of its jobs, by stage.

    Raises:
        RuntimeError: the store lacks examples or adapters, or holds answers.
    """
    call = calls.parse_call(words, root, Machine())
    wrong = [job for job in call.jobs if (calls.find_artifact(call, job) is not None) != (job.stage in GIVEN)]
    if wrong:
        raise RuntimeError(f"{root}: {wrong[0].stage} {wrong[0].label} should {'' if wrong[0].stage in GIVEN else 'not '}be there")
    artifacts = calls.carry_out(call, {"report"})
    spent: dict[str, float] = {}
    for job, artifact in artifacts.items():
        if job.stage not in GIVEN:
            spent[job.stage] = spent.get(job.stage, 0.0) + artifact.provenance["seconds"]
    arms = answering(call.jobs)
    answering_seconds = sum(artifacts[job].provenance["seconds"] for job in arms)
    import torch

    seconds = {name: round(value, 2) for name, value in spent.items()}
    return {"stages": seconds, "answering": round(answering_seconds, 2), "answering_jobs": len(arms), "threads": torch.get_num_threads()}


def in_fresh_store(words: list[str], artifacts: list[Artifact]) -> dict[str, Any]:
    """The same in a process of its own, on a store that holds these artifacts alone; with the seconds of the process."""
    with tempfile.TemporaryDirectory() as name:
        store = calls.store_at(Path(name))
        for artifact in {artifact.path: artifact for artifact in artifacts}.values():
            shutil.copytree(artifact.path, store.folder(artifact.stage) / artifact.path.name)
        command, start = [sys.executable, "-m", "benchmarks.arms", "--store", name, "--once", *words], time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HERE.parent)
        seconds = round(time.perf_counter() - start, 2)
    return {"process": seconds, **json.loads(done.stdout.splitlines()[-1])}


def rounds(changes: list[str], artifacts: list[Artifact], count: int) -> dict[str, list[dict[str, Any]]]:
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in RUNS}
    for number in range(count):
        for name in list(RUNS)[:: -1 if number % 2 else 1]:
            runs[name].append(in_fresh_store([str(RECIPE), *changes, RUNS[name]], artifacts))
            print(f"round {number + 1} of {count}, {name}: {runs[name][-1]['process']:.1f} s", flush=True)
    return runs


def ratios(runs: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Median and range over the rounds, of the default arms to base and tuned."""
    pairs = list(zip(*runs.values(), strict=True))
    columns = {
        "answers": [arms["answering"] / alone["answering"] for alone, arms in pairs],
        "whole comparison": [arms["process"] / alone["process"] for alone, arms in pairs],
        "whole comparison over answers of base and tuned": [arms["process"] / alone["answering"] for alone, arms in pairs],
    }
    return {
        name: {"median": round(statistics.median(values), 3), "low": round(min(values), 3), "high": round(max(values), 3)}
        for name, values in columns.items()
    }


def trained(changes: list[str], root: Path) -> list[Artifact]:
    """The prepared examples and the adapters, made where they are missing."""
    call = calls.parse_call([str(RECIPE), *changes], root, Machine())
    return [artifact for artifact in calls.carry_out(call, GIVEN).values() if artifact.stage in GIVEN]


def measured(changes: list[str], root: Path, count: int) -> dict[str, Any]:
    runs = rounds(changes, trained(changes, root), count)
    return {"recipe": [RECIPE.stem, *changes], "rounds": runs, "ratios": ratios(runs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="changes of the recipe")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--once", action="store_true", help="run the recipe named by the first word on --store, and print its seconds")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.once:
        print(json.dumps(compared(chosen.words, chosen.store)))
        return
    with tempfile.TemporaryDirectory() as name:
        results = measured(chosen.words, chosen.store or Path(name), chosen.rounds)
    path = chosen.out / f"arms-{Machine().torch_device().type}.json"
    path.write_text(json.dumps({**machine.environment(), "results": results}, indent=1, sort_keys=True) + "\n", "utf-8")
    print(json.dumps(results, indent=1))
    print(path)


if __name__ == "__main__":
    main()
