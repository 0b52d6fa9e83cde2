"""Data sets are prepared first, jobs on the same weights follow one another, and each job its inputs."""

import json
from itertools import pairwise

import pytest

from pipeline.config.recipe import load
from pipeline.errors import DataError
from pipeline.planning.plan import plan
from pipeline.schedule import in_run_order, weights_of
from tests import ROOT, project

QUICKSTART = ROOT / "recipes" / "tour.yaml"


def changes(jobs):
    """How often other weights have to be loaded."""
    held = [weights for weights in map(weights_of, jobs) if weights]
    return 1 + sum(one != other for one, other in pairwise(held))


def test_jobs_on_other_weights_are_done_together():
    jobs = plan(load(QUICKSTART, {"compare.arms": ["base", "base_bf16", "tuned"]}), ask=False)
    ordered = in_run_order(jobs)
    assert set(ordered) == set(jobs)
    assert len(ordered) == len(jobs)
    assert changes(jobs) == 7
    assert changes(ordered) == 3  # what the unquantized base said is related to its prompts by the quantized one
    done = set()
    for job in ordered:
        assert all(source in done for _, source in job.inputs)
        done.add(job)
    assert ordered[-1] == jobs[-1]


def test_one_base_keeps_the_order_of_the_plan_behind_the_data_sets():
    jobs = plan(load(QUICKSTART), ask=False)
    ordered = in_run_order(jobs)
    data = [job for job in jobs if job.stage == "prepare"]
    assert len(data) == 6
    assert ordered == data + [job for job in jobs if job.stage != "prepare"]


def test_a_data_set_that_does_not_load_stops_the_run_before_any_training(tmp_path, model):
    """Four tasks, the last without a readable row: a night of training must not come first."""
    path = project.make(tmp_path, model["folder"])
    body = json.loads(path.read_text("utf-8"))
    (pets,) = body["tasks"]
    tasks = [pets | {"name": f"pets{number}"} for number in range(4)]
    (tmp_path / "broken.jsonl").write_text('{"question": "?"}\n' * 40, "utf-8")
    tasks[-1] |= {"data": pets["data"] | {"train": str(tmp_path / "broken.jsonl")}}
    path.write_text(json.dumps(body | {"tasks": tasks}), "utf-8")
    with pytest.raises(DataError):
        project.carry_out(path, tmp_path)
    assert len(list((tmp_path / "data" / "prepare").glob("pets*--*"))) == 7
    assert not list((tmp_path / "checkpoints").glob("*--*"))
