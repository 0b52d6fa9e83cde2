"""The same work on a CUDA device: `make test-gpu`."""

import csv

import pytest

from pipeline.store.artifact import Store
from tests import project

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def cuda():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


def curve(root):
    adapter = next(each for each in Store(root / "data", root / "checkpoints").all() if each.stage == "finetune")
    return [float(row["loss"]) for row in csv.DictReader((adapter.path / "curve.csv").read_text().splitlines())]


def test_the_whole_chain(tmp_path, model):
    recipe = project.make(tmp_path / "project", model["folder"])
    assert project.carry_out(recipe, tmp_path, device="cuda") == project.STAGES
    for artifact in Store(tmp_path / "data", tmp_path / "checkpoints").all():
        artifact.verify()


@pytest.mark.parametrize(("compute", "tolerance"), [("fp32", 1e-3), ("bf16", 5e-2)])
def test_the_first_losses_are_those_of_the_cpu(tmp_path, model, compute, tolerance):
    recipe = project.make(tmp_path / "project", model["folder"])
    changes = {"finetune.compute": compute, "finetune.max_steps": 3}
    for device in ("cpu", "cuda"):
        project.carry_out(recipe, tmp_path / device, changes, {"finetune"}, device)
    assert curve(tmp_path / "cuda") == pytest.approx(curve(tmp_path / "cpu"), rel=tolerance)


def test_the_peak_of_a_job_is_its_own():
    import torch

    from pipeline.machine import peak_memory, reset_peak_memory

    reset_peak_memory("cuda")
    before = peak_memory("cuda")["cuda"]
    block = torch.ones(1 << 30, dtype=torch.uint8, device="cuda")
    assert peak_memory("cuda")["cuda"] >= before + (1 << 30)
    del block
    reset_peak_memory("cuda")  # the allocator's unused blocks are no part of the next job
    assert peak_memory("cuda")["cuda"] < before + (1 << 29)
