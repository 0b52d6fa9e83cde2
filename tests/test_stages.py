"""The table of stages: what each file says of itself, and that a stage written in one file is known to everything that asks for stages."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pipeline import stages
from pipeline.commands import call as calls
from pipeline.commands import plan_table, views
from pipeline.config import recipe as recipes
from pipeline.config import recipe_files
from pipeline.machine import Machine, Work
from pipeline.page import embedded_records, lineage_section
from pipeline.page.cells import Cell
from pipeline.planning.job import job
from pipeline.planning.plan import plan
from pipeline.runner import Site, run
from pipeline.store.artifact import Store
from tests import project

ROOT = Path(__file__).parents[1]
TOY = """
VERSION = 1
NEEDS = ("weights", "gpu")


def run(work):
    (work.out / "toy.json").write_text("[]")
    return {}
"""


@pytest.fixture(scope="module")
def finished_store(tmp_path_factory, model):
    """A recipe that was carried out: (recipe, root)."""
    root = tmp_path_factory.mktemp("stages")
    recipe = project.make(root, model["folder"])
    project.carry_out(recipe, root)
    return recipe, root


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A stage of one file."""
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "toy.py").write_text(TOY)
    monkeypatch.setattr(stages, "__path__", [*stages.__path__, str(tmp_path / "room")])
    yield stages.find("toy")
    sys.modules.pop("pipeline.stages.toy")
    del stages.toy


@pytest.fixture
def call(toy, finished_store, tmp_path):
    """A recipe that was carried out but for one job: the report reads a job of the toy as well."""
    root, recipe = shutil.copytree(finished_store[1], tmp_path / "store"), recipes.load(finished_store[0])
    *jobs, report = plan(recipe)
    extra = job(toy.name, "pets", {"size": 1}, train=jobs[0])
    jobs += [extra, replace(report, inputs=(*report.inputs, ("cell0000.toy", extra)))]
    return calls.Call(recipe, jobs, Site(Store(root / "data", root / "checkpoints"), Machine()))


def test_the_table():
    by_name = {stage.name: stage for stage in stages.table()}
    assert tuple(by_name) == stages.ORDER
    assert stages.expensive() == [
        "trial",
        "finetune",
        "import_adapter",
        "import_model",
        "cut_adapter",
        "generate",
        "reference",
        "debug",
        "debug_by_endpoint",
        "relevance",
        "general_loss",
        "speed",
    ]
    assert {name for name, stage in by_name.items() if stages.GPU in stage.needs} == {
        "trial",
        "finetune",
        "generate",
        "debug",
        "relevance",
        "general_loss",
        "speed",
    }
    assert by_name["reference"].needs == (stages.NETWORK,)
    assert {need for stage in by_name.values() for need in stage.needs} <= {stages.WEIGHTS, stages.GPU, stages.NETWORK}


def test_the_table_is_read_without_heavy_libraries():
    code = "import sys\nfrom pipeline import stages\nstages.table()\nprint(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    assert not {"torch", "transformers", "peft", "datasets", "scipy", "altair", "jinja2"} & set(loaded)


def test_a_stage_in_one_file_stands_in_the_table(toy):
    assert stages.names() == [*stages.ORDER, "toy"]
    assert "toy" in stages.expensive()


def test_a_report_is_refused_while_the_work_of_a_stage_is_missing(call):
    assert [job.stage for job in calls.unfinished(call)] == ["toy"]
    run(calls.with_dependencies(call.jobs, {"toy"}), call.site, lambda *_: None)
    assert calls.unfinished(call) == []


def test_a_report_makes_cheap_jobs_only(finished_store, tmp_path):
    """Examples that are not here are prepared again; nothing expensive is made."""
    root = shutil.copytree(finished_store[1], tmp_path / "store")
    for folder in root.glob("data/prepare/*"):
        shutil.rmtree(folder)
    recipe = recipes.load(finished_store[0])
    call = calls.Call(recipe, plan(recipe), Site(Store(root / "data", root / "checkpoints"), Machine()))
    assert calls.unfinished(call) == []
    assert len(list(root.glob("data/prepare/*--*"))) == 2
    shutil.rmtree(next(root.glob("data/generate/*--base--*")))
    assert [job.stage for job in calls.unfinished(call)] == ["generate"]


def test_gc_keeps_the_work_of_a_stage(call, monkeypatch):
    artifacts = run(calls.with_dependencies(call.jobs, {"toy"}), call.site, lambda *_: None)
    artifact = next(artifact for job, artifact in artifacts.items() if job.stage == "toy")
    monkeypatch.setattr(views, "plan", lambda *_, **__: call.jobs)
    monkeypatch.setattr(recipe_files, "shipped_files", list)
    monkeypatch.setattr(stages, "code_version", lambda *_: "edited")  # its input has another key now
    views.collect_garbage(Console(), call.site.store, True, [ROOT / "recipes" / "quickstart.yaml"])
    assert artifact.path.exists()


def test_plan_says_that_a_stage_is_not_estimated(call, capsys):
    plan_table.show_plan(Console(width=200), call.recipe, call.jobs, call.site.store, all_cards=True)
    output = capsys.readouterr().out
    assert "speed, toy: a few minutes, not included." in output
    assert re.search(r"\btoy +pets to run\b", output)


def test_a_report_carries_the_files_of_a_stage_and_lists_it(call):
    artifact = list(run(calls.with_dependencies(call.jobs, {"toy"}), call.site, lambda *_: None).values())[-1]
    blocks, index = embedded_records.embed(Work({}, {"cell0000.toy": artifact.path}, artifact.path, artifact.path))
    assert f"file-{index['carried']['cell0000.toy']['files']['toy.json'][:16]}" in blocks
    cell = Cell(name="cell0000", inputs={"toy": artifact}, task="pets", base="base", point={}, rank=1, paper={}, seeds=[0], absent=[])
    rows, _ = lineage_section.artifacts([cell])
    assert [row["stage"] for row in rows] == ["toy"]
    assert list(lineage_section.seconds_by_stage(rows)) == ["toy"]


def test_make_clean_removes_the_work_of_every_stage(call, tmp_path):
    root = shutil.copytree(call.site.store.data.parent, tmp_path / "copy")
    shutil.copy(ROOT / "Makefile", root / "Makefile")
    (root / "data" / "published").mkdir()
    (root / "data" / "published" / "rows.csv").write_text("kept")
    subprocess.run(["make", "clean"], cwd=root, check=True, capture_output=True)
    assert not list(Store(root / "data", root / "checkpoints").all())
    assert (root / "data" / "published" / "rows.csv").exists()
