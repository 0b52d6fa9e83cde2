"""Tasks of LoRA Land on their real data and a real pretrained model, from a hub on loopback to the report beside the paper's figures."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from pipeline.data import task
from tests import ROOT
from tests.local_hub import LocalHub
from tests.task_hub import World
from tests.task_rows import real
from tests.tiny import SHARED, STORIES

TASKS = {"viggo": ("train", "test"), "glue_wnli": ("train", "validation"), "gsm8k": ("train", "test")}


def serve(folder):
    """A hub with the whole data sets, laid out as the real ones."""
    world = World(folder / "hub", folder / "sources")
    for name, splits in TASKS.items():
        chosen = task.find(name)
        for part, split in zip((chosen.train, chosen.heldout), splits, strict=True):
            world.add(chosen, part[0], list(real(f"{name}/{split}")))
    world.declare()
    return world.hub


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("land")
    recipe = {
        "extends": str(ROOT / "recipes" / "lora_land" / "_paper.yaml"), "name": "stories", "base": str(STORIES), "needs_cuda": False,
        "tasks": [*TASKS], "prepare": {"train_examples": 1500, "dev_examples": 32, "heldout_examples": 300, "max_tokens": 448},
        "finetune": {"rank": 16, "learning_rate": 2e-3, "targets": "all-linear", "max_steps": 40, "dev_every": 20},
        "generate": {"max_new_tokens": 48}, "compare": {"resamples": 1000},
    }  # fmt: skip
    (folder / "stories.yaml").write_text(yaml.safe_dump(recipe))
    words = [sys.executable, "-m", "pipeline", "compare", str(folder / "stories.yaml"), "--store", str(folder), "--device", "cpu"]
    with LocalHub(serve(folder)) as hub:
        environ = {**os.environ, **hub.environ(folder / "cache"), "COLUMNS": "80"}
        ran = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=1500, check=False, env=environ)
    assert ran.returncode == 0, ran.stderr[-3000:]
    print(ran.stdout)
    (path,) = folder.glob("data/report/*/report.json")
    return json.loads(path.read_text("utf-8")), ran.stdout


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="needs the shared model and data")
def test_our_figures_stand_beside_the_published_ones(report):
    body, printed = report
    rows = {row["task"]: row for row in body["published"]}
    assert {name: (row["gpt4"], row["n"]) for name, row in rows.items()} == {
        "viggo": (0.374, 300),
        "glue_wnli": (0.930, 71),
        "gsm8k": (0.373, 300),
    }
    assert rows["glue_wnli"]["constant"]["score"] == pytest.approx(40 / 71)
    assert all("the paper has no such base" in figure["why"] for row in rows.values() for figure in row["figures"].values())
    assert not any("another version of the data" in figure["why"] for row in rows.values() for figure in row["figures"].values())
    assert "compared with LoRA Land" in printed
    assert max(len(line) for line in printed.splitlines() if "LoRA Land" not in line and "report.html" not in line) <= 80


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="needs the shared model and data")
def test_a_base_that_cannot_answer_learns_the_form_and_no_more(report):
    (cell,) = [cell for cell in report[0]["cells"] if cell["task"] == "glue_wnli"]
    strict = cell["comparisons"][0]
    assert (strict["metric"], strict["base"], strict["verdict"]) == ("accuracy", 0, "above base")
    assert strict["tuned"] < 0.75  # what is always the same scores .563
