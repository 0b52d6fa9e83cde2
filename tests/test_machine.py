"""Devices and workers: how many jobs run at a time and on what; what the memory of a job is counted from."""

import json
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from pipeline import stages
from pipeline.commands.call import with_dependencies
from pipeline.config import recipe as recipes
from pipeline.errors import MachineError
from pipeline.machine import EndpointSettings, Machine, peak_memory, provenance, reset_peak_memory
from pipeline.planning.job import job
from pipeline.planning.plan import plan
from pipeline.runner import Site, run, run_in_process
from pipeline.schedule import in_run_order
from pipeline.store.artifact import Store
from tests import project

TOYS = {"train": ("weights", "gpu"), "count": ()}
"""Stages of one file, with what a job of each needs."""
TOY = """
import json
import time
NEEDS = {needs}


def run(work):
    start = time.monotonic()
    time.sleep(0.15)
    record = {{"device": work.machine.device, "start": start, "end": time.monotonic()}}
    (work.out / "record.json").write_text(json.dumps(record))
    return record
"""


@pytest.fixture
def toys(tmp_path, monkeypatch):
    names = {}
    (tmp_path / "room").mkdir()
    for name, needs in TOYS.items():
        (tmp_path / "room" / f"toy_{name}.py").write_text(TOY.format(needs=needs))
        names[name] = f"toy_{name}"
    monkeypatch.setattr(stages, "__path__", [*stages.__path__, str(tmp_path / "room")])
    yield names
    for name in names.values():
        sys.modules.pop(f"pipeline.stages.{name}", None)
        vars(stages).pop(name, None)


def carry_out(tmp_path, machine, counts):
    """What the toy jobs recorded, by stage: (device, start, end)."""
    jobs = [job(stage, f"{stage}{number}", {"number": number}) for stage, count in counts.items() for number in range(count)]
    with ThreadPoolExecutor(8) as pool:
        artifacts = run(jobs, Site(Store(tmp_path / "data", tmp_path / "checkpoints"), machine), lambda *_: None, pool.submit)
    return {stage: [artifacts[job].facts for job in jobs if job.stage == stage] for stage in counts}


def most_at_a_time(records):
    return max(sum(other["start"] <= record["start"] < other["end"] for other in records) for record in records)


def test_a_job_that_needs_a_gpu_has_a_device_to_itself(tmp_path, toys):
    records = carry_out(tmp_path, Machine("cuda:0,cuda:1", workers=5), {toys["train"]: 4, toys["count"]: 3})
    trained = records[toys["train"]]
    assert {record["device"] for record in trained} == {"cuda:0", "cuda:1"}
    assert [most_at_a_time([record for record in trained if record["device"] == name]) for name in ("cuda:0", "cuda:1")] == [1, 1]
    assert most_at_a_time(trained) == 2
    assert most_at_a_time(records[toys["count"]]) == 3  # these wait for no device
    for path in tmp_path.glob("data/*/*/manifest.json"):
        manifest = json.loads(path.read_text("utf-8"))
        assert manifest["made"]["machine"]["device"] == manifest["facts"]["device"]


@pytest.mark.parametrize("workers", [1, 2])
def test_no_more_jobs_run_than_there_are_workers(tmp_path, toys, workers):
    assert most_at_a_time(carry_out(tmp_path, Machine("cpu", workers=workers), {toys["count"]: 4})[toys["count"]]) == workers


@pytest.mark.slow
def test_jobs_in_processes_of_their_own_make_the_same_artifacts(tmp_path, model):
    recipe = recipes.load(project.make(tmp_path / "project", model["folder"]))
    jobs = with_dependencies(in_run_order(plan(recipe)), {"generate"})

    def digests(root, workers, submit):
        site = Site(Store(root / "data", root / "checkpoints"), Machine("cpu", tokens=100, workers=workers))
        return {job: artifact.digest for job, artifact in run(jobs, site, lambda *_: None, submit).items()}

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert digests(tmp_path / "two", 2, pool.submit) == digests(tmp_path / "one", 1, run_in_process)


def test_one_device_and_one_worker_unless_more_are_named():
    assert (Machine().devices, Machine().workers) == (("auto",), 1)
    assert Machine("cuda:0,cuda:1").devices == ("cuda:0", "cuda:1")
    assert Machine("cuda:0,cuda:1").with_device("cuda:1") == Machine("cuda:1")


@pytest.mark.parametrize("name", ["gpu", "cpu,cpu", "cuda:", ""])
def test_a_job_runs_on_one_device_that_exists(name):
    with pytest.raises(MachineError, match="there is no such kind of device"):
        Machine(name).torch_device()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux resets the resident peak")
def test_the_peak_of_a_job_is_its_own():
    mebibyte = 1 << 20
    reset_peak_memory("cpu")
    before = peak_memory("cpu")["rss"]
    block = np.ones(200 * mebibyte, dtype=np.uint8)
    assert peak_memory("cpu")["rss"] > before + 150 * mebibyte
    del block
    assert peak_memory("cpu")["rss"] > before + 150 * mebibyte
    reset_peak_memory("cpu")
    assert peak_memory("cpu")["rss"] < before + 100 * mebibyte


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux resets the resident peak")
def test_a_job_does_not_inherit_the_peak_of_an_earlier_one(tmp_path, toys):
    reset_peak_memory("cpu")
    before = peak_memory("cpu")["rss"]
    np.ones(200 << 20, dtype=np.uint8).sum()
    carry_out(tmp_path, Machine("cpu"), {toys["count"]: 1})
    (path,) = tmp_path.glob("data/*/*/manifest.json")
    assert json.loads(path.read_text("utf-8"))["made"]["peak"]["rss"] < before + (100 << 20)


def test_a_manifest_says_how_a_job_ran_and_holds_no_key():
    endpoint = EndpointSettings("http://127.0.0.1:9/v1", "m", "LORALIFT_NO_KEY")
    made_on = provenance(Machine("cpu", endpoints=(endpoint,)))
    assert made_on["machine"]["endpoints"][0]["key_env"] == "LORALIFT_NO_KEY"
    assert made_on["machine"]["device"] == "cpu"
    assert set(made_on["peak"]) == {"rss"}
    json.dumps(made_on)
