"""Orders jobs: data sets first, since one that does not load must stop the run before any training.

Then jobs on the same weights follow one another, since loading a base takes longer than many a job on it.
"""

from pipeline import stages
from pipeline.planning.job import Job
from pipeline.store.artifact import canonical

FIRST = ("prepare", "slice_examples")
"""The stages that load data: minutes of work, and the likeliest to fail."""


def in_run_order(jobs: list[Job]) -> list[Job]:
    """The same jobs, each after its inputs.

    Data sets come first. Of the jobs that could be next, one on the weights in memory is, else the first of the plan.
    """
    return by_weights(sorted(jobs, key=lambda job: job.stage not in FIRST))


def by_weights(jobs: list[Job]) -> list[Job]:
    """The same jobs, each after its inputs; of those that could be next, one on the weights in memory, else the first."""
    remaining = list(jobs)
    order = dict[Job, None]()
    while remaining:
        weights = ""
        later = []
        for job in remaining:
            needed = weights_of(job)
            if needed in ("", weights or needed) and all(source in order for _, source in job.inputs):
                order[job] = None
                weights = weights or needed
            else:
                later.append(job)
        remaining = later
    return list(order)


def weights_of(job: Job) -> str:
    """The base in its precision that a job holds in memory; empty for a job without a model."""
    if stages.WEIGHTS not in stages.find(job.stage).needs:
        return ""
    return canonical([job.params.get(name) for name in ("model", "quantization", "compute")])
