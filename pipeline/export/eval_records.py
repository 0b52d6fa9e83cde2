"""Turns a report into records of Every Eval Ever, one for each model and way of prompting it: its scores on all tasks, with how it answered

The form is schema 0.3.0 of github.com/evaleval/every_eval_ever. Details there are texts alone.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from pipeline import arms
from pipeline.arms import ArmSpec
from pipeline.measures.cell_types import ArmRow, CellRow
from pipeline.measures.report_types import Report
from pipeline.page import fmt
from pipeline.page.cells import Cell
from pipeline.page.model_card import data_set
from pipeline.store.artifact import Artifact
from pipeline.store.input_names import InputName
from pipeline.store.records import JsonObject

SCHEMA = "0.3.0"
LOCAL = "local"
"""Stands for the developer of a model that is not on the hub."""
UNKNOWN = "unknown"
METRICS: dict[str, tuple[str, JsonObject]] = {
    "accuracy": ("accuracy", {}),
    "exact_match": ("exact_match", {}),
    "macro_f1": ("f1_macro", {}),
    "balanced_accuracy": ("balanced_accuracy", {}),
    "rouge1": ("rouge_1", {}),
    "rouge2": ("rouge_2", {}),
    "rougeL": ("rouge_l", {}),
    "bleu": ("bleu", {}),
    "chrf": ("chrf", {}),
    "pass_at_1": ("pass_at_k", {"k": 1}),
}
"""By metric, the id that other tools use, and its parameters. Any other gets an id of ours: nobody else computes it so."""

LIFT_KEYS = ("lift", "low", "high", "p", "p_adjusted", "test", "verdict")


@dataclass(frozen=True)
class AnsweredArm:
    """An arm of a cell that a model answered."""

    cell: Cell
    row: CellRow
    arm: ArmRow

    @property
    def spec(self) -> ArmSpec:
        return arms.find(self.arm["name"], self.cell.constraint)

    @property
    def root(self) -> ArmSpec:
        """The arm whose model answered: the one behind another ranking of its choices, or behind debugging."""
        spec = self.spec
        while behind := spec.ranks_choices_of or spec.debugs:
            spec = arms.find(behind, self.cell.constraint)
        return spec

    @property
    def is_tuned(self) -> bool:
        return self.root.adapter == "tuned" or self.root.name == "tuned"

    @property
    def answers(self) -> Artifact:
        """The predictions; of several training seeds the first one's."""
        seed = self.cell.seeds[0] if self.root.name == "tuned" else None
        return self.cell.inputs[str(InputName("predictions", self.root.name, seed=seed))]


@dataclass(frozen=True)
class Identity:
    """Which model answered, and where it runs."""

    id: str
    """OWNER/NAME."""
    deployment: str = "self_deployed"
    availability: str = UNKNOWN
    """Whether everyone can have its weights, where that is known."""
    platform: str = ""
    """The host of an endpoint."""


def all_of(report: Report, cells: Sequence[Cell], organization: str, made_at: int) -> dict[str, JsonObject]:
    """By path as the project's data store has it, the records of a report. Placebos and constant answers are no models, and left out.

    Args:
        organization: who publishes them.
        made_at: when the records are made, in seconds since 1970.
    """
    rows = {row["cell"]: row for row in report["cells"]}
    groups: dict[str, list[AnsweredArm]] = {}
    for cell in cells:
        for arm in answered_arms(cell, rows[cell.name]):
            groups.setdefault(evaluation_id(report, arm), []).append(arm)
    records = (record(report, name, group, organization, made_at) for name, group in groups.items())
    return {path_of(report["name"], one): one for one in records}


def answered_arms(cell: Cell, row: CellRow) -> Iterable[AnsweredArm]:
    for arm in row["arms"]:
        one = AnsweredArm(cell, row, arm)
        if one.spec.is_generated and one.spec.colour_group != "placebo":
            yield one


def evaluation_id(report: Report, one: AnsweredArm) -> str:
    """The same for arms whose results stand in one record: of one model, prompted and loaded in one way."""
    settings = hashlib.sha256(json.dumps(settings_of(one), sort_keys=True).encode()).hexdigest()[:8]
    return f"{component(report['name'])}/{identity(one).id}/{one.spec.name}-{settings}/{seconds(report['made_at'])}"


def path_of(name: str, one: JsonObject) -> str:
    """data/COLLECTION/OWNER/MODEL/UUID.json; equal evaluations have equal paths, so a record made again replaces the earlier one."""
    digest = hashlib.sha256(one["evaluation_id"].encode()).digest()
    return f"data/{component(name)}/{one['model_info']['id']}/{uuid.UUID(bytes=digest[:16], version=4)}.json"


def component(text: str) -> str:
    """A text as a part of a path on any system."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("._ ") or UNKNOWN


def seconds(utc: str) -> str:
    """A time such as 2026-11-30T04:54:03Z in seconds since 1970."""
    return str(int(datetime.fromisoformat(utc).timestamp()))


def record(report: Report, name: str, group: Sequence[AnsweredArm], organization: str, made_at: int) -> JsonObject:
    """One record: the results of one model, prompted in one way, on all tasks."""
    first = group[0]
    results: dict[tuple[str, str, float], JsonObject] = {}
    for one in group:
        for result in results_of(report, one):  # points of a sweep share the base's answers
            key = (result["evaluation_name"], result["metric_config"]["metric_name"], result["score_details"]["score"])
            results.setdefault(key, result)
    return {
        "schema_version": SCHEMA,
        "evaluation_id": name,
        "evaluation_timestamp": report["made_at"],
        "retrieved_timestamp": str(made_at),
        "source_metadata": {
            "source_name": report["name"],
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": relationship(first),
        },
        "eval_library": {"name": "loralift", "version": package_version(report, "loralift")},
        "model_info": model_info(report, first),
        "evaluation_results": list(results.values()),
    }


def relationship(one: AnsweredArm) -> str:
    """Whoever trained the adapter here evaluates it, too."""
    if one.is_tuned and one.cell.variant is None:
        return "first_party"
    return "third_party" if identity(one).availability == "open_weights" or identity(one).platform else "other"


def package_version(report: Report, package: str) -> str:
    return next((str(one["packages"][package]) for one in report["surroundings"] if package in one["packages"]), UNKNOWN)


def model_info(report: Report, one: AnsweredArm) -> JsonObject:
    who = identity(one)
    is_here = who.deployment == "self_deployed"
    engine = {"inference_engine": {"name": "transformers", "version": package_version(report, "transformers")}} if is_here else {}
    tuned = {"base_model": identity_of_base(one).id, "seeds": json.dumps(one.row["seeds"]), "rank": json.dumps(one.row["rank"])}
    return {
        "name": who.id.partition("/")[2],
        "id": who.id,
        **({"inference_platform": who.platform} if who.platform else {}),
        **engine,
        "additional_details": {
            "deployment_type": who.deployment,
            "model_availability": who.availability,
            "arm": one.arm["label"],
            **({name: str(value) for name, value in settings_of(one).items()}),
            **(tuned if one.is_tuned else {}),
        },
    }


def settings_of(one: AnsweredArm) -> JsonObject:
    """How the model is loaded and prompted, whatever the task: keys of the parameters of its answers that are set."""
    params = one.answers.params
    names = ("quantization", "compute", "merge", "constrain", "shots", "shots_seed")
    return {name: params[name] for name in names if params.get(name) not in (None, "")}


def identity(one: AnsweredArm) -> Identity:
    """The model of an arm."""
    if one.spec.reference or (one.is_tuned and one.row["endpoint"]):
        params = one.answers.params
        host = urlsplit(str(params["endpoint"])).hostname or UNKNOWN
        return Identity(f"{component(host)}/{component(str(params['model']))}", "externally_managed", UNKNOWN, host)
    if one.is_tuned:
        return identity_of_tuned(one)
    return identity_of_base(one)


def identity_of_base(one: AnsweredArm) -> Identity:
    """The base of a cell; of predictions from files the name that they have in the recipe."""
    params = one.cell.inputs[str(InputName("predictions", "base"))].params
    spec = params.get("model")
    if not isinstance(spec, dict):
        return Identity(f"{LOCAL}/{component(one.row['base'])}", UNKNOWN)
    return Identity(spec["repo"], availability="open_weights") if spec["repo"] else Identity(f"{LOCAL}/{component(one.row['base'])}")


def identity_of_tuned(one: AnsweredArm) -> Identity:
    """The fine-tuned model of a cell: on the hub, or by the name of its folder; several training runs count as one model."""
    adapters = one.cell.adapters
    if not adapters:
        return Identity(f"{LOCAL}/{component(str(one.row['variant']))}", UNKNOWN)
    repo = (adapters[0].params.get("adapter") or adapters[0].params.get("tuned") or {}).get("repo")
    if repo and len(adapters) == 1:
        return Identity(repo, availability="open_weights")
    keys = adapters[0].key if len(adapters) == 1 else hashlib.sha256("".join(adapter.key for adapter in adapters).encode()).hexdigest()
    runs = "" if len(adapters) == 1 else f"--{len(adapters)}-runs"
    return Identity(f"{LOCAL}/{component(adapters[0].label)}{runs}--{keys[:8]}")


def results_of(report: Report, one: AnsweredArm) -> Iterable[JsonObject]:
    """The results of an arm of a cell, one a metric."""
    n = one.row["headline"]["n"]
    primary = one.row["comparisons"][0]["metric"]
    yield result(report, one, primary, (one.arm["score"], one.arm["low"], one.arm["high"]), n)
    for other in one.arm["metrics"]:
        yield result(report, one, other["metric"], (other["score"], other["low"], other["high"]), n)


def result(report: Report, one: AnsweredArm, metric: str, score: tuple[float, float | None, float | None], n: int) -> JsonObject:
    """A score with its interval, what it was computed from, and how the answers were generated."""
    value, low, high = score
    metric_id, parameters = METRICS.get(metric, (f"loralift.{component(metric)}", {}))
    interval = {"lower": low, "upper": high, "confidence_level": report["confidence"]}
    return {
        "evaluation_result_id": f"{one.row['cell']}.{one.arm['name']}.{metric}",
        "evaluation_name": one.cell.task,
        "source_data": source_data(one.cell, n),
        "metric_config": {
            "metric_id": metric_id,
            "metric_name": fmt.metric(metric),
            "metric_kind": metric_id.rpartition(".")[2],
            "metric_unit": "proportion",
            **({"metric_parameters": parameters} if parameters else {}),
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {
            "score": value,
            "uncertainty": {"num_samples": n, **({} if low is None or high is None else {"confidence_interval": interval})},
            **({"details": details} if (details := lift_details(one, metric)) else {}),
        },
        "generation_config": generation(one),
    }


def lift_details(one: AnsweredArm, metric: str) -> dict[str, str]:
    """Of the fine-tuned model: its lift over the base, with interval, p-value and verdict."""
    rows = [row for row in one.row["comparisons"] if row["metric"] == metric] if one.arm["name"] == "tuned" else []
    figures = {"lift_" * (key != "lift") + key: row.get(key) for row in rows for key in LIFT_KEYS}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in figures.items() if value not in (None, "")}


def source_data(cell: Cell, n: int) -> JsonObject:
    """The test set: on the hub, or files of the user's, named by their hash where it is known."""
    source = cell.inputs["heldout"].facts.get("source", {})
    named = data_set(cell)
    revision = {"additional_details": {"revision": str(named["revision"])}} if named.get("revision") else {}
    if source.get("hub"):
        return {"dataset_name": cell.task, "source_type": "hf_dataset", "hf_repo": named["type"], "samples_number": n} | revision
    details = {"examples": str(n), "examples_digest": cell.inputs["heldout"].digest}
    return {"dataset_name": cell.task, "source_type": "other", "additional_details": details}


def generation(one: AnsweredArm) -> JsonObject:
    """How the answers were generated, or that choices were ranked; without arguments where predictions come from elsewhere."""
    params, task = one.answers.params, one.cell.inputs["heldout"].params["task"]
    details = {"prompting": one.arm["label"]}
    details |= {"stop": json.dumps(params["stop"])} if params.get("stop") else {}
    template = {"prompt_template": task["prompt"]} if isinstance(task, dict) and task.get("prompt") else {}
    if "max_new_tokens" not in params:
        return {"generation_args": template, "additional_details": details}
    if params.get("constrain") == "choices":
        return {"generation_args": template, "additional_details": {**details, "answering": "choices ranked by log-likelihood"}}
    is_sampled = bool(params.get("samples"))
    arguments = {
        "temperature": params["temperature"] if is_sampled else 0.0,
        **({"top_p": params["top_p"]} if is_sampled else {}),
        "max_tokens": params["max_new_tokens"],
        "reasoning": bool(isinstance(params.get("model"), dict) and params["model"].get("thinking", False)),
    }
    return {"generation_args": arguments | template, "additional_details": details}
