"""Several adapters of one variant are its training seeds: averaged, each with its own check, and never one of them twice."""

import json
import shutil
import statistics
from pathlib import Path

import pytest

from pipeline.commands import recompute_page
from pipeline.config import recipe as recipes
from pipeline.errors import ComparisonError, ModelError
from pipeline.planning.plan import plan
from pipeline.store.artifact import Store
from tests import foreign, project, tiny
from tests.test_variants import recipe_with, report_of

RUNS = 3


@pytest.fixture(scope="module")
def adapters(tmp_path_factory, model):
    """Trained on few rows, so that each knows something and no two the same."""
    folder, base = tmp_path_factory.mktemp("foreign"), Path(model["folder"])
    rows = [(f"{example.prompt} {example.id}", example.target) for example in tiny.examples(60)]
    return [str(foreign.trained(folder / f"run{seed}", base, rows[: 20 + 20 * seed], r=4 * 2**seed)) for seed in range(RUNS)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model, adapters):
    root = tmp_path_factory.mktemp("runs")
    assert project.carry_out(recipe_with(root, model, {"name": "mine", "adapters": adapters}), root).count("import_adapter") == RUNS
    return root


def test_its_score_is_the_mean_of_its_adapters(finished, model, adapters):
    """Each of which answers as it does alone, whose finished answers are found."""
    [cell] = report_of(finished)["cells"]
    [primary, _] = cell["comparisons"]
    runs = [run["tuned"] for run in cell["examples"]["runs"]]
    assert (cell["seeds"], len(set(runs)) > 1) == ([0, 1, 2], True)
    assert primary["tuned"] == pytest.approx(statistics.mean(runs))
    assert primary["seed_errors"]["seeds"] == RUNS
    assert primary["seed_errors"]["between"] == pytest.approx(statistics.stdev(runs) / RUNS**0.5)
    assert primary["test"] == "paired randomization and t over seeds"
    for adapter, score in zip(adapters, runs, strict=True):
        alone = recipe_with(finished / "alone", model, {"name": "other", "adapter": adapter})
        body = json.loads(alone.read_text("utf-8"))
        for split in ("train", "heldout"):
            body["tasks"][0]["data"][split] = body["tasks"][0]["data"][split].replace("/alone", "")
        alone.write_text(json.dumps(body), "utf-8")
        assert project.carry_out(alone, finished) == ["compare", "report"]
        latest = max((finished / "data" / "report").glob("*/report.json"), key=lambda file: file.stat().st_mtime_ns)
        [row] = json.loads(latest.read_text("utf-8"))["cells"]
        assert row["comparisons"][0]["tuned"] == pytest.approx(score)
        shutil.rmtree(latest.parent)


def test_page_cards_and_report_have_every_run(finished):
    report = report_of(finished)
    [cell] = report["cells"]
    assert [row["arm"] for row in cell["answers"]] == ["base", *(f"fine-tuned, seed {seed}" for seed in range(RUNS))]
    assert [(row["seed"], row["alive"]) for row in cell["liveness"]] == [(seed, True) for seed in range(RUNS)]
    imported = [report["adapters"][key] for key in cell["adapters"]]
    assert [(row["seed"], row["imported"]["source"]) for row in imported] == [(seed, f"run{seed}") for seed in range(RUNS)]
    assert cell["rank"] == 16  # the largest
    assert report["setup"]["imported"] == [f"mine (run{seed})" for seed in range(RUNS)]
    [warning] = [line for line in report["warnings"] if "unknown what" in line]
    assert "unknown what mine was trained on" in warning
    assert [path for path in report["recipe"]["variants"][0]["adapters"]] == ["run0", "run1", "run2"]
    page = next((finished / "data" / "report").glob("*/report.html"))
    for seed in range(RUNS):
        assert f'<td>mine</td><td class="n">{seed}</td><td>run{seed}</td>' in page.read_text("utf-8")
    cards = [path.read_text("utf-8") for path in page.parent.glob("cards/**/*.md")]
    assert sorted(text.partition("(number ")[2][:20] for text in cards) == [f"{seed + 1} of 3 training runs" for seed in range(RUNS)]
    assert all("Intervals cover other training seeds (2 degrees of freedom)" in text for text in cards)
    assert "One fine-tune from elsewhere" not in page.read_text("utf-8")


def test_its_page_is_recomputed(finished):
    page = next((finished / "data" / "report").glob("*/report.html"))
    assert recompute_page.verify(page, Store(finished / "data", finished / "checkpoints")).comparisons == 1


def test_an_adapter_of_every_task(finished, model, adapters, tmp_path):
    for seed in (0, 1):
        shutil.copytree(adapters[seed], tmp_path / f"run{seed}" / "pets")
    path = recipe_with(tmp_path, model, {"name": "mine", "adapters": ["run0/{task}", "run1/{task}"]})
    folders = [job.params["adapter"]["folder"] for job in plan(recipes.load(path)) if job.stage == "import_adapter"]
    assert folders == [str(tmp_path / f"run{seed}" / "pets") for seed in (0, 1)]


def test_equal_adapters_are_one_training_run(model, adapters, tmp_path):
    """Seen before a run where the bytes of their weights are equal, and in the comparison where only what they hold is."""
    from safetensors.torch import load_file, save_file

    again = Path(shutil.copytree(adapters[0], tmp_path / "again"))
    path = recipe_with(tmp_path / "p", model, {"name": "mine", "adapters": [adapters[0], str(again)]})
    with pytest.raises(ModelError, match=r"mine counts \S+run0 and \S+again as two training runs, and their weights are equal"):
        plan(recipes.load(path))
    weights = again / "adapter_model.safetensors"
    save_file(load_file(weights), weights, {"format": "pt", "note": "saved again"})
    with pytest.raises(ComparisonError, match="pets: the adapters of seeds 0 and 1 are equal, so they are one training run"):
        project.carry_out(path, tmp_path / "p")


def test_an_adapter_under_another_configuration_is_no_other_run(model, adapters, tmp_path):
    """Two copies whose settings differ in what concerns training alone: their answers and logits are equal to the last bit."""
    from safetensors.torch import load_file, save_file

    again = Path(shutil.copytree(adapters[0], tmp_path / "again"))
    foreign.configure(again / "adapter_config.json", lora_dropout=0.5)
    weights = again / "adapter_model.safetensors"
    save_file(load_file(weights), weights, {"format": "pt", "note": "saved again"})
    path = recipe_with(tmp_path / "p", model, {"name": "mine", "adapters": [adapters[0], str(again)]})
    with pytest.raises(ComparisonError, match="pets: the adapters of seeds 0 and 1 are equal, so they are one training run"):
        project.carry_out(path, tmp_path / "p")


def test_each_adapter_must_change_something(model, adapters, tmp_path):
    from safetensors.torch import load_file, save_file

    dead = Path(shutil.copytree(adapters[1], tmp_path / "dead"))
    weights = dead / "adapter_model.safetensors"
    save_file({name: value * ("lora_B" not in name) for name, value in load_file(weights).items()}, weights, {"format": "pt"})
    with pytest.raises(ModelError, match="dead"):
        project.carry_out(recipe_with(tmp_path / "p", model, {"name": "mine", "adapters": [adapters[0], str(dead)]}), tmp_path / "p")


def test_two_adapters_on_the_command_line_are_two_variants(model, adapters, tmp_path, monkeypatch):
    from pipeline.commands.quick_recipe import Question, with_recipe

    monkeypatch.chdir(tmp_path)
    project.make(tmp_path, model["folder"])
    [path] = with_recipe([], Question(model["folder"], adapters[:2], data="test.jsonl", metric="accuracy"))
    recipe = recipes.load(Path(path))
    assert [(entry.name, entry.runs, entry.adapter_places) for entry in recipe.variants] == [
        (f"run{seed}", 1, (adapters[seed],)) for seed in (0, 1)
    ]
