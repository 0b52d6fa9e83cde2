"""Tries, when the data sets are prepared and before the first job on weights, what would else fail hours later.

The longest examples of every training go through one forward and backward pass, and every endpoint gives one token. What can be told
without loading anything is in `preflight.py`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from pipeline import stages
from pipeline.cluster.place import call_here
from pipeline.commands import preflight
from pipeline.engine import batching
from pipeline.errors import MachineError, UserError
from pipeline.machine import Machine
from pipeline.models import adapters, loading, renderer
from pipeline.planning.job import TRAINING_STAGES, Job
from pipeline.progress import say
from pipeline.references import ask, endpoint
from pipeline.runner import Site
from pipeline.stages import finetune
from pipeline.store.artifact import Artifact, canonical
from pipeline.store.folders import TrainFolder
from pipeline.store.records import Example

SHARED = ("seed", "placebo", "part", "learning_rate", "schedule", "warmup", "weight_decay")
"""Parameters of training that change nothing about the memory of a pass."""


class Probes:
    """Call it for every event of a run, see runner.run(): at the start of the first job on weights it probes all that are to come."""

    def __init__(self, jobs: Iterable[Job], site: Site, call: Callable[..., Any] = call_here) -> None:
        """`call` runs a function where jobs on weights run; see cluster/place.py."""
        self.jobs = list(jobs)
        self.site = site
        self.call_there = call
        self.artifacts: dict[Job, Artifact] = {}
        self.is_due = True

    def __call__(self, event: str, job: Job, artifact: Artifact | None) -> None:
        if artifact is not None:
            self.artifacts[job] = artifact
        elif self.is_due and stages.WEIGHTS in stages.find(job.stage).needs:
            self.is_due = False
            self.run([other for other in self.jobs if other not in self.artifacts])

    def run(self, jobs: list[Job]) -> None:
        """Raises MachineError with every obstacle in a line of its own."""
        machine = self.site.machine.with_device(self.site.machine.devices[0])
        heavy = self.call_there(heavy_trainings, list(self.longest_trainings(jobs)), replace(machine, endpoints=()))
        if obstacles := [*silent_endpoints(jobs, self.site.machine), *heavy]:
            raise MachineError("\n  ".join(obstacles))

    def longest_trainings(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Artifact]]:
        """Trainings that are to come with their examples; of like ones that with the longest."""
        longest: dict[str, tuple[int, Job]] = {}
        for job in jobs:
            train = dict(job.inputs).get("train")
            if job.stage in TRAINING_STAGES and train in self.artifacts:
                tokens = self.artifacts[train].facts["tokens"]
                size = tokens["prompt"]["max"] + tokens["target"]["max"]
                setting = canonical({name: value for name, value in job.params.items() if name not in SHARED})
                longest[setting] = max(longest.get(setting, (0, job)), (size, job), key=lambda row: row[0])
        for _, job in longest.values():
            yield job, self.artifacts[dict(job.inputs)["train"]]


def heavy_trainings(trainings: list[tuple[Job, Artifact]], machine: Machine) -> list[str]:
    """The trainings whose longest examples do not go through a pass, each in a line."""
    lines = []
    for job, train in trainings:
        try:
            try_longest(job, train, machine)
        except UserError as error:
            lines.append(f"{job.stage} {job.label}: {error.problem} {error.remedy}")
    return lines


def silent_endpoints(jobs: Iterable[Job], machine: Machine) -> Iterator[str]:
    """Endpoints that the run will query and that refuse to answer. One that is busy is waited for later."""
    for settings in preflight.queried_endpoints(jobs, machine):
        try:
            ask.one_token(endpoint.Endpoint(settings, endpoint.ready_key(settings, machine.offline)))
        except UserError as error:
            yield f"{error.problem} {error.remedy}"


def try_longest(job: Job, train: Artifact, machine: Machine) -> None:
    """Pass the longest examples of a training through its model and back: on a GPU as many as one pass may hold, on a CPU one.

    Raises:
        MachineError: not even one fits into memory.
        ModelError: the adapter cannot be attached.
    """
    import torch

    params = job.params
    render = renderer.renderer(params["model"])
    base = loading.load(params["model"], params["quantization"], params["compute"], machine.torch_device())
    model = adapters.attach(base, params)
    try:
        passes = finetune.Passes(model, params["compute"], render.pad_id, params["packing"])
        budget = batching.token_budget(machine.tokens, model.device)
        rows = longest_rows(TrainFolder(train.path).examples(), render, params["batch_examples"])
        batch = passes.batches(rows, budget)[0] if model.device.type == "cuda" else rows[:1]
        try:
            passes.gradients(batch, budget)
        except torch.OutOfMemoryError:
            model.zero_grad()
            torch.cuda.empty_cache()
            passes.gradients(rows[:1], budget)
        if model.device.type == "cuda":
            peak, whole = torch.cuda.max_memory_allocated(model.device), torch.cuda.get_device_properties(model.device).total_memory
            say(f"longest batch of {job.label}: {peak / 1e9:.1f} of {whole / 1e9:.1f} GB of GPU memory")
    except torch.OutOfMemoryError:
        problem = f"its longest example, {len(rows[0]):,} tokens, does not fit into the memory of {model.device} alone."
        raise MachineError(problem, "Lower prepare.max_tokens, or take a smaller base or a larger device.") from None
    finally:
        model.unload()


def longest_rows(examples: list[Example], render: Any, count: int) -> list[batching.TokenRow]:
    """The longest rows of an optimizer step, the longest first; by characters, since counting the tokens of all would take long."""
    longest = sorted(examples, key=lambda example: -len(example.text))[:count]
    return sorted((finetune.token_row(example, render) for example in longest), key=len, reverse=True)
