"""report.json has the figures of the folders that it is made of, each in its place: of this arm, this seed, this set of examples."""

import csv
import json
import math
from dataclasses import replace
from io import StringIO
from statistics import mean, median, quantiles
from typing import Any

import pytest
from rich.console import Console

from pipeline.commands import views
from pipeline.page import cells, checks_section, report_data
from pipeline.store.artifact import Artifact
from tests.report_folders import Files
from tests.report_inputs import PROVENANCE, Inputs

Row = dict[str, Any]
ARMS = ("base_fewshot", "base_constrained", "merged", "reference.gpt-x", "constant")
PRICE = {"input": 2.5, "output": 10.0}
RECIPE = {
    "references": [{"name": "gpt-x", "endpoint": "http://localhost/v1", "model": "gpt", "price": PRICE}],
    "cost": {"gpu_hour": 1.2},
    "finetune": {"seeds": [0, 1]},
    "sweep": {"finetune.rank": [4, 16]},
}
OTHERWISE = {"seconds": 77.5, "at": "2026-06-07T08:09:10Z", "peak": {"rss": 5 * 2**30, "cuda": 7 * 2**30}}


class Uneven(Inputs):
    """Inputs whose seeds took differently long to train, and whose endpoint counts other tokens than we do."""

    def seal(self, source: str, task: str, params: Row, files: Files, facts: Row) -> Artifact:
        other = {"train_seconds": 90.5 + 4 * params["seed"]} if source.startswith("adapter") else {}
        if source.startswith("reference."):
            other = {"completion_tokens": 3 * facts["completion_tokens"]}
        return super().seal(source, task, params, files, facts | other)


@pytest.fixture(scope="module")
def cells_and_report(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[cells.Cell], Row]:
    """The cells and the report of them, without any page."""
    inputs = Uneven(tmp_path_factory.mktemp("facts"), RECIPE, arms=ARMS, measured=True, two_metrics=True, provenance={"tuned1": OTHERWISE})
    work = inputs.work()
    opened = cells.open_cells(work)
    return opened, json.loads(json.dumps(report_data.report(work.params["recipe"], opened, ())))


def load(cell: cells.Cell, source: str, file: str) -> Any:
    """A JSON file of one of the cell's inputs."""
    return json.loads((cell.inputs[source].path / file).read_text("utf-8"))


def pairs(cells_and_report: tuple[list[cells.Cell], Row]) -> list[tuple[cells.Cell, Row]]:
    by_name = {cell.name: cell for cell in cells_and_report[0]}
    return [(by_name[row["cell"]], row) for row in cells_and_report[1]["cells"]]


def speed_figures(speed: Row, name: str) -> Row:
    """The figures of a timed arm, worked out from its requests."""
    arm, base, new_tokens = speed["arms"][name], speed["arms"]["base"], speed["new_tokens"]
    requests = list(zip(arm["prompt_lengths"], arm["latency"], arm["first"], strict=True))
    writes = [latency - first for _, latency, first in requests if latency > first]
    return {
        "prompt_tokens": mean(arm["prompt_lengths"]),
        "prompt_tokens_per_second": median(tokens / first for tokens, _, first in requests),
        "tokens_per_second": median((new_tokens - 1) / seconds for seconds in writes) if writes else None,
        "ranks": not writes,
        "p50": median(arm["latency"]),
        "p95": quantiles(arm["latency"], n=20, method="inclusive")[-1] if len(arm["latency"]) >= 40 else None,
        "max": max(arm["latency"]),
        "weight_bytes": arm["weight_bytes"],
        "peak_bytes": arm["peak_bytes"],
        "overhead": None if arm is base else median(own / bases for own, bases in zip(arm["latency"], base["latency"], strict=True)),
    }


def close(one: Row | None, other: Row | None) -> bool:
    """Whether two rows have the same values but for the last digits; pytest.approx takes no text and no null."""
    if one is None or other is None or one.keys() != other.keys():
        return one is other
    return all(other[key] == (pytest.approx(value) if isinstance(value, float) else value) for key, value in one.items())


def test_every_arm_has_what_was_measured_of_it(cells_and_report: tuple[list[cells.Cell], Row]) -> None:
    for cell, row in pairs(cells_and_report):
        metric, other_metric = (comparison["metric"] for comparison in row["comparisons"])
        beside = load(cell, "comparison", "beside.json")[metric]
        bands = beside["scores"] | {entry["name"]: [entry["score_low"], entry["score_high"]] for entry in beside["others"]}
        timing = load(cell, "speed", "speed.json")
        assert [arm["name"] for arm in row["arms"] if arm["speed"]] == ["base", "base_fewshot", "base_constrained", "tuned", "merged"]
        for arm in row["arms"]:
            name = arm["name"]
            assert [arm["low"], arm["high"]] == bands[name]
            (second,) = arm["metrics"]
            others = load(cell, "comparison", "beside.json")[other_metric]
            other_bands = others["scores"] | {entry["name"]: [entry["score_low"], entry["score_high"]] for entry in others["others"]}
            assert [second["low"], second["high"]] == other_bands[name]
            for file in ("relevance", "hallucination"):
                assert arm[file] == load(cell, "comparison", f"{file}.json")["arms"].get(name)
            assert arm["lenient"] == load(cell, "comparison", "lenient.json")[name]
            one = {"merged": "base_bf16", "shuffled_labels": "tuned"}.get(name)  # of the same shape
            is_timed = (one or name) in timing["arms"]
            assert close(arm["speed"], speed_figures(timing, one or name) | {"timed_as": one} if is_timed else None)


def test_a_measure_of_another_arm_would_be_noticed(cells_and_report: tuple[list[cells.Cell], Row]) -> None:
    """No two arms have the same of anything in every cell."""
    for measure in ("low", "metrics", "relevance", "hallucination", "lenient", "speed"):
        by_arm: dict[str, list[str]] = {}
        for _, row in pairs(cells_and_report):
            for arm in row["arms"]:
                by_arm.setdefault(arm["name"], []).append(json.dumps(arm[measure]))
        values = [tuple(of_cells) for of_cells in by_arm.values() if set(of_cells) != {"null"}]
        assert len(set(values)) == len(values), (measure, by_arm)


def test_adapters_have_their_own_curve_time_and_size(cells_and_report: tuple[list[cells.Cell], Row]) -> None:
    seen = set()
    for cell, row in pairs(cells_and_report):
        for seed, key in zip(row["seeds"], row["adapters"], strict=True):
            adapter_row, adapter = cells_and_report[1]["adapters"][key], cell.inputs[f"adapter{seed}"]
            seen.add(key)
            with (adapter.path / "curve.csv").open(encoding="utf-8", newline="") as file:
                steps = list(csv.DictReader(file))
            assert adapter_row["curve"]["train"] == [[int(step["step"]), float(step["loss"])] for step in steps]
            assert adapter_row["curve"]["dev"] == [[int(step["step"]), float(step["dev_loss"])] for step in steps if step["dev_loss"]]
            assert adapter_row["seconds"] == adapter.facts["train_seconds"] != adapter.provenance["seconds"]
            names = ("trainable_parameters", "adapter_bytes", "steps", "kept_step", "dev_loss", "target_tokens", "tokens_per_second")
            assert {name: adapter_row[name] for name in names} == {name: adapter.facts[name] for name in names}
    assert len(seen) == 8


def test_costs_are_those_of_the_arms_tokens_speed_and_price(cells_and_report: tuple[list[cells.Cell], Row]) -> None:
    for cell, row in pairs(cells_and_report):
        timing, hour = load(cell, "speed", "speed.json"), RECIPE["cost"]["gpu_hour"] / 3600
        costs = {arm["name"]: arm["cost"] for arm in row["arms"] if arm["cost"]}
        assert costs == row["cost"]["arms"]
        base = costs["base"]["seconds"]
        for arm in (entry for entry in row["arms"] if entry["speed"]):
            cost, speed = arm["cost"], speed_figures(timing, arm["speed"]["timed_as"] or arm["name"])
            rate = speed["tokens_per_second"] or math.inf  # ranking writes nothing
            seconds = arm["tokens_in"] / speed["prompt_tokens_per_second"] + arm["tokens_out"] / rate
            assert arm["tokens_out"] == (0 if speed["ranks"] else arm["counts"]["mean_tokens"])
            assert cost["in_per_million"] == pytest.approx(1e6 * hour / speed["prompt_tokens_per_second"])
            assert cost["out_per_million"] == (None if speed["ranks"] else pytest.approx(1e6 * hour / rate))
            assert (cost["seconds"], cost["request"]) == pytest.approx((seconds, seconds * hour))
            assert cost["over_base"] == pytest.approx(seconds / base)
        paid = cell.inputs["reference.gpt-x"].facts
        cost, bought = costs["reference.gpt-x"], next(arm for arm in row["arms"] if arm["name"] == "reference.gpt-x")
        assert bought["tokens_out"] == paid["completion_tokens"] / paid["examples"] != bought["counts"]["mean_tokens"]
        assert (cost["in_per_million"], cost["out_per_million"]) == (PRICE["input"], PRICE["output"])
        bill = (2.5 * paid["prompt_tokens"] + 10.0 * paid["completion_tokens"]) / 1e6
        assert cost["request"] == pytest.approx(bill / paid["examples"])
        spent = sum(cell.inputs[f"adapter{seed}"].facts["train_seconds"] for seed in row["seeds"]) / 3600
        assert row["cost"]["training"] == {
            "adapters": 2,
            "gpu_hours": pytest.approx(spent / 2),
            "all_gpu_hours": pytest.approx(spent),
            "dollars": pytest.approx(1.2 * spent / 2),
        }
        (bought,) = [entry for entry in cells_and_report[1]["references"] if entry["cell"] == cell.name and entry["cost"] is not None]
        assert (bought["tokens_in"], bought["tokens_out"]) == (paid["prompt_tokens"], paid["completion_tokens"])
        assert bought["cost"] == pytest.approx(bill)


def test_points_of_a_sweep_have_the_mean_time_of_their_seeds(cells_and_report: tuple[list[cells.Cell], Row]) -> None:
    for point, (_, row) in zip(cells_and_report[1]["sweep"]["points"], pairs(cells_and_report), strict=True):
        times = [cells_and_report[1]["adapters"][key]["seconds"] for key in row["adapters"]]
        assert len(set(times)) == 2
        assert point["seconds"] == pytest.approx(sum(times) / 2)
        rank = row["point"]["finetune.rank"]
        assert (point["trainable_parameters"], point["adapter_bytes"]) == (1000 * rank, 4000 * rank + 700)


def test_examples_and_answers_are_counted_by_seed(cells_and_report: tuple[list[cells.Cell], Row]) -> None:
    for cell, row in pairs(cells_and_report):
        primary, counts = row["comparisons"][0], load(cell, "comparison", "counts.json")
        assert [{name: value for name, value in counts_of_arm.items() if name != "arm"} for counts_of_arm in row["answers"]] == [
            counts["base"],
            *counts["tuned"],
        ]
        rows = [json.loads(line) for line in (cell.inputs["comparison"].path / "examples.jsonl").read_text("utf-8").splitlines()]
        base, *tuned = (
            [answer["scores"][primary["metric"]] for answer in arm]
            for arm in zip(*([example["base"], *example["tuned"]] for example in rows), strict=True)
        )
        gained = [example for example, before, *after in zip(rows, base, *tuned, strict=True) if sum(after) / 2 > before + 1e-9]
        assert row["examples"]["gained_unread"] == sum(example["base"]["answer"] is None for example in gained)
        churn = row["examples"]["churn"]
        answers = [(example["base"], after) for example in rows for after in example["tuned"]]
        wrong = [(a, b) for a, b in answers if a["scores"][primary["metric"]] == b["scores"][primary["metric"]] == 0]
        changed = sum(b["answer"] is not None and a["answer"] != b["answer"] for a, b in wrong)
        assert churn == ({"wrong": len(wrong), "changed": changed} if row["examples"]["zero_one"] else None)
        lifts = [(sum(scores) - sum(base)) / len(rows) for scores in tuned]
        assert [run["lift"] for run in row["examples"]["runs"]] == pytest.approx(lifts)


def test_sets_of_examples_have_their_own_counts(cells_and_report: tuple[list[cells.Cell], Row]) -> None:
    for cell, row in pairs(cells_and_report):
        for source, split in (("heldout", "test"), ("train", "training")):
            split_row, artifact = cells_and_report[1]["data"][row["inputs"][source]], cell.inputs[source]
            assert (split_row["task"], split_row["split"]) == (cell.task, split)
            assert (split_row["examples"], split_row["wanted"], split_row["cut"]) == tuple(
                artifact.facts[name] for name in ("examples", "wanted", "cut")
            )
            assert split_row["dropped"] == load(cell, source, "dropped.json")
            assert len(split_row["notes"]) == (source == "heldout")
            assert split_row["overlap"] == (load(cell, source, "overlap.json") if source == "train" else None)
            assert split_row["dev"] == artifact.facts.get("dev", 0)


def test_artifacts_have_their_own_time_memory_and_date(cells_and_report: tuple[list[cells.Cell], Row]) -> None:
    by_key = {artifact.key: artifact for cell in cells_and_report[0] for artifact in cell.inputs.values()}
    assert len(cells_and_report[1]["artifacts"]) == len(by_key)
    for artifact_row in cells_and_report[1]["artifacts"]:
        expected = {**PROVENANCE, "seconds": 12.5, **(OTHERWISE if "--tuned1--" in artifact_row["folder"] else {})}
        assert {name: artifact_row["made_at" if name == "at" else name] for name in OTHERWISE} == {
            name: expected[name] for name in OTHERWISE
        }
        assert artifact_row["digest"] == by_key[artifact_row["key"]].digest
    assert sum("--tuned1--" in artifact_row["folder"] for artifact_row in cells_and_report[1]["artifacts"]) == 4


def test_adapters_stand_on_the_terminal_with_their_own_figures(cells_and_report: tuple[list[cells.Cell], Row]) -> None:
    adapters = [artifact for cell in cells_and_report[0] for artifact in cell.adapters]
    trained = [
        replace(adapter, facts=adapter.facts | {"loss": 1.5 + index, "dev_loss": 2.25 + index}) for index, adapter in enumerate(adapters)
    ]
    out = StringIO()
    Console(file=out, width=200).print(views.adapters_of("qwen2.5-1.5b", trained))
    head, *lines = [line.split() for line in out.getvalue().splitlines()]
    assert head == ["adapter", "steps", "loss", "dev", "parameters", "seconds"]
    for line, adapter in zip(lines, trained, strict=True):
        facts = adapter.facts
        assert adapter.path.name == line[0]
        figures = [facts["steps"], f"{facts['loss']:.3f}", f"{facts['dev_loss']:.3f}", f"{facts['trainable_parameters']:,}"]
        assert line[1:] == [*map(str, figures), f"{adapter.facts['train_seconds']:.0f}"]


def test_what_prepare_said_of_the_data_is_a_warning_of_the_page_once(cells_and_report):
    unwarned, report = cells_and_report
    row = {
        "check": "control token",
        "count": 3,
        "total": 9,
        "first": "line 4",
        "problem": "3 of 9 rows spell <eos>",
        "remedy": "Take it out.",
    }

    def warned(artifact):
        return replace(artifact, facts={**artifact.facts, "warnings": [row]})

    flagged = [replace(cell, inputs={**cell.inputs, "train": warned(cell.inputs["train"])}) for cell in unwarned]
    sentence = f"{unwarned[0].task}, training: 3 of 9 rows spell <eos> (first: line 4). Take it out."
    assert checks_section.warnings(flagged, report["recipe"]).count(sentence) == 1
    assert checks_section.data_warnings(unwarned) == []
