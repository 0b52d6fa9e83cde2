"""Scores what every arm said to the same held-out examples and says how sure the differences are.

Before any score stands the liveness gate: an adapter that changes nothing stops the comparison.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import metrics
from pipeline.arms import RAW
from pipeline.data import inline
from pipeline.data.task import Task
from pipeline.machine import Work
from pipeline.measures import decompose, forgetting, grounding, relevance
from pipeline.models import liveness
from pipeline.scoring import scoring
from pipeline.store import records
from pipeline.store.artifact import Artifact
from pipeline.store.records import Example, Prediction

ARM = "arm."
"""Begins the names of inputs that arms beside base and tuned said."""
REFERENCE = "reference."
"""Begins the names of inputs that reference models said; it stays in the arm's name."""
RELEVANCE = "relevance."
GENERAL = "general."


def run(work: Work) -> dict[str, Any]:
    task = inline.from_spec(work.params["task"])
    seeds = sorted(int(name.removeprefix("tuned")) for name in work.inputs if name.startswith("tuned"))
    alive = gated(work, task, seeds)
    exam = examples_of(work, "exam")
    said = heard(work, exam, seeds)
    result = scoring.compare(exam, said, task.answer, settings_of(work, task, said))
    arms = {"base": [said.base], "tuned": said.tuned, **{name: [each] for name, each in said.others.items()}}
    preface = work.inputs["exam"] / "preface.txt"
    before = preface.read_text("utf-8") if preface.exists() else ""
    grounded = grounding.measure(task, exam, arms, work.params["confidence"], before)

    records.write(work.out / "comparisons.jsonl", result.comparisons)
    rows = [flagged(row, grounded.hallucinated) for row in result.rows]
    (work.out / "examples.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    dump(work, "beside", result.beside)
    dump(work, "counts", result.counts)
    dump(work, "lenient", result.lenient)
    dump(work, "liveness", alive)
    dump(work, "decomposition", decompose.decompose(result.names, result.sampled))
    dump(work, "grounding", grounded.figures)
    dump(work, "relevance", {"arms": related(work, exam)})
    dump(work, "forgetting", {"suites": kept(work)})
    return {row.metric: {"base": row.base, "tuned": row.tuned, "lift": row.lift} for row in result.comparisons}


def gated(work: Work, task: Task, seeds: list[int]) -> list[dict[str, Any]]:
    """Whether each adapter changes anything; raises ComparisonError for one that does not, unless the recipe says otherwise."""
    found = [{"seed": s, **json.loads((work.inputs[f"tuned{s}"] / "liveness.json").read_text("utf-8"))} for s in seeds]
    for each in found:
        each["alive"] = liveness.is_alive(each)
        if work.params["liveness"]:
            liveness.gate(each, f"{task.name}, seed {each['seed']}")
    return found


def settings_of(work: Work, task: Task, said: scoring.Said) -> scoring.Settings:
    """Code that was sampled is scored by pass@k as well."""
    is_sampled = "pass_at_1" in task.metrics and all(row.samples for each in (said.base, *said.tuned) for row in each)
    asked = {name: work.params[name] for name in ("confidence", "resamples", "interval", "seed")}
    names = task.metrics + (("pass_at_k",) if is_sampled else ())
    return scoring.Settings(task.name, names, **asked, options={"unsafe": work.machine.unsafe_code})


def examples_of(work: Work, source: str) -> list[Example]:
    return list(records.read(work.inputs[source] / "examples.jsonl", Example))


def predictions_of(work: Work, source: str) -> list[Prediction]:
    return list(records.read(work.inputs[source] / "predictions.jsonl", Prediction))


def heard(work: Work, exam: list[Example], seeds: list[int]) -> scoring.Said:
    """What every arm said: those with inputs, the raw picks of those that ranked choices, and the constant answer."""
    others: dict[str, list[Prediction]] = {}
    for source in sorted(work.inputs):
        if source.startswith((ARM, REFERENCE)):
            name = source.removeprefix(ARM)
            others[name] = predictions_of(work, source)
            if name.endswith("_constrained") and any(each.logprobs for each in others[name]):
                others[name + RAW] = scoring.raw_pick(others[name], exam)
    if "train" in work.inputs:
        answer = Artifact.open(work.inputs["train"]).facts["most_common_target"]
        others["constant"] = [Prediction(example.id, answer, 0, "eos") for example in exam]
    return scoring.Said(predictions_of(work, "base"), [predictions_of(work, f"tuned{seed}") for seed in seeds], others)


def flagged(row: dict[str, Any], hallucinated: dict[str, list[set[str]]]) -> dict[str, Any]:
    """An example's row with the flag of each answer that names what is in neither source nor target."""

    def arm(name: str, seed: int, said: dict[str, Any]) -> dict[str, Any]:
        return said | {"flags": [*said["flags"], "hallucinated"]} if row["id"] in hallucinated[name][seed] else said

    tuned = [arm("tuned", seed, said) for seed, said in enumerate(row["tuned"])]
    others = {name: arm(name, 0, said) for name, said in row["others"].items()}
    return row | {"base": arm("base", 0, row["base"]), "tuned": tuned, "others": others}


def related(work: Work, exam: list[Example]) -> dict[str, Any]:
    """By arm, how much its answers are about their prompts."""
    groups = dict(zip((example.id for example in exam), scoring.group_labels(exam), strict=True))
    found = {}
    for source in sorted(work.inputs):
        if source.startswith(RELEVANCE):
            rows = list(records.dictionaries(work.inputs[source] / "relevance.jsonl"))
            labels = np.array([groups[row["example"]] for row in rows])
            found[source.removeprefix(RELEVANCE)] = relevance.of(rows, labels, *drawn(work))
    return found


def drawn(work: Work) -> tuple[float, int, int]:
    return work.params["confidence"], work.params["resamples"], work.params["seed"]


def kept(work: Work) -> list[dict[str, Any]]:
    """Tuned against base on every general suite."""
    suites = []
    if "general.paragraphs" in work.inputs:
        read = Artifact.open(work.inputs["general.paragraphs"])
        rows = list(records.dictionaries(read.path / "losses.jsonl"))
        suite = forgetting.loss_suite(rows, work.params["loss_margin"], *drawn(work))
        suites.append(
            {"suite": "paragraphs", **suite, "measurable": forgetting.knows(suite["base"], read.facts["vocabulary"], suite["margin"])}
        )
    for name, spec in work.params["general"].items():
        task, exam = inline.from_spec(spec), examples_of(work, f"{GENERAL}{name}.exam")
        arms = [
            scoring.read_arm(f"{arm} on {name}", predictions_of(work, f"{GENERAL}{name}.{arm}"), exam, task.answer)
            for arm in ("base", "tuned")
        ]
        trial = scoring.Trial(exam, scoring.group_labels(exam), 1, [], task.answer, settings_of(work, task, scoring.Said([], [])))
        metric = metrics.load(task.metrics[0], unsafe=work.machine.unsafe_code)
        values = scoring.measure(metric, arms, trial).values
        rows = [
            {"id": each.id, "prompt": each.text, "target": each.target, "base": one.text, "tuned": two.text, "scores": scores}
            for each, one, two, scores in zip(exam, arms[0].predictions, arms[1].predictions, values.T.tolist(), strict=True)
        ]
        found = forgetting.task_suite(rows, trial.labels, work.params["margin"], work.params["confidence"])
        # a base that scores no more than the margin has nothing to lose by it
        suites.append({"suite": name, **found, "task_metric": task.metrics[0], "measurable": found["base"] > work.params["margin"]})
    return suites


def dump(work: Work, name: str, value: Any) -> None:
    Path(work.out / f"{name}.json").write_text(json.dumps(value, indent=1, ensure_ascii=False), "utf-8")
