"""One training over two processes: the losses of one process to rounding, and resume points that go on to the same adapter."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file

from pipeline.store.artifact import Store
from tests import ROOT, project

pytestmark = pytest.mark.slow
STEPS = ("finetune.epochs=3", "finetune.dev_every=4")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, model):
    return project.make(tmp_path_factory.mktemp("project"), model["folder"])


def words(recipe, root, processes, module="pipeline"):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    return [sys.executable, *launcher, "-m", module, "finetune", str(recipe), *STEPS, "--device", "cpu", "--store", str(root)]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"}


def finetune(recipe, root, processes):
    ran = subprocess.run(
        words(recipe, root, processes), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran


def trained(root):
    """The folder of the only adapter of a store, its curve and its weights."""
    [adapter] = [artifact for artifact in Store(root / "data", root / "checkpoints").all() if artifact.stage == "finetune"]
    adapter.verify()
    with (adapter.path / "curve.csv").open(newline="") as file:
        curve = [{name: float(value or "nan") for name, value in row.items()} for row in csv.DictReader(file)]
    return adapter, curve, load_file(adapter.path / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def alone(tmp_path_factory, recipe):
    root = tmp_path_factory.mktemp("alone")
    finetune(recipe, root, 1)
    return trained(root)


def test_two_processes_have_the_losses_of_one(tmp_path, recipe, alone):
    ran = finetune(recipe, tmp_path, 2)
    adapter, curve, weights = trained(tmp_path)
    _, expected, expected_weights = alone
    assert len(curve) == len(expected) == 15
    for row, other in zip(curve, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-5, nan_ok=True)
    for name, value in weights.items():
        assert (value - expected_weights[name]).abs().max() < 1e-4  # Adam divides by small numbers at first
    assert adapter.facts["steps"] == 15
    assert ran.stdout.count("finetune  ") == 1  # the leader alone prints
    assert not list(tmp_path.glob("checkpoints/.resume/*/state.pt"))


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path, recipe):
    finetune(recipe, tmp_path / "whole", 2)
    process = subprocess.Popen(
        words(recipe, tmp_path / "killed", 2, "tests.saving_often"),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for_state(tmp_path / "killed", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list((tmp_path / "killed").glob("checkpoints/.resume/*/state.pt"))
    finetune(recipe, tmp_path / "killed", 2)
    whole, killed = trained(tmp_path / "whole")[0], trained(tmp_path / "killed")[0]
    assert killed.files == whole.files
    assert killed.facts["steps"] == 15


def test_a_training_that_fails_ends_every_process(tmp_path, recipe):
    command = [*words(recipe, tmp_path, 2), "finetune.learning_rate=1e30", "finetune.max_grad_norm=1e30"]
    ran = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode != 0
    assert "the loss is " in ran.stderr
    assert "Lower finetune.learning_rate" in ran.stderr
    assert not list(tmp_path.glob("checkpoints/*--*"))


def wait_for_state(root, process):
    deadline = time.monotonic() + 200
    while not list(root.glob("checkpoints/.resume/*/state.pt")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
