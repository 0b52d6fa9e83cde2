"""Killed, crowded, full and read-only: what must not cost work, and must never leave half an artifact."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import MachineError
from pipeline.store import artifact
from pipeline.store.artifact import Store
from tests import project

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["finetune", "generate"])
def test_killed_at_twenty_moments_ends_with_the_same_bytes(tmp_path, model, stage):
    recipe = project.make(tmp_path / "project", model["folder"])
    words = [sys.executable, "-m", "tests.killer", str(recipe), str(tmp_path), stage, "20"]
    ran = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=900, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    summary = json.loads(ran.stdout.splitlines()[-1])
    assert summary["kills"] == 20
    assert summary["resumed"] >= 3  # the kills did land while there was something to lose
    assert summary["finished"] >= 1
    assert not [path for path in tmp_path.glob("killed/**/.*--*") if path.is_dir()]  # nor did they leave anything lying about


@pytest.mark.slow
def test_two_processes_on_one_recipe_both_end_well(tmp_path, model):
    recipe = project.make(tmp_path / "project", model["folder"])
    words = [sys.executable, "-m", "pipeline", "compare", str(recipe), "--store", str(tmp_path), "--device", "cpu"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
    outputs = [process.communicate(timeout=600) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    artifacts = list(Store(tmp_path / "data", tmp_path / "checkpoints").all())
    assert sorted(sealed.stage for sealed in artifacts) == sorted(project.STAGES)
    for sealed in artifacts:
        sealed.verify()
    assert sum(out.count("done in") for out, _ in outputs) == len(project.STAGES)  # none was made twice
    assert not [path for path in tmp_path.rglob(".*--*")]


def test_a_full_disk_is_said_and_the_next_run_goes_on(small_disk, tmp_path, model):
    recipe = project.make(tmp_path / "project", model["folder"])
    assert project.carry_out(recipe, small_disk, stages={"prepare"}) == ["prepare", "prepare"]
    filler = small_disk / "filler"
    filler.write_bytes(b"0" * 100_000)
    with pytest.raises(MachineError, match=r"the disk is full\n.*Free some space and run the same command again"):
        project.carry_out(recipe, small_disk, stages={"finetune"})
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert project.carry_out(recipe, small_disk, stages={"finetune"}) == ["finetune"]


def test_a_read_only_store_is_said_and_what_is_in_it_can_be_used(small_disk, tmp_path, model):
    recipe = project.make(tmp_path / "project", model["folder"])
    project.carry_out(recipe, small_disk, stages={"prepare"})
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert project.carry_out(recipe, small_disk, stages={"prepare"}) == []
    with pytest.raises(MachineError, match=r"the disk is read-only\n.*--store"):
        project.carry_out(recipe, small_disk, stages={"finetune"})


@pytest.mark.parametrize("moment", ["flush", "file_hashes"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_while_sealing_loses_nothing(tmp_path, model, monkeypatch, moment, number):
    recipe = project.make(tmp_path / "project", model["folder"])

    def full(path):
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(artifact, moment, full)
        with pytest.raises(MachineError, match="cannot write to"):
            project.carry_out(recipe, tmp_path / "store", stages={"prepare"})
    assert not list((tmp_path / "store" / "data").rglob("*.jsonl"))
    assert project.carry_out(recipe, tmp_path / "store", stages={"prepare"}) == ["prepare", "prepare"]
