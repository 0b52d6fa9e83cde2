"""A page of tasks of lm-evaluation-harness is recomputed by its own scores, and not by those of another YAML."""

import shutil
from pathlib import Path

import pytest
import yaml

from pipeline.commands import recompute_page
from pipeline.errors import UserError
from pipeline.harness import library, scores
from tests import project, test_harness_parity

pytest.importorskip("lm_eval")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def forget_definitions():
    """What a new process knows of the YAML."""
    for cached in (library.entries, scores.cached_scorer):
        cached.cache_clear()


def test_a_page_of_a_task_and_a_suite_is_verified(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    include = test_harness_parity.write_tasks(tmp_path / "tasks")
    path = project.make(tmp_path, model["folder"])
    body = yaml.safe_load(path.read_text("utf-8"))
    body |= {"tasks": ["lm_eval/my_choice"], "general": {"suites": ["lm_eval/my_qa"]}, "lm_eval": {"include": include}}
    path.write_text(yaml.safe_dump(body), "utf-8")
    project.carry_out(path, tmp_path)
    page = next((tmp_path / "data" / "report").glob("*/report.html"))
    checked = recompute_page.verify(page)
    assert (checked.comparisons, checked.no_verdict) == (1, "")
    assert checked.numbers > 100
    yaml_file = Path(include) / "my_choice.yaml"
    yaml_file.write_text(yaml_file.read_text("utf-8").replace("acc_norm", "acc"), "utf-8")
    forget_definitions()
    with pytest.raises(UserError, match="the YAML of lm_eval/my_choice is not that by which the examples were made"):
        recompute_page.verify(page)
    shutil.rmtree(include)
    forget_definitions()
    with pytest.raises(UserError, match="there is no folder"):
        recompute_page.verify(page)
