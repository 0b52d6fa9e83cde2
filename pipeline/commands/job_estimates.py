"""Estimates what a job of a plan takes, from the shape of its base and the lengths of its examples."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from math import ceil
from typing import Any

from pipeline.commands import adapter_sizes, estimate
from pipeline.commands.estimate import BF16, NF4, AdapterSetup, CardEstimate, Generation, Training, TrainingProgram
from pipeline.data import inline
from pipeline.data.task import Task
from pipeline.engine import training_state
from pipeline.models import adapter_kinds, base_model
from pipeline.models.shapes import Shape
from pipeline.planning.job import Job
from pipeline.store.artifact import EARLIER, PART, Artifact, canonical

MAX_ROWS = 100_000
"""Number of rows assumed for a source of unknown size."""
COMMON_RANK = 16
"""Rank assumed for an adapter from elsewhere."""


@dataclass(frozen=True)
class JobEstimate:
    """What a job takes."""

    min_bytes: float
    """Memory that a card must have."""
    costs: dict[str, CardEstimate]
    """By the name of a card."""
    is_upper_bound: bool
    """Whether it rests on the longest prompts, since nothing is prepared."""


def estimate_of(job: Job, done: dict[Job, Artifact]) -> JobEstimate | None:
    """What training or generation takes; None if the base's shape is unknown, and for fp32 and DoRA, which are not covered."""
    shape = shape_of(canonical(job.params["model"]))
    if shape is None or job.params["compute"] != "bf16" or job.params.get("dora"):
        return None
    work = work_of(shape, job, done)
    return JobEstimate(
        min_bytes=estimate.min_bytes(shape, work),
        costs=estimate.estimate(shape, work),
        is_upper_bound=lengths_of_work(job, done).is_upper_bound,
    )


def work_of(shape: Shape, job: Job, done: dict[Job, Artifact]) -> Training | Generation:
    """What decides the cost of a job of WORK_OF."""
    _, work = WORK_OF[job.stage]
    return work(shape, job, lengths_of_work(job, done))


def lengths_of_work(job: Job, done: dict[Job, Artifact]) -> "Lengths":
    source, _ = WORK_OF[job.stage]
    return lengths_of(dict(job.inputs)[source], done) if source else PARAGRAPH_LENGTHS


@cache
def shape_of(spec: str) -> Shape | None:
    """The shape of a base, by its spec as canonical JSON."""
    return base_model.shape_of(json.loads(spec))


@cache
def task_of(spec: str) -> Task:
    """The task, by its spec as canonical JSON."""
    return inline.from_spec(json.loads(spec))


@dataclass(frozen=True)
class Lengths:
    """Tokens of one part of a task: means, and the longest."""

    examples: int
    dev: int
    prompt: float
    target: float
    longest: int
    """Prompt with answer."""
    longest_target: int
    choices: int
    is_upper_bound: bool
    """Whether the data may hold less, since nothing is prepared."""


UNCOUNTED = {name: {"mean": 0.0, "max": 0} for name in ("prompt", "target")}
"""Where no model answers, no token is counted, and nothing is estimated by them."""
PARAGRAPH_LENGTHS = Lengths(examples=300, dev=0, prompt=130, target=0, longest=130, longest_target=0, choices=0, is_upper_bound=False)
"""Roughly those of the shipped paragraphs."""


def lengths_of(job: Job, done: dict[Job, Artifact]) -> Lengths:
    """The lengths that `prepare` counted; before that, upper bounds: the paper's 95th percentile of the task, or the recipe's limit."""
    if job.stage == "sample_validation":
        whole, artifact = lengths_of(dict(job.inputs)["train"], done), done.get(job)
        size = artifact.facts["examples"] if artifact else min(job.params["examples"], whole.examples + whole.dev)
        return replace(whole, examples=size, dev=0)
    if job.stage == "common_examples":
        whole, artifact = lengths_of(dict(job.inputs)["heldout"], done), done.get(job)
        return replace(whole, examples=artifact.facts["examples"]) if artifact else replace(whole, is_upper_bound=True)
    max_tokens = job.params["max_tokens"]
    task = task_of(canonical(job.params["task"]))
    if artifact := done.get(job):
        tokens = artifact.facts.get("tokens", UNCOUNTED)
        prompt, target = tokens["prompt"], tokens["target"]
        return Lengths(
            examples=artifact.facts["examples"],
            dev=artifact.facts.get("dev", 0),
            prompt=prompt["mean"],
            target=target["mean"],
            longest=min(max_tokens, prompt["max"] + target["max"]),
            longest_target=target["max"],
            choices=len(task.choices),
            is_upper_bound=False,
        )
    p95, longest = (min(max_tokens, tokens) for tokens in (task.paper.tokens if task.paper else (max_tokens, max_tokens)))
    p95_target = min(task.max_new_tokens, p95 // 2)
    rows = known_rows(task, job.params["split"]) or MAX_ROWS
    requested = job.params["examples"]
    return Lengths(
        examples=rows if requested is None else min(requested, rows),
        dev=min(job.params.get("dev_examples", 0), rows),
        prompt=p95 - p95_target,
        target=p95_target,
        longest=longest,
        longest_target=min(task.max_new_tokens, longest),
        choices=len(task.choices),
        is_upper_bound=True,
    )


def known_rows(task: Task, split: str) -> int | None:
    """Rows that a task's first source is known to have; None where that is not known."""
    source = (task.train if split == "train" else task.heldout)[0]
    rows = [part.rows for part in source.parts or (source,)]
    return sum(count for count in rows if count) if all(rows) else None


def source_rows(job: Job) -> int | None:
    """Rows that the source of a split is known to have; None where that is not known."""
    return known_rows(task_of(canonical(job.params["task"])), job.params.get("split", "heldout"))


def planned_rows(job: Job) -> str:
    """What a split that is not prepared will use at most: `<=2,000 of 9,427 rows, and <=100 for validation`."""
    requested, dev = job.params["examples"], job.params.get("dev_examples", 0)
    rows = source_rows(job)
    source_text = "those available" if rows is None else f"{rows:,} rows"
    limit = min((count for count in (requested, rows) if count is not None), default=None)
    validation = f", {'with' if requested is None else 'and'} <={dev:,} for validation" if dev else ""
    return f"{'all' if limit is None else f'<={limit:,}'} of {source_text}{validation}"


def weight_bytes(params: dict[str, Any]) -> float:
    """Bytes of a weight of the base, as a job loads it."""
    return NF4 if params["quantization"] == "nf4" else BF16


def setup_in_use(shape: Shape, adapter: Job, params: dict[str, Any], lengths: Lengths) -> AdapterSetup:
    """The adapter that answers in a job; one from elsewhere, which may not be here yet, counts as of a common rank on all linear modules.

    Args:
        params: of the job that it answers in.
    """
    if adapter.stage == "finetune":
        return adapter_setup_of(shape, adapter.params, lengths)
    return AdapterSetup(rank=COMMON_RANK, targets=(), kind=adapter_kinds.LORA, weight_bytes=weight_bytes(params))


def adapter_setup_of(shape: Shape, params: dict[str, Any], lengths: Lengths) -> AdapterSetup:
    """The adapter and the precision of a fine-tuning job; training refuses targets that the base does not have; they are left out here."""
    targets = () if params["targets"] == "all-linear" else tuple(name for name in params["targets"] if name in shape.linears)
    target_share = min(1.0, lengths.target / (lengths.prompt + lengths.target))
    is_uniform = not params["rank_pattern"] and params["layers"] is None and adapter_kinds.of_params(params) is adapter_kinds.LORA
    return AdapterSetup(
        rank=params["rank"],
        targets=targets,
        kind=adapter_kinds.of_params(params),
        weight_bytes=weight_bytes(params),
        dropout=params["dropout"] > 0,
        target_share=target_share,
        program=TrainingProgram(logit_share=target_share),
        weights=None if is_uniform else adapter_sizes.weights(params, shape.modules),
        frozen_weights=adapter_sizes.frozen_weights(params, shape.modules),
    )


def training_of(shape: Shape, job: Job, lengths: Lengths) -> Training:
    params = job.params
    steps = training_state.total_steps(lengths.examples, params)
    tokens = lengths.prompt + lengths.target
    dev_evaluations = ceil(steps / params["dev_every"]) if lengths.dev else 0
    return Training(
        method=adapter_setup_of(shape, params, lengths),
        steps=steps,
        batch=min(params["batch_examples"], lengths.examples),
        tokens=tokens,
        longest=lengths.longest,
        dev_tokens=dev_evaluations * lengths.dev * tokens,
    )


def trial_of(shape: Shape, job: Job, lengths: Lengths) -> Training:
    """A trial goes on where an earlier one stopped, up to its part of the steps; its validation loss is looked at once more there."""
    whole, earlier = training_of(shape, job, lengths), dict(job.inputs).get(EARLIER)
    end = training_state.steps_of_part(whole.steps, job.params[PART])
    start = training_state.steps_of_part(whole.steps, earlier.params[PART]) if earlier else 0
    evaluations = end // job.params["dev_every"] - start // job.params["dev_every"] + 1
    return replace(whole, steps=end - start, dev_tokens=evaluations * lengths.dev * whole.tokens)


def scoring_of(shape: Shape, job: Job, lengths: Lengths) -> Generation:
    """Scoring reads every text twice and generates nothing."""
    del shape  # unused: no adapter is estimated
    return Generation(
        examples=min(job.params.get("examples", lengths.examples), lengths.examples),
        prompt=lengths.prompt,
        longest=lengths.longest,
        limit=1,
        steps=0,
        weight_bytes=weight_bytes(job.params),
        models=models_in_memory(job),
        choices=1,
    )


def models_in_memory(job: Job) -> int:
    """How many models a job holds at a time: two where base and a whole fine-tuned model are measured side by side."""
    return 2 if job.stage in ("general_loss", "speed") and "model" in dict(job.inputs) else 1


def generation_of(shape: Shape, job: Job, lengths: Lengths) -> Generation:
    """A base may generate up to the limit; a fine-tuned model stops at the length of the longest target; ranking choices generates nothing.

    Few-shot examples lengthen the prompt by the mean length of an example with its answer.
    """
    params = job.params
    limit = params["max_new_tokens"]
    sources = dict(job.inputs)
    adapter, is_tuned = sources.get("adapter"), bool({"adapter", "model"} & sources.keys())
    ranks = params.get("constrain") == "choices"
    shot_tokens = params.get("shots", 0) * (lengths.prompt + lengths.target)
    longest = lengths.longest - (0 if lengths.is_upper_bound else lengths.longest_target) + ceil(shot_tokens)
    return Generation(
        examples=lengths.examples * (1 + params.get("samples", 0)),
        prompt=lengths.prompt + shot_tokens,
        longest=longest + (1 if ranks else limit),
        limit=1 if ranks else limit,
        steps=0 if ranks else min(limit, lengths.longest_target) if is_tuned else limit,
        weight_bytes=weight_bytes(params),
        adapter=setup_in_use(shape, adapter, params, lengths) if adapter and "merge" not in params else None,
        choices=lengths.choices if params["score_choices"] or ranks else 0,
    )


WORK_OF: dict[str, tuple[str, Callable[[Shape, Job, Lengths], Training | Generation]]] = {
    "finetune": ("train", training_of),
    "trial": ("train", trial_of),
    "generate": ("heldout", generation_of),
    "relevance": ("heldout", scoring_of),
    "general_loss": ("", scoring_of),
}
"""Stages whose jobs are estimated: the input whose lengths count (none: the shipped paragraphs), and the function that does it."""
