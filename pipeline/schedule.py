"""The order of jobs: those on the same weights one after another, since loading a base takes longer than many a job on it."""

from pipeline.plan import Job
from pipeline.store.artifact import canonical


def by_weights(jobs: list[Job]) -> list[Job]:
    """The same jobs, each after its inputs; of those that could be next, one on the weights in memory, else the first of the plan.

    A recipe whose jobs are all on one base in one precision keeps its order.
    """
    left, order = list(jobs), dict.fromkeys(jobs[:0])
    while left:
        weights, later = "", []
        for job in left:
            wanted = weights_of(job)
            if wanted in ("", weights or wanted) and all(source in order for _, source in job.inputs):
                order[job], weights = None, weights or wanted
            else:
                later.append(job)
        left = later
    return list(order)


def weights_of(job: Job) -> str:
    """The base in its precision that a job holds in memory; empty for a job without a model."""
    params = job.params
    return canonical([params["model"], params["quantization"], params["compute"]]) if "quantization" in params else ""
