"""What `loralift plan` begins with: the total for this machine, and one line a task."""

import os
import stat
from io import StringIO

import pytest
from rich.console import Console

from pipeline.commands import estimate, job_estimates, job_status, plan_summary, plan_table
from pipeline.config import recipe as recipes
from pipeline.config import recipe_files
from pipeline.planning.plan import plan
from pipeline.scoring import detectable
from pipeline.store.artifact import Store
from tests import project

CARD = next(card for card in estimate.GPUS if card.name == "RTX 4090")
TASKS = {"tasks": ("viggo", "boolq"), "compare": project.LEAN, "general": {"suites": ()}}


def recipe_of(**more):
    return recipes.Recipe.model_validate({"name": "a", "base": "mistral-7b", **TASKS, **more})


def statuses(recipe, root):
    """The jobs of a recipe, their rows, and the artifacts that are there."""
    jobs, done = plan(recipe, ask=False), {}
    return jobs, [job_status.job_status(job, done, Store(root / "data", root / "checkpoints")) for job in jobs], done


def printed(show, *values):
    screen = StringIO()
    show(Console(file=screen, highlight=False, width=80), *values)
    return screen.getvalue().splitlines()


def test_a_line_a_task_has_its_rows_memory_time_and_lift(tmp_path):
    jobs, rows, done = statuses(recipe_of(), tmp_path)
    lines = printed(plan_summary.show_tasks, jobs[-1], rows, done, CARD)
    assert lines[0].split() == ["task", "jobs", "train", "rows", "test", "rows", "GB", "time", "MDE"]
    viggo = [job for job in jobs if "viggo" in job.label and job.stage in ("finetune", "generate")]
    estimates = [job_estimates.estimate_of(job, {}) for job in viggo]
    memory = max(one.min_bytes for one in estimates) / 1e9
    time = job_status.duration_text(sum(one.costs[CARD.name].seconds for one in estimates) / 3600, True)
    lift = 100 * detectable.planned_effect(1083, 0.2, 0.95)
    assert lines[2].split() == f"viggo 6/6 5,103 of 5,103 1,083 of 1,083 <={memory:.1f} {time} >={lift:.1f}".split()
    assert lines[3].startswith("boolq ")
    assert len(lines) == 4


def test_a_job_that_tasks_share_is_counted_once(tmp_path):
    jobs, rows, done = statuses(recipe_of(general={"suites": ("viggo", "boolq")}, sweep={"finetune.rank": [4, 8]}), tmp_path)
    tasks = plan_summary.tasks_of(jobs[-1], rows)
    assert [task.name for task in tasks] == ["viggo", "boolq"]
    counted = [row.job for task in tasks for row in task.rows]
    assert len(counted) == len(set(counted)) == len(jobs) - 1  # all but the report
    assert [len(task.heldout) for task in tasks] == [1, 1]
    assert [line.split()[0] for line in printed(plan_summary.show_tasks, jobs[-1], rows, done, CARD)[2:]] == ["viggo", "boolq"]


def test_sizes_of_a_sweep_are_told_by_the_largest(tmp_path):
    jobs, rows, done = statuses(recipe_of(sweep={"prepare.train_examples": [100, 1000]}), tmp_path)
    assert "up to 1,000 of 5,103" in printed(plan_summary.show_tasks, jobs[-1], rows, done, None)[2]


def test_the_total_is_that_of_the_table_of_cards(tmp_path):
    _, rows, _ = statuses(recipe_of(), tmp_path)
    total = job_status.remaining(rows)
    text = " ".join(printed(plan_summary.show_total, rows, "NVIDIA GeForce RTX 4090", CARD))
    duration = job_status.duration_text(total.hours[CARD.name], True)
    assert f"{len(rows)} jobs, {len(rows)} to run, 0 cached. Estimate for this RTX 4090: {duration} and <=" in text
    assert "at 40 % of the card's limit." in text


def test_what_does_not_fit_is_told(tmp_path):
    jobs, rows, done = statuses(recipe_of(finetune={"rank": 4096}), tmp_path)
    lines = printed(plan_summary.show_tasks, jobs[-1], rows, done, CARD)
    assert all("too large" in line for line in lines[2:])
    assert "4 jobs do not fit into its memory." in " ".join(printed(plan_summary.show_total, rows, "NVIDIA GeForce RTX 4090", CARD))


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "There is no estimate for a machine without a CUDA device"), ("NVIDIA L40S", "There is no estimate for this card (NVIDIA L40S)")],
)
def test_a_machine_without_an_estimate_is_told(tmp_path, name, words):
    _, rows, _ = statuses(recipe_of(), tmp_path)
    assert words in " ".join(printed(plan_summary.show_total, rows, name, estimate.named(name)))


def test_no_line_passes_80_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(plan_summary, "card_of_machine", lambda: "NVIDIA GeForce RTX 4090")
    recipe = recipes.load(next(path for path in recipe_files.shipped_files() if recipe_files.short_name(path) == "lora_land/mistral_7b"))
    lines = printed(plan_table.show_plan, recipe, plan(recipe, ask=False), Store(tmp_path / "d", tmp_path / "c"))
    assert [line for line in lines if len(line) > 80 and "https:" not in line] == []
    assert sum("/6 " in line for line in lines) == 31


@pytest.mark.parametrize(("visible", "name"), [(None, "card 0"), ("1,0", "card 1"), ("", ""), ("-1", ""), ("7", "")])
def test_the_card_is_asked_of_nvidia_smi(tmp_path, monkeypatch, visible, name):
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\ncase $1 in --id=7) echo "No devices were found"; exit 6;; *) echo "card ${1#--id=}";; esac\n', "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert plan_summary.card_of_machine() == name
