"""Forecasts what lift fine-tuning will bring, from what the base scores without it and from the published lifts of LoRA Land.

The test examples are not looked at; only how many there are. `loralift advise --calibration` compares forecasts with results.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import arms, metrics
from pipeline.data import inline
from pipeline.data.task import Task
from pipeline.errors import DataError
from pipeline.lora_land import expected_lift, published
from pipeline.machine import Work
from pipeline.measures import recommendation, text_figures, untested
from pipeline.models import base_model
from pipeline.scoring import scoring, stats
from pipeline.store import input_names
from pipeline.store.artifact import Artifact
from pipeline.store.folders import HeldoutFolder, PredictionsFolder, TrainFolder
from pipeline.store.forecast import ArmForecast, DataFigures, Evidence, Forecast, ForecastFolder, Range, UntestedArm
from pipeline.store.input_names import InputName
from pipeline.store.records import Example, Prediction

SAMPLE = "sample"
"""The input with the examples that were answered."""


def run(work: Work) -> dict[str, Any]:
    """Write the forecast; facts: the recommendation and the lift."""
    params = work.params
    task = inline.from_spec(params["task"])
    examples = HeldoutFolder(work.inputs[SAMPLE]).examples()
    check_tests(task, examples)
    rows = score(work, task, examples)
    expected = expected_lift.shares()
    base, top = rows[0]["score"], recommendation.best(rows)
    lift = range_of(*expected.lifts(base))
    tuned, effect = shifted(lift, base), shifted(lift, base - top["score"])
    data = data_figures(work)
    shape = base_model.shape_of(params["model"])
    on_task = expected_lift.range_on(task.name) if task.paper else None
    forecast: Forecast = {
        "task": task.name,
        "metric": task.metrics[0],
        "arms": rows,
        "untested": untested_arms(work),
        "best": top["name"],
        "lift": lift,
        "tuned": tuned,
        "effect": effect,
        "smallest_effect": recommendation.smallest_effect(effect["middle"], data["test"], params["confidence"], params["seeds"]),
        "confidence": params["confidence"],
        "seeds": params["seeds"],
        "parameters": float(shape.params) if shape else None,
        "published": [*on_task] if on_task else None,
        "data": data,
        "evidence": evidence(expected),
        "recommendation": recommendation.recommend(rows, tuned, data, params["confidence"], params["seeds"]),
    }
    ForecastFolder(work.out).write(forecast)
    return {"recommendation": forecast["recommendation"], "lift": lift}


def check_tests(task: Task, examples: list[Example]) -> None:
    """Raise DataError where answers are programs, and some examples of the sample have no tests that could score them."""
    missing = sum(not example.extra.get("tests") for example in examples) if task.runs_programs else 0
    if missing:
        raise DataError(
            f"{task.name}: {missing} of {len(examples)} training examples have no tests, so the programs of the base cannot be scored.",
            "Leave the task out: advise needs training rows that are scored as the test set is.",
        )


def score(work: Work, task: Task, examples: list[Example]) -> list[ArmForecast]:
    """The arms without training on the sample, the base first, each with the interval of its score."""
    predictions = load_predictions(work, examples)
    parsed = [scoring.read_arm(name, rows, examples, task.answer) for name, rows in predictions.items()]
    metric = metrics.load(task.metrics[0], **({"unsafe": work.machine.unsafe_code} | task.metric_options))
    base, *others = parsed
    statistics = scoring.measure(metric, [base, base, *others], examples, task.answer).statistics  # the base, where tuned would stand
    stacked = stats.stack(statistics, metric.aggregate, stats.group_ids(examples))
    stacked = replace(stacked, right_or_wrong=metric.zero_one and stacked.groups == len(examples))
    (resampled,) = stats.resample([stacked], work.params["resamples"], work.params["seed"], work.params["confidence"])
    rows: list[ArmForecast] = []
    for index, (name, arm) in zip((stats.BASE, *range(2, 2 + len(others))), zip(predictions, parsed, strict=True), strict=True):
        low, high = resampled.score_interval(index)
        unparsed = arm.counts()["unparsed"]
        rows.append({"name": name, "score": float(resampled.observed[index]), "low": low, "high": high, "unparsed": unparsed})
    return rows


def load_predictions(work: Work, examples: list[Example]) -> dict[str, list[Prediction]]:
    """By arm: the base first, then what was tested besides it, and the constant answer."""
    by_arm: dict[str, list[Prediction]] = {}
    for arm in generated_arms(work):
        folder = folder_of(work, arm)
        if untested.reason(Artifact.open(folder).facts):
            continue
        by_arm[arm] = rows = PredictionsFolder(folder).predictions()
        if arms.find(arm).constrained and any(row.logprobs for row in rows):
            by_arm[arms.unnormalized_arm(arm)] = scoring.unnormalized_picks(rows, examples)
    if work.params["constant"]:
        answer = Artifact.open(work.inputs["train"]).facts["constant_answer"]
        by_arm["constant"] = [Prediction(example.id, answer, 0, "eos") for example in examples]
    return dict(sorted(by_arm.items(), key=lambda pair: arms.sort_key(pair[0])))


def generated_arms(work: Work) -> list[str]:
    """The arms of which there are answers."""
    names = map(input_names.parse, sorted(set(work.inputs) - {SAMPLE}))
    return [name.arm for name in names if name.role == "predictions"]


def folder_of(work: Work, arm: str) -> Path:
    return work.inputs[str(InputName("predictions", arm))]


def untested_arms(work: Work) -> list[UntestedArm]:
    """The arms without a score, and why."""
    rows: list[UntestedArm] = [{"arm": row["arm"], "why": row["why"]} for row in work.params["absent"]]
    reasons = {arm: untested.reason(Artifact.open(folder_of(work, arm)).facts) for arm in generated_arms(work)}
    return rows + [{"arm": arm, "why": why} for arm, why in reasons.items() if why]


def data_figures(work: Work) -> DataFigures:
    """Counts of the data, and figures of the training texts."""
    train, heldout, sample = (Artifact.open(work.inputs[name]).facts for name in ("train", "heldout", SAMPLE))
    folder = TrainFolder(work.inputs["train"])
    texts = text_figures.measure(folder.examples() or folder.dev())
    return {
        "train": train["examples"],
        "validation": train["dev"],
        "test": heldout["examples"],
        "sample": sample["examples"],
        "sampled_train": sample["training_examples"],
        "looked_at": train["looked_at"],
        "duplicates": train["overlap_exact"],
        "near_duplicates": train["overlap_near"],
        "shared_groups": train["shared_groups"],
        "prompt_tokens": train["tokens"]["prompt"],
        "target_tokens": train["tokens"]["target"],
        "compressibility": texts["compressibility"],
        "overlap": texts["overlap"],
    }


def evidence(expected: expected_lift.Shares) -> Evidence:
    """What the interval rests on."""
    return {
        "source": published.SOURCE,
        "tasks": len(published.tasks()),
        "cells": len(published.tasks()) * len(published.models()),
        "level": expected_lift.LEVEL,
        "coverage": expected_lift.coverage(),
        "shares": range_of(expected.low, expected.middle, expected.high),
    }


def range_of(low: float, middle: float, high: float) -> Range:
    return {"low": low, "middle": middle, "high": high}


def shifted(value: Range, by: float) -> Range:
    """The range with all three figures moved."""
    return range_of(value["low"] + by, value["middle"] + by, value["high"] + by)
