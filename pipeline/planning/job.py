"""Defines a job, one call of one stage, and the jobs of a task by their roles"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from pipeline.store.artifact import canonical
from pipeline.store.input_names import InputName

Jobs = dict[InputName, "Job"]
"""The jobs of a task by what they are to its comparison and to the report."""
Params = dict[str, Any]
"""Parameters of a stage, as JSON values."""
TRAINING_STAGES = ("finetune", "trial")
"""The stages that train an adapter, or begin to."""


@dataclass(frozen=True)
class Job:
    """One call of one stage. Equal jobs are the same job, so a sweep shares its work."""

    stage: str
    label: str = field(compare=False)
    params_json: str
    """The parameters as canonical JSON."""
    inputs: tuple[tuple[str, "Job"], ...] = ()

    def __hash__(self) -> int:
        return self.own_hash

    @cached_property
    def own_hash(self) -> int:
        """Taken once: the hash of a job is that of all jobs below it."""
        return hash((self.stage, self.params_json, self.inputs))

    def __reduce__(self) -> tuple[type["Job"], tuple[str, str, str, tuple[tuple[str, "Job"], ...]]]:
        return Job, (self.stage, self.label, self.params_json, self.inputs)  # without the hash, which differs from process to process

    @cached_property
    def params(self) -> Params:
        return cast(Params, json.loads(self.params_json))


def job(stage: str, label: str, params: Params, **inputs: Job) -> Job:
    return Job(stage, label, canonical(params), tuple(inputs.items()))


def answering(fine_tune: Job) -> dict[str, Job]:
    """The input by which a job answers with an adapter, or with a whole fine-tuned model."""
    return {"model" if fine_tune.stage == "import_model" else "adapter": fine_tune}


def in_dependency_order(job: Job) -> Iterator[Job]:
    """All that a job needs, each after what it needs itself, and the job."""
    for _, source in job.inputs:
        yield from in_dependency_order(source)
    yield job


def with_string_names(jobs: Jobs) -> dict[str, Job]:
    return {str(name): job for name, job in jobs.items()}
