"""Jobs on the same weights follow one another, and each its inputs."""

from itertools import pairwise

from pipeline.config.recipe import load
from pipeline.plan import plan
from pipeline.schedule import by_weights, weights_of
from tests import ROOT

QUICKSTART = ROOT / "recipes" / "quickstart.yaml"


def changes(jobs):
    """How often other weights have to be loaded."""
    held = [weights for weights in map(weights_of, jobs) if weights]
    return 1 + sum(one != other for one, other in pairwise(held))


def test_jobs_on_other_weights_are_done_together():
    jobs = plan(load(QUICKSTART, {"compare.arms": ["base", "base_bf16", "tuned"]}), ask=False)
    ordered = by_weights(jobs)
    assert set(ordered) == set(jobs)
    assert len(ordered) == len(jobs)
    assert changes(jobs) == 7
    assert changes(ordered) == 3  # what the unquantized base said is related to its prompts by the quantized one
    done = set()
    for job in ordered:
        assert all(source in done for _, source in job.inputs)
        done.add(job)
    assert ordered[-1] == jobs[-1]


def test_one_base_keeps_the_order_of_the_plan():
    jobs = plan(load(QUICKSTART), ask=False)
    assert by_weights(jobs) == jobs
