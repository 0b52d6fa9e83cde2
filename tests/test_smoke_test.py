"""`--limit N` runs every stage on N examples, apart from the real artifacts, and everything that it writes says so."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import cli
from pipeline.commands import recompute_page
from pipeline.config import recipe as recipes
from pipeline.config import recipe_files
from pipeline.errors import RecipeError
from pipeline.planning.plan import plan
from tests import project

COUNTS = ("examples", "dev_examples", "shots", "prompts")
"""Parameters of jobs that count examples."""


@pytest.mark.parametrize("path", recipe_files.shipped_files(), ids=recipe_files.short_name)
def test_every_recipe_shrinks(path: Path) -> None:
    recipe = recipes.load(path)
    jobs = plan(recipe, ask=False, limit=4)
    assert all(job.params[name] <= 4 for job in jobs for name in COUNTS if job.params.get(name))
    assert all(job.params["batch_examples"] <= 2 for job in jobs if job.stage == "finetune")
    assert {job.stage for job in jobs} == {job.stage for job in plan(recipe, ask=False)}
    assert jobs[-1].params["limit"] == 4
    assert len(jobs[-1].params["cells"]) == len(recipe.points()) * len(recipe.tasks)
    assert "limit" not in plan(recipe, ask=False)[-1].params


@pytest.mark.slow
def test_a_smoke_test_stands_apart_and_says_so(tmp_path: Path, model: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    recipe = project.make(tmp_path, model["folder"])

    def loralift(*words: str) -> str:
        cli.app([*words, "--store", str(tmp_path)], standalone_mode=False)
        return capsys.readouterr().out

    printed = loralift("compare", str(recipe), "--device", "cpu", "--limit", "2")
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "checkpoints").exists()
    sentence = "This is a smoke test with at most 2 examples per task: it shows that every step runs. Take no figure of it for a result."
    assert sentence in " ".join(printed.split())
    assert "Smoke test: Do pets say yes?" in printed
    (page,) = (tmp_path / "smoke" / "data" / "report").glob("*/report.html")
    report = json.loads(page.with_name("report.json").read_text("utf-8"))
    assert report["preliminary"] == {"kind": "smoke test", "limit": 2, "unfinished": [], "reasons": [], "sentence": sentence}
    assert report["cells"][0]["comparisons"][0]["n"] == 2
    assert "<h1>Smoke test: Do pets say yes?</h1>" in page.read_text("utf-8")
    assert page.with_name("report.md").read_text("utf-8").startswith("# Smoke test: Do pets say yes?")
    (card,) = (tmp_path / "smoke" / "checkpoints").glob("*/README.md")
    _, head, text = card.read_text("utf-8").split("---\n", 2)
    assert f"**{sentence}**" in text
    assert "**No verdict: a smoke test" in text
    assert "model-index" not in yaml.safe_load(head), "no figure of it goes to the hub"
    assert recompute_page.verify(page).no_verdict == "smoke test"

    assert "all 7 jobs cached" in loralift("compare", str(recipe), "--device", "cpu", "--limit", "2")
    assert "7 jobs, 7 to run" in loralift("plan", str(recipe))
    (tmp_path / "gate.yaml").write_text("rules: [{figure: lift, at_least: 0}]", "utf-8")
    with pytest.raises(RecipeError, match="--gate with --limit: a smoke test has no verdict to be judged"):
        loralift("report", str(recipe), "--limit", "2", "--gate", str(tmp_path / "gate.yaml"))
    (line,) = (line for line in loralift("gc").splitlines() if line.startswith("smoke test"))
    assert line.endswith(str(tmp_path / "smoke"))
    loralift("gc", "--delete")
    assert not (tmp_path / "smoke").exists()
