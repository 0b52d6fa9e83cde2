"""A run of hours is asked for on a terminal and refused in a pipe; the first recipe for a card is short."""

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.commands import estimate, job_status, long_runs
from pipeline.commands.estimate import GPUS
from pipeline.config import recipe as recipes
from pipeline.machine import Machine
from pipeline.planning.plan import plan
from pipeline.store.artifact import Store
from tests import ROOT, project

H100 = next(gpu for gpu in GPUS if gpu.name == "H100")


@pytest.mark.parametrize(
    ("cuda_name", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA A100-SXM4-80GB", "A100-80"),
        ("NVIDIA A100 80GB PCIe", "A100-80"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA A100-SXM4-40GB", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA H100 PCIe", None),
        ("Tesla T4", None),
    ],
)
def test_a_card_is_known_by_its_whole_name(cuda_name, name):
    assert getattr(estimate.named(cuda_name), "name", None) == name


def test_only_what_is_still_to_run_counts():
    jobs = plan(recipes.load(ROOT / "recipes" / "modern" / "smollm3_3b.yaml", {"revision": "0" * 40}), ask=False)
    hours, is_upper_bound = long_runs.estimated_hours(dict.fromkeys(jobs), H100)
    rows = [job_status.job_status(job, {}, Store(Path("none"), Path("none"))) for job in jobs]
    assert hours == pytest.approx(job_status.remaining(rows).hours["H100"])
    assert hours > long_runs.MAX_HOURS
    assert is_upper_bound
    first = next(job for job in jobs if job.stage == "finetune")
    lone, _ = long_runs.estimated_hours({first: None}, H100)
    assert 0 < lone < hours


def test_without_an_estimate_for_this_machine_nobody_is_asked():
    jobs = plan(recipes.load(ROOT / "recipes" / "modern" / "smollm3_3b.yaml", {"revision": "0" * 40}), ask=False)
    long_runs.confirm(dict.fromkeys(jobs), long_runs.card_of(Machine("cpu"), dict.fromkeys(jobs)))


RUN = """
import sys
from pipeline import cli
from pipeline.commands import long_runs
from pipeline.commands.estimate import GPUS
long_runs.card_of = lambda machine, jobs: GPUS[0]
long_runs.MAX_HOURS = 0.0
cli.main()
"""
"""loralift on a machine with a card on which every run is long."""


@pytest.fixture
def words(tmp_path, model):
    recipe = project.make(tmp_path, model["folder"])
    precise = ["finetune.compute=bf16", "generate.compute=bf16", "finetune.max_steps=1"]
    return [sys.executable, "-c", RUN, "finetune", str(recipe), *precise, "--store", str(tmp_path), "--device", "cpu"]


def test_a_long_run_is_refused_in_a_pipe_unless_it_is_meant(words, tmp_path):
    ran = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    assert ran.returncode == 2
    assert ran.stderr == "error: the 3 jobs still to run take at most under 1 min on this A10G (estimated). Add --yes to run them.\n"
    assert not list(tmp_path.glob("checkpoints/*/manifest.json"))
    assert subprocess.run([*words, "--yes"], capture_output=True, cwd=ROOT, check=False).returncode == 0
    assert subprocess.run(words, capture_output=True, cwd=ROOT, check=False).returncode == 0, "nothing is left to run"


@pytest.mark.parametrize(("answer", "status"), [("n", 2), ("", 2), ("y", 0)])
def test_a_terminal_is_asked_once(words, answer, status):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=os.environ | {"COLUMNS": "80"})
    os.close(theirs)
    screen = ""
    while select.select([ours], [], [], 120)[0]:
        try:
            screen += os.read(ours, 4096).decode()
        except OSError:  # the other end is closed
            break
        if screen.endswith("[y/N]: "):
            os.write(ours, f"{answer}\n".encode())
    assert process.wait(60) == status
    assert screen.count("Run them? [y/N]: ") == 1
    assert ("finetune" in screen.partition("[y/N]")[2]) == (status == 0)


def test_the_first_recipe_for_a_card_is_as_short_as_it_says(tmp_path):
    """Its comment holds what `plan` says of a card with 24 GB."""
    path = ROOT / "recipes" / "modern" / "first.yaml"
    jobs = plan(recipes.load(path, {"revision": "0" * 40}), ask=False)
    rows = [job_status.job_status(job, {}, Store(tmp_path, tmp_path)) for job in jobs]
    total = job_status.remaining(rows)
    (minutes,) = re.findall(r"estimates at most (\d+) minutes on an RTX 4090 \(24 GB\)", path.read_text("utf-8"))
    assert f"RTX 4090 <={minutes} min" in total.text()
    assert int(minutes) <= 20
    assert not any(total.too_large.values())
    assert total.unknown == 0


def test_the_version_is_printed():
    ran = subprocess.run([sys.executable, "-m", "pipeline", "--version"], capture_output=True, text=True, cwd=ROOT, check=True)
    assert re.fullmatch(r"loralift (\d+\.\d+\.\d+|not installed)( \(commit [0-9a-f]{12}\))?\n", ran.stdout)
